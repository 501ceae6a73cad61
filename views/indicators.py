"""Lines over candles: moving averages, bands, VWAP and RSI; NaN where they cannot be known yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from candles import CandleColumns

Floats = NDArray[np.float64]
_DAY_MS = 86_400_000


def moving_average(values: Floats, window: int) -> Floats:
    """Mean of the last ``window`` values; NaN for the first ``window − 1``."""
    out = np.full(len(values), np.nan)
    if 0 < window <= len(values):
        # Sums of windows, not differences of running sums: those lose digits.
        out[window - 1 :] = np.lib.stride_tricks.sliding_window_view(values, window).mean(axis=1)
    return out


def bollinger(values: Floats, window: int, num_std: float) -> tuple[Floats, Floats]:
    """Upper and lower band: the moving average ± ``num_std`` sample deviations."""
    middle = moving_average(values, window)
    spread = np.full(len(values), np.nan)
    if 1 < window <= len(values):
        windows = np.lib.stride_tricks.sliding_window_view(values, window)
        spread[window - 1 :] = windows.std(axis=1, ddof=1)
    return middle + num_std * spread, middle - num_std * spread


def vwap(candles: CandleColumns) -> Floats:
    """Volume-weighted typical price (high + low + close) / 3 since 00:00 UTC.

    The first day shown begins with the first candle shown, wherever in the day that is.
    """
    if not len(candles):
        return np.empty(0)
    typical = (candles.high + candles.low + candles.close) / 3.0
    day = candles.open_ms // _DAY_MS
    starts = np.concatenate(([0], np.flatnonzero(np.diff(day)) + 1))
    out = np.empty(len(candles))
    for begin, end in zip(starts, np.append(starts[1:], len(candles)), strict=True):
        volume = np.cumsum(candles.volume[begin:end])
        turnover = np.cumsum(typical[begin:end] * candles.volume[begin:end])
        with np.errstate(invalid="ignore", divide="ignore"):
            out[begin:end] = turnover / volume
    return out


def rsi(close: Floats, window: int = 14) -> Floats:
    """Relative strength index, 0 to 100; NaN for the first ``window`` and where nothing moved.

    References
    ----------
    Wilder, J. W. (1978), New Concepts in Technical Trading Systems: gains and losses averaged
    over the first ``window`` changes, then smoothed with weight 1 / ``window``.
    """
    out = np.full(len(close), np.nan)
    if len(close) <= window:
        return out
    change = np.diff(close)
    gain = float(np.maximum(change[:window], 0).mean())
    loss = float(np.maximum(-change[:window], 0).mean())
    for i in range(window, len(close)):
        if i > window:
            step = change[i - 1]
            gain += (max(step, 0.0) - gain) / window
            loss += (max(-step, 0.0) - loss) / window
        out[i] = 100.0 * gain / (gain + loss) if gain + loss > 0 else np.nan
    return out


def rebased_percent(close: Floats, base: float | None = None) -> Floats:
    """Percent since ``base``, or since the first close."""
    if not len(close):
        return close
    return (close / (close[0] if base is None else base) - 1.0) * 100.0
