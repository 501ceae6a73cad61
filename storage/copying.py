"""Everything from one database into another, of whatever engine; broken off, it goes on.

Rows travel in the order of their keys, and how far they have come is written in the transaction
that stores them. Row numbers stay, so that the desk goes on reading the tape where it was.

A copy is of one moment: a mark of the source is kept with it, and compared when it goes on and when
it ends. What was changed behind it in between would otherwise be missing without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from database import Database
from errors import DatabaseError
from storage import schema, state_store
from storage.lease import EXPIRY_MS
from storage.snapshot import Snapshot

CHUNK_ROWS = 10_000
TOPIC = "copy"
_PROGRESS = "progress"
# Who collects, what was asked of him, and numbers that the engine keeps for itself.
_OWN = {"lease", "commands", "meta"}
# Told from their data version, and from their keys.
_VERSIONED = {"ticks", "ohlc_data"}
_ONLY_ADDED = {"job_inputs", "job_results"}


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
    source: Database,
    target: Database,
    report: Callable[[Step], None] = lambda step: None,
    *,
    afresh: bool = False,
) -> list[TableCount]:
    """Copy every table; returns how many rows each holds on either side, which are equal.

    Parameters
    ----------
    source, target : Database
    report : callable (step)
        Called after each chunk.
    afresh : bool
        Delete first what a copy of the same source, not finished, has left in the target.

    Raises
    ------
    DatabaseError
        Somebody collects into one of them, the target holds other data, the source was written to
        since the copy was begun, or the counts differ.
    """
    for database in (source, target):
        _refuse_in_use(database)
    if afresh:
        _empty(source, target)
    tables = _copied_tables()
    with source.snapshot() as snapshot:
        mark = snapshot.books(_mark, snapshot.version)
        totals = {t.name: snapshot.books(_count, t) for t in tables}
    begun = _begin(source, target, mark)
    done = dict.fromkeys(totals, 0) | begun["rows"]
    for table in tables:
        for _ in _copy_table(source, target, table, begun, done):
            report(Step(table.name, done[table.name], totals[table.name], sum(done.values()),
                        sum(totals.values())))  # fmt: skip
    with source.snapshot() as snapshot:
        if snapshot.books(_mark, snapshot.version) != mark:
            raise _changed(source, target)
    counts = _compared(source, target, tables)
    with target.transaction(data=True) as con:
        target.engine.finish_append(con)
        finished = begun | {"finished": True}
        state_store.put(con, TOPIC, _PROGRESS, finished, target.engine.now_ms(con))
    return counts


def _copied_tables() -> list[schema.Table]:
    return [t for t in schema.tables() if t.name not in _OWN]


def _mark(con: Any, version: int) -> str:
    """Differs where anything that is copied was changed.

    Market data have a version of their own and the rows of jobs are only ever added; the other
    tables, which are small, are read through.
    """
    digest = sha256(str(version).encode())
    for table in _copied_tables():
        if table.name in _VERSIONED:
            continue
        where = " AND ".join(_but_the_copy_itself(table))
        key = ", ".join(table.key)
        columns = key if table.name in _ONLY_ADDED else ", ".join(table.columns)
        digest.update(table.name.encode())
        asked = f"SELECT {columns} FROM {table.name} WHERE {where} ORDER BY {key}"
        for rows in con.stream(asked, (), CHUNK_ROWS):
            digest.update(repr([tuple(row) for row in rows]).encode())
    return digest.hexdigest()


def _changed(source: Database, target: Database) -> DatabaseError:
    return DatabaseError(
        f"{source.name} was written to since the copy into {target.name} was begun, so that the "
        "copy would be of no one moment. Stop what writes into it (collectors, dashboards, jobs), "
        "and give the same command with --afresh: it deletes what was copied and begins anew."
    )


def _empty(source: Database, target: Database) -> None:
    """Delete what a copy that was not finished has left; nothing else is ever deleted."""
    with target.snapshot() as snapshot:
        stored = snapshot.get(TOPIC, _PROGRESS)
    if stored is None:
        return  # an empty place needs nothing, and one with other data is refused
    begun = stored[0]
    if begun["from"] != source.name or begun.get("finished"):
        raise DatabaseError(
            f"{target.name} does not hold an unfinished copy of {source.name}; nothing was "
            "deleted. Name an empty place to copy to."
        )
    with target.transaction(data=True) as con:
        target.engine.clear(con)
        for table in reversed(_copied_tables()):
            if table.name != "ticks":
                con.execute(f"DELETE FROM {table.name}")


def _refuse_in_use(database: Database) -> None:
    with database.snapshot() as snapshot:
        _refuse_collected(database, snapshot)


def _refuse_collected(database: Database, snapshot: Snapshot) -> None:
    held = snapshot.lease("collector")
    if held is not None and abs(snapshot.now_ms() - held.beat_ms) < EXPIRY_MS:
        raise DatabaseError(
            f"{held.description} collects into {database.name}; stop it before copying."
        )


def _begin(source: Database, target: Database, mark: str) -> dict[str, Any]:
    """What was copied before; refuses a target that holds anything else."""
    with target.snapshot() as snapshot:
        stored = snapshot.get(TOPIC, _PROGRESS)
        full = [table.name for table in _copied_tables() if snapshot.books(_has_rows, table)]
    if stored is not None:
        begun = stored[0]
        if begun["from"] != source.name:
            raise DatabaseError(
                f"{target.name} holds a copy of {begun['from']}; name an empty place to copy to."
            )
        if begun.get("finished"):
            raise DatabaseError(
                f"{target.name} holds a finished copy of {source.name} already; it was not "
                "touched. Name an empty place for another."
            )
        if begun.get("mark") != mark:
            raise _changed(source, target)
        return begun
    if full:
        raise DatabaseError(
            f"{target.name} holds data already ({', '.join(full)}); they were not touched. "
            "Name an empty place to copy to."
        )
    begun = {"from": source.name, "mark": mark, "rows": {}, "after": {}}
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
            # Hours may pass: a collector that was started meanwhile ends it now, not at its end.
            _refuse_collected(source, snapshot)
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
            + ". Give the same command with --afresh: it deletes what was copied and begins anew."
        )
    return counts
