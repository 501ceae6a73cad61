"""What pages follow: the parts of a view, made once for every session that shows the same.

A page that is drawn asks for a `Feed` by what it shows. Its browser then asks the feed for what
changed since the message it has, and no run of the page is needed for that; only where the page
is to be built differently, its *structure* changes and the browser asks for a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from errors import PlatformError
from live.payload import Packed, changes, pack, shared, whole

_KEPT = 16
# A browser in the background asks once a minute.
_IDLE_S = 150.0
# What is written together in several transactions is shown together.
_SETTLE_S = 0.05


@dataclass(frozen=True, slots=True)
class Made:
    """One making of what is shown.

    Attributes
    ----------
    view : object
        The view itself, for what the page draws beside the parts.
    parts : mapping of key to dict
        The parts that follow the data.
    structure : pair of hashable
        All that the page draws besides, around the tab and in it: where it changes the page is
        run again.
    """

    view: Any
    parts: Mapping[str, dict[str, Any]]
    structure: tuple[Hashable, Hashable]


class News(Protocol):
    """What tells of writes to the data; see `storage.news.News`."""

    is_listening: bool

    @property
    def count(self) -> int:
        """Rises with each piece of news."""

    def waking(self, wake: Callable[[], object]) -> AbstractContextManager[None]:
        """Have ``wake`` called at each piece of news inside the context."""


def name_of(structure: Hashable) -> str:
    """A structure as it travels."""
    return hashlib.sha256(repr(structure).encode()).hexdigest()[:16]


@dataclass(slots=True)
class Message:
    """A making with its number in the feed, packed; sessions share the bytes made of it.

    ``heard`` is how much news there had been before it was made.
    """

    seq: int
    made: Made
    parts: dict[str, Packed]
    structure: str
    made_at: float
    heard: int = 0
    _bytes: dict[Any, bytes] = field(default_factory=dict)

    def part(self, feed: str, key: str) -> bytes:
        """One part, whole, as the page's own run hands it to the browser."""
        if key not in self._bytes:
            head = {"feed": feed, "seq": self.seq, "structure": self.structure}
            self._bytes[key] = whole(head, {key: self.parts[key]})
        return self._bytes[key]

    def since(self, feed: str, before: Message | None) -> bytes:
        """All parts, as changes where the browser has the message before."""
        have = 0 if before is None else before.seq
        if have not in self._bytes:
            head = {"feed": feed, "seq": self.seq, "from": have, "structure": self.structure}
            self._bytes[have] = (
                whole(head, self.parts)
                if before is None
                else changes(head, self.parts, before.parts)
            )
        return self._bytes[have]


