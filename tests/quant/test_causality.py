"""Granger causality against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.stattools import grangercausalitytests

from errors import BadInput, InsufficientData
from quant.causality import granger_causality


def leader_and_follower(n: int = 500, seed: int = 0):
    """Prices; the second repeats 60 % of the first's return one candle later."""
    rng = np.random.default_rng(seed)
    lead = rng.normal(size=n) * 1e-3
    follow = 0.6 * np.roll(lead, 1) + rng.normal(size=n) * 1e-3
    return 100 * np.exp(np.cumsum(lead)), 50 * np.exp(np.cumsum(follow))


@pytest.mark.parametrize("lags", [1, 3, 8])
def test_f_and_p_equal_statsmodels_in_both_directions(lags) -> None:
    price1, price2 = leader_and_follower()
    a, b = np.diff(np.log(price1)), np.diff(np.log(price2))
    ours = granger_causality(price1, price2, lags=lags)
    for result, columns in ((ours.forward, (b, a)), (ours.reverse, (a, b))):
        theirs = grangercausalitytests(np.column_stack(columns), [lags])[lags][0]["ssr_ftest"]
        assert result.statistic == pytest.approx(theirs[0], rel=1e-8)
        assert result.pvalue == pytest.approx(theirs[1], abs=1e-8)
        assert (result.free, result.used_lag) == (theirs[2], theirs[3])


def test_the_leader_is_named() -> None:
    result = granger_causality(*leader_and_follower())
    assert result.verdict.startswith("price1 leads")
    assert result.forward.pvalue < 1e-6 < result.reverse.pvalue
    assert "price1 does not help to predict price2" in result.forward.null_hypothesis
    assert granger_causality(*leader_and_follower()[::-1]).verdict.startswith("price2 leads")


def test_aic_picks_the_planted_lag() -> None:
    assert granger_causality(*leader_and_follower(2000)).forward.used_lag in (1, 2, 3)


def test_independent_returns_are_called_causal_5_percent_of_the_time() -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(500):
        y, x = rng.normal(size=(2, 300))
        hits += granger_causality(y, x, lags=2, returns=False).forward.pvalue < 0.05
    assert 0.03 <= hits / 500 <= 0.075


def test_unusable_input_is_refused_with_a_sentence() -> None:
    price1, price2 = leader_and_follower()
    with pytest.raises(InsufficientData, match="needs at least 51"):
        granger_causality(price1[:40], price2[:40])
    with pytest.raises(BadInput, match="above 0"):
        granger_causality(price1 - 200, price2)
    with pytest.raises(BadInput, match="different series"):
        granger_causality(price1, price1)
    with pytest.raises(BadInput, match="constant"):
        granger_causality(np.ones(100), price2[:100])
    with pytest.raises(BadInput, match="1 candle back"):
        granger_causality(price1, price2, lags=0)
