"""Half-life, Ornstein–Uhlenbeck and Hurst: closed forms against numerical ones, and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.signal import lfilter
from statsmodels.api import OLS, add_constant

from errors import BadInput, InsufficientData
from quant.hurst import hurst_exponent
from quant.mean_reversion import half_life, ou_fit


def ar1(rng: np.random.Generator, n: int, rho: float, scale: float = 1.0) -> np.ndarray:
    """A stationary AR(1) that starts in its long-run distribution."""
    return stationary(rng.normal(size=n) * scale, rho)


def stationary(noise: np.ndarray, rho: float) -> np.ndarray:
    """The AR(1) that these shocks make, the first scaled to the long-run distribution."""
    shocks = noise.copy()
    shocks[0] /= math.sqrt(1 - rho * rho)
    return lfilter([1.0], [1.0, -rho], shocks)


def test_the_half_life_is_minus_ln_2_over_ln_of_1_plus_b_of_statsmodels() -> None:
    spread = ar1(np.random.default_rng(1), 800, 0.9) + 40
    regression = OLS(np.diff(spread), add_constant(spread[:-1])).fit()
    result = half_life(spread)
    assert result.coefficient == pytest.approx(regression.params[1], rel=1e-9)
    assert result.coefficient_se == pytest.approx(regression.bse[1], rel=1e-9)
    assert result.statistic == pytest.approx(regression.tvalues[1], rel=1e-9)
    assert result.half_life == pytest.approx(-math.log(2) / math.log(1 + regression.params[1]))
    assert result.interval.low < result.corrected < result.interval.high
    assert result.corrected > result.half_life


def test_a_faster_spread_has_a_shorter_half_life() -> None:
    rng = np.random.default_rng(2)
    values = [half_life(ar1(rng, 3000, 2 ** (-1 / h))).half_life for h in (2, 8, 30)]
    assert values == sorted(values)


def test_a_random_walk_may_never_return_and_the_interval_says_so() -> None:
    walk = np.cumsum(np.random.default_rng(3).normal(size=1000))
    result = half_life(walk)
    assert math.isinf(result.interval.high)
    assert result.verdict.startswith("No evidence")


def test_a_spread_that_explodes_or_alternates_has_no_half_life() -> None:
    rng = np.random.default_rng(4)
    growing = 1.05 ** np.arange(200) + rng.normal(size=200) * 0.01
    assert math.isinf(half_life(growing).half_life)
    assert math.isnan(ou_fit(growing).kappa)
    alternating = ar1(rng, 300, -0.7)
    assert math.isnan(half_life(alternating).half_life)
    assert "overshoots" in ou_fit(alternating).verdict


def test_ou_maximises_the_exact_transition_density() -> None:
    spread = ar1(np.random.default_rng(5), 500, 0.92, 0.3) + 7
    fit = ou_fit(spread, dt=0.5)

    def minus_log_likelihood(p: np.ndarray) -> float:
        kappa, theta, sigma = math.exp(p[0]), p[1], math.exp(p[2])
        decay = math.exp(-kappa * 0.5)
        variance = sigma**2 * (1 - decay**2) / (2 * kappa)
        error = spread[1:] - theta - (spread[:-1] - theta) * decay
        return 0.5 * np.sum(np.log(2 * math.pi * variance) + error**2 / variance)

    start = [math.log(fit.kappa * 1.2), fit.theta + 0.1, math.log(fit.sigma * 0.9)]
    best = minimize(
        minus_log_likelihood,
        start,
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-9, "maxiter": 4000},
    )
    assert fit.log_likelihood == pytest.approx(-best.fun, rel=1e-9)
    assert [fit.kappa, fit.theta, fit.sigma] == pytest.approx(
        [math.exp(best.x[0]), best.x[1], math.exp(best.x[2])], rel=1e-4
    )
    assert fit.half_life == pytest.approx(math.log(2) / fit.kappa)
    assert fit.half_life == pytest.approx(half_life(spread).half_life * 0.5)


def test_ou_errors_are_the_spread_of_the_estimates() -> None:
    rng = np.random.default_rng(6)
    fits = [ou_fit(ar1(rng, 2000, 0.9)) for _ in range(300)]
    for name in ("kappa", "theta", "sigma"):
        estimates = np.array([getattr(fit, name) for fit in fits])
        errors = np.array([getattr(fit, f"{name}_se") for fit in fits])
        assert errors.mean() == pytest.approx(estimates.std(), rel=0.15)


def test_the_expected_time_to_the_mean_solves_its_differential_equation() -> None:
    # Backward equation of dY = −Y dt + √2 dW: T'' − y T' = −1, T(0) = 0.
    fit = ou_fit(ar1(np.random.default_rng(7), 1000, 0.9))
    step = 1e-3

    def time(y: float) -> float:
        return fit.kappa * fit.expected_time_to_cross(fit.theta + y * fit.stationary_std)

    assert time(0.0) == 0.0
    for y in (0.5, 1.0, 2.0, 4.0):
        up, here, down = time(y + step), time(y), time(y - step)
        curve, slope = (up - 2 * here + down) / step**2, (up - down) / (2 * step)
        assert curve - y * slope == pytest.approx(-1.0, abs=1e-4)


def test_the_expected_time_to_the_mean_is_what_simulated_paths_take() -> None:
    fit = ou_fit(ar1(np.random.default_rng(8), 1000, 0.97))
    rng, step = np.random.default_rng(9), 0.002
    value, waiting = np.full(4000, 2.0), np.zeros(4000)
    alive = np.ones(4000, bool)
    while alive.any():
        value[alive] += -value[alive] * step + rng.normal(size=alive.sum()) * math.sqrt(2 * step)
        waiting[alive] += step
        alive &= value > 0
    expected = fit.kappa * fit.expected_time_to_cross(fit.theta + 2 * fit.stationary_std)
    # A path that is looked at only every step is found across a little late.
    assert waiting.mean() == pytest.approx(expected, rel=0.06)


def test_hurst_is_half_for_a_walk_below_for_a_spread_above_for_a_trend() -> None:
    rng = np.random.default_rng(10)
    noise = rng.normal(size=4000)
    assert hurst_exponent(np.cumsum(noise)).interval.covers(0.5)
    assert hurst_exponent(ar1(rng, 4000, 0.8)).hurst < 0.35
    trending = np.cumsum(np.convolve(noise, np.ones(30) / 30, "valid"))
    result = hurst_exponent(trending)
    assert result.hurst > 0.7
    assert result.verdict.startswith("Trending")
    assert hurst_exponent(5 * trending - 3).hurst == pytest.approx(result.hurst, abs=1e-9)


def test_hurst_of_fractional_noise_is_the_one_it_was_made_with() -> None:
    # Exact fractional Brownian motion from the Cholesky factor of its increments' covariance.
    rng, n = np.random.default_rng(11), 1500
    for truth in (0.3, 0.7):
        k = np.arange(n, dtype=float)
        gamma = 0.5 * ((k + 1) ** (2 * truth) - 2 * k ** (2 * truth) + abs(k - 1) ** (2 * truth))
        factor = np.linalg.cholesky(gamma[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))])
        found = [hurst_exponent(np.cumsum(factor @ rng.normal(size=n))).hurst for _ in range(20)]
        assert np.mean(found) == pytest.approx(truth, abs=0.03)


def test_hurst_rejects_about_5_percent_of_random_walks() -> None:
    rng = np.random.default_rng(12)
    hits = [hurst_exponent(np.cumsum(rng.normal(size=1000))).pvalue < 0.05 for _ in range(2000)]
    assert 0.035 <= np.mean(hits) <= 0.075


class TestUnusableSpreads:
    def test_too_few(self) -> None:
        with pytest.raises(InsufficientData, match="at least 30 observations, found 12"):
            half_life(np.arange(12.0))
        with pytest.raises(InsufficientData, match="at least 64"):
            hurst_exponent(np.arange(40.0))

    def test_constant_and_straight(self) -> None:
        for function in (half_life, ou_fit, hurst_exponent):
            with pytest.raises(BadInput, match="constant at 2"):
                function(np.full(100, 2.0))
        with pytest.raises(BadInput):
            half_life(np.arange(100.0))

    def test_options(self) -> None:
        spread = ar1(np.random.default_rng(1), 100, 0.5)
        with pytest.raises(BadInput, match="confidence"):
            half_life(spread, confidence=1.5)
        with pytest.raises(BadInput, match="dt is"):
            ou_fit(spread, dt=0)


def _coverage(n_paths: int, days: float, kind: str, endogeneity: float, seed: int) -> float:
    """How often both intervals cover, for a spread as `kind` says a user gets it."""
    rng = np.random.default_rng(seed)
    rho, n, hits = 2 ** (-1 / days), 2000, 0
    for _ in range(n_paths):
        noise = rng.normal(size=n)
        spread = stationary(noise, rho)
        if kind == "estimated":
            own = rng.normal(size=n)
            price2 = 500 + np.cumsum(endogeneity * noise + math.sqrt(1 - endogeneity**2) * own)
            price1 = 2 * price2 + 30 + spread
            ratio, intercept = np.polyfit(price2, price1, 1)
            spread = price1 - ratio * price2 - intercept
        covered = half_life(spread).interval.covers(days)
        assert covered == ou_fit(spread).kappa_interval.covers(math.log(2) / days)
        hits += covered
    return hits / n_paths


CASES = [
    (kind, days, endogeneity)
    for days in (5.0, 10.0, 20.0)
    for kind, endogeneity in (("observed", 0.0), ("estimated", 0.0), ("estimated", 0.6))
]


@pytest.mark.parametrize(("kind", "days", "endogeneity"), CASES)
def test_intervals_cover_the_planted_half_life_and_kappa(kind, days, endogeneity) -> None:
    # 400 paths: a standard error of 1.1 %, hence a little more room than the 93–97 % of the
    # nightly run.
    assert 0.92 <= _coverage(400, days, kind, endogeneity, seed=21) <= 0.98


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "days", "endogeneity"), CASES)
def test_intervals_cover_93_to_97_percent_of_many(kind, days, endogeneity) -> None:
    covered = _coverage(8000, days, kind, endogeneity, seed=22)
    print(f"{kind} {days} {endogeneity}: {covered:.4f}")
    assert 0.93 <= covered <= 0.97
