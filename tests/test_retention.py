"""Old ticks go in small steps, candles stay, and the file really becomes smaller."""

import threading
import time

import pytest

import retention
from database import Database
from errors import ReadOnlyDatabase
from retention import Retention
from ticks import TickBatch

START_MS = 1_723_161_300_000
HOUR_MS = 3_600_000


def batch(first, n, step_ms=100, symbol="btcusdt"):
    return TickBatch(
        "aggTrade",
        [symbol] * n,
        [START_MS + step_ms * i for i in range(first, first + n)],
        [100.0 + i % 5 for i in range(n)],
        [1.0] * n,
        list(range(first, first + n)),
        [None] * n,
    )


@pytest.fixture
def db(place):
    with Database(place) as opened:
        for first in range(0, 60_000, 10_000):
            opened.write(batch(first, 10_000))
        yield opened


def test_old_ticks_go_candles_stay_and_the_file_shrinks(db, engine_name):
    db.checkpoint()
    large = db.sizes().data
    with db.snapshot() as snapshot:
        before = snapshot.candle_columns("btcusdt", "1s", limit=10**6).volume.tolist()
    worker = Retention(db, hours=1, pause_s=0)
    now_ms = START_MS + HOUR_MS + 5_000_000
    pruned = worker.run_once(now_ms)
    with db.snapshot() as snapshot:
        kept = snapshot.count("ticks")
        assert snapshot.first_print("btcusdt")[1] == START_MS + 4_800_000
        assert snapshot.candle_columns("btcusdt", "1s", limit=10**6).volume.tolist() == before
    assert pruned.deleted == 60_000 - kept == 48_000
    assert pruned.finished
    assert pruned.free_pages <= 256
    if engine_name == "sqlite":  # PostgreSQL's file of a day goes with the day
        assert db.sizes().data < 0.75 * large
    assert worker.run_once(now_ms).deleted == 0


def test_a_run_with_nothing_to_do_changes_nothing(db):
    with db.snapshot() as snapshot:
        version = snapshot.version
    assert Retention(db, hours=1).run_once(START_MS).deleted == 0
    with db.snapshot() as snapshot:
        assert snapshot.version == version
    older = TickBatch("aggTrade", ["btcusdt"], [START_MS - 1000], [1.0], [1.0], [-0], [None])
    assert db.write(older).below_low_water == 0


def test_writers_get_their_turn_between_the_steps(db):
    worker = Retention(db, hours=1, pause_s=0.02)
    thread = threading.Thread(target=worker.run_once, args=(START_MS + HOUR_MS + 5_000_000,))
    thread.start()
    waits, first = [], 60_000
    while thread.is_alive():
        begun = time.monotonic()
        assert db.write(batch(first, 100)).inserted == 100
        waits.append(time.monotonic() - begun)
        first += 100
    thread.join()
    assert len(waits) > 5
    assert max(waits) < 2.0


def test_every_symbol_has_its_turn_and_no_step_is_large(db, monkeypatch, engine_name):
    monkeypatch.setattr(retention, "_STEP_TICKS", 3_000)
    db.write(batch(0, 4_000, symbol="ethusdt"))
    steps = []
    prune = db.prune
    monkeypatch.setattr(db, "prune", lambda *a, **k: steps.append(prune(*a, **k)) or steps[-1])
    Retention(db, hours=1, pause_s=0).run_once(START_MS + 10 * HOUR_MS)
    # PostgreSQL drops the five minutes before midnight as the whole day that they are.
    assert steps[0] == (3_000 if engine_name == "sqlite" else 6_000)
    assert max(steps[1:]) <= 3_000
    with db.snapshot() as snapshot:
        assert snapshot.count("ticks") == 0


def test_the_thread_runs_and_stops_at_once(db):
    worker = Retention(db, hours=1, pause_s=0)
    worker.start(lambda: START_MS + 10 * HOUR_MS)
    worker.start(lambda: START_MS)
    deadline = time.monotonic() + 30
    while worker.last is None and time.monotonic() < deadline:
        time.sleep(0.01)
    begun = time.monotonic()
    worker.stop()
    assert time.monotonic() - begun < 1
    assert worker.last.deleted == 60_000


def test_the_thread_survives_a_database_that_cannot_be_written(tmp_path, caplog):
    path = tmp_path / "a.db"
    Database(path).close()
    with Database(path, read_only=True) as db:
        worker = Retention(db, hours=1)
        with pytest.raises(ReadOnlyDatabase):
            worker.run_once(START_MS)
        worker.start(lambda: START_MS)
        deadline = time.monotonic() + 10
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
        assert worker._thread.is_alive()
        worker.stop()
    assert "open for reading only" in caplog.text
