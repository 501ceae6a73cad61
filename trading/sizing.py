"""How much to trade: from a wish in money to quantities the exchange takes.

Paper trading and backtest round with the same `kernels.scalars.round_to_step`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from errors import BadInput
from kernels import scalars

SizeBy = Literal["units", "notional", "percent", "volatility"]
SIZE_CODES: dict[str, int] = {"units": 0, "notional": 1, "percent": 2, "volatility": 3}


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """What the exchange accepts for one symbol; 0 means no such rule.

    ``step_size`` and ``min_quantity`` in base units, ``min_notional`` in quote currency,
    ``tick_size`` in quote per base.
    """

    step_size: float = 0.0
    min_notional: float = 0.0
    min_quantity: float = 0.0
    tick_size: float = 0.0

    def __post_init__(self) -> None:
        for name in ("step_size", "min_notional", "min_quantity", "tick_size"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise BadInput(f"{name} is 0 or above, found {value}.")


@dataclass(frozen=True, slots=True)
class Sizing:
    """How large a position in the spread is.

    Parameters
    ----------
    by : {"notional", "percent", "volatility", "units"}
        ``notional``: ``amount`` is the gross notional of both legs, in quote currency.
        ``percent``: ``amount`` is a fraction of equity, as gross notional.
        ``volatility``: ``amount`` is the P&L volatility a year as a fraction of equity, from the
        past changes of the spread. ``units``: ``amount`` units of the spread.
    leverage_limit : float
        Gross notional over equity is held to this at entry.
    rules1, rules2 : SymbolRules
        Step size and minima of the legs of price1 and price2.
    """

    by: SizeBy = "percent"
    amount: float = 1.0
    leverage_limit: float = 3.0
    rules1: SymbolRules = field(default_factory=SymbolRules)
    rules2: SymbolRules = field(default_factory=SymbolRules)

    def __post_init__(self) -> None:
        if self.by not in SIZE_CODES:
            raise BadInput(f"Size is by one of {', '.join(SIZE_CODES)}, found {self.by!r}.")
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise BadInput(f"The amount to trade is above 0, found {self.amount}.")
        if not self.leverage_limit > 0:
            raise BadInput(f"The leverage limit is above 0, found {self.leverage_limit}.")


class Rounded(NamedTuple):
    """A quantity the exchange takes, or 0 and the reason in a sentence."""

    quantity: float
    refused: str


def round_quantity(quantity: float, price: float, rules: SymbolRules) -> Rounded:
    """Round towards zero to the step, refuse what is below the minima.

    Parameters
    ----------
    quantity : float
        Signed base units.
    price : float
        Quote per base, for the notional.
    """
    if not math.isfinite(quantity) or quantity == 0:
        return Rounded(0.0, f"A quantity is finite and not 0, found {quantity}.")
    rounded = scalars.round_to_step(quantity, rules.step_size)
    if rounded == 0:
        return Rounded(0.0, f"{quantity:g} is less than one step of {rules.step_size:g}.")
    if abs(rounded) < rules.min_quantity:
        return Rounded(0.0, f"{rounded:g} is below the minimum of {rules.min_quantity:g}.")
    notional = abs(rounded) * price
    if notional < rules.min_notional:
        return Rounded(
            0.0,
            f"The order is worth {notional:g}, the minimum notional is {rules.min_notional:g}.",
        )
    return Rounded(rounded, "")


def round_price(price: float, rules: SymbolRules) -> float:
    """Price rounded to the nearest tick."""
    if rules.tick_size <= 0:
        return price
    return scalars.round_to_step(price + rules.tick_size / 2, rules.tick_size)


class PairQuantities(NamedTuple):
    """Signed quantities of the two legs of one position, or zeros and the reason."""

    quantity1: float
    quantity2: float
    refused: str


def pair_quantities(
    side: int, units: float, hedge_ratio: float, price1: float, price2: float, sizing: Sizing
) -> PairQuantities:
    """Legs of ``units`` of the spread: buy price1 and sell ``hedge_ratio`` of price2 for +1."""
    first = round_quantity(side * units, price1, sizing.rules1)
    second = round_quantity(-side * units * hedge_ratio, price2, sizing.rules2)
    refused = first.refused or second.refused
    if refused:
        return PairQuantities(0.0, 0.0, refused)
    return PairQuantities(first.quantity, second.quantity, "")


def spread_units(
    sizing: Sizing,
    equity: float,
    price1: float,
    price2: float,
    hedge_ratio: float,
    spread_vol_year: float = math.nan,
) -> float:
    """Units of the spread to hold, within the leverage limit; 0 where nothing can be said.

    ``spread_vol_year`` is the standard deviation a year of one unit's P&L in quote currency,
    from the past; used by ``volatility`` only.
    """
    return scalars.spread_units(
        SIZE_CODES[sizing.by],
        sizing.amount,
        sizing.leverage_limit,
        equity,
        price1 + abs(hedge_ratio) * price2,
        spread_vol_year,
    )
