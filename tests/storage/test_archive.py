"""Old days go into Parquet files before they go."""

import duckdb
import pandas as pd
import pytest

from errors import DatabaseError
from retention import Retention
from storage.archive import archive_days
from ticks import TickBatch, iso_utc

DAY_MS = 86_400_000
START_MS = 1_723_161_600_000 - 1_000 * 1_000  # the last 1,000 seconds of a day


def batch(first, n, symbol="btcusdt"):
    return TickBatch(
        "aggTrade", [symbol] * n, [START_MS + 1_000 * i for i in range(first, first + n)],
        [100.0 + 0.1 * i for i in range(first, first + n)], [1.0] * n,
        list(range(first, first + n)), [(True, False, None)[i % 3] for i in range(n)],
    )  # fmt: skip


def test_a_day_reads_back_in_pandas_and_in_duckdb_as_it_was(db, tmp_path):
    db.write(batch(0, 3_000))
    db.write(batch(500, 1_000, "ethusdt"))
    with db.snapshot() as snapshot:
        ticks = snapshot.ticks(limit=10_000)
    (day,) = archive_days(db, START_MS + DAY_MS, tmp_path / "old")
    assert (day.day, day.ticks) == ("2024-08-08", 1_500)
    assert [p.name for p in (tmp_path / "old").iterdir()] == ["ticks_2024-08-08.parquet"]
    frame = pd.read_parquet(day.path)
    expected = ticks[ticks["timestamp"] < "2024-08-09"].sort_values(["symbol", "trade_id"])
    assert frame["price"].tolist() == expected["price"].tolist()
    assert frame["trade_id"].tolist() == expected["trade_id"].tolist()
    times = [
        iso_utc(t.value // 1_000_000) for t in frame["timestamp"].astype("datetime64[ns, UTC]")
    ]
    assert times == expected["timestamp"].tolist()
    assert frame["is_buyer_maker"].isna().sum() == expected["is_buyer_maker"].isna().sum() > 0
    found = duckdb.sql(
        f"SELECT symbol, count(*), sum(size) FROM '{day.path}' GROUP BY symbol ORDER BY symbol"
    ).fetchall()
    assert found == [("btcusdt", 1_000, 1_000.0), ("ethusdt", 500, 500.0)]


def test_retention_keeps_the_days_that_it_deletes(db, tmp_path):
    db.write(batch(0, 3_000))
    worker = Retention(db, hours=1, pause_s=0, archive=tmp_path)
    done = worker.run_once(START_MS + DAY_MS)
    with db.snapshot() as snapshot:
        assert snapshot.count("ticks") == 2_000
        assert snapshot.first_print("btcusdt")[1] == START_MS + 1_000_000
    assert done.deleted == len(pd.read_parquet(tmp_path / "ticks_2024-08-08.parquet")) == 1_000
    assert worker.run_once(START_MS + DAY_MS).deleted == 0


def test_a_file_that_is_there_is_completed(db, tmp_path):
    db.write(batch(0, 400))
    archive_days(db, START_MS + DAY_MS, tmp_path)
    db.clear()
    db.write(batch(300, 400))
    (day,) = archive_days(db, START_MS + DAY_MS, tmp_path)
    assert day.ticks == 700
    assert sorted(pd.read_parquet(day.path)["trade_id"]) == list(range(700))


def test_what_cannot_be_archived_is_not_deleted(db, tmp_path):
    db.write(batch(0, 400))
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(DatabaseError, match="cannot be archived .* stays in the database"):
        Retention(db, hours=1, archive=blocked).run_once(START_MS + DAY_MS)
    with db.snapshot() as snapshot:
        assert snapshot.count("ticks") == 400
