"""Isolated margin: what stands behind a position, and the price at which it is not enough.

Each position, and each leg of a pair, has a margin of its own: its entry notional over the
account's leverage. It is liquidated when margin plus unrealised P&L less the funding it has paid
falls to the maintenance margin, ``rate · |quantity| · mark``. Fees come from the account's cash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trading.ledger import Position


@dataclass(frozen=True, slots=True)
class MarginRules:
    """``leverage`` above 0; ``maintenance_rate`` is a fraction of the position's value."""

    leverage: float = 3.0
    maintenance_rate: float = 0.005


@dataclass(frozen=True, slots=True)
class MarginView:
    """Margin of one position at a mark price, in quote currency.

    ``liquidation_price`` is NaN where no price liquidates (a long at leverage 1, say);
    ``distance`` is how far the mark may move against the position, as a fraction of the mark.
    """

    margin: float
    maintenance: float
    left: float
    liquidation_price: float
    distance: float

    @property
    def is_crossed(self) -> bool:
        """Whether the position is to be liquidated at this mark price."""
        return self.left <= self.maintenance


def margin_view(
    position: Position, mark_price: float, rules: MarginRules, funding: float = 0.0
) -> MarginView:
    """Margin of an open position.

    Parameters
    ----------
    funding : float
        Funding paid since the holding was opened (negative: received).
    """
    quantity, entry = position.quantity, position.entry_price
    margin = abs(quantity) * entry / rules.leverage
    left = margin + position.unrealised(mark_price) - funding
    price = liquidation_price(quantity, entry, margin - funding, rules.maintenance_rate)
    distance = abs(mark_price - price) / mark_price if not math.isnan(price) else math.nan
    if not math.isnan(price) and (mark_price - price) * quantity < 0:
        distance = -distance
    return MarginView(
        margin, rules.maintenance_rate * abs(quantity) * mark_price, left, price, distance
    )


def liquidation_price(
    quantity: float, entry_price: float, margin: float, maintenance_rate: float
) -> float:
    """Mark price at which margin plus P&L equals the maintenance margin; NaN where none does.

    Solves ``margin + q · (p − entry) = rate · |q| · p`` for p.
    """
    slope = quantity - maintenance_rate * abs(quantity)
    price = (quantity * entry_price - margin) / slope
    return price if price > 0 else math.nan
