"""The rules of trading as scalar functions: one source for the backtest's loop and the live desk.

They are plain Python without an import, so that the desk can call them candle by candle and
`kernels.backtest` can compile the very same text with numba. Nothing here allocates, raises or
keeps state. A float that may be "not given" is NaN or infinity, as each docstring says.
"""

from __future__ import annotations

import math

# Reasons, as small integers so that a compiled loop can return them.
STAY = 0
ENTER_LONG = 1
ENTER_SHORT = 2
EXIT_ZSCORE = 3
EXIT_SPREAD_STOP = 4
EXIT_Z_STOP = 5
EXIT_TAKE_PROFIT = 6
EXIT_TIME = 7
EXIT_RUIN = 8
EXIT_FORCED = 9


def decide(
    z: float,
    side: int,
    held: int,
    move: float,
    may_enter: bool,
    entry_th: float,
    exit_th: float,
    z_stop: float,
    spread_stop: float,
    take_profit: float,
    max_holding: int,
) -> int:
    """Reason code of what a closed candle asks for.

    Parameters
    ----------
    z : float
        z-score of the closed candle; NaN changes nothing by itself.
    side : int
        Side held, or ordered and about to be: −1, 0, 1.
    held : int
        Closes since the entry was decided, this one included.
    move : float
        `frozen_move` at this close; NaN while it is not known.
    may_enter : bool
        Whether cool-down, session, gaps and cointegration let a position be opened.
    entry_th, exit_th : float
        Short above ``entry_th``, long below its negative; a long leaves at z ≥ −``exit_th``.
    z_stop, spread_stop, take_profit : float
        Infinity where not used.
    max_holding : int
        Candles after which a position is left; 0 where not used.

    Notes
    -----
    The order is the pessimist's: what loses is judged before what wins.
    """
    if side == 0:
        if not may_enter:
            return STAY
        if z > entry_th and z < z_stop:
            return ENTER_SHORT
        if z < -entry_th and z > -z_stop:
            return ENTER_LONG
        return STAY
    if move <= -spread_stop:
        return EXIT_SPREAD_STOP
    if side * z <= -z_stop:
        return EXIT_Z_STOP
    if move >= take_profit:
        return EXIT_TAKE_PROFIT
    if side * z >= -exit_th:
        return EXIT_ZSCORE
    if max_holding > 0 and held >= max_holding:
        return EXIT_TIME
    return STAY


def frozen_move(
    side: int,
    price1: float,
    price2: float,
    entry_price1: float,
    entry_price2: float,
    hedge_ratio: float,
) -> float:
    """Profit of one unit of the frozen spread, as a fraction of its gross notional at entry.

    The hedge ratio is the one of the entry. Costs are not in it: a stop watches the market.
    """
    gross = entry_price1 + abs(hedge_ratio) * entry_price2
    change = (price1 - entry_price1) - hedge_ratio * (price2 - entry_price2)
    return side * change / gross


def round_to_step(quantity: float, step: float) -> float:
    """Quantity rounded towards zero to a multiple of ``step``; unchanged where step is 0.

    A quotient within 1e-9 of the next multiple counts as that multiple, so that 0.3 with a step
    of 0.1 stays 0.3. Steps of the form 1/k give the double nearest to the decimal.
    """
    if step <= 0.0:
        return quantity
    steps = abs(quantity) / step
    count = math.floor(steps + 1e-9 + 1e-15 * steps)
    inverse = math.floor(1.0 / step + 0.5)
    decimal = inverse >= 1.0 and abs(inverse * step - 1.0) < 1e-9
    size = count / inverse if decimal else count * step
    return size if quantity >= 0.0 else -size


def slippage_fraction(
    fixed: float, impact: float, cap: float, quantity: float, volume: float
) -> float:
    """Fraction of the price lost to slippage: ``fixed + impact · √(|quantity| / volume)``.

    With ``impact`` 0 the volume is not looked at; an empty candle costs the whole ``cap``.
    """
    if impact <= 0.0:
        return fixed
    if not volume > 0.0:
        return max(cap, fixed)
    return min(fixed + impact * math.sqrt(abs(quantity) / volume), max(cap, fixed))


def fill_price(price: float, quantity: float, slip: float) -> float:
    """Price after slippage: a buyer pays more, a seller gets less."""
    return price * (1.0 + slip) if quantity > 0.0 else price * (1.0 - slip)


def funding_payment(quantity: float, mark_price: float, rate: float) -> float:
    """What the position pays at a funding time; a long pays a positive rate, a short gets it."""
    return quantity * mark_price * rate


def spread_units(
    by: int, amount: float, leverage: float, equity: float, gross: float, vol_year: float
) -> float:
    """Units of the spread to hold; ``by`` is a code of `trading.sizing.SIZE_CODES`.

    ``gross`` is the notional of one unit over both legs, ``vol_year`` the standard deviation a
    year of one unit's P&L. 0 where equity is gone or an input is not known.
    """
    if not (equity > 0.0 and gross > 0.0):
        return 0.0
    if by == 0:
        units = amount
    elif by == 1:
        units = amount / gross
    elif by == 2:
        units = amount * equity / gross
    elif vol_year > 0.0:
        units = amount * equity / vol_year
    else:
        return 0.0
    return min(units, leverage * equity / gross)
