"""`Database`: the platform's only door to SQLite.

One connection writes, under a lock and in short ``BEGIN IMMEDIATE`` transactions; any number of
threads read, each from a consistent `Snapshot`. Ticks are stored once, and their candles in the
same transaction, so that a chart and the tick table cannot disagree.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config import Config
from errors import DatabaseBusy, DatabaseError, NewerSchema, NotADatabase, ReadOnlyDatabase
from storage import candle_store, gap_ledger, lease, legacy, schema, state_store, tape, tick_store
from storage.gap_ledger import Gap
from storage.snapshot import Snapshot
from storage.tick_store import Written
from ticks import TickBatch, iso_utc

__all__ = ["Database", "Gap", "Snapshot", "Written"]

log = logging.getLogger(__name__)

_BUSY_MS = 5_000
_IDLE_READERS = 8
# The longest stored timeframe: retention cuts there, so that it never cuts a candle in two.
_RETENTION_STEP_MS = 300_000


class Database:
    """A SQLite file of ticks, candles and the desk's books.

    Parameters
    ----------
    path : path or None
        The file; made if it is not there. None takes ``Config.DB_PATH``.
    read_only : bool
        Open for reading alone: the file must exist and is not migrated.

    Raises
    ------
    NotADatabase, NewerSchema, ReadOnlyDatabase
        The file cannot be used; it was not touched.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, read_only: bool = False):
        self.path = Path(Config.DB_PATH if path is None else path)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._readers: list[sqlite3.Connection] = []
        self._closed = False
        self._memory = tick_store.WriterState()
        self._writer: sqlite3.Connection | None = None
        if not read_only:
            self._writer = self._open_writer()

    # -- connections -------------------------------------------------------------------------

    def _open_writer(self) -> sqlite3.Connection:
        if self.path.parent != Path() and not self.path.parent.is_dir():
            raise DatabaseError(
                f"The folder of {self.path} does not exist; make it, or set "
                "CRYPTO_DB_PATH to a file in a folder that does."
            )
        existing = self.path.exists() and self.path.stat().st_size > 0
        if existing:
            _refuse_foreign(self.path)
        with _translated(self.path):
            con = self._connect(f"{self.path.absolute().as_uri()}?mode=rwc")
            try:
                self._prepare(con, existing)
            except BaseException:
                con.close()
                raise
        return con

    def _connect(self, uri: str) -> sqlite3.Connection:
        con = sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=_BUSY_MS / 1000,
            cached_statements=64,
        )
        con.execute("PRAGMA cache_size = -65536")
        return con

    def _prepare(self, con: sqlite3.Connection, existing: bool) -> None:
        if not existing:
            # Has to stand before the first table; later it would take a VACUUM.
            con.execute("PRAGMA auto_vacuum = INCREMENTAL")
        version = con.execute("PRAGMA user_version").fetchone()[0]
        if version > schema.SCHEMA_VERSION:
            raise NewerSchema(
                f"{self.path} was written by a later version of the platform (schema {version}; "
                f"this one knows up to {schema.SCHEMA_VERSION}). It was not touched."
            )
        if version < schema.SCHEMA_VERSION and legacy.is_legacy(con):
            legacy.migrate(con, self.path)
        con.execute("PRAGMA journal_mode = WAL")
        con.execute("PRAGMA synchronous = NORMAL")
        con.execute("PRAGMA journal_size_limit = 67108864")
        if con.execute("PRAGMA user_version").fetchone()[0] == 0:
            con.execute("BEGIN IMMEDIATE")
            try:
                if con.execute("PRAGMA user_version").fetchone()[0] == 0:
                    schema.create(con)
                con.execute("COMMIT")
            except BaseException:
                con.execute("ROLLBACK")
                raise

    @contextmanager
    def transaction(self, *, data: bool = False) -> Iterator[sqlite3.Connection]:
        """One write: all of it or nothing; where it changes market data, the version rises too.

        Raises
        ------
        DatabaseBusy
            Locked by another process, or no room; nothing was written.
        ReadOnlyDatabase
            The file cannot be written.
        """
        with self._lock, _translated(self.path):
            con = self._writer
            if con is None or self._closed:
                raise ReadOnlyDatabase(f"{self.path} is open for reading only, or closed.")
            con.execute("BEGIN IMMEDIATE")
            try:
                yield con
                if data:
                    con.execute("UPDATE meta SET value = value + 1 WHERE key = 'data_version'")
                con.execute("COMMIT")
            except BaseException:
                # What the writer remembers may be ahead of what is stored now.
                self._memory = tick_store.WriterState()
                if con.in_transaction:
                    con.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Everything read inside is of one moment, with one data version."""
        con = self._take_reader()
        try:
            with _translated(self.path):
                con.execute("BEGIN")
                yield Snapshot(con)
        finally:
            if con.in_transaction:
                con.execute("ROLLBACK")
            self._return_reader(con)

    def _take_reader(self) -> sqlite3.Connection:
        with self._lock:
            if self._readers:
                return self._readers.pop()
        with _translated(self.path):
            con = self._connect(f"{self.path.absolute().as_uri()}?mode=ro")
            con.execute("PRAGMA query_only = 1")
        return con

    def _return_reader(self, con: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and len(self._readers) < _IDLE_READERS:
                self._readers.append(con)
                return
        con.close()

    def close(self) -> None:
        """Close every connection; harmless when closed already."""
        with self._lock:
            self._closed = True
            for con in self._readers:
                con.close()
            self._readers.clear()
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- ticks and candles -------------------------------------------------------------------

    def write(self, batch: TickBatch, gaps: Sequence[Gap] = ()) -> Written:
        """Store ticks, their candles and the holes they revealed, in one transaction.

        Raises
        ------
        MixedPrints
            A symbol's prints are of another kind here.
        DatabaseBusy, ReadOnlyDatabase
            Nothing was written.
        """
        now_ms = _now_ms()
        with self.transaction(data=True) as con:
            written = tick_store.write(con, self._memory, batch, iso_utc(now_ms))
            gap_ledger.record(con, gaps, now_ms)
        return written

    def import_candles(
        self,
        rows: Sequence[tuple[str, int, float, float, float, float, float]],
        timeframe: str,
        source: str,
    ) -> int:
        """Store candles not made of ticks; see `storage.candle_store.import_candles`."""
        with self.transaction(data=True) as con:
            firsts = {}
            for symbol in {row[0] for row in rows}:
                first_ms = tape.first_print(con, symbol)[1]
                if first_ms is not None:
                    firsts[symbol] = first_ms
            return candle_store.import_candles(con, rows, timeframe, source, firsts)

    def prune(self, before_ms: int, *, limit: int = 5_000) -> int:
        """Delete up to ``limit`` ticks a symbol from before ``before_ms`` and give space back.

        Call it again until it returns 0. Candles stay.
        """
        cut_ms = before_ms // _RETENTION_STEP_MS * _RETENTION_STEP_MS
        with self.transaction(data=True) as con:
            symbols = [row[0] for row in con.execute("SELECT symbol FROM symbols")]
            deleted = sum(tick_store.prune(con, symbol, cut_ms, limit) for symbol in symbols)
            self._memory = tick_store.WriterState()
        if deleted:
            with self._lock, _translated(self.path):
                if self._writer is not None:
                    self._writer.execute("PRAGMA incremental_vacuum(1000)").fetchall()
        return deleted

    def clear(self) -> None:
        """Delete every tick, candle and gap; settings and books stay."""
        with self.transaction(data=True) as con:
            for table in ("ticks", "ohlc_data", "gaps", "symbols"):
                con.execute(f"DELETE FROM {table}")
            self._memory = tick_store.WriterState()

    # -- gaps --------------------------------------------------------------------------------

    def record_gaps(self, gaps: Sequence[Gap]) -> None:
        """Write down holes."""
        with self.transaction() as con:
            gap_ledger.record(con, gaps, _now_ms())

    def close_gap(self, gap_id: int, state: str, reason: str) -> None:
        """Close a hole as ``filled`` or ``confirmed_absent``."""
        with self.transaction() as con:
            gap_ledger.close(con, gap_id, state, reason, _now_ms())

    def explain_gap(self, gap_id: int, reason: str) -> None:
        """Leave a hole open and say why."""
        with self.transaction() as con:
            gap_ledger.explain(con, gap_id, reason)

    # -- lease, facts, commands --------------------------------------------------------------

    def acquire_lease(self, name: str, holder: str, description: str) -> bool:
        """Take or keep the lease; False while another holds it."""
        with self.transaction() as con:
            return lease.acquire(con, name, holder, description, _now_ms())

    def release_lease(self, name: str, holder: str) -> None:
        """Give the lease back."""
        with self.transaction() as con:
            lease.release(con, name, holder)

    def put(self, topic: str, key: str, body: Any) -> None:
        """Store a small fact as JSON."""
        with self.transaction() as con:
            state_store.put(con, topic, key, body, _now_ms())

    def put_all(self, topic: str, facts: Mapping[str, Any]) -> None:
        """Store several facts of one topic in one transaction."""
        with self.transaction() as con:
            for key, body in facts.items():
                state_store.put(con, topic, key, body, _now_ms())

    def drop(self, topic: str, key: str) -> None:
        """Forget a fact."""
        with self.transaction() as con:
            state_store.drop(con, topic, key)

    def ask(self, kind: str, body: Any) -> int:
        """Leave a command for the holder of the lease; returns its number."""
        with self.transaction() as con:
            return state_store.ask(con, kind, body, _now_ms())

    def answer(self, command_id: int, result: Any) -> None:
        """Answer a command."""
        with self.transaction() as con:
            state_store.answer(con, command_id, result, _now_ms())

    # -- the file ----------------------------------------------------------------------------

    def file_sizes(self) -> tuple[int, int]:
        """Bytes of the database file and of its write-ahead log."""
        wal = self.path.with_name(self.path.name + "-wal")
        return tuple(p.stat().st_size if p.exists() else 0 for p in (self.path, wal))  # type: ignore[return-value]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _refuse_foreign(path: Path) -> None:
    """Look at the first bytes ourselves: SQLite would answer only after creating side files."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except PermissionError:
        raise ReadOnlyDatabase(f"{path} cannot be read; check who owns it.") from None
    if head != b"SQLite format 3\0":
        raise NotADatabase(
            f"{path} is not a SQLite database. It was not touched; "
            "set CRYPTO_DB_PATH to another file."
        )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """SQLite's errors as the platform's, in sentences."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise DatabaseBusy(f"{path} is locked by another program.") from error
        if code == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR:
            raise DatabaseBusy(f"{path} cannot grow: {text}.") from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
            raise ReadOnlyDatabase(f"{path} cannot be written: {text}.") from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise NotADatabase(f"{path} is not a sound SQLite database: {text}.") from error
        raise DatabaseError(f"{path}: {text}.") from error
