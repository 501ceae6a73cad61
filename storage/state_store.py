"""Small facts by topic and key, as JSON: health, settings, saved runs; and command rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    """What a viewer asks of the holder of the lease."""

    id: int
    kind: str
    body: Any
    asked_ms: int


def put(con: Any, topic: str, key: str, body: Any, now_ms: int) -> None:
    """Store a fact, in place of the one before it."""
    con.execute(
        "INSERT INTO state VALUES (?, ?, ?, ?) ON CONFLICT (topic, key) DO UPDATE SET "
        "body = excluded.body, at_ms = excluded.at_ms",
        (topic, key, json.dumps(body, allow_nan=False), now_ms),
    )


def get(con: Any, topic: str, key: str) -> tuple[Any, int] | None:
    """A fact and when it was stored, or None."""
    row = con.execute(
        "SELECT body, at_ms FROM state WHERE topic = ? AND key = ?", (topic, key)
    ).fetchone()
    return (json.loads(row[0]), row[1]) if row else None


def all_of(con: Any, topic: str) -> dict[str, Any]:
    """Every fact of a topic by key."""
    rows = con.execute("SELECT key, body FROM state WHERE topic = ? ORDER BY key", (topic,))
    return {key: json.loads(body) for key, body in rows}


def drop(con: Any, topic: str, key: str) -> None:
    """Forget a fact."""
    con.execute("DELETE FROM state WHERE topic = ? AND key = ?", (topic, key))


def ask(con: Any, kind: str, body: Any, now_ms: int) -> int:
    """Leave a command for the holder; returns its number."""
    return con.execute(
        "INSERT INTO commands (kind, body, asked_ms) VALUES (?, ?, ?) RETURNING id",
        (kind, json.dumps(body, allow_nan=False), now_ms),
    ).fetchone()[0]


def asked(con: Any) -> list[Command]:
    """Commands without an answer, oldest first."""
    rows = con.execute(
        "SELECT id, kind, body, asked_ms FROM commands WHERE answered_ms IS NULL ORDER BY id"
    )
    return [Command(i, kind, json.loads(body), at) for i, kind, body, at in rows]


def answer(con: Any, command_id: int, result: Any, now_ms: int) -> None:
    """Answer a command."""
    con.execute(
        "UPDATE commands SET answer = ?, answered_ms = ? WHERE id = ?",
        (json.dumps(result, allow_nan=False), now_ms, command_id),
    )


def answered(con: Any, command_id: int) -> Any | None:
    """The answer to a command, or None while there is none."""
    row = con.execute("SELECT answer FROM commands WHERE id = ?", (command_id,)).fetchone()
    return json.loads(row[0]) if row and row[0] is not None else None
