"""Readers hear of what was written, whoever wrote it, and one id is one tick on any day."""

import threading
import time

from database import Database
from ticks import TickBatch

START_MS = 1_723_161_256_000
DAY_MS = 86_400_000


def one(trade_id, time_ms=START_MS):
    return TickBatch("aggTrade", ["btcusdt"], [time_ms], [1.0], [1.0], [trade_id], [None])


def test_a_reader_hears_of_a_write_of_another(db, place, engine_name):
    with Database(place, read_only=True) as reader:
        seen = reader.wait_for_change(-1, 5.0)
        assert reader.wait_for_change(seen, 0.05) == seen
        heard = []

        def listen():
            heard.append((reader.wait_for_change(seen, 10.0), time.monotonic()))

        listener = threading.Thread(target=listen)
        listener.start()
        time.sleep(0.3)
        db.write(one(1))
        written = time.monotonic()
        listener.join()
        version, at = heard[0]
        assert version == seen + 1
        assert at - written < (0.2 if engine_name == "postgresql" else 0.5)
        # What was written before one asks is told at once.
        db.write(one(2))
        assert reader.wait_for_change(version, 5.0) == version + 1


def test_waiting_ends_when_the_database_is_closed(db, place):
    reader = Database(place, read_only=True)
    seen = reader.wait_for_change(-1, 1.0)
    listener = threading.Thread(target=lambda: reader.wait_for_change(seen, 60.0))
    listener.start()
    time.sleep(0.2)
    begun = time.monotonic()
    reader.close()
    listener.join(5)
    assert not listener.is_alive()
    assert time.monotonic() - begun < 3


def test_an_id_that_comes_again_at_another_time_changes_nothing(db):
    assert db.write(one(5)).inserted == 1
    for time_ms in (START_MS + 1, START_MS + DAY_MS, START_MS - DAY_MS):
        assert db.write(one(5, time_ms)).duplicates == 1
    assert db.write(one(6, START_MS + DAY_MS)).inserted == 1
    assert db.write(one(5, START_MS + DAY_MS)).duplicates == 1
    with db.snapshot() as snapshot:
        assert snapshot.ticks()["id"].tolist() == [2, 1]
