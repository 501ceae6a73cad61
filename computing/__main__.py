"""``python -m computing``: list jobs, run one to its end without a page, stop or delete one."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence

from computing import jobs
from database import Database
from errors import PlatformError
from storage import job_store


def main(arguments: Sequence[str]) -> int:
    """Do what was asked; 0, or 1 with a sentence where it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m computing", description=__doc__)
    parser.add_argument("what", choices=("list", "run", "stop", "delete"))
    parser.add_argument("job", nargs="?", help="the id of a job, as the list gives it")
    parser.add_argument("--database", help="a file or an address; by default that of the settings")
    options = parser.parse_args(arguments)
    if options.what != "list" and not options.job:
        parser.error(f"{options.what} needs the id of a job; list shows them.")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        with Database(options.database) as database:
            return _do(database, options.what, options.job)
    except PlatformError as problem:
        print(problem, file=sys.stderr)
        return 1


def _do(database: Database, what: str, job_id: str) -> int:
    if what == "list":
        return _list(database)
    if what == "run":
        return _run(database, job_id)
    (jobs.stop if what == "stop" else jobs.delete)(database, job_id)
    return 0


def _list(database: Database) -> int:
    now_ms = time.time_ns() // 1_000_000
    with database.snapshot() as snapshot:
        found = snapshot.books(job_store.listed)
    for job in found:
        count = f"{job.done + job.failed:,}/{job.tasks:,}"
        print(
            f"{job.id}  {job.state_at(now_ms):8}{count:>16}  {job.kind:13}{job.title}  {job.note}"
        )
    return 0


def _run(database: Database, job_id: str) -> int:
    """Work until it is done; Ctrl-C and SIGTERM stop it with everything stored."""
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    said_s = 0.0

    def told(fraction: float, note: str) -> None:
        nonlocal said_s
        if time.monotonic() - said_s > 1.0:
            said_s = time.monotonic()
            print(f"{fraction:6.1%}  {note}", flush=True)

    job = jobs.run(database, job_id, told=told, cancelled=asked.is_set)
    print(f"{job.state}: {job.done:,} of {job.tasks:,} tasks. {job.note}".strip(), flush=True)
    return 0 if job.state == "done" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
