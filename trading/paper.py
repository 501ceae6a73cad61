"""Paper trading: one account as a state machine fed with prints, orders, funding and time.

The same events in the same order give the same account. Nothing here knows where events come
from or where they are kept: `PaperAccount.drain` hands out what changed, for the desk to store,
and `PaperAccount.restore` makes the account again from what was stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from errors import BadInput
from trading.changes import Changes, FillRecord, FundingRecord
from trading.costs import Costs, price_fill
from trading.ledger import Book, Fill, FundingEvent, Position
from trading.margin import MarginRules, MarginView, margin_view
from trading.market import Market
from trading.orders import (
    Kind,
    Order,
    OrderRequest,
    State,
    check_exits,
    check_request,
    rounded_order,
    wished_quantity,
)
from trading.paper_pairs import Pair, PairRequest, PairState, check_pair_request
from trading.sizing import Sizing, SymbolRules, pair_quantities, round_price, spread_units

FILL_HEADROOM = 1.05
"""An accepted order may exceed the leverage limit by so much when it fills: the price moved."""


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """Terms of an account.

    ``slippage_by`` ``half_spread`` takes half the distance of the last prints of either side,
    and ``slippage_bps`` while that is not known. ``funding_rate`` is a fraction per funding time,
    for when the exchange's own cannot be had; ``maintenance_rate`` a fraction of notional.
    """

    name: str
    starting_equity: float = 10_000.0
    currency: str = "USDT"
    maker_bps: float = 2.0
    taker_bps: float = 5.0
    slippage_bps: float = 1.0
    slippage_by: Literal["bps", "half_spread"] = "bps"
    leverage_limit: float = 3.0
    maintenance_rate: float = 0.005
    funding_rate: float = 0.0001

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise BadInput("An account needs a name.")
        if not (math.isfinite(self.starting_equity) and self.starting_equity > 0):
            raise BadInput(f"Starting equity is above 0, found {self.starting_equity}.")
        if not (math.isfinite(self.leverage_limit) and 0 < self.leverage_limit <= 125):
            raise BadInput(f"The leverage limit is from 0 to 125, found {self.leverage_limit}.")
        if not 0 <= self.maintenance_rate < 1 / self.leverage_limit:
            raise BadInput(
                f"The maintenance rate is from 0 to below 1/leverage "
                f"({1 / self.leverage_limit:.4f}), found {self.maintenance_rate}."
            )
        if not abs(self.funding_rate) <= 0.1:
            raise BadInput(f"The funding rate is from −0.1 to 0.1, found {self.funding_rate}.")
        if self.slippage_by not in ("bps", "half_spread"):
            raise BadInput(f"Slippage is by bps or half_spread, found {self.slippage_by!r}.")
        self.costs()

    def costs(self, *, maker: bool = False, half_spread_bps: float | None = None) -> Costs:
        """Cost schedule of one fill; what rests pays no slippage."""
        if maker:
            return Costs(self.maker_bps, self.taker_bps, maker=True, slippage_bps=0.0)
        half = half_spread_bps if self.slippage_by == "half_spread" else None
        return Costs(
            self.maker_bps,
            self.taker_bps,
            slippage_bps=self.slippage_bps,
            half_spread_bps=half,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the database."""
        return asdict(self)


