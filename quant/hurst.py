"""Does a series trend or revert? The Hurst exponent, tested against a random walk's ½."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from errors import BadInput
from quant.alignment import clean_series, require_varying
from quant.mean_reversion import normal_point
from quant.results import Interval, TestResult
from quant.unitroot import LEVEL, NORMAL_POINTS

MIN_HURST = 64
_LN2 = math.log(2.0)


@dataclass(frozen=True, kw_only=True)
class HurstResult(TestResult):
    """A :class:`TestResult` of H = ½ with the exponent.

    Attributes
    ----------
    hurst : float
        Below ½ the series reverts, above it trends.
    interval : Interval
        At `confidence`, with the standard error a random walk has.
    scales : tuple of int
        Candles of the changes compared.
    r_squared : float
        Of the line through the log variances: near 1 the series really scales.
    confidence : float
    """

    hurst: float
    interval: Interval
    scales: tuple[int, ...]
    r_squared: float
    confidence: float


def hurst_scales(n: int) -> int:
    """How many changes of 1, 2, 4 … candles `n` values compare: the longest is at most n / 16."""
    return min(7, int(math.log2(n / 16.0)) + 1)


def hurst_exponent(series: Any, confidence: float = 0.95) -> HurstResult:
    """Hurst exponent from the variance of changes over 1, 2, 4 … candles; the null is ½.

    Var[s(t + τ) − s(t)] ∝ τ^(2H): half the slope of its logarithm on that of τ.

    Parameters
    ----------
    series : Series or array, shape (n,)
        Levels (a spread or log prices), in time order. NaN are dropped. At least 64 values.
    confidence : float

    References
    ----------
    Mandelbrot, B. B., Van Ness, J. W. (1968). Fractional Brownian motions, fractional noises and
    applications. SIAM Review 10(4). Covariance of the variances under the null: Lo, A. W.,
    MacKinlay, A. C. (1988), Review of Financial Studies 1(1), eq. 14 and appendix.
    """
    from kernels.cointegration import hurst

    what = "the Hurst exponent"
    values = clean_series(series, what, MIN_HURST).values
    require_varying(values, what, "the series")
    n_scales = hurst_scales(len(values))
    logs = np.empty(n_scales)
    exponent = hurst(values - values.mean(), n_scales, logs)
    if not math.isfinite(exponent):
        raise BadInput(f"{what} found {len(values)} values on a straight line; nothing varies.")
    steps = np.arange(n_scales) - 0.5 * (n_scales - 1)
    residual = logs - logs.mean() - steps * 2.0 * exponent * _LN2
    r_squared = 1.0 - residual @ residual / np.sum((logs - logs.mean()) ** 2)
    error = _hurst_se(len(values) - 1, n_scales)
    z = (exponent - 0.5) / error
    p = math.erfc(abs(z) / math.sqrt(2.0))
    width = normal_point(confidence) * error
    if p >= LEVEL:
        verdict = f"Compatible with a random walk (H = {exponent:.3f}, p = {p:.3g})."
    else:
        kind = "Mean-reverting" if exponent < 0.5 else "Trending"
        verdict = f"{kind}: H = {exponent:.3f} differs from ½ at the 5 % level (p = {p:.3g})."
    return HurstResult(
        name="Hurst exponent",
        statistic=z,
        pvalue=p,
        critical_values=dict(NORMAL_POINTS),
        used_lag=2 ** (n_scales - 1),
        n_obs=len(values) - 1,
        null_hypothesis="The series is a random walk: H = ½.",
        verdict=verdict,
        hurst=exponent,
        interval=Interval(exponent - width, exponent + width),
        scales=tuple(2**k for k in range(n_scales)),
        r_squared=float(r_squared),
        confidence=confidence,
    )


def _hurst_se(n: int, n_scales: int) -> float:
    """Standard error of H for a random walk of `n` changes.

    Variance ratios at p ≤ q candles have covariance 2 (p − 1)(3q − p − 1) / (3 q n).
    """
    lags = 2.0 ** np.arange(n_scales)
    low, high = np.minimum.outer(lags, lags), np.maximum.outer(lags, lags)
    covariance = 2.0 * (low - 1.0) * (3.0 * high - low - 1.0) / (3.0 * high * n)
    steps = np.arange(n_scales) - 0.5 * (n_scales - 1)
    weights = steps / (steps @ steps) / (2.0 * _LN2)
    return float(math.sqrt(weights @ covariance @ weights))
