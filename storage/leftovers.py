"""What piles up beside the ticks and goes after a while: answered commands, sent messages, and
all but the highest and the lowest of each hour's equity.

Bounds: commands stay a day after their answer, deliveries with their attempts thirty days, equity
in full for thirty days and then two values an hour, so that a drawdown reaches as deep as it did.
Alerts, orders, the journal and round trips are the user's history: they stay.
"""

from __future__ import annotations

from typing import Any

DAY_MS = 86_400_000
COMMANDS_MS = DAY_MS
DELIVERIES_MS = 30 * DAY_MS
EQUITY_MS = 30 * DAY_MS
_HOUR_MS = 3_600_000


def drop_commands(con: Any, now_ms: int, limit: int) -> int:
    """Delete commands that were answered a day ago or never within a day; returns how many."""
    cut = now_ms - COMMANDS_MS
    return int(
        con.execute(
            "DELETE FROM commands WHERE id IN (SELECT id FROM commands WHERE asked_ms < ? "
            "AND (answered_ms IS NULL OR answered_ms < ?) ORDER BY id LIMIT ?)",
            (cut, cut, limit),
        ).rowcount
    )


def drop_deliveries(con: Any, now_ms: int, limit: int) -> int:
    """Delete messages that were sent or given up thirty days ago, with their attempts."""
    rows = con.execute(
        "SELECT id FROM deliveries WHERE state <> 'pending' AND next_ms < ? ORDER BY id LIMIT ?",
        (now_ms - DELIVERIES_MS, limit),
    ).fetchall()
    for (number,) in rows:
        con.execute("DELETE FROM attempts WHERE delivery_id = ?", (number,))
        con.execute("DELETE FROM deliveries WHERE id = ?", (number,))
    return len(rows)


def thin_equity(con: Any, now_ms: int, limit: int) -> int:
    """Of every hour older than thirty days keep the highest and the lowest equity.

    Looks at no more than ``limit`` snapshots an account and call, oldest hours with more than two
    first; returns how many were deleted.
    """
    cut = (now_ms - EQUITY_MS) // _HOUR_MS * _HOUR_MS
    crowded = con.execute(
        f"SELECT account, time_ms / {_HOUR_MS} FROM equity WHERE time_ms < ? "
        f"GROUP BY account, time_ms / {_HOUR_MS} HAVING count(*) > 2 ORDER BY 2, 1 LIMIT ?",
        (cut, max(1, limit // 60)),
    ).fetchall()
    gone = 0
    for account, hour in crowded:
        rows = con.execute(
            "SELECT time_ms, equity FROM equity WHERE account = ? AND time_ms >= ? AND time_ms < ?",
            (account, hour * _HOUR_MS, (hour + 1) * _HOUR_MS),
        ).fetchall()
        kept = {max(rows, key=lambda r: r[1])[0], min(rows, key=lambda r: r[1])[0]}
        for time_ms, _ in rows:
            if time_ms not in kept:
                con.execute(
                    "DELETE FROM equity WHERE account = ? AND time_ms = ?", (account, time_ms)
                )
                gone += 1
    return gone
