"""Many rows at once into PostgreSQL: ticks by COPY, candles in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from candles import CandleColumns, Ints
from storage import candle_store, postgres_schema
from storage.tick_store import WriterState
from ticks import TickBatch, iso_utc

_DAY_MS = 86_400_000
# Late ids nearer than this to one another are looked up in one range.
_NEAR_IDS = 10_000
_COLUMNS = "id, symbol, timestamp, price, size, created_at, trade_id, is_buyer_maker"
_INCOMING = """CREATE TEMP TABLE IF NOT EXISTS incoming (
    id BIGINT, symbol TEXT COLLATE "C", timestamp TEXT COLLATE "C", price DOUBLE PRECISION,
    size DOUBLE PRECISION, created_at TEXT COLLATE "C", trade_id BIGINT, is_buyer_maker SMALLINT
) ON COMMIT DELETE ROWS"""
# What is there already is left out before it can use up a row number; should another program
# have written it since, it changes nothing.
_MOVE = f"""INSERT INTO ticks ({_COLUMNS})
    SELECT ? + row_number() OVER (ORDER BY n.id), n.symbol, n.timestamp, n.price, n.size,
    n.created_at, n.trade_id, n.is_buyer_maker FROM incoming n
    WHERE NOT EXISTS (SELECT 1 FROM ticks t WHERE t.symbol = n.symbol
    AND t.trade_id = n.trade_id AND t.timestamp = n.timestamp)
    ON CONFLICT DO NOTHING RETURNING symbol, trade_id"""
_KNOWN = """SELECT t.symbol, t.trade_id FROM unnest(?::text[], ?::bigint[], ?::bigint[])
    AS run (symbol, low, high)
    JOIN ticks t ON t.symbol = run.symbol AND t.trade_id BETWEEN run.low AND run.high"""
_MERGE = f"""INSERT INTO ohlc_data
    (symbol, timeframe, source, timestamp, open, high, low, close, volume)
    SELECT n.symbol, n.timeframe, 'ticks', n.opened, n.o, n.h, n.l, n.c, n.v
    FROM unnest(?::text[], ?::text[], ?::bigint[], ?::float8[], ?::float8[], ?::float8[],
    ?::float8[], ?::float8[]) AS n (symbol, timeframe, opened, o, h, l, c, v)
    {candle_store.MERGE}"""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


class PostgresBulk:
    """COPY for ticks, one INSERT for candles; see `storage.tick_store.Bulk`."""

    def __init__(self) -> None:
        self._days: set[str] = set()
        self._newest_row: int | None = None

    def insert(self, con: Any, state: WriterState, batch: TickBatch, now_iso: str) -> TickBatch:
        """Store the ticks that are not there yet, and return them.

        Ids that the exchange gave are looked up where they are not beyond the newest stored;
        what is not there is copied straight into the table. Prints with made ids, whose order
        says nothing, go through a temporary table. Should a program that does not wait its turn
        have written the same meanwhile, the unique index refuses it all and it is tried again.
        """
        if self._newest_row is None:
            self._newest_row = con.execute("SELECT coalesce(max(id), 0) FROM ticks").fetchone()[0]
        self._make_days(con, batch)
        if batch.kind == "made":
            return self._through_table(con, state, batch, now_iso)
        kept = _not_stored(con, state, batch)
        batch = batch if len(kept) == len(batch) else batch.select(kept)
        if len(batch):
            _copy(con, "ticks", state, batch, now_iso, self._newest_row)
            self._newest_row += len(batch)
        return batch

    def _through_table(
        self, con: Any, state: WriterState, batch: TickBatch, now_iso: str
    ) -> TickBatch:
        batch = batch.select(_first_of_each(batch))
        con.execute(_INCOMING)
        _copy(con, "incoming", state, batch, now_iso, 0)
        stored = set(con.execute(_MOVE, (self._newest_row,)).fetchall())
        self._newest_row = (self._newest_row or 0) + len(stored)
        keys = zip(batch.symbol, batch.trade_id, strict=True)
        return batch.select([i for i, key in enumerate(keys) if key in stored])

    def _make_days(self, con: Any, batch: TickBatch) -> None:
        numbers = np.unique(batch.arrays().time_ms // _DAY_MS).tolist()
        wanted = {iso_utc(number * _DAY_MS)[:10] for number in numbers}
        if wanted <= self._days:
            return
        self._days = set(postgres_schema.days(con))
        for day in sorted(wanted - self._days):
            postgres_schema.add_day(con, day)
            self._days.add(day)

    def merge(self, con: Any, symbols: Sequence[str], seconds: CandleColumns) -> None:
        """Merge every timeframe in one statement."""
        rows = candle_store.rows_of_every_timeframe(symbols, seconds)
        con.execute(_MERGE, tuple(map(list, zip(*rows, strict=True))))


def _first_of_each(batch: TickBatch) -> Ints:
    """Rows of the batch, each id of a symbol once, in their order."""
    _, group, _, _, _, ids = batch.arrays()
    if not ((ids[1:] <= ids[:-1]) & (group[1:] == group[:-1])).any():
        return np.arange(len(ids))
    order = np.lexsort((np.arange(len(ids)), ids, group))
    repeat = (np.diff(ids[order]) == 0) & (np.diff(group[order]) == 0)
    return np.sort(order[np.concatenate(([True], ~repeat))])


def _not_stored(con: Any, state: WriterState, batch: TickBatch) -> Ints:
    """Rows of the batch, each id once, without those whose id is stored.

    Whatever its time: the unique index would take an id again at another time.
    """
    names, group, _, _, _, ids = batch.arrays()
    kept = _first_of_each(batch)
    newest = np.array([_newest_of(state, name) for name in names], dtype=np.int64)
    late = kept[ids[kept] <= newest[group[kept]]]
    if not len(late):
        return kept
    runs: list[tuple[str, int, int]] = []
    for i, name in enumerate(names):
        own = np.sort(ids[late[group[late] == i]])
        for run in np.split(own, np.flatnonzero(np.diff(own) > _NEAR_IDS) + 1):
            if len(run):
                runs.append((name, int(run[0]), int(run[-1])))
    stored = set(con.execute(_KNOWN, tuple(map(list, zip(*runs, strict=True)))).fetchall())
    known = [row for row in late.tolist() if (batch.symbol[row], batch.trade_id[row]) in stored]
    return np.setdiff1d(kept, known)


def _newest_of(state: WriterState, symbol: str) -> int:
    last_id = state.symbols[symbol].last_id
    return -1 if last_id is None else last_id


# -- COPY ------------------------------------------------------------------------------------


def _copy(
    con: Any, table: str, state: WriterState, batch: TickBatch, now_iso: str, newest_row: int
) -> None:
    data = _binary(batch, state.clock.column(batch.time_ms), now_iso, newest_row)
    with con.raw.cursor().copy(f"COPY {table} ({_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(data)


def _binary(batch: TickBatch, texts: list[str], now_iso: str, newest_row: int) -> bytes:
    """The rows in COPY's binary form: of one symbol they are all of one length."""
    names, group, _, price, size, ids = batch.arrays()
    times = np.frombuffer("".join(texts).encode(), dtype="S24")
    rows = np.arange(newest_row + 1, newest_row + 1 + len(batch))
    maker = np.array([-1 if m is None else m for m in batch.is_buyer_maker], dtype=np.int16)
    parts = [_HEADER]
    ends = np.searchsorted(group, np.arange(len(names) + 1)).tolist()
    for name, begin, end in zip(names, ends[:-1], ends[1:], strict=True):
        for told in (True, False):
            own = np.flatnonzero((maker[begin:end] >= 0) == told) + begin
            if not len(own):
                continue
            record = np.empty(len(own), dtype=_record(len(name.encode()), told))
            _fill(record, "id", rows[own], 8)
            _fill(record, "symbol", name.encode(), len(name.encode()))
            _fill(record, "timestamp", times[own], 24)
            _fill(record, "price", price[own], 8)
            _fill(record, "size", size[own], 8)
            _fill(record, "created_at", now_iso.encode(), 24)
            _fill(record, "trade_id", ids[own], 8)
            _fill(record, "maker", maker[own] if told else None, 2 if told else -1)
            record["fields"] = 8
            parts.append(record.tobytes())
    return b"".join([*parts, _TRAILER])


def _record(symbol_bytes: int, with_maker: bool) -> np.dtype[Any]:
    """One row on the wire: how many fields, and before each field its length; -1 is NULL."""
    fields = [
        ("id", ">i8"), ("symbol", f"S{symbol_bytes}"), ("timestamp", "S24"), ("price", ">f8"),
        ("size", ">f8"), ("created_at", "S24"), ("trade_id", ">i8"), ("maker", ">i2"),
    ]  # fmt: skip
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in fields:
        layout.append((f"{name}_length", ">i4"))
        if name != "maker" or with_maker:
            layout.append((name, kind))
    return np.dtype(layout)


def _fill(record: np.ndarray[Any, Any], name: str, values: Any, length: int) -> None:
    record[f"{name}_length"] = length
    if values is not None:
        record[name] = values
