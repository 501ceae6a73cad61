"""What every tab is handed: the settings, the feed's state, and views that sessions share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from database import Database
from runtime import FeedStatus, Runtime
from storage.snapshot import Snapshot
from views.pair import PairOptions
from views.sharing import Shared

View = TypeVar("View")

# Sessions that ask within this time get the same view; its version and age say which.
_SHARED_S = 0.25
_VIEWS = Shared(limit=256, max_age_s=_SHARED_S)
_LASTING = Shared(limit=64)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the sidebar says."""

    symbols: tuple[str, ...]
    pair: PairOptions
    zone: str = "local"
    zone_name: str | None = None

    @property
    def timeframe(self) -> str:
        """Length of the candles shown."""
        return self.pair.timeframe

    @property
    def window(self) -> int:
        """Candles in a rolling window."""
        return self.pair.window


@dataclass
class Context:
    """Made anew for every refresh.

    ``shown`` becomes the view that the page shows, so that the header can state its version.
    """

    runtime: Runtime
    database: Database
    status: FeedStatus
    settings: Settings
    shown: Any = field(default=None)

    @cached_property
    def now_ms(self) -> int:
        """The source's clock, read once a refresh."""
        return self.runtime.now_ms()

    @property
    def colour_blind_safe(self) -> bool:
        """Whether up and down are blue and orange instead of green and red."""
        return self.settings.pair.colour_blind_safe

    def view(self, key: Hashable, make: Callable[[Snapshot], View]) -> View:
        """What a page shows, from one snapshot, shared with the sessions that ask for the same."""

        def fresh() -> View:
            with self.database.snapshot() as snapshot:
                return make(snapshot)

        self.shown = _VIEWS.get((self._file, key), fresh)
        return self.shown

    def lasting(self, key: Hashable, make: Callable[[], View]) -> View:
        """A result that depends on its key alone, kept until others push it out."""
        return _LASTING.get((self._file, key), make)

    @property
    def _file(self) -> tuple[str, int]:
        return (self.database.name, id(self.database))


def forget_views() -> None:
    """Forget what is shared: the data were cleared, or the source is another."""
    _VIEWS.clear()
    _LASTING.clear()
