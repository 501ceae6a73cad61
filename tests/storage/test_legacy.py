"""Files of the earlier version: copied, brought up to date once, and never half of it."""

import os
import random
import sqlite3
import time
from datetime import datetime

import pytest

import storage.legacy
from candles import timeframe_ms
from database import Database
from storage.legacy import LocalTimes
from ticks import Tick, TickBatch

START_MS = 1_723_161_300_000
NOT_WINDOWS = pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs a settable time zone")


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    if hasattr(time, "tzset"):
        monkeypatch.setenv("TZ", "Europe/Berlin")
        time.tzset()
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


def naive(time_ms):
    return datetime.fromtimestamp(time_ms / 1000).isoformat()


def earlier_file(path, prints, candles=(), timeframe_column=True):
    con = sqlite3.connect(path)
    con.execute(
        "CREATE TABLE ticks (id INTEGER PRIMARY KEY AUTOINCREMENT, symbol TEXT, timestamp TEXT, "
        "price REAL, size REAL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
    )
    con.execute("CREATE INDEX idx_ticks ON ticks (symbol, timestamp)")
    label = "timeframe TEXT, " if timeframe_column else ""
    con.execute(
        f"CREATE TABLE ohlc_data (id INTEGER PRIMARY KEY, symbol TEXT, timestamp TEXT, {label}"
        "open REAL, high REAL, low REAL, close REAL, volume REAL)"
    )
    con.execute("CREATE TABLE notes (text TEXT)")
    con.execute("INSERT INTO notes VALUES ('mine')")
    con.executemany(
        "INSERT INTO ticks (symbol, timestamp, price, size) VALUES (?, ?, ?, ?)", prints
    )
    marks = ", ".join("?" * (8 if timeframe_column else 7))
    label = "timeframe, " if timeframe_column else ""
    columns = f"symbol, timestamp, {label}open, high, low, close, volume"
    con.executemany(f"INSERT INTO ohlc_data ({columns}) VALUES ({marks})", candles)
    con.commit()
    con.close()


def a_market(n=1500, seed=1, pairs=0.06):
    """Prints as a market makes them: now and then two that are equal."""
    rng, prints, time_ms = random.Random(seed), [], START_MS
    for _ in range(n):
        time_ms += rng.choice([0, 50, 100, 200])
        row = (
            "BTCUSDT",
            naive(time_ms),
            rng.randint(60_000, 60_100) / 1.0,
            rng.randint(1, 50) / 10,
        )
        prints += [row, row] if rng.random() < pairs else [row]
    return prints


def stored(db):
    with db.snapshot() as snapshot:
        frame = snapshot.ticks("btcusdt", limit=10**6)
    rows = zip(frame["timestamp"], frame["price"], frame["size"], strict=True)
    return sorted(rows)


def expected(prints):
    to_ms = LocalTimes()
    return sorted((Tick("btcusdt", to_ms(t), p, s).timestamp, p, s) for _, t, p, s in prints)


@pytest.mark.parametrize("doubling", ["none", "at once", "by another writer", "half of the time"])
def test_doubled_rows_become_one_and_genuine_pairs_stay_two(
    tmp_path, doubling, assert_candles_equal_ticks
):
    path = tmp_path / "a.db"
    prints = a_market()
    if doubling == "at once":
        rows = [row for row in prints for _ in range(2)]
    elif doubling == "by another writer":
        rows = sorted(prints + prints, key=lambda row: row[1])
    elif doubling == "half of the time":
        half = prints[700][1][:16]
        rows = [row for row in prints for _ in range(2 if row[1][:16] < half else 1)]
    else:
        rows = prints
    earlier_file(path, rows)
    with Database(path) as db:
        assert stored(db) == expected(prints)
        assert_candles_equal_ticks(db)
        with db.snapshot() as snapshot:
            report = snapshot.get("migration", "report")[0]
            assert report["rows"] == len(rows)
            assert report["ticks"] == len(prints)
            assert report["doubles"] == len(rows) - len(prints)
            assert [s.print_kind for s in snapshot.symbols()] == ["made"]


def test_the_file_as_it_was_is_kept_beside_it_and_the_new_one_shrinks(tmp_path):
    path = tmp_path / "crypto_ticks.db"
    prints = a_market(300)
    earlier_file(path, [r for r in prints for _ in range(2)])
    Database(path).close()
    (copy,) = tmp_path.glob("crypto_ticks.db.backup-*")
    con = sqlite3.connect(copy)
    assert con.execute("SELECT count(*) FROM ticks").fetchone()[0] == 2 * len(prints)
    con.close()
    con = sqlite3.connect(path)
    assert con.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert con.execute("PRAGMA freelist_count").fetchone() == (0,)
    assert con.execute("SELECT text FROM notes").fetchone() == ("mine",)
    names = {row[0] for row in con.execute("SELECT name FROM sqlite_master")}
    assert not [n for n in names if n.startswith("earlier")]
    con.close()
    Database(path).close()
    assert len(list(tmp_path.glob("*.backup-*"))) == 1


def test_an_interrupted_migration_leaves_the_earlier_file_usable(tmp_path, monkeypatch):
    path = tmp_path / "a.db"
    prints = a_market(300)
    earlier_file(path, prints)

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(storage.legacy, "_move_candles", fail)
        with pytest.raises(KeyboardInterrupt):
            Database(path)
    con = sqlite3.connect(path)
    assert con.execute("SELECT count(*) FROM ticks").fetchone()[0] == len(prints)
    assert con.execute("PRAGMA user_version").fetchone() == (0,)
    con.close()
    with Database(path) as db:
        assert stored(db) == expected(prints)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork to die in the middle")
