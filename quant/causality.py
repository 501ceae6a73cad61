"""Who moves first? Granger causality between two series, in both directions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import BadInput
from quant.alignment import align_pair, require_varying
from quant.results import ResultMapping, TestResult
from quant.unitroot import LEVEL

Array = NDArray[np.float64]

_WHAT = "the Granger test"


@dataclass(frozen=True, kw_only=True)
class GrangerResult(TestResult):
    """A :class:`TestResult` (F) of one direction.

    Attributes
    ----------
    cause, effect : str
    free : int
        Residual degrees of freedom, the denominator's of F; the numerator's is `used_lag`.
    """

    cause: str
    effect: str
    free: int


@dataclass(frozen=True, kw_only=True)
class GrangerBoth(ResultMapping):
    """Granger causality both ways.

    Attributes
    ----------
    forward : GrangerResult
        Does price1 help to predict price2?
    reverse : GrangerResult
        Does price2 help to predict price1?
    verdict : str
    """

    forward: GrangerResult
    reverse: GrangerResult
    verdict: str


def granger_causality(
    price1: Any,
    price2: Any,
    lags: int | None = None,
    max_lag: int = 10,
    returns: bool = True,
) -> GrangerBoth:
    """F tests of whether the past of one series helps to predict the other; the null is no.

    Parameters
    ----------
    price1, price2 : Series or array
        Joined on their common index, rows with a NaN dropped.
    lags : int, optional
        Candles of the past; by default what AIC picks from 1 … `max_lag` for each direction.
    max_lag : int
    returns : bool
        Test log returns (prices above 0), as the F distribution needs stationary series; False
        takes the series as they are.

    Raises
    ------
    InsufficientData
        Fewer rows than 20 plus three times the lags.
    BadInput
        Constant series, or one that the other explains without error.

    References
    ----------
    Granger, C. W. J. (1969). Investigating causal relations by econometric models and
    cross-spectral methods. Econometrica 37(3). F form: Hamilton, J. D. (1994). Time Series
    Analysis, eq. 11.2.9.
    """
    most = max_lag if lags is None else lags
    if most < 1:
        raise BadInput(f"lags are {most}; the past starts 1 candle back.")
    pair = align_pair(price1, price2, _WHAT, 20 + 3 * most + int(returns))
    y, x = pair.y, pair.x
    require_varying(y, _WHAT, "price1")
    require_varying(x, _WHAT, "price2")
    if returns:
        if min(y.min(), x.min()) <= 0:
            raise BadInput(
                f"{_WHAT} of returns needs prices above 0, found {min(y.min(), x.min()):g}."
            )
        y, x = np.diff(np.log(y)), np.diff(np.log(x))
    forward = _one_way(x, y, lags, max_lag, ("price1", "price2"))
    reverse = _one_way(y, x, lags, max_lag, ("price2", "price1"))
    return GrangerBoth(forward=forward, reverse=reverse, verdict=_verdict(forward, reverse))


def _verdict(forward: GrangerResult, reverse: GrangerResult) -> str:
    if forward.pvalue < LEVEL and reverse.pvalue < LEVEL:
        return "Each helps to predict the other at the 5 % level: they react to one another."
    for result in (forward, reverse):
        if result.pvalue < LEVEL:
            return f"{result.cause} leads: it helps to predict {result.effect}, not the other way."
    return "No evidence that either helps to predict the other."


def _design(effect: Array, cause: Array, lags: int, start: int) -> tuple[Array, Array]:
    """Target from `start` on, and a constant, its own lags, then the cause's."""
    n = len(effect)
    own = [effect[start - j : n - j] for j in range(1, lags + 1)]
    other = [cause[start - j : n - j] for j in range(1, lags + 1)]
    return effect[start:], np.column_stack([np.ones(n - start), *own, *other])


def _ssr(target: Array, design: Array) -> float:
    basis, triangle = np.linalg.qr(design)
    diagonal = np.abs(np.diag(triangle)) / np.linalg.norm(design, axis=0)
    if diagonal.min() < 1e-10:
        raise BadInput(f"{_WHAT} needs different series; one is a function of the other's past.")
    residual = target - basis @ (basis.T @ target)
    return float(residual @ residual)


def _best_lag(effect: Array, cause: Array, max_lag: int) -> int:
    """Lag with the smallest AIC of the joint regression, all on the sample of the longest."""
    values = []
    for lag in range(1, max_lag + 1):
        target, design = _design(effect, cause, lag, max_lag)
        ssr = _ssr(target, design)
        values.append(len(target) * math.log(max(ssr, 1e-300)) + 2 * design.shape[1])
    return int(np.argmin(values)) + 1


def _one_way(
    effect: Array, cause: Array, lags: int | None, max_lag: int, names: tuple[str, str]
) -> GrangerResult:
    from scipy.special import fdtrc, fdtri

    lag = _best_lag(effect, cause, max_lag) if lags is None else lags
    target, design = _design(effect, cause, lag, lag)
    free = len(target) - design.shape[1]
    joint, own = _ssr(target, design), _ssr(target, design[:, : lag + 1])
    centred = target - target.mean()
    if joint <= 1e-16 * (centred @ centred):
        raise BadInput(f"{_WHAT} found {names[1]} explained without error; nothing is random.")
    statistic = (own - joint) / lag / (joint / free)
    p = float(fdtrc(lag, free, statistic))
    cause_name, effect_name = names
    return GrangerResult(
        name="Granger causality",
        statistic=float(statistic),
        pvalue=p,
        critical_values={
            level: float(fdtri(lag, free, 1.0 - share))
            for level, share in (("1%", 0.01), ("5%", 0.05), ("10%", 0.10))
        },
        used_lag=lag,
        n_obs=len(target),
        null_hypothesis=f"The past of {cause_name} does not help to predict {effect_name}.",
        verdict=(
            f"{cause_name} helps to predict {effect_name} at the 5 % level (p = {p:.3g})."
            if p < LEVEL
            else f"No evidence that {cause_name} helps to predict {effect_name} (p = {p:.3g})."
        ),
        cause=cause_name,
        effect=effect_name,
        free=free,
    )
