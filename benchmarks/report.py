"""The table every benchmark prints, under a line that names the machine and the libraries."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measurement beside its peer's.

    Attributes
    ----------
    what : str
        The work measured.
    ours_ms, peer_ms : float or None
        Median CPU time; None where there is no peer.
    peer : str
        Who the peer is.
    target : float or None
        Ratio peer / ours to reach; None where the target is something else (see `note`).
    same : str
        How far the two answers are apart, measured in the same run.
    reached : bool or None
        Overrides the comparison of the ratio with `target`.
    note : str
        Anything else.
    """

    what: str
    ours_ms: float
    peer: str = "–"
    peer_ms: float | None = None
    target: float | None = None
    same: str = ""
    reached: bool | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the peer's time is ours."""
        return self.peer_ms / self.ours_ms if self.peer_ms else None

    @property
    def ok(self) -> bool:
        """Whether the target was reached; True where there is none."""
        if self.reached is not None:
            return self.reached
        return self.target is None or (self.ratio is not None and self.ratio >= self.target)


def cpu_ms(work: Callable[[], object], repeat: int = 5, inner: int = 1) -> float:
    """Median CPU time in ms of one call of `work`, after one call to warm up.

    `inner` calls are timed together, for work too short for the clock.
    """
    work()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        for _ in range(inner):
            work()
        times.append((time.process_time() - start) / inner)
    return 1000 * statistics.median(times)


def beside(
    ours: Callable[[], object], peer: Callable[[], object], repeat: int = 7
) -> tuple[float, float]:
    """Median CPU times in ms of both, called by turns, so that a busy machine slows them alike."""
    ours()
    peer()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeat):
        for work, spent in zip((ours, peer), times, strict=True):
            start = time.process_time()
            work()
            spent.append(time.process_time() - start)
    return 1000 * statistics.median(times[0]), 1000 * statistics.median(times[1])


def header(libraries: Sequence[str]) -> str:
    """The machine and the versions, one line each."""
    versions = []
    for name in libraries:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n"
        + ", ".join(versions)
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as an aligned table."""
    head = ("what", "ours ms", "peer", "peer ms", "ratio", "target", "same answers", "")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-" * max(len(line) for line in lines), *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "–" if row.ratio is None else f"{row.ratio:,.1f}×"
    target = "–" if row.target is None else f"≥ {row.target:,.1f}×"
    peer_ms = "–" if row.peer_ms is None else _ms(row.peer_ms)
    judged = row.target is not None or row.reached is not None
    verdict = ("reached" if row.ok else "MISSED") if judged else ""
    if row.note:
        verdict = f"{verdict} ({row.note})" if verdict else row.note
    return (row.what, _ms(row.ours_ms), row.peer, peer_ms, ratio, target, row.same, verdict)


def _ms(value: float) -> str:
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
