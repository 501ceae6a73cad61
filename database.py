"""`Database`: the platform's only door to what is stored, in SQLite or in PostgreSQL.

One connection writes, under a lock and in short transactions, alone at it among all processes;
any number of threads read, each from a consistent `Snapshot`. Ticks are stored once, and their
candles in the same transaction, so that a chart and the tick table cannot disagree. What SQLite
and PostgreSQL do differently is in their engines (`storage.engine.Engine`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config import Config
from errors import DatabaseError, ReadOnlyDatabase
from storage import (
    address,
    candle_store,
    gap_ledger,
    lease,
    leftovers,
    state_store,
    tick_store,
)
from storage.candle_cache import CandleCache
from storage.engine import RETENTION_STEP_MS, Engine, Sizes
from storage.gap_ledger import Gap
from storage.news import News
from storage.snapshot import Snapshot
from storage.sqlite_engine import SqliteEngine
from storage.tick_store import Written
from ticks import TickBatch, iso_utc

__all__ = ["Database", "Gap", "Snapshot", "Written"]

_IDLE_READERS = 8


class Database:
    """Ticks, candles and the desk's books, in a SQLite file or on a PostgreSQL server.

    Parameters
    ----------
    place : path, address or None
        A file, made if it is not there; or ``postgresql://…``, whose tables are made if they are
        not there. None takes ``Config.DATABASE_URL``, or ``Config.DB_PATH`` where that is not set.
    read_only : bool
        Open for reading alone: the data must exist and are not migrated.

    Raises
    ------
    NotADatabase, NewerSchema, ReadOnlyDatabase
        The place cannot be used; it was not touched.
    """

    def __init__(self, place: str | os.PathLike[str] | None = None, *, read_only: bool = False):
        self._engine = engine_of(place)
        self.read_only = read_only
        self._lock = threading.RLock()
        self._pool_lock = threading.Lock()
        self._readers: list[Any] = []
        self._closed = False
        self._memory = self._engine.new_memory()
        self._candles = CandleCache()
        self._others = 0
        self._writer: Any = None
        self._news: News | None = None
        if read_only:
            self._engine.require()
        else:
            self._writer = self._engine.open_writer()

    @property
    def name(self) -> str:
        """The file, or the server and its database, without a password."""
        return self._engine.name

    @property
    def engine(self) -> Engine:
        """What is done differently on SQLite and on PostgreSQL; for the tools of this package."""
        return self._engine

    @property
    def path(self) -> Path:
        """The SQLite file.

        Raises
        ------
        DatabaseError
            It is not a file.
        """
        if isinstance(self._engine, SqliteEngine):
            return self._engine.path
        raise DatabaseError(f"{self.name} is not a file.")

    @property
    def address(self) -> str | None:
        """The server's address, password included, for workers elsewhere; None for a file."""
        return self._engine.url

    # -- connections -------------------------------------------------------------------------

    @contextmanager
    def transaction(self, *, data: bool = False) -> Iterator[Any]:
        """One write: all of it or nothing; where it changes market data, the version rises too.

        Raises
        ------
        DatabaseBusy
            Locked by another process, no room, or no server; nothing was written.
        ReadOnlyDatabase
            The place cannot be written.
        """
        engine = self._engine
        with self._lock, engine.translated():
            con = self._begin_write()
            try:
                yield con
                engine.commit(con, data=data)
            except BaseException:
                # What the writer remembers may be ahead of what is stored now.
                self._memory = engine.new_memory()
                engine.rollback(con)
                raise

    def _begin_write(self) -> Any:
        """The writer with its transaction begun; one that was cut off while idle is replaced."""
        engine = self._engine
        while True:
            before, con = self._writer, self._sound_writer()
            try:
                with engine.translated():
                    others = engine.begin(con)
                break
            except DatabaseError:
                engine.rollback(con)
                if con is not before or engine.is_sound(con):
                    raise
        if others != self._others:
            # What the writer remembers was learnt before another wrote.
            self._others = others
            self._memory = engine.new_memory()
        return con

    def _sound_writer(self) -> Any:
        if self._closed or self.read_only:
            raise ReadOnlyDatabase(f"{self.name} is open for reading only, or closed.")
        if self._writer is None or not self._engine.is_sound(self._writer):
            self._memory = self._engine.new_memory()
            self._writer = None
            self._writer = self._engine.open_writer()
        return self._writer

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Everything read inside is of one moment, with one data version.

        Raises
        ------
        DatabaseBusy
            The server does not answer; trying again is right.
        """
        con = self._begin_read()
        try:
            with self._engine.translated():
                yield Snapshot(con, self._candles, self._engine.now_ms)
        finally:
            self._end_read(con)

    def _begin_read(self) -> Any:
        """A reader with its transaction begun; one that was cut off while idle is replaced."""
        while True:
            with self._pool_lock:
                idle = self._readers.pop() if self._readers else None
            con = self._engine.open_reader() if idle is None else idle
            try:
                with self._engine.translated():
                    self._engine.begin_read(con)
                return con
            except DatabaseError:
                con.close()
                if idle is None:
                    raise

    def _end_read(self, con: Any) -> None:
        self._engine.rollback(con)
        with self._pool_lock:
            keep = not self._closed and len(self._readers) < _IDLE_READERS
            if keep and self._engine.is_sound(con):
                self._readers.append(con)
                return
        con.close()

    def wait_for_change(self, seen: int, timeout_s: float) -> int:
        """Wait until the data version is not ``seen``, whoever wrote; the version it is then.

        PostgreSQL tells at once, SQLite is asked ten times a second. Gives ``seen`` back where
        nothing was written within ``timeout_s``.
        """
        return self._engine.wait_for_change(seen, timeout_s)

    @property
    def news(self) -> News | None:
        """What is told of writes by anybody, from the first call on; None where nobody tells."""
        with self._pool_lock:
            if self._news is None and self._engine.tells and not self._closed:
                self._news = News(self.wait_for_change)
            return self._news

    def close(self) -> None:
        """Close every connection; harmless when closed already."""
        self._closed = True
        if self._news is not None:
            self._news.close()
        self._engine.close()
        with self._pool_lock:
            readers, self._readers = self._readers, []
        for con in readers:
            con.close()
        with self._lock:
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
        """Delete ticks from before ``before_ms``, oldest first; returns how many went.

        One short transaction of some ``limit`` ticks, or of a whole day where the engine drops
        days; call it again until it returns 0. Candles stay.
        """
        cut_ms = before_ms // RETENTION_STEP_MS * RETENTION_STEP_MS
        with self.transaction() as con:
            deleted = self._engine.prune(con, cut_ms, limit)
            if deleted:
                self._engine.raise_version(con)
                self._memory.symbols.clear()
        return deleted

    def prune_leftovers(self, now_ms: int, *, limit: int = 1_000) -> int:
        """Delete what has piled up beside the ticks; see `storage.leftovers` for what and when.

        One short transaction; call it again until it returns 0.
        """
        with self.transaction() as con:
            return (
                leftovers.drop_commands(con, now_ms, limit)
                + leftovers.drop_deliveries(con, now_ms, limit)
                + leftovers.thin_equity(con, now_ms, limit)
            )

    def retention_cut(self, now_ms: int, hours: int) -> int:
        """The moment before which retention deletes ticks that are older than ``hours``."""
        return self._engine.retention_cut(now_ms, hours)

    def give_space_back(self, *, pages: int = 500) -> int:
        """Return up to ``pages`` free pages of a file to the disk; returns how many are left.

        The file itself shrinks when the write-ahead log is next folded into it. A server does
        this by itself.
        """
        with self._lock, self._engine.translated():
            return self._engine.give_space_back(self._sound_writer(), pages)

    def checkpoint(self) -> None:
        """Fold a file's write-ahead log into it as far as readers allow, waiting for nobody."""
        with self._lock, self._engine.translated():
            if self._writer is not None:
                self._engine.checkpoint(self._writer)

    def clear(self) -> None:
        """Delete every tick, candle and gap; settings and books stay, and the file shrinks."""
        with self.transaction(data=True) as con:
            for (symbol,) in con.execute("SELECT DISTINCT symbol FROM ohlc_data").fetchall():
                candle_store.note_rewrite(con, symbol)
            self._engine.clear(con)
            self._memory = self._engine.new_memory()
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
            return lease.acquire(con, name, holder, description, self._engine.now_ms(con))

    def clock_ms(self, con: Any) -> int:
        """The clock of all who share the database, read in a transaction of theirs."""
        return self._engine.now_ms(con)

    def release_lease(self, name: str, holder: str) -> None:
        """Give the lease back."""
        with self.transaction() as con:
            lease.release(con, name, holder)

    def put(self, topic: str, key: str, body: Any) -> None:
        """Store a small fact as JSON."""
        with self.transaction() as con:
            state_store.put(con, topic, key, body, self._engine.now_ms(con))

    def put_all(self, topic: str, facts: Mapping[str, Any]) -> None:
        """Store several facts of one topic in one transaction."""
        with self.transaction() as con:
            now_ms = self._engine.now_ms(con)
            for key, body in facts.items():
                state_store.put(con, topic, key, body, now_ms)

    def drop(self, topic: str, key: str) -> None:
        """Forget a fact."""
        with self.transaction() as con:
            state_store.drop(con, topic, key)

    def ask(self, kind: str, body: Any) -> int:
        """Leave a command for the holder of the lease; returns its number."""
        with self.transaction() as con:
            return state_store.ask(con, kind, body, self._engine.now_ms(con))

    def answer(self, command_id: int, result: Any) -> None:
        """Answer a command."""
        with self.transaction() as con:
            state_store.answer(con, command_id, result, self._engine.now_ms(con))

    # -- what there is -----------------------------------------------------------------------

    def sizes(self) -> Sizes:
        """Bytes of the data, and of the write-ahead log beside them (None on a server)."""
        con = self._begin_read()
        try:
            with self._engine.translated():
                return self._engine.sizes(con)
        finally:
            self._end_read(con)


def place_of(source: str) -> Path | str:
    """Where the data of ``live``, ``demo`` or ``replay`` are, by the settings.

    Simulated data never share a place with the live market: they have a file beside its file, or
    a schema of their own in its database.
    """
    if not Config.DATABASE_URL:
        live = Path(Config.DB_PATH)
        return live if source == "live" else live.with_name(f"{live.stem}_{source}{live.suffix}")
    if source == "live":
        return Config.DATABASE_URL
    return address.beside(Config.DATABASE_URL, source)


def engine_of(place: str | os.PathLike[str] | None) -> Engine:
    """The engine for a file or an address; None takes the settings."""
    if place is None:
        place = Config.DATABASE_URL or Config.DB_PATH
    if not address.is_address(place):
        return SqliteEngine(Path(place))
    try:
        from storage.postgres_engine import PostgresEngine
    except ImportError as error:
        raise DatabaseError(
            "DATABASE_URL names a PostgreSQL server, and psycopg, which speaks to it, is not "
            f'installed ({error}): pip install "psycopg[binary]".'
        ) from error
    return PostgresEngine(str(place))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    from storage.command_line import main

    raise SystemExit(main())