class Feed:
    """The messages of one view, made when somebody asks, at most one in ``fresh_s``.

    Parameters
    ----------
    make : callable
        Reads the data and makes the parts; called by one thread at a time.
    fresh_s : float
        Who asks within this time of a making gets the same message, or the same error.
    clock : callable
        Seconds, monotonic.
    news : News, optional
        What tells of writes: a browser that has everything may then be kept waiting.
    hold_s : float
        For how long.
    """

    def __init__(
        self,
        make: Callable[[], Made],
        fresh_s: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        news: News | None = None,
        hold_s: float = 0.0,
    ) -> None:
        self.token = secrets.token_urlsafe(18)
        self._news, self._hold_s = news, hold_s
        self._make, self._fresh_s, self._clock = make, fresh_s, clock
        self._messages: OrderedDict[int, Message] = OrderedDict()
        self._newest: Message | None = None
        self._failure: tuple[PlatformError, float] | None = None
        self._making = threading.Lock()
        self._asked_at = clock()

    def at_hand(self) -> Message | None:
        """The newest message while it is fresh."""
        newest = self._newest
        self._asked_at = self._clock()
        fresh = newest is not None and self._clock() - newest.made_at <= self._fresh_s
        return newest if fresh else None

    def has_nothing_new(self, have: int) -> bool:
        """Whether a browser has the newest message, and nothing was written since its making.

        False where nobody tells of writes, or the line to who does is cut: then it is not known.
        """
        news, newest = self._news, self._newest
        if news is None or newest is None or newest.seq != have:
            return False
        # In this order: what is told of in between counts as heard of.
        return newest.heard == news.count and news.is_listening

    async def until_news(self, have: int) -> None:
        """Wait until there is something new for a browser, ``hold_s`` at most; asks nobody."""
        news, told = self._news, asyncio.Event()
        if news is None or not self.has_nothing_new(have):
            return
        loop = asyncio.get_running_loop()
        with news.waking(lambda: loop.call_soon_threadsafe(told.set)):
            if not self.has_nothing_new(have):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._hold_s):
                    await told.wait()
                    # All who were woken share one making; the last may be too young for another.
                    await asyncio.sleep(self._pause_s())

    def _pause_s(self) -> float:
        newest = self._newest
        if newest is None:
            return _SETTLE_S
        return max(_SETTLE_S, newest.made_at + self._fresh_s - self._clock() + _SETTLE_S / 10)

    @property
    def idle_s(self) -> float:
        """For how long nobody has asked."""
        return self._clock() - self._asked_at

    def latest(self) -> Message:
        """The newest message, made now where there is no fresh one; others wait for it.

        Raises
        ------
        PlatformError
            As the making does, or did just now: a database that takes long to fail is not asked
            again by each of those who waited.
        """
        message = self.at_hand()
        if message is not None:
            return message
        with self._making:
            message = self.at_hand()
            if message is not None:
                return message
            if self._failure is not None and self._clock() - self._failure[1] <= self._fresh_s:
                raise _again(self._failure[0])
            try:
                message = self._next()
            except PlatformError as error:
                self._failure = (_again(error), self._clock())
                raise
            self._failure = None
            return message

    def answer(self, message: Message, have: int) -> bytes:
        """The message for a browser that has number ``have``, 0 for none."""
        return message.since(self.token, self._messages.get(have))

    def _next(self) -> Message:
        heard = 0 if self._news is None else self._news.count
        made, before = self._make(), self._newest
        had = {} if before is None else before.parts
        parts = {key: shared(pack(part), had.get(key)) for key, part in made.parts.items()}
        seq = 1 if before is None else before.seq + 1
        message = Message(seq, made, parts, name_of(made.structure), self._clock(), heard)
        kept = OrderedDict(list(self._messages.items())[1 - _KEPT :])
        kept[seq] = message
        if before is not None:
            # Who is behind needs its columns, not the view they were made of, nor its messages.
            kept[before.seq] = Message(
                before.seq, Made(None, {}, ((), ())), before.parts, before.structure, before.made_at
            )
        self._messages, self._newest = kept, message
        return message


def _again(error: PlatformError) -> PlatformError:
    """The same error without a traceback: that grows, and keeps what was read, at each raising."""
    same = type(error).__new__(type(error), *error.args)
    same.__dict__.update(error.__dict__)
    return same


class Feeds:
    """Feeds by what they show; those go that nobody asks for, and the least recent beyond a limit.

    A feed that went is unknown to the browsers that followed it; their pages then run again and
    follow a new one.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._by_shown: OrderedDict[Hashable, Feed] = OrderedDict()
        self._by_token: dict[str, Hashable] = {}
        self._lock = threading.Lock()

    def follow(
        self,
        shown: Hashable,
        make: Callable[[], Made],
        fresh_s: float,
        *,
        news: News | None = None,
        hold_s: float = 0.0,
    ) -> Feed:
        """The feed of what is shown, begun where nobody follows it yet; see `Feed`."""
        with self._lock:
            feed = self._by_shown.get(shown)
            if feed is None:
                feed = Feed(make, fresh_s, self._clock, news=news, hold_s=hold_s)
                self._by_shown[shown] = feed
                self._by_token[feed.token] = shown
            self._by_shown.move_to_end(shown)
            self._prune()
            return feed

    def _prune(self) -> None:
        """From the least recent on: those idle, and those too many."""
        while self._by_shown:
            oldest, feed = next(iter(self._by_shown.items()))
            if len(self._by_shown) <= self._limit and feed.idle_s <= _IDLE_S:
                return
            del self._by_shown[oldest], self._by_token[feed.token]

    def find(self, token: str) -> Feed | None:
        """The feed a browser names; None where it is not, or no longer, known."""
        with self._lock:
            shown = self._by_token.get(token)
            if shown is None:
                return None
            self._by_shown.move_to_end(shown)
            return self._by_shown[shown]

    def clear(self) -> None:
        """Forget every feed."""
        with self._lock:
            self._by_shown.clear()
            self._by_token.clear()


FEEDS = Feeds(limit=128)
