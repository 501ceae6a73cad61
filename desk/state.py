"""All that the desk has in memory, and how it comes from and goes to the database.

`DeskState.take` feeds prints to the state machines; `DeskState.drain` hands out what that caused
as one `Pending`, which `store` writes in one transaction together with the position on the tape.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from database import Snapshot
from desk import recorder
from storage import alert_store, books, state_store
from storage.books import AutoRow, TapePosition, TapePrint
from trading.alert_engine import AlertEngine
from trading.alerts import Alert, AlertRule, RuleState
from trading.changes import Changes
from trading.market import Market
from trading.paper import PaperAccount
from trading.sizing import SymbolRules

FUNDING_EVERY_MS = 8 * 3_600_000
_MARKS_AHEAD = 64


@dataclass(slots=True)
class Pending:
    """Everything that one transaction is to store."""

    position: TapePosition
    accounts: list[tuple[PaperAccount, Changes]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    rule_states: dict[str, RuleState] = field(default_factory=dict)
    autos: list[AutoRow] = field(default_factory=list)
    decisions: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    extra: list[Any] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(
            self.accounts
            or self.alerts
            or self.rule_states
            or self.autos
            or self.decisions
            or self.extra
        )


@dataclass(slots=True)
class Counters:
    """Figures for the health panel."""

    prints: int = 0
    late: int = 0
    alerts: int = 0
    fills: int = 0


class DeskState:
    """Market, accounts, alert rules and pairs in auto mode, as of a row of the tick table."""

    def __init__(self, stale_ms: int) -> None:
        self.market = Market(stale_ms)
        self.rules: dict[str, SymbolRules] = {}
        self.accounts: dict[str, PaperAccount] = {}
        self.engine = AlertEngine()
        self.autos: dict[str, AutoRow] = {}
        self.row = 0
        self.row_symbol: str | None = None
        self.row_trade_id: int | None = None
        self.marks: dict[str, Any] = {
            "funded": {},
            "gap": 0,
            "closed": {},
            "muted_until_ms": 0,
            "commits": 0,
        }
        self.counters = Counters()
        self.funding_rates: dict[str, float] = {}
        self._coming: dict[str, deque[tuple[int, float]]] = {}
        self._autos_changed: set[str] = set()
        self._decisions: list[tuple[str, int, dict[str, Any]]] = []
        self._extra: list[Any] = []

    # -- loading -----------------------------------------------------------------------------

    def load(self, snapshot: Snapshot, now_ms: int) -> bool:
        """Take everything from the database; False where the tape is not the one that was read."""
        self.rules.update(recorder.symbol_rules(snapshot))
        same = self._load_position(snapshot)
        for row in snapshot.books(books.accounts):
            self.accounts[row.id] = recorder.load_account(snapshot, row, self.market, self.rules)
        stored = snapshot.books(alert_store.rules)
        rules = [AlertRule.from_dict(r.body) for r in stored]
        states = {r.body["id"]: RuleState(**r.state) for r in stored}
        self.engine = AlertEngine(rules, states)
        self.engine.muted_until_ms = self.marks["muted_until_ms"]
        self.autos = {a.id: a for a in snapshot.books(books.autos, running_only=True)}
        self.warm(snapshot)
        if not same:
            for account in self.accounts.values():
                account.on_new_tape(now_ms)
            for auto in list(self.autos.values()):
                self.put_auto(auto._replace(running=False, stopped_ms=now_ms))
        return same

    def _load_position(self, snapshot: Snapshot) -> bool:
        position = snapshot.books(books.tape_position)
        if position is not None and snapshot.books(books.is_same_tape, position):
            self.row, self.row_symbol, self.row_trade_id = position[:3]
            self.marks |= position.marks
            recorder.load_quotes(self.market, position.quotes)
            return True
        if position is not None:
            self.marks["commits"] = position.marks.get("commits", 0)
        self.begin_here(snapshot)
        return position is None

    def begin_here(self, snapshot: Snapshot) -> None:
        """Begin at the newest print: what was traded before the desk existed moves nothing."""
        self.row = snapshot.books(books.newest_row)
        self.marks["gap"] = snapshot.books(books.newest_gap)
        self.market.quotes.clear()
        for summary in snapshot.symbols():
            if summary.last_price is not None and summary.last_ms is not None:
                trade_id = snapshot.last_print(summary.symbol)[0]
                self.market.on_print(summary.symbol, summary.last_ms, summary.last_price, trade_id)
        last = snapshot.books(books.prints_after, self.row - 1, 1) if self.row else []
        self.row_symbol = last[0].symbol if last else None
        self.row_trade_id = last[0].trade_id if last else None

    def warm(self, snapshot: Snapshot) -> None:
        """Give the windows of percent moves the prints from before the position."""
        for symbol in {r.symbol for r in self.engine.rules.values() if r.metric == "move"}:
            quote = self.market.quotes.get(symbol)
            seconds = self.engine.longest_window_s(symbol)
            if quote is None or not seconds:
                continue
            end_ms = quote.time_ms + 1
            times, prices = snapshot.books(
                books.prices_between, symbol, end_ms - seconds * 1000, end_ms
            )
            for time_ms, price in zip(times, prices, strict=True):
                self.engine.warm(symbol, time_ms, price)

    # -- prints ------------------------------------------------------------------------------

    def take(self, prints: Sequence[TapePrint], now_ms: int) -> None:
        """Feed prints in the order of the tape."""
        market, engine, counters = self.market, self.engine, self.counters
        accounts = list(self.accounts.values())
        for row, symbol, time_ms, price, trade_id, is_buyer_maker in prints:
            self.row, self.row_symbol, self.row_trade_id = row, symbol, trade_id
            counters.prints += 1
            if accounts:
                self._fund(symbol, time_ms, accounts)
            if symbol in self._coming:
                self._take_marks_of(symbol, time_ms, now_ms)
            if not market.on_print(symbol, time_ms, price, trade_id, is_buyer_maker):
                counters.late += 1
                continue
            engine.on_print(symbol, time_ms, price)
            for account in accounts:
                if account.wants(symbol):
                    account.on_print(symbol, now_ms)

    def expect_marks(self, marks: Iterable[tuple[str, int, float]], now_ms: int) -> None:
        """Keep (symbol, time, mark price) until the tape has come as far.

        One from further ahead of the clock than a price may be old is left out: it would pass
        for the newest until then.
        """
        for symbol, time_ms, price in marks:
            if time_ms <= now_ms + self.market.stale_ms:
                kept = self._coming.setdefault(symbol, deque(maxlen=_MARKS_AHEAD))
                kept.append((time_ms, price))

    def take_marks(self, now_ms: int) -> None:
        """Take all marks in; for when the stored tape is read to its end."""
        for symbol in list(self._coming):
            self._take_marks_of(symbol, None, now_ms)

    def _take_marks_of(self, symbol: str, before_ms: int | None, now_ms: int) -> None:
        """Take a symbol's marks in, those sent before a print, and hold positions against them.

        Where the last print is stale nothing is liquidated at it: the next print is held against
        the mark price as well.
        """
        waiting = self._coming[symbol]
        while waiting and (before_ms is None or waiting[0][0] < before_ms):
            self.market.on_mark(symbol, *waiting.popleft())
            if self.market.is_fresh(symbol, now_ms):
                for account in self.accounts.values():
                    if account.wants(symbol):
                        account.on_mark(symbol)
        if not waiting:
            del self._coming[symbol]

    def _fund(self, symbol: str, time_ms: int, accounts: Iterable[PaperAccount]) -> None:
        """Apply the funding times that lie between the last print of a symbol and this one."""
        due_ms = time_ms // FUNDING_EVERY_MS * FUNDING_EVERY_MS
        funded = self.marks["funded"]
        last_ms = funded.get(symbol)
        if last_ms is not None and due_ms <= last_ms:
            return
        funded[symbol] = due_ms
        if last_ms is None:
            return
        for at_ms in range(last_ms + FUNDING_EVERY_MS, due_ms + 1, FUNDING_EVERY_MS):
            for account in accounts:
                rate = self.funding_rates.get(symbol)
                if rate is None:
                    account.on_funding(symbol, at_ms, account.settings.funding_rate, "set rate")
                else:
                    account.on_funding(symbol, at_ms, rate, "exchange, last published")

    # -- what changed ------------------------------------------------------------------------

    def put_auto(self, row: AutoRow) -> None:
        """Take or replace a pair in auto mode."""
        self._autos_changed.add(row.id)
        self.autos[row.id] = row

    def log_decision(self, auto_id: str, close_ms: int, body: dict[str, Any]) -> None:
        """Keep a decision for the log."""
        self._decisions.append((auto_id, close_ms, body))

    def also(self, write: Any) -> None:
        """Have ``write(con)`` called in the next transaction."""
        self._extra.append(write)

    def position(self) -> TapePosition:
        """Where on the tape the state is."""
        self.marks["muted_until_ms"] = self.engine.muted_until_ms
        quotes = recorder.quotes_row(self.market)
        return TapePosition(self.row, self.row_symbol, self.row_trade_id, quotes, self.marks)

    def drain(self) -> Pending:
        """Hand out everything since the last call."""
        pending = Pending(self.position())
        for account in self.accounts.values():
            changes = account.drain()
            if changes:
                pending.accounts.append((account, changes))
                self.counters.fills += len(changes.fills)
        pending.alerts, pending.rule_states = self.engine.drain()
        self.counters.alerts += len(pending.alerts)
        pending.autos = [self.autos[i] for i in self._autos_changed]
        self._autos_changed = set()
        for row in pending.autos:
            if not row.running:
                self.autos.pop(row.id, None)
        pending.decisions, self._decisions = self._decisions, []
        pending.extra, self._extra = self._extra, []
        return pending


def store(
    con: Any, pending: Pending, wall_ms: int, channels: Sequence[str], equity_ms: int
) -> None:
    """Write one `Pending`, in the caller's transaction: all of it or nothing."""
    for write in pending.extra:
        write(con)
    for account, changes in pending.accounts:
        recorder.store_changes(con, account, changes)
        if changes.journal:
            store_equity(con, account, equity_ms)
    for rule_id, state in pending.rule_states.items():
        alert_store.put_rule_state(con, rule_id, state.to_dict())
    for alert in pending.alerts:
        _store_alert(con, alert, wall_ms, channels)
    for row in pending.autos:
        books.put_auto(con, row)
    for auto_id, close_ms, body in pending.decisions:
        books.put_decision(con, auto_id, close_ms, body)
    books.put_tape_position(con, pending.position)


