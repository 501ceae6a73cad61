"""A pair held as one thing on paper: the frozen spread, its legs, its stops, its leg risk."""

from __future__ import annotations

import enum
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from errors import BadInput
from kernels import scalars
from trading.ledger import Position
from trading.orders import SizeBy
from trading.sizing import SizeBy as SpreadSizeBy


class PairState(enum.StrEnum):
    """From the order to the end; ``closed`` is final, with or without having been open."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class PairRequest:
    """A wish to buy (LONG) or sell (SHORT) the spread price1 − hedge_ratio · price2.

    ``by`` quantity counts units of the spread, ``notional`` and ``percent`` the gross notional of
    both legs. ``spread_stop`` and ``take_profit`` are fractions of the gross notional at entry,
    infinity for none; ``max_holding_ms`` 0 for no time stop. ``rest_leg`` 1 or 2 lets that leg
    rest as a limit order at ``rest_price``; with 0 both legs are market orders. ``capped`` cuts
    the size to the leverage limit instead of refusing it, as the backtest does.
    """

    id: str
    symbol1: str
    symbol2: str
    side: Literal["LONG", "SHORT"]
    hedge_ratio: float
    amount: float
    by: SizeBy = "notional"
    spread_stop: float = math.inf
    take_profit: float = math.inf
    max_holding_ms: int = 0
    rest_leg: int = 0
    rest_price: float = math.nan
    capped: bool = False
    auto_id: str = ""

    @property
    def sign(self) -> int:
        """+1 buys the spread."""
        return 1 if self.side == "LONG" else -1

    @property
    def spread_size(self) -> SpreadSizeBy:
        """The same size in the words of `trading.sizing`."""
        return "units" if self.by == "quantity" else self.by


def check_pair_request(request: PairRequest) -> None:
    """Refuse what cannot be a pair, with a sentence.

    Raises
    ------
    BadInput
        The legs are one symbol, or a number is outside what it may be.
    """
    if not request.id:
        raise BadInput("A pair order needs an id of its own, so that two clicks are one order.")
    if request.symbol1 == request.symbol2:
        raise BadInput(f"A pair has two symbols, found {request.symbol1} twice.")
    if request.side not in ("LONG", "SHORT"):
        raise BadInput(f"The side is LONG or SHORT, found {request.side!r}.")
    if not math.isfinite(request.hedge_ratio) or request.hedge_ratio == 0:
        raise BadInput(f"The hedge ratio is finite and not 0, found {request.hedge_ratio}.")
    if not (math.isfinite(request.amount) and request.amount > 0):
        raise BadInput(f"The amount to trade is a finite number above 0, found {request.amount}.")
    for name in ("spread_stop", "take_profit"):
        if not getattr(request, name) > 0:
            raise BadInput(
                f"{name} is a positive fraction of the notional, found {getattr(request, name)}."
            )
    if request.max_holding_ms < 0:
        raise BadInput(f"The time stop is 0 (none) or above, found {request.max_holding_ms} ms.")
    if request.rest_leg not in (0, 1, 2):
        raise BadInput(f"The leg that rests is 1, 2 or 0 for none, found {request.rest_leg}.")
    if request.rest_leg and not (math.isfinite(request.rest_price) and request.rest_price > 0):
        raise BadInput(f"A leg that rests needs a price above 0, found {request.rest_price}.")


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair on the desk; quantities are signed base units, frozen at the order."""

    id: str
    account: str
    symbol1: str
    symbol2: str
    side: int
    hedge_ratio: float
    quantity1: float
    quantity2: float
    state: PairState = PairState.OPENING
    reason: str = ""
    spread_stop: float = math.inf
    take_profit: float = math.inf
    max_holding_ms: int = 0
    asked_ms: int = 0
    opened_ms: int = 0
    closed_ms: int = 0
    entry_price1: float = math.nan
    entry_price2: float = math.nan
    closings: int = 0
    auto_id: str = ""

    @property
    def symbols(self) -> tuple[str, str]:
        """Both legs' symbols, price1's first."""
        return self.symbol1, self.symbol2

    @property
    def held_ratio(self) -> float:
        """Hedge ratio of the rounded legs: what is truly held."""
        return -self.quantity2 / self.quantity1

    def move(self, price1: float, price2: float) -> float:
        """Gross profit as a fraction of the notional at entry; NaN before both legs are filled."""
        if math.isnan(self.entry_price1) or math.isnan(self.entry_price2):
            return math.nan
        return scalars.frozen_move(
            self.side, price1, price2, self.entry_price1, self.entry_price2, self.held_ratio
        )

    def exit_reason(self, price1: float, price2: float) -> str:
        """Why the pair is to be left at these prices, stop before target; empty when it is not."""
        move = self.move(price1, price2)
        if move <= -self.spread_stop:
            return f"spread stop: {move:.4%} of the notional, the stop is −{self.spread_stop:.4%}"
        if move >= self.take_profit:
            return f"take-profit: {move:.4%} of the notional, the target is {self.take_profit:.4%}"
        return ""

    def to(self, state: PairState, reason: str = "", **changes: Any) -> Pair:
        """The same pair in another state."""
        return replace(self, state=state, reason=reason or self.reason, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the database: infinities and NaN as None."""
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Pair:
        """The pair that `to_dict` wrote."""
        data = dict(data)
        for name in ("spread_stop", "take_profit"):
            data[name] = math.inf if data[name] is None else data[name]
        for name in ("entry_price1", "entry_price2"):
            data[name] = math.nan if data[name] is None else data[name]
        data["state"] = PairState(data["state"])
        return cls(**data)


def leg_risk(pair: Pair, leg1: Position, leg2: Position, mark1: float, mark2: float) -> str:
    """What is unhedged of a pair, as a sentence; empty where its legs stand as they should."""
    if pair.state is PairState.OPEN:
        return ""
    wanted = (pair.quantity1, pair.quantity2)
    shares = [
        leg.quantity / whole if whole else 0.0
        for leg, whole in zip((leg1, leg2), wanted, strict=True)
    ]
    if abs(shares[0] - shares[1]) < 1e-9:
        return ""
    exposed, mark = (leg1, mark1) if shares[0] > shares[1] else (leg2, mark2)
    other = pair.symbol2 if exposed.symbol == pair.symbol1 else pair.symbol1
    worth = f", worth {abs(exposed.value(mark)):,.2f}" if math.isfinite(mark) else ""
    return (
        f"Leg risk: {exposed.symbol} is held ({exposed.quantity:g}{worth}) while {other} is not "
        "filled."
    )
