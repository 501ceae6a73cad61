"""One leg's profit at every close, from its fills: the second account beside the trading loop."""

from __future__ import annotations

from typing import Any

from numba import njit

from kernels.trade_parts import funding_payment


@njit(cache=True, nogil=True, error_model="numpy")
def leg_equity(
    candle: Any, quantity: Any, price: Any, paid: Any, open_: Any, close: Any, rates: Any, out: Any
) -> Any:
    """Cumulative net P&L of one leg at every close, from its fills alone.

    Parameters
    ----------
    candle : (k,) int64
        Candle of each fill, ascending.
    quantity, price, paid : (k,) float64
        Signed base units, price with slippage, fee.
    open_, close, rates : (n,) float64
        Candles of the leg, and the funding rate charged at each open (0 where none).
    out : (n,) float64
        Written.
    """
    held = 0.0
    cash = 0.0
    k = 0
    for t in range(close.size):
        if rates[t] != 0.0 and held != 0.0:
            cash -= funding_payment(held, open_[t], rates[t])
        while k < candle.size and candle[k] == t:
            held += quantity[k]
            cash -= quantity[k] * price[k] + paid[k]
            if abs(held) < 1e-12 * abs(quantity[k]):
                held = 0.0
            k += 1
        out[t] = cash + held * close[t]
