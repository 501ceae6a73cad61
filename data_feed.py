"""Feeds of trade prints: the abstract `DataFeed`, and the feeds from files and from REST."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from ticks import Tick

__all__ = ["DataFeed", "Tick", "TickCallback"]

TickCallback = Callable[[Tick], None]


class DataFeed(ABC):
    """A source of ticks: told its symbols and a callback, it calls it with every tick it sees.

    A subclass implements the five methods. It may use ``self._connected``, ``self._count`` and
    ``self._callback`` without having set them: they are False, 0 and None until it does.
    """

    _connected: bool = False
    _count: int = 0
    _callback: TickCallback | None = None

    @abstractmethod
    def connect(self, symbols: Sequence[str]) -> None:
        """Begin to deliver the ticks of these symbols."""

    @abstractmethod
    def disconnect(self) -> None:
        """Stop delivering; harmless when stopped already."""

    @abstractmethod
    def set_callback(self, callback: TickCallback) -> None:
        """Name the function that receives each `Tick`."""

    @abstractmethod
    def is_connected(self) -> bool:
        """Whether ticks can arrive now."""

    @abstractmethod
    def get_stats(self) -> dict[str, Any]:
        """Counters for people, such as how many ticks came."""
