"""Volatility from closes or from whole candles, annualised by the candle's length."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candles import timeframe_ms
from errors import BadInput, InsufficientData
from quant.alignment import as_float_series

YEAR_MS = 365 * 24 * 3_600_000
"""Crypto trades around the clock: a year is 365 × 24 hours."""

METHODS: tuple[str, ...] = ("realised", "parkinson", "garman_klass", "yang_zhang")

Floats = NDArray[np.float64]


def candles_per_year(timeframe: str) -> float:
    """How many candles of `timeframe` a year has."""
    return YEAR_MS / timeframe_ms(timeframe)


def volatility(
    candles: Any,
    method: str = "realised",
    window: int = 20,
    *,
    timeframe: str | None = None,
    annualise: bool = True,
) -> pd.Series:
    """Rolling volatility of log prices, as a fraction (0.8 is 80 %).

    Parameters
    ----------
    candles : DataFrame of one symbol with ``open``, ``high``, ``low``, ``close``
        For ``realised`` a Series or array of closes will do. The index, or a column ``timestamp``,
        tells the candle's length.
    method : str
        ``realised``: root mean square of close-to-close log returns. ``parkinson``: of high and
        low. ``garman_klass``: of open, high, low, close. ``yang_zhang``: of these and the gap from
        the close before, with drift; the only one right for both.
    window : int
        Candles, at least 2.
    timeframe : str, optional
        The candle's length, where the times do not tell it.
    annualise : bool
        Multiply by √(candles in 365 × 24 h). False gives volatility per candle.

    Returns
    -------
    Series
        On the candles' index; NaN in warm-up and where the window holds a NaN. ``realised`` and
        ``yang_zhang`` need one candle more than the window, for the close before the first.

    Raises
    ------
    BadInput
        For an unknown method, missing columns, more than one symbol, a high below a low, prices
        not positive, or a length that is not known.
    InsufficientData
        Where there are too few candles for one window.

    References
    ----------
    Andersen & Bollerslev (1998), Answering the skeptics; Parkinson (1980), The extreme value
    method, eq. 4; Garman & Klass (1980), On the estimation of security price volatilities, eq. 20
    in its practical form; Yang & Zhang (2000), Drift-independent volatility estimation, eqs. 9
    and 12.
    """
    if method not in METHODS:
        raise BadInput(f"There is no volatility {method!r}; there are {', '.join(METHODS)}.")
    if not window >= 2 or window != int(window):
        raise BadInput(f"A window is a whole number of at least 2 candles, found {window}.")
    needed = window + (method in ("realised", "yang_zhang"))
    if len(candles) < needed:
        raise InsufficientData(f"{method} volatility over {window} candles", needed, len(candles))
    frame = _checked(candles, method)
    variance = _VARIANCES[method](np.log(frame), window)
    factor = math.sqrt(_per_year(candles, timeframe)) if annualise else 1.0
    values = np.sqrt(np.maximum(variance.to_numpy(), 0.0)) * factor
    return pd.Series(values, index=frame.index, name=f"{method}_volatility")


def _realised(log: pd.DataFrame, window: int) -> pd.Series:
    return _mean(log["close"].diff() ** 2, window)


def _parkinson(log: pd.DataFrame, window: int) -> pd.Series:
    return _mean((log["high"] - log["low"]) ** 2, window) / (4 * math.log(2))


def _garman_klass(log: pd.DataFrame, window: int) -> pd.Series:
    body = (log["close"] - log["open"]) ** 2
    return _mean(0.5 * (log["high"] - log["low"]) ** 2 - (2 * math.log(2) - 1) * body, window)


def _yang_zhang(log: pd.DataFrame, window: int) -> pd.Series:
    gap = log["open"] - log["close"].shift(1)
    body = log["close"] - log["open"]
    up, down = log["high"] - log["open"], log["low"] - log["open"]
    inside = up * (up - body) + down * (down - body)
    k = 0.34 / (1.34 + (window + 1) / (window - 1))
    return _variance(gap, window) + k * _variance(body, window) + (1 - k) * _mean(inside, window)


_VARIANCES = {
    "realised": _realised,
    "parkinson": _parkinson,
    "garman_klass": _garman_klass,
    "yang_zhang": _yang_zhang,
}


def _mean(values: pd.Series, window: int) -> pd.Series:
    from kernels import rolling as kernel

    mean, _ = kernel.rolling_mean_std(values.to_numpy(), window)
    return pd.Series(mean, index=values.index)


def _variance(values: pd.Series, window: int) -> pd.Series:
    from kernels import rolling as kernel

    _, std = kernel.rolling_mean_std(values.to_numpy(), window)
    return pd.Series(std**2, index=values.index)


def _checked(candles: Any, method: str) -> pd.DataFrame:
    """The columns the method reads, positive, and high not below low."""
    if not isinstance(candles, pd.DataFrame):
        if method != "realised":
            raise BadInput(f"{method} volatility needs a frame with open, high, low and close.")
        candles = as_float_series(candles, "closes").to_frame("close")
    names = {"realised": ["close"], "parkinson": ["high", "low"]}.get(
        method, ["open", "high", "low", "close"]
    )
    missing = [name for name in names if name not in candles.columns]
    if missing:
        raise BadInput(f"{method} volatility needs the column {missing[0]}, which is missing.")
    if "symbol" in candles.columns and candles["symbol"].nunique() > 1:
        raise BadInput(f"Volatility is of one symbol; the frame has {candles['symbol'].nunique()}.")
    frame = candles[names].astype(np.float64)
    if (frame <= 0).any(axis=None):
        raise BadInput("Volatility needs positive prices; at least one is zero or negative.")
    if "high" in names and (frame["high"] < frame["low"]).any():
        where = int((frame["high"] < frame["low"]).sum())
        raise BadInput(f"In {where} candles the high is below the low.")
    return frame


def _per_year(candles: Any, timeframe: str | None) -> float:
    if timeframe is not None:
        return candles_per_year(timeframe)
    times = None
    if isinstance(candles, pd.DataFrame) and "timestamp" in candles.columns:
        times = pd.DatetimeIndex(pd.to_datetime(candles["timestamp"], utc=True))
    elif isinstance(getattr(candles, "index", None), pd.DatetimeIndex):
        times = candles.index
    if times is None or len(times) < 2:
        raise BadInput(
            "The candle's length is not known: give timeframe, such as '1min', or annualise=False."
        )
    # gaps make single steps longer, never shorter
    step_ms = float(np.min(np.diff(times.as_unit("ms").asi8)))
    if step_ms <= 0:
        raise BadInput("The candles' times have to rise, one candle a time.")
    return YEAR_MS / step_ms
