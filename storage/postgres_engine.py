"""PostgreSQL: one collector writes from wherever it is, dashboards on any host read.

A write is alone at it, as on SQLite: each takes one advisory lock of its schema first. So row
numbers appear in the order of their commits, and who reads the tape by them misses none.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import blake2b
from typing import Any

import psycopg
from psycopg import sql

from errors import DatabaseError
from storage import postgres_schema, schema, tick_store
from storage.engine import RETENTION_STEP_MS, Sizes
from storage.postgres_bulk import PostgresBulk
from storage.postgres_connection import Connection, connect, parse_address, translated
from ticks import iso_utc

log = logging.getLogger(__name__)

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
# From here on retention goes by whole days: dropping one costs nothing, deleting its rows does.
_WHOLE_DAYS_FROM_HOURS = 48
# How long a drop of a day may keep readers waiting before it gives way to them.
_DROP_TIMEOUT_MS = 500
# How long a lost commit is asked after.
_DOUBT_S = 8.0
_DOUBT_PAUSE_S = 0.2
# Asking the files of every day for their sizes is not for every refresh of a page.
_SIZES_S = 10.0
# A wait for news looks up so often, so that it can be ended.
_LISTEN_S = 0.5


class PostgresEngine:
    """A schema of a PostgreSQL database; see `storage.engine.Engine`."""

    tells = True

    def __init__(self, url: str) -> None:
        self._address = parse_address(url)
        self.url: str | None = url
        self.name = self._address.name
        digest = blake2b(f"crypto-analytics {self._address.schema}".encode(), digest_size=8)
        self._lock_key = int.from_bytes(digest.digest(), "big", signed=True)
        self._channel = f"ticks_{digest.hexdigest()}"
        self._rise = (
            "WITH risen AS (UPDATE meta SET value = value + 1 WHERE key = 'data_version' "
            f"RETURNING value) SELECT pg_notify('{self._channel}', value::text) FROM risen"
        )
        self._heard = -1
        self._own_writes = 0
        self._write_id = ""
        self._sizes: Sizes | None = None
        self._sizes_until_s = 0.0
        self._listener: Connection | None = None
        self._listening = threading.Lock()
        self._closed = threading.Event()

    # -- opening -----------------------------------------------------------------------------

    def open_writer(self) -> Connection:
        """A connection that writes, on tables of this version."""
        with self.translated():
            con = connect(self._address)
            try:
                self._prepare(con)
            except BaseException:
                con.close()
                raise
        self._own_writes = 0
        return con

    def _prepare(self, con: Connection) -> None:
        """Make or extend the tables, once however many programs start at a time."""
        if self._has_schema(con):
            version = postgres_schema.version_of(con, self.name)
            if version == schema.SCHEMA_VERSION:
                return
        con.raw.execute(f"BEGIN; SELECT pg_advisory_xact_lock({self._lock_key})")
        try:
            if not self._has_schema(con):
                name = sql.Identifier(self._address.schema)
                con.raw.execute(sql.SQL("CREATE SCHEMA {}").format(name))
            version = postgres_schema.version_of(con, self.name)
            if version < schema.SCHEMA_VERSION:
                postgres_schema.bring_up_to_date(con, version)
            con.raw.execute("COMMIT")
        except BaseException:
            self.rollback(con)
            raise

    def _has_schema(self, con: Connection) -> bool:
        found = con.execute(
            "SELECT 1 FROM pg_namespace WHERE nspname = ?", (self._address.schema,)
        ).fetchone()
        return found is not None

    def open_reader(self) -> Connection:
        """A connection that cannot write."""
        with self.translated():
            return connect(self._address, read_only=True)

    def require(self) -> None:
        """Refuse a schema without the platform's tables."""
        con = self.open_reader()
        try:
            with self.translated():
                if not postgres_schema.version_of(con, self.name):
                    raise DatabaseError(
                        f"{self.name} holds no data of the platform; nothing can be read."
                    )
        finally:
            con.close()

    def is_sound(self, con: Connection) -> bool:
        """Whether the server is still at the other end, as far as is known."""
        return con.is_open

    # -- transactions ------------------------------------------------------------------------

    def translated(self) -> AbstractContextManager[None]:
        """PostgreSQL's errors as the platform's, in sentences."""
        return translated(self.name)

    def begin(self, con: Connection) -> int:
        """Be the only one that writes; the number counts what others have written."""
        cursor = con.raw.execute(
            f"BEGIN; SELECT pg_advisory_xact_lock({self._lock_key}); "
            "SELECT pg_current_xact_id()::text, value FROM meta WHERE key = 'data_version'"
        )
        while cursor.nextset():
            pass
        row = cursor.fetchone()
        if row is None:
            raise DatabaseError(f"{self.name} has lost its version; its tables are not whole.")
        self._write_id, version = row
        return version - self._own_writes

    def commit(self, con: Connection, *, data: bool) -> None:
        """End the write; where the answer is lost, find out what became of it.

        Raises
        ------
        psycopg.Error
            It was not committed, or the server does not come back to say.
        """
        statements = f"{self._rise}; COMMIT" if data else "COMMIT"
        try:
            con.raw.execute(statements)
        except psycopg.OperationalError:
            if con.is_open or not self._was_committed(self._write_id):
                raise
            log.warning("the connection was lost in a commit that did succeed")
        self._own_writes += data

    def raise_version(self, con: Connection) -> None:
        """Told at the commit of the caller's transaction."""
        con.raw.execute(self._rise)
        self._own_writes += 1

    def _was_committed(self, write_id: str) -> bool:
        """What the server says of a transaction whose commit was not answered."""
        end_s = time.monotonic() + _DOUBT_S
        while time.monotonic() < end_s:
            try:
                con = connect(self._address, read_only=True)
            except psycopg.OperationalError:
                time.sleep(_DOUBT_PAUSE_S)
                continue
            try:
                row = con.execute("SELECT pg_xact_status(?::xid8)", (write_id,)).fetchone()
            except psycopg.OperationalError:
                row = None
            finally:
                con.close()
            if row is not None and row[0] != "in progress":
                return row[0] == "committed"
            time.sleep(_DOUBT_PAUSE_S)
        return False

    def rollback(self, con: Connection) -> None:
        """Undo what is under way; a connection that is gone has undone it already."""
        if con.is_open and con.in_transaction:
            try:
                con.raw.execute("ROLLBACK")
            except psycopg.Error as error:
                log.info("%s: rolling back: %s", self.name, error)
                con.close()

    def begin_read(self, con: Connection) -> None:
        """Every read until the end is of the moment of the first."""
        con.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def now_ms(self, con: Connection) -> int:
        """The server's clock: the same for collectors on every host."""
        return con.execute(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
        ).fetchone()[0]  # type: ignore[index]

    def new_memory(self) -> tick_store.WriterState:
        """Nothing is known yet."""
        return tick_store.WriterState(bulk=PostgresBulk())

    # -- retention and space -----------------------------------------------------------------

    def prune(self, con: Connection, before_ms: int, limit: int) -> int:
        """Drop the oldest day that is past as a whole, else delete ``limit`` rows of its part."""
        before = iso_utc(before_ms)
        for day in postgres_schema.days(con):
            if day >= before[:10]:
                break
            dropped = self._drop_day(con, day, before_ms)
            if dropped:
                return dropped
        deleted = 0
        for (symbol,) in con.execute("SELECT symbol FROM symbols ORDER BY symbol").fetchall():
            if deleted < limit:
                deleted += tick_store.prune(con, symbol, before_ms, limit - deleted)
        return deleted

    def _drop_day(self, con: Connection, day: str, before_ms: int) -> int:
        table = postgres_schema.partition_of(day)
        con.execute(f"SET LOCAL lock_timeout = {_DROP_TIMEOUT_MS}")
        for (symbol,) in con.execute("SELECT symbol FROM symbols").fetchall():
            found = con.execute(f"SELECT 1 FROM {table} WHERE symbol = ? LIMIT 1", (symbol,))
            if found.fetchone():
                tick_store.raise_low_water(con, symbol, before_ms)
        many = con.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # type: ignore[index]
        con.execute(f"DROP TABLE {table}")
        return many

    def retention_cut(self, now_ms: int, hours: int) -> int:
        """To the candle; of two days and more to the day, so that days are dropped whole."""
        step = _DAY_MS if hours >= _WHOLE_DAYS_FROM_HOURS else RETENTION_STEP_MS
        return (now_ms - hours * _HOUR_MS) // step * step

    def clear(self, con: Connection) -> None:
        """Drop every day and empty the tables of market data."""
        for day in postgres_schema.days(con):
            con.execute(f"DROP TABLE {postgres_schema.partition_of(day)}")
        self._sizes = None
        con.execute("TRUNCATE ohlc_data, gaps, symbols, imported")

    def append(
        self, con: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Copy them; ticks into their days."""
        if table == "ticks":
            place = columns.index("timestamp")
            wanted = {row[place][:10] for row in rows}
            for day in sorted(wanted - set(postgres_schema.days(con))):
                postgres_schema.add_day(con, day)
        names = ", ".join(columns)
        with con.raw.cursor().copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def finish_append(self, con: Connection) -> None:
        """Set every sequence to the highest number of its column."""
        for table, column in con.execute(
            "SELECT table_name::text, column_name::text FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND is_identity = 'YES'"
        ).fetchall():
            con.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), "
                f"(SELECT coalesce(max({column}), 0) + 1 FROM {table}), false)"
            )

    def give_space_back(self, con: Connection, pages: int) -> int:
        """Nothing is left to do: a dropped day has given its files back."""
        return 0

    def checkpoint(self, con: Connection) -> None:
        """The server's own business."""

    def sizes(self, con: Connection) -> Sizes:
        """Bytes of the tables and indexes of the schema, as they were some seconds ago at most."""
        if self._sizes is not None and time.monotonic() < self._sizes_until_s:
            return self._sizes
        row = con.execute(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
            "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
        ).fetchone()
        self._sizes = Sizes(row[0], None)  # type: ignore[index]
        self._sizes_until_s = time.monotonic() + _SIZES_S
        return self._sizes

    # -- news --------------------------------------------------------------------------------

    def wait_for_change(self, seen: int, timeout_s: float) -> int:
        """Listen; the server tells within a millisecond of the commit. For one thread.

        Nothing is asked of the server but once for each connection.
        """
        end_s = time.monotonic() + timeout_s
        with self._listening, self.translated():
            listener = self._listening_connection()
            wait_s = 0.0
            while True:
                for told in listener.raw.notifies(timeout=wait_s, stop_after=1):
                    self._heard = max(self._heard, int(told.payload))
                left_s = end_s - time.monotonic()
                if self._heard != seen or left_s <= 0 or self._closed.is_set():
                    return self._heard
                wait_s = min(left_s, _LISTEN_S)

    def _listening_connection(self) -> Connection:
        if self._listener is None or not self._listener.is_open:
            self._listener = connect(self._address, read_only=True)
            # Before the version is asked for, so that none is missed in between.
            self._listener.raw.execute(f"LISTEN {self._channel}")
            self._heard = self._listener.execute(
                "SELECT value FROM meta WHERE key = 'data_version'"
            ).fetchone()[0]  # type: ignore[index]
        return self._listener

    def close(self) -> None:
        """Hang up the connection that listens."""
        self._closed.set()
        with self._listening:
            if self._listener is not None:
                self._listener.close()
                self._listener = None
