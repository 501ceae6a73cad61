"""CUSUM and Chow against statsmodels, and how often they cry wolf on an autocorrelated spread."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.special import kolmogorov
from statsmodels.api import OLS, add_constant
from statsmodels.stats.diagnostic import breaks_cusumolsresid

from errors import BadInput, InsufficientData
from quant.breaks import break_date_interval, chow_over_time, cusum_test


def pair(n: int, seed: int, rho: float = 0.9, change: float = 0.0):
    """A planted pair whose ratio of 2 becomes 2 + `change` half way."""
    rng = np.random.default_rng(seed)
    x = 100 + np.cumsum(rng.normal(size=n))
    ratio = np.where(np.arange(n) < n // 2, 2.0, 2.0 + change)
    return ratio * x + lfilter([1.0], [1.0, -rho], rng.normal(size=n)), x


def test_the_cusum_path_is_that_of_statsmodels_up_to_the_long_run_scale() -> None:
    noise = np.random.default_rng(1).normal(size=400)
    result = cusum_test(noise)
    statistic, p, critical = breaks_cusumolsresid(noise - noise.mean())
    scale = result.statistic / statistic
    assert scale == pytest.approx(1.0, abs=0.2)
    assert result.pvalue == pytest.approx(kolmogorov(result.statistic))
    ours = list(result.critical_values.values())
    assert ours == pytest.approx([value for _, value in critical], abs=0.011)
    assert kolmogorov(result.critical_values["5%"]) == pytest.approx(0.05, abs=1e-9)
    assert kolmogorov(result.critical_values["1%"]) == pytest.approx(0.01, abs=1e-9)
    assert kolmogorov(result.critical_values["10%"]) == pytest.approx(0.10, abs=1e-9)


def test_a_jump_of_the_mean_is_found_where_it_was_planted() -> None:
    rng = np.random.default_rng(2)
    index = pd.date_range("2025-01-01", periods=600, freq="min", tz="UTC")
    jump = pd.Series(rng.normal(size=600) + 2.0 * (np.arange(600) >= 350), index)
    result = cusum_test(jump)
    assert result.pvalue < 0.01
    assert abs((result.break_at - index[350]).total_seconds()) <= 15 * 60
    assert result.verdict.startswith("The mean changed")
    assert len(result.path) == 600


@pytest.mark.parametrize("rho", [0.0, 0.87])
def test_cusum_cries_wolf_about_5_percent_of_the_time(rho) -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(600):
        hits += cusum_test(lfilter([1.0], [1.0, -rho], rng.normal(size=1000))).pvalue < 0.05
    assert 0.015 <= hits / 600 <= 0.075


def test_the_chow_path_is_the_f_of_the_split_regressions() -> None:
    y, x = pair(200, seed=4)
    result = chow_over_time(y, x, draws=99)
    whole = OLS(y, add_constant(x)).fit().ssr
    for k in (30, 77, 140, 169):
        parts = sum(OLS(y[s], add_constant(x[s])).fit().ssr for s in (np.s_[:k], np.s_[k:]))
        expected = (whole - parts) / 2 / (parts / (200 - 4))
        assert result.path.loc[k] == pytest.approx(expected, rel=1e-7)
    assert result.statistic == result.path.max()


def test_a_changed_ratio_is_found_with_both_its_values() -> None:
    y, x = pair(1000, seed=5, change=0.3)
    result = chow_over_time(y, x)
    assert result.pvalue < 0.05
    assert abs(result.break_at - 500) < 25
    assert result.ratio_before == pytest.approx(2.0, abs=0.1)
    assert result.ratio_after == pytest.approx(2.3, abs=0.1)
    assert chow_over_time(y, x).pvalue == result.pvalue


def test_chow_cries_wolf_about_5_percent_of_the_time() -> None:
    hits = sum(
        chow_over_time(*pair(400, seed=100 + s), draws=99).pvalue <= 0.05 for s in range(200)
    )
    assert 0.01 <= hits / 200 <= 0.10


def test_unusable_input_is_refused_with_a_sentence() -> None:
    y, x = pair(100, seed=6)
    with pytest.raises(InsufficientData, match="at least 60 observations, found 40"):
        chow_over_time(y[:40], x[:40])
    with pytest.raises(BadInput, match="2 times price2"):
        chow_over_time(2 * x, x)
    with pytest.raises(BadInput, match="trim is 0.6"):
        chow_over_time(y, x, trim=0.6)
    with pytest.raises(BadInput, match="at least 99"):
        chow_over_time(y, x, draws=5)
    with pytest.raises(BadInput, match="constant"):
        cusum_test(np.ones(80))


def broken(seed, n=400, at=220, rho=0.8):
    rng = np.random.default_rng(seed)
    x = 100 + np.cumsum(rng.normal(0, 1, n))
    noise = np.zeros(n)
    for t in range(1, n):
        noise[t] = rho * noise[t - 1] + rng.normal(0, 0.5)
    ratio = np.where(np.arange(n) < at, 2.0, 2.6)
    return pd.Series(ratio * (x - x[at]) + noise), pd.Series(x)


def test_the_break_lies_within_its_interval_about_as_often_as_is_claimed():
    held = 0
    for seed in range(40):
        y, x = broken(seed)
        found = chow_over_time(y, x, draws=99)
        low, high = break_date_interval(y, x, found, 0.9)
        assert low <= high
        held += low <= 220 <= high
    # 36 expected; fewer than 30 or more than 40 would happen once in two hundred times.
    assert 30 <= held <= 40


def test_an_interval_takes_enough_draws_and_a_confidence():
    y, x = broken(0)
    found = chow_over_time(y, x, draws=99)
    for wrong in ({"draws": 10}, {"confidence": 1.0}):
        with pytest.raises(BadInput, match="99 draws"):
            break_date_interval(y, x, found, **wrong)
