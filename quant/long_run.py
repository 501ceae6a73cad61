"""How sure the hedge ratio of cointegrated prices is.

The residuals of price1 on price2 are the spread, and a spread that takes many candles to revert is
no noise: textbook errors of the regression then cover the truth a fifth to a third of the time.
The interval here comes from the vector error correction form of the pair, in which either price
may follow the spread and their moves may be correlated,

    ΔY_t = m + α·(y_{t−1} − θ·x_{t−1}) + Σ_{0<k<p} Γ_k·ΔY_{t−k} + v_t,    Y = (y, x).

Its likelihood depends on θ through one squared canonical correlation

    λ(θ) = v'A v / v'S v,   v = (1, −θ),   A = S_10 S_00⁻¹ S_01,   S = S_11,

and the interval is every θ the likelihood-ratio test does not reject, which is where a quadratic
in θ is not negative. It is unbounded where the data do not show that the pair reverts at all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from errors import BadInput
from quant.results import Interval

MINIMUM = 50
_MAX_ORDER = 8
# Mean of the overestimate of the speed of reversion, times n; see `caution`.
_SPEED_BIAS = 4.0

Floats = NDArray[np.float64]


class LongRun(NamedTuple):
    """The long-run relation y = ratio·x + intercept and what it is known to."""

    ratio: float
    ratio_se: float
    ratio_interval: Interval
    intercept: float
    intercept_se: float
    intercept_interval: Interval
    speed: float
    order: int
    bounded: bool


def long_run(y: Floats, x: Floats, confidence: float = 0.95) -> LongRun:
    """The maximum-likelihood ratio of a cointegrated pair, with an interval that holds.

    Parameters
    ----------
    y, x : arrays of shape (n,)
        Two series without NaN, n at least 50, neither an exact multiple of the other.
    confidence : float
        Coverage of the intervals.

    Returns
    -------
    LongRun
        `speed` is the share of the spread that a candle takes back; `order` is p, by AIC from
        2 to 8. The intervals are (−inf, inf) where `bounded` is false. The standard errors are a
        quarter of the width of a 95.4 % interval, the two sides together.

    Notes
    -----
    Assumes that the pair is cointegrated. Coverage at 2,000 candles and half-lives of 5 to 20 is
    measured in ``tests/quant/test_long_run.py`` and stated in ``docs/methodology.md``.

    References
    ----------
    Johansen (1991), Estimation and hypothesis testing of cointegration vectors, theorems 2.1 and
    3.1; Marriott & Pope (1954), Bias in the estimation of autocorrelations.
    """
    my, mx, sy, sx = float(y.mean()), float(x.mean()), float(y.std()), float(x.std())
    system = _by_aic((y - my) / sy, (x - mx) / sx)
    unit = sy / sx
    spread = y - system.theta * unit * x
    speed, memory = _reversion(spread, system.order)
    factor, freedom = caution(speed, len(y))
    quantile = factor * float(special.stdtrit(freedom, 0.5 + 0.5 * confidence))
    interval, one_sigma = (_not_rejected(system, size) for size in (quantile, factor))
    ratio = Interval(interval.low * unit, interval.high * unit)
    ratio_se = 0.5 * (one_sigma.high - one_sigma.low) * unit
    centre = my - system.theta * unit * mx
    deviation = memory / math.sqrt(len(y))
    sides = [
        math.hypot(mx * (bound - system.theta * unit), quantile * deviation)
        if mx * (bound - system.theta * unit) != 0.0
        else quantile * deviation
        for bound in (ratio.high, ratio.low)
    ]
    low, high = sides if mx >= 0 else sides[::-1]
    return LongRun(
        ratio=system.theta * unit,
        ratio_se=ratio_se,
        ratio_interval=ratio,
        intercept=centre,
        intercept_se=math.hypot(mx * ratio_se, factor * deviation),
        intercept_interval=Interval(centre - low, centre + high),
        speed=speed,
        order=system.order,
        bounded=math.isfinite(ratio.low) and math.isfinite(ratio.high),
    )


class _System(NamedTuple):
    """What the likelihood of θ needs: A and S (2 × 2), the larger root, θ at it, n and p."""

    a: Floats
    s: Floats
    root: float
    theta: float
    n: int
    order: int


def _by_aic(y: Floats, x: Floats) -> _System:
    """The system with the order of the least AIC among those compared on one sample."""
    levels = np.column_stack([y, x])
    moves = np.diff(levels, axis=0)
    most = max(2, min(_MAX_ORDER, len(y) // 25))
    n = len(moves) - most + 1
    columns = [np.ones((n, 1))]
    for k in range(1, most):
        columns.append(moves[most - 1 - k : len(moves) - k])
    q, _ = np.linalg.qr(np.hstack(columns))
    both = np.hstack([moves[most - 1 :], levels[most - 1 : -1]])
    loadings = q.T @ both
    total = both.T @ both
    best, best_aic = None, math.inf
    # the models are nested in this order, so one factorisation has all of them
    for order in range(2, most + 1):
        used = loadings[: 2 * order - 1]
        try:
            system = _concentrated((total - used.T @ used) / n, n, order)
        except np.linalg.LinAlgError:
            break  # the lags explain every move: no noise is left to estimate from
        aic = system[1] + 2 * 4 * order / n
        if aic < best_aic:
            best, best_aic = system[0], aic
    if best is None:
        raise BadInput(
            "A long-run hedge ratio needs prices with noise; these follow exactly from their own "
            f"past at all {len(y)} observations."
        )
    return best


def _concentrated(moments: Floats, n: int, order: int) -> tuple[_System, float]:
    """The system from the moments of (ΔY, Y₋₁) less lags, and −2/n times its log-likelihood."""
    s00, s01, s11 = moments[:2, :2], moments[:2, 2:], moments[2:, 2:]
    a = s01.T @ np.linalg.solve(s00, s01)
    lower, free = np.linalg.cholesky(s11), np.linalg.cholesky(s00)
    half = np.linalg.solve(lower, np.linalg.solve(lower, a).T)
    roots, vectors = np.linalg.eigh(0.5 * (half + half.T))
    root = min(max(float(roots[-1]), 0.0), 1 - 1e-15)
    vector = np.linalg.solve(lower.T, vectors[:, -1])
    theta = -vector[1] / vector[0] if vector[0] != 0.0 else math.inf
    likelihood = 2.0 * float(np.log(np.diag(free)).sum()) + math.log1p(-root)
    return _System(a, s11, root, float(theta), n, order), likelihood


def _not_rejected(system: _System, quantile: float) -> Interval:
    """All θ at which n·ln((1 − λ(θ)) / (1 − λ)) does not exceed quantile²."""
    cut = 1.0 - (1.0 - system.root) * math.exp(quantile**2 / system.n)
    m = system.a - cut * system.s
    # v'Mv ≥ 0 with v = (1, −θ): m11·θ² − 2·m01·θ + m00 ≥ 0
    discriminant = m[0, 1] ** 2 - m[1, 1] * m[0, 0]
    if cut <= 0.0 or m[1, 1] >= 0.0 or discriminant < 0.0:
        return Interval(-math.inf, math.inf)
    root = math.sqrt(discriminant)
    ends = sorted(((m[0, 1] - root) / m[1, 1], (m[0, 1] + root) / m[1, 1]))
    return Interval(float(ends[0]), float(ends[1]))


def _reversion(spread: Floats, order: int) -> tuple[float, float]:
    """Speed of reversion of the spread, and the square root of its long-run variance."""
    moves = np.diff(spread)
    n = len(moves) - order + 1
    columns = [spread[order - 1 : -1] - spread.mean(), np.ones(n)]
    columns += [moves[order - 1 - k : len(moves) - k] for k in range(1, order)]
    design = np.column_stack(columns)
    beta, *_ = np.linalg.lstsq(design, moves[order - 1 :], rcond=None)
    rest = moves[order - 1 :] - design @ beta
    speed = float(-beta[0])
    deviation = math.sqrt(float(rest @ rest) / (n - len(beta)))
    return speed, deviation / max(speed, 1.0 / n)


def caution(speed: float, n: int) -> tuple[float, float]:
    """Factor of the errors, and degrees of freedom, for the memory of the spread.

    The speed is overestimated by about c/n, the more so for regressing on a wandering x; errors of
    the ratio go as 1/speed and come out too small by as much. A spread that reverts at that speed
    holds the information of n·(1 − φ)/(1 + φ) independent values, φ = 1 − speed.
    """
    least = 1.0 / n
    corrected = min(max(speed - _SPEED_BIAS / n, least), 1.0)
    factor = min(max(speed, least) / corrected, 3.0)
    return factor, max(n * corrected / (2.0 - corrected) - 2.0, 3.0)
