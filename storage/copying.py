"""Everything from one database into another, of whatever engine; broken off, it goes on.

Rows travel in the order of their keys, and how far they have come is written in the transaction
that stores them. Row numbers stay, so that the desk goes on reading the tape where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from database import Database
from errors import DatabaseError
from storage import schema, state_store
from storage.lease import EXPIRY_MS

CHUNK_ROWS = 10_000
TOPIC = "copy"
_PROGRESS = "progress"
# Who collects, what was asked of him, and numbers that the engine keeps for itself.
_OWN = {"lease", "commands", "meta"}


class Step(NamedTuple):
    """How far it is: rows of a table, of how many, and of everything."""

    table: str
    done: int
    total: int
    all_done: int
    all_total: int


class TableCount(NamedTuple):
    """Rows of a table on either side."""

    table: str
    source: int
    target: int


def copy(
    source: Database, target: Database, report: Callable[[Step], None] = lambda step: None
) -> list[TableCount]:
    """Copy every table; returns how many rows each holds on either side, which are equal.

    Raises
    ------
    DatabaseError
        Somebody collects into one of them, the target holds other data, or the counts differ.
    """
    for database in (source, target):
        _refuse_in_use(database)
    begun = _begin(source, target)
    tables = [t for t in schema.tables() if t.name not in _OWN]
    with source.snapshot() as snapshot:
        version = snapshot.version
        totals = {t.name: snapshot.books(_count, t) for t in tables}
    done = dict.fromkeys(totals, 0) | begun["rows"]
    for table in tables:
        for _ in _copy_table(source, target, table, begun, done):
            report(Step(table.name, done[table.name], totals[table.name], sum(done.values()),
                        sum(totals.values())))  # fmt: skip
    with target.transaction(data=True) as con:
        target.engine.finish_append(con)
    with source.snapshot() as snapshot:
        if snapshot.version != version:
            raise DatabaseError(
                f"{source.name} was written to while it was copied. Stop what collects into it, "
                "and copy it to an empty place."
            )
    return _compared(source, target, tables)


def _refuse_in_use(database: Database) -> None:
    with database.snapshot() as snapshot:
        held = snapshot.lease("collector")
        if held is not None and abs(snapshot.now_ms() - held.beat_ms) < EXPIRY_MS:
            raise DatabaseError(
                f"{held.description} collects into {database.name}; stop it before copying."
            )


def _begin(source: Database, target: Database) -> dict[str, Any]:
    """What was copied before; refuses a target that holds anything else."""
    with target.snapshot() as snapshot:
        stored = snapshot.get(TOPIC, _PROGRESS)
        ours = [t for t in schema.tables() if t.name not in _OWN]
        full = [table.name for table in ours if snapshot.books(_has_rows, table)]
    if stored is not None:
        begun = stored[0]
        if begun["from"] == source.name:
            return begun
        raise DatabaseError(
            f"{target.name} holds a copy of {begun['from']}; name an empty place to copy to."
        )
    if full:
        raise DatabaseError(
            f"{target.name} holds data already ({', '.join(full)}); they were not touched. "
            "Name an empty place to copy to."
        )
    begun = {"from": source.name, "rows": {}, "after": {}}
    target.put(TOPIC, _PROGRESS, begun)
    return begun


def _copy_table(
    source: Database,
    target: Database,
    table: schema.Table,
    begun: dict[str, Any],
    done: dict[str, int],
) -> Iterator[None]:
    positions = [table.columns.index(name) for name in table.key]
    while True:
        with source.snapshot() as snapshot:
            rows = snapshot.books(_rows_after, table, begun["after"].get(table.name))
        if not rows:
            return
        begun["after"][table.name] = [rows[-1][i] for i in positions]
        with target.transaction() as con:
            target.engine.append(con, table.name, table.columns, rows)
            done[table.name] += len(rows)
            begun["rows"][table.name] = done[table.name]
            state_store.put(con, TOPIC, _PROGRESS, begun, target.engine.now_ms(con))
        yield


def _rows_after(con: Any, table: schema.Table, after: list[Any] | None) -> list[Any]:
    columns, key = ", ".join(table.columns), ", ".join(table.key)
    where, given = _but_the_copy_itself(table), []
    if after is not None:
        where.append(f"({key}) > ({', '.join('?' * len(after))})")
        given = after
    return con.execute(
        f"SELECT {columns} FROM {table.name} WHERE {' AND '.join(where)} ORDER BY {key} LIMIT ?",
        (*given, CHUNK_ROWS),
    ).fetchall()


def _but_the_copy_itself(table: schema.Table) -> list[str]:
    return [f"topic <> '{TOPIC}'"] if table.name == "state" else ["1 = 1"]


def _count(con: Any, table: schema.Table) -> int:
    where = " AND ".join(_but_the_copy_itself(table))
    return con.execute(f"SELECT count(*) FROM {table.name} WHERE {where}").fetchone()[0]


def _has_rows(con: Any, table: schema.Table) -> bool:
    where = " AND ".join(_but_the_copy_itself(table))
    return con.execute(f"SELECT 1 FROM {table.name} WHERE {where} LIMIT 1").fetchone() is not None


def _compared(source: Database, target: Database, tables: list[schema.Table]) -> list[TableCount]:
    with source.snapshot() as one, target.snapshot() as other:
        counts = [TableCount(t.name, one.books(_count, t), other.books(_count, t)) for t in tables]
    wrong = [c for c in counts if c.source != c.target]
    if wrong:
        raise DatabaseError(
            "The copy is not whole: "
            + "; ".join(f"{c.table} has {c.target:,} rows of {c.source:,}" for c in wrong)
            + f". Delete {target.name} and copy again."
        )
    return counts
