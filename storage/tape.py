"""The stored tape read back: first and last print, ids at a time, holes, columns of ticks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from candles import Floats, Ints
from ticks import IsoClock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NO_ID_ABOVE = 2**63 - 1
# Beyond every time a tick may have.
_LAST_MS = 10**13


def text_ms(timestamp: str) -> int:
    """Epoch milliseconds of a stored timestamp."""
    return (datetime.fromisoformat(timestamp) - _EPOCH) // _MILLISECOND


def last_print(con: Any, symbol: str) -> tuple[int | None, int | None]:
    """Id and time of the newest print stored, or (None, None)."""
    row = con.execute(
        "SELECT trade_id, timestamp FROM ticks WHERE symbol = ? ORDER BY trade_id DESC LIMIT 1",
        (symbol,),
    ).fetchone()
    if row is not None and row[0] < 0:
        row = con.execute(
            "SELECT trade_id, timestamp FROM ticks WHERE symbol = ? AND trade_id < 0 "
            "ORDER BY timestamp DESC, id DESC LIMIT 1",
            (symbol,),
        ).fetchone()
    return (row[0], text_ms(row[1])) if row else (None, None)


def first_print(con: Any, symbol: str) -> tuple[int | None, int | None]:
    """Id and time of the oldest print stored, or (None, None)."""
    row = con.execute(
        "SELECT trade_id, timestamp FROM ticks WHERE symbol = ? ORDER BY trade_id LIMIT 1",
        (symbol,),
    ).fetchone()
    if row is not None and row[0] < 0:
        row = con.execute(
            "SELECT trade_id, timestamp FROM ticks WHERE symbol = ? AND trade_id < 0 "
            "ORDER BY timestamp, id LIMIT 1",
            (symbol,),
        ).fetchone()
    return (row[0], text_ms(row[1])) if row else (None, None)


def id_at(con: Any, symbol: str, time_ms: int) -> int | None:
    """The lowest exchange id whose print is at ``time_ms`` or later; None where there is none.

    Ids grow with time, so this is a bisection on the unique index: some twenty look-ups. Where
    times were seen to fall back along the ids, the bisection aims earlier by as much.
    """
    if con.by_day:
        bounds = id_range(con, symbol, time_ms, _LAST_MS)
        low = None if bounds is None else bounds[0]
    else:
        low = _bisect(con, symbol, time_ms - disorder_ms(con, symbol))
    if low is None:
        return None
    row = con.execute(
        "SELECT trade_id FROM ticks WHERE symbol = ? AND trade_id >= ? AND timestamp >= ? "
        "ORDER BY trade_id LIMIT 1",
        (symbol, low, IsoClock()(time_ms)),
    ).fetchone()
    return None if row is None else row[0]


def id_range(con: Any, symbol: str, start_ms: int, end_ms: int) -> tuple[int, int] | None:
    """Half-open bounds of the exchange ids of ``[start_ms, end_ms)``; None where there are none.

    Between them lies every print of that time, and where times fall back along the ids some of
    other times too: the caller filters on the timestamp as well.
    """
    slack_ms = disorder_ms(con, symbol)
    if con.by_day:
        return _range_by_day(con, symbol, start_ms - slack_ms, end_ms + slack_ms)
    low = _bisect(con, symbol, start_ms - slack_ms)
    if low is None:
        return None
    high = _bisect(con, symbol, end_ms + slack_ms)
    return low, _NO_ID_ABOVE if high is None else high


def _range_by_day(con: Any, symbol: str, start_ms: int, end_ms: int) -> tuple[int, int] | None:
    """The same where ticks lie in a table a day: only the days asked for are looked into."""
    start_ms, end_ms = max(0, start_ms), min(max(0, end_ms), _LAST_MS)
    first, last = (IsoClock()(at_ms)[:10] for at_ms in (start_ms, end_ms))
    after_first, after_last = _day_after(first), _day_after(last)
    found = (
        _bisect(con, symbol, start_ms, (first, after_first)),
        # A print after midnight may have a lower id where times fall back.
        _end_id(con, symbol, "min", (after_first, after_last)),
    )
    low = min((one for one in found if one is not None), default=None)
    if low is None:
        return None
    high = _bisect(con, symbol, end_ms, (last, after_last))
    if high is None:
        newest = _end_id(con, symbol, "max", (first, after_last))
        high = _NO_ID_ABOVE if newest is None else newest + 1
    return low, high


def _day_after(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


def _end_id(con: Any, symbol: str, end: str, days: tuple[str, str]) -> int | None:
    """The lowest or the highest exchange id of some days, half-open: ``min`` or ``max``."""
    return con.execute(
        f"SELECT {end}(trade_id) FROM ticks WHERE symbol = ? AND trade_id >= 0 "
        "AND timestamp >= ? AND timestamp < ?",
        (symbol, *days),
    ).fetchone()[0]


def disorder_ms(con: Any, symbol: str) -> int:
    """How far the symbol's times were seen to fall back along its ids; 0 on a sound tape."""
    row = con.execute("SELECT disorder_ms FROM symbols WHERE symbol = ?", (symbol,)).fetchone()
    return row[0] if row else 0


