"""Jobs: long computations written down, so that they outlive a worker, a scheduler, a process.

A job is made once with all it runs on. Whoever runs it takes the tasks that have no result yet,
stores each result as it comes, and beats meanwhile; killed at any moment, it can be run again, here
or elsewhere, and ends in the same results.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from computing import inputs as job_inputs
from computing.cluster import Cluster
from computing.encoding import decoded, result_hash
from computing.inputs import Inputs, Source
from computing.requests import Request
from computing.runner import DEADLINE_S, Here, Outcome, Place, Processes, outcomes
from computing.tasks import KINDS, do
from config import Config
from database import Database
from errors import ComputeError, DatabaseBusy, SchedulerUnreachable
from storage import job_store
from storage.job_store import JobRow, StoredResult

log = logging.getLogger(__name__)

Told = Callable[[float, str], None]

PROCESSES_PAY_S = 10.0
"""Core seconds from which processes are used: starting them takes two or three."""
CLUSTER_PAYS_S = 3.0
"""The same for a cluster, whose workers stand ready."""
KEPT = 200
_BEAT_S = 1.0
_STORE_TRIES_S = 60.0


def new_job(database: Database, request: Request, now_ms: int) -> str:
    """Write a job down with what it runs on; returns its id. The oldest beyond 200 are deleted.

    Raises
    ------
    DatabaseError
        It cannot be written.
    """
    job_id = uuid.uuid4().hex[:12]
    kind, title, parameters, arrays = request
    row = JobRow(
        job_id, kind, title, parameters, "stopped", len(KINDS[kind].keys(parameters)), "", None,
        None, now_ms, None, None,
    )  # fmt: skip
    job_inputs.keep(database, job_id, parameters, arrays)
    with database.transaction() as con:
        job_store.create(con, row)
    with database.snapshot() as snapshot:
        old = snapshot.books(job_store.listed, 2 * KEPT)[KEPT:]
    for job in old:
        if job.state_at(now_ms) != "running":
            delete(database, job.id)
    return job_id


def delete(database: Database, job_id: str) -> None:
    """Forget a job, its results and what it ran on; one that runs is stopped by that."""
    with database.transaction() as con:
        job_store.delete(con, job_id)
    job_inputs.forget(database, job_id)


def stop(database: Database, job_id: str) -> None:
    """Have whoever runs a job leave it within a few seconds; results stay."""
    with database.transaction() as con:
        job_store.ask_to_stop(con, job_id)


def chosen_place(seconds: float) -> contextlib.AbstractContextManager[Place]:
    """Where work of so many core seconds is done soonest: threads, processes, or the cluster.

    Raises
    ------
    SchedulerUnreachable, VersionsDiffer, ComputeError
        DASK_SCHEDULER is set, and cannot be used.
    """
    if Config.DASK_SCHEDULER and seconds >= CLUSTER_PAYS_S:
        return Cluster(Config.DASK_SCHEDULER)
    small = Config.DASK_SCHEDULER or seconds < PROCESSES_PAY_S
    return contextlib.nullcontext(Here() if small else Processes())


@dataclass
class _Run:
    """One process's work on one job."""

    database: Database
    job: JobRow
    told: Told
    asked_to_stop: Callable[[], bool]
    runner: str = field(default_factory=lambda: f"{platform.node()}:{os.getpid()}:{uuid.uuid4()}")
    note: str = ""
    done: int = 0
    failed: int = 0
    begun_s: float = field(default_factory=time.monotonic)
    at_start: int = 0
    lost: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def cancelled(self) -> bool:
        """Whether to stop: asked here, or the row says so."""
        return self.asked_to_stop() or self.lost.is_set()

    def beat(self) -> None:
        """Say every second that the job is worked on, and hear whether it is to stop."""
        while not self.over.wait(_BEAT_S):
            try:
                with self.database.transaction() as con:
                    now_ms = self.database.clock_ms(con)
                    if not job_store.beat(con, self.job.id, self.runner, self.pace(), now_ms):
                        self.lost.set()
            except DatabaseBusy as error:
                log.warning("the job %s could not beat: %s", self.job.id, error)
            except Exception:
                log.exception("beating for the job %s failed", self.job.id)

    def pace(self) -> str:
        """Progress, rate and time left, after what else there is to say."""
        total, spent_s = self.job.tasks, time.monotonic() - self.begun_s
        here = self.done + self.failed - self.at_start
        text = f"{self.done + self.failed:,} of {total:,} tasks"
        if here and spent_s > 0:
            rate = here / spent_s
            left_s = (total - self.done - self.failed) / rate
            text += f", {rate:,.1f} a second, {_span(left_s)} left"
        return f"{self.note} {text}".strip()

    def store(self, ended: Outcome) -> None:
        """Write a result down; a database that is busy is tried again for a minute."""
        state = "done" if ended.reason is None else "failed"
        body = ended.value if ended.reason is None else ended.reason
        row = StoredResult(ended.key, state, body, ended.seconds, ended.worker)
        deadline = time.monotonic() + _STORE_TRIES_S
        while True:
            try:
                with self.database.transaction() as con:
                    job_store.store(con, self.job.id, [row], self.database.clock_ms(con))
                break
            except DatabaseBusy:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        if ended.reason is None:
            self.done += 1
        else:
            self.failed += 1
        total = max(self.job.tasks, 1)
        self.told((self.done + self.failed) / total, self.pace())


