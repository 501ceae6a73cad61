"""The planted market: every trade is a pure function of seed, symbol and trade number.

Nothing is remembered and nothing is replayed: asking for the trades of last night costs what
asking for those of a minute ago costs, and a process that starts again continues the same tape.

How it is made:

* Prices come from exact Ornstein–Uhlenbeck paths (`simulator.paths`): drivers are exponentials,
  followers lie on a planted line plus a planted spread, in price units (`simulator.symbols`).
* Time is cut into blocks of 256 s. The number of trades before block k is
  ``floor(Λ(k) + jitter(k))`` with Λ the integral of an intraday pattern and a bounded jitter, so
  that ids and times are found from one another without counting.
* Inside a block trades come in clusters of very different size, prints lie on the bid or the ask,
  takers keep their side within a cluster, and sizes are lognormal.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.paths import HORIZON_MS, Path
from simulator.rng import normals, stream_key, uniforms
from simulator.symbols import (
    COMMON_ANNUAL_VOL,
    COMMON_HALF_LIFE_DAYS,
    DAY_S,
    LISTINGS,
    Driver,
    Follower,
    Listing,
    SymbolSpec,
)
from simulator.tape import Ints, Trades
from simulator.truth import BREAK_RAMP_MS, Truth, regime_index, regime_start_ms

EPOCH_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: the first trade of every symbol comes after it."""

BLOCK_MS = 256_000
_DAY_MS = 86_400_000
_DAILY_SWING = 0.35
_BUSIEST_HOUR = 15.0
_JITTER = 0.45
_CACHED_BLOCKS = 64
_YEAR_S = 365.25 * DAY_S


def stationary_sd(annual_vol: float, half_life_s: float) -> float:
    """Standard deviation σ/√(2θ) of an OU path with volatility `annual_vol` a year."""
    theta_a_year = math.log(2.0) / half_life_s * _YEAR_S
    return annual_vol / math.sqrt(2.0 * theta_a_year)


