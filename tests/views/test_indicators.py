"""Lines over candles, held to pandas and to the book."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from candles import CandleColumns
from views import indicators

PRICES = st.lists(st.floats(1, 1e5), min_size=1, max_size=60).map(np.array)


@given(PRICES, st.integers(1, 30))
def test_the_moving_average_is_that_of_pandas(prices, window):
    expected = pd.Series(prices).rolling(window).mean().to_numpy()
    np.testing.assert_allclose(indicators.moving_average(prices, window), expected, rtol=1e-9)


@given(PRICES, st.integers(2, 30))
def test_the_bands_lie_two_sample_deviations_away(prices, window):
    upper, lower = indicators.bollinger(prices, window, 2.0)
    width = 4 * pd.Series(prices).rolling(window).std().to_numpy()
    np.testing.assert_allclose(upper - lower, width, rtol=1e-4, atol=1e-3)


def test_rsi_agrees_with_the_worked_example_of_wilders_smoothing():
    # Closes and the first values of the 14-period table in StockCharts' ChartSchool on RSI.
    closes = np.array([
        44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826,
        45.8931, 46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328,
    ])  # fmt: skip
    rsi = indicators.rsi(closes, 14)
    assert np.isnan(rsi[:14]).all()
    np.testing.assert_allclose(rsi[14:], [70.53, 66.32, 66.55], atol=0.02)


def test_rsi_of_a_flat_market_is_unknown():
    assert np.isnan(indicators.rsi(np.full(30, 5.0))).all()


def test_vwap_begins_anew_each_day():
    day = 86_400_000
    ones = np.ones(3)
    candles = CandleColumns(
        np.zeros(3, dtype=np.int64),
        np.array([day - 60_000, day, day + 60_000]),
        *(ones * p for p in (1.0, 1.0, 1.0)),
        np.array([10.0, 20.0, 40.0]),
        np.array([1.0, 1.0, 3.0]),
    )
    typical = (2 + candles.close) / 3
    expected = [typical[0], typical[1], (typical[1] + 3 * typical[2]) / 4]
    np.testing.assert_allclose(indicators.vwap(candles), expected)


def test_rebasing_starts_at_zero():
    np.testing.assert_allclose(indicators.rebased_percent(np.array([50.0, 55.0])), [0.0, 10.0])
