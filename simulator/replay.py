"""Recordings of real frames, played back on their own clock.

A recording is a file of JSON frames, one a line, gzipped or not; a folder is all recordings in
it, merged by event time. Frames go out byte for byte as they were recorded (their ``data`` alone
on the raw routes).
"""

from __future__ import annotations

import gzip
import heapq
import json
import threading
import time
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from errors import BadInput
from simulator.market import Clock
from simulator.symbols import SymbolSpec
from simulator.tape import Event, Ints, Trades

SAMPLES = Path(__file__).parent / "samples"
"""Recordings that come with the platform, made of the planted market."""

_SUFFIXES = (".ndjson.gz", ".ndjson", ".jsonl.gz", ".jsonl")
_UNPACED_BATCH = 500
_SETTLING_S = 0.3


class Print(NamedTuple):
    """What the replay has to know of a recorded trade."""

    symbol: str
    number: int
    time_ms: int
    event_ms: int
    price: str
    quantity: str
    is_buyer_maker: bool
    first: int
    last: int


class Recording:
    """Recorded frames in order, and the trades in them.

    Parameters
    ----------
    path : path-like
        A file, or a folder of files.

    Raises
    ------
    BadInput
        There is no recording at `path`, or it mixes aggTrade with trade prints.
    """

    def __init__(self, path: str | Path) -> None:
        files = recording_files(Path(path))
        each = [list(_frames(file)) for file in files]
        self.events: list[Event] = list(heapq.merge(*each, key=attrgetter("time_ms")))
        if not self.events:
            raise BadInput(f"The recording {path} holds no frames.")
        kinds = {kind for _, kind in self.streams} & {"aggTrade", "trade"}
        if len(kinds) != 1:
            found = " and ".join(sorted(kinds)) or "neither"
            raise BadInput(
                f"The recording {path} holds {found}; it must hold either aggTrade or trade prints."
            )
        self.kind = kinds.pop()
        self.specs, self._columns = _columns(self.events, self.kind)

    @property
    def streams(self) -> Counter[tuple[str, str]]:
        """Frames by (symbol, kind)."""
        names = (event.stream.partition("@") for event in self.events)
        return Counter((symbol, kind) for symbol, _, kind in names)

    @property
    def begin_ms(self) -> int:
        """Event time of the first frame."""
        return self.events[0].time_ms

    @property
    def end_ms(self) -> int:
        """Event time of the last frame."""
        return self.events[-1].time_ms

    def first_id(self, symbol: str) -> int:
        """Id of the symbol's first trade."""
        return int(self._columns[symbol].id[0])

    def id_at(self, symbol: str, time_ms: int) -> int:
        """Id of the first trade at or after `time_ms`; one past the last where there is none."""
        trades = self._columns[symbol]
        place = int(np.searchsorted(trades.time_ms, time_ms, side="left"))
        return int(trades.id[place]) if place < len(trades) else int(trades.id[-1]) + 1

    def trades(self, symbol: str, from_id: int, to_id: int) -> Trades:
        """Recorded trades with ``from_id <= id < to_id``."""
        trades = self._columns[symbol]
        start, stop = np.searchsorted(trades.id, [from_id, to_id], side="left")
        return trades.part(int(start), int(stop))


class Replay:
    """A recording as a market.

    The clock stands at the first frame until somebody subscribes.

    Parameters
    ----------
    path : path-like, optional
        A file or a folder; the shipped sample by default.
    speed : float or None
        Recorded seconds a second; None plays as fast as the clients take it, and waits while
        nobody is connected.
    """

    def __init__(self, path: str | Path | None = None, speed: float | None = 1.0) -> None:
        self.tape = Recording(SAMPLES if path is None else path)
        self.kind = self.tape.kind
        if speed is not None and not speed > 0:
            raise BadInput(f"The speed of a replay is a number above 0, found {speed!r}.")
        self.speed = speed
        self.unpaced = speed is None
        self.finished = threading.Event()
        """Set when the last frame has been played."""
        self._position = 0
        self._clock: Clock | None = None
        self._asked: tuple[float, frozenset[str]] = (0.0, frozenset())

    def now_ms(self) -> int:
        """The recording's clock, UTC epoch ms."""
        if self.finished.is_set():
            return self.tape.end_ms
        if self._clock is not None:
            return min(self._clock.now_ms(), self.tape.end_ms)
        played = self.tape.events[max(self._position - 1, 0)]
        return played.time_ms

    def progress(self) -> float:
        """Share of the frames that has been played, 0 to 1."""
        return self._position / len(self.tape.events)

    def account(self) -> dict[str, float | int | bool]:
        """How far it is: share of frames, whether it has ended, its clock and the recording's."""
        return {
            "fraction": self.progress(),
            "ended": self.finished.is_set(),
            "at_ms": self.now_ms(),
            "begin_ms": self.tape.begin_ms,
            "end_ms": self.tape.end_ms,
        }

    def mid_prices(self, symbol: str, times_ms: Ints) -> NDArray[np.float64]:
        """The last recorded price at each time; the first one before it."""
        trades = self.tape.trades(symbol, 0, 1 << 62)
        place = np.searchsorted(trades.time_ms, times_ms, side="right") - 1
        return trades.price[np.maximum(place, 0)]

    def due(self, streams: Collection[str]) -> list[Event]:
        """The next frames, whether or not they are on `streams`."""
        events, start = self.tape.events, self._position
        if start >= len(events) or (self._clock is None and not self._settled(streams)):
            return []
        if self.unpaced:
            stop = min(start + _UNPACED_BATCH, len(events))
        else:
            if self._clock is None:
                assert self.speed is not None
                self._clock = Clock(speed=self.speed, start_ms=self.tape.begin_ms)
            now, stop = self._clock.now_ms(), start
            while stop < len(events) and events[stop].time_ms <= now:
                stop += 1
        self._position = stop
        if stop == len(events):
            self.finished.set()
        return events[start:stop]

    def _settled(self, streams: Collection[str]) -> bool:
        """Whether subscriptions came and no more followed for a moment: nobody misses the start."""
        if not streams:
            return False
        asked = frozenset(streams)
        if asked != self._asked[1]:
            self._asked = (time.monotonic(), asked)
        return self._position > 0 or time.monotonic() - self._asked[0] >= _SETTLING_S


