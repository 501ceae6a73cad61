"""`Retention`: old ticks go, in small steps that never block whoever writes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from database import Database
from errors import DatabaseError
from storage.archive import archive_days, day_start_ms

log = logging.getLogger(__name__)

# One step holds the writer's lock for some tens of milliseconds, and then lets others in.
_STEP_TICKS = 2_000
_STEP_PAGES = 200
_PAUSE_S = 0.05
# A file may keep so many free pages (a megabyte): new ticks will want them soon.
_SPARE_PAGES = 256


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one run did: ticks deleted, free pages left, and whether it came to its end."""

    deleted: int
    free_pages: int
    finished: bool


class Retention:
    """Deletes ticks older than ``hours`` and gives their space back to the disk; candles stay.

    Parameters
    ----------
    db : Database
    hours : int
        As ``Config.DATA_RETENTION_HOURS``.
    interval_s : float
        From the end of one run of the thread to the next.
    pause_s : float
        Left to other writers after each step.
    archive : Path or None
        Folder in which whole days are kept as Parquet before they are deleted; only whole days
        are deleted then.
    """

    def __init__(
        self,
        db: Database,
        hours: int,
        *,
        interval_s: float = 600.0,
        pause_s: float = _PAUSE_S,
        archive: Path | None = None,
    ) -> None:
        self._db, self._hours, self._archive = db, hours, archive
        self._interval_s, self._pause_s = interval_s, pause_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.last: Pruned | None = None

    def run_once(self, now_ms: int) -> Pruned:
        """Delete what is too old at ``now_ms``, step by step, until nothing is or it is stopped.

        Raises
        ------
        DatabaseError
            A day could not be archived, and nothing of it was deleted; or the database cannot be
            written. What was deleted until then stays deleted; the next run goes on.
        """
        before_ms = self._db.retention_cut(now_ms, self._hours)
        if self._archive is not None:
            before_ms = day_start_ms(before_ms)
            for day in archive_days(self._db, before_ms, self._archive):
                log.info("%d ticks of %s are kept in %s", day.ticks, day.day, day.path)
        deleted = 0
        while not self._stop.is_set():
            step = self._db.prune(before_ms, limit=_STEP_TICKS)
            if not step:
                break
            deleted += step
            self._stop.wait(self._pause_s)
        while not self._stop.is_set() and self._db.prune_leftovers(now_ms):
            self._stop.wait(self._pause_s)
        free_pages = self._shrink()
        self.last = Pruned(deleted, free_pages, not self._stop.is_set())
        return self.last

    def _shrink(self) -> int:
        """Give free pages back until few are left; the file is cut when the log is folded in."""
        left = self._db.give_space_back(pages=0)
        while left > _SPARE_PAGES and not self._stop.is_set():
            before, left = left, self._db.give_space_back(pages=min(_STEP_PAGES, left))
            if left >= before:
                # The file was made without the ability to shrink.
                break
            self._stop.wait(self._pause_s)
        self._db.checkpoint()
        return left

    def start(self, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """Run at once and then every ``interval_s``, in a thread of its own."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        self._thread = threading.Thread(
            target=self._run, args=(clock_ms,), name="retention", daemon=True
        )
        self._thread.start()

    def _run(self, clock_ms: Callable[[], int]) -> None:
        while not self._stop.is_set():
            try:
                pruned = self.run_once(clock_ms())
                if pruned.deleted:
                    log.info("retention: %d ticks deleted", pruned.deleted)
            except DatabaseError as problem:
                log.warning("retention: %s", problem)
            except Exception:
                log.exception("retention stopped short")
            self._stop.wait(self._interval_s)

    def stop(self) -> None:
        """End the thread after its present step."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None
