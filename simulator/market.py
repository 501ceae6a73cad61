"""The planted market behind a clock: what happens now, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from simulator import wire
from simulator.prices import PlantedTape
from simulator.tape import Event, Ints

DELIVERY_MS = 45
"""How long after a trade its event is sent: never before the event's own time."""

_LONGEST_PAUSE_MS = 30_000
"""After a longer pause (the machine slept) what happened meanwhile is not told, as in life."""


def real_time_ms() -> float:
    """The machine's clock, UTC epoch ms."""
    return time.time() * 1000.0


class Clock:
    """A clock that may run faster than the one it reads.

    Parameters
    ----------
    now : callable, optional
        Returns UTC epoch ms; the machine's clock by default.
    speed : float
        Market seconds a second.
    start_ms : float, optional
        What it shows first; `now()` by default.
    """

    def __init__(
        self,
        now: Callable[[], float] = real_time_ms,
        speed: float = 1.0,
        start_ms: float | None = None,
    ) -> None:
        if not speed > 0:
            raise ValueError(f"The speed of a clock is a number above 0, found {speed!r}.")
        self._now, self.speed = now, speed
        self._began = now()
        self._start_ms = self._began if start_ms is None else start_ms

    def now_ms(self) -> int:
        """UTC epoch ms of the market."""
        return int(self._start_ms + (self._now() - self._began) * self.speed)


class PlantedMarket:
    """The demo market.

    Parameters
    ----------
    tape : PlantedTape, optional
        What is traded; the shipped market by default.
    clock : Clock, optional
        The exchange's clock; real time by default.
    """

    kind = "both"

    def __init__(self, tape: PlantedTape | None = None, clock: Clock | None = None) -> None:
        self.tape = tape or PlantedTape()
        self.clock = clock or Clock()
        self._told_ms = self.clock.now_ms() - DELIVERY_MS

    def now_ms(self) -> int:
        """The market's clock, UTC epoch ms."""
        return self.clock.now_ms()

    def mid_prices(self, symbol: str, times_ms: Ints) -> NDArray[np.float64]:
        """Prices between bid and ask at `times_ms` (ascending)."""
        return self.tape.mid_prices(symbol, times_ms)

    def due(self, streams: Collection[str]) -> list[Event]:
        """What happened on `streams` since the last call, in order of time."""
        now = max(self.now_ms() - DELIVERY_MS, self._told_ms)
        after = max(self._told_ms, now - int(_LONGEST_PAUSE_MS * self.clock.speed))
        self._told_ms = now
        events: list[Event] = []
        for stream in sorted(streams):
            events += self._events(stream, after, now)
        events.sort(key=lambda event: event.time_ms)
        return events

    def _events(self, stream: str, after: int, upto: int) -> list[Event]:
        """Events of one stream with ``after < time <= upto``."""
        symbol, _, kind = stream.partition("@")
        spec = self.tape.specs.get(symbol)
        if spec is None or upto <= after:
            return []
        if kind in ("aggTrade", "trade"):
            trades = self.tape.trades_between(symbol, after + 1, upto + 1)
            return (
                wire.agg_trade_events(trades) if kind == "aggTrade" else wire.trade_events(trades)
            )
        if kind in ("markPrice", "markPrice@1s"):
            every = 1000 if kind.endswith("1s") else 3000
            times = np.arange(after // every + 1, upto // every + 1, dtype=np.int64) * every
            prices = self.mid_prices(symbol, times)
            pairs = zip(times.tolist(), prices.tolist(), strict=True)
            return [wire.mark_price_event(stream, spec, t, price) for t, price in pairs]
        if kind == "bookTicker":
            mid = float(self.mid_prices(symbol, np.array([upto]))[0])
            bid = int(mid * 10.0**spec.price_decimals)
            return [wire.book_ticker_event(spec, upto, bid, upto)]
        return []
