"""Values that rules on candle closes watch, from arrays of closed candles. Pure."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from candles import CandleColumns
from errors import BadInput
from trading.alerts import AlertRule

Floats = NDArray[np.float64]


class Reading(NamedTuple):
    """A metric's value with what it was made of; NaN with a ``why`` where there is none."""

    value: float
    detail: dict[str, Any]


def candles_needed(rule: AlertRule) -> int:
    """How many closed candles of each symbol the metric is made of."""
    return rule.window + 1


def reading(rule: AlertRule, first: CandleColumns, second: CandleColumns | None) -> Reading:
    """The metric at the last of the closed candles.

    Parameters
    ----------
    first, second : CandleColumns
        Closed candles of price1 and, for a pair, price2, oldest first, the newest last.
    """
    if second is None:
        return _own_history(rule, first)
    common, i, j = np.intersect1d(first.open_ms, second.open_ms, return_indices=True)
    if len(common) < rule.window:
        return _nothing(f"{len(common)} common candles, {rule.window} are needed")
    y, x = first.close[i][-rule.window - 1 :], second.close[j][-rule.window - 1 :]
    detail = {"price1": float(y[-1]), "price2": float(x[-1])}
    if rule.metric == "correlation":
        return _correlation(y, x, detail)
    y, x = y[-rule.window :], x[-rule.window :]
    if rule.metric == "cointegration":
        return _cointegration(y, x, detail)
    return _spread(rule, y, x, detail)


def _nothing(why: str) -> Reading:
    return Reading(math.nan, {"why": why})


def _own_history(rule: AlertRule, candles: CandleColumns) -> Reading:
    if len(candles) < rule.window + 1:
        return _nothing(f"{len(candles)} candles, {rule.window + 1} are needed")
    is_volume = rule.metric == "volume"
    values = candles.volume if is_volume else np.log(candles.high / candles.low)
    mean = float(values[-rule.window - 1 : -1].mean())
    if mean <= 0:
        return _nothing("the history is all zero")
    return Reading(float(values[-1]) / mean, {"now": float(values[-1]), "mean": mean})


def _correlation(y: Floats, x: Floats, detail: dict[str, Any]) -> Reading:
    dy, dx = np.diff(np.log(y)), np.diff(np.log(x))
    if not (dy.std() > 0 and dx.std() > 0):
        return _nothing("a price did not move")
    return Reading(float(np.corrcoef(dy, dx)[0, 1]), detail)


def _cointegration(y: Floats, x: Floats, detail: dict[str, Any]) -> Reading:
    from quant.cointegration import engle_granger

    try:
        result = engle_granger(y, x)
    except BadInput as error:
        return _nothing(str(error))
    return Reading(float(result.pvalue), {**detail, "statistic": float(result.statistic)})


def _spread(rule: AlertRule, y: Floats, x: Floats, detail: dict[str, Any]) -> Reading:
    """Least squares over the window: spread and its z-score are of the window's own fit."""
    dx, dy = x - x.mean(), y - y.mean()
    variance = float(dx @ dx)
    if variance <= 0:
        return _nothing("price2 did not move")
    ratio = float(dx @ dy) / variance
    residual = dy - ratio * dx
    detail = {**detail, "hedge_ratio": ratio}
    if rule.metric == "spread":
        return Reading(float(residual[-1]), detail)
    scale = float(residual.std(ddof=1))
    if not scale > 1e-12 * float(abs(y).max()):
        return _nothing("the spread is constant")
    return Reading(float(residual[-1]) / scale, {**detail, "spread": float(residual[-1])})
