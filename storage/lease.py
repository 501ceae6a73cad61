"""One holder at a time: who collects and trades on this database, kept alive by a heartbeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FEED = "collector"
"""The lease of whoever collects; what it says of itself is kept under the same name."""

EXPIRY_MS = 10_000
"""A lease whose holder has been silent for so long is free; two heartbeats are due in that time."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds it, in words and since when."""

    holder: str
    description: str
    acquired_ms: int
    beat_ms: int


def current(con: Any, name: str) -> Lease | None:
    """The lease as it was last written, expired or not."""
    row = con.execute(
        "SELECT holder, description, acquired_ms, beat_ms FROM lease WHERE name = ?", (name,)
    ).fetchone()
    return Lease(*row) if row else None


def acquire(con: Any, name: str, holder: str, description: str, now_ms: int) -> bool:
    """Take the lease if it is free, expired or held by ``holder`` already, and beat."""
    held = current(con, name)
    if held is not None and held.holder != holder and abs(now_ms - held.beat_ms) < EXPIRY_MS:
        # A beat far in the future is one from before the clock was set back.
        return False
    since = held.acquired_ms if held is not None and held.holder == holder else now_ms
    con.execute(
        "INSERT INTO lease VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
        "holder = excluded.holder, description = excluded.description, "
        "acquired_ms = excluded.acquired_ms, beat_ms = excluded.beat_ms",
        (name, holder, description, since, now_ms),
    )
    return True


def release(con: Any, name: str, holder: str) -> None:
    """Give it back; the next may take it at once."""
    con.execute("DELETE FROM lease WHERE name = ? AND holder = ?", (name, holder))
