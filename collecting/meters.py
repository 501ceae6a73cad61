"""Figures of a running feed: how late trades come, and how many a second."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Any

from collecting.supervision import percentile

LAG_EDGES_MS = (0, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
_SAMPLES = 1024
_A_CHUNK = 8


class LagMeter:
    """Receive time minus the exchange's event time; negative where the clocks differ.

    Of trades that arrived together a few stand for all.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_SAMPLES)
        self._counts = [0] * (len(LAG_EDGES_MS) + 1)
        self._lock = threading.Lock()

    def note(self, now_ms: int, event_ms: Sequence[int]) -> None:
        """Trades sent at ``event_ms`` arrived now."""
        if not event_ms:
            return
        step = -(-len(event_ms) // _A_CHUNK)
        with self._lock:
            for sent_ms in event_ms[::step]:
                self._recent.append(now_ms - sent_ms)
                self._counts[bisect_right(LAG_EDGES_MS, now_ms - sent_ms)] += 1

    def summary(self) -> dict[str, Any]:
        """Percentiles of the recent past, and a histogram since the start.

        Returns
        -------
        dict
            p50, p95 (None before the first trade), ``edges_ms`` and one more of ``counts`` than
            edges: below the first, between each two, above the last.
        """
        with self._lock:
            recent, counts = list(self._recent), list(self._counts)
        return {
            "p50": percentile(recent, 0.50),
            "p95": percentile(recent, 0.95),
            "edges_ms": list(LAG_EDGES_MS),
            "counts": counts,
        }


class RateMeter:
    """How fast a counter rises, over the last seconds."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._points: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, count: int) -> None:
        """The counter's value now."""
        self._points.append((now_s, count))
        while len(self._points) > 2 and now_s - self._points[1][0] >= self._window_s:
            self._points.popleft()

    def per_s(self) -> float:
        """Its rate; 0 before two values are known."""
        points = list(self._points)
        if len(points) < 2 or points[-1][0] <= points[0][0]:
            return 0.0
        return (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])
