"""How fast does a spread come back, and how surely: half-life and Ornstein–Uhlenbeck.

A spread sampled once a candle is an AR(1), s(t) = c + ρ s(t − 1) + ε, and so is an
Ornstein–Uhlenbeck process dS = κ (θ − S) dt + σ dW seen at candles, with ρ = exp(−κ). The least
squares ρ is too small: by (1 + 3ρ) / n where the spread was observed (Kendall 1954), by about
(2 + 4ρ) / n where it is the residual of an estimated hedge ratio, which bends the spread towards
the sample. The intervals here invert the corrected estimate; coverage is in
``docs/methodology.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from errors import BadInput
from quant import mackinnon
from quant.alignment import clean_series, require_varying
from quant.results import Interval, TestResult
from quant.unitroot import LEVEL

Array = NDArray[np.float64]

MIN_HALF_LIFE = 30
_LN2 = math.log(2.0)


class _Bias(NamedTuple):
    """Of the least squares ρ: −(level + slope · ρ) / n, and its excess standard deviation."""

    level: float
    slope: float
    excess: float


# First-order bias: Kendall (1954), Marriott & Pope (1954) for an observed series; for the
# residual of a regression on one random walk, and for the excess of the standard deviation over
# √((1 − ρ²) / n), found by simulation (n = 500 and 2,000, half-lives 5 to 20, 8,000 paths each).
# None lies between the two, close enough to both where it is not known which it is.
_BIAS = {
    False: _Bias(1.0, 3.0, 4.0),
    True: _Bias(2.0, 4.0, 5.7),
    None: _Bias(1.5, 3.5, 5.0),
}


@dataclass(frozen=True, kw_only=True)
class HalfLifeResult(TestResult):
    """A :class:`TestResult` (Dickey–Fuller without lags) with the half-life.

    Attributes
    ----------
    half_life : float
        −ln 2 / ln(1 + b) in candles; ``inf`` where b ≥ 0, NaN where 1 + b ≤ 0 (the spread jumps
        to the other side within a candle).
    interval : Interval
        At `confidence`, in candles. The upper end is ``inf`` where a unit root cannot be excluded.
    corrected : float
        Half-life with the bias of b taken out; less prone to promise too fast a return.
    coefficient, coefficient_se : float
        b of Δs on s one candle before, and its least squares standard error.
    confidence : float
    """

    half_life: float
    interval: Interval
    corrected: float
    coefficient: float
    coefficient_se: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class OUFit(TestResult):
    """An Ornstein–Uhlenbeck process dS = κ (θ − S) dt + σ dW, by exact maximum likelihood.

    Attributes
    ----------
    kappa, theta, sigma : float
        Speed per unit of time, mean in the spread's unit, volatility per √unit of time.
    kappa_se, theta_se, sigma_se : float
        From the information matrix.
    kappa_interval, theta_interval, sigma_interval : Interval
        At `confidence`. That of κ comes from the bias-corrected ρ, as the half-life's does.
    half_life : float
        ln 2 / κ, in units of time.
    half_life_interval : Interval
    stationary_std : float
        Standard deviation the process has in the long run, σ / √(2κ).
    expected_time_to_mean : float
        From the last value to θ, in units of time.
    last : float
        The last value.
    log_likelihood : float
    dt : float
        Units of time a candle.
    confidence : float
    """

    kappa: float
    theta: float
    sigma: float
    kappa_se: float
    theta_se: float
    sigma_se: float
    kappa_interval: Interval
    theta_interval: Interval
    sigma_interval: Interval
    half_life: float
    half_life_interval: Interval
    stationary_std: float
    expected_time_to_mean: float
    last: float
    log_likelihood: float
    dt: float
    confidence: float

    def expected_time_to_cross(self, value: float) -> float:
        """Expected units of time until the process, now at `value`, first reaches θ.

        References
        ----------
        Siegert, A. J. F. (1951). On the first passage time probability problem. Physical
        Review 81(4), eq. 3.23, for the boundary at the mean.
        """
        if not (self.kappa > 0 and self.stationary_std > 0):
            return math.nan
        return _passage_time(abs(value - self.theta) / self.stationary_std) / self.kappa


def normal_point(confidence: float) -> float:
    """The normal distribution's two-sided point, 1.96 for 0.95; refuses what is no confidence."""
    from scipy.special import ndtri

    if not 0.5 <= confidence < 1.0:
        raise BadInput(f"confidence is {confidence}; allowed are 0.5 to below 1.")
    return float(ndtri(0.5 + confidence / 2.0))


