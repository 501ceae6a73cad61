"""Between the desk's state machines and the database: loading them, and storing what changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from database import Snapshot
from storage import books
from storage.books import AccountRow
from trading.changes import Changes, FillRecord
from trading.ledger import Fill, FundingEvent
from trading.market import Market, Quote
from trading.orders import Order
from trading.paper import AccountSettings, PaperAccount
from trading.paper_pairs import Pair
from trading.sizing import SymbolRules

_QUOTE_FIELDS = ("price", "time_ms", "trade_id", "bid", "ask", "mark_price", "mark_ms")


def symbol_rules(snapshot: Snapshot) -> dict[str, SymbolRules]:
    """What the exchange accepts, by symbol; symbols that are only stored here have no rules."""
    rules = {symbol: SymbolRules() for symbol in snapshot.candle_symbols()}
    for symbol, facts in snapshot.all_of("instrument").items():
        rules[symbol] = SymbolRules(
            step_size=facts.get("step_size") or 0.0,
            min_notional=facts.get("min_notional") or 0.0,
            tick_size=facts.get("tick_size") or 0.0,
        )
    return rules


def load_account(
    snapshot: Snapshot, row: AccountRow, market: Market, rules: Mapping[str, SymbolRules]
) -> PaperAccount:
    """The account as its journal, open orders and open pairs make it."""
    return PaperAccount.restore(
        row.id,
        AccountSettings(**row.settings),
        market,
        rules,
        events=[_event(*entry) for entry in snapshot.books(books.journal_rows, row.id)],
        orders=map(Order.from_dict, snapshot.books(books.orders, row.id, open_only=True)),
        pairs=map(Pair.from_dict, snapshot.books(books.pairs, row.id)),
        seen=snapshot.books(books.known_ids, row.id),
    )


def _event(
    kind: str, time_ms: int, symbol: str, pair_id: str, quantity: float, price: float,
    fee: float, slippage: float, rate: float, key: str,
) -> Fill | FundingEvent:  # fmt: skip
    if kind == "fill":
        return Fill(time_ms, symbol, quantity, price, fee, slippage, pair_id, key)
    return FundingEvent(time_ms, symbol, rate, price)


def store_changes(con: Any, account: PaperAccount, changes: Changes) -> None:
    """Write what happened in an account; called inside the desk's transaction."""
    for pair in changes.pairs.values():
        books.put_pair(con, pair.to_dict())
    for order in changes.orders.values():
        books.put_order(con, order.to_dict())
    touched = set()
    for record in changes.journal:
        if isinstance(record, FillRecord):
            books.add_fill(con, account.id, fill_row(record))
            touched.add((record.fill.symbol, record.fill.pair_id))
            continue
        event = record.event
        books.add_funding(
            con, account.id, record.key, event.time_ms, event.symbol, event.rate,
            event.mark_price, record.source,
        )  # fmt: skip
        touched |= {key for key in account.book.positions if key[0] == event.symbol}
    for key in touched:
        books.put_position(con, account.id, position_row(account, key))
    if touched:
        books.put_cash(con, account.id, account.book.cash)
        stored = books.round_trip_count(con, account.id)
        trips = enumerate(account.book.trades[stored:], start=stored)
        books.add_round_trips(con, account.id, [(n, asdict(t)) for n, t in trips])


def fill_row(record: FillRecord) -> dict[str, Any]:
    """A fill for the journal."""
    return {
        **asdict(record.fill),
        "reference_price": record.reference_price,
        "trade_id": record.trade_id,
        "maker": record.maker,
        "note": record.cause,
    }


def position_row(account: PaperAccount, key: tuple[str, str]) -> dict[str, Any]:
    """A position for the page, with the price that would liquidate it; NaN as None."""
    position = account.book.position(*key)
    row: dict[str, Any] = asdict(position)
    if position.quantity:
        view = account.margin(position)
        row |= {"margin": view.margin, "liquidation_price": view.liquidation_price}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def quotes_row(market: Market) -> dict[str, Any]:
    """Last prints and mark prices for the database; NaN as None."""
    return {
        symbol: {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name in _QUOTE_FIELDS
            for value in (getattr(quote, name),)
        }
        for symbol, quote in market.quotes.items()
    }


def load_quotes(market: Market, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Last prints and mark prices back into the market."""
    for symbol, row in rows.items():
        # Books kept before there were mark prices have none.
        values: dict[str, Any] = {name: row[name] for name in _QUOTE_FIELDS if name in row}
        for name in ("price", "bid", "ask", "mark_price"):
            values[name] = math.nan if values.get(name) is None else values[name]
        market.quotes[symbol] = Quote(**values)
