"""Stationary-bootstrap intervals for Sharpe and return.

Worked out on request: a thousand resamples cost more than the backtest itself.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from errors import BadInput, InsufficientData
from quant.results import Run
from trading.metrics import sharpe_ratio

Array = NDArray[np.float64]
MIN_RETURNS = 30
# Resamples a task, each task with its own stream of random numbers: who does it is no matter.
SAMPLES_A_TASK = 100
# Longer samples are first summed into as many stretches: intervals do not need each candle.
MAX_RETURNS = 20_000


class Interval(NamedTuple):
    """Estimate and its interval."""

    estimate: float
    low: float
    high: float


class BootstrapResult(NamedTuple):
    """Intervals at ``confidence``; Sharpe annualised, return total, block length in candles."""

    sharpe: Interval
    total_return: Interval
    confidence: float
    samples: int
    block: float


def optimal_block(returns: Array) -> float:
    """Mean block length of the stationary bootstrap, in observations, at least 1.

    References
    ----------
    Politis, D. N., White, H. (2004). Automatic block-length selection for the dependent
    bootstrap. Econometric Reviews 23(1), section 3; with the correction of Patton, Politis, White
    (2009), Econometric Reviews 28(4).
    """
    x = returns - returns.mean()
    n = x.size
    variance = float(x @ x) / n
    if variance <= 0:
        return 1.0
    run = max(5, int(math.log10(n)))
    most = min(int(math.ceil(math.sqrt(n))) + run, n - 1)
    cov = np.array([float(x[k:] @ x[: n - k]) / n for k in range(most + 1)])
    bound = 2.0 * math.sqrt(math.log10(n) / n)
    small = np.abs(cov[1:] / variance) < bound
    cut = most
    for m in range(most - run + 1):
        if small[m : m + run].all():
            cut = m
            break
    m = min(2 * max(cut, 1), most)
    lags = np.arange(-m, m + 1)
    window = np.minimum(1.0, 2.0 * (1.0 - np.abs(lags) / m))
    weighted = window * cov[np.abs(lags)]
    g, total = float((weighted * np.abs(lags)).sum()), float(weighted.sum())
    if total == 0:
        return 1.0
    longest = math.ceil(min(3.0 * math.sqrt(n), n / 3.0))
    return float(min(max((g * g / (total * total) * n) ** (1.0 / 3.0), 1.0), longest))


def bootstrap_intervals(
    returns: Array,
    periods_a_year: float,
    *,
    samples: int = 1000,
    confidence: float = 0.95,
    block: float | None = None,
    seed: int = 0,
    run: Run | None = None,
) -> BootstrapResult:
    """Percentile intervals of Sharpe (annualised) and total return.

    Parameters
    ----------
    returns : (n,) float64
        Simple returns per candle, at least 30. Above 20,000 they are first compounded into as
        many stretches of equal length.
    periods_a_year : float
    samples, confidence, block, seed
        Number of resamples; level; mean block length in candles (`optimal_block` where None).
    run : callable, optional
        Does the tasks of 100 resamples each; by default they are done here, one by one.

    References
    ----------
    Politis, D. N., Romano, J. P. (1994). The stationary bootstrap. Journal of the American
    Statistical Association 89(428), section 2.
    """
    if returns.size < MIN_RETURNS:
        raise InsufficientData("A bootstrap interval", MIN_RETURNS, int(returns.size))
    if not 0 < confidence < 1 or samples < 20:
        raise BadInput(
            f"The level is between 0 and 1 and samples at least 20, found {confidence}, {samples}."
        )
    if (returns <= -1).any():
        raise BadInput("Equity was used up: there is no return to resample.")
    stretch = -(-returns.size // MAX_RETURNS)
    logs = np.add.reduceat(np.log1p(returns), np.arange(0, returns.size, stretch))
    coarse = np.expm1(logs)
    length = optimal_block(coarse) if block is None else max(block / stretch, 1.0)
    tasks = [
        (coarse, logs, length, (seed, at), min(SAMPLES_A_TASK, samples - at))
        for at in range(0, samples, SAMPLES_A_TASK)
    ]
    parts = [resampled(*task) for task in tasks] if run is None else run(resampled, tasks)
    out = np.concatenate(parts)
    n = coarse.size
    deviation = np.sqrt(np.maximum((out[:, 1] - out[:, 0] ** 2) * n / (n - 1), 0.0))
    sharpes = np.divide(out[:, 0], deviation, out=np.zeros(samples), where=deviation > 0)
    tails = [50 * (1 - confidence), 50 * (1 + confidence)]
    low, high = np.percentile(sharpes * math.sqrt(periods_a_year / stretch), tails)
    low_return, high_return = np.percentile(np.expm1(out[:, 2]), tails)
    return BootstrapResult(
        Interval(sharpe_ratio(returns, periods_a_year), float(low), float(high)),
        Interval(math.expm1(float(logs.sum())), float(low_return), float(high_return)),
        confidence,
        samples,
        length * stretch,
    )


def resampled(
    returns: Array, logs: Array, block: float, seed: tuple[int, ...], samples: int
) -> Array:
    """Moments of so many resamples, (samples, 3); see `kernels.resample.resampled_moments`."""
    from kernels.resample import resampled_moments

    out = np.empty((samples, 3))
    resampled_moments(np.random.default_rng(seed), returns, logs, block, out)
    return out
