"""Ticks and candles out of the database as CSV and Parquet, piece by piece."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Literal

from candles import timeframe_ms
from database import Database, Snapshot
from errors import BadInput
from storage.tape import text_ms
from ticks import IsoClock

Format = Literal["csv", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "parquet")

_CHUNK_ROWS = 20_000
TICK_COLUMNS = ("symbol", "timestamp", "price", "size", "trade_id", "is_buyer_maker", "print_kind")
CANDLE_COLUMNS = ("symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume")
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Rows = list[tuple[Any, ...]]
Cancelled = Callable[[], bool]
Told = Callable[[float, str], None]


def export_ticks(
    db: Database,
    out: BinaryIO,
    symbols: Sequence[str],
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    file_format: Format = "csv",
    cancelled: Cancelled | None = None,
    progress: Told | None = None,
) -> int:
    """Write the ticks of ``[start_ms, end_ms)``, symbol by symbol in tape order.

    All of one moment, whatever is written meanwhile, and some 20,000 of them in memory at once.

    Parameters
    ----------
    out : binary stream
        Written from its place on, not closed.
    cancelled : callable, optional
        Asked before each piece; True ends the file there.
    progress : callable, optional
        Told the share of time that is done and how many rows are written.

    Returns
    -------
    int
        Rows written. Importing the file again changes nothing.

    Raises
    ------
    BadInput
        The format is not known.
    """
    with db.snapshot() as snapshot:
        stored = {s.symbol: s for s in snapshot.symbols() if s.first_ms is not None}
        wanted = [stored[symbol] for symbol in symbols if symbol in stored]
        chunks = (
            [(s.symbol, *row, "made" if row[3] < 0 else s.print_kind) for row in rows]
            for s in wanted
            for rows in snapshot.iter_ticks(s.symbol, start_ms, end_ms, chunk=_CHUNK_ROWS)
        )
        ends = {
            s.symbol: (max(s.first_ms or 0, start_ms or 0), min(s.last_ms or 0, (end_ms or 2**62)))
            for s in wanted
        }
        told = _telling(chunks, ends, TICK_COLUMNS.index("timestamp"), progress)
        return _write(out, TICK_COLUMNS, told, file_format, cancelled)


def export_candles(
    db: Database,
    out: BinaryIO,
    symbols: Sequence[str],
    timeframe: str,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    file_format: Format = "csv",
    cancelled: Cancelled | None = None,
    progress: Told | None = None,
) -> int:
    """Write the candles that open in ``[start_ms, end_ms)``, symbol by symbol, oldest first.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    BadInput
        The format or the timeframe is not known.
    """
    with db.snapshot() as snapshot:
        chunks = (
            rows
            for symbol in symbols
            for rows in _candle_chunks(snapshot, symbol, timeframe, start_ms, end_ms)
        )
        ends = {
            symbol: (max(found[0], start_ms or 0), min(found[1], end_ms or 2**62))
            for symbol in symbols
            if (found := snapshot.candle_ends(symbol, timeframe)) is not None
        }
        told = _telling(chunks, ends, CANDLE_COLUMNS.index("timestamp"), progress)
        return _write(out, CANDLE_COLUMNS, told, file_format, cancelled)


def _telling(
    chunks: Iterable[Sequence[tuple[Any, ...]]],
    ends: Mapping[str, tuple[int, int]],
    column: int,
    progress: Told | None,
) -> Iterator[Rows]:
    """The chunks as they are; after each is told how far through its symbol's time it is."""
    order, count = {symbol: n for n, symbol in enumerate(ends)}, 0
    for rows in chunks:
        yield list(rows)
        count += len(rows)
        if progress is not None:
            symbol, (begin, end) = rows[-1][0], ends[rows[-1][0]]
            share = (text_ms(rows[-1][column]) - begin) / max(end - begin, 1)
            done = (order[symbol] + min(max(share, 0.0), 1.0)) / len(order)
            progress(done, f"{count:,} rows")


def _candle_chunks(
    snapshot: Snapshot, symbol: str, timeframe: str, start_ms: int | None, end_ms: int | None
) -> Iterator[Rows]:
    """Windows of so much time that none holds more than a chunk of candles."""
    ends = snapshot.candle_ends(symbol, timeframe)
    if ends is None:
        return
    length, clock = timeframe_ms(timeframe), IsoClock()
    low = ends[0] if start_ms is None else max(ends[0], -(-start_ms // length) * length)
    last = ends[1] + 1 if end_ms is None else min(ends[1] + 1, end_ms)
    while low < last:
        high = min(last, low + _CHUNK_ROWS * length)
        c = snapshot.candle_columns(symbol, timeframe, limit=_CHUNK_ROWS, before_ms=high)
        columns = (c.open_ms, c.open, c.high, c.low, c.close, c.volume)
        rows = [
            (symbol, timeframe, clock(open_ms), *values)
            for open_ms, *values in zip(*(column.tolist() for column in columns), strict=True)
            if open_ms >= low
        ]
        if rows:
            yield rows
        low += _CHUNK_ROWS * length


def _write(
    out: BinaryIO,
    columns: Sequence[str],
    chunks: Iterable[Rows],
    file_format: str,
    cancelled: Cancelled | None,
) -> int:
    if file_format not in FORMATS:
        raise BadInput(f"{file_format!r} is not a format; {' and '.join(FORMATS)} are.")
    write = _write_csv if file_format == "csv" else _write_parquet
    return write(out, columns, _until(chunks, cancelled))


def _until(chunks: Iterable[Rows], cancelled: Cancelled | None) -> Iterator[Rows]:
    for rows in chunks:
        if cancelled is not None and cancelled():
            return
        yield rows


def _write_csv(out: BinaryIO, columns: Sequence[str], chunks: Iterable[Rows]) -> int:
    text = io.TextIOWrapper(out, "utf-8", newline="\n", write_through=True)
    count = 0
    try:
        text.write(",".join(columns) + "\n")
        for rows in chunks:
            text.write("".join(",".join(map(csv_cell, row)) + "\n" for row in rows))
            count += len(rows)
    finally:
        # The stream is the caller's to close.
        text.detach()
    return count


def csv_cell(value: Any) -> str:
    """One cell: numbers as they are, to the last digit; text so that no spreadsheet runs it."""
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    if text.startswith(_FORMULA):
        text = "'" + text
    if any(sign in text for sign in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text


def _write_parquet(out: BinaryIO, columns: Sequence[str], chunks: Iterable[Rows]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = {"trade_id": pa.int64(), "is_buyer_maker": pa.bool_()}
    texts = {"symbol", "timeframe", "print_kind"}
    schema = pa.schema(
        (name, pa.timestamp("ms", "UTC") if name == "timestamp"
         else pa.string() if name in texts else numbers.get(name, pa.float64()))
        for name in columns
    )  # fmt: skip
    moment = columns.index("timestamp")
    count = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for rows in chunks:
            values: list[Any] = [list(column) for column in zip(*rows, strict=True)]
            stamps = pa.array([text.removesuffix("Z") for text in values[moment]])
            arrays = [
                stamps.cast(pa.timestamp("ms")).cast(schema.field(i).type) if i == moment
                else pa.array(_booleans(column) if name == "is_buyer_maker" else column,
                              schema.field(i).type)
                for i, (name, column) in enumerate(zip(columns, values, strict=True))
            ]  # fmt: skip
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(rows)
    return count


def _booleans(column: list[int | None]) -> list[bool | None]:
    return [None if value is None else bool(value) for value in column]