def _bisect(con: Any, symbol: str, time_ms: int, days: tuple[str, str] | None = None) -> int | None:
    """An id whose print is at ``time_ms`` or later while that of the one before is earlier.

    Among the prints of some days alone, half-open, where they are given.
    """
    within = "" if days is None else "AND timestamp >= ? AND timestamp < ? "
    given = days or ()
    probe = (
        f"SELECT trade_id, timestamp FROM ticks WHERE symbol = ? AND trade_id >= ? {within}"
        "ORDER BY trade_id LIMIT 1"
    )
    # One aggregate a query is a look-up; both in one query would read all of the symbol's index.
    ends = con.execute(
        f"SELECT (SELECT min(trade_id) FROM ticks WHERE symbol = ? AND trade_id >= 0 {within}), "
        f"(SELECT max(trade_id) FROM ticks WHERE symbol = ? AND trade_id >= 0 {within})",
        (symbol, *given, symbol, *given),
    ).fetchone()
    if ends[0] is None:
        return None
    wanted = IsoClock()(max(0, time_ms))
    low, high = ends[0], ends[1] + 1
    while low < high:
        middle = (low + high) // 2
        row = con.execute(probe, (symbol, middle, *given)).fetchone()
        if row is None or row[1] >= wanted:
            high = middle
        else:
            low = row[0] + 1
    row = con.execute(probe, (symbol, low, *given)).fetchone()
    return None if row is None else row[0]


def missing_ranges(con: Any, symbol: str, first_id: int, last_id: int) -> list[tuple[int, int]]:
    """The runs of ids within [first_id, last_id] that are not stored, in order."""
    ids = np.fromiter(
        chain.from_iterable(
            con.execute(
                "SELECT trade_id FROM ticks WHERE symbol = ? AND trade_id BETWEEN ? AND ? "
                "ORDER BY trade_id",
                (symbol, first_id, last_id),
            )
        ),
        dtype=np.int64,
    )
    edges = np.concatenate(([first_id - 1], ids, [last_id + 1]))
    holes = np.flatnonzero(np.diff(edges) > 1)
    return [(int(edges[i]) + 1, int(edges[i + 1]) - 1) for i in holes]


def tick_columns(con: Any, symbol: str, start_ms: int, end_ms: int) -> tuple[Ints, Floats, Floats]:
    """Time, price and size of the ticks in ``[start_ms, end_ms)``, in the order of the tape."""
    clock = IsoClock()
    first, last = clock(start_ms), clock(end_ms)
    numbered, ids = [], id_range(con, symbol, start_ms, end_ms)
    if ids is not None:
        numbered = con.execute(
            "SELECT timestamp, price, size FROM ticks WHERE symbol = ? AND trade_id >= ? "
            "AND trade_id < ? AND timestamp >= ? AND timestamp < ? ORDER BY trade_id",
            (symbol, *ids, first, last),
        ).fetchall()
    made = con.execute(
        "SELECT timestamp, price, size FROM ticks WHERE symbol = ? AND trade_id < 0 "
        "AND timestamp >= ? AND timestamp < ? ORDER BY timestamp, id",
        (symbol, first, last),
    ).fetchall()
    # The tape's order is time, then id; nearly always the rows are in it already.
    rows = sorted(made + numbered, key=itemgetter(0))
    times = np.fromiter((text_ms(r[0]) for r in rows), np.int64, len(rows))
    return times, _column(rows, 1), _column(rows, 2)


def iterate(
    con: Any, symbol: str, start_ms: int, end_ms: int | None, chunk: int
) -> Iterator[list[Any]]:
    """Rows (timestamp, price, size, trade_id, is_buyer_maker) in tape order, a chunk at a time.

    Prints without the exchange's ids come first: they are older than those with.
    """
    clock = IsoClock()
    end_ms = _LAST_MS if end_ms is None else end_ms
    first, last = clock(max(0, start_ms)), clock(max(0, end_ms))
    select = "SELECT timestamp, price, size, trade_id, is_buyer_maker FROM ticks WHERE symbol = ?"
    yield from con.stream(
        f"{select} AND trade_id < 0 AND timestamp >= ? AND timestamp < ? ORDER BY timestamp, id",
        (symbol, first, last),
        chunk,
    )
    ids = id_range(con, symbol, start_ms, end_ms)
    if ids is None:
        return
    order = "timestamp, trade_id" if disorder_ms(con, symbol) else "trade_id"
    yield from con.stream(
        f"{select} AND trade_id >= ? AND trade_id < ? AND timestamp >= ? AND timestamp < ? "
        f"ORDER BY {order}",
        (symbol, *ids, first, last),
        chunk,
    )


def _column(rows: Sequence[Sequence[float]], index: int) -> Floats:
    return np.fromiter((r[index] for r in rows), np.float64, len(rows))


def recent_frame(con: Any, symbol: str, start_ms: int, limit: int) -> pd.DataFrame:
    """Ticks since ``start_ms`` in tape order, at most the newest ``limit``."""
    select = "SELECT timestamp, price, size, is_buyer_maker FROM ticks WHERE symbol = ? AND "
    since, rows = IsoClock()(max(0, start_ms)), []
    first_id = id_at(con, symbol, start_ms)
    if first_id is not None:
        rows = con.execute(
            f"{select} trade_id >= ? AND timestamp >= ? ORDER BY trade_id DESC LIMIT ?",
            (symbol, first_id, since, limit),
        ).fetchall()
    # Prints without the exchange's ids are older than those with.
    rows += con.execute(
        f"{select} trade_id < 0 AND timestamp >= ? ORDER BY timestamp DESC, id DESC LIMIT ?",
        (symbol, since, limit - len(rows)),
    ).fetchall()
    rows.reverse()
    rows.sort(key=itemgetter(0))
    frame = pd.DataFrame(rows, columns=["timestamp", "price", "size", "is_buyer_maker"])
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True, format="ISO8601")
    frame["is_buyer_maker"] = frame["is_buyer_maker"].astype("float64")
    return frame
