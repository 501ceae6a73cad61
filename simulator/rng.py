"""Counter-based random numbers: any draw of any block, without drawing those before it.

Only the raw bits of Philox are used (numpy promises them for ever; it does not promise the streams
of ``Generator``'s distributions), so that the planted market stays the same after an upgrade.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TO_UNIT = 2.0**-53


def stream_key(name: str) -> int:
    """A 64-bit number for `name` that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def uniforms(seed: int, key: int, tier: int, block: int, count: int) -> Floats:
    """Uniform numbers in the open interval (0, 1), shape (count,).

    Parameters
    ----------
    seed : int
        The market's seed, 0 to 2⁶⁴ − 1.
    key : int
        The stream, from `stream_key`.
    tier, block : int
        Where in the stream; streams of different (tier, block) never overlap.
    count : int
        How many.
    """
    bits = np.random.Philox(counter=[0, 0, block, tier], key=[seed, key]).random_raw(count)
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * _TO_UNIT


def normals(seed: int, key: int, tier: int, block: int, count: int) -> Floats:
    """Independent standard normal numbers, shape (count,).

    References
    ----------
    Box, G. E. P. and Muller, M. E. (1958). A note on the generation of random normal deviates.
    Annals of Mathematical Statistics 29(2), 610-611, equation (1).
    """
    half = (count + 1) // 2
    u = uniforms(seed, key, tier, block, 2 * half)
    radius, angle = np.sqrt(-2.0 * np.log(u[:half])), 2.0 * np.pi * u[half:]
    return np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))[:count]
