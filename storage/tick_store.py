"""Ticks in, each once, and their candles with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any

from errors import MixedPrints
from storage import candle_store, tape
from ticks import IsoClock, TickBatch

_ROWS_A_STATEMENT = 1000
_COLUMNS = "symbol, timestamp, price, size, trade_id, is_buyer_maker, created_at"


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch: rows stored, already there, and below the retained low water."""

    inserted: int
    duplicates: int
    below_low_water: int


@dataclass(slots=True)
class SymbolState:
    """What the writer remembers of a symbol so as not to ask for every batch."""

    kind: str
    low_water_id: int | None
    low_water_ms: int | None
    last_id: int | None
    last_ms: int | None


@dataclass(slots=True)
class WriterState:
    """The writer's memory; thrown away after any failed transaction."""

    symbols: dict[str, SymbolState] = field(default_factory=dict)
    clock: IsoClock = field(default_factory=IsoClock)


@cache
def _insert_statement(rows: int) -> str:
    row = "(?, ?, ?, ?, ?, ?)"
    return (
        f"INSERT INTO ticks ({_COLUMNS}) SELECT column1, column2, column3, column4, column5, "
        f"column6, ?1 FROM (VALUES {', '.join([row] * rows)}) WHERE true "
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
    kept = _above_low_water(con, state, batch)
    if not len(kept):
        return Written(0, 0, len(batch))
    newest_row = con.execute("SELECT max(id) FROM ticks").fetchone()[0] or 0
    before = con.total_changes
    _insert(con, state, kept, now_iso)
    inserted = con.total_changes - before
    if inserted:
        fresh = kept if inserted == len(kept) else _rows_after(con, newest_row, kept)
        candle_store.update(con, state.symbols, fresh)
    return Written(inserted, len(kept) - inserted, len(batch) - len(kept))


def _insert(con: Any, state: WriterState, batch: TickBatch, now_iso: str) -> None:
    timestamps = state.clock.column(batch.time_ms)
    rows = zip(
        batch.symbol,
        timestamps,
        batch.price,
        batch.size,
        batch.trade_id,
        batch.is_buyer_maker,
        strict=True,
    )
    values = list(chain.from_iterable(rows))
    begin, left = 0, len(batch)
    for size in (_ROWS_A_STATEMENT, 100, 10, 1):
        while left >= size:
            end = begin + 6 * size
            con.execute(_insert_statement(size), (now_iso, *values[begin:end]))
            begin, left = end, left - size


def _above_low_water(con: Any, state: WriterState, batch: TickBatch) -> TickBatch:
    """The batch without what retention has passed; learns the symbols it did not know."""
    limited = False
    for symbol in set(batch.symbol):
        known = state.symbols.get(symbol)
        if known is None:
            known = state.symbols[symbol] = _learn(con, symbol, batch.kind)
        if known.kind != batch.kind:
            raise MixedPrints(
                f"{symbol} holds prints of kind {known.kind!r} here; prints of kind "
                f"{batch.kind!r} are counted differently and go into a database of their own."
            )
        limited = limited or known.low_water_ms is not None
    if not limited:
        return batch
    keep = [
        i
        for i, (symbol, time_ms, trade_id) in enumerate(
            zip(batch.symbol, batch.time_ms, batch.trade_id, strict=True)
        )
        if _is_above(state.symbols[symbol], time_ms, trade_id)
    ]
    return batch if len(keep) == len(batch) else batch.select(keep)


def _is_above(known: SymbolState, time_ms: int, trade_id: int) -> bool:
    if known.low_water_ms is None:
        return True
    if trade_id >= 0 and known.low_water_id is not None:
        return trade_id >= known.low_water_id
    return time_ms >= known.low_water_ms


def _learn(con: Any, symbol: str, kind: str) -> SymbolState:
    row = con.execute(
        "SELECT print_kind, low_water_id, low_water_ms FROM symbols WHERE symbol = ?", (symbol,)
    ).fetchone()
    if row is None:
        con.execute("INSERT INTO symbols (symbol, print_kind) VALUES (?, ?)", (symbol, kind))
        row = (kind, None, None)
    stored_kind, low_water_id, low_water_ms = row
    return SymbolState(stored_kind, low_water_id, low_water_ms, *tape.last_print(con, symbol))


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
    first, in the same transaction, so that no candle is ever recomputed from what is left of it.
    """
    first_kept = tape.id_at(con, symbol, before_ms)
    con.execute(
        "UPDATE symbols SET low_water_id = max(coalesce(low_water_id, ?1), ?1), "
        "low_water_ms = max(coalesce(low_water_ms, ?2), ?2) WHERE symbol = ?3",
        (first_kept if first_kept is not None else _after_last(con, symbol), before_ms, symbol),
    )
    doomed = (
        "SELECT id FROM ticks WHERE symbol = ? AND trade_id >= 0 AND timestamp < ? "
        "ORDER BY trade_id LIMIT ?"
    )
    if _made(con, symbol):
        doomed = (
            "SELECT id FROM ticks WHERE symbol = ? AND trade_id < 0 AND timestamp < ? "
            "ORDER BY timestamp LIMIT ?"
        )
    rows: Iterable[tuple[int]] = con.execute(
        doomed, (symbol, IsoClock()(before_ms), limit)
    ).fetchall()
    con.executemany("DELETE FROM ticks WHERE id = ?", rows)
    return len(list(rows))


def _after_last(con: Any, symbol: str) -> int:
    last_id, _ = tape.last_print(con, symbol)
    return 0 if last_id is None else last_id + 1


def _made(con: Any, symbol: str) -> bool:
    row = con.execute("SELECT print_kind FROM symbols WHERE symbol = ?", (symbol,)).fetchone()
    return row is not None and row[0] == "made"
