"""The one function through which tasks run: `outcomes`, over joblib, wherever they are to be done.

Tasks come back in the order in which they end. A worker that dies takes only its own tasks with
it: those are tried again, alone, so that the one that kills its worker is found, marked as failed
with its reason, and the rest finish.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import TimeoutError as NoResultInTime
from typing import Any, NamedTuple, Protocol

from joblib import Parallel, delayed, parallel_config

from errors import ComputeError, DatabaseError, PlatformError

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""A task that was lost so often, with its worker each time, has failed."""
DEADLINE_S = 600.0
"""Where no task has ended for so long, those under way are taken for frozen."""
_IDLE_WORKER_S = 60


class Outcome(NamedTuple):
    """How a task ended: its value, or the reason why there is none, in a sentence."""

    key: str
    value: Any
    reason: str | None
    seconds: float
    worker: str


class Lost(NamedTuple):
    """A task that did not come back; ``blame``: of how many attempts it may be the cause."""

    key: str
    reason: str
    blame: int


class Place(Protocol):
    """Where tasks are done; ``can_lose`` where they may not come back."""

    workers: int
    can_lose: bool

    def configured(self) -> AbstractContextManager[Any]:
        """joblib set up for this place, for the time of the context.

        Raises
        ------
        ComputeError
            The place is not there any more.
        """

    def is_sound(self) -> bool:
        """Whether further tasks may be sent."""

    def explained(self, error: BaseException) -> str:
        """Why tasks did not come back, in a sentence."""

    def blames(self, error: BaseException) -> bool:
        """Whether such an error may be the fault of a task that was under way."""


class Here:
    """Threads of this process: at once, and as quick as processes where kernels do the work."""

    can_lose = False

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or min(4, os.cpu_count() or 1)

    @contextmanager
    def configured(self) -> Iterator[None]:
        """Threads; nothing can be lost."""
        with parallel_config(backend="threading", n_jobs=self.workers):
            yield

    def is_sound(self) -> bool:
        """Always."""
        return True

    def explained(self, error: BaseException) -> str:
        """Only time can run out."""
        return "No task has ended for too long."

    def blames(self, error: BaseException) -> bool:
        """A thread that hangs is its task's fault."""
        return True


class Processes:
    """Processes of this machine: each core works for itself, and a crash costs one of them.

    One job at a time has them, the others wait in line.
    """

    can_lose = True
    _line = threading.Lock()

    def __init__(self, workers: int | None = None) -> None:
        # For one alone joblib would do the tasks in this process, and a crash would end it.
        self.workers = max(2, workers or os.cpu_count() or 1)

    @contextmanager
    def configured(self) -> Iterator[None]:
        """Processes with one thread each: more would fight for the cores."""
        with (
            self._line,
            parallel_config(
                backend="loky",
                n_jobs=self.workers,
                inner_max_num_threads=1,
                idle_worker_timeout=_IDLE_WORKER_S,
            ),
        ):
            yield

    def is_sound(self) -> bool:
        """A broken pool says so itself."""
        return True

    def explained(self, error: BaseException) -> str:
        """The pool broke, or went silent."""
        if isinstance(error, NoResultInTime):
            return "Its process gave no result in time: it hangs, or was frozen."
        return "Its process was killed: it crashed, was stopped, or ran out of memory."

    def blames(self, error: BaseException) -> bool:
        """Any task that was under way may have done it."""
        return True


def outcomes(
    function: Callable[..., Any],
    calls: Mapping[str, tuple[Any, ...]],
    place: Place,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    deadline_s: float = DEADLINE_S,
) -> Iterator[Outcome]:
    """Each call's outcome, as it comes; fewer than there are calls only after a cancel.

    Parameters
    ----------
    function : callable
        Importable by name where the tasks are done.
    calls : mapping of str to tuple
        Arguments by key; small, since large data are read where the task is done.
    place : Place
    cancelled : callable
        Asked before each task; True lets those under way finish and sends no more.
    deadline_s : float
        Where no task has ended for so long, those under way are given up and tried again.

    Raises
    ------
    ComputeError
        The place is gone and does not come back.
    """
    left, losses = dict(calls), dict.fromkeys(calls, 0)
    while left and not cancelled():
        fresh = [key for key in left if not losses[key]]
        # Those that were under way when a worker died go one by one: the killer dies alone.
        batch = fresh or [min(left, key=losses.__getitem__)]
        lost = []
        for ended in _round(function, {k: left[k] for k in batch}, place, cancelled, deadline_s):
            if isinstance(ended, Lost):
                lost.append(ended)
            else:
                del left[ended.key]
                yield ended
        for key, reason, blame in lost:
            losses[key] += blame
            log.warning("task %s was lost (%d): %s", key, losses[key], reason)
            if losses[key] >= ATTEMPTS:
                del left[key]
                yield Outcome(key, None, reason, 0.0, "")


def _round(
    function: Callable[..., Any],
    calls: Mapping[str, tuple[Any, ...]],
    place: Place,
    cancelled: Callable[[], bool],
    deadline_s: float,
) -> Iterator[Outcome | Lost]:
    """Run calls once; what was sent and has not come back is yielded as lost."""
    sent: dict[str, None] = {}

    def feed() -> Iterator[Any]:
        for key, arguments in calls.items():
            if cancelled() or not place.is_sound():
                return
            sent[key] = None
            yield delayed(attempted)(function, key, arguments)

    with place.configured():
        # Few tasks wait at a worker: so few are lost with it.
        parallel = Parallel(
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="2 * n_jobs",
            timeout=deadline_s if place.can_lose else None,
        )
        try:
            for ended in parallel(feed()):
                sent.pop(ended.key, None)
                yield ended
        except (BrokenProcessPool, NoResultInTime) as error:
            reason, blame = place.explained(error), int(place.blames(error))
            for key in sent:
                yield Lost(key, reason, blame)


def attempted(function: Callable[..., Any], key: str, arguments: tuple[Any, ...]) -> Outcome | Lost:
    """Do one task, where it is to be done; whatever it raises becomes its reason."""
    begun = time.perf_counter()
    worker = f"{platform.node()}:{os.getpid()}"
    try:
        return Outcome(key, function(*arguments), None, time.perf_counter() - begun, worker)
    except DatabaseError as error:
        return Lost(key, str(error), 1)  # worth another try
    except PlatformError as error:
        reason = str(error)
    except Exception as error:
        log.exception("task %s failed", key)
        reason = f"{type(error).__name__}: {error}"
    return Outcome(key, None, reason, time.perf_counter() - begun, worker)


def gathered(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], place: Place | None = None
) -> list[Any]:
    """The value of each call, in the order of the calls; threads of this process by default.

    Raises
    ------
    ComputeError
        A call failed; the first reason is named.
    """
    by_key = {f"{k:06d}": call for k, call in enumerate(calls)}
    values: dict[str, Any] = {}
    for ended in outcomes(function, by_key, place or Here()):
        if ended.reason is not None:
            raise ComputeError(ended.reason)
        values[ended.key] = ended.value
    return [values[key] for key in by_key]
