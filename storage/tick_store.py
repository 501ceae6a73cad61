"""Ticks in, each once, and their candles with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any, Protocol

import numpy as np

from candles import CandleColumns, Ints
from errors import MixedPrints
from storage import candle_store, tape
from ticks import IsoClock, TickBatch

# Rows in one INSERT, longest first: few statements for whatever number of rows.
_STATEMENT_ROWS = (1000, 200, 40, 8, 3, 1)
# Below so many rows a symbol, statements of mixed symbols are fewer and cheaper.
_ROWS_A_SYMBOL = 8
_COLUMNS = "created_at, symbol, timestamp, price, size, trade_id, is_buyer_maker"


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch: rows stored, already there, and below the retained low water.

    ``fresh`` are the rows stored.
    """

    inserted: int
    duplicates: int
    below_low_water: int
    fresh: TickBatch


@dataclass(slots=True)
class SymbolState:
    """What the writer remembers of a symbol so as not to ask for every batch."""

    kind: str
    low_water_id: int | None
    low_water_ms: int | None
    last_id: int | None
    last_ms: int | None
    first_ms: int | None = None
    disorder_ms: int = 0
    imported_until_ms: int = 0
    made_until_ms: int | None = None


class Bulk(Protocol):
    """How an engine stores many rows at once; it may remember what spares it questions."""

    def insert(self, con: Any, state: WriterState, batch: TickBatch, now_iso: str) -> TickBatch:
        """Store the ticks that are not there yet; returns them, in the order of the batch.

        The batch is sorted by symbol and reaches below no low water.
        """

    def merge(self, con: Any, symbols: Sequence[str], seconds: CandleColumns) -> None:
        """Fold candles of a second that continue what is stored into every stored timeframe."""


class Statements:
    """Plain SQL statements, for an engine within the process."""

    def __init__(self) -> None:
        self._forming: candle_store.Forming = {}

    def insert(self, con: Any, state: WriterState, batch: TickBatch, now_iso: str) -> TickBatch:
        """Insert symbol by symbol; see `Bulk.insert`."""
        newest_row = con.execute("SELECT max(id) FROM ticks").fetchone()[0] or 0
        before = con.total_changes
        _insert(con, state, batch, now_iso)
        inserted = con.total_changes - before
        return batch if inserted == len(batch) else _rows_after(con, newest_row, batch)

    def merge(self, con: Any, symbols: Sequence[str], seconds: CandleColumns) -> None:
        """Merge row by row; see `Bulk.merge`."""
        candle_store.merge(con, symbols, seconds, self._forming)


@dataclass(slots=True)
class WriterState:
    """The writer's memory; thrown away after any failed transaction."""

    bulk: Bulk = field(default_factory=Statements)
    symbols: dict[str, SymbolState] = field(default_factory=dict)
    clock: IsoClock = field(default_factory=IsoClock)


@cache
def _insert_statement(rows: int, mixed: bool) -> str:
    """INSERT of so many rows: of one symbol, bound once, or of mixed symbols."""
    shared, width = ("?", 6) if mixed else ("?, ?", 5)
    each = ", ".join(f"column{i + 1}" for i in range(width))
    row = f"({', '.join('?' * width)})"
    # Numbered parameters would bind the shared values as well; Python 3.14 refuses them.
    return (
        f"INSERT INTO ticks ({_COLUMNS}) SELECT {shared}, {each} "
        f"FROM (VALUES {', '.join([row] * rows)}) WHERE true "
        "ON CONFLICT (symbol, trade_id) DO NOTHING"
    )


def write(con: Any, state: WriterState, batch: TickBatch, now_iso: str) -> Written:
    """Store the batch and bring its candles up to date, inside the caller's transaction.

    A print whose (symbol, trade id) is stored already changes nothing. A print below the retained
    low water of its symbol is not stored, so that retention cannot shrink a candle.

    Raises
    ------
    MixedPrints
        The database holds prints of another kind under one of the symbols.
    """
    kept = _by_symbol(_above_low_water(con, state, batch))
    if not len(kept):
        return Written(0, 0, len(batch), kept)
    fresh = state.bulk.insert(con, state, kept, now_iso)
    if len(fresh):
        candle_store.update(con, state.symbols, fresh, state.bulk.merge)
    return Written(len(fresh), len(kept) - len(fresh), len(batch) - len(kept), fresh)


