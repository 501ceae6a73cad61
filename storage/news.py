"""News of what others have written, for who must not ask: one connection that listens.

Only an engine that tells of writes has news; see `storage.engine.Engine.tells`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from errors import DatabaseError

log = logging.getLogger(__name__)

_LISTEN_S = 60.0
_AGAIN_S = 1.0


class News:
    """Counts what is told of writes, and wakes who waits for the next.

    Parameters
    ----------
    wait_for_change : callable (seen, timeout_s)
        As `database.Database.wait_for_change`.

    Attributes
    ----------
    is_listening : bool
        False while the server is away: what is not told then has to be asked for.
    """

    def __init__(self, wait_for_change: Callable[[int, float], int]) -> None:
        self._wait = wait_for_change
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._wakes: set[Callable[[], object]] = set()
        self._count = 0
        self.is_listening = False
        threading.Thread(target=self._listen, name="database-news", daemon=True).start()

    @property
    def count(self) -> int:
        """Rises with each piece of news, and where some may have been missed."""
        return self._count

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Have ``wake`` called, in another thread, at each piece of news inside the context."""
        with self._lock:
            self._wakes.add(wake)
        try:
            yield
        finally:
            with self._lock:
                self._wakes.discard(wake)

    def close(self) -> None:
        """Hear no more."""
        self._closed.set()
        self._turn(listening=False)

    def _listen(self) -> None:
        seen = -1
        while not self._closed.is_set():
            try:
                version = self._wait(seen, _LISTEN_S)
            except DatabaseError as error:
                if self.is_listening:
                    log.warning("no news until it is back: %s", error)
                self._turn(listening=False)
                self._closed.wait(_AGAIN_S)
                # What was written meanwhile was not told.
                seen = -1
                continue
            if version != seen:
                seen = version
                self._turn(listening=not self._closed.is_set())

    def _turn(self, *, listening: bool) -> None:
        """Something was written, or the line is up or down."""
        self.is_listening = listening
        self._count += 1
        with self._lock:
            wakes = list(self._wakes)
        for wake in wakes:
            wake()
