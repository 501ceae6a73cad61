"""The door to SQLite: what it refuses, what it survives, and that reads are of one moment."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

import database
from database import Database, Gap
from errors import (
    DatabaseBusy,
    DatabaseError,
    NewerSchema,
    NotADatabase,
    ReadOnlyDatabase,
)
from storage import lease as lease_module
from storage import sqlite_engine
from tests.batches import START_MS, batch
from ticks import TickBatch, iso_utc

ROOT = Path(database.__file__).parent


@pytest.fixture
def file(tmp_path):
    with Database(tmp_path / "a.db") as opened:
        yield opened


# -- files that are not ours -----------------------------------------------------------------


def refused(path, error, match):
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(error, match=match):
            Database(path, read_only=read_only)
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


def test_a_file_that_is_not_sqlite_is_refused_untouched(tmp_path):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(b"\xff\xd8" + bytes(range(256)) * 40)
    refused(path, NotADatabase, "is not a SQLite database. It was not touched")


def test_a_database_of_another_program_is_refused_untouched(tmp_path):
    path = tmp_path / "places.sqlite"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE bookmarks (url TEXT)")
    con.close()
    refused(path, NotADatabase, "of another program")


def test_a_newer_schema_is_refused_untouched(tmp_path):
    path = tmp_path / "a.db"
    Database(path).close()
    con = sqlite3.connect(path)
    con.execute("PRAGMA user_version = 99")
    con.close()
    refused(path, NewerSchema, "schema 99; this one knows up to 2")


def test_a_folder_is_no_database(tmp_path):
    for read_only in (False, True):
        with pytest.raises(NotADatabase, match="is not a file"):
            Database(tmp_path, read_only=read_only)


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(DatabaseError, match="The folder of .* does not exist"):
        Database(tmp_path / "no" / "a.db")


def test_a_damaged_file_is_said(tmp_path):
    path = tmp_path / "a.db"
    with Database(path) as db:
        db.write(batch(range(1, 3000)))
    body = bytearray(path.read_bytes())
    body[4096:] = os.urandom(len(body) - 4096)
    path.write_bytes(body)
    with pytest.raises(DatabaseError), Database(path) as db, db.snapshot() as snapshot:
        snapshot.count("ticks")


def test_reading_a_file_that_is_not_there_is_said_and_makes_none(tmp_path):
    with pytest.raises(DatabaseError, match="nothing can be read"):
        Database(tmp_path / "a.db", read_only=True)
    assert not list(tmp_path.iterdir())


_OPEN = "from database import Database; Database({!r})"
_OPEN_AS_NOBODY = """
import os
from database import Database
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
Database({!r})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions; Windows has the attribute")
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_cannot_be_written_is_refused_untouched(which):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "a.db"
        with Database(path) as db:
            db.write(batch(range(1, 10)))
        before = path.read_bytes()
        path.chmod(0o444 if which == "file" else 0o666)
        folder.chmod(0o777 if which == "file" else 0o555)
        done = subprocess.run(
            [sys.executable, "-c", _OPEN_AS_NOBODY.format(str(path))],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert "ReadOnlyDatabase" in done.stderr, done.stderr
        assert "cannot be written" in done.stderr
        assert path.read_bytes() == before
        folder.chmod(0o777)


def test_an_empty_file_becomes_a_database_that_can_shrink(tmp_path):
    path = tmp_path / "a b#?%.db"
    path.touch()
    with Database(path) as db:
        db.write(batch(range(1, 5)))
        assert db.sizes()[0] > 0
    con = sqlite3.connect(path)
    assert con.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert con.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    con.close()


def test_many_processes_may_open_one_new_file_at_once(tmp_path):
    code = _OPEN.format(str(tmp_path / "a.db"))
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        assert process.communicate(timeout=250)[1] == b""


# -- others at the same file -----------------------------------------------------------------


def test_two_doors_to_one_file_do_not_trust_a_stale_memory(place):
    with Database(place) as one, Database(place) as two:
        one.write(batch([100, 101]))
        two.write(batch([200, 201], start_ms=START_MS + 100_000))
        # By its own memory the first would take these for the newest and let the close move.
        one.write(batch([150, 151], start_ms=START_MS + 100_000 - 500))
        two.write(batch([202], start_ms=START_MS + 101_000))
        with one.snapshot() as snapshot:
            minute = snapshot.candle_columns("btcusdt", "5min")
            assert minute.close[-1] == 100.0 + 202 % 7
        while two.prune(START_MS + 10_000_000):
            pass
        assert one.write(batch([300], start_ms=START_MS)).below_low_water == 1


def test_a_lock_held_elsewhere_is_said_and_leaves_nothing_half_done(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_engine, "_BUSY_MS", 50)
    path = tmp_path / "a.db"
    with Database(path) as db:
        db.write(batch([1, 2]))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy, match="locked by another program"):
            db.write(batch([3, 4]))
        other.execute("ROLLBACK")
        other.close()
        assert db.write(batch([3, 4])).inserted == 2


