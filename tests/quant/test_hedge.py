"""Hedge ratios held to outside truth, planted markets and laws."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, signal, sparse, stats

from analytics import Analytics
from errors import BadInput, InsufficientData
from quant.hedge import METHODS
from quant.results import HedgeFit, HedgePath

STATIC = ("ols", "huber", "theil_sen", "tls", "lad", "ransac")


def market(n: int = 1_000, seed: int = 0, half_life: float = 10.0, outliers: float = 0.0):
    """price1 = 2·price2 + 5 + a spread of the half-life; price2 a random walk."""
    rng = np.random.default_rng(seed)
    x = 100 + 0.3 * rng.normal(size=n).cumsum()
    phi = 2 ** (-1 / half_life)
    spread = signal.lfilter([1], [1, -phi], rng.normal(size=n + 300))[300:] * 0.2
    hit = rng.random(n) < outliers
    spread[hit] += rng.normal(size=hit.sum()) * 30
    return 2 * x + 5 + spread, x


# ---- outside truth ---------------------------------------------------------------------------


def test_ols_is_that_of_statsmodels_to_ten_digits():
    import statsmodels.api as sm

    y, x = market()
    theirs = sm.OLS(y, sm.add_constant(x)).fit()
    fit = Analytics.fit_hedge(y, x, "ols", errors="iid")
    assert fit.ratio == pytest.approx(theirs.params[1], rel=1e-10)
    assert fit.intercept == pytest.approx(theirs.params[0], rel=1e-9)
    assert fit.r_squared == pytest.approx(theirs.rsquared, rel=1e-10)
    assert fit.ratio_se == pytest.approx(theirs.bse[1], rel=1e-9)
    assert fit.intercept_se == pytest.approx(theirs.bse[0], rel=1e-9)
    np.testing.assert_allclose(fit.ratio_interval, theirs.conf_int()[1], rtol=1e-9)
    np.testing.assert_allclose(fit.residuals, theirs.resid, atol=1e-9)


def test_ols_reproduces_the_certified_values_of_norris():
    # NIST Statistical Reference Datasets, Norris (linear regression), certified values
    data = """0.1 0.2;338.8 337.4;118.1 118.2;888.0 884.6;9.2 10.1;228.1 226.5;668.5 666.3;
    998.5 996.3;449.1 448.6;778.9 777.0;559.2 558.2;0.3 0.4;0.1 0.6;778.1 775.5;668.8 666.9;
    339.3 338.0;448.9 447.5;10.8 11.6;557.7 556.0;228.3 228.1;998.0 995.8;888.8 887.6;119.6 120.2;
    0.3 0.3;0.6 0.3;557.6 556.8;339.3 339.1;888.0 887.2;998.5 999.0;778.9 779.0;10.2 11.1;
    117.6 118.3;228.9 229.2;668.4 669.1;449.2 448.9;0.2 0.5"""
    y, x = np.array([row.split() for row in data.split(";")], dtype=float).T
    fit = Analytics.fit_hedge(y, x, errors="iid")
    assert fit.ratio == pytest.approx(1.00211681802045, rel=1e-12)
    assert fit.intercept == pytest.approx(-0.262323073774029, rel=1e-11)
    assert fit.ratio_se == pytest.approx(0.429796848199937e-03, rel=1e-11)
    assert fit.intercept_se == pytest.approx(0.232818234301152, rel=1e-11)
    assert fit.r_squared == pytest.approx(0.999993745883712, rel=1e-13)


@pytest.mark.parametrize("epsilon", [1.1, 1.35, 2.0])
def test_huber_is_at_the_optimum_of_scikit_learns_objective(epsilon):
    from sklearn.linear_model import HuberRegressor

    y, x = market(outliers=0.1)
    sy, sx = y.std(), x.std()
    standard = ((x - x.mean()) / sx)[:, None], (y - y.mean()) / sy
    theirs = HuberRegressor(epsilon=epsilon, alpha=0.0, tol=1e-10, max_iter=5_000).fit(*standard)
    ratio, intercept = Analytics.calculate_hedge_ratio(y, x, "huber", epsilon=epsilon)
    assert ratio == pytest.approx(theirs.coef_[0] * sy / sx, rel=1e-6)

    def objective(slope: float, level: float) -> float:
        """Profile over the scale, by its own minimisation."""
        r = np.abs(y - slope * x - level) / sy

        def at(log_scale: float) -> float:
            s = math.exp(log_scale)
            z = r / s
            loss = np.where(z < epsilon, z**2, 2 * epsilon * z - epsilon**2)
            return len(y) * s + s * loss.sum()

        return optimize.minimize_scalar(at, bracket=(-5, 0), tol=1e-12).fun

    best = objective(ratio, intercept)
    mine = theirs.coef_[0] * sy / sx
    level = y.mean() + theirs.intercept_ * sy - mine * x.mean()
    assert best <= objective(mine, level) * (1 + 1e-12)
    for nudge in (1e-4, -1e-4):
        assert best < objective(ratio + nudge, intercept - nudge * x.mean())


def test_huber_on_raw_prices_finds_what_was_planted():
    rng = np.random.default_rng(5)
    x = 60_000 + 50 * rng.normal(size=2_000).cumsum()
    y = 0.05 * x + 10 + rng.normal(size=2_000)
    y[rng.random(2_000) < 0.1] += 500
    assert Analytics.calculate_hedge_ratio(y, x, "huber")[0] == pytest.approx(0.05, rel=2e-3)


@pytest.mark.parametrize("digits", [8, 1, 0])
def test_theil_sen_is_that_of_scipy_with_ties_too(digits):
    y, x = (np.round(side, digits) for side in market(300, outliers=0.1))
    theirs = stats.theilslopes(y, x)
    ours = Analytics.calculate_hedge_ratio(y, x, "theil_sen")
    assert ours == pytest.approx((theirs[0], theirs[1]), rel=1e-11)


@pytest.mark.parametrize("digits", [8, 1, 0])
def test_lad_is_as_good_as_a_linear_programme(digits):
    y, x = (np.round(side, digits) for side in market(200, outliers=0.1))
    n = len(y)
    design = sparse.csr_matrix(np.c_[x, -x, np.ones(n), -np.ones(n)])
    a = sparse.hstack([design, sparse.eye(n), -sparse.eye(n)])
    cost = np.r_[np.zeros(4), np.ones(2 * n)]
    theirs = optimize.linprog(cost, A_eq=a, b_eq=y, method="highs")
    ratio, intercept = Analytics.calculate_hedge_ratio(y, x, "lad")
    loss = np.abs(y - ratio * x - intercept).sum()
    assert loss == pytest.approx(theirs.fun, rel=1e-9)


def test_tls_is_the_smallest_singular_vector():
    y, x = market()
    _, _, rows = np.linalg.svd(np.c_[x - x.mean(), y - y.mean()], full_matrices=False)
    ratio, _ = Analytics.calculate_hedge_ratio(y, x, "tls")
    assert ratio == pytest.approx(-rows[1, 0] / rows[1, 1], rel=1e-10)


def test_ransac_finds_what_scikit_learns_finds():
    from sklearn.linear_model import RANSACRegressor

    y, x = market(outliers=0.3)
    theirs = RANSACRegressor(residual_threshold=1.0, max_trials=500, random_state=0)
    theirs.fit(x[:, None], y)
    ours = Analytics.calculate_hedge_ratio(y, x, "ransac", threshold=1.0)
    assert ours[0] == pytest.approx(theirs.estimator_.coef_[0], rel=5e-2)
    assert ours == Analytics.calculate_hedge_ratio(y, x, "ransac", threshold=1.0)


def test_rolling_ols_is_that_of_statsmodels():
    import statsmodels.api as sm
    from statsmodels.regression.rolling import RollingOLS

    y, x = market(300)
    theirs = RollingOLS(y, sm.add_constant(x), window=40).fit()
    path = Analytics.fit_hedge(y, x, "rolling_ols", window=40)
    np.testing.assert_allclose(path.ratio, theirs.params[:, 1], rtol=1e-8)
    np.testing.assert_allclose(path.intercept, theirs.params[:, 0], rtol=1e-7)
    np.testing.assert_allclose(path.ratio_se, theirs.bse[:, 1], rtol=1e-6)
    np.testing.assert_allclose(path.ratio_prior[1:], path.ratio[:-1])


def matrix_kalman(y, x, noise, variance, initial):
    """The same filter in matrices, the covariance in Joseph's form."""
    state, cov = np.zeros(2), np.eye(2) * initial
    priors, posteriors = [], []
    for i in range(len(y)):
        if i:
            cov = cov + noise * np.eye(2)
        priors.append(state)
        h = np.array([x[i], 1.0])
        gain = cov @ h / (h @ cov @ h + variance)
        state = state + gain * (y[i] - h @ state)
        keep = np.eye(2) - np.outer(gain, h)
        cov = keep @ cov @ keep.T + variance * np.outer(gain, gain)
        posteriors.append(state)
    return np.array(priors), np.array(posteriors), cov


