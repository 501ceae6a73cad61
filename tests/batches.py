"""Ticks for tests that only need some."""

from __future__ import annotations

from collections.abc import Sequence

from ticks import TickBatch

START_MS = 1_723_161_256_000


def batch(
    ids: Sequence[int], *, symbol: str = "btcusdt", start_ms: int = START_MS, step_ms: int = 1_000
) -> TickBatch:
    """A print for each id, ``step_ms`` apart for each step between ids."""
    return TickBatch(
        "aggTrade",
        [symbol] * len(ids),
        [start_ms + step_ms * (i - ids[0]) for i in ids],
        [100.0 + i % 7 for i in ids],
        [1.0] * len(ids),
        list(ids),
        [i % 2 == 0 for i in ids],
    )
