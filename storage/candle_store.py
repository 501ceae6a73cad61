"""Candles kept as ticks are written, and read back.

Ticks that come in order are folded and merged into the candles that are there. Ticks that come
late, or twice, or by import make their seconds be folded again from the stored ticks, and the
longer candles be rolled up again from the seconds. Either way the candles equal the ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from candles import (
    CHART_TIMEFRAMES,
    STORED_TIMEFRAMES,
    CandleColumns,
    Ints,
    base_timeframe,
    canonical_timeframe,
    fold_ticks,
    roll_up,
    timeframe_ms,
)
from storage import tape
from ticks import TickBatch

if TYPE_CHECKING:
    from storage.tick_store import SymbolState

_SECOND_MS = 1000
_LENGTHS = [(timeframe, timeframe_ms(timeframe)) for timeframe in STORED_TIMEFRAMES]
# Up to so many candles of a second are rolled up without arrays.
_FEW_SECONDS = 64
# Late ticks nearer than this to one another are folded again in one read.
_JOIN_MS = 60_000
# Late ids nearer than this to one another are compared with their neighbours in one read.
_NEAR_IDS = 10_000

MERGE = """ON CONFLICT (symbol, timeframe, timestamp) DO UPDATE SET
    high = CASE WHEN excluded.high > ohlc_data.high THEN excluded.high ELSE ohlc_data.high END,
    low = CASE WHEN excluded.low < ohlc_data.low THEN excluded.low ELSE ohlc_data.low END,
    close = excluded.close, volume = ohlc_data.volume + excluded.volume
    WHERE ohlc_data.source = 'ticks'"""
_REPLACE = """ON CONFLICT (symbol, timeframe, timestamp) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, source = 'ticks'
    WHERE ohlc_data.source = 'ticks' OR ohlc_data.timestamp >= """
# Keys of ``meta`` under which the number of rewrites of a symbol's closed candles is kept.
_REWRITTEN = "rewritten:"

_INSERT = """INSERT INTO ohlc_data
    (symbol, timeframe, source, timestamp, open, high, low, close, volume)
    VALUES (?, ?, 'ticks', ?, ?, ?, ?, ?, ?) """


_MERGE_AGAIN = """UPDATE ohlc_data SET high = max(high, ?), low = min(low, ?), close = ?,
    volume = volume + ? WHERE id = ? AND source = 'ticks'"""

Forming = dict[tuple[str, str], tuple[int, int]]
"""Open time and row number of the candle merged last, by symbol and timeframe."""
RowOfCandle = tuple[Any, ...]
"""symbol, timeframe, open_ms, open, high, low, close, volume"""
Fold = Callable[[Any, Sequence[str], CandleColumns], None]


def update(con: Any, known: Mapping[str, SymbolState], fresh: TickBatch, fold: Fold) -> None:
    """Bring the candles of freshly stored ticks up to date, and the symbols' newest prints.

    ``fold`` merges seconds that continue what is stored; what does not is folded anew here.

    The rows must be sorted by symbol, in the order of ``arrays().names``.
    """
    symbols, group, times, price, size, ids = fresh.arrays()
    ends = np.searchsorted(group, np.arange(len(symbols) + 1)).tolist()
    rising = _all_rising(fresh)
    in_order, all_rows = [], True
    for i, symbol in enumerate(symbols):
        rows = slice(ends[i], ends[i + 1])
        if rows.start == rows.stop:
            continue
        state = known[symbol]
        first = _End(int(times[rows.start]), int(ids[rows.start]))
        last = _End(int(times[rows.stop - 1]), int(ids[rows.stop - 1]))
        if not rising:
            last = _End(int(times[rows].max()), int(ids[rows].max()))
        _remember_first(con, symbol, state, first.time_ms if rising else int(times[rows].min()))
        if _extends(state, first) and (rising or _is_rising(times[rows], ids[rows])):
            in_order.append(i)
        else:
            all_rows = False
            if first.trade_id >= 0:
                _measure_disorder(con, symbol, state, ids[rows])
            _refold(con, symbol, times[rows], state)
        state.last_ms = last.time_ms if state.last_ms is None else max(state.last_ms, last.time_ms)
        state.last_id = (
            last.trade_id if state.last_id is None else max(state.last_id, last.trade_id)
        )
    if in_order:
        keep = slice(None) if all_rows else np.isin(group, in_order)
        seconds = fold_ticks(group[keep], times[keep], price[keep], size[keep], _SECOND_MS)
        fold(con, symbols, seconds)


class _End(NamedTuple):
    """One end of a run of prints."""

    time_ms: int
    trade_id: int


def _all_rising(fresh: TickBatch) -> bool:
    """Whether times and ids rise within every symbol; judged at once, the usual case."""
    _, group, times, _, _, ids = fresh.arrays()
    # Ids made for prints are negative and say nothing about order.
    falls = (times[1:] < times[:-1]) | ((ids[1:] <= ids[:-1]) & (ids[1:] >= 0))
    return not (falls & (group[1:] == group[:-1])).any()


def _is_rising(times: Ints, ids: Ints) -> bool:
    if (times[1:] < times[:-1]).any():
        return False
    return ids[0] < 0 or not (ids[1:] <= ids[:-1]).any()


def _extends(state: SymbolState, first: _End) -> bool:
    """Whether prints from here on continue what is stored, so that open stays and close moves."""
    if state.last_ms is not None and first.time_ms < state.last_ms:
        return False
    if first.time_ms < state.imported_until_ms:
        # Whether they take the place of an imported candle is for the folding anew to say.
        return False
    return first.trade_id < 0 or state.last_id is None or first.trade_id > state.last_id


def merge(con: Any, symbols: Sequence[str], seconds: CandleColumns, forming: Forming) -> None:
    """Merge seconds that continue what is stored into every stored timeframe."""
    rows = rows_of_every_timeframe(symbols, seconds)
    if len(seconds) <= _FEW_SECONDS:
        _merge_few(con, rows, forming)
    else:
        con.executemany(_INSERT + MERGE, rows)


def rows_of_every_timeframe(symbols: Sequence[str], seconds: CandleColumns) -> list[RowOfCandle]:
    """Candles of a second rolled up to each stored timeframe, no two of one key."""
    if len(seconds) <= _FEW_SECONDS:
        return _few_rows(symbols, seconds)
    rows: list[RowOfCandle] = []
    for timeframe in STORED_TIMEFRAMES:
        candles = seconds if timeframe == "1s" else roll_up(seconds, timeframe_ms(timeframe))
        rows += _rows(symbols, timeframe, candles)
    return rows


def _merge_few(con: Any, rows: list[tuple[Any, ...]], forming: Forming) -> None:
    """Merge by row number where the candle is the one merged last, else by its key.

    Nearly every batch goes on with the candles of the one before; finding them again by symbol,
    timeframe and time would cost twice what changing them does.
    """
    again = []
    for row in rows:
        symbol, timeframe, open_ms, _, high, low, close, volume = row
        known = forming.get((symbol, timeframe))
        if known is not None and known[0] == open_ms:
            again.append((high, low, close, volume, known[1]))
            continue
        stored = con.execute(_INSERT + MERGE + " RETURNING id", row).fetchone()
        if stored is not None:
            forming[symbol, timeframe] = (open_ms, stored[0])
    con.executemany(_MERGE_AGAIN, again)


def _few_rows(symbols: Sequence[str], seconds: CandleColumns) -> list[tuple[Any, ...]]:
    """The rows of every timeframe; of a few seconds arrays would cost more than they save."""
    rows: list[tuple[Any, ...]] = []
    columns = [getattr(seconds, name).tolist() for name in CandleColumns.__slots__]
    of_seconds = list(zip(*columns, strict=True))
    for timeframe, length in _LENGTHS:
        group, start = -1, -1
        high = low = close = volume = opened = 0.0
        for new_group, open_ms, o, h, lo, c, v in of_seconds:
            new_start = open_ms - open_ms % length
            if new_group == group and new_start == start:
                high, low, close, volume = max(high, h), min(low, lo), c, volume + v
                continue
            if group >= 0:
                rows.append((symbols[group], timeframe, start, opened, high, low, close, volume))
            group, start, opened, high, low, close, volume = new_group, new_start, o, h, lo, c, v
        if group >= 0:
            rows.append((symbols[group], timeframe, start, opened, high, low, close, volume))
    return rows


def _rows(symbols: Sequence[str], timeframe: str, candles: CandleColumns) -> Any:
    names = [symbols[i] for i in candles.group.tolist()]
    columns = (
        candles.open_ms,
        candles.open,
        candles.high,
        candles.low,
        candles.close,
        candles.volume,
    )
    return zip(names, [timeframe] * len(names), *(c.tolist() for c in columns), strict=True)


def _remember_first(con: Any, symbol: str, state: SymbolState, first_ms: int) -> None:
    """Keep the time of the oldest print ever stored: from there on ticks make the candles."""
    if state.first_ms is None or first_ms < state.first_ms:
        state.first_ms = first_ms
        con.execute("UPDATE symbols SET first_ms = ? WHERE symbol = ?", (first_ms, symbol))


def _measure_disorder(con: Any, symbol: str, state: SymbolState, ids: Ints) -> None:
    """Learn how far the times of freshly stored, late prints fall back along the ids.

    Searching by time bisects the ids and has to allow for it; it is zero on a sound tape.
    """
    ids = np.sort(ids)
    worst = state.disorder_ms
    for run in np.split(ids, np.flatnonzero(np.diff(ids) > _NEAR_IDS) + 1):
        texts = _times_around(con, symbol, int(run[0]), int(run[-1]))
        if texts == sorted(texts):
            continue
        times = np.array([tape.text_ms(t) for t in texts], dtype=np.int64)
        within = int((np.maximum.accumulate(times) - times).max())
        earlier = int(times[0] + state.disorder_ms - times.min())
        later = int(times.max() - times[-1] + state.disorder_ms)
        worst = max(worst, within, earlier, later)
    if worst > state.disorder_ms:
        state.disorder_ms = worst
        con.execute("UPDATE symbols SET disorder_ms = ? WHERE symbol = ?", (worst, symbol))


def _times_around(con: Any, symbol: str, first_id: int, last_id: int) -> list[str]:
    """Timestamps of the stored ids from the neighbour before to the neighbour after."""
    before, after = con.execute(
        "SELECT (SELECT max(trade_id) FROM ticks WHERE symbol = ? AND trade_id < ?), "
        "(SELECT min(trade_id) FROM ticks WHERE symbol = ? AND trade_id > ?)",
        (symbol, first_id, symbol, last_id),
    ).fetchone()
    rows = con.execute(
        "SELECT timestamp FROM ticks WHERE symbol = ? AND trade_id BETWEEN ? AND ? "
        "ORDER BY trade_id",
        (symbol, first_id if before is None else before, last_id if after is None else after),
    )
    return [row[0] for row in rows]


def _refold(con: Any, symbol: str, times: Ints, state: SymbolState) -> None:
    """Fold the touched seconds again from the stored ticks, and what is rolled up from them."""
    seconds = np.unique(times // _SECOND_MS) * _SECOND_MS
    breaks = np.flatnonzero(np.diff(seconds) > _JOIN_MS) + 1
    for run in np.split(seconds, breaks):
        refold_range(con, symbol, int(run[0]), int(run[-1]) + _SECOND_MS, state)


def refold_range(con: Any, symbol: str, start_ms: int, end_ms: int, state: SymbolState) -> None:
    """Make the candles that touch ``[start_ms, end_ms)`` equal to the stored ticks again.

    An imported candle gives way to the ticks unless it began before the first of them.
    """
    if state.low_water_ms is not None:
        start_ms = max(start_ms, state.low_water_ms)
    if start_ms >= end_ms:
        return
    note_rewrite(con, symbol)
    times, price, size = tape.tick_columns(con, symbol, start_ms, end_ms)
    group = np.zeros(len(times), dtype=np.int64)
    seconds = fold_ticks(group, times, price, size, _SECOND_MS)
    replace = f"{_INSERT}{_REPLACE}{state.first_ms or 0}"
    con.executemany(replace, _rows([symbol], "1s", seconds))
    for timeframe in STORED_TIMEFRAMES[1:]:
        length = timeframe_ms(timeframe)
        low, high = start_ms // length * length, -(-end_ms // length) * length
        stored = candle_columns(con, symbol, "1s", low, high)
        con.executemany(replace, _rows([symbol], timeframe, roll_up(stored, length)))


def candle_columns(
    con: Any, symbol: str, timeframe: str, start_ms: int, end_ms: int
) -> CandleColumns:
    """Stored candles that open within ``[start_ms, end_ms)``, in order, as one group."""
    rows = con.execute(
        "SELECT timestamp, open, high, low, close, volume FROM ohlc_data "
        "WHERE symbol = ? AND timeframe = ? AND timestamp >= ? AND timestamp < ? "
        "ORDER BY timestamp",
        (symbol, timeframe, start_ms, end_ms),
    ).fetchall()
    return as_columns(rows)


def newest_columns(
    con: Any, symbol: str, timeframe: str, limit: int, before_ms: int | None
) -> CandleColumns:
    """The newest ``limit`` stored candles that open before ``before_ms``, in order."""
    rows = con.execute(
        "SELECT timestamp, open, high, low, close, volume FROM ohlc_data "
        "WHERE symbol = ? AND timeframe = ? AND timestamp < ? ORDER BY timestamp DESC LIMIT ?",
        (symbol, timeframe, 2**63 - 1 if before_ms is None else before_ms, limit),
    ).fetchall()
    rows.reverse()
    return as_columns(rows)


def note_rewrite(con: Any, symbol: str) -> None:
    """Say that candles of the symbol other than those that form may be others now."""
    con.execute(
        "INSERT INTO meta VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET value = meta.value + 1",
        (_REWRITTEN + symbol,),
    )


def rewrites(con: Any, symbol: str) -> int:
    """How often that was said of the symbol."""
    row = con.execute("SELECT value FROM meta WHERE key = ?", (_REWRITTEN + symbol,)).fetchone()
    return 0 if row is None else row[0]


def ends(con: Any, symbol: str, timeframe: str) -> tuple[int, int] | None:
    """Opens of the oldest and the newest candle of a timeframe, rolled up or imported."""
    length = timeframe_ms(timeframe)
    found: list[int] = []
    for name in {base_timeframe(timeframe), canonical_timeframe(timeframe)}:
        for side in ("min", "max"):
            (open_ms,) = con.execute(
                f"SELECT {side}(timestamp) FROM ohlc_data WHERE symbol = ? AND timeframe = ?",
                (symbol, name),
            ).fetchone()
            found += [] if open_ms is None else [open_ms // length * length]
    return (min(found), max(found)) if found else None


def with_imported(
    con: Any,
    symbol: str,
    timeframe: str,
    rolled: CandleColumns,
    limit: int,
    before_ms: int | None,
) -> CandleColumns:
    """Candles rolled up from stored ones, joined with those imported at that length.

    From the first tick on a rolled-up candle has precedence, before it an imported one.
    """
    imported = newest_columns(con, symbol, canonical_timeframe(timeframe), limit, before_ms)
    if not len(imported):
        return rolled
    first_ms = first_tick_ms(con, symbol)
    partial = np.isin(imported.open_ms, rolled.open_ms)
    if first_ms is not None:
        partial &= imported.open_ms >= first_ms
    rows = dict(zip(rolled.open_ms.tolist(), _values(rolled), strict=True))
    rows.update(
        (open_ms, values)
        for open_ms, values, drop in zip(
            imported.open_ms.tolist(), _values(imported), partial.tolist(), strict=True
        )
        if not drop
    )
    return as_columns([(open_ms, *rows[open_ms]) for open_ms in sorted(rows)])


def _values(candles: CandleColumns) -> list[tuple[float, ...]]:
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    return list(zip(*(c.tolist() for c in columns), strict=True))


def as_columns(rows: Sequence[Sequence[float]]) -> CandleColumns:
    """Rows of (open_ms, open, high, low, close, volume) as columns of one group."""
    table = np.fromiter(chain.from_iterable(rows), np.float64, 6 * len(rows)).reshape(-1, 6)
    return CandleColumns(
        np.zeros(len(rows), dtype=np.int64), table[:, 0].astype(np.int64), *table[:, 1:].T
    )


_IMPORT = """INSERT INTO ohlc_data
    (symbol, timeframe, source, timestamp, open, high, low, close, volume)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (symbol, timeframe, timestamp) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, source = excluded.source
    WHERE (ohlc_data.source != 'ticks' OR ohlc_data.timestamp < ?) AND (ohlc_data.open,
    ohlc_data.high, ohlc_data.low, ohlc_data.close, ohlc_data.volume, ohlc_data.source)
    != (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume,
    excluded.source)"""

CandleRow = tuple[str, int, float, float, float, float, float]
"""symbol, open_ms, open, high, low, close, volume"""


def import_candles(con: Any, rows: Sequence[CandleRow], timeframe: str, source: str) -> int:
    """Store closed candles that were not made of ticks; returns how many rows changed.

    A candle that the ticks cover stays as the ticks have it; one that began before the first
    tick ever stored (and so is made of part of its trades) gives way. Longer candles all of
    whose parts are there now are rolled up, under the same rule.
    """
    timeframe = canonical_timeframe(timeframe)
    length = timeframe_ms(timeframe)
    changed = 0
    for symbol in dict.fromkeys(row[0] for row in rows):
        note_rewrite(con, symbol)
        own = [row for row in rows if row[0] == symbol]
        changed += _import(con, own, timeframe, source)
        opens = np.array([row[1] for row in own], dtype=np.int64)
        end_ms = int(opens.max()) + length
        for longer in _longer_timeframes(length):
            rolled = _complete_candles(con, symbol, timeframe, longer, opens)
            _import(con, rolled, longer, source)
            end_ms = max([end_ms, *(r[1] + timeframe_ms(longer) for r in rolled)])
        con.execute(
            "INSERT INTO imported VALUES (?, ?) ON CONFLICT (symbol) DO UPDATE SET "
            "until_ms = excluded.until_ms WHERE excluded.until_ms > imported.until_ms",
            (symbol, end_ms),
        )
    return changed


def _import(con: Any, rows: Sequence[CandleRow], timeframe: str, source: str) -> int:
    if not rows:
        return 0
    first_ms = first_tick_ms(con, rows[0][0]) or 0
    before = con.total_changes
    con.executemany(_IMPORT, ((r[0], timeframe, source, *r[1:], first_ms) for r in rows))
    return con.total_changes - before


def first_tick_ms(con: Any, symbol: str) -> int | None:
    """Time of the oldest print ever stored of a symbol, retained or not; None without any."""
    row = con.execute("SELECT first_ms FROM symbols WHERE symbol = ?", (symbol,)).fetchone()
    return row[0] if row else None


def _longer_timeframes(length_ms: int) -> list[str]:
    """What imported candles are rolled up to at once.

    Beyond the longest stored timeframe the reader rolls up by itself, except from candles that
    are longer than that themselves.
    """
    longest_stored = timeframe_ms(STORED_TIMEFRAMES[-1])
    offered = STORED_TIMEFRAMES if length_ms <= longest_stored else CHART_TIMEFRAMES
    return [
        name for name in offered if (n := timeframe_ms(name)) > length_ms and n % length_ms == 0
    ]


def _complete_candles(
    con: Any, symbol: str, timeframe: str, longer: str, opens: Ints
) -> list[CandleRow]:
    """The candles of ``longer`` that hold one of ``opens`` and have each of their parts stored."""
    long_ms = timeframe_ms(longer)
    parts = long_ms // timeframe_ms(timeframe)
    found: list[CandleRow] = []
    buckets = np.unique(opens // long_ms) * long_ms
    for run in np.split(buckets, np.flatnonzero(np.diff(buckets) > long_ms) + 1):
        low, high = int(run[0]), int(run[-1]) + long_ms
        stored = candle_columns(con, symbol, timeframe, low, high)
        rolled = roll_up(stored, long_ms)
        counts = np.unique(stored.open_ms // long_ms, return_counts=True)[1]
        columns = (rolled.open_ms, rolled.open, rolled.high, rolled.low, rolled.close,
                   rolled.volume)  # fmt: skip
        rows = zip(*(c.tolist() for c in columns), strict=True)
        found += [
            (symbol, *row) for row, n in zip(rows, counts.tolist(), strict=True) if n == parts
        ]
    return found
