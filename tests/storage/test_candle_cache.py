"""What the cache returns is what the whole query would: whatever was written in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from candles import CandleColumns
from database import Database
from storage import candle_store
from storage.snapshot import Snapshot
from ticks import TickBatch

START_MS = 1_781_524_800_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "cache.db") as opened:
        yield opened


def ticks(first: int, count: int, step_ms: int = 700) -> TickBatch:
    """Prints number ``first`` and on, each at its own time, whenever it is stored."""
    numbers = range(first, first + count)
    return TickBatch(
        "aggTrade",
        ["btcusdt"] * count,
        [START_MS + n * step_ms for n in numbers],
        [100.0 + n * 7919 % 101 for n in numbers],
        [1.0 + n % 3 for n in numbers],
        [1_000 + n for n in numbers],
        [None] * count,
    )


def same(snapshot: Snapshot, timeframe: str, limit: int) -> None:
    cached = snapshot.candle_columns("btcusdt", timeframe, limit=limit)
    plain = candle_store.newest_columns(snapshot._con, "btcusdt", timeframe, limit, None)
    for name in CandleColumns.__slots__:
        np.testing.assert_array_equal(getattr(cached, name), getattr(plain, name))


def steps() -> st.SearchStrategy[list[tuple[str, int]]]:
    step = st.tuples(
        st.sampled_from(["next", "next", "skip", "late", "import", "prune", "clear", "hold"]),
        st.integers(1, 40),
    )
    return st.lists(step, min_size=1, max_size=25)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=steps(), limits=st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_the_cache_returns_what_the_query_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], limits: list[int]
) -> None:
    path = tmp_path_factory.mktemp("cache") / "x.db"
    number, holes = 0, []
    with Database(path) as database, Database(path) as another:
        for turn, (what, size) in enumerate(steps):
            limit = limits[turn % len(limits)]
            with another.snapshot() as held:
                number = apply(database, what, size, number, holes)
                if what == "hold":
                    # A later reader fills the cache; the one of an earlier moment reads after it.
                    database.write(ticks(number, size))
                    number += size
                    with another.snapshot() as later:
                        same(later, "1s", limit)
                same(held, "1s", limit)
            for reader in (database, another):
                with reader.snapshot() as snapshot:
                    same(snapshot, "1s", limit)
                    same(snapshot, "10s", limit)


def apply(database: Database, what: str, size: int, number: int, holes: list[int]) -> int:
    """Change the database; returns the number of the next print."""
    if what == "next":
        database.write(ticks(number, size))
        return number + size
    if what == "skip":
        holes += range(number, number + size)
        return number + size
    if what == "late" and holes:
        database.write(ticks(holes.pop(0), 1))
    elif what == "import":
        second = (START_MS // 1000 + size) * 1000
        database.import_candles([("btcusdt", second, 1.0, 3.0, 0.5, 2.0, 9.0)], "1s", "upload")
    elif what == "prune":
        database.prune(START_MS + size * 1000)
    elif what == "clear":
        database.clear()
    return number


def test_closed_candles_are_not_read_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.write(ticks(0, 1000))
    with database.snapshot() as snapshot:
        same(snapshot, "1s", 500)
    whole_queries = []
    real = candle_store.newest_columns
    monkeypatch.setattr(
        candle_store, "newest_columns", lambda *given: whole_queries.append(given) or real(*given)
    )
    for first in range(1000, 3000, 100):
        database.write(ticks(first, 100))
        with database.snapshot() as snapshot:
            assert len(snapshot.candle_columns("btcusdt", "1s", limit=500)) == 500
    assert whole_queries == []


def test_what_a_reader_does_to_its_candles_stays_with_it(database: Database) -> None:
    database.write(ticks(0, 200))
    for _ in range(2):
        with database.snapshot() as snapshot:
            snapshot.candle_columns("btcusdt", "1s", limit=50).close[:] = 0.0
    with database.snapshot() as snapshot:
        same(snapshot, "1s", 50)


def test_memory_is_bounded(database: Database) -> None:
    database.write(ticks(0, 60_000, step_ms=1000))
    with database.snapshot() as snapshot:
        snapshot.candle_columns("btcusdt", "1s", limit=100)
    for first in range(60_000, 61_000, 10):
        database.write(ticks(first, 10, step_ms=1000))
        with database.snapshot() as snapshot:
            same(snapshot, "1s", 100)
    assert len(database._candles._kept["btcusdt", "1s"].columns) <= 200 + 10
