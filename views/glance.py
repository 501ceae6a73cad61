"""What is open on the desk, for the first page: positions of every account, alerts and rules."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from storage import alert_store, books
from storage.books import AccountRow
from storage.snapshot import Snapshot
from trading.alerts import AlertRule, RuleState
from trading.ledger import Position
from views.text import number
from views.valuation import Marks, position_of, read_marks

_MOST = 4


@dataclass(frozen=True, slots=True)
class AccountGlance:
    """An account in lines; ``why`` says why it has no equity now, empty where it has."""

    name: str
    equity: float
    pnl: float
    currency: str
    positions: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Glance:
    """Accounts; sentences of the rules that are met now; the newest alerts as (time, sentence)."""

    accounts: tuple[AccountGlance, ...]
    rules: int
    met: tuple[str, ...]
    fired: tuple[tuple[int, str], ...]


def read_glance(snapshot: Snapshot) -> Glance:
    """What is open in one snapshot."""
    accounts = snapshot.books(books.accounts)
    held = {
        a.id: [position_of(row) for row in snapshot.books(books.positions, a.id)] for a in accounts
    }
    # Prices are read only where something is to be valued.
    every = [p for positions in held.values() for p in positions]
    marks = read_marks(snapshot, every) if every else Marks({}, "", "", None)
    names = {a.id: str(a.settings["name"]) for a in accounts}
    rows = [row for row in snapshot.books(alert_store.rules) if RuleState(**row.state).enabled]
    met = [_sentence(row.body, names) for row in rows if RuleState(**row.state).armed is False]
    alerts = snapshot.books(alert_store.alerts, limit=_MOST)
    return Glance(
        tuple(_account(account, held[account.id], marks) for account in accounts),
        len(rows),
        tuple(_shortened(met)),
        tuple((a.fired_ms, str(a.body["sentence"])) for a in alerts),
    )


def _account(account: AccountRow, held: list[Position], marks: Marks) -> AccountGlance:
    equity = account.cash + math.fsum(p.value(marks.of(p.symbol)) for p in held)
    lines = [_line(p, marks.of(p.symbol)) for p in sorted(held, key=lambda p: p.symbol)]
    return AccountGlance(
        str(account.settings["name"]),
        equity,
        equity - account.settings["starting_equity"],
        str(account.settings["currency"]),
        tuple(_shortened(lines)),
        "" if math.isfinite(equity) else marks.why,
    )


def _line(position: Position, price: float) -> str:
    side = "LONG" if position.quantity > 0 else "SHORT"
    leg = " in a pair" if position.pair_id else ""
    return (
        f"{side} {abs(position.quantity):.6g} {position.symbol.upper()}{leg} · "
        f"P&L {number(position.unrealised(price), sign=True)}"
    )


def _sentence(body: dict[str, Any], names: dict[str, str]) -> str:
    rule = AlertRule.from_dict(body)
    return replace(rule, account=names.get(rule.account, rule.account)).sentence()


def _shortened(lines: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(lines) - _MOST
    return [*lines[:_MOST], *([f"and {more} more"] if more > 0 else [])]
