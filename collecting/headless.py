"""Collecting without a browser: ``python -m collector``.

Log lines are ``key=value`` on standard error; every ten seconds a status line goes to standard
output. SIGTERM, SIGINT, and Ctrl-Break on Windows (which has no SIGTERM to receive), end it with
everything written.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from config import Config
from database import Database, place_of
from errors import PlatformError
from ticks import iso_utc

log = logging.getLogger("collector")

_STATUS_S = 10.0
_FRESH_MS = 10_000


class StructuredFormatter(logging.Formatter):
    """One event a line: time, level, where, and the message, as ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback is folded into it."""
        moment = iso_utc(int(record.created * 1000))
        text = record.getMessage()
        if record.exc_info:
            text += " | " + self.formatException(record.exc_info).replace("\n", " | ")
        return (
            f"time={moment} level={record.levelname.lower()} source={record.name} "
            f"message={json.dumps(text, ensure_ascii=False)}"
        )


def status_line(health: dict[str, Any]) -> str:
    """Health in one line for a terminal."""
    lag = (health.get("lag_ms") or {}).get("p50")
    parts = [
        f"state={health.get('state', 'stopped')}",
        f"symbols={','.join(health.get('symbols', ())) or '-'}",
        f"ticks={health.get('ticks', 0)}",
        f"per_s={health.get('ticks_per_s', 0.0):.1f}",
        f"lag_ms={'-' if lag is None else f'{lag:.0f}'}",
        f"reconnects={health.get('reconnects', 0)}",
        f"queue={(health.get('queue') or {}).get('depth', 0)}",
        f"open_gaps={(health.get('gaps') or {}).get('open', 0)}",
        f"sentence={json.dumps(health.get('sentence', ''), ensure_ascii=False)}",
    ]
    backfill = (health.get("repair") or {}).get("text")
    if backfill:
        parts.append(f"repair={json.dumps(backfill, ensure_ascii=False)}")
    return " ".join(parts)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m collector", description="Collect trades into the database, no browser."
    )
    parser.add_argument(
        "--symbols",
        default=",".join(Config.DEFAULT_SYMBOLS),
        help="separated by commas (default: %(default)s)",
    )
    parser.add_argument(
        "--source",
        choices=("live", "demo", "replay"),
        default=Config.DATA_SOURCE,
        help="live exchange, demo market or a recording (default: %(default)s)",
    )
    parser.add_argument(
        "--status", action="store_true", help="print the health stored in the database, and end"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; returns the process's exit code."""
    arguments = _arguments(argv)
    try:
        if arguments.status:
            return print_status(arguments.source)
        return collect(arguments.source, arguments.symbols)
    except PlatformError as problem:
        print(problem, file=sys.stderr)
        return 2


def print_status(source: str) -> int:
    """Print what the holder of the feed last reported; 0 where it is alive, 1 where not."""
    from runtime import LEASE

    with Database(place_of(source), read_only=True) as database, database.snapshot() as snapshot:
        stored, now_ms = snapshot.get("health", LEASE), snapshot.now_ms()
    if stored is None:
        print('state=stopped sentence="Nothing has collected into this database yet."')
        return 1
    health, at_ms = stored
    age_ms = now_ms - at_ms
    print(status_line(health) + f" age_s={age_ms / 1000:.0f}")
    return 0 if age_ms < _FRESH_MS and health.get("state") != "stopped" else 1


def collect(source: str, symbols: str) -> int:
    """Collect until a signal asks to stop; stands by while another process holds the lease."""
    _log_to_stderr()
    ending = threading.Event()
    _stop_on_signals(ending)
    from runtime import Runtime

    runtime = Runtime()
    try:
        runtime.switch(source)
        runtime.start(symbols)
        next_s = 0.0
        while not ending.is_set():
            if time.monotonic() >= next_s:
                next_s = time.monotonic() + _STATUS_S
                _print_runtime(runtime.status())
            # Short waits, because on Windows a signal does not end a long one.
            ending.wait(0.2)
    finally:
        runtime.close()
    log.info("stopped, everything written")
    return 0


def _print_runtime(status: Any) -> None:
    line = status_line(status.health or {"state": status.state, "sentence": status.sentence})
    print(f"role={status.role} {line}", flush=True)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(StructuredFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _stop_on_signals(ending: threading.Event) -> None:
    def stop(number: int, _: object) -> None:
        ending.set()

    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, stop)
    if os.name != "nt":
        # A terminal that is closed asks politely too.
        signal.signal(signal.SIGHUP, stop)
