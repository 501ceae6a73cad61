"""Correlation matrices and leads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analytics import Analytics
from errors import BadInput, InsufficientData


def universe(n: int = 400, k: int = 4, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 1))
    moves = 0.01 * (0.6 * common + rng.normal(size=(n, k)))
    return pd.DataFrame(np.exp(moves.cumsum(axis=0)) * 100, columns=[f"s{i}" for i in range(k)])


@pytest.mark.parametrize("method", ["pearson", "spearman"])
@pytest.mark.parametrize("returns", [True, False])
def test_the_matrix_is_that_of_pandas(method, returns):
    prices = universe()
    values = np.log(prices).diff().dropna() if returns else prices
    ours = Analytics.correlation_matrix(prices, returns=returns, method=method)
    pd.testing.assert_frame_equal(ours, values.corr(method=method), rtol=1e-10)
    assert np.linalg.eigvalsh(ours).min() > 0


def test_a_leader_is_found_at_its_lag():
    rng = np.random.default_rng(0)
    news = rng.normal(size=1_003) * 0.01
    leader = np.exp(news[3:].cumsum()) * 100
    follower = np.exp((news[:-3] + 0.002 * rng.normal(size=1_000)).cumsum()) * 50
    across = Analytics.cross_correlation(follower, leader, 10)
    assert across.idxmax() == 3
    assert across.max() > 0.9
    assert across.drop(3).abs().max() < 0.15
    assert across.attrs["noise_band"] == pytest.approx(1.96 / np.sqrt(999), rel=1e-4)
    table = Analytics.lead_lag_matrix(pd.DataFrame({"f": follower, "l": leader}), 10)
    assert table.lag.loc["l", "f"] == 3
    assert table.lag.loc["f", "l"] == -3
    assert table.correlation.loc["f", "l"] == pytest.approx(across.max())
    assert table["n_obs"] == 999


def test_cross_correlation_is_that_of_statsmodels():
    from statsmodels.tsa.stattools import ccf

    prices = universe()
    ours = Analytics.cross_correlation(prices["s0"], prices["s1"], 8)
    first, second = (np.log(prices[c]).diff().dropna().to_numpy() for c in ("s0", "s1"))
    np.testing.assert_allclose(ours.loc[0:], ccf(first, second, adjusted=False)[:9], rtol=1e-9)
    np.testing.assert_allclose(ours.loc[:0][::-1], ccf(second, first, adjusted=False)[:9])


def test_swapping_the_legs_mirrors_the_lags():
    prices = universe()
    there = Analytics.cross_correlation(prices["s0"], prices["s1"], 5)
    back = Analytics.cross_correlation(prices["s1"], prices["s0"], 5)
    np.testing.assert_allclose(there, back[::-1])


def test_what_cannot_be_correlated_says_why():
    prices = universe(50)
    with pytest.raises(BadInput, match="pearson, spearman"):
        Analytics.correlation_matrix(prices, method="kendall")
    with pytest.raises(BadInput, match="at least 2 price columns"):
        Analytics.correlation_matrix(prices[["s0"]])
    with pytest.raises(BadInput, match="s1 is constant"):
        Analytics.correlation_matrix(prices.assign(s1=5.0))
    with pytest.raises(InsufficientData, match="found 2"):
        Analytics.correlation_matrix(prices[:2])
    with pytest.raises(InsufficientData, match="needs at least 24 observations, found 20"):
        Analytics.cross_correlation(prices["s0"][:20], prices["s1"])
    with pytest.raises(BadInput, match="found -1"):
        Analytics.lead_lag_matrix(prices, -1)
