"""The state machine of the spread on its two thresholds, and the trades it makes."""

from __future__ import annotations

import math
from typing import Any

from numba import njit, types

from kernels.types import F1, F2W, b1, f8, i8

I1B = types.Array(types.int8, 1, "C")
I1N = types.Array(types.int64, 1, "C")
I2N = types.Array(types.int64, 2, "C")
I1R = types.Array(types.int64, 1, "C", readonly=True)
B1R = types.Array(types.uint8, 1, "C", readonly=True)
B1W = types.Array(types.uint8, 1, "C")


@njit(b1(F1), cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def all_finite(values: Any) -> Any:
    """Whether no value is NaN or infinite."""
    total = 0.0
    for k in range(values.size):
        total += values[k] - values[k]
    return total == 0.0


@njit(i8(F1, f8, f8, i8, I1B, I1N, I1N), cache=True, nogil=True, error_model="numpy")
def state_machine(
    z: Any, entry_th: Any, exit_th: Any, lag: Any, positions: Any, signal_in: Any, signal_out: Any
) -> Any:
    """Positions and trades of the two thresholds; number of trades.

    Parameters
    ----------
    z : (n,) float64
    entry_th, exit_th : float
    lag : int
        Candles from signal to fill, 0 or 1.
    positions : (n,) int8, zeros
        Written: side held at each candle, from its fill on.
    signal_in, signal_out : (≥ n // 2 + 1,) int64
        Written: candles of the signals; −1 where the trade is open at the end. The side is
        ``positions[signal_in + lag]``.
    """
    last = z.size - lag
    count = 0
    i = 0
    while i < last:
        value = z[i]
        if value > entry_th:
            side = -1
        elif value < -entry_th:
            side = 1
        else:
            i += 1
            continue
        j = i + 1
        if side > 0:
            while j < last and not z[j] >= -exit_th:
                j += 1
        else:
            while j < last and not z[j] <= exit_th:
                j += 1
        positions[i + lag : j + lag] = side
        signal_in[count] = i
        signal_out[count] = j if j < last else -1
        count += 1
        i = j + 1
    return count


@njit(
    types.void(F1, F1, i8, I1B, I1N, I1N, F2W, I2N, I2N, I2N),
    cache=True,
    nogil=True,
    error_model="numpy",
)
def gather_trades(
    spread: Any,
    z: Any,
    lag: Any,
    positions: Any,
    signal_in: Any,
    signal_out: Any,
    values: Any,
    fills: Any,
    holding: Any,
    codes: Any,
) -> Any:
    """Fill in the columns of the trades that `state_machine` found.

    Parameters
    ----------
    spread, z : (n,) float64
    lag, positions, signal_in, signal_out
        As `state_machine` took and wrote them.
    values : (5, k) float64
        Written: entry price, entry z, exit price, exit z, P&L. Exit is NaN for an open trade,
        whose P&L is marked at the last spread. z is that of the signal, the price of the fill.
    fills : (2, k) int64
        Written: candles of the fills, −1 for the exit of an open trade.
    holding : (1, k) int64
        Written: candles held.
    codes : (2, k) int64
        Written: side + 1, and 1 where closed.
    """
    for k in range(values.shape[1]):
        entry = signal_in[k] + lag
        side = positions[entry]
        values[0, k] = spread[entry]
        values[1, k] = z[signal_in[k]]
        fills[0, k] = entry
        codes[0, k] = side + 1
        if signal_out[k] >= 0:
            leave = signal_out[k] + lag
            values[2, k] = spread[leave]
            values[3, k] = z[signal_out[k]]
            values[4, k] = side * (spread[leave] - spread[entry])
            fills[1, k] = leave
            holding[0, k] = leave - entry
            codes[1, k] = 1
        else:
            values[2, k] = math.nan
            values[3, k] = math.nan
            values[4, k] = side * (spread[spread.size - 1] - spread[entry])
            fills[1, k] = -1
            holding[0, k] = spread.size - 1 - entry
            codes[1, k] = 0


@njit(
    types.void(I1R, B1R, I1R, I1N, B1W),
    cache=True,
    nogil=True,
)
def spell(codes: Any, letters: Any, starts: Any, offsets: Any, text: Any) -> Any:
    """Write words one after another: word c is ``letters[starts[c]:starts[c + 1]]``.

    ``offsets`` (k + 1,) and ``text`` (long enough) are written: the layout of an Arrow string
    column.
    """
    at = 0
    offsets[0] = 0
    for k in range(codes.size):
        for j in range(starts[codes[k]], starts[codes[k] + 1]):
            text[at] = letters[j]
            at += 1
        offsets[k + 1] = at
