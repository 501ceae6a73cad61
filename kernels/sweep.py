"""The sweep's loops: the backtest's own for every row of settings, and a shared one.

`shared_grid` gives what `grid_loop` gives (tests hold them together), several times faster, in
the common case: size by a share of equity, thresholds alone, no rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from kernels.columns import (
    AMOUNT,
    CLOSE_END,
    EQUITY,
    FEE,
    LAG,
    LEVERAGE,
    SLIP,
    T_DRAWDOWN,
    T_EQUITY,
    T_EXPOSED,
    T_GAINS,
    T_LOSSES,
    T_OPEN,
    T_REFUSED,
    T_SQUARES,
    T_SUM,
    T_TRADES,
    T_WINS,
)
from kernels.trade_loop import trade_loop
from kernels.trade_parts import fill_price, spread_units


@njit(cache=True, nogil=True, error_model="numpy")
def grid_loop(
    z: Any,
    hedge: Any,
    open1: Any,
    open2: Any,
    close1: Any,
    close2: Any,
    grid: Any,
    begin: Any,
    end: Any,
    totals: Any,
    blocks: Any,
    full: Any,
) -> None:
    """`trade_loop` for each row of ``grid`` on one z-score, without a list of trades.

    Parameters
    ----------
    grid : (k, N_SETTINGS) float64
    totals : (k, N_TOTALS) float64
        Written.
    blocks : (k, b, 2) float64, zeros, or None
        Written: sums of returns and of their squares by block of candles.
    """
    for k in range(grid.shape[0]):
        if blocks is None:
            trade_loop(
                z,
                hedge,
                open1,
                open2,
                close1,
                close2,
                grid[k],
                begin,
                end,
                totals[k],
                None,
                None,
                full,
            )
        else:
            trade_loop(
                z,
                hedge,
                open1,
                open2,
                close1,
                close2,
                grid[k],
                begin,
                end,
                totals[k],
                None,
                blocks[k],
                full,
            )


# Fields of a shared trade, relative to the equity at its entry: 64 bytes, one line of the cache.
# The last is what is left of the highest equity on the way.
_GROWTH, _SUM, _SQUARES, _LOW, _HIGH, _DRAWDOWN, _EXPOSED, _LEFT = range(8)
N_FIELDS = 8
# Where a combination's hops stand after its last trade that ended within the span.
N_STATE = 12
_OPEN, _REFUSED = -1, -2


@njit(cache=True, nogil=True, error_model="numpy")
def entry_candles(z: Any, smallest: Any) -> Any:
    """Candles that could be an entry, (count + 1,) int32, the last being the number of candles.

    Their places in it number the records of trades: a slot.
    """
    count = 0
    for i in range(z.size):
        count += abs(z[i]) > smallest
    out = np.empty(count + 1, np.int32)
    slot = 0
    for i in range(z.size):
        if abs(z[i]) > smallest:
            out[slot] = i
            slot += 1
    out[count] = z.size
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def next_slots(z: Any, entries: Any, candles: Any) -> Any:
    """For each threshold and candle, the slot of the first entry from there on, (a, n + 1) int32.

    ``candles`` is of `entry_candles`, for the smallest of ``entries``.
    """
    n, count = z.size, candles.size - 1
    out = np.empty((entries.size, n + 1), np.int32)
    for a in range(entries.size):
        row, limit = out[a], entries[a]
        stop = n + 1
        at = count
        for slot in range(count - 1, -1, -1):
            i = candles[slot]
            if abs(z[i]) > limit:
                row[i + 1 : stop] = at
                at, stop = slot, i + 1
        row[:stop] = at
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _close_trade(field: Any, e: Any, before: Any, total: Any, squares: Any) -> Any:
    """Add the return of the exit's fill to the sums of a path and write the record."""
    r = e / before - 1.0
    field[_GROWTH] = e
    field[_SUM] = total + r
    field[_SQUARES] = squares + r * r
    field[_LOW] = min(field[_LOW], e)
    field[_DRAWDOWN] = min(field[_DRAWDOWN], e / max(field[_HIGH], e) - 1.0)
    field[_HIGH] = max(field[_HIGH], e)
    field[_LEFT] = e / field[_HIGH]


