"""Old days as Parquet files, before retention deletes them: one file a day, read by anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from database import Database
from errors import DatabaseError
from storage.snapshot import Snapshot
from ticks import iso_utc

DAY_MS = 86_400_000
_CHUNK_ROWS = 50_000
_SCHEMA = pa.schema(
    [
        ("symbol", pa.string()),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("price", pa.float64()),
        ("size", pa.float64()),
        ("trade_id", pa.int64()),
        ("is_buyer_maker", pa.bool_()),
    ]
)


class ArchivedDay(NamedTuple):
    """A day (``YYYY-MM-DD``), its file, and how many ticks that holds."""

    day: str
    path: Path
    ticks: int


def day_start_ms(time_ms: int) -> int:
    """The midnight (UTC) that begins the day of a time."""
    return time_ms // DAY_MS * DAY_MS


def archive_days(
    database: Database,
    before_ms: int,
    folder: Path,
    report: Callable[[ArchivedDay], None] = lambda day: None,
) -> list[ArchivedDay]:
    """Write every whole day of ticks before ``before_ms`` to ``folder/ticks_YYYY-MM-DD.parquet``.

    Columns symbol, timestamp (UTC, ms), price, size, trade_id, is_buyer_maker (null where it is
    not known), sorted by symbol and the order of the tape. A file that is there is completed: it
    keeps what the database has no more. Nothing is deleted from the database.

    Raises
    ------
    DatabaseError
        A file cannot be written; those before it are whole.
    """
    cut_ms = day_start_ms(before_ms)
    written = []
    with database.snapshot() as snapshot:
        start_ms = _first_day(snapshot)
        while start_ms is not None and start_ms < cut_ms:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                day = _write_day(snapshot, start_ms, folder)
            except (OSError, pa.ArrowInvalid) as error:
                name = iso_utc(start_ms)[:10]
                raise DatabaseError(
                    f"{name} cannot be archived to {folder}: {error}. It stays in the database."
                ) from error
            if day is not None:
                written.append(day)
                report(day)
            start_ms += DAY_MS
    return written


def _first_day(snapshot: Snapshot) -> int | None:
    firsts = [s.first_ms for s in snapshot.symbols() if s.first_ms is not None]
    return day_start_ms(min(firsts)) if firsts else None


def _write_day(snapshot: Snapshot, start_ms: int, folder: Path) -> ArchivedDay | None:
    """One day, under its final name only once it is whole on the disk."""
    day = iso_utc(start_ms)[:10]
    final = folder / f"ticks_{day}.parquet"
    partial = final.with_suffix(".partial")
    kept = pq.read_table(final, schema=_SCHEMA) if final.exists() else _SCHEMA.empty_table()
    stored = 0
    with pq.ParquetWriter(partial, _SCHEMA, compression="zstd") as writer:
        for name in sorted({s.symbol for s in snapshot.symbols()} | _symbols_of(kept)):
            known = kept.filter(pc.equal(kept["symbol"], name))
            ids = set(known["trade_id"].to_pylist())
            writer.write_table(known)
            for rows in snapshot.iter_ticks(name, start_ms, start_ms + DAY_MS, chunk=_CHUNK_ROWS):
                fresh = [row for row in rows if row[3] not in ids] if ids else rows
                stored += len(rows)
                writer.write_table(_table(name, fresh))
    if not stored:
        partial.unlink()
        return None
    with partial.open("r+b") as file:
        os.fsync(file.fileno())
    partial.replace(final)
    return ArchivedDay(day, final, pq.read_metadata(final).num_rows)


def _symbols_of(table: pa.Table) -> set[str]:
    return set(pc.unique(table["symbol"]).to_pylist())


def _table(symbol: str, rows: list[tuple[Any, ...]]) -> pa.Table:
    times, price, size, ids, maker = zip(*rows, strict=True) if rows else ((),) * 5
    columns = [
        pa.array([symbol] * len(rows), pa.string()),
        pa.array([datetime.fromisoformat(t).astimezone(UTC) for t in times], _SCHEMA[1].type),
        pa.array(price, pa.float64()),
        pa.array(size, pa.float64()),
        pa.array(ids, pa.int64()),
        pa.array([None if m is None else bool(m) for m in maker], pa.bool_()),
    ]
    return pa.table(columns, schema=_SCHEMA)
