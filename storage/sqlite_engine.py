"""SQLite: a file, one process at a time writing, any number reading beside it."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from errors import DatabaseBusy, DatabaseError, NewerSchema, NotADatabase, ReadOnlyDatabase
from storage import legacy, schema, tick_store
from storage.engine import RETENTION_STEP_MS, Sizes

log = logging.getLogger(__name__)

_BUSY_MS = 5_000
_HOUR_MS = 3_600_000
_POLL_S = 0.1


class Connection(sqlite3.Connection):
    """SQLite's own, with the few calls that the stores make beside ``execute``."""

    by_day = False

    def stream(self, sql: str, parameters: Any, chunk: int) -> Iterator[list[Any]]:
        """More rows than should be in memory at once."""
        cursor = self.execute(sql, parameters)
        while rows := cursor.fetchmany(chunk):
            yield rows


class SqliteEngine:
    """A SQLite file in write-ahead mode; see `storage.engine.Engine`."""

    tells = False
    url: str | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._watcher: sqlite3.Connection | None = None
        self._watching = threading.Lock()
        self._closed = threading.Event()

    # -- opening -----------------------------------------------------------------------------

    def open_writer(self) -> Connection:
        """The file's writer; the file is made, or brought up to date, where it has to be."""
        if self.path.parent != Path() and not self.path.parent.is_dir():
            raise DatabaseError(
                f"The folder of {self.path} does not exist; make it, or set "
                "CRYPTO_DB_PATH to a file in a folder that does."
            )
        if self._look(read_only=False):
            _refuse_unwritable(self.path)
        with self.translated():
            con = self._connect(f"{_uri(self.path)}?mode=rwc")
            try:
                self._prepare(con)
            except BaseException:
                con.close()
                raise
        return con

    def open_reader(self) -> Connection:
        """A connection that cannot write."""
        with self.translated():
            con = self._connect(f"{_uri(self.path)}?mode=ro")
            con.execute("PRAGMA query_only = 1")
        return con

    def require(self) -> None:
        """Refuse a file that is not there or not the platform's."""
        if not self._look(read_only=True):
            raise DatabaseError(f"{self.path} does not exist or is empty; nothing can be read.")

    def is_sound(self, con: Any) -> bool:
        """Always: a file does not hang up."""
        return True

    def _look(self, *, read_only: bool) -> bool:
        """Whether the file is there and has content, refused where it is not the platform's."""
        if not self.path.exists() or (self.path.is_file() and not self.path.stat().st_size):
            return False
        _refuse_foreign(self.path)
        # Read-only, because closing a connection that can write would fold the log into a file
        # that may turn out not to be ours.
        with self.translated():
            con = self._connect(f"{_uri(self.path)}?mode=ro")
            try:
                version = con.execute("PRAGMA user_version").fetchone()[0]
                tables = {row[0] for row in con.execute("SELECT name FROM sqlite_master")}
                legacy_file = legacy.is_legacy(con)
            finally:
                con.close()
        _refuse_newer(self.path, version)
        if legacy_file and read_only:
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

    def _connect(self, uri: str) -> Connection:
        con = sqlite3.connect(
            uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=_BUSY_MS / 1000,
            cached_statements=64,
            factory=Connection,
        )
        con.execute("PRAGMA cache_size = -65536")
        return con

    def _prepare(self, con: Connection) -> None:
        # Has to stand before the first table; later it would take a VACUUM, and does nothing.
        con.execute("PRAGMA auto_vacuum = INCREMENTAL")
        if legacy.is_legacy(con):
            legacy.migrate(con, self.path, time.time_ns() // 1_000_000)
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
                if version < schema.SCHEMA_VERSION:
                    schema.upgrade(con, version)
                con.execute("COMMIT")
            except BaseException:
                con.execute("ROLLBACK")
                raise

    def _make_shrinkable(self, con: Connection) -> None:
        """Rewrite a migrated file once, so that it gives space back ever after."""
        try:
            con.execute("PRAGMA journal_mode = DELETE")
            con.execute("PRAGMA auto_vacuum = INCREMENTAL")
            con.execute("VACUUM")
        except sqlite3.OperationalError as error:
            # The data are whole without it; the next start tries again.
            log.warning("%s could not be vacuumed: %s", self.path, error)

    # -- transactions ------------------------------------------------------------------------

    @contextmanager
    def translated(self) -> Iterator[None]:
        """SQLite's errors as the platform's, in sentences."""
        path = self.path
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

    def begin(self, con: Connection) -> int:
        """Take the file's write lock; the number is SQLite's own of other connections' writes."""
        con.execute("BEGIN IMMEDIATE")
        return con.execute("PRAGMA data_version").fetchone()[0]

    def commit(self, con: Connection, *, data: bool) -> None:
        """End the write."""
        if data:
            self.raise_version(con)
        con.execute("COMMIT")

    def raise_version(self, con: Connection) -> None:
        """Readers see it with what was written."""
        con.execute("UPDATE meta SET value = value + 1 WHERE key = 'data_version'")

    def rollback(self, con: Connection) -> None:
        """Undo what is under way."""
        if con.in_transaction:
            con.execute("ROLLBACK")

    def begin_read(self, con: Connection) -> None:
        """The snapshot is taken by the first read."""
        con.execute("BEGIN")

    def now_ms(self, con: Any) -> int:
        """This machine's clock: a file is shared on one machine only."""
        return time.time_ns() // 1_000_000

    def new_memory(self) -> tick_store.WriterState:
        """Nothing is known yet."""
        return tick_store.WriterState()

    # -- retention and space -----------------------------------------------------------------

    def prune(self, con: Connection, before_ms: int, limit: int) -> int:
        """Delete the oldest ticks of each symbol in turn."""
        deleted = 0
        for (symbol,) in con.execute("SELECT symbol FROM symbols").fetchall():
            if deleted < limit:
                deleted += tick_store.prune(con, symbol, before_ms, limit - deleted)
        return deleted

    def retention_cut(self, now_ms: int, hours: int) -> int:
        """To the candle."""
        return (now_ms - hours * _HOUR_MS) // RETENTION_STEP_MS * RETENTION_STEP_MS

    def clear(self, con: Connection) -> None:
        """Empty the tables of market data."""
        for table in ("ticks", "ohlc_data", "gaps", "symbols", "imported"):
            con.execute(f"DELETE FROM {table}")

    def append(
        self, con: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Insert them."""
        marks = ", ".join("?" * len(columns))
        con.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def finish_append(self, con: Connection) -> None:
        """Nothing is left to do: the next number is one more than the highest."""

    def give_space_back(self, con: Connection, pages: int) -> int:
        """The file itself shrinks when the write-ahead log is next folded into it."""
        con.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
        return con.execute("PRAGMA freelist_count").fetchone()[0]

    def checkpoint(self, con: Connection) -> None:
        """As far as readers allow."""
        con.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def sizes(self, con: Any) -> Sizes:
        """Bytes of the file and of its write-ahead log."""
        wal = self.path.with_name(self.path.name + "-wal")
        return Sizes(*(p.stat().st_size if p.exists() else 0 for p in (self.path, wal)))

    # -- news --------------------------------------------------------------------------------

    def wait_for_change(self, seen: int, timeout_s: float) -> int:
        """Ask ten times a second: SQLite tells nobody."""
        end_s = time.monotonic() + timeout_s
        with self._watching:
            if self._watcher is None:
                self._watcher = self.open_reader()
            while True:
                with self.translated():
                    version = self._watcher.execute(
                        "SELECT value FROM meta WHERE key = 'data_version'"
                    ).fetchone()[0]
                left_s = end_s - time.monotonic()
                if version != seen or left_s <= 0:
                    return version
                if self._closed.wait(min(_POLL_S, left_s)):
                    return version

    def close(self) -> None:
        """Close the connection that waits for news."""
        self._closed.set()
        with self._watching:
            if self._watcher is not None:
                self._watcher.close()
                self._watcher = None


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
