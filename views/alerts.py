"""Alert rules, what fired, and what became of the messages, as of one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from storage import alert_store, books
from storage.alert_store import AlertRow
from storage.snapshot import Snapshot
from trading.alerts import METRICS, AlertRule, RuleState
from views.text import moment


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule with its state in words."""

    id: str
    sentence: str
    state: str
    note: str
    enabled: bool
    snoozed: bool


@dataclass(frozen=True, slots=True)
class AlertsView:
    """Everything that the tab shows; ``muted_until_ms`` 0 where nothing is muted."""

    version: int
    last_ms: int | None
    rules: list[RuleLine]
    history: pd.DataFrame
    attempts: pd.DataFrame
    waiting: int
    channels: list[str]
    muted_until_ms: int
    accounts: dict[str, str]
    trouble: str


def read_alerts(snapshot: Snapshot, now_ms: int) -> AlertsView:
    """Read rules, history and deliveries."""
    position = snapshot.books(books.tape_position)
    muted = 0 if position is None else int(position.marks.get("muted_until_ms", 0))
    stored = snapshot.get("health", "desk")
    health: dict[str, Any] = stored[0] if stored else {}
    names = {a.id: str(a.settings["name"]) for a in snapshot.books(books.accounts)}
    attempts = snapshot.books(alert_store.attempts)
    if len(attempts):
        attempts.insert(0, "at", [moment(at) for at in attempts.pop("at_ms")])
        attempts["ok"] = attempts["ok"].astype(bool)
    return AlertsView(
        snapshot.version,
        max((s.last_ms for s in snapshot.symbols() if s.last_ms is not None), default=None),
        [_line(row, names, now_ms) for row in snapshot.books(alert_store.rules)],
        _history(snapshot.books(alert_store.alerts)),
        attempts,
        len(snapshot.books(alert_store.due_deliveries, None, 1_000)),
        list(health.get("channels", [])),
        muted if muted > now_ms else 0,
        names,
        str(health.get("trouble", "")),
    )


def _line(row: alert_store.RuleRow, names: Mapping[str, str], now_ms: int) -> RuleLine:
    rule, state = AlertRule.from_dict(row.body), RuleState(**row.state)
    sentence = replace(rule, account=names.get(rule.account, rule.account)).sentence()
    snoozed = state.snoozed_until_ms > now_ms
    if not state.enabled:
        word = "expired" if rule.expires_ms and rule.expires_ms <= now_ms else "off"
    elif state.armed is None and state.side == 0:
        word = "waits for its first value"
    elif state.armed is False:
        word = f"met; armed again at {rule.back:g}"
    else:
        word = "armed"
    if state.fires:
        word += f" · fired {state.fires} ×, last {moment(state.fired_ms)}"
    if snoozed:
        word += f" · snoozed until {moment(state.snoozed_until_ms)}"
    return RuleLine(rule.id, sentence, word, rule.note, state.enabled, snoozed)


def _history(rows: list[AlertRow]) -> pd.DataFrame:
    out = [
        {
            "fired": moment(row.fired_ms),
            "alert": row.body["sentence"],
            "value": row.body["value"],
            "values behind it": ", ".join(
                f"{k} {_short(v)}" for k, v in row.body["detail"].items()
            ),
            "note": row.body["note"],
            "recorded": moment(row.recorded_ms),
            "quiet": row.body["quiet"],
        }
        for row in rows
    ]
    names = ["fired", "alert", "value", "values behind it", "note", "recorded", "quiet"]
    return pd.DataFrame(out, columns=names)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def metric_choices() -> dict[str, str]:
    """What can be watched, by key."""
    return {key: metric.label for key, metric in METRICS.items()}