def test_a_full_disk_is_said_and_writing_goes_on_when_there_is_room(file):
    db = file
    db.write(batch(range(1, 100)))
    pages = db._writer.execute("PRAGMA page_count").fetchone()[0]
    db._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(DatabaseBusy, match="cannot grow"):
        db.write(batch(range(100, 20_000)))
    with db.snapshot() as snapshot:
        assert snapshot.count("ticks") == 99
        assert snapshot.candle_columns("btcusdt", "5min").volume.sum() == 99
    db._writer.execute("PRAGMA max_page_count = 1000000")
    assert db.write(batch(range(100, 20_000))).inserted == 19_900
    with db.snapshot() as snapshot:
        assert snapshot.candle_columns("btcusdt", "5min").volume.sum() == 19_999


def test_reads_are_of_one_moment_while_another_thread_writes(place):
    stop = threading.Event()
    with Database(place) as db:
        db.write(batch(range(1, 11)))

        def write():
            for first in range(11, 100_000, 10):
                if stop.is_set():
                    return
                db.write(batch(range(first, first + 10), start_ms=START_MS + first * 1000))

        writer = threading.Thread(target=write)
        writer.start()
        seen = set()
        for _ in range(60):
            with db.snapshot() as snapshot:
                ticks = snapshot.count("ticks")
                for timeframe in ("1s", "5min"):
                    volume = snapshot.candle_columns("btcusdt", timeframe, limit=10**6).volume
                    assert volume.sum() == ticks
                assert snapshot.last_print("btcusdt")[0] == ticks
                seen.add((snapshot.version, ticks))
        stop.set()
        writer.join()
        assert len({version for version, _ in seen}) == len({ticks for _, ticks in seen})
        assert len(seen) > 1


