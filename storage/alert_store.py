"""Alert rules with their states, alerts, and what became of their deliveries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

_FAR_FUTURE_MS = 2**62


class RuleRow(NamedTuple):
    """A rule and what it remembers."""

    body: dict[str, Any]
    state: dict[str, Any]


class AlertRow(NamedTuple):
    """An alert; ``body`` holds sentence, value, note, detail and whether it was quiet."""

    id: int
    rule_id: str
    fired_ms: int
    recorded_ms: int
    body: dict[str, Any]


class DeliveryRow(NamedTuple):
    """A message on its way to one channel."""

    id: int
    alert_id: int | None
    channel: str
    body: dict[str, Any]
    state: str
    attempts: int
    next_ms: int
    detail: str


def _json(body: Any) -> str:
    return json.dumps(body, allow_nan=False)


def put_rule(con: Any, body: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Store a rule with its state."""
    con.execute(
        "INSERT INTO alert_rules VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "body = excluded.body, state = excluded.state, created_ms = excluded.created_ms",
        (body["id"], _json(body), _json(state), body["created_ms"]),
    )


def put_rule_state(con: Any, rule_id: str, state: Mapping[str, Any]) -> None:
    """Store what a rule remembers; with the alert it fired, in one transaction."""
    con.execute("UPDATE alert_rules SET state = ? WHERE id = ?", (_json(state), rule_id))


def drop_rule(con: Any, rule_id: str) -> None:
    """Forget a rule; its alerts stay."""
    con.execute("DELETE FROM alert_rules WHERE id = ?", (rule_id,))


def rules(con: Any) -> list[RuleRow]:
    """Every rule, oldest first."""
    rows = con.execute("SELECT body, state FROM alert_rules ORDER BY created_ms, id")
    return [RuleRow(json.loads(body), json.loads(state)) for body, state in rows]


def add_alert(con: Any, rule_id: str, fired_ms: int, now_ms: int, body: Mapping[str, Any]) -> int:
    """Record that a rule fired; returns the alert's number."""
    return con.execute(
        "INSERT INTO alerts (rule_id, fired_ms, recorded_ms, body) VALUES (?, ?, ?, ?) "
        "RETURNING id",
        (rule_id, fired_ms, now_ms, _json(body)),
    ).fetchone()[0]


def alerts(con: Any, *, after_id: int = 0, limit: int = 500) -> list[AlertRow]:
    """Alerts newer than a number, newest first."""
    rows = con.execute(
        "SELECT id, rule_id, fired_ms, recorded_ms, body FROM alerts WHERE id > ? "
        "ORDER BY id DESC LIMIT ?",
        (after_id, limit),
    )
    return [
        AlertRow(number, rule_id, fired_ms, recorded_ms, json.loads(body))
        for number, rule_id, fired_ms, recorded_ms, body in rows
    ]


def newest_stamp(con: Any) -> tuple[int, int] | None:
    """Number and time of recording of the newest alert, None where there is none."""
    row = con.execute("SELECT id, recorded_ms FROM alerts ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else (row[0], row[1])


def newest_alert(con: Any) -> int:
    """The number of the newest alert, 0 where there is none."""
    return con.execute("SELECT coalesce(max(id), 0) FROM alerts").fetchone()[0]


def add_delivery(
    con: Any, alert_id: int | None, channel: str, body: Mapping[str, Any], now_ms: int
) -> int:
    """Queue a message for one channel; returns its number."""
    return con.execute(
        "INSERT INTO deliveries (alert_id, channel, body, state, next_ms) "
        "VALUES (?, ?, ?, 'pending', ?) RETURNING id",
        (alert_id, channel, _json(body), now_ms),
    ).fetchone()[0]


def due_deliveries(con: Any, now_ms: int | None, limit: int = 20) -> list[DeliveryRow]:
    """Messages whose time has come; with None every one that waits."""
    rows = con.execute(
        "SELECT id, alert_id, channel, body, state, attempts, next_ms, detail FROM deliveries "
        "WHERE state = 'pending' AND next_ms <= ? ORDER BY next_ms, id LIMIT ?",
        (_FAR_FUTURE_MS if now_ms is None else now_ms, limit),
    )
    return [_delivery(row) for row in rows]


def deliveries(con: Any, *, limit: int = 200) -> list[DeliveryRow]:
    """The newest messages, newest first."""
    rows = con.execute(
        "SELECT id, alert_id, channel, body, state, attempts, next_ms, detail FROM deliveries "
        "ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [_delivery(row) for row in rows]


def _delivery(row: tuple[Any, ...]) -> DeliveryRow:
    number, alert_id, channel, body, state, attempts, next_ms, detail = row
    return DeliveryRow(
        number, alert_id, channel, json.loads(body), state, attempts, next_ms, detail
    )


def add_attempt(
    con: Any, delivery_id: int, at_ms: int, detail: str, *, ok: bool, retry_ms: int | None
) -> None:
    """Record what an attempt came to; ``retry_ms`` None where there will be no other."""
    number = con.execute(
        "SELECT attempts + 1 FROM deliveries WHERE id = ?", (delivery_id,)
    ).fetchone()[0]
    con.execute(
        "INSERT INTO attempts VALUES (?, ?, ?, ?, ?)",
        (delivery_id, number, at_ms, ok, detail),
    )
    state = "sent" if ok else "failed" if retry_ms is None else "pending"
    con.execute(
        "UPDATE deliveries SET attempts = ?, state = ?, next_ms = ?, detail = ? WHERE id = ?",
        (number, state, at_ms if retry_ms is None else retry_ms, detail, delivery_id),
    )


def attempts(con: Any, *, limit: int = 200) -> pd.DataFrame:
    """Every attempt with its result, newest first.

    Returns
    -------
    DataFrame
        Columns at_ms, channel, alert_id, number, ok, detail.
    """
    rows = con.execute(
        "SELECT a.at_ms, d.channel, d.alert_id, a.number, a.ok, a.detail FROM attempts a "
        "JOIN deliveries d ON d.id = a.delivery_id ORDER BY a.at_ms DESC, a.number DESC LIMIT ?",
        (limit,),
    ).fetchall()
    return pd.DataFrame(rows, columns=["at_ms", "channel", "alert_id", "number", "ok", "detail"])
