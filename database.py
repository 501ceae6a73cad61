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
from storage import candle_store, gap_ledger, lease, legacy, schema, state_store, tick_store
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
        self._seen_version = 0
        self._writer: sqlite3.Connection | None = None
        if not read_only:
            self._writer = self._open_writer()
        elif not self._look():
            raise DatabaseError(f"{self.path} does not exist or is empty; nothing can be read.")

    # -- connections -------------------------------------------------------------------------

    def _open_writer(self) -> sqlite3.Connection:
        if self.path.parent != Path() and not self.path.parent.is_dir():
            raise DatabaseError(
                f"The folder of {self.path} does not exist; make it, or set "
                "CRYPTO_DB_PATH to a file in a folder that does."
            )
        if self._look():
            _refuse_unwritable(self.path)
        with _translated(self.path):
            con = self._connect(f"{_uri(self.path)}?mode=rwc")
            try:
                self._prepare(con)
            except BaseException:
                con.close()
                raise
        return con

    def _look(self) -> bool:
        """Whether the file is there and has content, refused where it is not the platform's."""
        if not self.path.exists() or (self.path.is_file() and not self.path.stat().st_size):
            return False
        _refuse_foreign(self.path)
        # Read-only, because closing a connection that can write would fold the log into a file
        # that may turn out not to be ours.
        with _translated(self.path):
            con = self._connect(f"{_uri(self.path)}?mode=ro")
            try:
                version = con.execute("PRAGMA user_version").fetchone()[0]
                tables = {row[0] for row in con.execute("SELECT name FROM sqlite_master")}
                legacy_file = legacy.is_legacy(con)
            finally:
                con.close()
        _refuse_newer(self.path, version)
        if legacy_file and self.read_only:
            raise DatabaseError(
                f"{self.path} was written by the earlier version of the platform; "
                "open it once for writing and it will be brought up to date."
            )
        if tables and not legacy_file and not {"ticks", "ohlc_data", "meta"} <= tables:
            raise NotADatabase(
                f"{self.path} is a SQLite database of another program. It was not touched; "
                "set CRYPTO_DB_PATH to another file."
            )
        return True

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

    def _prepare(self, con: sqlite3.Connection) -> None:
        # Has to stand before the first table; later it would take a VACUUM, and does nothing.
        con.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if legacy.is_legacy(con):
            legacy.migrate(con, self.path, _now_ms())
        if con.execute("PRAGMA auto_vacuum").fetchone()[0] == 0:
            self._make_shrinkable(con)
        _switch_to_wal(con)
        con.execute("PRAGMA synchronous = NORMAL")
        # Pages of forming candles change with every batch: folded in less often, written less.
        con.execute("PRAGMA wal_autocheckpoint = 4000")
        con.execute("PRAGMA journal_size_limit = 67108864")
        if con.execute("PRAGMA user_version").fetchone()[0] < schema.SCHEMA_VERSION:
            con.execute("BEGIN IMMEDIATE")
            try:
                version = con.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    schema.create(con)
                elif version < schema.SCHEMA_VERSION:
                    schema.upgrade(con, version)
                con.execute("COMMIT")
            except BaseException:
                con.execute("ROLLBACK")
                raise

    def _make_shrinkable(self, con: sqlite3.Connection) -> None:
        """Rewrite a migrated file once, so that it gives space back ever after."""
        try:
            con.execute("PRAGMA journal_mode = DELETE")
            con.execute("PRAGMA auto_vacuum = INCREMENTAL")
            con.execute("VACUUM")
        except sqlite3.OperationalError as error:
            # The data are whole without it; the next start tries again.
            log.warning("%s could not be vacuumed: %s", self.path, error)

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
                self._forget_if_another_wrote(con)
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

    def _forget_if_another_wrote(self, con: sqlite3.Connection) -> None:
        """Drop the writer's memory where another connection has written since it was learnt."""
        seen = con.execute("PRAGMA data_version").fetchone()[0]
        if seen != self._seen_version:
            self._seen_version = seen
            self._memory.symbols.clear()

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
            con = self._connect(f"{_uri(self.path)}?mode=ro")
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
        """Store closed candles not made of ticks; returns how many rows changed.

        See `storage.candle_store.import_candles`, which also says where ticks have precedence.
        """
        with self.transaction(data=True) as con:
            changed = candle_store.import_candles(con, rows, timeframe, source)
            # What the writer remembers of the symbols says nothing of these candles yet.
            self._memory.symbols.clear()
        return changed

    def prune(self, before_ms: int, *, limit: int = 5_000) -> int:
        """Delete up to ``limit`` ticks from before ``before_ms``; returns how many went.

        One short transaction; call it again until it returns 0. Candles stay.
        """
        cut_ms = before_ms // _RETENTION_STEP_MS * _RETENTION_STEP_MS
        deleted = 0
        with self.transaction() as con:
            for (symbol,) in con.execute("SELECT symbol FROM symbols").fetchall():
                if deleted < limit:
                    deleted += tick_store.prune(con, symbol, cut_ms, limit - deleted)
            if deleted:
                con.execute("UPDATE meta SET value = value + 1 WHERE key = 'data_version'")
                self._memory.symbols.clear()
        return deleted

    def give_space_back(self, *, pages: int = 500) -> int:
        """Return up to ``pages`` free pages of the file to the disk; returns how many are left.

        The file itself shrinks when the write-ahead log is next folded into it.
        """
        with self._lock, _translated(self.path):
            if self._writer is None:
                raise ReadOnlyDatabase(f"{self.path} is open for reading only, or closed.")
            self._writer.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
            return self._writer.execute("PRAGMA freelist_count").fetchone()[0]

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file as far as readers allow, waiting for nobody."""
        with self._lock, _translated(self.path):
            if self._writer is not None:
                self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def clear(self) -> None:
        """Delete every tick, candle and gap; settings and books stay, and the file shrinks."""
        with self.transaction(data=True) as con:
            for table in ("ticks", "ohlc_data", "gaps", "symbols", "imported"):
                con.execute(f"DELETE FROM {table}")
            self._memory = tick_store.WriterState()
        while self.give_space_back(pages=10_000):
            pass
        self.checkpoint()

    # -- gaps --------------------------------------------------------------------------------

    def record_gaps(self, gaps: Sequence[Gap]) -> None:
        """Write down holes."""
        with self.transaction() as con:
            gap_ledger.record(con, gaps, _now_ms())

    def close_gap(self, gap_id: int, state: str, reason: str) -> None:
        """Close a hole as ``filled`` or ``confirmed_absent``."""
        with self.transaction() as con:
            gap_ledger.close(con, gap_id, state, reason, _now_ms())

    def fill_gap(
        self,
        gap: Gap,
        batch: TickBatch,
        *,
        left: Gap | None,
        found: Gap,
        state: str,
        absent: Sequence[Gap] = (),
    ) -> Written:
        """Store prints fetched for a hole, and what the ledger then says; see `gap_ledger.fill`."""
        now_ms = _now_ms()
        with self.transaction(data=True) as con:
            written = tick_store.write(con, self._memory, batch, iso_utc(now_ms))
            gap_ledger.fill(con, gap, left, found, state, absent, now_ms)
        return written

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


def _uri(path: Path) -> str:
    """The path as SQLite takes it; of a Windows share the server is part of the path."""
    uri = path.absolute().as_uri()
    return uri if uri.startswith("file:///") else uri.replace("file://", "file:////", 1)


def _switch_to_wal(con: sqlite3.Connection) -> None:
    """Set the journal mode, waiting where another process opens the same new file."""
    deadline = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            con.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite does not call its busy handler for this.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _refuse_unwritable(path: Path) -> None:
    """SQLite would open such a file for reading without a word and fail at the first write."""
    for place, what in ((path, path), (path.parent, f"The folder of {path}")):
        if not os.access(place, os.W_OK):
            raise ReadOnlyDatabase(f"{what} cannot be written; check who owns it.")


def _refuse_foreign(path: Path) -> None:
    """Look at the first bytes ourselves: SQLite would answer only after creating side files."""
    if not path.is_file():
        raise NotADatabase(f"{path} is not a file; set CRYPTO_DB_PATH to the name of one.")
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except PermissionError:
        raise ReadOnlyDatabase(f"{path} cannot be read; check who owns it.") from None
    if not head.startswith(b"SQLite format 3\0"):
        raise NotADatabase(
            f"{path} is not a SQLite database. It was not touched; "
            "set CRYPTO_DB_PATH to another file."
        )
    _refuse_newer(path, int.from_bytes(head[60:64], "big"))


def _refuse_newer(path: Path, version: int) -> None:
    if version > schema.SCHEMA_VERSION:
        raise NewerSchema(
            f"{path} was written by a later version of the platform (schema {version}; "
            f"this one knows up to {schema.SCHEMA_VERSION}). It was not touched."
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
    except OverflowError as error:
        # Such as an id that no exchange gives: 64 bits hold every one that is real.
        raise DatabaseError(f"{path}: a whole number is too large to be stored.") from error