def test_a_failure_inside_a_transaction_leaves_nothing(db):
    def fail():
        with db.transaction(data=True) as con:
            con.execute("INSERT INTO symbols (symbol, print_kind) VALUES ('x', 'trade')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with db.snapshot() as snapshot:
        assert snapshot.symbols() == []
        assert snapshot.version == 0


def test_a_number_too_large_is_said_and_leaves_nothing(db):
    with pytest.raises(DatabaseError, match="too large"):
        db.write(batch([1, 2**64]))
    assert db.write(batch([1, 2])).inserted == 2


def test_the_version_rises_with_market_data_alone(db):
    db.put("health", "feed", {"state": "live"})
    db.acquire_lease("feed", "a", "A")
    with db.snapshot() as snapshot:
        assert snapshot.version == 0
    db.write(batch([1]))
    with db.snapshot() as snapshot:
        assert snapshot.version == 1


def test_a_database_for_reading_sees_what_is_written_and_writes_nothing(place):
    with Database(place) as db, Database(place, read_only=True) as reader:
        db.write(batch([1, 2, 3]))
        with reader.snapshot() as snapshot:
            assert snapshot.count("ticks") == 3
        with pytest.raises(ReadOnlyDatabase):
            reader.put("a", "b", 1)


# -- lease, facts, commands ------------------------------------------------------------------


def test_a_lease_has_one_holder_and_is_free_ten_seconds_after_its_last_beat(db, monkeypatch):
    now = [1_000_000]
    monkeypatch.setattr(db._engine, "now_ms", lambda con: now[0])
    assert db.acquire_lease("feed", "one", "dashboard")
    assert not db.acquire_lease("feed", "two", "headless")
    now[0] += lease_module.EXPIRY_MS - 1
    assert not db.acquire_lease("feed", "two", "headless")
    assert db.acquire_lease("feed", "one", "dashboard")
    now[0] += lease_module.EXPIRY_MS
    assert db.acquire_lease("feed", "two", "headless")
    assert not db.acquire_lease("feed", "one", "dashboard")
    with db.snapshot() as snapshot:
        held = snapshot.lease("feed")
        assert (held.holder, held.acquired_ms) == ("two", now[0])
    db.release_lease("feed", "one")
    assert not db.acquire_lease("feed", "one", "dashboard")
    db.release_lease("feed", "two")
    assert db.acquire_lease("feed", "one", "dashboard")


def test_a_clock_set_back_does_not_keep_a_dead_lease_alive(db, monkeypatch):
    now = [10_000_000]
    monkeypatch.setattr(db._engine, "now_ms", lambda con: now[0])
    assert db.acquire_lease("feed", "one", "dashboard")
    now[0] -= 3_600_000
    assert db.acquire_lease("feed", "two", "headless")


def test_facts_and_commands_come_back_as_they_went_in(db):
    db.put_all("setting", {"b": [1, None, "ü"], "a": {"x": 0.1}})
    db.put("setting", "b", 2)
    number = db.ask("order", {"side": "LONG"})
    with db.snapshot() as snapshot:
        assert snapshot.all_of("setting") == {"a": {"x": 0.1}, "b": 2}
        assert snapshot.get("setting", "none") is None
        assert [(c.id, c.kind, c.body) for c in snapshot.commands()] == [
            (number, "order", {"side": "LONG"})
        ]
        assert snapshot.answered(number) is None
    db.answer(number, {"filled": True})
    db.drop("setting", "a")
    with db.snapshot() as snapshot:
        assert snapshot.commands() == []
        assert snapshot.answered(number) == {"filled": True}
        assert snapshot.get("setting", "a") is None


# -- gaps ------------------------------------------------------------------------------------


def gap(first, last, start_s, end_s, symbol="btcusdt"):
    return Gap(symbol, first, last, START_MS + start_s * 1000, START_MS + end_s * 1000, "lost")


def test_gaps_are_written_with_the_ticks_that_revealed_them_and_only_once(db):
    hole = gap(2, 4, 1, 5)
    assert hole.size == 3
    db.write(batch([1, 5]), [hole])
    db.record_gaps([hole])
    with db.snapshot() as snapshot:
        (found,) = snapshot.gaps(state="open")
        assert (found.first_id, found.last_id, found.reason) == (2, 4, "lost")
        assert snapshot.missing_ranges("btcusdt", 1, 6) == [(2, 4), (6, 6)]
    db.explain_gap(found.id, "older than 48 hours")
    db.close_gap(found.id, "confirmed_absent", "the exchange has none")
    with db.snapshot() as snapshot:
        assert snapshot.gaps(state="open") == []
        (closed,) = snapshot.gaps(symbol="btcusdt")
        assert closed.state == "confirmed_absent"
        assert closed.closed_ms >= closed.found_ms


def test_open_spans_are_clipped_and_merged_and_coverage_counts_them_out(db):
    db.write(batch([0, 100]))
    db.record_gaps([gap(10, 20, 10, 20), gap(20, 30, 15, 30), gap(60, 70, 60, 70)])
    with db.snapshot() as snapshot:
        seconds = [
            ((a - START_MS) // 1000, (b - START_MS) // 1000)
            for a, b in snapshot.open_spans("btcusdt", START_MS + 12_000, START_MS + 65_000)
        ]
        assert seconds == [(12, 30), (60, 65)]
        whole = snapshot.coverage("btcusdt", START_MS, START_MS + 100_000)
        assert whole == pytest.approx(0.7)
        assert snapshot.coverage("btcusdt", START_MS - 100_000, START_MS) == 0.0
        assert snapshot.coverage("btcusdt", START_MS, START_MS) is None
        assert snapshot.coverage("ethusdt", START_MS, START_MS + 1) is None
    for found_id in (1, 2, 3):
        db.close_gap(found_id, "filled", "")
    with db.snapshot() as snapshot:
        assert snapshot.coverage("btcusdt", START_MS, START_MS + 200_000) == pytest.approx(0.5)


# -- reading ticks ---------------------------------------------------------------------------


@pytest.fixture
def mixed(db):
    return fill(db)


def fill(db):
    made = TickBatch(
        "made",
        ["gold"] * 50,
        [START_MS + 2000 * k for k in range(50)],
        [5.0] * 50,
        [1.0] * 50,
        [-1 - (k * 7919) % 1009 for k in range(50)],
        [None] * 50,
    )
    db.write(batch(range(500, 600)))
    db.write(made)
    db.write(batch(range(700, 800), symbol="ethusdt", start_ms=START_MS + 50))
    db.write(batch(range(400, 500), start_ms=START_MS - 100_000))
    return db


def test_pages_of_ticks_give_each_tick_of_the_filter_once(mixed):
    windows = [(None, None), (0, None), (None, 40_000), (-30_000, 20_000)]
    for symbol in (None, "btcusdt", "gold", "ethusdt", "none"):
        for window in windows:
            start, end = (None if w is None else START_MS + w for w in window)
            check_pages(mixed, {"symbol": symbol, "start_ms": start, "end_ms": end})


def check_pages(database, filters):
    symbol, start, end = filters.values()
    with database.snapshot() as snapshot:
        everything = snapshot.ticks(limit=10_000)
        wanted = np.ones(len(everything), dtype=bool)
        times = everything["timestamp"]
        if symbol is not None:
            wanted &= everything["symbol"] == symbol
        if start is not None:
            wanted &= times >= iso_utc(start)
        if end is not None:
            wanted &= times < iso_utc(end)
        pages, before = [], None
        while True:
            page = snapshot.ticks(**filters, limit=7, before_row=before)
            if page.empty:
                break
            pages += page["id"].tolist()
            before = pages[-1]
            if any(value is not None for value in filters.values()):
                assert page["timestamp"].is_monotonic_decreasing
    assert sorted(pages) == sorted(everything["id"][wanted]), filters


def test_no_page_of_ticks_reads_the_whole_table(file):
    mixed, steps = fill(file), [0]

    def count():
        steps[0] += 1
        return 0

    with mixed.transaction() as con:
        con.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n LIMIT 60000) "
            "INSERT INTO ticks (symbol, timestamp, price, size, created_at, trade_id) "
            "SELECT 'solusdt', strftime('%Y-%m-%dT%H:%M:%S.000Z', 1723161256 + i, 'unixepoch'), "
            "1.0, 1.0, '', i FROM n"
        )
        con.execute("INSERT INTO symbols (symbol, print_kind) VALUES ('solusdt', 'aggTrade')")
    with mixed.snapshot() as snapshot:
        snapshot._con.set_progress_handler(count, 1000)
        for symbol in ("btcusdt", "gold", "solusdt", "none", None):
            for start in (None, START_MS, START_MS + 1_000_000):
                for end in (None, START_MS + 10_000, START_MS + 20_000_000):
                    for before in (None, 240, 30_000):
                        steps[0] = 0
                        snapshot.ticks(symbol, start_ms=start, end_ms=end, before_row=before,
                                       limit=50)  # fmt: skip
                        assert steps[0] < 20, (symbol, start, end, before)
        snapshot._con.set_progress_handler(None, 0)


