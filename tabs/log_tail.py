"""The newest lines of the log, kept in memory for the Health page."""

from __future__ import annotations

import logging
from collections import deque

_KEPT = 500


class _Tail(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=_KEPT)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


_tail = _Tail()


def keep() -> None:
    """Begin to keep what is logged; harmless when begun already."""
    root = logging.getLogger()
    if _tail not in root.handlers:
        root.addHandler(_tail)
        for name in ("runtime", "collector", "supervision", "database", "repair", "tabs", "views"):
            logging.getLogger(name).setLevel(logging.INFO)


def recent_lines(count: int) -> list[str]:
    """The newest lines, the latest last."""
    return list(_tail.lines)[-count:]
