"""Timeframes, and the folding of ticks into candles.

A candle is open, high, low, close and volume over the half-open ``[open_ms, open_ms + timeframe)``
in UTC epoch milliseconds. Ticks are folded into candles of one second once; every longer stored
timeframe is rolled up from those, so that all timeframes agree by construction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errors import BadInput

_UNIT_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
# What Binance ("1m") and pandas before its third version ("1T", "1S", "1H") called the same things.
_ALIASES = {"m": "min", "t": "min", "sec": "s", "hour": "h", "day": "d"}
_TIMEFRAME = re.compile(r"(\d+)\s*([a-zA-Z]+)")

STORED_TIMEFRAMES: tuple[str, ...] = ("1s", "5s", "10s", "30s", "1min", "5min")
"""The timeframes kept in ``ohlc_data`` as ticks are written; longer ones are rolled up."""

CHART_TIMEFRAMES: tuple[str, ...] = (*STORED_TIMEFRAMES, "15min", "1h", "4h", "1d")
"""What the page offers."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def timeframe_ms(timeframe: str) -> int:
    """Length of a timeframe in milliseconds.

    Parameters
    ----------
    timeframe : str
        A whole number and a unit: ``ms``, ``s``, ``min``, ``h`` or ``d`` (``1m``, ``1T``, ``1S``
        and ``1H`` are understood as well, in any case).

    Raises
    ------
    BadInput
        The text is not a timeframe, or its length is zero or does not divide or fill whole days.
    """
    match = _TIMEFRAME.fullmatch(str(timeframe).strip())
    unit = match.group(2).lower() if match else ""
    unit = _ALIASES.get(unit, unit)
    if match is None or unit not in _UNIT_MS:
        raise BadInput(
            f"{timeframe!r} is not a timeframe; write a number and a unit, "
            f"such as {', '.join(CHART_TIMEFRAMES)}."
        )
    length = int(match.group(1)) * _UNIT_MS[unit]
    day = _UNIT_MS["d"]
    if length == 0 or (day % length and length % day):
        raise BadInput(f"The timeframe {timeframe!r} must divide a day, or be whole days.")
    return length


def canonical_timeframe(timeframe: str) -> str:
    """The one spelling under which candles of this length are stored, e.g. ``60s`` → ``1min``."""
    length = timeframe_ms(timeframe)
    for unit in ("d", "h", "min", "s"):
        if length % _UNIT_MS[unit] == 0:
            return f"{length // _UNIT_MS[unit]}{unit}"
    return f"{length}ms"


def base_timeframe(timeframe: str) -> str:
    """The longest stored timeframe from which candles of ``timeframe`` can be rolled up.

    Raises
    ------
    BadInput
        Nothing stored divides it (it is shorter than a second, say).
    """
    length = timeframe_ms(timeframe)
    for stored in reversed(STORED_TIMEFRAMES):
        if length % timeframe_ms(stored) == 0:
            return stored
    raise BadInput(f"Candles of {timeframe} cannot be made of the stored ones, which begin at 1s.")


@dataclass(frozen=True, slots=True)
class CandleColumns:
    """Candles as columns of equal length n, sorted by (group, open_ms).

    ``group`` numbers the symbol; prices in quote per base, volume in base units.
    """

    group: Ints
    open_ms: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.open_ms)


def fold_ticks(
    group: Ints, time_ms: Ints, price: Floats, size: Floats, length_ms: int
) -> CandleColumns:
    """Candles of the ticks, which must be ordered by time within each group.

    Groups may be interleaved. The order of ticks within one group and millisecond is kept, so the
    first and the last of a candle are its open and its close.

    Parameters
    ----------
    group, time_ms, price, size : arrays of shape (n,)
    length_ms : int
        Length of a candle.
    """
    bucket = time_ms // length_ms
    if (group[1:] < group[:-1]).any():
        order = np.argsort(group, kind="stable")
        group, bucket, price, size = group[order], bucket[order], price[order], size[order]
    starts = _run_starts(group, bucket)
    ends = np.concatenate((starts[1:], (len(bucket),))) - 1 if len(starts) else starts
    return CandleColumns(
        group=group[starts],
        open_ms=bucket[starts] * length_ms,
        open=price[starts],
        high=np.maximum.reduceat(price, starts) if len(starts) else price[starts],
        low=np.minimum.reduceat(price, starts) if len(starts) else price[starts],
        close=price[ends],
        volume=np.add.reduceat(size, starts) if len(starts) else size[starts],
    )


def roll_up(candles: CandleColumns, length_ms: int) -> CandleColumns:
    """Longer candles made of shorter ones, whose length must divide ``length_ms``."""
    bucket = candles.open_ms // length_ms
    starts = _run_starts(candles.group, bucket)
    if not len(starts):
        return candles
    ends = np.append(starts[1:], len(bucket)) - 1
    return CandleColumns(
        group=candles.group[starts],
        open_ms=bucket[starts] * length_ms,
        open=candles.open[starts],
        high=np.maximum.reduceat(candles.high, starts),
        low=np.minimum.reduceat(candles.low, starts),
        close=candles.close[ends],
        volume=np.add.reduceat(candles.volume, starts),
    )


def _run_starts(group: Ints, bucket: Ints) -> NDArray[np.intp]:
    """Where a new (group, bucket) begins in columns sorted by them."""
    if not len(bucket):
        return np.empty(0, dtype=np.intp)
    change = (bucket[1:] != bucket[:-1]) | (group[1:] != group[:-1])
    return np.concatenate(([0], np.flatnonzero(change) + 1))