def persistence_interval(
    rho: float, n: int, confidence: float = 0.95, estimated_ratio: bool | None = None
) -> Interval:
    """The ρ that are compatible with the least squares estimate `rho` of `n` transitions.

    Every ρ₀ at which `rho` is not in the outer tails of a normal distribution with mean
    ρ₀ − (a + b ρ₀) / n and standard deviation √((1 − ρ₀²) / n) · (1 + c / (n (1 − ρ₀))). The upper
    end is 1 where that reaches the unit root's neighbourhood, 6 / n below 1.
    """
    bias, z = _BIAS[estimated_ratio], normal_point(confidence)

    def distance(at: float) -> float:
        expected = at - (bias.level + bias.slope * at) / n
        spread = math.sqrt((1.0 - at * at) / n) * (1.0 + bias.excess / (n * (1.0 - at)))
        return (rho - expected) / spread

    highest = 1.0 - 6.0 / n
    low = _where(distance, z, -1.0 + 1e-9, highest)
    high = _where(distance, -z, -1.0 + 1e-9, highest)
    return Interval(low, high if high < highest else 1.0)


def _where(distance: Any, level: float, low: float, high: float) -> float:
    """The ρ at which the decreasing `distance` passes `level`; an end of the range beyond it."""
    from scipy.optimize import brentq

    if distance(low) <= level:
        return low
    if distance(high) >= level:
        return high
    return float(brentq(lambda at: distance(at) - level, low, high, xtol=1e-12))


def _half_life(rho: float) -> float:
    if rho >= 1.0:
        return math.inf
    return -_LN2 / math.log(rho) if rho > 0.0 else math.nan


def _half_life_interval(rho: Interval) -> Interval:
    low, high = (_half_life(end) if end > 0.0 else 0.0 for end in rho)
    return Interval(low, high)


class _AR1(NamedTuple):
    values: Array
    slope: float
    slope_se: float

    @property
    def n(self) -> int:
        return len(self.values) - 1


def _fit(spread: Any, what: str) -> _AR1:
    from kernels.cointegration import reversion

    values = clean_series(spread, what, MIN_HALF_LIFE, "the spread").values
    require_varying(values, what, "the spread")
    slope, error = reversion(values - values.mean())
    if not error > 1e-12 * (abs(slope) + 1e-3):
        raise BadInput(f"{what} found {len(values)} values without anything random in them.")
    return _AR1(values, slope, error)


def _dickey_fuller(fit: _AR1, estimated_ratio: bool | None) -> dict[str, Any]:
    """The fields of a :class:`TestResult` for b = 0."""
    t = fit.slope / fit.slope_se
    series = 2 if estimated_ratio else 1
    p = mackinnon.pvalue(t, "c", series)
    return {
        "statistic": t,
        "pvalue": p,
        "critical_values": mackinnon.critical_values("c", series, fit.n),
        "used_lag": 0,
        "n_obs": fit.n,
        "null_hypothesis": "The spread does not revert: it is a random walk.",
    }


def half_life(
    spread: Any, confidence: float = 0.95, estimated_ratio: bool | None = None
) -> HalfLifeResult:
    """Candles until a deviation is expected to have halved, −ln 2 / ln(1 + b), with an interval.

    b is the least squares slope of Δs on a constant and s one candle before. Books often print
    −ln 2 / b instead, the half-life of continuous decay at rate b; the two agree where b is small.

    Parameters
    ----------
    spread : Series or array, shape (n,)
        In time order. NaN are dropped. At least 30 values.
    confidence : float
        Coverage of the interval.
    estimated_ratio : bool, optional
        True where the spread is the residual of a hedge ratio estimated on these candles, False
        where it was observed or the ratio fixed before. By default the interval allows for either.

    Raises
    ------
    InsufficientData
        Below 30 values.
    BadInput
        A constant spread, or one without randomness.

    References
    ----------
    Kendall, M. G. (1954). Note on bias in the estimation of autocorrelation. Biometrika 41, 403.
    """
    fit = _fit(spread, "the half-life")
    rho = 1.0 + fit.slope
    interval = _half_life_interval(persistence_interval(rho, fit.n, confidence, estimated_ratio))
    bias = _BIAS[estimated_ratio]
    corrected = (fit.n * rho + bias.level) / (fit.n - bias.slope)
    value = _half_life(rho)
    test = _dickey_fuller(fit, estimated_ratio)
    return HalfLifeResult(
        name="Half-life",
        **test,
        verdict=_half_life_verdict(value, interval, test["pvalue"], confidence),
        half_life=value,
        interval=interval,
        corrected=_half_life(corrected),
        coefficient=fit.slope,
        coefficient_se=fit.slope_se,
        confidence=confidence,
    )


def _half_life_verdict(value: float, interval: Interval, p: float, confidence: float) -> str:
    if math.isnan(value):
        return "The spread overshoots its mean within one candle; there is no half-life."
    upper = "never" if math.isinf(interval.high) else f"{interval.high:.3g} candles"
    between = f"{confidence:.0%} interval {interval.low:.3g} candles to {upper}"
    if p < LEVEL:
        return f"Reverts with a half-life of {value:.3g} candles ({between})."
    return f"No evidence that the spread reverts (p = {p:.3g}); half-life {value:.3g} ({between})."


