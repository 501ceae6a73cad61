"""One computation for all who ask at once: a bounded cache with an age limit."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

# Every cache there is: what was made of one market is never shown as another's.
_ALL: weakref.WeakSet[Shared | Beside] = weakref.WeakSet()


def forget_all() -> None:
    """Empty every cache of this module's kinds: the market is another, or its data were deleted."""
    for cache in list(_ALL):
        cache.clear()


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
        _ALL.add(self)

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


@dataclass(slots=True)
class _Family:
    key: Hashable = None
    value: Any = None
    pending: Hashable = None


class Beside:
    """Values made in a thread beside, so that no page waits for one.

    Until the value asked for is there, the newest of its family is shown; what is shown has to
    say for itself what it is of.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._families: OrderedDict[Hashable, _Family] = OrderedDict()
        self._lock = threading.Lock()
        _ALL.add(self)

    def get(self, family: Hashable, key: Hashable, make: Callable[[], Any]) -> Any | None:
        """The family's newest value; where that is not of this key, one is begun to be made."""
        with self._lock:
            entry = self._families.setdefault(family, _Family())
            self._families.move_to_end(family)
            while len(self._families) > self._limit:
                self._families.popitem(last=False)
            if entry.key != key and entry.pending is None:
                entry.pending = key
                work = threading.Thread(
                    target=self._make, args=(entry, key, make), name="beside", daemon=True
                )
                work.start()
            return entry.value

    def clear(self) -> None:
        """Forget everything; what is being made now is not kept either."""
        with self._lock:
            self._families.clear()

    def _make(self, entry: _Family, key: Hashable, make: Callable[[], Any]) -> None:
        try:
            value = make()
        except Exception:
            log.exception("what was to be made beside failed")
            value = entry.value
        with self._lock:
            entry.key, entry.value, entry.pending = key, value, None
