"""The ledger of holes in the tape: every missing run of ids, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage import tape

_COLUMNS = "id, symbol, first_id, last_id, start_ms, end_ms, state, reason, found_ms, closed_ms"


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of trade ids that is missing, both ends included.

    ``start_ms`` and ``end_ms`` are the times of the prints on either side of it. ``state`` is
    ``open``, ``filled`` or ``confirmed_absent``; ``reason`` says in words why it is there, or why
    it cannot be filled.
    """

    symbol: str
    first_id: int
    last_id: int
    start_ms: int
    end_ms: int
    reason: str
    state: str = "open"
    id: int = 0
    found_ms: int = 0
    closed_ms: int | None = None

    @property
    def size(self) -> int:
        """How many ids it spans."""
        return self.last_id - self.first_id + 1


def record(con: Any, gaps: Sequence[Gap], now_ms: int) -> None:
    """Write down holes as they are seen; one that is known already changes nothing."""
    con.executemany(
        "INSERT INTO gaps (symbol, first_id, last_id, start_ms, end_ms, state, reason, found_ms) "
        "VALUES (?, ?, ?, ?, ?, 'open', ?, ?) ON CONFLICT (symbol, first_id, last_id) DO NOTHING",
        [(g.symbol, g.first_id, g.last_id, g.start_ms, g.end_ms, g.reason, now_ms) for g in gaps],
    )


def close(con: Any, gap_id: int, state: str, reason: str, now_ms: int) -> None:
    """Close a hole as ``filled`` or ``confirmed_absent``."""
    con.execute(
        "UPDATE gaps SET state = ?, reason = ?, closed_ms = ? WHERE id = ?",
        (state, reason, now_ms, gap_id),
    )


def explain(con: Any, gap_id: int, reason: str) -> None:
    """Leave a hole open, and say why."""
    con.execute("UPDATE gaps SET reason = ? WHERE id = ?", (reason, gap_id))


def shrink(con: Any, gap_id: int, first_id: int, last_id: int, start_ms: int, end_ms: int) -> None:
    """Narrow a hole to these ids and times (or widen it again when it closes).

    A closed row of the same extent, from an earlier life of the same ids, gives way.
    """
    con.execute(
        "DELETE FROM gaps WHERE symbol = (SELECT symbol FROM gaps WHERE id = ?) "
        "AND first_id = ? AND last_id = ? AND id <> ?",
        (gap_id, first_id, last_id, gap_id),
    )
    con.execute(
        "UPDATE gaps SET first_id = ?, last_id = ?, start_ms = ?, end_ms = ? WHERE id = ?",
        (first_id, last_id, start_ms, end_ms, gap_id),
    )


def fill(
    con: Any,
    gap: Gap,
    left: Gap | None,
    found: Gap,
    state: str,
    absent: Sequence[Gap],
    now_ms: int,
) -> None:
    """Note what a page of fetched prints made of a hole.

    Parameters
    ----------
    left : Gap or None
        What is still missing of it; None closes it as ``state``, with the extent of ``found``.
    absent : sequence of Gap
        Runs that the exchange does not have, closed as ``confirmed_absent`` on their own.
    """
    con.executemany(
        "INSERT INTO gaps (symbol, first_id, last_id, start_ms, end_ms, state, reason, found_ms, "
        "closed_ms) VALUES (?, ?, ?, ?, ?, 'confirmed_absent', 'the exchange has no such ids', "
        "?, ?) ON CONFLICT (symbol, first_id, last_id) DO NOTHING",
        [
            (g.symbol, g.first_id, g.last_id, g.start_ms, g.end_ms, gap.found_ms, now_ms)
            for g in absent
        ],
    )
    extent = found if left is None else left
    shrink(con, gap.id, extent.first_id, extent.last_id, extent.start_ms, extent.end_ms)
    if left is None:
        close(con, gap.id, state, gap.reason, now_ms)


def listed(
    con: Any, *, symbol: str | None = None, state: str | None = None, limit: int = 1000
) -> list[Gap]:
    """Holes, newest first."""
    where, values = ["1 = 1"], []
    for column, value in (("symbol", symbol), ("state", state)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    rows = con.execute(
        f"SELECT {_COLUMNS} FROM gaps WHERE {' AND '.join(where)} ORDER BY start_ms DESC LIMIT ?",
        (*values, limit),
    )
    return [_gap(row) for row in rows]


def _gap(row: Sequence[Any]) -> Gap:
    gap_id, symbol, first_id, last_id, start_ms, end_ms, state, reason, found, closed = row
    return Gap(symbol, first_id, last_id, start_ms, end_ms, reason, state, gap_id, found, closed)


def open_spans(con: Any, symbol: str, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Times of the open holes that touch ``[start_ms, end_ms)``: clipped, merged, in order."""
    rows = con.execute(
        "SELECT start_ms, end_ms FROM gaps WHERE symbol = ? AND state = 'open' "
        "AND start_ms < ? AND end_ms > ? ORDER BY start_ms",
        (symbol, end_ms, start_ms),
    )
    spans: list[tuple[int, int]] = []
    for low, high in rows:
        low, high = max(low, start_ms), min(high, end_ms)
        if spans and low <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], high))
        else:
            spans.append((low, high))
    return spans


def coverage(con: Any, symbol: str, start_ms: int, end_ms: int) -> float | None:
    """The share of ``[start_ms, end_ms)`` that the stored ticks cover.

    Time before the first and after the last print counts as not covered, and so do open holes.
    None where no tick of the symbol is stored, or the window is empty.
    """
    first, last = tape.first_print(con, symbol)[1], tape.last_print(con, symbol)[1]
    if first is None or last is None or end_ms <= start_ms:
        return None
    low, high = max(first, start_ms), min(last, end_ms)
    missing = sum(b - a for a, b in open_spans(con, symbol, low, high)) if high > low else 0
    return max(0, high - low - missing) / (end_ms - start_ms)
