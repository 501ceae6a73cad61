"""What every tab is handed: the settings, the feed's state, and views that sessions share."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from config import Config
from database import Database
from live.feed import FEEDS, Feed, Made, Message
from live.host import live_cards, live_chart
from runtime import FeedStatus, Runtime
from storage.snapshot import Snapshot
from tabs import page_parts
from views.pair import PairOptions
from views.sharing import Shared, forget_all

View = TypeVar("View")

# Sessions that ask within this time get the same view; its version and age say which.
_SHARED_S = 0.25
_VIEWS = Shared(limit=256, max_age_s=_SHARED_S)
_LASTING = Shared(limit=64)
# Makings of a followed view in an interval, however many sessions follow it.
_SHARES = 4
# A browser gives up on an answer after five seconds.
_LONGEST_HOLD_S = 3.0


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


@dataclass(frozen=True, slots=True)
class Live:
    """What a tab follows: its feed, and the feed's message that this run of the page shows."""

    feed: Feed
    message: Message

    def chart(self, key: str, *, on_earlier: Callable[[], None] | None = None) -> None:
        """Put a chart of the feed here."""
        live_chart(self.feed, self.message, key, on_earlier=on_earlier)

    def cards(self, key: str) -> None:
        """Put a row of cards of the feed here."""
        live_cards(self.feed, self.message, key)


@dataclass
class Context:
    """Made anew for every refresh.

    ``shown`` becomes the view that the page shows, so that the header can state its version, and
    ``of_a_result`` whether that is what came of something asked for, which is not renewed; ``live``
    what its tab follows, where it follows something.
    """

    runtime: Runtime
    database: Database
    status: FeedStatus
    settings: Settings
    shown: Any = field(default=None)
    of_a_result: bool = field(default=False)
    live: Live | None = field(default=None)

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

    def follow(
        self,
        key: Hashable,
        read: Callable[[Snapshot, int], View],
        parts: Callable[[View], dict[str, dict[str, Any]]],
        structure: Callable[[View], Hashable],
    ) -> tuple[View, Live]:
        """What a page shows and goes on showing without being run again.

        Parameters
        ----------
        key : hashable
            All that the view depends on besides the data; sessions with the same key share it.
        read : callable
            Makes the view of a snapshot and the source's time; is called again for every refresh
            and may use nothing of this session but what is in ``key``.
        parts : callable
            The parts of the page that follow the data, each by its key.
        structure : callable
            Everything else that the tab draws of the view; the page is run where it changes.
        """
        runtime, database, zone_name = self.runtime, self.database, self.settings.zone_name

        def make() -> Made:
            status, now_ms = runtime.status(), runtime.now_ms()
            with database.snapshot() as snapshot:
                view = read(snapshot, now_ms)
                frame = page_parts.read(database, snapshot, status, now_ms, view, zone_name)
            return Made(view, parts(view) | frame.parts, (frame.structure, structure(view)))

        shown = (self._file, self.status.source, zone_name, key)
        interval_s = Config.REFRESH_INTERVAL / 1000
        feed = FEEDS.follow(
            shown, make, interval_s / _SHARES, news=database.news,
            hold_s=min(interval_s / 2, _LONGEST_HOLD_S),
        )  # fmt: skip
        message = feed.latest()
        self.shown, self.live = message.made.view, Live(feed, message)
        return self.shown, self.live

    def show_result(self, view: Any) -> None:
        """State the version and the data of what came of something asked for."""
        self.shown, self.of_a_result = view, True

    def lasting(self, key: Hashable, make: Callable[[], View]) -> View:
        """A result that depends on its key alone, kept until others push it out."""
        return _LASTING.get((self._file, key), make)

    @property
    def _file(self) -> tuple[str, int]:
        return (self.database.name, id(self.database))


def forget_views() -> None:
    """Forget what is shared: the data were cleared, or the source is another."""
    forget_all()
    FEEDS.clear()