class PaperAccount:
    """One account: book, open orders, pairs.

    Parameters
    ----------
    account_id : str
    settings : AccountSettings
    market : Market
        Quotes, shared with other accounts and fed before `on_print` is called.
    rules : mapping
        What the exchange accepts, by symbol; a symbol that is not in it is unknown.
    """

    def __init__(
        self,
        account_id: str,
        settings: AccountSettings,
        market: Market,
        rules: Mapping[str, SymbolRules],
    ) -> None:
        self.id, self.settings, self.market, self.rules = account_id, settings, market, rules
        self.book = Book(settings.starting_equity)
        self.orders: dict[str, Order] = {}
        self.pairs: dict[str, Pair] = {}
        self._seen: set[str] = set()
        self._funding_before: dict[tuple[str, str], float] = {}
        self._interest: frozenset[str] = frozenset()
        self._changes = Changes()

    @classmethod
    def restore(
        cls,
        account_id: str,
        settings: AccountSettings,
        market: Market,
        rules: Mapping[str, SymbolRules],
        *,
        events: Iterable[Fill | FundingEvent],
        orders: Iterable[Order],
        pairs: Iterable[Pair],
        seen: Iterable[str] = (),
    ) -> PaperAccount:
        """The account as it was stored: every book event in order, open orders, open pairs."""
        account = cls(account_id, settings, market, rules)
        for event in events:
            account._book(event)
        account.orders = {o.id: o for o in orders if o.is_open}
        account.pairs = {p.id: p for p in pairs if p.state is not PairState.CLOSED}
        account._seen = {*seen, *account.orders, *account.pairs}
        account._look_again()
        return account

    def drain(self) -> Changes:
        """What changed since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    # -- what it is worth --------------------------------------------------------------------

    def marks(self) -> dict[str, float]:
        """Mark price of every symbol held; its entry price where none has been seen."""
        out = {}
        for position in self.book.open_positions():
            mark = self.market.mark(position.symbol)
            out[position.symbol] = position.entry_price if math.isnan(mark) else mark
        return out

    def equity(self) -> float:
        """Cash plus positions at mark prices, in quote currency."""
        return self.book.equity(self.marks())

    def margin(self, position: Position) -> MarginView:
        """Margin of an open position at its mark price."""
        key = (position.symbol, position.pair_id)
        return margin_view(
            position,
            self.marks()[position.symbol],
            MarginRules(self.settings.leverage_limit, self.settings.maintenance_rate),
            position.funding - self._funding_before.get(key, 0.0),
        )

    def _exposure_after(self, added: Mapping[str, float], prices: Mapping[str, float]) -> float:
        net, marks = self.book.net(), {**self.marks(), **prices}
        symbols = net.keys() | added.keys()
        return math.fsum(abs(net.get(s, 0.0) + added.get(s, 0.0)) * marks[s] for s in symbols)

    def _check_leverage(
        self, added: Mapping[str, float], prices: Mapping[str, float], headroom: float = 1.0
    ) -> None:
        """Refuse what takes gross exposure beyond the limit, unless it lowers it."""
        equity = self.equity()
        after = self._exposure_after(added, prices)
        limit = self.settings.leverage_limit
        if after <= self._exposure_after({}, prices) or after <= headroom * limit * equity:
            return
        raise BadInput(
            f"The exposure would be {after:,.2f}, the leverage limit of {limit:g} allows "
            f"{max(0.0, limit * equity):,.2f} on an equity of {equity:,.2f}."
        )

    # -- orders ------------------------------------------------------------------------------

    def knows(self, order_id: str) -> bool:
        """Whether an order or pair of this id was taken already."""
        return order_id in self._seen

    def submit(self, request: OrderRequest, now_ms: int) -> list[Order]:
        """Take an order and its exits; the same id again changes nothing and gives [].

        Raises
        ------
        BadInput
            A sentence why not; nothing was taken.
        """
        if self.knows(request.id):
            return []
        check_request(request)
        rules, last = self._tradable(request.symbol)
        held = self.book.position(request.symbol).quantity
        if request.reduce_only and held * request.sign >= 0:
            raise BadInput(f"There is nothing of {request.symbol} to close.")
        entry = last if request.price is None else request.price
        check_exits(request, entry)
        quantity = wished_quantity(request, entry, self.equity())
        order = rounded_order(request, self.id, quantity, last, rules)
        if not request.reduce_only:
            self._check_leverage({order.symbol: order.quantity}, {order.symbol: entry})
        order = self._placed(order, now_ms)
        if order.kind is not Kind.MARKET and order.reference_price(last) is not None:
            if order.kind is not Kind.LIMIT:
                raise BadInput(
                    f"A {order.kind.replace('_', '-')} at {order.price:g} would fill at once: "
                    f"the last price is {last:g}. Use a market order for that."
                )
            order = replace(order, crossing=True)
        taken = [order, *self._exits(order, request, rules, now_ms)]
        for one in taken:
            self._put(one)
        return taken

    def _tradable(self, symbol: str) -> tuple[SymbolRules, float]:
        rules, last = self.rules.get(symbol), self.market.last(symbol)
        if rules is None:
            known = ", ".join(sorted(self.rules)[:8]) or "none yet"
            raise BadInput(f"{symbol!r} is not a symbol this desk knows; known are {known}.")
        if math.isnan(last):
            raise BadInput(f"No price of {symbol} has been seen yet; collect it first.")
        return rules, last

    def _placed(self, order: Order, now_ms: int) -> Order:
        """The order as of now: prints that are older, by the tape or by the clock, pass it by."""
        quote = self.market.quotes[order.symbol]
        from_ms = max(quote.time_ms, now_ms - self.market.stale_ms)
        reason = order.reason
        if order.needs_fresh and not self.market.is_fresh(order.symbol, now_ms):
            age_s = (now_ms - quote.time_ms) / 1000
            wait = f"the last price is {age_s:.0f} s old: the order waits for a fresh one"
            reason = f"{reason}; {wait}" if reason else wait
        return replace(order, created_ms=now_ms, updated_ms=now_ms, from_ms=from_ms, reason=reason)

    def _exits(
        self, order: Order, request: OrderRequest, rules: SymbolRules, now_ms: int
    ) -> list[Order]:
        """Stop-loss and take-profit, held until the entry fills, of which one cancels the other."""
        exits = (
            ("sl", Kind.STOP_LOSS, request.stop_loss),
            ("tp", Kind.TAKE_PROFIT, request.take_profit),
        )
        return [
            replace(
                order,
                id=f"{order.id}:{suffix}",
                quantity=-order.quantity,
                kind=kind,
                price=round_price(price, rules),
                state=State.HELD,
                reason="waits for its entry to fill",
                reduce_only=True,
                oco=f"{order.id}:exits",
                parent=order.id,
                crossing=False,
                updated_ms=now_ms,
            )
            for suffix, kind, price in exits
            if price is not None
        ]

    def cancel(self, order_id: str, now_ms: int, reason: str = "cancelled by hand") -> bool:
        """Cancel an open order with what waits for it; a leg's cancels its pair. False if gone."""
        order = self.orders.get(order_id)
        if order is None:
            return False
        if order.pair_id and self.pairs.get(order.pair_id):
            self.close_pair(order.pair_id, now_ms, f"{order.symbol}: {reason}")
            return True
        self._put(order.to(State.CANCELLED, now_ms, reason))
        for child in [o for o in self.orders.values() if o.parent == order_id]:
            self._put(child.to(State.CANCELLED, now_ms, "its entry was cancelled"))
        return True

    def flatten(self, symbol: str, order_id: str, now_ms: int) -> list[Order]:
        """Close what is held of a symbol outside pairs, at market."""
        held = self.book.position(symbol).quantity
        if not held and not self.knows(order_id):
            raise BadInput(f"There is nothing of {symbol} to close.")
        side: Literal["LONG", "SHORT"] = "SHORT" if held > 0 else "LONG"
        return self.submit(
            OrderRequest(order_id, symbol, side, abs(held) or 1.0, reduce_only=True), now_ms
        )

    # -- pairs -------------------------------------------------------------------------------

    def open_pair(self, request: PairRequest, now_ms: int) -> Pair | None:
        """Buy or sell the spread: two leg orders; the same id again changes nothing.

        Raises
        ------
        BadInput
            A sentence why not; nothing was taken.
        """
        if self.knows(request.id):
            return None
        check_pair_request(request)
        rules1, price1 = self._tradable(request.symbol1)
        rules2, price2 = self._tradable(request.symbol2)
        settings = self.settings
        limit = settings.leverage_limit if request.capped else math.inf
        sizing = Sizing(request.spread_size, request.amount, limit, rules1, rules2)
        units = spread_units(sizing, self.equity(), price1, price2, request.hedge_ratio)
        legs = pair_quantities(request.sign, units, request.hedge_ratio, price1, price2, sizing)
        if legs.refused:
            raise BadInput(legs.refused)
        self._check_leverage(
            {request.symbol1: legs.quantity1, request.symbol2: legs.quantity2},
            {request.symbol1: price1, request.symbol2: price2},
        )
        pair = Pair(
            request.id, self.id, *(request.symbol1, request.symbol2), request.sign,
            request.hedge_ratio, legs.quantity1, legs.quantity2,
            spread_stop=request.spread_stop, take_profit=request.take_profit,
            max_holding_ms=request.max_holding_ms, asked_ms=now_ms, auto_id=request.auto_id,
        )  # fmt: skip
        self._put_pair(pair)
        for leg, symbol, quantity in (
            (1, pair.symbol1, pair.quantity1),
            (2, pair.symbol2, pair.quantity2),
        ):
            order = Order(f"{pair.id}:{leg}", self.id, symbol, quantity, pair_id=pair.id)
            if request.rest_leg == leg:
                price = round_price(request.rest_price, self.rules[symbol])
                order = replace(order, kind=Kind.LIMIT, price=price)
                through = order.reference_price(self.market.last(symbol)) is not None
                order = replace(order, crossing=through)
            self._put(self._placed(order, now_ms))
        return pair

    def close_pair(self, pair_id: str, now_ms: int, reason: str = "closed by hand") -> bool:
        """Close both legs at market; False where the pair is closed or closing already."""
        pair = self.pairs.get(pair_id)
        if pair is None or pair.state is PairState.CLOSING:
            return False
        for order in [o for o in self.orders.values() if o.pair_id == pair_id]:
            self._put(order.to(State.CANCELLED, now_ms, reason))
        legs = [self.book.position(s, pair_id) for s in pair.symbols]
        if not any(leg.quantity for leg in legs):
            self._put_pair(pair.to(PairState.CLOSED, reason, closed_ms=now_ms))
            return True
        turn = pair.closings + 1
        self._put_pair(pair.to(PairState.CLOSING, reason, closings=turn))
        for number, leg in enumerate(legs, start=1):
            if leg.quantity:
                order = Order(
                    f"{pair_id}:x{turn}:{number}", self.id, leg.symbol, -leg.quantity,
                    reduce_only=True, pair_id=pair_id, reason=reason,
                )  # fmt: skip
                self._put(self._placed(order, now_ms))
        return True

    # -- events ------------------------------------------------------------------------------

    def wants(self, symbol: str) -> bool:
        """Whether a print of the symbol can change anything here."""
        return symbol in self._interest

    def on_print(self, symbol: str, now_ms: int) -> None:
        """Take in the print that `market` has just taken: orders, then margins, then pair stops."""
        quote = self.market.quotes[symbol]
        mine = [o for o in self.orders.values() if o.symbol == symbol and o.state is State.WORKING]
        if mine:
            fresh = now_ms - quote.time_ms <= self.market.stale_ms
            for order in sorted(mine, key=lambda o: not o.is_stop):
                self._try(order, quote.price, quote.time_ms, fresh)
        self.on_mark(symbol)
        for pair in list(self.pairs.values()):
            if symbol in pair.symbols and pair.state is PairState.OPEN:
                self._judge_pair(pair, quote.time_ms)

    def on_mark(self, symbol: str) -> None:
        """Hold every position in the symbol against its margin at the mark price."""
        for position in self.book.open_positions():
            if position.symbol == symbol and self.margin(position).is_crossed:
                self._liquidate(position)

    def _try(self, order: Order, price: float, time_ms: int, fresh: bool) -> None:
        now = self.orders.get(order.id)
        if now is None or now.state is not State.WORKING or time_ms < order.from_ms:
            return
        if order.needs_fresh and not fresh:
            return
        reference = now.reference_price(price)
        if reference is not None:
            self._execute(now, reference)

    def _judge_pair(self, pair: Pair, time_ms: int) -> None:
        quotes = [self.market.quotes.get(s) for s in pair.symbols]
        if None in quotes:
            return
        first, second = quotes
        reason = ""
        # A stop is not judged on a spread whose legs are not of one time.
        if abs(first.time_ms - second.time_ms) <= self.market.stale_ms:  # type: ignore[union-attr]
            reason = pair.exit_reason(first.price, second.price)  # type: ignore[union-attr]
        if not reason and pair.max_holding_ms and time_ms - pair.opened_ms >= pair.max_holding_ms:
            reason = f"time stop after {(time_ms - pair.opened_ms) / 1000:,.0f} s"
        if reason:
            self.close_pair(pair.id, time_ms, reason)

    def on_funding(self, symbol: str, time_ms: int, rate: float, source: str) -> bool:
        """A funding time, once: what is held pays or receives. False where nothing is due."""
        key = f"{symbol}@{time_ms}"
        held = any(p.symbol == symbol for p in self.book.open_positions())
        if not held or key in self._seen:
            return False
        self._seen.add(key)
        mark = self.marks()[symbol]
        event = FundingEvent(max(time_ms, self.book.last_ms), symbol, rate, mark)
        self._book(event)
        self._changes.journal.append(FundingRecord(event, source, key))
        return True

    def on_new_tape(self, now_ms: int) -> None:
        """The tape began again (data cleared, replay): what is open cannot be judged by it."""
        for order in list(self.orders.values()):
            if not order.reduce_only:
                self.cancel(order.id, now_ms, "the tape began again")
        for order in list(self.orders.values()):
            self._put(replace(order, from_ms=0))

    # -- inside ------------------------------------------------------------------------------

    def _put(self, order: Order) -> None:
        self._seen.add(order.id)
        self._changes.orders[order.id] = order
        if order.is_open:
            self.orders[order.id] = order
        else:
            self.orders.pop(order.id, None)
        self._look_again()

    def _put_pair(self, pair: Pair) -> None:
        self._seen.add(pair.id)
        self._changes.pairs[pair.id] = pair
        if pair.state is PairState.CLOSED:
            self.pairs.pop(pair.id, None)
        else:
            self.pairs[pair.id] = pair
        self._look_again()

    def _look_again(self) -> None:
        self._interest = frozenset(
            [o.symbol for o in self.orders.values()]
            + [p.symbol for p in self.book.open_positions()]
            + [s for p in self.pairs.values() for s in p.symbols]
        )

    def _book(self, event: Fill | FundingEvent) -> None:
        """Into the book, remembering the funding paid before each holding was opened."""
        if isinstance(event, Fill):
            key = (event.symbol, event.pair_id)
            before = self.book.position(*key)
            self.book.apply(event)
            if before.quantity * self.book.position(*key).quantity <= 0:
                self._funding_before[key] = before.funding
        else:
            self.book.apply(event)

    def _execute(self, order: Order, reference: float, cause: str = "") -> None:
        """Fill an order at a reference price, or say why it cannot be filled."""
        quote = self.market.quotes[order.symbol]
        quantity = order.quantity
        held = self.book.position(order.symbol, order.pair_id).quantity
        if order.reduce_only:
            if held * quantity >= 0:
                self._put(order.to(State.CANCELLED, quote.time_ms, "nothing is left to close"))
                return
            quantity = math.copysign(min(abs(quantity), abs(held)), quantity)
        else:
            try:
                self._check_leverage(
                    {order.symbol: quantity}, {order.symbol: reference}, FILL_HEADROOM
                )
            except BadInput as error:
                self._refuse(order, quote.time_ms, str(error))
                return
        self._fill(order, quantity, reference, cause)

    def _refuse(self, order: Order, now_ms: int, reason: str) -> None:
        self._put(order.to(State.REFUSED, now_ms, reason))
        for child in [o for o in self.orders.values() if o.parent == order.id]:
            self._put(child.to(State.CANCELLED, now_ms, "its entry was refused"))
        if order.pair_id:
            self.close_pair(order.pair_id, now_ms, f"{order.symbol} was refused: {reason}")

    def _fill(self, order: Order, quantity: float, reference: float, cause: str) -> None:
        quote = self.market.quotes[order.symbol]
        half = self.market.half_spread_bps(order.symbol)
        costs = self.settings.costs(maker=order.rests, half_spread_bps=half)
        price, fee, slippage = price_fill(reference, quantity, costs)
        if order.crossing and (price - order.price) * quantity > 0:
            # A limit never pays beyond its price, slippage or not.
            price = order.price
            fee = abs(quantity) * price * costs.fee_rate
            slippage = abs(quantity) * abs(price - reference)
        time_ms = max(quote.time_ms, self.book.last_ms)
        fill = Fill(time_ms, order.symbol, quantity, price, fee, slippage, order.pair_id, order.id)
        self._book(fill)
        self._changes.journal.append(
            FillRecord(fill, reference, quote.trade_id, order.rests, cause or order.kind.value)
        )
        self._put(replace(order.to(State.FILLED, time_ms, order.reason), quantity=quantity))
        self._after_fill(order, time_ms)

    def _after_fill(self, order: Order, time_ms: int) -> None:
        for other in list(self.orders.values()):
            if order.oco and other.oco == order.oco:
                self._put(other.to(State.CANCELLED, time_ms, "the other exit was filled"))
            elif other.parent == order.id and other.state is State.HELD:
                last = self.market.last(other.symbol)
                through = not other.is_stop and other.reference_price(last) is not None
                woken = other.to(State.WORKING, time_ms)
                self._put(replace(woken, from_ms=time_ms, crossing=through))
        if order.pair_id:
            self._advance_pair(order.pair_id, time_ms)
        elif not self.book.position(order.symbol).quantity:
            for other in list(self.orders.values()):
                loose = other.reduce_only and not other.pair_id and other.state is State.WORKING
                if loose and other.symbol == order.symbol:
                    self._put(other.to(State.CANCELLED, time_ms, "nothing is left to close"))

    def _advance_pair(self, pair_id: str, time_ms: int) -> None:
        pair = self.pairs.get(pair_id)
        if pair is None:
            return
        leg1, leg2 = (self.book.position(s, pair_id) for s in pair.symbols)
        if pair.state is PairState.OPENING and leg1.quantity and leg2.quantity:
            self._put_pair(
                pair.to(
                    PairState.OPEN,
                    opened_ms=time_ms,
                    entry_price1=leg1.entry_price,
                    entry_price2=leg2.entry_price,
                )
            )
        elif pair.state is PairState.CLOSING and not (leg1.quantity or leg2.quantity):
            self._put_pair(pair.to(PairState.CLOSED, closed_ms=time_ms))

    def _liquidate(self, position: Position) -> None:
        """Close a position whose margin is used up, at the print that shows it."""
        quote = self.market.quotes[position.symbol]
        mark = self.market.mark(position.symbol)
        kind = "mark price" if self.market.has_mark(position.symbol) else "last price"
        reason = f"liquidated: the {kind} {mark:.12g} left less than the maintenance margin"
        for order in list(self.orders.values()):
            if (order.symbol, order.pair_id) == (position.symbol, position.pair_id):
                self._put(order.to(State.CANCELLED, quote.time_ms, reason))
        serial = f"{position.opened_ms}:{quote.trade_id or quote.time_ms}"
        order = Order(
            f"liquidation:{self.id}:{position.symbol}:{position.pair_id}:{serial}", self.id,
            position.symbol, -position.quantity, reduce_only=True, pair_id=position.pair_id,
            created_ms=quote.time_ms, reason=reason,
        )  # fmt: skip
        self._fill(order, -position.quantity, quote.price, "liquidation")
        if position.pair_id:
            self.close_pair(position.pair_id, quote.time_ms, f"{position.symbol} was {reason}")