def run(
    database: Database,
    job_id: str,
    *,
    told: Told = lambda fraction, note: None,
    cancelled: Callable[[], bool] = lambda: False,
    place: contextlib.AbstractContextManager[Place] | None = None,
    deadline_s: float = DEADLINE_S,
) -> JobRow:
    """Work on a job until it is done or told to stop; gives it as it is then.

    Parameters
    ----------
    database : Database
    job_id : str
        New, or stopped at any moment by anything.
    told : callable (fraction, note)
        Progress with rate and time left, in the caller's thread.
    cancelled : callable
        True: tasks under way finish, what has come stays, the job is ``stopped``.
    place : context manager of a Place, optional
        Where; by default what pays for its size.
    deadline_s : float
        See `computing.runner.outcomes`.

    Raises
    ------
    ComputeError
        Another process works on it, or it is gone, or its place cannot be used.
    """
    with database.snapshot() as snapshot:
        job = snapshot.books(job_store.one, job_id)
        finished = snapshot.books(job_store.finished_keys, job_id)
    if job is None:
        raise ComputeError(f"There is no job {job_id}.")
    work = _Run(database, job, told, cancelled, done=len(finished), at_start=len(finished))
    keys = [key for key in KINDS[job.kind].keys(job.parameters) if key not in finished]
    with _claimed(work):
        share = len(keys) / max(job.tasks, 1)
        first = place or chosen_place(KINDS[job.kind].seconds(job.parameters) * share)
        source = job_inputs.source_of(database, job_id)
        _work_on(work, keys, source, first, deadline_s)
    with database.snapshot() as snapshot:
        return snapshot.books(job_store.one, job_id) or replace(job, state="stopped")


@contextlib.contextmanager
def _claimed(work: _Run) -> Iterator[None]:
    """The job is this process's, and beats; at the end its row says how it ended."""
    with work.database.transaction() as con:
        # The server's clock, so that hosts whose clocks differ agree on who still beats.
        if not job_store.claim(con, work.job.id, work.runner, work.database.clock_ms(con)):
            raise ComputeError("Another process works on this job already, or it was deleted.")
    beating = threading.Thread(target=work.beat, name=f"job-beat-{work.job.id}", daemon=True)
    beating.start()
    why = ""
    try:
        yield
    except ComputeError as error:
        why = str(error)
        raise
    finally:
        work.over.set()
        beating.join(5)
        _end(work, why)


def _work_on(
    work: _Run,
    keys: list[str],
    source: Source,
    first: contextlib.AbstractContextManager[Place],
    deadline_s: float,
) -> None:
    """Do the tasks; where a cluster goes away in the middle, the rest is done on this machine."""
    kind = work.job.kind
    left = dict.fromkeys(keys)

    def at(place: Place) -> None:
        calls = {key: (source, kind, key) for key in left}
        for ended in outcomes(do, calls, place, cancelled=work.cancelled, deadline_s=deadline_s):
            del left[ended.key]
            work.store(ended)

    with first as place:
        try:
            at(place)
            return
        except SchedulerUnreachable as error:
            work.note = f"{error} The rest is computed on this machine."
            log.warning("%s", work.note)
    at(Processes())


def _end(work: _Run, why: str) -> None:
    """Write down how it ended: done, failed in part, or stopped with what there is."""
    with work.database.transaction() as con:
        now_ms = work.database.clock_ms(con)
        results = job_store.results(con, work.job.id)
        done = [(r.task_key, r.body) for r in results if r.state == "done"]
        failed = [r for r in results if r.state == "failed"]
        if len(done) == work.job.tasks:
            state, note = "done", work.note
        elif len(results) == work.job.tasks and not why:
            state = "failed"
            note = f"{len(failed)} of {len(results)} tasks failed, first {failed[0].body}"
            note = f"{work.note} {note}".strip()
        else:
            state, note = "stopped", why or work.note
        whole = result_hash(done) if state == "done" else None
        job_store.end(con, work.job.id, work.runner, state, note, whole, now_ms)


def results_of(database: Database, job_id: str) -> tuple[Inputs, dict[str, dict[str, Any]]]:
    """What a job ran on, and the arrays of every task that is done, by key.

    Raises
    ------
    ComputeError
        What it ran on is no longer there.
    """
    with database.snapshot() as snapshot:
        rows = snapshot.books(job_store.results, job_id)
    found = job_inputs.opened(job_inputs.source_of(database, job_id))
    return found, {r.task_key: decoded(r.body) for r in rows if r.state == "done"}


def _span(seconds: float) -> str:
    """A time left, in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
