"""What was planted, in numbers that an estimate can be held against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.symbols import Follower, Listing

Ints = NDArray[np.int64]

BREAK_RAMP_MS = 60_000
"""How long the price takes to move from the old line to the new one after a break."""

_FIRST_BREAK_MS = 6 * 3_600_000


def regime_index(origin: Follower, since_ms: Ints) -> Ints:
    """Number of breaks up to each time (ms since the epoch)."""
    return (np.asarray(since_ms) - _FIRST_BREAK_MS) // int(origin.regime_s * 1000) + 1


def regime_start_ms(origin: Follower, regime: Ints) -> Ints:
    """Time of the break that began each regime, ms since the epoch."""
    return _FIRST_BREAK_MS + (regime - 1) * int(origin.regime_s * 1000)


@dataclass(frozen=True)
class PairTruth:
    """One planted relation ``price(y) = hedge_ratio · price(x) + intercept + spread``.

    Parameters
    ----------
    y, x : str
        Symbols; y is `price1`, x is `price2`. Regress y on x: the spread is independent of x, so
        that direction is unbiased, the other is biased towards zero.
    hedge_ratio, intercept : float
        In force between `from_ms` and `to_ms`.
    half_life_s : float
        Seconds in which a deviation halves on average.
    spread_sd : float
        Stationary standard deviation of the spread, quote units of y.
    from_ms, to_ms : int
        The regime, UTC epoch ms, half-open. The first minute after a break is the way from the
        old line to the new one. Without breaks: from the epoch to 2⁶² ms.
    """

    y: str
    x: str
    hedge_ratio: float
    intercept: float
    half_life_s: float
    spread_sd: float
    from_ms: int
    to_ms: int

    @property
    def theta_per_s(self) -> float:
        """Speed of mean reversion θ = ln 2 / half-life, per second."""
        return math.log(2.0) / self.half_life_s

    @property
    def sigma_per_sqrt_s(self) -> float:
        """Volatility σ = sd·√(2θ) of the spread, quote units per √second."""
        return self.spread_sd * math.sqrt(2.0 * self.theta_per_s)

    def half_life_candles(self, timeframe_ms: int = 60_000) -> float:
        """The half-life in candles, as `half_life(spread)` and `ou_fit` report it."""
        return self.half_life_s * 1000.0 / timeframe_ms

    def ar1_coefficient(self, timeframe_ms: int = 60_000) -> float:
        """Correlation exp(−θΔ) of the spread at two successive candle closes."""
        return math.exp(-self.theta_per_s * timeframe_ms / 1000.0)


class Truth:
    """Everything planted in a market.

    Parameters
    ----------
    listings : mapping of symbol to Listing
        The market.
    epoch_ms : int
        UTC epoch ms of its first moment.
    """

    def __init__(self, listings: Mapping[str, Listing], epoch_ms: int) -> None:
        self._listings, self._epoch_ms = dict(listings), epoch_ms

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Planted pairs as (y, x)."""
        return tuple(
            (symbol, listing.origin.of)
            for symbol, listing in self._listings.items()
            if isinstance(listing.origin, Follower)
        )

    def cointegrated(self, first: str, second: str) -> bool:
        """Whether the two are tied without breaks, directly or through others."""
        return first != second and self._root(first) == self._root(second)

    def pair(self, y: str, x: str, at_ms: int) -> PairTruth:
        """The relation in force at `at_ms` (UTC epoch ms).

        Raises
        ------
        ValueError
            No relation of y on x was planted.
        """
        origin = self._origin(y, x)
        line, other = origin.hedge_ratio, origin.other_hedge_ratio
        start, stop = self._epoch_ms, 1 << 62
        if other is not None:
            regime = int(regime_index(origin, np.array(at_ms - self._epoch_ms)))
            line = line if regime % 2 == 0 else other
            start = self._epoch_ms + int(regime_start_ms(origin, np.array(regime)))
            stop = start + int(origin.regime_s * 1000)
        intercept = origin.intercept + (origin.hedge_ratio - line) * origin.pivot
        life, sd = origin.half_life_s, origin.spread_sd
        return PairTruth(y, x, line, intercept, life, sd, max(start, self._epoch_ms), stop)

    def breaks(self, y: str, x: str, from_ms: int, to_ms: int) -> tuple[int, ...]:
        """Times of the regime breaks in ``[from_ms, to_ms)``, UTC epoch ms; often none."""
        origin = self._origin(y, x)
        if origin.other_hedge_ratio is None:
            return ()
        edges = np.array([from_ms - 1, to_ms - 1]) - self._epoch_ms
        low, high = (max(int(n), 0) for n in regime_index(origin, edges))
        numbers = np.arange(low + 1, high + 1)
        starts = self._epoch_ms + regime_start_ms(origin, numbers)
        return tuple(int(start) for start in starts)

    def last_break(self, y: str, x: str, before_ms: int) -> int | None:
        """Time of the last break before `before_ms`, or None."""
        found = self.breaks(y, x, self._epoch_ms, before_ms)
        return found[-1] if found else None

    def _origin(self, y: str, x: str) -> Follower:
        listing = self._listings.get(y)
        if listing is None or not isinstance(listing.origin, Follower) or listing.origin.of != x:
            planted = ", ".join(f"{a} on {b}" for a, b in self.pairs)
            raise ValueError(f"No relation of {y} on {x} was planted; planted are: {planted}.")
        return listing.origin

    def _root(self, symbol: str) -> str:
        origin = self._listings[symbol].origin
        if isinstance(origin, Follower) and origin.other_hedge_ratio is None:
            return self._root(origin.of)
        return symbol
