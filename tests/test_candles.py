"""Timeframes by any name, and folding that conserves what was traded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candles import (
    CHART_TIMEFRAMES,
    STORED_TIMEFRAMES,
    base_timeframe,
    canonical_timeframe,
    fold_ticks,
    roll_up,
    timeframe_ms,
)
from errors import BadInput


@pytest.mark.parametrize(
    ("text", "canonical", "length"),
    [
        ("1s", "1s", 1_000), ("1S", "1s", 1_000), ("60s", "1min", 60_000), ("1m", "1min", 60_000),
        ("1T", "1min", 60_000), ("1 min", "1min", 60_000), ("60min", "1h", 3_600_000),
        ("1H", "1h", 3_600_000), ("24h", "1d", 86_400_000), ("7d", "7d", 604_800_000),
        ("250ms", "250ms", 250), ("1sec", "1s", 1_000), ("1day", "1d", 86_400_000),
    ],
)  # fmt: skip
def test_a_timeframe_has_one_spelling_and_one_length(text, canonical, length):
    assert canonical_timeframe(text) == canonical
    assert timeframe_ms(text) == timeframe_ms(canonical) == length


@pytest.mark.parametrize(
    "text", ["", "min", "0s", "-1s", "1.5h", "7min", "36h", "1w", "1y", None, 5]
)
def test_what_is_no_timeframe_is_said(text):
    with pytest.raises(BadInput, match="timeframe"):
        timeframe_ms(text)


def test_every_charted_timeframe_can_be_made_of_a_stored_one():
    for timeframe in CHART_TIMEFRAMES:
        assert timeframe_ms(timeframe) % timeframe_ms(base_timeframe(timeframe)) == 0
    assert base_timeframe("1h") == "5min"
    assert base_timeframe("90s") == "30s"
    with pytest.raises(BadInput, match="begin at 1s"):
        base_timeframe("250ms")


@st.composite
def columns(draw):
    n = draw(st.integers(0, 60))
    steps = draw(st.lists(st.sampled_from([0, 1, 300, 1_000, 40_000]), min_size=n, max_size=n))
    group = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    price = draw(st.lists(st.floats(0.01, 1e6), min_size=n, max_size=n))
    size = draw(st.lists(st.integers(1, 10**6).map(lambda k: k / 64), min_size=n, max_size=n))
    return (
        np.array(group, dtype=np.int64),
        np.cumsum([1_723_161_256_000, *steps], dtype=np.int64)[1:],
        np.array(price, dtype=float),
        np.array(size, dtype=float),
    )


@given(columns(), st.sampled_from(["1s", "5s", "1min", "1h"]))
def test_folding_keeps_every_print_in_its_candle(ticks, timeframe):
    length = timeframe_ms(timeframe)
    candles = fold_ticks(*ticks, length)
    group, time_ms, price, size = ticks
    keys = list(zip(candles.group.tolist(), candles.open_ms.tolist(), strict=True))
    assert keys == sorted(set(keys))
    assert candles.volume.sum() == size.sum()
    for i, (symbol, open_ms) in enumerate(keys):
        inside = (group == symbol) & (time_ms >= open_ms) & (time_ms < open_ms + length)
        prices = price[inside]
        assert inside.any()
        assert candles.open[i] == prices[0]
        assert candles.close[i] == prices[-1]
        assert candles.high[i] == prices.max()
        assert candles.low[i] == prices.min()
        assert candles.volume[i] == size[inside].sum()


@given(columns())
def test_longer_candles_rolled_up_are_those_folded_from_the_ticks(ticks):
    seconds = fold_ticks(*ticks, 1_000)
    for timeframe in STORED_TIMEFRAMES[1:]:
        length = timeframe_ms(timeframe)
        rolled, folded = roll_up(seconds, length), fold_ticks(*ticks, length)
        for name in ("group", "open_ms", "open", "high", "low", "close", "volume"):
            assert np.array_equal(getattr(rolled, name), getattr(folded, name))