@pytest.mark.parametrize("log_prices", [False, True])
def test_kalman_is_that_in_matrix_form(log_prices):
    y, x = market(400)
    path = Analytics.fit_hedge(
        y, x, "kalman", log_prices=log_prices, delta=1e-5, observation_variance=1e-3,
        initial_variance=10.0, normalise=False,
    )  # fmt: skip
    if log_prices:
        y, x = np.log(y), np.log(x)
    prior, posterior, cov = matrix_kalman(y, x, 1e-5 / (1 - 1e-5), 1e-3, 10.0)
    np.testing.assert_allclose(path.ratio_prior[1:], prior[1:, 0], rtol=1e-8)
    np.testing.assert_allclose(path.ratio_posterior, posterior[:, 0], rtol=1e-8)
    np.testing.assert_allclose(path.intercept_posterior, posterior[:, 1], rtol=1e-8, atol=1e-8)
    assert path.ratio_se.iloc[-1] == pytest.approx(math.sqrt(cov[0, 0]), rel=1e-6)


def test_kalman_with_a_constant_state_is_least_squares():
    y, x = market(500)
    ols = Analytics.calculate_hedge_ratio(y, x)
    path = Analytics.fit_hedge(y, x, "kalman", delta=0.0, initial_variance=1e8)
    assert path.ratio_posterior.iloc[-1] == pytest.approx(ols[0], rel=1e-5)


