"""Workers on other machines: a Dask cluster, watched so that what dies or freezes is replaced.

Dask keeps the tasks of a worker that dies, gives them to another, and calls a task the killer that
was on several workers when they died. What is added here: tasks that Dask gives up come back to
joblib as lost, one by one, where joblib alone would wait for them without end; workers that beat
no more are taken off the scheduler; a scheduler that comes back is found again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import Any

from joblib import parallel_config

from computing.runner import Lost
from computing.versions import difference, stamp
from errors import ComputeError, SchedulerUnreachable, VersionsDiffer

log = logging.getLogger(__name__)

CONNECT_S = 5.0
WORKERS_S = 10.0
BACK_S = 60.0
FROZEN_S = 30.0
_LOOK_S = 1.0
_AGAIN_S = 0.2
_WHAT_TO_DO = (
    "Start it with `dask scheduler`, check the address and the firewall between here and there, "
    "or unset DASK_SCHEDULER to compute on this machine."
)


class Cluster:
    """The workers of a Dask scheduler, as a place for tasks; a context manager.

    Parameters
    ----------
    address : str
        ``tcp://host:8786`` or ``tls://host:8786``.
    connect_s : float
        How long the scheduler may take to answer.
    back_s : float
        How long it may be away in the middle of a job.
    frozen_s : float
        A worker that has not beaten for so long is taken off; its tasks go to the others.

    Raises
    ------
    SchedulerUnreachable
        Nothing answers, or there is no worker.
    VersionsDiffer
        Workers have other versions, or not the platform's code.
    ComputeError
        Dask is not installed here.
    """

    can_lose = True

    def __init__(
        self,
        address: str,
        *,
        connect_s: float = CONNECT_S,
        back_s: float = BACK_S,
        frozen_s: float = FROZEN_S,
    ) -> None:
        self.address = address
        self._connect_s, self._back_s, self._frozen_s = connect_s, back_s, frozen_s
        self._client: Any = None
        self._line: Any = None  # the client's connection: another one means that tasks were lost
        self._backend: Any = None
        self._closing = threading.Event()
        self.workers = 0

    def __enter__(self) -> Cluster:
        try:
            self._connect()
        except BaseException:
            self._disconnect()
            raise
        watch = threading.Thread(target=self._watch, name="dask-watch", daemon=True)
        watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._disconnect()

    # -- what a place is asked ---------------------------------------------------------------

    @contextmanager
    def configured(self) -> Iterator[None]:
        """joblib on this cluster; a scheduler that was away is waited for."""
        self._come_back()
        self._backend = _sturdy_backend()(client=self._client)
        with parallel_config(backend=self._backend, n_jobs=-1):
            yield

    def is_sound(self) -> bool:
        """Whether the scheduler is there, and has been since it was connected to."""
        client = self._client
        return (
            client is not None
            and client.status == "running"
            and client.scheduler_comm is self._line
        )

    def explained(self, error: BaseException) -> str:
        """Why tasks did not come back."""
        if not self.is_sound():
            return f"The scheduler at {self.address} went away."
        if not self._worker_info():
            return f"The scheduler at {self.address} has no worker any more."
        return "It gave no result in time: it hangs, or its worker was frozen."

    def blames(self, error: BaseException) -> bool:
        """Tasks are at fault only where scheduler and workers are there."""
        return self.is_sound() and bool(self._worker_info())

    # -- the connection ----------------------------------------------------------------------

    def _connect(self) -> None:
        self._client = _client_of(self.address, self._connect_s)
        deadline = time.monotonic() + WORKERS_S
        while not (found := self._worker_info()):
            if time.monotonic() > deadline:
                raise SchedulerUnreachable(
                    f"The scheduler at {self.address} has no worker: start `dask worker "
                    f"{self.address} --nthreads 1` in the platform's folder on each host."
                )
            time.sleep(0.2)
        self._compare_versions()
        self._line = self._client.scheduler_comm
        self.workers = sum(int(worker["nthreads"]) for worker in found.values())

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with _quiet():
                client.close(timeout=2)

    def _come_back(self) -> None:
        """Wait for a scheduler that went away, and for its workers.

        Raises
        ------
        SchedulerUnreachable
            It does not come back in time.
        """
        if self.is_sound() and self._worker_info():
            return
        log.warning("the scheduler at %s or its workers went away, waiting", self.address)
        deadline = time.monotonic() + self._back_s
        while True:
            self._disconnect()
            try:
                self._connect()
                log.warning("the scheduler at %s is back", self.address)
                return
            except SchedulerUnreachable as error:
                if time.monotonic() > deadline:
                    raise SchedulerUnreachable(
                        f"The scheduler at {self.address} or its workers went away and did not "
                        f"come back within {self._back_s:g} s."
                    ) from error
                time.sleep(0.5)

    def _worker_info(self) -> Mapping[str, Any]:
        client = self._client
        if client is None or client.status != "running":
            return {}
        try:
            return dict(client.scheduler_info(n_workers=-1)["workers"])
        except (OSError, TimeoutError) as error:
            log.warning("the scheduler at %s did not say who works: %s", self.address, error)
            return {}

    def _compare_versions(self) -> None:
        """Refuse workers that may give other results than this process would."""
        with _quiet():
            answers = self._client.sync(self._stamps, list(self._worker_info()))
        for worker, theirs in answers.items():
            if isinstance(theirs, BaseException):
                raise VersionsDiffer(
                    f"The worker {worker} cannot load the platform's code ({theirs}). Start it in "
                    "the platform's folder with PYTHONPATH set to that folder."
                )
            if found := difference(stamp(), theirs):
                raise VersionsDiffer(
                    f"The worker {worker} has other versions: {found}. Its results could differ, "
                    "so nothing was started; install the same on every host."
                )

    async def _stamps(self, workers: list[str]) -> dict[str, Any]:
        """What each worker says of itself, or why it could not.

        They are asked one by one: a frozen worker never answers, and what the others say counts.
        """
        asked = [
            asyncio.ensure_future(self._client.run(stamp, workers=[worker], on_error="return"))
            for worker in workers
        ]
        answers: dict[str, Any] = {}
        if asked:
            answered, silent = await asyncio.wait(asked, timeout=self._connect_s)
            for one in answered:
                answers |= one.result()
            for one in silent:
                one.cancel()
        return answers

    # -- the watch ---------------------------------------------------------------------------

    def _watch(self) -> None:
        """Take workers off the scheduler that have not beaten for too long."""
        seen: dict[str, tuple[float, float]] = {}
        while not self._closing.wait(_LOOK_S):
            try:
                if self.is_sound():
                    self._look(seen)
                elif self._backend is not None:
                    self._backend.give_up(f"The scheduler at {self.address} went away.")
            except Exception:
                log.exception("watching the workers failed")

    def _look(self, seen: dict[str, tuple[float, float]]) -> None:
        now = time.monotonic()
        client = self._client
        for worker, info in self._worker_info().items():
            beat, since = seen.get(worker, (-1.0, now))
            if info["last_seen"] != beat:
                seen[worker] = (info["last_seen"], now)
            elif now - since > self._frozen_s and client is not None:
                log.warning("worker %s has not beaten for %.0f s: taken off", worker, now - since)
                seen.pop(worker)
                client.sync(
                    client.scheduler.unregister, address=worker, stimulus_id="frozen-worker"
                )


def _client_of(address: str, connect_s: float) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise ComputeError(
            f"DASK_SCHEDULER is set, but Dask is not installed here ({error}): "
            "pip install dask distributed."
        ) from error
    try:
        with _quiet():
            return Client(address, timeout=connect_s, set_as_default=False, name="platform")
    except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
        # The last two: certificates are missing, or demanded and not used by the address.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SchedulerUnreachable(
            f"No Dask scheduler answered at {address} within {connect_s:g} s ({reason}). "
            f"{_WHAT_TO_DO}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own account of a lost connection, pages of it, is not wanted: ours is a sentence."""
    logs = [logging.getLogger(f"distributed.{name}") for name in ("client", "comm", "core")]
    levels = [one.level for one in logs]
    for one in logs:
        one.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for one, level in zip(logs, levels, strict=True):
            one.setLevel(level)


