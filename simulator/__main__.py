"""``python -m simulator``: an exchange on loopback, for as long as you like."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from errors import PlatformError
from simulator.market import Clock, PlantedMarket
from simulator.prices import PlantedTape
from simulator.replay import Replay
from simulator.server import Exchange
from simulator.tape import Market


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m simulator",
        description="An exchange look-alike on this machine. Its prices are made up.",
    )
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    p.add_argument("--port", type=int, default=9443, help="port; 0 takes a free one (9443)")
    p.add_argument("--seed", type=int, default=4, help="seed of the planted market (4)")
    p.add_argument("--rate", type=float, default=1.0, help="multiplies all trade rates (1)")
    p.add_argument(
        "--speed", default="1", help="market seconds a second, or 'max' for a replay (1)"
    )
    p.add_argument("--start", help="ISO time at which the planted market's clock starts (now)")
    p.add_argument("--replay", nargs="?", const="", help="play a recording: file or folder")
    p.add_argument("--weight", type=int, default=2400, help="REST weight a minute (2400)")
    return p


def market(options: argparse.Namespace) -> Market:
    """The market that the options describe."""
    if options.replay is not None:
        path = Path(options.replay) if options.replay else None
        return Replay(path, None if options.speed == "max" else float(options.speed))
    start = None
    if options.start:
        moment = datetime.fromisoformat(options.start)
        if moment.tzinfo is None:
            raise ValueError("--start needs a zone, e.g. 2026-06-01T12:00:00Z.")
        start = moment.timestamp() * 1000.0
    tape = PlantedTape(options.seed, rate_factor=options.rate)
    return PlantedMarket(tape, Clock(speed=float(options.speed), start_ms=start))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until interrupted; 0, or 2 where the options make no sense."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        exchange = Exchange(
            market(options), options.host, options.port, weight_a_minute=options.weight
        ).start()
    except (PlatformError, ValueError, OSError) as problem:
        print(f"The simulator cannot start: {problem}", file=sys.stderr)
        return 2
    print(f"BINANCE_WS_URL={exchange.ws_url} BINANCE_REST_URL={exchange.rest_url}", flush=True)
    halt = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: halt.set())
    while not halt.wait(0.5) and exchange.running:
        pass
    exchange.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
