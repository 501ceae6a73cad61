"""Volatilities held to their formulas and to a planted market."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analytics import Analytics
from errors import BadInput, InsufficientData
from quant.volatility import METHODS, candles_per_year


def diffusion(candles: int, sigma: float, seed: int = 0, steps: int = 200, gap: float = 0.0):
    """Candles of a driftless geometric Brownian motion with volatility `sigma` per candle."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(scale=sigma / math.sqrt(steps), size=(candles, steps))
    moves[:, 0] += rng.normal(scale=gap, size=candles) if gap else 0.0
    path = np.log(100.0) + moves.cumsum().reshape(candles, steps)
    opens = np.r_[np.log(100.0), path[:-1, -1]] if not gap else path[:, 0]
    high, low = np.maximum(path.max(axis=1), opens), np.minimum(path.min(axis=1), opens)
    return pd.DataFrame(
        np.exp(np.column_stack([opens, high, low, path[:, -1]])),
        columns=["open", "high", "low", "close"],
        index=pd.date_range("2024-01-01", periods=candles, freq="5min", tz="UTC"),
    )


def test_a_year_has_365_days_of_24_hours():
    assert candles_per_year("1min") == 525_600
    assert candles_per_year("1h") == 8_760


@pytest.mark.parametrize("method", METHODS)
def test_every_estimator_finds_the_planted_volatility(method):
    # ranges of 2,000 steps are a little short of those of a continuous path: 3 % is allowed
    frame = diffusion(1_500, 0.002, steps=2_000)
    found = Analytics.volatility(frame, method, window=1_499, annualise=False).iloc[-1]
    assert found == pytest.approx(0.002, rel=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_annualising_multiplies_by_the_root_of_candles_in_a_year(method):
    frame = diffusion(100, 0.002)
    per_candle = Analytics.volatility(frame, method, annualise=False)
    expected = per_candle * math.sqrt(105_120)
    pd.testing.assert_series_equal(Analytics.volatility(frame, method), expected)
    plain = frame.reset_index(drop=True)
    told = Analytics.volatility(plain, method, timeframe="5min")
    np.testing.assert_allclose(told, expected)
    columns = plain.assign(timestamp=frame.index.strftime("%Y-%m-%dT%H:%M:%SZ"))
    np.testing.assert_allclose(Analytics.volatility(columns, method), expected)


def test_the_formulas_are_those_of_the_papers():
    frame = diffusion(60, 0.01, gap=0.005)
    o, h, low, c = (np.log(frame[name]).to_numpy() for name in frame.columns)
    n = 20
    r = np.diff(c)[-n:]
    parkinson = np.mean((h - low)[-n:] ** 2) / (4 * math.log(2))
    klass = np.mean((0.5 * (h - low) ** 2 - (2 * math.log(2) - 1) * (c - o) ** 2)[-n:])
    overnight, body = (o[1:] - c[:-1])[-n:], (c - o)[-n:]
    rogers = np.mean(((h - c) * (h - o) + (low - c) * (low - o))[-n:])
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    zhang = overnight.var(ddof=1) + k * body.var(ddof=1) + (1 - k) * rogers
    for method, variance in (
        ("realised", np.mean(r**2)),
        ("parkinson", parkinson),
        ("garman_klass", klass),
        ("yang_zhang", zhang),
    ):
        found = Analytics.volatility(frame, method, n, annualise=False).iloc[-1]
        assert found == pytest.approx(math.sqrt(variance), rel=1e-10), method


def test_truncating_the_future_changes_no_past_value():
    frame = diffusion(100, 0.01)
    for method in METHODS:
        whole = Analytics.volatility(frame, method)
        part = Analytics.volatility(frame[:60], method)
        np.testing.assert_allclose(part, whole[:60], rtol=1e-10)


def test_closes_alone_do_for_realised_and_for_no_other():
    closes = diffusion(50, 0.01)["close"]
    found = Analytics.volatility(closes, "realised", 20, annualise=False)
    assert found.isna().sum() == 20
    with pytest.raises(BadInput, match="needs a frame"):
        Analytics.volatility(closes, "parkinson")


def test_what_cannot_be_computed_says_why():
    frame = diffusion(50, 0.01)
    with pytest.raises(BadInput, match="realised, parkinson, garman_klass, yang_zhang"):
        Analytics.volatility(frame, "implied")
    with pytest.raises(BadInput, match="at least 2 candles, found 1"):
        Analytics.volatility(frame, window=1)
    with pytest.raises(InsufficientData, match="needs at least 51 observations, found 50"):
        Analytics.volatility(frame, window=50)
    with pytest.raises(BadInput, match="column high"):
        Analytics.volatility(frame.drop(columns="high"), "parkinson")
    with pytest.raises(BadInput, match="In 1 candles the high is below the low"):
        Analytics.volatility(frame.assign(low=[1e6, *frame["low"][1:]]), "parkinson")
    with pytest.raises(BadInput, match="positive prices"):
        Analytics.volatility(frame.assign(close=0.0))
    with pytest.raises(BadInput, match="one symbol; the frame has 2"):
        Analytics.volatility(frame.assign(symbol=["a", "b"] * 25))
    with pytest.raises(BadInput, match="give timeframe"):
        Analytics.volatility(frame.reset_index(drop=True))
