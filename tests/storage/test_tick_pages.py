"""A search of stored ticks gives what pandas finds, and looks into no day it need not."""

import time

import numpy as np
import pandas as pd
import pytest

from database import Database
from storage import address
from ticks import TickBatch

DAY_MS = 86_400_000
FIRST_MS = 1_723_161_600_000  # 2024-08-09T00:00Z
DAYS = 4


def market(*, fall_back_ms=0):
    """Prints of two symbols over four days; every 20th is earlier than the one before it."""
    rng = np.random.default_rng(3)
    for symbol, first_id in (("btcusdt", 1_000), ("ethusdt", 7)):
        gaps = rng.integers(1, 2 * DAYS * DAY_MS // 400, 400)
        times = FIRST_MS + np.cumsum(gaps)
        times = times[times < FIRST_MS + DAYS * DAY_MS]
        # Some stand at the very edge of a day.
        times = np.sort(np.r_[times, FIRST_MS + DAY_MS * np.arange(1, DAYS) - 1,
                              FIRST_MS + DAY_MS * np.arange(1, DAYS)])  # fmt: skip
        times[10::20] -= fall_back_ms
        many = len(times)
        ids = (first_id + np.cumsum(rng.integers(1, 4, many))).tolist()
        yield TickBatch(
            "aggTrade", [symbol] * many, times.tolist(), rng.uniform(1, 2, many).tolist(),
            [1.0] * many, ids, [None] * many,
        )  # fmt: skip


WINDOWS = {
    "within a day": (DAY_MS + 3_600_000, DAY_MS + 36_000_000),
    "a whole day": (DAY_MS, 2 * DAY_MS),
    "over midnight": (2 * DAY_MS - 1, 2 * DAY_MS + 1),
    "across three days": (DAY_MS // 2, 3 * DAY_MS - 5),
    "from before the first": (-9 * DAY_MS, DAY_MS),
    "after the last": (9 * DAY_MS, 10 * DAY_MS),
    "nothing at all": (DAY_MS, DAY_MS),
}


@pytest.mark.parametrize("fall_back_ms", [0, 400_000])
def test_a_search_by_time_gives_what_pandas_finds_page_by_page(db, stored_ticks, fall_back_ms):
    for part in market(fall_back_ms=fall_back_ms):
        db.write(part)
    with db.snapshot() as snapshot:
        everything = stored_ticks(snapshot)
        for start_ms, end_ms in WINDOWS.values():
            span = (FIRST_MS + start_ms, FIRST_MS + end_ms)
            for symbol in ("btcusdt", None):
                asked = everything[everything["time_ms"].between(*span, inclusive="left")]
                if symbol:
                    asked = asked[asked["symbol"] == symbol]
                asked = asked.sort_values(["time_ms", "symbol", "trade_id"], ascending=False)
                assert paged(snapshot, symbol, *span) == asked["id"].tolist()
            ids = asked.loc[asked["symbol"] == "btcusdt", "trade_id"]
            if len(ids):
                assert snapshot.id_at("btcusdt", span[0]) <= ids.min()


def paged(snapshot, symbol, start_ms, end_ms):
    """Row numbers, 60 rows a page."""
    span = {"start_ms": start_ms, "end_ms": end_ms}
    rows, before = [], None
    while True:
        page = snapshot.ticks(symbol, **span, limit=60, before_row=before)
        rows += page["id"].tolist()
        if len(page) < 60:
            return rows
        before = rows[-1]


def looks(postgres, url):
    """How often each day's table and its indexes were read."""
    schema = address.without_schema(url)[1]
    rows = postgres.run(
        "SELECT relname::text, seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables "
        f"WHERE schemaname = '{schema}' AND relname ~ '^ticks_'"
    )
    return pd.Series(dict(rows)).sort_index()


def test_a_search_within_a_day_looks_into_that_day_alone(postgres):
    url = postgres.new_schema()
    with Database(url) as database:
        for part in market():
            database.write(part)
    time.sleep(1.1)
    before = looks(postgres, url)
    span = dict(zip(("start_ms", "end_ms"), WINDOWS["within a day"], strict=True))
    span = {name: FIRST_MS + at_ms for name, at_ms in span.items()}
    with Database(url, read_only=True) as reader, reader.snapshot() as snapshot:
        for symbol in ("btcusdt", "ethusdt", None):
            first = snapshot.ticks(symbol, **span, limit=5)
            row = int(first["id"].iloc[-1])
            second = snapshot.ticks(symbol, **span, limit=5, before_row=row)
            assert len(first) == len(second) == 5
    # What a connection counted is told when it ends.
    deadline = time.monotonic() + 10
    while (looks(postgres, url) == before).all() and time.monotonic() < deadline:
        time.sleep(0.1)
    more = looks(postgres, url) - before
    assert list(more.index) == [f"ticks_202408{day:02d}" for day in (9, 10, 11, 12)]
    assert more["ticks_20240810"] > 0
    assert more.drop("ticks_20240810").eq(0).all(), more
