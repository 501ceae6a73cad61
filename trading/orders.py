"""Orders: what is wished, what state it is in, and when a print fills it. No clock, no book.

The rules, once:

* A market order fills at the next fresh print. A stop (and a stop-loss) fills at the first print
  at or beyond its price. Both are takers and pay slippage.
* A limit (and a take-profit) that rests fills at its own price, as maker, when the tape trades at
  its price or through it. One that was through the market when it was accepted fills at the next
  fresh print within its price, as taker.
* Orders fill whole: the tape shows no depth, and a paper order moves no market.
* Of orders in one OCO group the first to fill cancels the others; stops are looked at first.
"""

from __future__ import annotations

import enum
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from errors import BadInput
from trading.sizing import SymbolRules, round_price, round_quantity

SizeBy = Literal["quantity", "notional", "percent"]


class Kind(enum.StrEnum):
    """What makes an order fill."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"


class State(enum.StrEnum):
    """``held`` waits for its parent to fill, ``working`` for the market; the rest are final."""

    HELD = "held"
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REFUSED = "refused"


PRICED = frozenset({Kind.LIMIT, Kind.STOP, Kind.STOP_LOSS, Kind.TAKE_PROFIT})
_STOPS = frozenset({Kind.STOP, Kind.STOP_LOSS})
_RESTING = frozenset({Kind.LIMIT, Kind.TAKE_PROFIT})


@dataclass(frozen=True, slots=True)
class Order:
    """An intent in one symbol.

    Attributes
    ----------
    id : str
        The client's: a second order with the same id is the same order.
    quantity : float
        Signed base units, rounded to the step.
    price : float
        Limit or trigger price in quote per base; NaN for a market order.
    reason : str
        Why it is in its state, in words.
    reduce_only : bool
        Only closes: cut to what is held, cancelled where nothing is.
    oco, parent, pair_id : str
        Group of which one fills; order whose fill wakes this one; pair it is a leg of.
    from_ms : int
        Prints from before this do not act on it.
    crossing : bool
        A limit that was through the market when it was accepted.
    """

    id: str
    account: str
    symbol: str
    quantity: float
    kind: Kind = Kind.MARKET
    price: float = math.nan
    state: State = State.WORKING
    reason: str = ""
    reduce_only: bool = False
    oco: str = ""
    parent: str = ""
    pair_id: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    from_ms: int = 0
    crossing: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it can still fill."""
        return self.state in (State.HELD, State.WORKING)

    @property
    def is_stop(self) -> bool:
        """Whether it fills when the market goes against it."""
        return self.kind in _STOPS

    @property
    def rests(self) -> bool:
        """Whether it fills as maker."""
        return self.kind in _RESTING and not self.crossing

    @property
    def needs_fresh(self) -> bool:
        """Whether it takes whatever the price is, and so must not take an old one."""
        return self.kind is Kind.MARKET or self.crossing

    def reference_price(self, price: float) -> float | None:
        """Price before slippage at which a print at ``price`` fills it, or None."""
        if self.kind is Kind.MARKET:
            return price
        sign = 1.0 if self.quantity > 0 else -1.0
        if self.kind in _STOPS:
            return price if sign * price >= sign * self.price else None
        if sign * price > sign * self.price:
            return None
        return price if self.crossing else self.price

    def to(self, state: State, now_ms: int, reason: str = "") -> Order:
        """The same order in another state."""
        return replace(self, state=state, updated_ms=now_ms, reason=reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the database."""
        out = asdict(self)
        out["price"] = None if math.isnan(self.price) else self.price
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Order:
        """The order that `to_dict` wrote."""
        price = math.nan if data["price"] is None else data["price"]
        return cls(
            **{**data, "price": price, "kind": Kind(data["kind"]), "state": State(data["state"])}
        )


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a person asks for; amounts are unsigned, ``side`` gives the direction.

    ``by`` ``quantity`` is base units, ``notional`` quote currency, ``percent`` a fraction of
    equity. ``stop_loss`` and ``take_profit`` attach two exits of which one cancels the other.
    """

    id: str
    symbol: str
    side: Literal["LONG", "SHORT"]
    amount: float
    by: SizeBy = "quantity"
    kind: Kind = Kind.MARKET
    price: float | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    reduce_only: bool = False

    @property
    def sign(self) -> int:
        """+1 buys, −1 sells."""
        return 1 if self.side == "LONG" else -1


def check_request(request: OrderRequest) -> None:
    """Refuse what cannot be an order, with a sentence.

    Raises
    ------
    BadInput
        Amount, side, size or price cannot be used.
    """
    if not request.id:
        raise BadInput("An order needs an id of its own, so that two clicks are one order.")
    if request.side not in ("LONG", "SHORT"):
        raise BadInput(f"The side is LONG or SHORT, found {request.side!r}.")
    if request.by not in ("quantity", "notional", "percent"):
        raise BadInput(f"Size is by quantity, notional or percent, found {request.by!r}.")
    _positive("The amount to trade", request.amount)
    if request.kind in PRICED:
        if request.price is None:
            raise BadInput(f"A {request.kind.replace('_', '-')} order needs a price.")
        _positive("The price", request.price)
    elif request.price is not None:
        raise BadInput("A market order takes no price; choose limit or stop to name one.")
    for name, exit_price in (("stop-loss", request.stop_loss), ("profit", request.take_profit)):
        if exit_price is not None:
            _positive(f"The {name} price", exit_price)


def _positive(what: str, number: float) -> None:
    valid = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not valid or not math.isfinite(number) or number <= 0:
        raise BadInput(f"{what} is a finite number above 0, found {number}.")


def check_exits(request: OrderRequest, entry_price: float) -> None:
    """Refuse exits that would fire at once: a long's stop lies below its entry, its target above.

    Raises
    ------
    BadInput
        An exit lies on the wrong side of the entry price.
    """
    side, sign = request.side.lower(), request.sign
    if request.stop_loss is not None and sign * request.stop_loss >= sign * entry_price:
        where = "below" if sign > 0 else "above"
        raise BadInput(
            f"The stop-loss of a {side} lies {where} its entry at {entry_price:g}, "
            f"found {request.stop_loss:g}."
        )
    if request.take_profit is not None and sign * request.take_profit <= sign * entry_price:
        where = "above" if sign > 0 else "below"
        raise BadInput(
            f"The take-profit of a {side} lies {where} its entry at {entry_price:g}, "
            f"found {request.take_profit:g}."
        )


def wished_quantity(request: OrderRequest, price: float, equity: float) -> float:
    """Signed base units before rounding."""
    if request.by == "quantity":
        return request.sign * request.amount
    if request.by == "notional":
        return request.sign * request.amount / price
    return request.sign * request.amount * equity / price


def rounded_order(request: OrderRequest, account: str, quantity: float, last: float,
                  rules: SymbolRules) -> Order:  # fmt: skip
    """The order as the exchange would take it; what was rounded is said in ``reason``.

    Raises
    ------
    BadInput
        Less than a step, or below the minimum quantity or notional.
    """
    price, notes = math.nan, []
    if request.price is not None:
        price = round_price(request.price, rules)
        if price <= 0:
            raise BadInput(f"{request.price:g} is less than one tick of {rules.tick_size:g}.")
        if abs(price - request.price) > 1e-9 * price:
            notes.append(
                f"the price {request.price:.12g} was rounded to {price:.12g}, "
                f"the tick is {rules.tick_size:g}"
            )
    rounded = round_quantity(quantity, last if math.isnan(price) else price, rules)
    # What only closes may be as small as what is left to close.
    if rounded.refused and not request.reduce_only:
        raise BadInput(rounded.refused)
    size = rounded.quantity or quantity
    if abs(size - quantity) > 1e-9 * abs(quantity):
        notes.append(
            f"the quantity {quantity:.12g} was rounded to {size:.12g}, "
            f"the step is {rules.step_size:g}"
        )
    return Order(
        request.id,
        account,
        request.symbol,
        size,
        request.kind,
        price,
        reason="; ".join(notes),
        reduce_only=request.reduce_only,
    )