# ---- planted markets -------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_planted_ratio(method):
    y, x = market(3_000, seed=4, half_life=5)
    ratio, intercept = Analytics.calculate_hedge_ratio(y, x, method)
    if isinstance(ratio, pd.Series):
        ratio = ratio.iloc[100:].median()
    else:
        assert isinstance(ratio, float)
        assert isinstance(intercept, float)
    assert ratio == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("method", ["huber", "theil_sen", "lad", "ransac"])
def test_robust_methods_pass_over_outliers(method):
    y, x = market(2_000, seed=4, half_life=1, outliers=0.2)
    y[::10] += 200
    ratio, intercept = Analytics.calculate_hedge_ratio(y, x, method)
    assert ratio * x.mean() + intercept == pytest.approx(2 * x.mean() + 5, abs=2)
    assert ratio == pytest.approx(2.0, abs=0.1)


def test_kalman_follows_a_ratio_that_moves():
    rng = np.random.default_rng(0)
    x = 100 + rng.normal(size=4_000).cumsum()
    truth = np.linspace(1.5, 2.5, 4_000)
    y = truth * x + 0.1 * rng.normal(size=4_000)
    ratio, intercept = Analytics.calculate_hedge_ratio(y, x, "kalman", delta=1e-5)
    error = ratio * x + intercept - truth * x
    assert error.iloc[500:].abs().max() < 10
    assert abs(ratio.iloc[-1] - ratio.iloc[500]) > 0.3


# ---- laws ------------------------------------------------------------------------------------

numbers = st.floats(0.01, 100.0)


