"""Hedge ratio, spread and z-score of a pair, each known at its candle's close.

Nothing here looks ahead: the ratio of a candle is made of that candle and earlier ones (fixed:
of a training window before all trading; Kalman: of the prior state).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from errors import BadInput, InsufficientData
from trading.candle_pair import Array, PairCandles, frozen_array

HedgeMethod = Literal["fixed", "rolling", "kalman", "given"]
METHODS = ("fixed", "rolling", "kalman", "given")


@dataclass(frozen=True, slots=True)
class HedgePlan:
    """How the hedge ratio is estimated, on the past only.

    Parameters
    ----------
    method : {"fixed", "rolling", "kalman", "given"}
        ``fixed``: least squares over the first ``window`` candles, held from then on; no signal
        before. ``rolling``: least squares over the last ``window``. ``kalman``: the prior state
        of the filter, which needs ``window`` candles to settle. ``given``: ``ratio`` itself.
    window : int
        Candles.
    ratio : float
        For ``given``.
    delta : float
        Kalman: how fast the state may wander, see `quant.hedge_paths.kalman`.
    """

    method: HedgeMethod = "rolling"
    window: int = 240
    ratio: float | None = None
    delta: float = 1e-6

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise BadInput(
                f"The hedge method is one of {', '.join(METHODS)}, found {self.method!r}."
            )
        if self.method == "given" and (self.ratio is None or not math.isfinite(self.ratio)):
            raise BadInput(f"A given hedge ratio is a finite number, found {self.ratio}.")
        if self.method != "given" and self.window < 3:
            raise BadInput(f"A hedge ratio needs a window of at least 3, found {self.window}.")

    @property
    def label(self) -> str:
        """Short name, as heat maps show it."""
        if self.method == "given":
            return f"given {self.ratio:g}"
        return f"{self.method} {self.window}"


class Signals(NamedTuple):
    """Known at each close, (n,) float64; NaN in warm-up."""

    hedge_ratio: Array
    spread: Array
    zscore: Array


class HedgeLine(NamedTuple):
    """Hedge ratio and spread at each close, (n,) float64."""

    hedge_ratio: Array
    spread: Array


def hedge_line(candles: PairCandles, plan: HedgePlan) -> HedgeLine:
    """The plan's ratio and spread = price1 − ratio · price2 − intercept, NaN in warm-up.

    Raises
    ------
    InsufficientData
        The window is longer than the data.
    """
    y, x = candles.close1, candles.close2
    if plan.method != "given" and plan.window > len(candles):
        raise InsufficientData(f"The hedge ratio ({plan.label})", plan.window, len(candles))
    if plan.method == "given":
        ratio = plan.ratio or 0.0
        return HedgeLine(frozen_array(np.full(y.size, ratio)), frozen_array(y - ratio * x))
    if plan.method == "fixed":
        ratio, intercept = _least_squares(y[: plan.window], x[: plan.window])
        ratios = np.full(y.size, ratio)
        spread = y - ratio * x - intercept
        ratios[: plan.window - 1] = spread[: plan.window - 1] = np.nan
    elif plan.method == "rolling":
        ratios, spread = _rolling(y, x, plan.window)
    else:
        ratios, spread = _kalman_prior(y, x, plan)
    return HedgeLine(frozen_array(ratios), frozen_array(spread))


def make_signals(candles: PairCandles, plan: HedgePlan, z_window: int) -> Signals:
    """Ratio, spread and its rolling z-score over ``z_window`` candles (ddof 1).

    Raises
    ------
    BadInput
        A window below 2.
    InsufficientData
        The windows are longer than the data.
    """
    check_windows(len(candles), plan, z_window)
    line = hedge_line(candles, plan)
    return Signals(line.hedge_ratio, line.spread, zscore_of(line.spread, z_window))


def zscore_of(spread: Array, window: int) -> Array:
    """Rolling z-score; NaN in warm-up and where the window does not vary."""
    from kernels.rolling import rolling_zscore

    return frozen_array(rolling_zscore(spread, window))


def check_windows(n: int, plan: HedgePlan, z_window: int) -> None:
    """Refuse windows that cannot be filled."""
    if z_window < 2:
        raise BadInput(f"The z-score needs a window of at least 2, found {z_window}.")
    needed = z_window + (0 if plan.method == "given" else plan.window - 1)
    if needed + 1 > n:
        raise InsufficientData("Hedge and z-score windows together", needed + 1, n)


def _least_squares(y: Array, x: Array) -> tuple[float, float]:
    dx = x - x.mean()
    variance = float(dx @ dx)
    if variance <= 0:
        raise BadInput("The second leg does not vary in the training window: no hedge ratio.")
    ratio = float(dx @ (y - y.mean())) / variance
    return ratio, float(y.mean() - ratio * x.mean())


def _rolling(y: Array, x: Array, window: int) -> tuple[Array, Array]:
    from kernels.rolling_pair import rolling_pair_moments

    mean_y, mean_x, _, sxx, sxy = rolling_pair_moments(y, x, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = sxy / np.where(sxx > 0, sxx, np.nan)
    return ratio, (y - mean_y) - ratio * (x - mean_x)


def _kalman_prior(y: Array, x: Array, plan: HedgePlan) -> tuple[Array, Array]:
    from kernels.regression import kalman

    noise = plan.delta / (1 - plan.delta)
    out = kalman(y / y[0], x / x[0], noise, noise, 1e-3, 1e6)
    ratio, innovation = out[0] * (y[0] / x[0]), out[4] * y[0]
    ratio[: plan.window - 1] = innovation[: plan.window - 1] = np.nan
    return ratio, innovation


def spread_volatility(
    candles: PairCandles, hedge_ratio: Array, window: int, candles_a_year: float
) -> NDArray[np.float64]:
    """Standard deviation a year of one unit's P&L, from the last ``window`` candles.

    The changes are those of price1 − ratio · price2 with the ratio of the candle before, which is
    what a frozen position earns.
    """
    from kernels.rolling import rolling_mean_std

    change = np.full(len(candles), np.nan)
    change[1:] = np.diff(candles.close1) - hedge_ratio[:-1] * np.diff(candles.close2)
    _, std = rolling_mean_std(change, window)
    return np.asarray(std * math.sqrt(candles_a_year))