class PlantedTape:
    """All trades of the planted market.

    Parameters
    ----------
    seed : int
        Another seed is another market with the same truth.
    listings : tuple of Listing, optional
        What is traded; the shipped market by default.
    rate_factor : float
        Multiplies all arrival rates. (BTCUSDT trades 8/s by default, about half of the real
        exchange's average, so that a laptop's battery lasts.)
    """

    def __init__(
        self,
        seed: int = 4,
        listings: tuple[Listing, ...] = LISTINGS,
        rate_factor: float = 1.0,
    ) -> None:
        self.seed = seed
        self.listings = {
            listing.spec.symbol: replace(listing, rate=listing.rate * rate_factor)
            for listing in listings
        }
        self.specs: dict[str, SymbolSpec] = {
            symbol: listing.spec for symbol, listing in self.listings.items()
        }
        self.truth = Truth(self.listings, EPOCH_MS)
        common = COMMON_HALF_LIFE_DAYS * DAY_S
        self._common = Path(seed, "common", common, stationary_sd(COMMON_ANNUAL_VOL, common))
        self._paths = {s: self._own_path(listing) for s, listing in self.listings.items()}
        self._jitter = lru_cache(maxsize=256)(self._build_jitter)
        self._block = lru_cache(maxsize=_CACHED_BLOCKS)(self._build_block)

    # -- what can be asked ------------------------------------------------------------------

    def first_id(self, symbol: str) -> int:
        """Id of the symbol's first trade."""
        return self.specs[symbol].first_id

    def id_at(self, symbol: str, time_ms: int) -> int:
        """Id of the first trade of `symbol` at or after `time_ms` (UTC epoch ms)."""
        since = time_ms - EPOCH_MS
        if since <= 0:
            return self.first_id(symbol)
        block = since // BLOCK_MS
        trades = self._block(symbol, block)
        place = int(np.searchsorted(trades.time_ms, time_ms, side="left"))
        return self.first_id(symbol) + self._count_before(symbol, block) + place

    def trades(self, symbol: str, from_id: int, to_id: int) -> Trades:
        """Trades with ``from_id <= id < to_id``; none exist below the symbol's first id.

        Parameters
        ----------
        symbol : str
            Lower case.
        from_id, to_id : int
            Half-open range of ids.

        Returns
        -------
        Trades
            Contiguous ids, times that never decrease.

        Raises
        ------
        KeyError
            The market does not trade `symbol`.
        """
        base = self.first_id(symbol)
        start, stop = max(from_id - base, 0), to_id - base
        parts: list[Trades] = []
        if start < stop:
            block = self._block_of(symbol, start)
            while start < stop:
                before, after = (self._count_before(symbol, block + k) for k in (0, 1))
                if after > start:
                    upto = min(stop, after)
                    parts.append(self._block(symbol, block).part(start - before, upto - before))
                    start = upto
                block += 1
        return Trades.join(self.specs[symbol], parts)

    def trades_between(self, symbol: str, from_ms: int, to_ms: int) -> Trades:
        """Trades with ``from_ms <= time < to_ms``."""
        return self.trades(symbol, self.id_at(symbol, from_ms), self.id_at(symbol, to_ms))

    def mid_prices(self, symbol: str, times_ms: Ints) -> NDArray[np.float64]:
        """The price before it is rounded to bid and ask, shape of `times_ms` (ascending)."""
        since = np.asarray(times_ms, dtype=np.int64) - EPOCH_MS
        origin = self.listings[symbol].origin
        own = self._paths[symbol].at(since)
        if isinstance(origin, Driver):
            common = self._common.at(since) if origin.market_beta else 0.0
            return origin.level * np.exp(origin.market_beta * common + own)
        ratio, intercept = _line(origin, since)
        price = ratio * self.mid_prices(origin.of, times_ms) + intercept + own
        return np.maximum(price, 10.0 ** -self.specs[symbol].price_decimals)

    # -- how it is made ---------------------------------------------------------------------

    def _own_path(self, listing: Listing) -> Path:
        origin, name = listing.origin, listing.spec.symbol
        if isinstance(origin, Follower):
            return Path(self.seed, name, origin.half_life_s, origin.spread_sd)
        half_life = origin.own_half_life_days * DAY_S
        return Path(self.seed, name, half_life, stationary_sd(origin.own_annual_vol, half_life))

    def _build_jitter(self, symbol: str, chunk: int) -> NDArray[np.float64]:
        return uniforms(self.seed, stream_key("count:" + symbol), 0, chunk, 1024)

    def _count_before(self, symbol: str, block: int) -> int:
        """How many trades `symbol` has before `block`."""
        if block <= 0:
            return 0
        rate_a_day = self.listings[symbol].rate * DAY_S
        days = block * BLOCK_MS / _DAY_MS
        phase = 2.0 * math.pi * (days - (_BUSIEST_HOUR - 6.0) / 24.0)
        start = 2.0 * math.pi * (_BUSIEST_HOUR - 6.0) / 24.0
        swing = _DAILY_SWING / (2.0 * math.pi) * (math.cos(start) - math.cos(phase))
        jitter = self._jitter(symbol, block // 1024)[block % 1024]
        per_block = self.listings[symbol].rate * BLOCK_MS / 1000.0
        return int(rate_a_day * (days + swing) + _JITTER * per_block * jitter)

    def _block_of(self, symbol: str, number: int) -> int:
        """The block that holds the trade with this number (counted from 0)."""
        low, high = 0, HORIZON_MS // BLOCK_MS
        guess = int(number / (self.listings[symbol].rate * BLOCK_MS / 1000.0))
        reach = 4 + int(_DAILY_SWING * _DAY_MS / BLOCK_MS)
        low, high = max(low, guess - reach), min(high, guess + reach)
        while high - low > 1:
            middle = (low + high) // 2
            if self._count_before(symbol, middle) <= number:
                low = middle
            else:
                high = middle
        return low

    def _build_block(self, symbol: str, block: int) -> Trades:
        before, after = (self._count_before(symbol, block + k) for k in (0, 1))
        count, listing = after - before, self.listings[symbol]
        u = uniforms(self.seed, stream_key("trades:" + symbol), 0, block, 7 * count + 2)
        u = u[: 7 * count].reshape(7, count)
        since, cluster = _arrivals(block, u[0], u[1])
        times = EPOCH_MS + since
        is_buyer_maker = _sides(cluster, u[2], u[3])
        mid = self.mid_prices(symbol, times) * 10.0**listing.spec.price_decimals
        ticks = np.where(is_buyer_maker, np.floor(mid), np.floor(mid) + 1.0).astype(np.int64)
        steps = self._sizes(listing, block, ticks)
        number = before + np.arange(count)
        single = 1 + ((u[4] < 0.9) & (steps > 1))
        first = listing.spec.first_trade_id + 2 * number
        return Trades(
            spec=listing.spec,
            id=listing.spec.first_id + number,
            time_ms=times,
            price_ticks=np.maximum(ticks, 1),
            quantity_steps=steps,
            is_buyer_maker=is_buyer_maker,
            first_id=first,
            last_id=first + single - 1,
            lag_ms=(2.0 + 40.0 * u[5] ** 4).astype(np.int64),
        )

    def _sizes(self, listing: Listing, block: int, price_ticks: Ints) -> Ints:
        """Whole steps, lognormal with a median of the listing's typical notional."""
        spec = listing.spec
        z = normals(self.seed, stream_key("sizes:" + spec.symbol), 0, block, len(price_ticks))
        base_units = listing.typical_notional / (price_ticks / 10.0**spec.price_decimals)
        steps = base_units * np.exp(1.4 * z) * 10.0**spec.quantity_decimals
        return np.maximum(np.rint(steps), 1.0).astype(np.int64)


def _line(origin: Follower, since_ms: Ints) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hedge ratio and intercept at each time; a break takes a minute to be priced in."""
    if origin.other_hedge_ratio is None:
        ones = np.ones(since_ms.shape)
        return origin.hedge_ratio * ones, origin.intercept * ones
    regime = regime_index(origin, since_ms)
    into = since_ms - regime_start_ms(origin, regime)
    weight = np.clip(into / BREAK_RAMP_MS, 0.0, 1.0)
    ratios = np.array([origin.hedge_ratio, origin.other_hedge_ratio])
    ratio = ratios[regime % 2] * weight + ratios[(regime + 1) % 2] * (1.0 - weight)
    return ratio, origin.intercept + (origin.hedge_ratio - ratio) * origin.pivot


def _arrivals(
    block: int, which: NDArray[np.float64], late: NDArray[np.float64]
) -> tuple[Ints, Ints]:
    """Times in ms since the epoch, sorted, and the cluster each trade belongs to.

    A quarter as many clusters as trades; squaring the uniform makes few of them large, which is
    what bursts look like. What would fall out of the block comes back at its start.
    """
    count = len(which)
    clusters = max(count // 4, 1)
    cluster = (clusters * which**2).astype(np.int64)
    golden = np.modf((cluster + 1) * 0.6180339887498949 + block * 0.7548776662466927)[0]
    offset = -0.4 * np.log(late)
    seconds = np.mod(golden * BLOCK_MS / 1000.0 + offset, BLOCK_MS / 1000.0)
    order = np.argsort(seconds, kind="stable")
    times = np.minimum((seconds[order] * 1000.0).astype(np.int64), BLOCK_MS - 1)
    return block * BLOCK_MS + times, cluster[order]


def _sides(cluster: Ints, own: NDArray[np.float64], keep: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True where the taker sold; four in five trades take the side of their cluster."""
    of_cluster = own[cluster] < 0.5
    return np.where(keep < 0.8, of_cluster, own < 0.5)
