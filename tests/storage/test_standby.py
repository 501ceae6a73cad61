"""Two collectors on one PostgreSQL: one dies, the other goes on, and the seam is filled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from database import Database
from storage import address
from tests.feed_tools import wait_until
from tests.postgres_server import PostgresServer

ROOT = Path(__file__).parents[2]
SYMBOLS = ("btcusdt", "ethusdt")
TAKEOVER_S = 15.0


class Collector:
    """``python -m collector`` in a process of its own, as on another host."""

    def __init__(self, url: str) -> None:
        environment = {**os.environ, "DATABASE_URL": url, "BACKFILL_MINUTES": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "collector", "--source", "demo", "--symbols", ",".join(SYMBOLS)],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def wait_until_it_stands_by(self) -> None:
        """Read what it prints until it says that another holds the feed."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("role=viewer"):
                return
        raise AssertionError("it ended")

    def end(self) -> None:
        """SIGTERM, and wait."""
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture
def demo(postgres: PostgresServer) -> Iterator[tuple[str, Database]]:
    """The address that collectors are given, and what they write to."""
    url = postgres.new_schema()
    with Database(address.beside(url, "demo")) as database:
        yield url, database


def holder(database: Database) -> str | None:
    with database.snapshot() as snapshot:
        held = snapshot.lease("collector")
    return held.holder if held else None


def stored(database: Database) -> int:
    with database.snapshot() as snapshot:
        return snapshot.highest_row()


def is_whole(database: Database) -> bool:
    """Whether no id is missing from the first to the last of each symbol, and no gap is open."""
    with database.snapshot() as snapshot:
        for symbol in SYMBOLS:
            first, last = snapshot.first_print(symbol)[0], snapshot.last_print(symbol)[0]
            if first is None or last is None or snapshot.missing_ranges(symbol, first, last):
                return False
        return not snapshot.gaps(state="open")


@pytest.mark.skipif(os.name == "nt", reason="only on POSIX is there a kill -9")
def test_a_standby_takes_over_within_fifteen_seconds_and_the_seam_is_filled(
    demo: tuple[str, Database], assert_candles_equal_ticks
) -> None:
    url, database = demo
    one = Collector(url)
    wait_until(lambda: stored(database) > 200, 90, "the first collects")
    other = Collector(url)
    try:
        other.wait_until_it_stands_by()
        first = holder(database)
        one.process.send_signal(signal.SIGKILL)
        one.process.communicate()
        begun, before = time.monotonic(), stored(database)
        wait_until(lambda: holder(database) != first, TAKEOVER_S, "the standby has the lease")
        wait_until(lambda: stored(database) > before, TAKEOVER_S, "the standby writes")
        took_s = time.monotonic() - begun
        assert took_s < TAKEOVER_S
        wait_until(lambda: is_whole(database), 60, "the seam is filled")
        with database.snapshot() as snapshot:
            assert [g for g in snapshot.gaps(state="filled") if g.reason == "not collecting"]
    finally:
        other.end()
    print(f"the standby wrote {took_s:.1f} s after the kill")
    assert holder(database) is None
    assert_candles_equal_ticks(database)
