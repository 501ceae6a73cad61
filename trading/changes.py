"""What happened in a paper account, for whoever stores it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from trading.ledger import Fill, FundingEvent
from trading.orders import Order
from trading.paper_pairs import Pair


class FillRecord(NamedTuple):
    """A fill with the print that made it: reference price before slippage and trade id."""

    fill: Fill
    reference_price: float
    trade_id: int | None
    maker: bool
    cause: str = ""


class FundingRecord(NamedTuple):
    """A funding time that was applied; ``key`` names the symbol and when it was due."""

    event: FundingEvent
    source: str
    key: str


@dataclass(slots=True)
class Changes:
    """What happened since it was last asked for; ``journal`` in the order of the book."""

    orders: dict[str, Order] = field(default_factory=dict)
    pairs: dict[str, Pair] = field(default_factory=dict)
    journal: list[FillRecord | FundingRecord] = field(default_factory=list)

    @property
    def fills(self) -> list[FillRecord]:
        """The fills of the journal."""
        return [r for r in self.journal if isinstance(r, FillRecord)]

    @property
    def fundings(self) -> list[FundingRecord]:
        """The fundings of the journal."""
        return [r for r in self.journal if isinstance(r, FundingRecord)]

    def __bool__(self) -> bool:
        return bool(self.orders or self.journal or self.pairs)
