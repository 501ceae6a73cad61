"""Killed at any moment, twenty times over, the file is sound and the next start fills the hole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collector import BatchTickCollector
from database import Database
from simulator import Clock, Exchange, PlantedMarket
from tests.feed_tools import QUICK, candle_mismatches, stored_rows, tape_rows, wait_until

SYMBOLS = ["btcusdt", "ethusdt"]
ROOT = Path(__file__).parents[1]


class Victims:
    """Starts collectors in processes of their own, to be killed."""

    def __init__(self, path: Path, exchange: Exchange) -> None:
        arguments = [str(path), exchange.ws_url, exchange.rest_url, ",".join(SYMBOLS)]
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.kill_child", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._next() == "ready"

    def _next(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()

    def kill_one_after(self, seconds: float) -> dict[str, int]:
        """Start one, kill it then; the newest ids it had been told are stored."""
        assert self._server.stdin is not None
        self._server.stdin.write("go\n")
        self._server.stdin.flush()
        lines = [self._next()]
        while not lines[-1].startswith("pid "):
            lines.append(self._next())
        time.sleep(seconds)
        # Windows has no SIGKILL; there SIGTERM is TerminateProcess, which is as sudden.
        os.kill(int(lines.pop()[4:]), getattr(signal, "SIGKILL", signal.SIGTERM))
        while lines[-1:] != ["gone"]:
            lines.append(self._next())
        acknowledged: dict[str, int] = {}
        for symbol, number in (line.split() for line in lines[:-1]):
            acknowledged[symbol] = max(acknowledged.get(symbol, 0), int(number))
        return acknowledged

    def close(self) -> None:
        """End the process that starts them."""
        self._server.communicate()


def check(path: Path, exchange: Exchange, acknowledged: dict[str, int]) -> int:
    """The file opens clean, holds what was acknowledged, and its candles equal its ticks."""
    total = 0
    with Database(path) as database:
        with database.snapshot() as snapshot:
            assert snapshot._con.execute("PRAGMA quick_check").fetchone() == ("ok",)
        for symbol in SYMBOLS:
            rows = stored_rows(database, symbol)
            total += len(rows)
            if symbol in acknowledged:
                assert rows[-1][0] >= acknowledged[symbol], f"{symbol}: an acknowledged id is gone"
            if rows:
                traded = tape_rows(exchange.tape.trades(symbol, rows[0][0], rows[-1][0] + 1))
                truth = {row[0]: row for row in traded}
                assert all(truth[row[0]] == row for row in rows)
                _, wrong = candle_mismatches(database, symbol, rows)
                assert not wrong, wrong[:3]
    return total


@pytest.mark.parametrize("kills", [20, pytest.param(100, marks=pytest.mark.nightly)])
def test_killed_at_any_moment_the_file_is_sound_and_the_next_start_repairs_it(
    tmp_path: Path, kills: int
) -> None:
    rng, path = random.Random(11), tmp_path / "killed.db"
    market = PlantedMarket(clock=Clock(speed=4.0))
    with Exchange(market) as exchange:
        victims, told = Victims(path, exchange), 0
        for _ in range(kills):
            acknowledged = victims.kill_one_after(rng.uniform(0.05, 1.0))
            told += bool(acknowledged)
            check(path, exchange, acknowledged)
        victims.close()
        with Database(path) as database:
            collector = BatchTickCollector(
                database,
                ws_base=exchange.ws_url,
                rest_base=exchange.rest_url,
                backfill_minutes=1,
                clock=market.now_ms,
                deadlines=QUICK,
            )
            collector.start(SYMBOLS)

            def whole() -> bool:
                with database.snapshot() as snapshot:
                    ends = [
                        (s, snapshot.first_print(s)[0], snapshot.last_print(s)[0]) for s in SYMBOLS
                    ]
                    return not snapshot.gaps(state="open") and all(
                        first is not None
                        and last is not None
                        and not snapshot.missing_ranges(s, first, last)
                        for s, first, last in ends
                    )

            wait_until(lambda: collector.health()["ticks"] > 50, 15, "trades flow")
            wait_until(whole, 30, "every hole is filled")
            collector.stop()
        total = check(path, exchange, {})
    print(f"{kills} kills, {told} of them after something was stored; {total} ticks, all there")
    assert told >= kills // 4
