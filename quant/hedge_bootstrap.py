"""Intervals of any estimator of the hedge ratio, by a bootstrap that keeps the spread's memory.

Drawing observations, or residuals one by one, would break the memory that makes the ratio
uncertain. Here price2 stays as it was and the spread is made anew from its own dynamics,

    Δu_t = −κ·u_{t−1} + Σ_{0<k<p} γ_k·Δu_{t−k} + Σ_{k<p} ρ_k·Δx_{t−k} + v_t,

with v drawn from its residuals and κ freed of its bias: the sieve bootstrap of a cointegrating
regression. What the estimator makes of such data around the ratio they were made with is how far
it strays from the truth, its bias from the spread's correlation with price2 included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special

from errors import BadInput
from quant import long_run
from quant.estimators import Line
from quant.results import Interval, Run

_BURN_IN = 300
# Draws a task, each task with its own stream of random numbers: who does it is no matter.
_DRAWS_A_TASK = 50
# Numbers drawn at a time, for long prices.
_MOST = 2_000_000

Floats = NDArray[np.float64]


class Bootstrapped(NamedTuple):
    """Standard errors and intervals about `line`."""

    ratio_se: float
    ratio_interval: Interval
    intercept_se: float
    intercept_interval: Interval
    reverts: bool


def bootstrap(
    y: Floats,
    x: Floats,
    estimate: Callable[[Floats, Floats], Line],
    line: Line,
    *,
    confidence: float = 0.95,
    draws: int = 399,
    seed: int = 0,
    run: Run | None = None,
) -> Bootstrapped:
    """How far `estimate` strays, from `draws` made-up spreads.

    Parameters
    ----------
    y, x : arrays of shape (n,), n at least 50
    estimate : callable
        (y, x) → Line.
    line : Line
        What it made of the data.
    confidence : float
        Coverage of the intervals.
    draws, seed : int
        How many spreads, and the seed of the draws.
    run : callable, optional
        Does the tasks of 50 draws each; by default they are done here, one by one.

    Returns
    -------
    Bootstrapped
        Unbounded, with NaN errors and `reverts` false, where the spread shows no reversion.

    References
    ----------
    Chang, Park & Song (2006), Bootstrapping cointegrating regressions, section 3; Kilian (1998),
    Small-sample confidence intervals for impulse response functions, for removing the bias first.
    """
    if draws < 99:
        raise BadInput(f"A bootstrap interval needs at least 99 draws, found {draws}.")
    relation = long_run.long_run(y, x, confidence)
    truth = Line(relation.ratio, relation.intercept)
    model = _spread_model(y - truth.slope * x - truth.intercept, x, relation.order)
    factor, freedom = long_run.caution(model.speed, len(y))
    speed = model.speed / factor
    if not (relation.bounded and 0.0 < speed < 2.0):
        nowhere = Interval(-math.inf, math.inf)
        return Bootstrapped(math.nan, nowhere, math.nan, nowhere, False)
    size = max(1, min(_DRAWS_A_TASK, _MOST // len(x)))
    tasks = [
        (estimate, model, speed, truth, x, (seed, at), min(size, draws - at))
        for at in range(0, draws, size)
    ]
    parts = [strays(*task) for task in tasks] if run is None else run(strays, tasks)
    strayed = np.concatenate(parts)
    # the draws know the memory as if it were certain; Student's quantile does not
    wide = float(special.stdtrit(freedom, 0.975) / special.ndtri(0.975))
    ratio_se, ratio = _interval(strayed[:, 0], line.slope, confidence, wide)
    intercept_se, intercept = _interval(strayed[:, 1], line.intercept, confidence, wide)
    return Bootstrapped(ratio_se, ratio, intercept_se, intercept, True)


class _SpreadModel(NamedTuple):
    speed: float
    gammas: Floats
    rhos: Floats
    rest: Floats


def _spread_model(spread: Floats, x: Floats, order: int) -> _SpreadModel:
    """κ, γ, ρ and the residuals, by least squares."""
    du, dx = np.diff(spread), np.diff(x)
    n = len(du) - order + 1
    columns = [spread[order - 1 : -1], np.ones(n)]
    columns += [du[order - 1 - k : len(du) - k] for k in range(1, order)]
    columns += [dx[order - 1 - k : len(dx) - k] for k in range(order)]
    design = np.column_stack(columns)
    target = du[order - 1 :]
    beta, *_ = np.linalg.lstsq(design, target, rcond=None)
    rest = target - design @ beta
    rest *= math.sqrt(n / max(n - len(beta), 1))
    return _SpreadModel(
        -float(beta[0]), np.asarray(beta[2 : 1 + order]), np.asarray(beta[1 + order :]), rest
    )


def strays(
    estimate: Callable[[Floats, Floats], Line],
    model: _SpreadModel,
    speed: float,
    truth: Line,
    x: Floats,
    seed: tuple[int, ...],
    draws: int,
) -> Floats:
    """How far `estimate` is from the ratio and intercept of so many made-up spreads, (draws, 2)."""
    out = np.empty((draws, 2))
    for row, spread in enumerate(_made_up(model, speed, x, draws, np.random.default_rng(seed))):
        made = estimate(truth.slope * x + truth.intercept + spread, x)
        out[row] = made.slope - truth.slope, made.intercept - truth.intercept
    return out


def _made_up(
    model: _SpreadModel, speed: float, x: Floats, draws: int, rng: np.random.Generator
) -> Floats:
    """Spreads, each a row as long as x, after a burn-in."""
    n = len(x)
    dx = np.diff(x, prepend=x[0])
    # the moves of price2 during the burn-in are drawn, those after it are the real ones
    order = len(model.rhos)
    poly = _autoregression(speed, model.gammas)
    early = rng.choice(dx, size=(draws, _BURN_IN))
    moves = np.hstack([early, np.broadcast_to(dx, (draws, n))])
    shocks = rng.choice(model.rest, size=(draws, _BURN_IN + n))
    shocks += signal.lfilter(model.rhos, [1.0], moves - dx.mean(), axis=1)
    shocks[:, :order] = 0.0
    made = signal.lfilter([1.0], poly, shocks, axis=1)[:, _BURN_IN:]
    return np.ascontiguousarray(made)


def _autoregression(speed: float, gammas: Floats) -> Floats:
    """1 − a_1·L − a_2·L² … of the level, from the speed and the coefficients of its moves."""
    moves = np.concatenate([[1.0], -gammas])
    poly = np.convolve(moves, [1.0, -1.0])
    poly[1] += speed
    return poly


def _interval(
    strayed: Floats, value: float, confidence: float, wide: float
) -> tuple[float, Interval]:
    """Standard error, and the basic interval: what the estimate is less how far it strays."""
    low, middle, high = np.quantile(strayed, [0.5 - confidence / 2, 0.5, 0.5 + confidence / 2])
    centre = value - middle
    return (
        float(strayed.std(ddof=1) * wide),
        Interval(float(centre - (high - middle) * wide), float(centre - (low - middle) * wide)),
    )