def store_equity(con: Any, account: PaperAccount, time_ms: int) -> None:
    """A snapshot of an account's equity."""
    marks = account.marks()
    equity = account.book.equity(marks)
    if math.isfinite(equity):
        books.add_equity(
            con, account.id, time_ms, equity, account.book.cash, account.book.gross_exposure(marks)
        )


def _store_alert(con: Any, alert: Alert, wall_ms: int, channels: Sequence[str]) -> None:
    body = {
        "sentence": alert.sentence,
        "value": alert.value,
        "note": alert.note,
        "detail": alert.detail,
        "quiet": alert.is_quiet,
        # A rule may be deleted; where to draw its alerts stays with them.
        "metric": alert.metric,
        "symbols": list(alert.symbols),
    }
    number = alert_store.add_alert(con, alert.rule_id, alert.fired_ms, wall_ms, body)
    if alert.is_quiet:
        return
    for channel in channels:
        message = {
            "subject": alert.sentence.split(":")[0],
            "text": f"{alert.sentence}\n{alert.note}".rstrip(),
            "values": {
                "alert_id": number,
                "rule_id": alert.rule_id,
                "fired_ms": alert.fired_ms,
                "value": alert.value,
                **alert.detail,
            },
        }
        alert_store.add_delivery(con, number, channel, message, wall_ms)


def answer(command_id: int, result: dict[str, Any], wall_ms: int) -> Any:
    """A write for `DeskState.also` that answers a command."""
    return lambda con: state_store.answer(con, command_id, result, wall_ms)
