"""Ticks folded into candles in one pass over any number of symbols."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from kernels.types import F1, F2W, I1, I1W, Floats, Ints, i8

_MISSING = np.iinfo(np.int64).min


@njit(
    types.Tuple((I1W, I1W, I1W, F2W, i8, i8))(I1, I1, I1, F1, F1, I1, i8),
    cache=True,
    nogil=True,
)
def fold(
    codes: Ints, times: Ints, ids: Ints, price: Floats, size: Floats, by_name: Ints, length: int
) -> tuple[Ints, Ints, Ints, Floats, int, int]:
    """Candles of ticks that are in order of time (and of id) within each symbol.

    Parameters
    ----------
    codes, times : int64 arrays of shape (n,)
        Number of the symbol, and the time; a negative code or the smallest int64 is missing.
    ids : int64 array of shape (n,) or (0,)
        What orders ticks of one time; empty for their order of arrival.
    price, size : float64 arrays of shape (n,)
    by_name : int64 array
        The symbols' numbers in the order in which they are to come out.
    length : int
        How long a candle is in the unit of `times`.

    Returns
    -------
    codes, opens, trades : int64 arrays of shape (m,)
        Sorted by symbol, then by time.
    columns : float64 array of shape (5, m)
        Open, high, low, close, volume.
    rejected : int
        Ticks that were not finite, not positive, or lacked symbol or time.
    in_order : int
        0 where a tick was older than one before it; the rest is then without meaning.
    """
    n = len(codes)
    symbols = len(by_name)
    row_of = np.full(symbols, -1, dtype=np.int64)
    last_time = np.full(symbols, _MISSING, dtype=np.int64)
    last_id = np.full(symbols, _MISSING, dtype=np.int64)
    ends = np.full(symbols, _MISSING, dtype=np.int64)
    out_code = np.empty(n, dtype=np.int64)
    out_open = np.empty(n, dtype=np.int64)
    trades = np.empty(n, dtype=np.int64)
    # one row a candle: its five numbers share a cache line, and untouched rows cost nothing
    rows = np.empty((n, 5))
    has_ids = len(ids) > 0
    rejected = 0
    count = 0
    for i in range(n):
        p = price[i]
        s = size[i]
        code = codes[i]
        t = times[i]
        if not (0.0 < p < np.inf and 0.0 < s < np.inf) or code < 0 or t == _MISSING:
            rejected += 1
            continue
        if t < last_time[code] or (has_ids and t == last_time[code] and ids[i] < last_id[code]):
            return out_code[:0], out_open[:0], trades[:0], np.empty((5, 0)), 0, 0
        last_time[code] = t
        if has_ids:
            last_id[code] = ids[i]
        if t >= ends[code]:
            opened = t // length * length
            ends[code] = opened + length
            row_of[code] = count
            out_code[count] = code
            out_open[count] = opened
            trades[count] = 0
            rows[count, 0] = p
            rows[count, 1] = p
            rows[count, 2] = p
            rows[count, 4] = 0.0
            count += 1
        k = row_of[code]
        # selected, not branched to: in short candles every other tick is a new extreme
        high = rows[k, 1]
        low = rows[k, 2]
        rows[k, 1] = p if p > high else high
        rows[k, 2] = p if p < low else low
        rows[k, 3] = p
        rows[k, 4] += s
        trades[k] += 1
    # those of one symbol are in order of time already: count, then place
    place = np.zeros(symbols, dtype=np.int64)
    for k in range(count):
        place[out_code[k]] += 1
    total = 0
    for i in range(symbols):
        total += place[by_name[i]]
        place[by_name[i]] = total - place[by_name[i]]
    sorted_code = np.empty(count, dtype=np.int64)
    sorted_open = np.empty(count, dtype=np.int64)
    sorted_trades = np.empty(count, dtype=np.int64)
    columns = np.empty((5, count))
    for k in range(count):
        code = out_code[k]
        at = place[code]
        place[code] += 1
        sorted_code[at] = code
        sorted_open[at] = out_open[k]
        sorted_trades[at] = trades[k]
        for j in range(5):
            columns[j, at] = rows[k, j]
    return sorted_code, sorted_open, sorted_trades, columns, rejected, 1
