"""Candles kept as ticks are written, and read back.

Ticks that come in order are folded and merged into the candles that are there. Ticks that come
late, or twice, or by import make their seconds be folded again from the stored ticks, and the
longer candles be rolled up again from the seconds. Either way the candles equal the ticks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from candles import (
    STORED_TIMEFRAMES,
    CandleColumns,
    Ints,
    fold_ticks,
    roll_up,
    timeframe_ms,
)
from storage import tape
from ticks import TickBatch

if TYPE_CHECKING:
    from storage.tick_store import SymbolState

_SECOND_MS = 1000
# Late ticks nearer than this to one another are folded again in one read.
_JOIN_MS = 60_000

_MERGE = """ON CONFLICT (symbol, timeframe, timestamp) DO UPDATE SET
    high = max(high, excluded.high), low = min(low, excluded.low), close = excluded.close,
    volume = volume + excluded.volume
    WHERE source = 'ticks'"""
_REPLACE = """ON CONFLICT (symbol, timeframe, timestamp) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume
    WHERE source = 'ticks'"""
_INSERT = """INSERT INTO ohlc_data
    (symbol, timeframe, source, timestamp, open, high, low, close, volume)
    VALUES (?, ?, 'ticks', ?, ?, ?, ?, ?, ?) """


def update(con: Any, known: Mapping[str, SymbolState], fresh: TickBatch) -> None:
    """Bring the candles of freshly stored ticks up to date, and the symbols' newest prints."""
    symbols = list(dict.fromkeys(fresh.symbol))
    code = {symbol: i for i, symbol in enumerate(symbols)}
    group = np.fromiter(map(code.__getitem__, fresh.symbol), np.int64, len(fresh))
    times = np.array(fresh.time_ms, dtype=np.int64)
    ids = np.array(fresh.trade_id, dtype=np.int64)
    in_order = []
    for i, symbol in enumerate(symbols):
        rows = np.flatnonzero(group == i) if len(symbols) > 1 else slice(None)
        if _extends(known[symbol], times[rows], ids[rows]):
            in_order.append(i)
        else:
            _refold(con, symbol, times[rows], known[symbol].low_water_ms)
        _advance(known[symbol], times[rows], ids[rows])
    if in_order:
        keep = slice(None) if len(in_order) == len(symbols) else np.isin(group, in_order)
        price = np.array(fresh.price)[keep]
        size = np.array(fresh.size)[keep]
        _merge(con, symbols, fold_ticks(group[keep], times[keep], price, size, _SECOND_MS))


def _extends(state: SymbolState, times: Ints, ids: Ints) -> bool:
    """Whether the ticks continue what is stored, so that open stays and close moves."""
    if state.last_ms is not None and times[0] < state.last_ms:
        return False
    if np.any(times[1:] < times[:-1]):
        return False
    if ids[0] < 0:
        return True
    if state.last_id is not None and ids[0] <= state.last_id:
        return False
    return not np.any(ids[1:] <= ids[:-1])


def _advance(state: SymbolState, times: Ints, ids: Ints) -> None:
    newest = int(times.max())
    state.last_ms = newest if state.last_ms is None else max(state.last_ms, newest)
    highest = int(ids.max())
    state.last_id = highest if state.last_id is None else max(state.last_id, highest)


def _merge(con: Any, symbols: Sequence[str], seconds: CandleColumns) -> None:
    for timeframe in STORED_TIMEFRAMES:
        candles = seconds if timeframe == "1s" else roll_up(seconds, timeframe_ms(timeframe))
        con.executemany(_INSERT + _MERGE, _rows(symbols, timeframe, candles))


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


def _refold(con: Any, symbol: str, times: Ints, low_water_ms: int | None) -> None:
    """Fold the touched seconds again from the stored ticks, and what is rolled up from them."""
    seconds = np.unique(times // _SECOND_MS) * _SECOND_MS
    breaks = np.flatnonzero(np.diff(seconds) > _JOIN_MS) + 1
    for run in np.split(seconds, breaks):
        refold_range(con, symbol, int(run[0]), int(run[-1]) + _SECOND_MS, low_water_ms)


def refold_range(
    con: Any, symbol: str, start_ms: int, end_ms: int, low_water_ms: int | None
) -> None:
    """Make the candles that touch ``[start_ms, end_ms)`` equal to the stored ticks again."""
    if low_water_ms is not None:
        start_ms = max(start_ms, low_water_ms)
    if start_ms >= end_ms:
        return
    times, price, size = tape.tick_columns(con, symbol, start_ms, end_ms)
    group = np.zeros(len(times), dtype=np.int64)
    seconds = fold_ticks(group, times, price, size, _SECOND_MS)
    con.executemany(_INSERT + _REPLACE, _rows([symbol], "1s", seconds))
    for timeframe in STORED_TIMEFRAMES[1:]:
        length = timeframe_ms(timeframe)
        low, high = start_ms // length * length, -(-end_ms // length) * length
        stored = candle_columns(con, symbol, "1s", low, high)
        con.executemany(_INSERT + _REPLACE, _rows([symbol], timeframe, roll_up(stored, length)))


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


def as_columns(rows: Sequence[Sequence[float]]) -> CandleColumns:
    """Rows of (open_ms, open, high, low, close, volume) as columns of one group."""
    table = np.fromiter(chain.from_iterable(rows), np.float64, 6 * len(rows)).reshape(-1, 6)
    return CandleColumns(
        np.zeros(len(rows), dtype=np.int64), table[:, 0].astype(np.int64), *table[:, 1:].T
    )


@cache
def _import_statement() -> str:
    return """INSERT INTO ohlc_data
    (symbol, timeframe, source, timestamp, open, high, low, close, volume)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (symbol, timeframe, timestamp) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, source = excluded.source
    WHERE source != 'ticks' OR timestamp < ?"""


def import_candles(
    con: Any,
    rows: Sequence[tuple[str, int, float, float, float, float, float]],
    timeframe: str,
    source: str,
    first_tick_ms: Mapping[str, int],
) -> int:
    """Store candles that were not made of ticks; returns how many rows changed.

    A candle that the stored ticks cover stays as the ticks have it; one that began before the
    first tick (and so is made of part of its trades) gives way.

    Parameters
    ----------
    rows : sequence of (symbol, open_ms, open, high, low, close, volume)
    first_tick_ms : mapping
        Time of the first stored tick by symbol; symbols without ticks are left out.
    """
    before = con.total_changes
    con.executemany(
        _import_statement(),
        ((r[0], timeframe, source, *r[1:], first_tick_ms.get(r[0], 0)) for r in rows),
    )
    return con.total_changes - before