def _by_symbol(batch: TickBatch) -> TickBatch:
    """The rows sorted by symbol, each symbol's in the order they were in."""
    group = batch.arrays().group
    if not (group[1:] < group[:-1]).any():
        return batch
    return batch.select(np.argsort(group, kind="stable"))


def _insert(con: Any, state: WriterState, batch: TickBatch, now_iso: str) -> None:
    """Insert the rows symbol by symbol, so that each symbol's index grows at one end."""
    columns = batch.arrays()
    texts = state.clock.column(batch.time_ms)
    rest = (texts, batch.price, batch.size, batch.trade_id, batch.is_buyer_maker)
    if len(batch) < _ROWS_A_SYMBOL * len(columns.names):
        values = list(chain.from_iterable(zip(batch.symbol, *rest, strict=True)))
        _insert_rows(con, [now_iso], values, 6)
        return
    values = list(chain.from_iterable(zip(*rest, strict=True)))
    ends = np.searchsorted(columns.group, np.arange(len(columns.names) + 1)).tolist()
    for name, begin, end in zip(columns.names, ends[:-1], ends[1:], strict=True):
        _insert_rows(con, [now_iso, name], values[5 * begin : 5 * end], 5)


def _insert_rows(con: Any, shared: list[str], values: list[Any], width: int) -> None:
    begin, mixed = 0, len(shared) == 1
    for rows in _STATEMENT_ROWS:
        while len(values) - begin >= width * rows:
            end = begin + width * rows
            con.execute(_insert_statement(rows, mixed), shared + values[begin:end])
            begin = end


def _above_low_water(con: Any, state: WriterState, batch: TickBatch) -> TickBatch:
    """The batch without what retention has passed; learns the symbols it did not know."""
    limited = False
    for symbol in batch.arrays().names:
        known = state.symbols.get(symbol)
        if known is None:
            known = state.symbols[symbol] = _learn(con, symbol, batch.kind)
        if known.kind != batch.kind:
            _reconcile(con, symbol, known, batch.kind)
        limited = limited or known.low_water_ms is not None or known.made_until_ms is not None
    if not limited:
        return batch
    columns = batch.arrays()
    above = np.zeros(len(batch), dtype=bool)
    for i, symbol in enumerate(columns.names):
        rows = columns.group == i
        above |= rows & _is_above(state.symbols[symbol], columns.time_ms, columns.trade_id)
    return batch if above.all() else batch.select(np.flatnonzero(above))


def _reconcile(con: Any, symbol: str, known: SymbolState, kind: str) -> None:
    """Let the exchange's prints follow on prints without ids; refuse every other mixture.

    Whoever imported a file without ids, or comes from the earlier version, goes on live. The
    prints without ids end there, so that no trade is in both.
    """
    if kind == "made" and known.made_until_ms is not None:
        return
    if known.kind != "made":
        raise MixedPrints(
            f"{symbol} holds prints of kind {known.kind!r} here; prints of kind "
            f"{kind!r} are counted differently and go into a database of their own."
        )
    known.kind = kind
    known.made_until_ms = 0 if known.last_ms is None else known.last_ms
    con.execute(
        "UPDATE symbols SET print_kind = ?, made_until_ms = ? WHERE symbol = ?",
        (kind, known.made_until_ms, symbol),
    )


def _is_above(known: SymbolState, times_ms: Ints, ids: Ints) -> Any:
    """Which prints of the symbol retention has not passed, and no prints of another kind cover."""
    above: Any = True
    if known.made_until_ms is not None:
        above = (times_ms <= known.made_until_ms) == (ids < 0)
    return above & _is_retained(known, times_ms, ids)


def _is_retained(known: SymbolState, times_ms: Ints, ids: Ints) -> Any:
    if known.low_water_ms is None:
        return True
    late_enough = times_ms >= known.low_water_ms
    if known.low_water_id is None:
        return late_enough
    return late_enough & ((ids < 0) | (ids >= known.low_water_id))