@cache
def _sturdy_backend() -> type[Any]:
    """joblib's Dask backend, which also tells of tasks that did not end in a result.

    Made when needed: importing Dask takes a second, and it need not be installed.
    """
    from distributed import as_completed
    from joblib._dask import DaskDistributedBackend

    class Ended(as_completed):
        """Tasks as they end, each of them.

        Where a worker dies between the end of a task and the fetching of its value, the task is
        done again; if that fails the fetching raises, and Dask's own would tell of the task never.
        """

        async def _track_future(self, future: Any) -> None:
            while True:
                try:
                    await super()._track_future(future)
                    return
                except Exception as error:  # noqa: BLE001  # whatever a task may raise
                    if future not in self.futures:  # nobody waits for it any more
                        return
                    log.warning("the value of a task could not be fetched, again: %r", error)
                    await asyncio.sleep(_AGAIN_S)

    class SturdyBackend(DaskDistributedBackend):
        """Gives `Lost` where a worker was killed or the scheduler went away."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.waiting_futures = Ended(
                loop=self.client.loop, with_results=True, raise_errors=False
            )
            self._waiting: dict[str, Callable[[Any], None]] = {}

        def effective_n_jobs(self, n_jobs: int) -> int:
            """Cores of the cluster; of one alone joblib would do the tasks in this process."""
            return max(2, super().effective_n_jobs(n_jobs))

        def submit(self, func: Any, callback: Any = None) -> Any:
            """Send one task; whatever becomes of it, ``callback`` is called."""
            (_, arguments, _), *_ = func.items
            key = arguments[1]

            def told(out: Any) -> None:
                if self._waiting.pop(key, None) is not None:
                    callback([_lost(key, out)] if isinstance(out, BaseException) else out)

            def ended(future: Any) -> None:
                if (error := future.exception()) is not None:
                    told(error)

            self._waiting[key] = told
            future = super().submit(func, told)
            future.add_done_callback(ended)
            return future

        def give_up(self, reason: str) -> None:
            """Have every task that is waited for come back as lost."""
            for told in list(self._waiting.values()):
                told(ConnectionError(reason))

    return SturdyBackend


def _lost(key: str, error: BaseException) -> Lost:
    if type(error).__name__ == "KilledWorker":
        # Dask has tried it on four workers by then.
        return Lost(key, "Its workers were killed: it crashed them, or memory ran out.", 2)
    said = str(error).splitlines()
    return Lost(key, said[0] if said else f"It did not come back ({type(error).__name__}).", 0)