def recording_files(path: Path) -> list[Path]:
    """The recordings at `path`: itself, or those in the folder, by name."""
    if path.is_file():
        return [path]
    found = sorted(p for p in path.glob("*") if p.name.endswith(_SUFFIXES))
    if not found:
        raise BadInput(
            f"No recording at {path}: it must be a file of frames or a folder with files ending in "
            f"{', '.join(_SUFFIXES)}."
        )
    return found


def _frames(path: Path) -> Iterator[Event]:
    """Frames of one file; times that step back are kept where they are."""
    latest = 0
    for number, line in enumerate(_lines(path), start=1):
        if not line:
            continue
        try:
            message = json.loads(line)
            event = message.get("data", message)
            latest = max(latest, int(event["E"]))
            stream = message.get("stream") or f"{event['s'].lower()}@{event['e']}"
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise BadInput(f"Line {number} of {path.name} is not a frame: {problem}.") from None
        yield Event(latest, stream, _data_of(line))


def _lines(path: Path) -> list[bytes]:
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if path.name.endswith(".gz") else raw
    except (OSError, EOFError, zlib.error) as problem:
        raise BadInput(f"The recording {path.name} cannot be read: {problem}.") from None
    return [line.strip() for line in text.splitlines()]


def _data_of(line: bytes) -> bytes:
    """The bytes of ``data`` inside the envelope; the line itself where there is none."""
    head, mark, rest = line.partition(b'"data":')
    return rest[:-1] if mark and head.startswith(b'{"stream":') else line


def _columns(events: list[Event], kind: str) -> tuple[dict[str, SymbolSpec], dict[str, Trades]]:
    """Quoting and trades of each symbol, from the frames."""
    prints: dict[str, list[Print]] = {}
    for event in events:
        if event.stream.endswith("@" + kind):
            one = _print(json.loads(event.data))
            prints.setdefault(one.symbol, []).append(one)
    specs = {symbol: _spec(symbol, rows) for symbol, rows in prints.items()}
    return specs, {symbol: _trades(specs[symbol], rows) for symbol, rows in prints.items()}


def _print(event: dict[str, object]) -> Print:
    number = int(str(event.get("a", event.get("t"))))
    return Print(
        symbol=str(event["s"]).lower(),
        number=number,
        time_ms=int(str(event["T"])),
        event_ms=int(str(event["E"])),
        price=str(event["p"]),
        quantity=str(event["q"]),
        is_buyer_maker=bool(event["m"]),
        first=int(str(event.get("f", number))),
        last=int(str(event.get("l", number))),
    )


def _places(texts: Iterator[str]) -> int:
    return max((len(text.partition(".")[2]) for text in texts), default=0)


def _spec(symbol: str, rows: list[Print]) -> SymbolSpec:
    """Tick and step sizes from the decimals that occur."""
    return SymbolSpec(
        symbol,
        price_decimals=_places(row.price for row in rows),
        quantity_decimals=_places(row.quantity for row in rows),
    )


def _units(text: str, decimals: int) -> int:
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(decimals, "0"))


def _trades(spec: SymbolSpec, rows: list[Print]) -> Trades:
    rows = sorted({row.number: row for row in rows}.values(), key=attrgetter("number"))
    return Trades(
        spec=spec,
        id=np.array([row.number for row in rows], dtype=np.int64),
        time_ms=np.array([row.time_ms for row in rows], dtype=np.int64),
        price_ticks=np.array([_units(row.price, spec.price_decimals) for row in rows]),
        quantity_steps=np.array([_units(row.quantity, spec.quantity_decimals) for row in rows]),
        is_buyer_maker=np.array([row.is_buyer_maker for row in rows], dtype=bool),
        first_id=np.array([row.first for row in rows], dtype=np.int64),
        last_id=np.array([row.last for row in rows], dtype=np.int64),
        lag_ms=np.array([row.event_ms - row.time_ms for row in rows], dtype=np.int64),
    )
