"""Feeds of trade prints: the abstract `DataFeed`, and the feeds from files and from REST."""

from __future__ import annotations

import email.utils
import logging
import os
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from errors import BadInput, MalformedMessage
from interchange.source import open_text
from interchange.tables import RefusedRow, parse_number, parse_time_ms, symbol_of_name
from interchange.tick_reader import TickReader
from ticks import Tick, clean_symbols, refusal

__all__ = ["CSVDataFeed", "DataFeed", "RESTDataFeed", "Tick", "TickCallback"]

log = logging.getLogger(__name__)

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


class _Played(DataFeed):
    """What the feeds below share: a callback, a stop event and a thread of their own."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def set_callback(self, callback: TickCallback) -> None:
        """Name the function that receives each `Tick`."""
        self._callback = callback

    def is_connected(self) -> bool:
        """Whether ticks can arrive now."""
        return self._connected

    def disconnect(self) -> None:
        """Stop delivering; harmless when stopped already, and allowed from the callback."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2)
        self._connected = False

    def _begin(self, symbols: Sequence[str] | str) -> tuple[list[str], TickCallback]:
        if self._callback is None:
            raise BadInput("No callback is set; call set_callback before connect.")
        if self._connected:
            raise BadInput("The feed is connected already; call disconnect first.")
        wanted = clean_symbols(symbols)
        self._stop = threading.Event()
        self._count = 0
        return wanted, self._callback

    def _in_thread(self, work: Callable[[], None], name: str) -> None:
        def top() -> None:
            try:
                work()
            except Exception:
                # The callback is the user's own; what it raises must not vanish with the thread.
                log.exception("%s stopped", name)
            finally:
                self._connected = False

        self._thread = threading.Thread(target=top, name=name, daemon=True)
        self._thread.start()


class CSVDataFeed(_Played):
    """Plays a file of prints: CSV, NDJSON or Binance's archive; plain, gzipped or zipped.

    The file is read as it is played, never whole. Rows that cannot be used are counted by reason
    with their first line numbers, and do not stop the rest.

    Parameters
    ----------
    path : path
        With a header, columns ``symbol, timestamp, price, size`` under their usual names;
        without, in that order, or as in Binance's archive of aggTrades or trades. Of an archive
        the file's name tells the symbol; where it does not, the only symbol connected is it.
    speed : float or None
        How many times faster than the prints' own clock; None plays as fast as it can.

    Raises
    ------
    BadInput
        ``speed`` is not positive.
    """

    def __init__(self, path: str | os.PathLike[str], speed: float | None = None) -> None:
        super().__init__()
        if speed is not None and not 0 < speed < float("inf"):
            raise BadInput(f"The speed is {speed!r}; a positive number or None is allowed.")
        self.path, self.speed = path, speed
        self._reader: TickReader | None = None

    def connect(self, symbols: Sequence[str]) -> None:
        """Play the prints of these symbols to the callback.

        Without a speed the call returns when the file has been played; with one it returns at
        once and a thread plays.

        Raises
        ------
        BadInput
            No callback, or a file that cannot be used.
        """
        wanted, callback = self._begin(symbols)
        # Opened here in either case, so that whoever connects hears what is wrong with the file.
        prints = self._prints(wanted)
        first = next(prints, None)
        self._connected = True

        def play() -> None:
            try:
                if first is not None:
                    self._play(first, prints, callback)
            finally:
                prints.close()  # type: ignore[attr-defined]
                self._connected = False

        if self.speed is None:
            play()
        else:
            self._in_thread(play, "csv-feed")

    def _prints(self, wanted: list[str]) -> Iterator[Tick]:
        with open_text(self.path) as opened:
            # A file that does not say is taken to be of the one symbol asked for.
            only = wanted[0] if len(wanted) == 1 else None
            reader = self._reader = TickReader(opened, symbol_of_name(opened.name) or only)
            for _, tick in reader:
                if tick.symbol in wanted:
                    yield tick

    def _play(self, first: Tick, prints: Iterator[Tick], callback: TickCallback) -> None:
        begun, first_ms = time.monotonic(), first.time_ms
        tick: Tick | None = first
        while tick is not None and not self._stop.is_set():
            if self.speed is not None:
                due = begun + (tick.time_ms - first_ms) / 1000 / self.speed
                wait = due - time.monotonic()
                if wait > 0 and self._stop.wait(wait):
                    return
            self._count += 1
            callback(tick)
            tick = next(prints, None)

    def get_stats(self) -> dict[str, Any]:
        """``ticks`` delivered, ``rows`` read, ``refused`` by reason, their ``first_lines``."""
        reader = self._reader
        refusals = reader.refusals.listed() if reader else ()
        return {
            "connected": self._connected,
            "ticks": self._count,
            "rows": reader.rows if reader else 0,
            "refused": {r.reason: r.count for r in refusals},
            "first_lines": {r.reason: list(r.first_lines) for r in refusals},
        }


