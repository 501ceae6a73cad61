"""The books: fills and funding in, positions and equity out; the same for backtest and paper.

A `Book` is a pure state machine: the same events in the same order give the same book. Two
independent accounts are kept, so that they can be held against each other:

* **cash**: starting equity minus what was bought plus what was sold, minus fees and funding;
* **profit**: realised and unrealised P&L from average entry prices.

The law (property-tested): cash + Σ position value − starting equity
= realised + unrealised − fees − funding.

A position belongs to a symbol and, when it is a leg of a pair, to the pair's id; legs of a pair
are never netted with a position held for itself. What the exchange would net is `Book.net`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from errors import BadInput
from kernels import scalars


@dataclass(frozen=True, slots=True)
class Fill:
    """An executed fact.

    ``quantity`` is signed base units (negative sells), ``price`` what was paid, slippage
    included; ``fee`` in quote currency (a rebate is negative); ``slippage`` is the part of the
    notional lost against the reference price, for the statistics: it is in the price already.
    """

    time_ms: int
    symbol: str
    quantity: float
    price: float
    fee: float = 0.0
    slippage: float = 0.0
    pair_id: str = ""
    order_id: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.quantity) or self.quantity == 0:
            raise BadInput(f"A fill's quantity is finite and not 0, found {self.quantity}.")
        if not math.isfinite(self.price) or self.price <= 0:
            raise BadInput(f"A fill's price is above 0, found {self.price}.")
        if not (math.isfinite(self.fee) and math.isfinite(self.slippage)):
            raise BadInput(f"Fee and slippage are finite, found {self.fee}, {self.slippage}.")


@dataclass(frozen=True, slots=True)
class FundingEvent:
    """A funding time: every position in ``symbol`` pays quantity · mark price · rate.

    ``pair_id`` None charges all positions in the symbol, else only that pair's leg.
    """

    time_ms: int
    symbol: str
    rate: float
    mark_price: float
    pair_id: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Signed holding in one symbol with what it has earned and cost since the book began.

    ``entry_price`` is the average of the open quantity, NaN when flat; ``realised`` is gross of
    ``fees`` and ``funding`` (both positive when paid). ``opened_ms`` is the time of the fill that
    opened the present holding, 0 when flat.
    """

    symbol: str
    pair_id: str = ""
    quantity: float = 0.0
    entry_price: float = math.nan
    realised: float = 0.0
    fees: float = 0.0
    funding: float = 0.0
    opened_ms: int = 0

    def value(self, mark_price: float) -> float:
        """Signed value at a price, in quote currency."""
        return self.quantity * mark_price if self.quantity else 0.0

    def unrealised(self, mark_price: float) -> float:
        """P&L of the open quantity at a price, gross."""
        return self.quantity * (mark_price - self.entry_price) if self.quantity else 0.0

    def after(self, fill: Fill) -> Position:
        """The position after a fill; turning over realises all and opens at the fill's price."""
        old, quantity = self.quantity, self.quantity + fill.quantity
        if abs(quantity) <= 1e-12 * (abs(old) + abs(fill.quantity)):
            quantity = 0.0  # what is left is the rounding of sums of decimals
        entry, realised, opened = self.entry_price, self.realised, self.opened_ms
        if old == 0.0:
            entry, opened = fill.price, fill.time_ms
        elif (old > 0) == (fill.quantity > 0):
            entry = (old * entry + fill.quantity * fill.price) / quantity
        elif quantity == 0.0 or (old > 0) == (quantity > 0):
            closed = old - quantity
            realised += closed * (fill.price - entry)
        else:
            realised += old * (fill.price - entry)
            entry, opened = fill.price, fill.time_ms
        if quantity == 0.0:
            entry, opened = math.nan, 0
        return replace(
            self,
            quantity=quantity,
            entry_price=entry,
            realised=realised,
            fees=self.fees + fill.fee,
            opened_ms=opened,
        )


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A closed trade: from flat to flat in one symbol, or in both legs of a pair.

    ``pnl`` is net of fees and funding; ``side`` is +1 where it began with a purchase (of the
    first leg filled, for a pair).
    """

    symbol: str
    pair_id: str
    side: int
    opened_ms: int
    closed_ms: int
    realised: float
    fees: float
    funding: float

    @property
    def pnl(self) -> float:
        """Realised P&L less fees and funding."""
        return self.realised - self.fees - self.funding


@dataclass(frozen=True, slots=True)
class PairPosition:
    """The legs of one pair, seen as one thing; every figure is the sum over its legs."""

    pair_id: str
    legs: tuple[Position, ...]
    realised: float
    unrealised: float
    fees: float
    funding: float

    @property
    def pnl(self) -> float:
        """Realised plus unrealised less fees and funding."""
        return self.realised + self.unrealised - self.fees - self.funding

    @property
    def is_open(self) -> bool:
        """Whether any leg is held."""
        return any(leg.quantity for leg in self.legs)


@dataclass(slots=True)
class _Opening:
    """Totals at the moment a holding was opened, to tell its trade from earlier ones."""

    side: int
    opened_ms: int
    realised: float
    fees: float
    funding: float


@dataclass(slots=True)
class Book:
    """Cash, positions and totals of one account.

    Parameters
    ----------
    starting_equity : float
        Quote currency, above 0.

    Examples
    --------
    >>> book = Book(1000.0)
    >>> book.apply(Fill(0, "btcusdt", 2.0, 100.0, fee=0.1))
    >>> book.apply(Fill(1, "btcusdt", -2.0, 103.0, fee=0.1))
    >>> round(book.equity({}), 6), round(book.trades[0].pnl, 6)
    (1005.8, 5.8)
    """

    starting_equity: float
    cash: float = field(init=False)
    positions: dict[tuple[str, str], Position] = field(default_factory=dict, init=False)
    trades: list[RoundTrip] = field(default_factory=list, init=False)
    last_ms: int = field(default=0, init=False)
    _openings: dict[tuple[str, str], _Opening] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.starting_equity) and self.starting_equity > 0):
            raise BadInput(f"Starting equity is above 0, found {self.starting_equity}.")
        self.cash = float(self.starting_equity)

    def apply(self, event: Fill | FundingEvent) -> None:
        """Take one event in; events come in time order.

        Raises
        ------
        BadInput
            The event is older than the last one: books are not rewritten.
        """
        if event.time_ms < self.last_ms:
            raise BadInput(
                f"Events come in time order: found {event.time_ms} after {self.last_ms}."
            )
        self.last_ms = event.time_ms
        if isinstance(event, Fill):
            self._apply_fill(event)
        else:
            self._apply_funding(event)

    @classmethod
    def replay(cls, starting_equity: float, events: Iterable[Fill | FundingEvent]) -> Book:
        """The book that these events make."""
        book = cls(starting_equity)
        for event in events:
            book.apply(event)
        return book

    @property
    def realised(self) -> float:
        """Gross realised P&L of all positions."""
        return math.fsum(p.realised for p in self.positions.values())

    @property
    def fees(self) -> float:
        """Fees paid."""
        return math.fsum(p.fees for p in self.positions.values())

    @property
    def funding(self) -> float:
        """Funding paid (negative: received)."""
        return math.fsum(p.funding for p in self.positions.values())

    @property
    def wallet_balance(self) -> float:
        """Starting equity plus realised P&L less fees and funding, as a futures account shows."""
        return self.starting_equity + self.realised - self.fees - self.funding

    def unrealised(self, marks: Mapping[str, float]) -> float:
        """Gross P&L of open positions at mark prices by symbol."""
        return math.fsum(p.unrealised(_mark(marks, p)) for p in self.open_positions())

    def position_value(self, marks: Mapping[str, float]) -> float:
        """Σ quantity · mark over open positions."""
        return math.fsum(p.value(_mark(marks, p)) for p in self.open_positions())

    def equity(self, marks: Mapping[str, float]) -> float:
        """Cash plus the value of open positions."""
        return self.cash + self.position_value(marks)

    def gross_exposure(self, marks: Mapping[str, float]) -> float:
        """Σ |net quantity · mark| over symbols."""
        return math.fsum(abs(q * marks[s]) for s, q in self.net().items())

    def imbalance(self, marks: Mapping[str, float]) -> float:
        """The two accounts held against each other: 0 up to rounding."""
        left = self.equity(marks) - self.starting_equity
        return left - (self.realised + self.unrealised(marks) - self.fees - self.funding)

    def open_positions(self) -> list[Position]:
        """Positions that are not flat."""
        return [p for p in self.positions.values() if p.quantity]

    def position(self, symbol: str, pair_id: str = "") -> Position:
        """The position of a symbol (or a pair's leg); flat where there never was one."""
        return self.positions.get((symbol, pair_id), Position(symbol, pair_id))

    def net(self) -> dict[str, float]:
        """Net quantity by symbol, over own positions and legs, without the flat ones."""
        total: dict[str, float] = {}
        for p in self.open_positions():
            total[p.symbol] = total.get(p.symbol, 0.0) + p.quantity
        return {s: q for s, q in total.items() if q}

    def pair(self, pair_id: str, marks: Mapping[str, float]) -> PairPosition:
        """The legs of a pair as one thing; closed legs stay in its totals."""
        legs = tuple(p for key, p in self.positions.items() if key[1] == pair_id and pair_id)
        return PairPosition(
            pair_id,
            legs,
            math.fsum(p.realised for p in legs),
            math.fsum(p.unrealised(_mark(marks, p)) for p in legs if p.quantity),
            math.fsum(p.fees for p in legs),
            math.fsum(p.funding for p in legs),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a snapshot: the same for the same events."""
        return {
            "starting_equity": self.starting_equity,
            "cash": self.cash,
            "last_ms": self.last_ms,
            "positions": [asdict(self.positions[k]) for k in sorted(self.positions)],
            "trades": [asdict(t) for t in self.trades],
        }

    def _apply_fill(self, fill: Fill) -> None:
        key = (fill.symbol, fill.pair_id)
        before = self.position(*key)
        after = before.after(fill)
        group = _group(fill.symbol, fill.pair_id)
        held_before = self._held(group)
        totals = self._totals(group)
        self.positions[key] = after
        self.cash -= fill.quantity * fill.price + fill.fee
        turned = not fill.pair_id and before.quantity * after.quantity < 0
        if held_before and (turned or not self._held(group)):
            self._close_trade(group, fill.time_ms)
            totals = self._totals(group)
        if not held_before or turned:
            side = 1 if fill.quantity > 0 else -1
            self._openings[group] = _Opening(side, fill.time_ms, *totals)

    def _apply_funding(self, event: FundingEvent) -> None:
        for key, position in self.positions.items():
            mine = event.pair_id is None or key[1] == event.pair_id
            if key[0] == event.symbol and mine and position.quantity:
                paid = scalars.funding_payment(position.quantity, event.mark_price, event.rate)
                self.positions[key] = replace(position, funding=position.funding + paid)
                self.cash -= paid

    def _members(self, group: tuple[str, str]) -> list[Position]:
        symbol, pair_id = group
        if pair_id:
            return [p for key, p in self.positions.items() if key[1] == pair_id]
        return [self.position(symbol)]

    def _held(self, group: tuple[str, str]) -> bool:
        return any(p.quantity for p in self._members(group))

    def _totals(self, group: tuple[str, str]) -> tuple[float, float, float]:
        members = self._members(group)
        return (
            math.fsum(p.realised for p in members),
            math.fsum(p.fees for p in members),
            math.fsum(p.funding for p in members),
        )

    def _close_trade(self, group: tuple[str, str], closed_ms: int) -> None:
        begun = self._openings.pop(group)
        realised, fees, funding = self._totals(group)
        self.trades.append(
            RoundTrip(
                group[0],
                group[1],
                begun.side,
                begun.opened_ms,
                closed_ms,
                realised - begun.realised,
                fees - begun.fees,
                funding - begun.funding,
            )
        )


def _group(symbol: str, pair_id: str) -> tuple[str, str]:
    """What a round trip is counted by: the pair as a whole, else the symbol."""
    return ("", pair_id) if pair_id else (symbol, "")


def _mark(marks: Mapping[str, float], position: Position) -> float:
    """Mark price of a held position.

    Raises
    ------
    BadInput
        No price for a symbol that is held.
    """
    try:
        return marks[position.symbol]
    except KeyError:
        raise BadInput(f"No mark price for {position.symbol}, which is held.") from None