@njit(cache=True, nogil=True, error_model="numpy")
def _walk_once(
    i: Any,
    z: Any,
    hedge: Any,
    open1: Any,
    open2: Any,
    close1: Any,
    close2: Any,
    p: Any,
    exits: Any,
    end: Any,
    closing: Any,
    fields: Any,
    follow: Any,
) -> Any:
    """Hold from the signal on candle i until the last exit; write a record at every exit.

    ``exits`` descend, so that each leaves no earlier than the one before. ``fields`` is
    (exits, N_FIELDS), ``follow`` (exits,): the candle after the exit's signal, or that it is still
    open at ``end``, where it is closed if ``closing``. False after ruin.
    """
    lag = int(p[LAG])
    last = end - lag
    fee_rate, slip = p[FEE], p[SLIP]
    side = 1.0 if z[i] < 0.0 else -1.0
    f = i + lag
    beta = hedge[i]
    units = spread_units(
        2, p[AMOUNT], p[LEVERAGE], 1.0, close1[i] + abs(beta) * close2[i], math.nan
    )
    q1 = side * units
    q2 = -side * units * beta
    if not (q1 != 0.0 and q2 != 0.0 and abs(q2) < math.inf):
        follow[:] = _REFUSED
        return True
    in1 = fill_price(open1[f] if lag == 1 else close1[f], q1, slip)
    in2 = fill_price(open2[f] if lag == 1 else close2[f], q2, slip)
    base = 1.0 - (abs(q1) * in1 + abs(q2) * in2) * fee_rate - q1 * in1 - q2 * in2
    out_slip1 = 1.0 - slip if q1 > 0.0 else 1.0 + slip
    out_slip2 = 1.0 - slip if q2 > 0.0 else 1.0 + slip
    total, squares = 0.0, 0.0
    previous, low, high, deepest = 1.0, 1.0, 1.0, 0.0
    limit = high
    k = 0
    t = f
    while t < end and k < exits.size:
        if closing and t == end - 1:
            break
        if lag == 1 or t == i:
            e = base + q1 * close1[t] + q2 * close2[t]
        else:
            # Same-close fills: those who leave here never see this close as held.
            while k < exits.size and side * z[t] >= -exits[k]:
                out1, out2 = close1[t] * out_slip1, close2[t] * out_slip2
                e = base + q1 * out1 + q2 * out2 - (abs(q1) * out1 + abs(q2) * out2) * fee_rate
                field = fields[k]
                field[_LOW], field[_HIGH], field[_DRAWDOWN] = low, high, deepest
                field[_EXPOSED] = t - f
                _close_trade(field, e, previous, total, squares)
                follow[k] = t + 1
                k += 1
            e = base + q1 * close1[t] + q2 * close2[t]
        if e <= 0.0:
            return False
        r = e / previous - 1.0
        total += r
        squares += r * r
        previous = e
        low = min(low, e)
        if e > high:
            high = e
            limit = high * (1.0 + deepest)
        elif e < limit:
            deepest = e / high - 1.0
            limit = e
        if lag == 1 and t < last:
            while k < exits.size and side * z[t] >= -exits[k]:
                out1, out2 = open1[t + 1] * out_slip1, open2[t + 1] * out_slip2
                e = base + q1 * out1 + q2 * out2 - (abs(q1) * out1 + abs(q2) * out2) * fee_rate
                field = fields[k]
                field[_LOW], field[_HIGH], field[_DRAWDOWN] = low, high, deepest
                field[_EXPOSED] = t + 1 - f
                _close_trade(field, e, previous, total, squares)
                if e <= 0.0:
                    return False
                follow[k] = t + 1
                k += 1
        t += 1
    for j in range(k, exits.size):
        field = fields[j]
        field[_LOW], field[_HIGH], field[_DRAWDOWN] = low, high, deepest
        field[_EXPOSED] = t - f
        if closing:
            out1, out2 = close1[end - 1] * out_slip1, close2[end - 1] * out_slip2
            e = base + q1 * out1 + q2 * out2 - (abs(q1) * out1 + abs(q2) * out2) * fee_rate
            _close_trade(field, e, previous, total, squares)
            follow[j] = end
        else:
            field[_GROWTH], field[_SUM], field[_SQUARES] = previous, total, squares
            field[_LEFT] = previous / high
            follow[j] = _OPEN
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def shared_grid(
    z: Any,
    hedge: Any,
    open1: Any,
    open2: Any,
    close1: Any,
    close2: Any,
    p: Any,
    exits: Any,
    pairs: Any,
    nexts: Any,
    candles: Any,
    fields: Any,
    follow: Any,
    states: Any,
    begin: Any,
    end: Any,
    totals: Any,
) -> Any:
    """The grid on one z-score where size is a share of equity: each trade is walked once.

    What a position earns relative to the equity at its entry depends on the candle of the entry
    and of the exit alone, so combinations (and folds) share their trades: the path from an entry
    is walked once, for all exits, and a combination is a hop from trade to trade over records.

    Parameters
    ----------
    p : (N_SETTINGS,) float64
        Everything but the thresholds; size by percent, no steps, no minima.
    exits : (b,) float64
        Thresholds, descending.
    pairs : (k, 2) int64
        Entry and exit threshold of each combination, as numbers.
    nexts, candles
        From `next_slots` and `entry_candles`.
    fields, follow : (b, count, N_FIELDS) float64; (b, count) int32, zeros at first
        The records, filled in as they are needed and kept from call to call.
    states : (k, N_STATE) float64
        Read and written: where the hops stand. A span that begins where the one before began
        and ends no earlier goes on from there; `fresh_states` begins anew.
    totals : (k, N_TOTALS) float64
        Written; what the sweep does not sum up (fees, turnover …) is NaN.

    Returns
    -------
    bool
        False where equity was used up on the way: `grid_loop` must do it.

    Notes
    -----
    One function of some length: its dozen running values are the state of the hops, and the time
    of a hop is that of two dependent reads, which a call between them would not shorten.
    """
    lag = int(p[LAG])
    last = end - lag
    closing = p[CLOSE_END] != 0.0
    stop = min(last, end - 1) if closing else last
    scratch = np.empty((exits.size, N_FIELDS))
    then_of = np.empty(exits.size, np.int32)
    for k in range(pairs.shape[0]):
        e = pairs[k, 1]
        ahead, paths, after = nexts[pairs[k, 0]], fields[e], follow[e]
        state = states[k]
        growth, below, total, squares, worst = state[0], state[1], state[2], state[3], state[4]
        gains, losses = state[5], state[6]
        trades, wins, exposed, refused = (
            int(state[7]), int(state[8]), int(state[9]), int(state[10]),
        )  # fmt: skip
        slot = int(state[11]) if state[11] >= 0.0 else ahead[begin]
        held = -1
        while candles[slot] < stop:
            then = after[slot]
            if then == 0:
                if not _walk_once(
                    candles[slot], z, hedge, open1, open2, close1, close2, p, exits, z.size, False,
                    scratch, then_of,
                ):  # fmt: skip
                    return False
                fields[:, slot, :] = scratch
                follow[:, slot] = then_of
                then = after[slot]
            if then == _REFUSED:
                refused += 1
                slot = ahead[candles[slot] + 1]
                continue
            if then == _OPEN or then > last:
                held = slot
                break
            path = paths[slot]
            total += path[_SUM]
            squares += path[_SQUARES]
            worst = min(worst, min(path[_DRAWDOWN], below * path[_LOW] - 1.0))
            below = path[_LEFT] if below * path[_HIGH] > 1.0 else below * path[_GROWTH]
            trades += 1
            exposed += int(path[_EXPOSED])
            net = growth * (path[_GROWTH] - 1.0)
            growth *= path[_GROWTH]
            wins += net > 0.0
            gains += max(net, 0.0)
            losses -= min(net, 0.0)
            slot = ahead[then]
        state[0], state[1], state[2], state[3], state[4] = growth, below, total, squares, worst
        state[5], state[6], state[7], state[8] = gains, losses, trades, wins
        state[9], state[10], state[11] = exposed, refused, slot
        if held >= 0:
            # Still held where this span ends: walked for itself, as far as there.
            if not _walk_once(
                candles[held], z, hedge, open1, open2, close1, close2, p, exits[e : e + 1], end,
                closing, scratch[:1], then_of[:1],
            ):  # fmt: skip
                return False
            path = scratch[0]
            total += path[_SUM]
            squares += path[_SQUARES]
            worst = min(worst, min(path[_DRAWDOWN], below * path[_LOW] - 1.0))
            trades += 1
            exposed += int(path[_EXPOSED])
            net = growth * (path[_GROWTH] - 1.0)
            growth *= path[_GROWTH]
            if closing:
                wins += net > 0.0
                gains += max(net, 0.0)
                losses -= min(net, 0.0)
        out = totals[k]
        out[:] = math.nan
        out[T_EQUITY] = growth * p[EQUITY]
        out[T_SUM] = total
        out[T_SQUARES] = squares
        out[T_DRAWDOWN] = worst
        out[T_TRADES] = trades
        out[T_WINS] = wins
        out[T_EXPOSED] = exposed
        out[T_REFUSED] = refused
        out[T_OPEN] = 1.0 if held >= 0 and not closing else 0.0
        out[T_GAINS] = gains * p[EQUITY]
        out[T_LOSSES] = losses * p[EQUITY]
    return True


def fresh_states(combinations: int) -> Any:
    """States of `shared_grid` before its first hop: nothing earned, nowhere yet."""
    out = np.zeros((combinations, N_STATE))
    out[:, :2] = 1.0
    out[:, 11] = -1.0
    return out
