"""Pages of stored ticks for a reader who filters and scrolls, without reading what is not shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from storage import tape
from ticks import IsoClock

TICK_COLUMNS = ["id", "symbol", "timestamp", "price", "size", "trade_id", "is_buyer_maker"]
_SELECT = f"SELECT {', '.join(TICK_COLUMNS)} FROM ticks"
_ID, _SYMBOL, _TIMESTAMP, _TRADE_ID = (
    TICK_COLUMNS.index(name) for name in ("id", "symbol", "timestamp", "trade_id")
)
# Beyond what a stored timestamp can say.
_END_MS = 10**13

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: ``[start_ms, end_ms)`` and at most ``limit`` rows."""

    start_ms: int
    end_ms: int
    limit: int


def page(
    con: Any,
    symbol: str | None,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
    before_row: int | None,
) -> list[Row]:
    """The rows that come before ``before_row``, the newest first.

    Without a filter that is the order of writing. With one it is time, then symbol, then the
    order of the tape: a search by time starts in each symbol's ids, where it takes some twenty
    look-ups, and a scan of the whole table would take seconds.
    """
    if symbol is None and start_ms is None and end_ms is None:
        last = 2**63 - 1 if before_row is None else before_row
        return con.execute(
            f"{_SELECT} WHERE id < ? ORDER BY id DESC LIMIT ?", (last, limit)
        ).fetchall()
    cursor = None
    if before_row is not None:
        cursor = _row_of(con, before_row, start_ms, end_ms)
        if cursor is None:
            # Retention has deleted it, and with it everything older.
            return []
    window = Window(max(0, start_ms or 0), _END_MS if end_ms is None else max(0, end_ms), limit)
    where, given = ("", ()) if symbol is None else ("WHERE symbol = ?", (symbol,))
    names = con.execute(f"SELECT symbol FROM symbols {where}", given).fetchall()
    rows: list[Row] = []
    for (name,) in names:
        rows += _of_symbol(con, name, window, cursor)
    rows.sort(key=_place, reverse=True)
    return rows[:limit]


def _row_of(con: Any, row_id: int, start_ms: int | None, end_ms: int | None) -> Row | None:
    """The row with a number; looked for where it should be first, to spare the other days."""
    clock, within = IsoClock(), ""
    given: list[str] = []
    if start_ms is not None:
        within, given = f"{within} AND timestamp >= ?", [*given, clock(max(0, start_ms))]
    if end_ms is not None:
        within, given = f"{within} AND timestamp < ?", [*given, clock(max(0, end_ms))]
    found = con.execute(f"{_SELECT} WHERE id = ?{within}", (row_id, *given)).fetchone()
    if found is None and given:
        found = con.execute(f"{_SELECT} WHERE id = ?", (row_id,)).fetchone()
    return found


def _place(row: Row) -> tuple[str, str, int]:
    """Where a row stands in the order of pages; made ids say nothing of order, row ids do."""
    key = row[_TRADE_ID] if row[_TRADE_ID] >= 0 else row[_ID]
    return row[_TIMESTAMP], row[_SYMBOL], key


def _of_symbol(con: Any, symbol: str, window: Window, cursor: Row | None) -> Sequence[Row]:
    key = 2**63 - 1
    before = IsoClock()(window.end_ms - 1) if window.end_ms else ""
    if cursor is not None:
        cursor_ms = tape.text_ms(cursor[_TIMESTAMP])
        same = symbol == cursor[_SYMBOL]
        end_ms = cursor_ms + (symbol <= cursor[_SYMBOL])
        if same and cursor_ms < window.end_ms:
            before, key = cursor[_TIMESTAMP], _place(cursor)[2]
        elif end_ms < window.end_ms:
            before = IsoClock()(max(0, end_ms - 1))
        window = replace(window, end_ms=min(end_ms, window.end_ms))
    since = IsoClock()(window.start_ms)
    if window.end_ms <= window.start_ms:
        return []
    rows = con.execute(
        f"{_SELECT} WHERE symbol = ? AND trade_id < 0 AND timestamp >= ? AND timestamp <= ? "
        "AND (timestamp, id) < (?, ?) ORDER BY timestamp DESC, id DESC LIMIT ?",
        (symbol, since, before, before, key, window.limit),
    ).fetchall()
    ids = tape.id_range(con, symbol, window.start_ms, window.end_ms)
    if ids is None:
        return rows
    # On a sound tape the order of ids is the order of time, and the index gives it for nothing.
    order = "timestamp DESC, trade_id DESC" if tape.disorder_ms(con, symbol) else "trade_id DESC"
    return (
        rows
        + con.execute(
            f"{_SELECT} WHERE symbol = ? AND trade_id >= ? AND trade_id < ? AND timestamp >= ? "
            f"AND timestamp <= ? AND (timestamp, trade_id) < (?, ?) ORDER BY {order} LIMIT ?",
            (symbol, *ids, since, before, before, key, window.limit),
        ).fetchall()
    )
