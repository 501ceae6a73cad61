"""Ornstein–Uhlenbeck paths that can be read at any time without walking there.

A path is built by halving: its two ends are drawn, then the middle given the ends, then the
middles of the halves, and so on down to the grid. For a Gaussian Markov process each middle
depends on its two neighbours alone, so the values on the grid have exactly the law of the process,
and a value is found in three vectorised steps however far it lies from the epoch.

For dx = −θ x dt + σ dW with stationary variance v = σ²/2θ and ends a, b a time Δ apart::

    x(middle) | a, b  ~  N( (a + b) / (2 cosh(θΔ/2)),  v · tanh(θΔ/2) )

References
----------
Uhlenbeck, G. E. and Ornstein, L. S. (1930). On the theory of the Brownian motion. Physical
Review 36, 823-841. The conditional law follows from the joint normal law with covariance
v·exp(−θ|t − s|).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.rng import Floats, normals, stream_key

GRID_MS = 250
"""Spacing of the grid; between its points a path is a straight line."""

_TIERS = (8, 10, 13)
"""How often each tier halves: 2³¹ grid steps → 2²³ → 2¹³ → 1."""

BLOCK_MS = GRID_MS << _TIERS[2]
HORIZON_MS = BLOCK_MS << (_TIERS[0] + _TIERS[1])
"""How far after the epoch paths reach: about 17 years."""

_CACHED_BLOCKS = 12


class Path:
    """One stationary Ornstein–Uhlenbeck path with mean zero.

    Parameters
    ----------
    seed : int
        The market's seed.
    name : str
        Which path; paths of different names are independent.
    half_life_s : float
        Seconds in which a deviation halves on average, ln 2 / θ.
    sd : float
        Standard deviation of the stationary law.
    """

    def __init__(self, seed: int, name: str, half_life_s: float, sd: float) -> None:
        self.half_life_s, self.sd = half_life_s, sd
        self._seed, self._key = seed, stream_key("path:" + name)
        self._theta = math.log(2.0) / half_life_s
        self._top = lru_cache(maxsize=1)(self._build_top)
        self._middle = lru_cache(maxsize=4)(self._build_middle)
        self._block = lru_cache(maxsize=_CACHED_BLOCKS)(self._build_block)

    def at(self, since_epoch_ms: NDArray[np.int64]) -> Floats:
        """The path's values at `since_epoch_ms`, same shape; times must not decrease.

        Raises
        ------
        ValueError
            A time lies before the epoch or beyond the horizon.
        """
        times = np.asarray(since_epoch_ms, dtype=np.int64)
        out = np.empty(times.shape)
        if times.size == 0:
            return out
        if times[0] < 0 or times[-1] >= HORIZON_MS:
            raise ValueError("The planted market reaches from its epoch to 17 years later.")
        blocks, starts = np.unique(times // BLOCK_MS, return_index=True)
        stops = np.append(starts[1:], times.size)
        for block, start, stop in zip(blocks, starts, stops, strict=True):
            out[start:stop] = self._within(int(block), times[start:stop])
        return out

    def _within(self, block: int, times: NDArray[np.int64]) -> Floats:
        values = self._block(block)
        position = (times - block * BLOCK_MS) / GRID_MS
        left = position.astype(np.int64)
        weight = position - left
        return values[left] * (1.0 - weight) + values[left + 1] * weight

    def _build_top(self) -> Floats:
        a, b = self.sd * normals(self._seed, self._key, 0, 0, 2)
        return self._halve(a, b, tier=1, block=0, halvings=_TIERS[0], span_ms=HORIZON_MS)

    def _build_middle(self, index: int) -> Floats:
        a, b = self._top()[index : index + 2]
        span = BLOCK_MS << _TIERS[1]
        return self._halve(a, b, tier=2, block=index, halvings=_TIERS[1], span_ms=span)

    def _build_block(self, index: int) -> Floats:
        parent, place = divmod(index, 1 << _TIERS[1])
        a, b = self._middle(parent)[place : place + 2]
        return self._halve(a, b, tier=3, block=index, halvings=_TIERS[2], span_ms=BLOCK_MS)

    def _halve(
        self, a: float, b: float, *, tier: int, block: int, halvings: int, span_ms: int
    ) -> Floats:
        """Values at 2**halvings + 1 equidistant points from `a` to `b`, ends included."""
        size = 1 << halvings
        noise = normals(self._seed, self._key, tier, block, size - 1)
        out = np.empty(size + 1)
        out[0], out[size] = a, b
        step, used = size, 0
        for level in range(halvings):
            x = self._theta * (span_ms / 1000.0) / (1 << level) / 2.0
            pull = 0.5 / math.cosh(x) if x < 700.0 else 0.0
            spread = self.sd * math.sqrt(math.tanh(x))
            count, half = 1 << level, step // 2
            middle = pull * (out[0:size:step] + out[step::step])
            out[half::step] = middle + spread * noise[used : used + count]
            used, step = used + count, half
        return out
