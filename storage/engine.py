"""What `database.Database` asks of a database engine: the one place where engines may differ.

The stores in this package run the same SQL on every engine, on connections that take ``?`` for a
parameter. What cannot be said in one SQL stands behind this face: how to connect and to begin,
bulk writing, retention, space, and how a reader hears of news.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from storage.tick_store import WriterState

RETENTION_STEP_MS = 300_000
"""The longest stored timeframe: retention cuts there, so that it never cuts a candle in two."""


class Sizes(NamedTuple):
    """Bytes of the data, and of the log beside them; None where the engine shares its log."""

    data: int
    log: int | None


class Engine(Protocol):
    """One kind of database at one place."""

    name: str
    """The place for people, without a password."""
    url: str | None
    """The address of a server, password included; None for a file."""
    tells: bool
    """Whether `wait_for_change` is told of writes; else it has to ask again and again."""

    def open_writer(self) -> Any:
        """The one connection that writes, on tables that are there and of this version.

        Raises
        ------
        DatabaseError
            One of its kinds: the place cannot be used, and was not touched.
        """

    def open_reader(self) -> Any:
        """A connection that only reads."""

    def require(self) -> None:
        """Refuse a place where nothing can be read; for who opens it for reading alone."""

    def is_sound(self, con: Any) -> bool:
        """Whether the connection may be used again."""

    def translated(self) -> AbstractContextManager[None]:
        """The engine's errors as the platform's, in sentences."""

    def begin(self, con: Any) -> int:
        """Begin a write, alone at it; returns a number that changes when another has written."""

    def commit(self, con: Any, *, data: bool) -> None:
        """End a write; where it changed market data the version rises and readers hear of it."""

    def raise_version(self, con: Any) -> None:
        """Note in the caller's transaction that market data change by it, as `commit` may."""

    def rollback(self, con: Any) -> None:
        """Undo a write or end a read; harmless where none is under way."""

    def begin_read(self, con: Any) -> None:
        """Begin a read of one moment."""

    def now_ms(self, con: Any) -> int:
        """The clock that leases go by: one for all who share the database."""

    def new_memory(self) -> WriterState:
        """What the writer remembers at its start."""

    def prune(self, con: Any, before_ms: int, limit: int) -> int:
        """Delete old ticks in the caller's transaction, about ``limit`` of them at most."""

    def retention_cut(self, now_ms: int, hours: int) -> int:
        """The moment before which ticks older than ``hours`` are deleted."""

    def clear(self, con: Any) -> None:
        """Delete market data in the caller's transaction."""

    def append(
        self, con: Any, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Add rows that are not there, as they are, in the caller's transaction."""

    def finish_append(self, con: Any) -> None:
        """Have new rows numbered after those that were added."""

    def give_space_back(self, con: Any, pages: int) -> int:
        """Return free pages to the disk; how many are left."""

    def checkpoint(self, con: Any) -> None:
        """Fold the log into the data, waiting for nobody."""

    def sizes(self, con: Any) -> Sizes:
        """How much room the data take."""

    def wait_for_change(self, seen: int, timeout_s: float) -> int:
        """The data version once it is not ``seen``, or as it is after ``timeout_s``."""

    def close(self) -> None:
        """Close what the engine keeps for itself; connections are the caller's."""
