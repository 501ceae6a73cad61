"""How much of a backtest is luck: probabilistic and deflated Sharpe, and CSCV.

All Sharpe ratios here are per candle, not annualised.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from errors import BadInput, InsufficientData
from trading.metrics import Figure

Array = NDArray[np.float64]
_EULER = 0.5772156649015329
MIN_RETURNS = 30


def probabilistic_sharpe(returns: Array, benchmark: float = 0.0) -> Figure:
    """Probability that the true Sharpe per candle is above ``benchmark``.

    Parameters
    ----------
    returns : (n,) float64
        Simple returns per candle.
    benchmark : float
        Sharpe per candle.

    References
    ----------
    Bailey, D. H., López de Prado, M. (2012). The Sharpe ratio efficient frontier. Journal of
    Risk 15(2), eq. 8.
    """
    if returns.size < MIN_RETURNS:
        return Figure(None, f"It takes {MIN_RETURNS} returns, there are {returns.size}.")
    deviation = returns.std(ddof=1)
    if not deviation > 0:
        return Figure(None, "Equity never changed.")
    centred = returns - returns.mean()
    m2 = float(np.mean(centred**2))
    skew = float(np.mean(centred**3)) / m2**1.5
    kurtosis = float(np.mean(centred**4)) / m2**2
    sharpe = float(returns.mean() / deviation)
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if not spread > 0:
        return Figure(None, "The returns are too skewed for the formula.")
    return Figure(float(ndtr((sharpe - benchmark) * math.sqrt((returns.size - 1) / spread))))


def expected_maximum_sharpe(trial_sharpes: Array) -> float:
    """Highest Sharpe per candle to be expected of as many trials without skill.

    Parameters
    ----------
    trial_sharpes : (k,) float64
        Of all trials made, per candle; NaN (never traded) counts as 0.

    References
    ----------
    Bailey, D. H., López de Prado, M. (2014). The deflated Sharpe ratio. Journal of Portfolio
    Management 40(5), eq. 1. Trials are taken for independent, which deflates too much rather than
    too little.
    """
    k = trial_sharpes.size
    if k < 2:
        return 0.0
    deviation = float(np.nan_to_num(trial_sharpes).std(ddof=1))
    first, second = ndtri(1.0 - 1.0 / k), ndtri(1.0 - 1.0 / (k * math.e))
    return deviation * float((1.0 - _EULER) * first + _EULER * second)


def deflated_sharpe(returns: Array, trial_sharpes: Array) -> Figure:
    """Probability that the chosen strategy has skill, given how many were tried.

    The probabilistic Sharpe against `expected_maximum_sharpe`; references there.
    """
    return probabilistic_sharpe(returns, expected_maximum_sharpe(trial_sharpes))


class Overfitting(NamedTuple):
    """Outcome of CSCV.

    ``probability`` that the best in sample is below the median out of sample; ``logits`` of its
    relative rank, one a split; ``loss_probability`` that its Sharpe out of sample is below 0.
    """

    probability: float
    logits: Array
    loss_probability: float
    splits: int


def cscv(blocks: Array, candles_a_block: float) -> Overfitting:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation.

    Parameters
    ----------
    blocks : (trials, b, 2) float64
        Sums of returns and of their squares of each trial in b equal blocks of time, b even.
    candles_a_block : float

    Raises
    ------
    BadInput
        Another shape, an odd number of blocks or more than 16.
    InsufficientData
        Fewer than two trials.

    References
    ----------
    Bailey, Borwein, López de Prado, Zhu (2017). The probability of backtest overfitting. Journal
    of Computational Finance 20(4), section 3.
    """
    if blocks.ndim != 3 or blocks.shape[2] != 2 or blocks.shape[1] % 2:
        raise BadInput(f"CSCV takes (trials, an even number of blocks, 2), found {blocks.shape}.")
    trials, b, _ = blocks.shape
    if not 2 <= b <= 16:
        raise BadInput(f"CSCV takes 2 to 16 blocks, found {b}.")
    if trials < 2:
        raise InsufficientData("The probability of overfitting", 2, trials)
    chosen = np.array(list(itertools.combinations(range(b), b // 2)))
    inside = np.zeros((len(chosen), b))
    np.put_along_axis(inside, chosen, 1.0, axis=1)
    n = candles_a_block * b / 2
    logits, losses = np.empty(len(inside)), 0
    for first in range(0, len(inside), 64):
        mask = inside[first : first + 64].T
        best = _sharpes(blocks, mask, n).argmax(axis=0)
        outside = _sharpes(blocks, 1.0 - mask, n)
        own = outside[best, np.arange(best.size)]
        below = (outside < own).sum(axis=0) + 0.5 * ((outside == own).sum(axis=0) - 1)
        rank = (below + 1.0) / (trials + 1.0)
        logits[first : first + 64] = np.log(rank / (1.0 - rank))
        losses += int((own < 0).sum())
    share = float(np.mean(logits < 0) + 0.5 * np.mean(logits == 0))
    return Overfitting(share, logits, losses / len(inside), len(inside))


def _sharpes(blocks: Array, mask: Array, n: float) -> Array:
    """Sharpe per candle of each trial over the blocks of each split, (trials, splits)."""
    mean = blocks[:, :, 0] @ mask / n
    variance = np.maximum(blocks[:, :, 1] @ mask / n - mean**2, 0.0)
    return np.divide(mean, np.sqrt(variance), out=np.zeros_like(mean), where=variance > 1e-300)
