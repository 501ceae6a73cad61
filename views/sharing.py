"""One computation for all who ask at once: a bounded cache with an age limit."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class _Entry:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    made_at: float = -1.0
    filled: bool = False


class Shared:
    """Values by key; the least recently used go where there are more than ``limit``.

    Parameters
    ----------
    limit : int
        How many values are kept.
    max_age_s : float
        A value older than this is made again; infinity: never.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self,
        limit: int,
        max_age_s: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._max_age_s, self._clock = limit, max_age_s, clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of the key, made by the first who asks while the others wait for it."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
            self._entries.move_to_end(key)
            while len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        with entry.lock:
            fresh = entry.filled and self._clock() - entry.made_at <= self._max_age_s
            if not fresh:
                entry.value = make()
                entry.made_at = self._clock()
                entry.filled = True
            return entry.value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