def _learn(con: Any, symbol: str, kind: str) -> SymbolState:
    row = con.execute(
        "SELECT print_kind, low_water_id, low_water_ms, first_ms, disorder_ms, made_until_ms "
        "FROM symbols WHERE symbol = ?",
        (symbol,),
    ).fetchone()
    if row is None:
        con.execute("INSERT INTO symbols (symbol, print_kind) VALUES (?, ?)", (symbol, kind))
        row = (kind, None, None, None, 0, None)
    stored_kind, low_water_id, low_water_ms, first_ms, disorder_ms, made_until_ms = row
    last_id, last_ms = tape.last_print(con, symbol)
    if last_ms is not None:
        # The newest id need not be the latest print where times fall back along the ids.
        last_ms += disorder_ms
    imported = con.execute("SELECT until_ms FROM imported WHERE symbol = ?", (symbol,)).fetchone()
    return SymbolState(
        stored_kind,
        low_water_id,
        low_water_ms,
        last_id,
        last_ms,
        first_ms,
        disorder_ms,
        imported[0] if imported else 0,
        made_until_ms,
    )


def _rows_after(con: Any, newest_row: int, batch: TickBatch) -> TickBatch:
    """The rows of the batch that this transaction stored: those with a new row id."""
    stored = set(con.execute("SELECT symbol, trade_id FROM ticks WHERE id > ?", (newest_row,)))
    fresh = []
    for i, key in enumerate(zip(batch.symbol, batch.trade_id, strict=True)):
        if key in stored:
            stored.discard(key)
            fresh.append(i)
    return batch.select(fresh)


def prune(con: Any, symbol: str, before_ms: int, limit: int) -> int:
    """Delete at most ``limit`` of the oldest ticks before ``before_ms``; returns how many went.

    ``before_ms`` must lie on a boundary of the longest stored timeframe. The low water is raised
    in the same transaction, so that no candle is ever recomputed from what is left of it. Where
    there is nothing to delete nothing changes.
    """
    doomed = _doomed(con, symbol, before_ms, limit)
    if not doomed:
        return 0
    raise_low_water(con, symbol, before_ms)
    con.executemany("DELETE FROM ticks WHERE id = ?", doomed)
    return len(doomed)


def raise_low_water(con: Any, symbol: str, before_ms: int) -> None:
    """Note that nothing of a symbol is to be written below a time any more.

    To be called while what is before it is still stored: the id goes by that.
    """
    low_water_id = con.execute(
        "SELECT coalesce(max(trade_id) + 1, 0) FROM (SELECT trade_id FROM ticks WHERE symbol = ? "
        "AND trade_id >= 0 AND trade_id < ? ORDER BY trade_id DESC LIMIT 1) AS gone",
        (symbol, tape.id_at(con, symbol, before_ms) or 2**63 - 1),
    ).fetchone()[0]
    con.execute(
        "UPDATE symbols SET "
        "low_water_id = CASE WHEN low_water_id > ? THEN low_water_id ELSE ? END, "
        "low_water_ms = CASE WHEN low_water_ms > ? THEN low_water_ms ELSE ? END WHERE symbol = ?",
        (low_water_id, low_water_id, before_ms, before_ms, symbol),
    )


def _doomed(con: Any, symbol: str, before_ms: int, limit: int) -> list[tuple[int]]:
    """Row ids of the oldest ticks before ``before_ms``, found without reading what is kept."""
    before = IsoClock()(before_ms)
    doomed = con.execute(
        "SELECT id FROM ticks WHERE symbol = ? AND trade_id < 0 AND timestamp < ? "
        "ORDER BY timestamp LIMIT ?",
        (symbol, before, limit),
    ).fetchall()
    ids = tape.id_range(con, symbol, 0, before_ms)
    if ids is not None and len(doomed) < limit:
        doomed += con.execute(
            "SELECT id FROM ticks WHERE symbol = ? AND trade_id >= ? AND trade_id < ? "
            "AND timestamp < ? ORDER BY trade_id LIMIT ?",
            (symbol, *ids, before, limit - len(doomed)),
        ).fetchall()
    return doomed