class RESTDataFeed(_Played):
    """Asks ``GET {base_url}/{symbol}`` for the last price, over and over.

    The answer is an object with ``price``, ``size`` or ``volume``, and ``timestamp`` (ISO-8601,
    or a number of seconds or milliseconds). An answer that says nothing new is no tick. When the
    source fails, the pause doubles from one poll interval to a minute, with jitter, or is what
    its Retry-After asks for.

    Parameters
    ----------
    base_url : str
        An http:// or https:// address.
    poll_interval : float
        Seconds from the beginning of one round of questions to the next.

    Raises
    ------
    BadInput
        The address or the interval cannot be used.
    """

    _TIMEOUT_S = (3.05, 10.0)
    _LONGEST_PAUSE_S = 60.0

    def __init__(self, base_url: str, poll_interval: float = 1.0) -> None:
        super().__init__()
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"{base_url!r} is not an http:// or https:// address.")
        if not 0 < poll_interval < float("inf"):
            raise BadInput(f"poll_interval is {poll_interval!r}; a positive number is allowed.")
        self.base_url, self.poll_interval = base_url.rstrip("/"), poll_interval
        self._last: dict[str, tuple[int, set[tuple[float, float]]]] = {}
        self._failures, self._in_a_row = Counter[str](), 0
        self._repeats = 0

    def connect(self, symbols: Sequence[str]) -> None:
        """Begin to ask, in a thread; returns at once.

        Raises
        ------
        BadInput
            No callback, or a symbol that cannot be one.
        """
        wanted, callback = self._begin(symbols)
        self._in_a_row = 0
        self._in_thread(lambda: self._poll(wanted, callback), "rest-feed")

    def _poll(self, symbols: list[str], callback: TickCallback) -> None:
        stop = self._stop
        pauses = _pauses(self.poll_interval, self._LONGEST_PAUSE_S)
        with requests.Session() as session:
            while not stop.is_set():
                begun = time.monotonic()
                answered, asked_to_wait_s = self._round(session, symbols, callback, stop)
                self._connected = answered and not stop.is_set()
                if answered:
                    self._in_a_row = 0
                    pauses = _pauses(self.poll_interval, self._LONGEST_PAUSE_S)
                    wait = self.poll_interval - (time.monotonic() - begun)
                else:
                    self._in_a_row += 1
                    wait = next(pauses)
                stop.wait(max(0.0, wait, asked_to_wait_s))

    def _round(
        self,
        session: requests.Session,
        symbols: list[str],
        callback: TickCallback,
        stop: threading.Event,
    ) -> tuple[bool, float]:
        """Ask for each symbol once.

        Returns whether any was answered, and the seconds that the source asks to be left alone.
        """
        answered = False
        for symbol in symbols:
            if stop.is_set():
                break
            try:
                answer = session.get(f"{self.base_url}/{quote(symbol)}", timeout=self._TIMEOUT_S)
                answer.raise_for_status()
                tick = _tick_of(symbol, answer.json())
            except requests.RequestException as problem:
                self._failures[_in_words(problem)] += 1
                log.warning("REST feed: %s: %s", symbol, problem)
                response = problem.response
                if response is not None and response.status_code == 404:
                    # This symbol is not there; the others may be.
                    continue
                return answered, _retry_after_s(response)
            except MalformedMessage as problem:
                self._failures[str(problem)] += 1
                answered = True
                continue
            answered = True
            if stop.is_set():
                break
            self._connected = True
            if self._is_new(tick):
                self._count += 1
                callback(tick)
            else:
                self._repeats += 1
        return answered, 0.0

    def _is_new(self, tick: Tick) -> bool:
        """Later than the last of its symbol, or as late and different."""
        print_ = (tick.price, tick.size)
        last_ms, prints = self._last.get(tick.symbol, (0, set()))
        if tick.time_ms < last_ms or (tick.time_ms == last_ms and print_ in prints):
            return False
        self._last[tick.symbol] = (
            tick.time_ms,
            {print_} if tick.time_ms > last_ms else prints | {print_},
        )
        return True

    def get_stats(self) -> dict[str, Any]:
        """``ticks`` delivered, ``repeats`` left out, ``failures`` by reason and ``in_a_row``."""
        return {
            "connected": self._connected,
            "ticks": self._count,
            "repeats": self._repeats,
            "failures": dict(self._failures),
            "in_a_row": self._in_a_row,
        }


def _pauses(first_s: float, longest_s: float) -> Iterator[float]:
    """Seconds to wait after the first, second, … failure: doubling, with jitter, capped."""
    pause = first_s
    while True:
        yield min(pause, longest_s) * random.uniform(0.75, 1.25)
        pause = min(pause * 2, longest_s)


def _tick_of(symbol: str, answer: Any) -> Tick:
    """The tick that an answer tells of; raises `MalformedMessage` where it tells of none."""
    if not isinstance(answer, dict):
        raise MalformedMessage("the answer is not an object")
    size = answer.get("size", answer.get("volume"))
    try:
        time_ms = parse_time_ms(answer.get("timestamp"))
        price, size = parse_number(answer.get("price"), "price"), parse_number(size, "size")
    except RefusedRow as reason:
        raise MalformedMessage(str(reason)) from None
    problem = refusal(symbol, time_ms, price, size)
    if problem is not None:
        raise MalformedMessage(problem)
    return Tick(symbol, time_ms, price, size)


def _in_words(problem: requests.RequestException) -> str:
    if problem.response is not None and not problem.response.ok:
        return f"HTTP {problem.response.status_code}"
    if isinstance(problem, requests.exceptions.JSONDecodeError):
        return "the answer is not JSON"
    if isinstance(problem, requests.Timeout):
        return "no answer in time"
    return "no connection"


def _retry_after_s(response: requests.Response | None) -> float:
    """What Retry-After asks for, as a number of seconds or as a date; 0 where it does not."""
    text = response.headers.get("Retry-After", "") if response is not None else ""
    try:
        return min(3600.0, max(0.0, float(text)))
    except ValueError:
        pass
    try:
        return min(
            3600.0, max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
        )
    except (ValueError, TypeError):
        return 0.0