def test_recent_ticks_are_the_newest_in_tape_order(mixed):
    with mixed.snapshot() as snapshot:
        frame = snapshot.recent_ticks("btcusdt", START_MS, limit=10)
        assert len(frame) == 10
        assert frame["timestamp"].is_monotonic_increasing
        assert str(frame["timestamp"].iloc[-1]) == "2024-08-08 23:55:55+00:00"
        assert frame["is_buyer_maker"].isin([0.0, 1.0]).all()
        made = snapshot.recent_ticks("gold", START_MS + 50_000)
        assert len(made) == 25
        assert made["is_buyer_maker"].isna().all()
        assert snapshot.recent_ticks("gold", START_MS + 10**9).empty


def test_the_summary_names_every_symbol_with_its_ends(mixed):
    with mixed.snapshot() as snapshot:
        found = {s.symbol: s for s in snapshot.symbols()}
        assert found["btcusdt"].first_ms == START_MS - 100_000
        assert found["btcusdt"].last_price == 100.0 + 599 % 7
        assert found["gold"].print_kind == "made"
        assert found["gold"].last_ms == START_MS + 98_000
        assert snapshot.candle_symbols() == ["btcusdt", "ethusdt", "gold"]
        assert snapshot.highest_row() == 350


def test_clearing_deletes_market_data_keeps_settings_and_shrinks_what_is_stored(db):
    db.put("setting", "a", 1)
    for first in range(0, 50_000, 5_000):
        db.write(batch(range(first, first + 5_000), start_ms=START_MS + first * 1000))
    db.checkpoint()
    large = db.sizes()[0]
    db.clear()
    assert db.sizes()[0] < large / 10
    with db.snapshot() as snapshot:
        assert snapshot.count("ticks") == snapshot.count("ohlc_data") == 0
        assert snapshot.get("setting", "a")[0] == 1
    assert db.write(batch([1])).inserted == 1
