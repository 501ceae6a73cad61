"""ADF, KPSS, Phillips–Perron and the variance ratio against statsmodels and arch."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from arch.unitroot import PhillipsPerron, VarianceRatio
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.adfvalues import mackinnoncrit, mackinnonp
from statsmodels.tsa.stattools import adfuller, kpss

from errors import BadInput, InsufficientData
from quant import mackinnon
from quant.unitroot import adf_test, kpss_test, phillips_perron, variance_ratio


def make_series(kind: str, n: int, seed: int) -> np.ndarray:
    """A random walk at a price level, noise, an AR(1) with a moving average, or drift."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=n)
    if kind == "walk":
        return 60_000 + np.cumsum(noise)
    if kind == "noise":
        return noise
    if kind == "drift":
        return np.cumsum(noise + 0.1)
    out = np.zeros(n)
    for t in range(1, n):
        out[t] = 0.93 * out[t - 1] + noise[t] + 0.5 * noise[t - 1]
    return out


KINDS = ("walk", "noise", "drift", "arma")


@pytest.mark.parametrize("trend", ["n", "c", "ct", "ctt"])
@pytest.mark.parametrize("autolag", ["aic", "bic", "t-stat", None])
@pytest.mark.parametrize("kind", KINDS)
def test_adf_has_the_lag_t_and_p_of_statsmodels(kind, autolag, trend) -> None:
    for n in (25, 60, 250, 700):
        series = make_series(kind, n, seed=n)
        ours = adf_test(series, trend=trend, autolag=autolag)
        theirs = adfuller(series, regression=trend, autolag=autolag, result_object=True)
        assert ours.used_lag == theirs.lags
        assert ours.n_obs == theirs.nobs
        assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-8)
        assert ours.pvalue == pytest.approx(theirs.pvalue, abs=1e-8)
        assert ours.critical_values == pytest.approx(theirs.critical_values, abs=1e-12)
        if autolag in ("aic", "bic"):
            assert ours.criterion == pytest.approx(theirs.icbest, rel=1e-9, abs=1e-7)