def ou_fit(
    spread: Any,
    dt: float = 1.0,
    confidence: float = 0.95,
    estimated_ratio: bool | None = None,
) -> OUFit:
    """κ, θ and σ of an Ornstein–Uhlenbeck process by exact maximum likelihood.

    Exact: the Gaussian transition density over one candle is used, no Euler step; the likelihood
    is conditional on the first value, whose maximum is in closed form.

    Parameters
    ----------
    spread : Series or array, shape (n,)
        Equally spaced, in time order. NaN are dropped. At least 30 values.
    dt : float
        Units of time a candle: 1 gives κ per candle.
    confidence, estimated_ratio
        As in :func:`half_life`.

    Returns
    -------
    OUFit
        Where the spread does not revert (ρ ≥ 1) or overshoots (ρ ≤ 0) no process fits: κ, θ, σ
        are NaN and the verdict says why.

    References
    ----------
    Tang, C. Y., Chen, S. X. (2009). Parameter estimation and bias correction for diffusion
    processes. Journal of Econometrics 149(1), eqs. 2.4–2.6.
    """
    if not dt > 0:
        raise BadInput(f"dt is {dt}; a candle lasts more than no time.")
    fit = _fit(spread, "the Ornstein–Uhlenbeck fit")
    rho, n, test = 1.0 + fit.slope, fit.n, _dickey_fuller(fit, estimated_ratio)
    if not 0.0 < rho < 1.0:
        return _no_process(fit, test, dt, confidence)
    before, after = fit.values[:-1], fit.values[1:]
    theta = float(before.mean() + (after.mean() - before.mean()) / (1.0 - rho))
    noise = after - theta - rho * (before - theta)
    variance = float(noise @ noise / n)
    kappa = -math.log(rho) / dt
    sigma = math.sqrt(variance * 2.0 * kappa / (1.0 - rho * rho))
    stationary = math.sqrt(variance / (1.0 - rho * rho))
    rho_se = math.sqrt((1.0 - rho * rho) / n)
    theta_se = math.sqrt(variance / n) / (1.0 - rho)
    # ln σ² = ln of the noise variance + ln κ − ln(1 − ρ²) + const; its two parts are independent.
    by_rho = 1.0 / (rho * math.log(rho)) + 2.0 * rho / (1.0 - rho * rho)
    sigma_se = 0.5 * sigma * math.sqrt(2.0 / n + (by_rho * rho_se) ** 2)
    z = normal_point(confidence)
    rho_interval = persistence_interval(rho, n, confidence, estimated_ratio)
    kappa_low, kappa_high = (
        -math.log(end) / dt if end > 0.0 else math.inf for end in reversed(rho_interval)
    )
    last = float(fit.values[-1])
    halves = _half_life_interval(rho_interval)
    value = _half_life(rho) * dt
    return OUFit(
        name="Ornstein–Uhlenbeck",
        **test,
        verdict=_half_life_verdict(_half_life(rho), halves, test["pvalue"], confidence),
        kappa=kappa,
        theta=theta,
        sigma=sigma,
        kappa_se=rho_se / (rho * dt),
        theta_se=theta_se,
        sigma_se=sigma_se,
        kappa_interval=Interval(kappa_low + 0.0, kappa_high),
        theta_interval=Interval(theta - z * theta_se, theta + z * theta_se),
        sigma_interval=Interval(
            sigma * math.exp(-z * sigma_se / sigma), sigma * math.exp(z * sigma_se / sigma)
        ),
        half_life=value,
        half_life_interval=Interval(halves.low * dt, halves.high * dt),
        stationary_std=stationary,
        expected_time_to_mean=_passage_time(abs(last - theta) / stationary) / kappa,
        last=last,
        log_likelihood=-0.5 * n * (math.log(2.0 * math.pi * variance) + 1.0),
        dt=dt,
        confidence=confidence,
    )


def _no_process(fit: _AR1, test: dict[str, Any], dt: float, confidence: float) -> OUFit:
    wanders = fit.slope >= 0.0
    unknown = Interval(math.nan, math.nan)
    names = ("kappa", "theta", "sigma", "kappa_se", "theta_se", "sigma_se", "stationary_std")
    missing: dict[str, Any] = dict.fromkeys(names, math.nan)
    return OUFit(
        name="Ornstein–Uhlenbeck",
        **test,
        **missing,
        verdict=(
            "The spread drifts away instead of reverting; no mean-reverting process fits."
            if wanders
            else "The spread overshoots its mean within one candle; no such process fits."
        ),
        kappa_interval=unknown,
        theta_interval=unknown,
        sigma_interval=unknown,
        half_life=math.inf if wanders else math.nan,
        half_life_interval=unknown,
        expected_time_to_mean=math.nan,
        last=float(fit.values[-1]),
        log_likelihood=math.nan,
        dt=dt,
        confidence=confidence,
    )


def _passage_time(z: float) -> float:
    """κ times the expected first passage from `z` stationary standard deviations to the mean.

    ∫₀^z √(π/2) · erfcx(u / √2) du.
    """
    from scipy.special import erfcx

    nodes, weights = np.polynomial.legendre.leggauss(40)
    u = 0.5 * z * (nodes + 1.0)
    return float(0.5 * z * (weights @ erfcx(u / math.sqrt(2.0))) * math.sqrt(math.pi / 2.0))