@given(seed=st.integers(0, 500), a=numbers, b=numbers, c=st.floats(-50, 50), d=st.floats(-50, 50))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("method", ["ols", "huber", "theil_sen", "lad"])
def test_regressions_are_equivariant_to_scale_and_shift(method, seed, a, b, c, d):
    y, x = market(80, seed, outliers=0.1)
    ratio, intercept = Analytics.calculate_hedge_ratio(y, x, method)
    moved = Analytics.calculate_hedge_ratio(a * y + c, b * x + d, method)
    assert moved[0] == pytest.approx(ratio * a / b, rel=1e-6, abs=1e-8)
    expected = a * intercept + c - moved[0] * d
    assert moved[1] == pytest.approx(expected, rel=1e-5, abs=1e-4 * a)


@given(seed=st.integers(0, 500))
@settings(max_examples=30, deadline=None)
def test_tls_of_swapped_legs_is_the_reciprocal(seed):
    y, x = market(80, seed)
    there, level = Analytics.calculate_hedge_ratio(y, x, "tls")
    back, level_back = Analytics.calculate_hedge_ratio(x, y, "tls")
    assert there * back == pytest.approx(1.0, rel=1e-10)
    assert level_back == pytest.approx(-level / there, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("method", ["rolling_ols", "kalman"])
@pytest.mark.parametrize("cut", [100, 250, 399])
def test_truncating_the_future_changes_no_past_ratio(method, cut):
    y, x = market(400)
    whole = Analytics.fit_hedge(y, x, method)
    part = Analytics.fit_hedge(y[:cut], x[:cut], method)
    for name in ("ratio", "intercept", "ratio_prior", "ratio_posterior", "residuals"):
        np.testing.assert_allclose(part[name], whole[name][:cut], rtol=1e-9, atol=1e-9)


@given(a=st.floats(1e-3, 1e3), b=st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_kalman_does_not_depend_on_the_units_of_the_prices(a, b):
    y, x = market(100)
    before = Analytics.calculate_hedge_ratio(y, x, "kalman")[0]
    after = Analytics.calculate_hedge_ratio(a * y, b * x, "kalman")[0]
    np.testing.assert_allclose(after, before * a / b, rtol=1e-6)


@pytest.mark.parametrize("method", STATIC)
def test_an_exact_relation_is_found_exactly_and_without_error(method):
    x = 100 + np.random.default_rng(0).normal(size=100).cumsum()
    fit = Analytics.fit_hedge(2 * x + 5, x, method)
    assert fit.ratio == pytest.approx(2.0, rel=1e-9)
    assert fit.intercept == pytest.approx(5.0, rel=1e-7)
    assert fit.ratio_se == 0.0
    assert "exact" in fit.notes[0]


# ---- the richer call -------------------------------------------------------------------------


@pytest.mark.parametrize("method", STATIC)
def test_a_fit_has_ratio_errors_r_squared_residuals_method_and_n(method):
    y, x = market(1_500)
    y[3] = np.nan
    fit = Analytics.fit_hedge(y, x, method, draws=99)
    assert isinstance(fit, HedgeFit)
    assert (fit.ratio, fit.intercept) == Analytics.calculate_hedge_ratio(y, x, method)
    assert fit.ratio_interval.low < fit.ratio < fit.ratio_interval.high
    assert fit.ratio_interval.covers(2.0)
    assert fit.intercept_interval.covers(5.0)
    assert 0 < fit.ratio_se < 0.2
    assert 0.9 < fit.r_squared < 1
    assert (fit.method, fit.n, fit.dropped) == (method, 1_499, 1)
    np.testing.assert_allclose(
        fit.residuals, Analytics.calculate_spread(y, x, fit.ratio, fit.intercept), atol=1e-9
    )
    assert fit["ratio"] == fit.ratio


def test_a_path_has_prior_and_posterior():
    y, x = market(400)
    path = Analytics.fit_hedge(y, x, "kalman")
    assert isinstance(path, HedgePath)
    assert math.isnan(path.ratio_prior.iloc[0])
    assert not path.ratio_posterior.isna().any()
    pd.testing.assert_series_equal(path.ratio, path.ratio_prior)
    expected = y - path.ratio_prior * x - path.intercept_prior
    np.testing.assert_allclose(path.residuals[1:], expected[1:], atol=1e-8)
    assert (path.residual_variance[1:] > 0).all()
    assert path.r_squared > 0.5


def test_log_prices_give_the_elasticity():
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(size=500).cumsum() * 0.01) * 100
    y = 3 * x**1.5 * np.exp(rng.normal(size=500) * 1e-4)
    fit = Analytics.fit_hedge(y, x, log_prices=True)
    assert fit.log_prices
    assert fit.ratio == pytest.approx(1.5, abs=1e-2)
    with pytest.raises(BadInput, match="price2 has 1 that are not"):
        Analytics.fit_hedge(y, np.r_[-1.0, x[1:]], log_prices=True)


def test_errors_of_a_short_sample_are_withheld_with_a_reason():
    y, x = market(49)
    fit = Analytics.fit_hedge(y, x)
    assert math.isnan(fit.ratio_se)
    assert "at least 50 observations, found 49" in fit.notes[0]


def test_where_nothing_shows_reversion_the_interval_is_unbounded_and_says_so():
    y, x = market(400)
    for method in ("ols", "huber"):
        fit = Analytics.fit_hedge(y, x, method)
        assert fit.ratio_interval == (-math.inf, math.inf)
        assert "unbounded" in fit.notes[0]


def test_the_same_seed_gives_the_same_bootstrap():
    y, x = market(1_000)
    first, again, other = (
        Analytics.fit_hedge(y, x, "huber", draws=99, seed=seed).ratio_interval for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


# ---- what cannot be done ---------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_too_little_constant_or_misaligned_prices_say_so(method):
    y, x = market(100)
    with pytest.raises(InsufficientData, match="found 2"):
        Analytics.calculate_hedge_ratio(y[:2], x[:2], method)
    with pytest.raises(BadInput, match="price2 is constant at 7 over all 100"):
        Analytics.calculate_hedge_ratio(y, np.full(100, 7.0), method)
    with pytest.raises(BadInput, match="price1 is constant"):
        Analytics.calculate_hedge_ratio(np.full(100, 7.0), x, method)
    with pytest.raises(BadInput, match="price1 has 100 values and price2 99"):
        Analytics.calculate_hedge_ratio(y, x[1:], method)
    with pytest.raises(InsufficientData, match="found 0"):
        Analytics.calculate_hedge_ratio(y * np.nan, x, method)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"method": "magic"}, "There is no method 'magic'; there are ols, huber"),
        ({"method": "ols", "window": 3}, "ols has no option 'window'; it takes none"),
        ({"method": "huber", "window": 3}, "it takes epsilon"),
        ({"method": "huber", "epsilon": 0.5}, "epsilon above 1, found 0.5"),
        ({"method": "rolling_ols", "window": 2}, "at least 3 candles, found 2"),
        ({"method": "kalman", "delta": 1.0}, "found 1.0"),
        ({"method": "kalman", "observation_variance": 0.0}, "variances above 0"),
        ({"method": "ransac", "trials": 0}, "at least one trial"),
        ({"method": "ransac", "threshold": -1.0}, "threshold above 0"),
    ],
)
def test_wrong_options_say_what_is_allowed(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        Analytics.calculate_hedge_ratio(*market(100), **arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"errors": "none at all"}, "there are auto, long_run, bootstrap, iid, none"),
        ({"confidence": 1.0}, "between 0 and 1, found 1.0"),
        ({"method": "lad", "errors": "iid"}, "lad has bootstrap or none"),
        ({"errors": "bootstrap", "draws": 10}, "at least 99 draws, found 10"),
    ],
)
def test_wrong_errors_say_what_is_allowed(arguments, sentence):
    with pytest.raises(BadInput, match=sentence):
        Analytics.fit_hedge(*market(100), **arguments)


def test_a_window_longer_than_the_data_is_insufficient():
    with pytest.raises(InsufficientData, match="needs at least 60 observations, found 50"):
        Analytics.calculate_hedge_ratio(*market(50), method="rolling_ols")