def test_adf_agrees_at_5000_points_and_a_given_lag() -> None:
    series = make_series("walk", 5000, seed=5)
    for max_lag in (None, 0, 3, 40):
        ours = adf_test(series, max_lag=max_lag)
        theirs = adfuller(series, maxlag=max_lag, result_object=True)
        assert ours.used_lag == theirs.lags
        assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-8)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(30, 300),
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-1e3, 1e3),
)
def test_adf_does_not_change_with_the_unit_or_the_level(seed, n, scale, shift) -> None:
    series = make_series("arma", n, seed)
    plain, moved = adf_test(series), adf_test(scale * (series + shift))
    assert moved.used_lag == plain.used_lag
    assert moved.statistic == pytest.approx(plain.statistic, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("trend", ["n", "c", "ct", "ctt"])
@pytest.mark.parametrize("n_series", [1, 2])
def test_pvalues_and_critical_values_are_those_of_statsmodels(trend, n_series) -> None:
    grid = np.linspace(-30, 5, 701)
    theirs = np.array([mackinnonp(value, trend, n_series) for value in grid])
    assert [mackinnon.pvalue(v, trend, n_series) for v in grid] == pytest.approx(theirs, abs=1e-14)
    assert mackinnon.pvalues(grid, trend, n_series) == pytest.approx(theirs, abs=1e-14)
    if (trend, n_series) != ("n", 2):
        ours = list(mackinnon.critical_values(trend, n_series, 300).values())
        assert ours == pytest.approx(mackinnoncrit(n_series, trend, 300), abs=1e-12)


def test_the_published_5_percent_point_of_mackinnon_2010() -> None:
    # MacKinnon (2010), table 2, N = 1, constant, 5 %: β∞ = −2.86154, β1 = −2.8903, β2 = −4.234 …
    assert mackinnon.critical_values("c", 1)["5%"] == -2.86154
    assert mackinnon.critical_values("c", 2, 100)["5%"] == pytest.approx(-3.39791, abs=1e-4)


@pytest.mark.parametrize("trend", ["c", "ct"])
@pytest.mark.parametrize("lags", ["auto", "legacy", 0, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_kpss_equals_statsmodels(kind, lags, trend) -> None:
    series = make_series(kind, 400, seed=3)
    with warnings.catch_warnings():
        # statsmodels warns where its table ends; ours says so in the notes
        warnings.simplefilter("ignore")
        theirs = kpss(series, regression=trend, nlags=lags, result_object=True)
    ours = kpss_test(series, trend=trend, lags=lags)
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-8)
    assert ours.pvalue == pytest.approx(theirs.pvalue, abs=1e-8)
    assert ours.used_lag == theirs.lags
    assert bool(ours.notes) == (theirs.pvalue in (0.01, 0.10))


@pytest.mark.parametrize("trend", ["n", "c", "ct"])
@pytest.mark.parametrize("lags", [None, 0, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_phillips_perron_equals_arch(kind, lags, trend) -> None:
    series = make_series(kind, 300, seed=8)
    theirs = PhillipsPerron(series, lags=lags, trend=trend)
    ours = phillips_perron(series, trend=trend, lags=lags)
    assert ours.statistic == pytest.approx(theirs.stat, abs=1e-6 if kind == "walk" else 1e-8)
    assert ours.pvalue == pytest.approx(theirs.pvalue, abs=1e-6 if kind == "walk" else 1e-8)
    assert ours.used_lag == theirs.lags
    assert ours.critical_values == pytest.approx(theirs.critical_values, abs=1e-12)


@pytest.mark.parametrize("lag", [2, 5, 16])
@pytest.mark.parametrize("robust", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_variance_ratio_equals_arch(kind, robust, lag) -> None:
    series = make_series(kind, 300, seed=9)
    theirs = VarianceRatio(series, lags=lag, robust=robust)
    ours = variance_ratio(series, lag=lag, robust=robust)
    assert ours.ratio == pytest.approx(theirs.vr, rel=1e-8)
    assert ours.statistic == pytest.approx(theirs.stat, abs=1e-8)
    assert ours.pvalue == pytest.approx(theirs.pvalue, abs=1e-8)


def test_verdicts_name_the_side_of_each_null() -> None:
    walk, noise = make_series("walk", 500, 3), make_series("noise", 500, 3)
    assert adf_test(noise).verdict.startswith("Stationary")
    assert adf_test(walk).verdict.startswith("No evidence of stationarity")
    assert kpss_test(noise).verdict.startswith("Compatible with stationarity")
    assert kpss_test(walk).verdict.startswith("Not stationary")
    assert phillips_perron(noise).verdict.startswith("Stationary")
    assert variance_ratio(noise).verdict.startswith("Mean-reverting")
    assert variance_ratio(walk).verdict.startswith("Compatible with a random walk")


def test_a_result_is_read_by_name_as_attribute_and_as_mapping() -> None:
    result = adf_test(pd.Series(make_series("noise", 100, 2)))
    assert result["statistic"] == result.statistic
    assert result["pvalue"] == result.pvalue < 0.01
    assert set(result["critical_values"]) == {"1%", "5%", "10%"}
    assert "unit root" in result.null_hypothesis


@pytest.mark.parametrize("test", [adf_test, kpss_test, phillips_perron, variance_ratio])
class TestUnusableSeries:
    def test_too_few_values_are_counted_in_the_sentence(self, test) -> None:
        with pytest.raises(InsufficientData, match=r"at least 20 observations, found 7"):
            test(np.arange(7.0) ** 2)

    def test_nan_do_not_count_as_values(self, test) -> None:
        series = make_series("noise", 30, 1)
        series[::2] = np.nan
        with pytest.raises(InsufficientData, match="found 15"):
            test(series)

    def test_a_constant_series_is_refused_with_its_value(self, test) -> None:
        with pytest.raises(BadInput, match=r"constant at 3.5"):
            test(np.full(50, 3.5))

    def test_a_straight_line_is_refused(self, test) -> None:
        if test is kpss_test:
            with pytest.raises(BadInput, match="exactly on"):
                test(np.arange(50.0), trend="ct")
            return
        with pytest.raises(BadInput):
            test(np.arange(50.0))

    def test_infinite_values_are_refused(self, test) -> None:
        series = make_series("noise", 50, 1)
        series[3] = np.inf
        with pytest.raises(BadInput, match="infinite"):
            test(series)

    def test_nan_are_dropped(self, test) -> None:
        series = make_series("arma", 80, 1)
        holed = np.insert(series, [5, 40], np.nan)
        assert test(holed).statistic == test(series).statistic


def test_options_that_do_not_exist_are_named_with_those_that_do() -> None:
    series = make_series("noise", 50, 1)
    with pytest.raises(BadInput, match="'c', 'ct'"):
        adf_test(series, trend="quadratic")
    with pytest.raises(BadInput, match="autolag"):
        adf_test(series, autolag="hqic")
    with pytest.raises(BadInput, match="allow 0 to 23"):
        adf_test(series, max_lag=24)
    with pytest.raises(BadInput, match="2 or more"):
        variance_ratio(series, lag=1)


def _rejections(n_paths: int, n: int, autolag: str | None) -> float:
    from kernels import unitroot as kernel

    rng = np.random.default_rng(20240808)
    critical = mackinnon.critical_values("c", 1, n)["5%"]
    hits = 0
    for _ in range(n_paths):
        walk = np.cumsum(rng.normal(size=n))
        walk -= walk.mean()
        lag, criterion = (21, 1) if autolag else (1, 0)
        hits += kernel.adf(walk, 1, lag, criterion)[0] < critical
    return hits / n_paths


def test_adf_rejects_4_to_6_percent_of_random_walks() -> None:
    assert 0.04 <= _rejections(6_000, 1_000, "aic") <= 0.06
    assert 0.04 <= _rejections(6_000, 1_000, None) <= 0.06


@pytest.mark.nightly
def test_adf_rejects_4_to_6_percent_of_many_random_walks() -> None:
    for n in (250, 1_000, 2_000):
        assert 0.045 <= _rejections(40_000, n, None) <= 0.055
        assert 0.04 <= _rejections(40_000, n, "aic") <= 0.06
