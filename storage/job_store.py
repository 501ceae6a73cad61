"""Long computations as rows: what was asked, the results that have come, what they run on.

A result is written once under (job, task): storing it again changes nothing, so a job can be
stopped, resumed and worked on by whatever is left. While a process works on a job it beats; a job
whose beats have ceased is stopped, whatever its row says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

EXPIRY_MS = 15_000
"""A running job whose process has been silent for so long is stopped, and free to be resumed."""

_COLUMNS = (
    "id, kind, title, parameters, state, tasks, note, runner, beat_ms, created_ms, ended_ms, "
    "result_hash"
)


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as stored; ``parameters`` are plain data, ``done`` and ``failed`` count tasks."""

    id: str
    kind: str
    title: str
    parameters: Any
    state: str
    tasks: int
    note: str
    runner: str | None
    beat_ms: int | None
    created_ms: int
    ended_ms: int | None
    result_hash: str | None
    done: int = 0
    failed: int = 0

    def state_at(self, now_ms: int) -> str:
        """``running``, ``stopped``, ``done`` or ``failed``: running only while somebody beats."""
        beats = self.beat_ms is not None and abs(now_ms - self.beat_ms) < EXPIRY_MS
        return "stopped" if self.state == "running" and not beats else self.state


class StoredResult(NamedTuple):
    """What came of a task: ``body`` is its encoded result, or why it failed."""

    task_key: str
    state: str
    body: str
    seconds: float
    worker: str


def create(con: Any, job: JobRow) -> None:
    """Write a job down; one that is there already stays as it is."""
    con.execute(
        f"INSERT INTO jobs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO NOTHING",
        (
            job.id, job.kind, job.title, json.dumps(job.parameters, allow_nan=False), job.state,
            job.tasks, job.note, job.runner, job.beat_ms, job.created_ms, job.ended_ms,
            job.result_hash,
        ),
    )  # fmt: skip


def claim(con: Any, job_id: str, runner: str, now_ms: int) -> bool:
    """Begin or go on with a job; False where another process works on it, or it is gone."""
    job = one(con, job_id)
    if job is None or (job.state_at(now_ms) == "running" and job.runner != runner):
        return False
    con.execute(
        "UPDATE jobs SET state = 'running', runner = ?, beat_ms = ?, note = '', ended_ms = NULL "
        "WHERE id = ?",
        (runner, now_ms, job_id),
    )
    return True


def beat(con: Any, job_id: str, runner: str, note: str, now_ms: int) -> bool:
    """Say that ``runner`` still works on it; False where it was told to stop or lost the job."""
    row = con.execute("SELECT state, runner FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None or tuple(row) != ("running", runner):
        return False
    con.execute("UPDATE jobs SET beat_ms = ?, note = ? WHERE id = ?", (now_ms, note, job_id))
    return True


def end(
    con: Any, job_id: str, runner: str, state: str, note: str, result_hash: str | None, now_ms: int
) -> None:
    """Leave a job as ``done``, ``failed`` or ``stopped``; only who works on it can."""
    con.execute(
        "UPDATE jobs SET state = ?, note = ?, result_hash = ?, ended_ms = ?, runner = NULL "
        "WHERE id = ? AND runner = ?",
        (state, note, result_hash, now_ms, job_id, runner),
    )


def ask_to_stop(con: Any, job_id: str) -> None:
    """Have whoever works on a job leave it; what has come of it stays."""
    con.execute("UPDATE jobs SET state = 'stopped' WHERE id = ? AND state = 'running'", (job_id,))


def store(con: Any, job_id: str, results: Iterable[StoredResult], now_ms: int) -> None:
    """Write results down; a task that has one keeps it, but a failure gives way to a result."""
    con.executemany(
        "INSERT INTO job_results (job_id, task_key, state, body, seconds, worker, stored_ms) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job_id, task_key) DO UPDATE SET "
        "state = excluded.state, body = excluded.body, seconds = excluded.seconds, "
        "worker = excluded.worker, stored_ms = excluded.stored_ms "
        "WHERE job_results.state = 'failed'",
        [(job_id, *result, now_ms) for result in results],
    )


def results(con: Any, job_id: str) -> list[StoredResult]:
    """Every result of a job, in the order of its keys."""
    rows = con.execute(
        "SELECT task_key, state, body, seconds, worker FROM job_results WHERE job_id = ?",
        (job_id,),
    ).fetchall()
    # Sorted here: databases differ in how they order text.
    return sorted((StoredResult(*row) for row in rows), key=lambda result: result.task_key)


def finished_keys(con: Any, job_id: str) -> set[str]:
    """Tasks that have a result; those that failed are tried again."""
    rows = con.execute(
        "SELECT task_key FROM job_results WHERE job_id = ? AND state = 'done'", (job_id,)
    ).fetchall()
    return {row[0] for row in rows}


def one(con: Any, job_id: str) -> JobRow | None:
    """A job with its counts, or None."""
    row = con.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return None if row is None else _as_job(row, _counts(con, job_id).get(job_id, {}))


def listed(con: Any, limit: int = 200) -> list[JobRow]:
    """Jobs with their counts, the newest first."""
    rows = con.execute(
        f"SELECT {_COLUMNS} FROM jobs ORDER BY created_ms DESC, id LIMIT ?", (limit,)
    ).fetchall()
    counts = _counts(con)
    return [_as_job(row, counts.get(row[0], {})) for row in rows]


def delete(con: Any, job_id: str) -> None:
    """Forget a job, its results and its inputs."""
    con.execute("DELETE FROM job_results WHERE job_id = ?", (job_id,))
    con.execute("DELETE FROM job_inputs WHERE job_id = ?", (job_id,))
    con.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def put_input(con: Any, job_id: str, name: str, place: int, body: str) -> None:
    """Keep one row of an array that a job runs on, for workers that share no disk."""
    con.execute(
        "INSERT INTO job_inputs (job_id, name, place, body) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (job_id, name, place) DO NOTHING",
        (job_id, name, place, body),
    )


def input_rows(con: Any, job_id: str, name: str, place: int | None = None) -> list[str]:
    """The rows of an array of a job in order, or the one at ``place``."""
    sql = "SELECT body FROM job_inputs WHERE job_id = ? AND name = ?"
    if place is None:
        return [row[0] for row in con.execute(f"{sql} ORDER BY place", (job_id, name)).fetchall()]
    rows = con.execute(f"{sql} AND place = ?", (job_id, name, place)).fetchall()
    return [row[0] for row in rows]


def _counts(con: Any, job_id: str | None = None) -> dict[str, dict[str, int]]:
    """Job → state of a task → how many."""
    where, given = ("", ()) if job_id is None else ("WHERE job_id = ?", (job_id,))
    counts: dict[str, dict[str, int]] = {}
    for job, state, many in con.execute(
        f"SELECT job_id, state, count(*) FROM job_results {where} GROUP BY job_id, state", given
    ).fetchall():
        counts.setdefault(job, {})[state] = many
    return counts


def _as_job(row: Any, counts: dict[str, int]) -> JobRow:
    job = JobRow(*row)
    return replace(
        job,
        parameters=json.loads(job.parameters),
        done=counts.get("done", 0),
        failed=counts.get("failed", 0),
    )