def test_a_process_that_dies_in_the_middle_leaves_the_earlier_file_usable(tmp_path):
    path = tmp_path / "a.db"
    prints = a_market(300)
    earlier_file(path, prints)
    child = os.fork()
    if child == 0:
        storage.legacy._move_candles = lambda *_: os._exit(9)
        Database(path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with Database(path) as db:
        assert stored(db) == expected(prints)


def candle(minute, timeframe="1min", price=100.0, length=60_000):
    row = ("btcusdt", naive(START_MS + minute * length), price, price + 1, price - 1, price, 1.0)
    return (*row[:2], timeframe, *row[2:]) if timeframe else row


def opens(db, timeframe):
    with db.snapshot() as snapshot:
        c = snapshot.candle_columns("btcusdt", timeframe, limit=10**6)
    return dict(zip(((c.open_ms - START_MS) // timeframe_ms(timeframe)).tolist(), c.open.tolist(),
                    strict=True))  # fmt: skip


@pytest.mark.parametrize("label", [True, False])
def test_old_candles_stay_where_ticks_do_not_cover_them(tmp_path, label):
    path = tmp_path / "a.db"
    prints = [("btcusdt", naive(START_MS + 130_000 + 1000 * k), 7.0, 1.0) for k in range(60)]
    name = "1m" if label else None
    earlier_file(path, prints, [candle(m, name) for m in range(5)], timeframe_column=label)
    with Database(path) as db:
        assert opens(db, "1min") == {0: 100.0, 1: 100.0, 2: 100.0, 3: 7.0, 4: 100.0}
        with db.snapshot() as snapshot:
            assert snapshot.get("migration", "report")[0]["candles"] == 5


def test_candles_of_several_timeframes_without_a_label_are_not_guessed(tmp_path):
    path = tmp_path / "a.db"
    rows = [candle(m, None) for m in range(10)] + [candle(0, None), candle(5, None)]
    earlier_file(path, [], rows, timeframe_column=False)
    with Database(path) as db:
        assert opens(db, "1min") == {}


def test_rows_that_are_no_ticks_are_counted(tmp_path):
    path = tmp_path / "a.db"
    bad = [
        ("btcusdt", "yesterday", 1.0, 1.0),
        ("btcusdt", None, 1.0, 1.0),
        ("btcusdt", naive(START_MS), -1.0, 1.0),
        ("btcusdt", naive(START_MS), None, 1.0),
        (None, naive(START_MS), 1.0, 1.0),
    ]
    earlier_file(path, [*bad, (" BTCusdt ", naive(START_MS), 1.0, 2.0)])
    with Database(path) as db:
        assert stored(db) == [("2024-08-08T23:55:00.000Z", 1.0, 2.0)]
        with db.snapshot() as snapshot:
            assert sum(snapshot.get("migration", "report")[0]["refused"].values()) == 5


@NOT_WINDOWS
@pytest.mark.parametrize(
    ("local", "written", "expected_ms"),
    [
        ("2024-08-09T01:55:00", None, START_MS),
        ("2024-08-09 01:55:00.500", None, START_MS + 500),
        ("2024-08-08T23:55:00+00:00", None, START_MS),
        ("2024-12-01T12:00:00", None, 1733050800000),
        # The clock goes back from 3 to 2 at 01:00 UTC.
        ("2024-10-27T02:30:00", None, 1729989000000),
        ("2024-10-27T02:30:00", "2024-10-27 00:30:01", 1729989000000),
        ("2024-10-27T02:30:00", "2024-10-27 01:30:01", 1729992600000),
        ("nonsense", None, None),
        (1723161300, None, START_MS),
        (START_MS, None, START_MS),
    ],
)
def test_local_times_become_utc(local, written, expected_ms):
    assert LocalTimes()(local, written) == expected_ms


def test_the_live_market_goes_on_from_a_migrated_file(tmp_path, assert_candles_equal_ticks):
    path = tmp_path / "a.db"
    earlier_file(path, [("btcusdt", naive(START_MS + 1000 * k), 7.0, 1.0) for k in range(50)])
    last_ms = START_MS + 49_000
    with Database(path) as db:
        times = [last_ms - 5, last_ms, last_ms + 1, last_ms + 900]
        live = TickBatch("aggTrade", ["btcusdt"] * 4, times, [8.0] * 4, [1.0] * 4, [1, 2, 3, 4],
                         [None] * 4)  # fmt: skip
        written = db.write(live)
        assert (written.inserted, written.below_low_water) == (2, 2)
        late = TickBatch("aggTrade", ["btcusdt"], [last_ms + 500], [9.0], [1.0], [5], [None])
        assert db.write(late).inserted == 1
        assert_candles_equal_ticks(db)
        with db.snapshot() as snapshot:
            assert snapshot.first_print("btcusdt")[1] == START_MS
            assert snapshot.last_print("btcusdt") == (5, last_ms + 500)
            assert len(snapshot.ticks("btcusdt", start_ms=last_ms, limit=10)) == 4
            assert snapshot.recent_ticks("btcusdt", 0)["timestamp"].is_monotonic_increasing
            assert len(snapshot.recent_ticks("btcusdt", 0, limit=5)) == 5
        while db.prune(START_MS + 600_000, limit=20):
            pass
        with db.snapshot() as snapshot:
            assert snapshot.count("ticks") == 0
