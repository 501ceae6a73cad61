"""The server is killed, cut off, away for a while: nothing acknowledged goes, nothing doubles."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from binance import Parsed
from collecting.intake import Intake
from database import Database
from errors import DatabaseBusy
from tests.postgres_server import PostgresServer
from ticks import TickBatch

START_MS = 1_723_161_256_000
SYMBOLS = ("btcusdt", "ethusdt", "solusdt")


class Recorder:
    """The recorder's own writer, fed without a pause, and a note of what it acknowledged."""

    def __init__(self, database: Database, rows: int) -> None:
        self.intake = Intake(
            database, "aggTrade", bound=10 * rows, batch_size=rows, interval_s=0.05
        )
        self.acknowledged: list[tuple[str, int]] = []
        self.sent = 0
        self._rows = rows
        self._stop = threading.Event()
        self.intake.on_stored.append(
            lambda batch: self.acknowledged.extend(zip(batch.symbol, batch.trade_id, strict=True))
        )
        self.intake.start()
        self._thread = threading.Thread(target=self._feed)
        self._thread.start()

    def _feed(self) -> None:
        rng = random.Random(1)
        while not self._stop.is_set():
            batch = TickBatch("aggTrade")
            for number in range(self.sent, self.sent + self._rows):
                symbol = SYMBOLS[number % 3]
                row = (
                    symbol,
                    START_MS + 20 * number,
                    100 + rng.random(),
                    rng.random(),
                    number,
                    None,
                )
                for name, value in zip(
                    ("symbol", "time_ms", "price", "size", "trade_id", "is_buyer_maker"),
                    row,
                    strict=True,
                ):
                    getattr(batch, name).append(value)
            assert self.intake.put(Parsed(batch, []), 120.0)
            self.sent += self._rows

    def wait_for(self, more: int, seconds: float = 60.0) -> None:
        """Until so many more prints were acknowledged."""
        wanted, end = len(self.acknowledged) + more, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < end, self.intake.counters.trouble
            time.sleep(0.01)

    def finish(self) -> None:
        """Stop feeding, and wait until everything sent is written."""
        self._stop.set()
        self._thread.join()
        end = time.monotonic() + 60
        while self.intake.depth and time.monotonic() < end:
            time.sleep(0.02)
        self.intake.stop(10.0)


@pytest.fixture
def database(own_postgres: PostgresServer) -> Iterator[Database]:
    with Database(own_postgres.new_schema()) as opened:
        yield opened


def check(database: Database, recorder: Recorder, assert_candles_equal_ticks: object) -> None:
    """All that was sent is there once; what was acknowledged was acknowledged once."""
    with database.snapshot() as snapshot:
        rows = snapshot._con.execute("SELECT symbol, trade_id FROM ticks").fetchall()
    assert len(rows) == len(set(rows)), "a print is stored twice"
    assert set(recorder.acknowledged) <= set(rows), "an acknowledged print is gone"
    assert len(rows) == recorder.sent
    assert_candles_equal_ticks(database)  # type: ignore[operator]


@pytest.mark.parametrize("kills", [2, pytest.param(15, marks=pytest.mark.nightly)])
def test_kill_9_of_the_server_in_mid_copy(
    own_postgres: PostgresServer, database: Database, kills: int, assert_candles_equal_ticks
) -> None:
    recorder, rng = Recorder(database, 4_000), random.Random(kills)
    try:
        for _ in range(kills):
            recorder.wait_for(4_000)
            copying_now(own_postgres)
            time.sleep(rng.uniform(0, 0.01))
            own_postgres.kill()
            with pytest.raises(DatabaseBusy, match="does not answer"), database.snapshot():
                pass
            own_postgres.start()
        recorder.wait_for(4_000)
    finally:
        recorder.finish()
    check(database, recorder, assert_candles_equal_ticks)


def copying_now(server: PostgresServer) -> None:
    """Return while a COPY is under way, or after a second without seeing one."""
    import psycopg

    end = time.monotonic() + 1
    with psycopg.connect(server.url("public"), autocommit=True) as con:
        while time.monotonic() < end:
            if con.execute("SELECT 1 FROM pg_stat_progress_copy").fetchone():
                return


@pytest.mark.parametrize("away_s", [3.0, pytest.param(30.0, marks=pytest.mark.nightly)])
def test_a_server_that_is_away_for_a_while_loses_nothing(
    own_postgres: PostgresServer, database: Database, away_s: float, assert_candles_equal_ticks
) -> None:
    recorder = Recorder(database, 500)
    try:
        recorder.wait_for(1_000)
        own_postgres.kill()
        time.sleep(away_s)
        assert "does not answer" in (recorder.intake.counters.trouble or "")
        assert recorder.intake.depth > 0
        own_postgres.start()
        recorder.wait_for(1_000)
        assert recorder.intake.counters.trouble is None
    finally:
        recorder.finish()
    check(database, recorder, assert_candles_equal_ticks)


def test_connections_that_are_cut_are_made_anew(
    own_postgres: PostgresServer, database: Database, assert_candles_equal_ticks
) -> None:
    recorder = Recorder(database, 500)
    failed = 0
    try:
        for _ in range(15):
            recorder.wait_for(200)
            own_postgres.cut_connections()
            for _ in range(3):
                try:
                    with database.snapshot() as snapshot:
                        assert snapshot.count("ticks") >= 0
                except DatabaseBusy:
                    failed += 1
    finally:
        recorder.finish()
    # An idle reader that was cut is replaced without a word.
    assert failed == 0
    check(database, recorder, assert_candles_equal_ticks)


def test_who_listens_hears_again_after_the_server_was_killed(
    own_postgres: PostgresServer, database: Database
) -> None:
    seen = database.wait_for_change(-1, 1.0)
    own_postgres.kill()
    with pytest.raises(DatabaseBusy):
        database.wait_for_change(seen, 5.0)
    own_postgres.start()
    # The writer sat idle through it all: that its connection is gone is no concern of who writes.
    batch = TickBatch("aggTrade", ["btcusdt"], [START_MS], [1.0], [1.0], [1], [None])
    assert database.write(batch).inserted == 1
    assert database.wait_for_change(seen, 5.0) == seen + 1
