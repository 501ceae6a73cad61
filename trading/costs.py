"""What trading costs: fees, slippage and funding, on unless switched off.

Defaults: maker 2 bps, taker 5 bps, slippage 1 bps, all per leg and side, as fractions of notional.
The backtest's loop compiles the functions of `kernels.scalars`; `price_fill` calls the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from errors import BadInput
from kernels import scalars

BPS = 1e-4


@dataclass(frozen=True, slots=True)
class Costs:
    """Cost schedule of both legs.

    Parameters
    ----------
    maker_bps, taker_bps : float
        Fee rates; a maker's rebate is negative. Market orders (the default) are taker.
    maker : bool
        Charge the maker rate: for those who can show that their orders rest.
    slippage_bps : float
        Fixed part of slippage, per leg and side.
    half_spread_bps : float or None
        Where given, replaces ``slippage_bps``: half of the quoted bid–ask spread.
    impact : float
        Volume-based part: ``impact · √(|quantity| / candle volume)`` as a fraction of the price
        is added, so 0.01 loses 10 bps when taking 1 % of a candle. 0: none.
    slippage_cap_bps : float
        The most that the volume-based rule may cost.
    """

    maker_bps: float = 2.0
    taker_bps: float = 5.0
    maker: bool = False
    slippage_bps: float = 1.0
    half_spread_bps: float | None = None
    impact: float = 0.0
    slippage_cap_bps: float = 100.0

    def __post_init__(self) -> None:
        for name in ("maker_bps", "taker_bps"):
            value = getattr(self, name)
            if not (math.isfinite(value) and -100.0 <= value <= 1_000.0):
                raise BadInput(f"{name} is a fee between −100 and 1000 bps, found {value}.")
        for name in ("slippage_bps", "impact", "slippage_cap_bps"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise BadInput(f"{name} is 0 or above, found {value}.")
        if self.fixed_slippage >= 1.0:
            raise BadInput("Slippage must stay below the whole price (10000 bps).")
        if self.half_spread_bps is not None and not self.half_spread_bps >= 0:
            raise BadInput(f"half_spread_bps is 0 or above, found {self.half_spread_bps}.")

    @property
    def fee_rate(self) -> float:
        """Fee as a fraction of notional."""
        return (self.maker_bps if self.maker else self.taker_bps) * BPS

    @property
    def fixed_slippage(self) -> float:
        """Fixed slippage as a fraction of price."""
        bps = self.slippage_bps if self.half_spread_bps is None else self.half_spread_bps
        return bps * BPS

    def round_trip_rate(self) -> float:
        """Fee and fixed slippage of going in and out, as a fraction of one leg's notional."""
        return 2.0 * (self.fee_rate + self.fixed_slippage)


FREE = Costs(maker_bps=0.0, taker_bps=0.0, slippage_bps=0.0)


class PricedFill(NamedTuple):
    """Price after slippage, with fee and slippage in quote currency."""

    price: float
    fee: float
    slippage: float


def price_fill(
    reference_price: float, quantity: float, costs: Costs, volume: float = math.nan
) -> PricedFill:
    """What a market order gets at a reference price.

    Parameters
    ----------
    reference_price : float
        Open of the candle, or last trade, in quote currency.
    quantity : float
        Signed base units.
    volume : float
        Base volume of the candle filled in; looked at only with ``costs.impact``.
    """
    slip = scalars.slippage_fraction(
        costs.fixed_slippage, costs.impact, costs.slippage_cap_bps * BPS, quantity, volume
    )
    price = scalars.fill_price(reference_price, quantity, slip)
    return PricedFill(
        price,
        abs(quantity) * price * costs.fee_rate,
        abs(quantity) * abs(price - reference_price),
    )
