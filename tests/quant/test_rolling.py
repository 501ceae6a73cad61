"""Spread, z-scores, bands, returns and rolling correlation."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import Analytics
from errors import BadInput, InsufficientData


def wander(n: int = 3_000, level: float = 60_000.0, seed: int = 0) -> pd.Series:
    rng = np.random.default_rng(seed)
    index = pd.date_range("2024-01-01", periods=n, freq="min", tz="UTC")
    return pd.Series(level + rng.normal(size=n).cumsum(), index=index)


def exact_z(window: list[float]) -> float:
    """The z-score of the last value in rational arithmetic, the root to 40 digits."""
    values = [Fraction(v) for v in window]
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
    deviation = values[-1] - mean
    with localcontext() as context:
        context.prec = 40
        root = (Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt()
        return float(Decimal(deviation.numerator) / Decimal(deviation.denominator) / root)


@pytest.mark.parametrize("level", [0.0, 100.0, 60_000.0, 1e8])
@pytest.mark.parametrize("window", [2, 20, 60])
def test_the_z_score_is_exact_to_1e_12_at_any_level(level, window):
    spread = wander(level=level)
    z = Analytics.calculate_zscore(spread, window)
    for i in range(window, 3_000, 137):
        expected = exact_z(spread.iloc[i - window + 1 : i + 1].tolist())
        assert z.iloc[i] == pytest.approx(expected, abs=1e-12)


def test_a_jump_leaves_no_trace_in_the_windows_after_it():
    spread = wander(500, level=0.0)
    spread.iloc[100] = 1e12
    z = Analytics.calculate_zscore(spread, 20)
    for i in (120, 121, 150, 200):
        expected = exact_z(spread.iloc[i - 19 : i + 1].tolist())
        assert z.iloc[i] == pytest.approx(expected, abs=1e-12)


def test_nan_is_handled_as_pandas_does():
    spread = wander(500)
    spread.iloc[[50, 51, 200]] = np.nan
    spread.iloc[300] = np.inf
    rolling = spread.rolling(20)
    theirs = (spread - rolling.mean()) / rolling.std()
    ours = Analytics.calculate_zscore(spread, 20)
    assert ours.isna().tolist() == (theirs.isna() | np.isinf(theirs)).tolist()
    np.testing.assert_allclose(ours.dropna(), theirs[ours.notna()], rtol=1e-6)


@pytest.mark.parametrize("method", ["rolling", "ewma", "robust"])
def test_a_flat_window_is_nan_and_never_infinite(method):
    values = np.full(100, 0.1 + 0.2)
    values[:5] = [1.0, 2.0, 1.5, 0.5, 1.7] if method != "ewma" else values[0]
    z = Analytics.calculate_zscore(values, 10, method)
    assert z.iloc[20:].isna().all()
    assert not np.isinf(z).any()


def test_the_rest_of_a_long_flat_stretch_is_no_ewma_z_score():
    values = np.r_[[100.3, 100.7, 99.1], np.full(2_000, 100.1)]
    z = Analytics.calculate_zscore(values, 10, "ewma")
    assert z.abs().max() < 10


def test_the_ewma_z_score_is_that_of_pandas():
    spread = wander(500)
    spread.iloc[[50, 51, 200]] = np.nan
    ewm = spread.ewm(span=20, min_periods=20)
    theirs = (spread - ewm.mean()) / ewm.std()
    ours = Analytics.calculate_zscore(spread, 20, "ewma")
    pd.testing.assert_series_equal(ours, theirs, check_names=False, rtol=1e-9)


@pytest.mark.parametrize("window", [3, 10, 21])
def test_the_robust_z_score_is_median_and_scaled_mad(window):
    spread = wander(300).round(1)
    spread.iloc[77] = np.nan
    rolling = spread.rolling(window)
    median = rolling.median()
    mad = rolling.apply(lambda v: np.median(np.abs(v - np.median(v))), raw=True)
    theirs = (spread - median) / (1.482602218505602 * mad)
    ours = Analytics.calculate_zscore(spread, window, "robust")
    assert ours.isna().tolist() == (theirs.isna() | np.isinf(theirs)).tolist()
    np.testing.assert_allclose(ours.dropna(), theirs[ours.notna()], rtol=1e-12)


@given(
    seed=st.integers(0, 1_000),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-1e4, 1e4),
    method=st.sampled_from(["rolling", "ewma", "robust"]),
)
@settings(max_examples=40, deadline=None)
def test_z_scores_do_not_depend_on_scale_or_shift(seed, scale, shift, method):
    spread = wander(120, level=0.0, seed=seed)
    before = Analytics.calculate_zscore(spread, 10, method)
    after = Analytics.calculate_zscore(spread * scale + shift, 10, method)
    np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 1_000), cut=st.integers(30, 299))
@settings(max_examples=30, deadline=None)
def test_truncating_the_future_changes_no_past_value(seed, cut):
    first, second = wander(300, seed=seed), wander(300, level=50.0, seed=seed + 1)
    for compute in (
        lambda s, t: Analytics.calculate_zscore(s),
        lambda s, t: Analytics.calculate_zscore(s, method="ewma"),
        lambda s, t: Analytics.calculate_zscore(s, method="robust"),
        lambda s, t: Analytics.calculate_bollinger_bands(s).upper,
        lambda s, t: Analytics.calculate_returns(s),
        lambda s, t: Analytics.rolling_correlation(s, t),
    ):
        whole, part = compute(first, second), compute(first[:cut], second[:cut])
        np.testing.assert_allclose(part, whole[:cut], rtol=1e-11, atol=1e-11)


def test_the_spread_is_price1_less_ratio_times_price2_less_intercept():
    y = pd.Series([10.0, 11.0, 12.0], index=[1, 2, 3])
    x = pd.Series([4.0, 5.0, 6.0], index=[2, 3, 4])
    spread = Analytics.calculate_spread(y, x, 2.0)
    assert spread.to_dict() == {2: 3.0, 3: 2.0}
    assert Analytics.calculate_spread(y, x, 2.0, 1.0).to_dict() == {2: 2.0, 3: 1.0}


def test_a_moving_ratio_is_joined_on_the_index():
    y, x = wander(50), wander(50, 100.0, 1)
    ratio, intercept = Analytics.calculate_hedge_ratio(y, x, "rolling_ols", window=10)
    spread = Analytics.calculate_spread(y, x, ratio, intercept)
    assert spread.iloc[:9].isna().all()
    np.testing.assert_allclose(spread[9:], (y - ratio * x - intercept)[9:], atol=1e-8)
    with pytest.raises(BadInput, match="found 3 for 50 candles"):
        Analytics.calculate_spread(y, x, np.ones(3))


def test_a_spread_of_logarithms_takes_positive_prices_only():
    y = pd.Series([np.e, np.e**2])
    assert Analytics.calculate_spread(y, y, 0.5, log_prices=True).tolist() == [0.5, 1.0]
    with pytest.raises(BadInput, match="positive prices"):
        Analytics.calculate_spread(y, y - 5, 1.0, log_prices=True)


def test_bollinger_bands_are_those_of_pandas_and_unpack_in_order():
    prices = wander(300)
    upper, middle, lower = Analytics.calculate_bollinger_bands(prices, window=20, num_std=2)
    rolling = prices.rolling(20)
    np.testing.assert_allclose(middle, rolling.mean(), rtol=1e-13)
    np.testing.assert_allclose(upper, rolling.mean() + 2 * rolling.std(), rtol=1e-10)
    np.testing.assert_allclose(lower, rolling.mean() - 2 * rolling.std(), rtol=1e-10)
    assert middle.iloc[:19].isna().all()


def test_returns_are_nan_first_and_beside_nan():
    prices = pd.Series([100.0, 110.0, np.nan, 121.0])
    assert Analytics.calculate_returns(prices, "simple").round(9).tolist()[1] == 0.1
    assert Analytics.calculate_returns(prices).isna().tolist() == [True, False, True, True]
    frame = Analytics.calculate_returns(pd.DataFrame({"a": prices, "b": prices * 2}))
    np.testing.assert_allclose(frame["a"], frame["b"])
    with pytest.raises(BadInput, match="1 are zero or negative"):
        Analytics.calculate_returns([1.0, 0.0])


def test_rolling_correlation_is_that_of_pandas_and_nan_where_flat():
    first, second = wander(400), wander(400, 100.0, 1)
    second.iloc[200:260] = 100.0
    ours = Analytics.rolling_correlation(first, second, 30)
    theirs = first.rolling(30).corr(second)
    np.testing.assert_allclose(ours[:229], theirs[:229], atol=1e-9)
    assert ours.iloc[229:260].isna().all()
    moves = Analytics.rolling_correlation(first, second, 30, returns=True)
    expected = np.log(first).diff().rolling(30).corr(np.log(second).diff())
    np.testing.assert_allclose(moves[:200], expected[:200], atol=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s: Analytics.calculate_zscore(s, 1), "at least 2 candles, found 1"),
        (lambda s: Analytics.calculate_zscore(s, 20, "median"), "rolling, ewma, robust"),
        (lambda s: Analytics.calculate_bollinger_bands(s, 20, -1), "found -1"),
        (lambda s: Analytics.calculate_returns(s, "weekly"), "log, simple"),
        (lambda s: Analytics.rolling_correlation(s, s, 0), "found 0"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(call, sentence):
    with pytest.raises(BadInput, match=sentence):
        call(wander(100))


def test_too_few_candles_say_how_many_are_needed():
    short = wander(10)
    with pytest.raises(InsufficientData, match="needs at least 20 observations, found 10"):
        Analytics.calculate_zscore(short)
    with pytest.raises(InsufficientData, match="found 10"):
        Analytics.rolling_correlation(short, short)
    with pytest.raises(InsufficientData, match="found 1"):
        Analytics.calculate_returns([1.0])
