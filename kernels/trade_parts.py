"""The parts of a trade that `kernels.trade_loop` and `kernels.sweep` are made of, inlined there.

Finding the entry and the exit, filling both legs, holding (plain, or candle by candle with stops,
funding and re-hedging). They compile the very functions of `kernels.scalars` that the live desk
calls.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels import scalars
from kernels.columns import (
    CLOSE_END,
    ENTRY,
    EXIT,
    FEE,
    IMPACT,
    LAG,
    MAX_HOLDING,
    MIN_NOTIONAL2,
    REHEDGE_DRIFT,
    SLIP,
    SLIP_CAP,
    SPREAD_STOP,
    STEP2,
    TAKE_PROFIT,
    Z_STOP,
)
from kernels.types import F1, f8, i8

decide = njit(cache=True, nogil=True, error_model="numpy")(scalars.decide)
frozen_move = njit(cache=True, nogil=True, error_model="numpy")(scalars.frozen_move)
round_to_step = njit(cache=True, nogil=True, error_model="numpy")(scalars.round_to_step)
slippage_fraction = njit(cache=True, nogil=True, error_model="numpy")(scalars.slippage_fraction)
fill_price = njit(cache=True, nogil=True, error_model="numpy")(scalars.fill_price)
funding_payment = njit(cache=True, nogil=True, error_model="numpy")(scalars.funding_payment)
spread_units = njit(cache=True, nogil=True, error_model="numpy")(scalars.spread_units)


@njit(cache=True, nogil=True, error_model="numpy")
def accepted(quantity: Any, price: Any, step: Any, min_qty: Any, min_notional: Any) -> Any:
    """Rounded quantity, 0 where the exchange would refuse it; as `trading.sizing`."""
    q = round_to_step(quantity, step)
    if abs(q) < min_qty or abs(q) * price < min_notional:
        return 0.0
    return q


@njit(
    types.UniTuple(f8, 5)(F1, F1, f8, f8, f8, i8, i8, f8, f8, f8),
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"contract"},
)
def walk_held(
    close1: Any,
    close2: Any,
    base: Any,
    q1: Any,
    q2: Any,
    start: Any,
    stop: Any,
    previous: Any,
    peak: Any,
    worst: Any,
) -> Any:
    """Σ r, Σ r², peak, deepest drawdown and the candle after the last, over held closes.

    Equity at a close is ``base + q1 · close1 + q2 · close2`` and r its change since the one
    before. Drawdown is divided out at new lows only. Stops early after equity is used up.
    """
    total = 0.0
    squares = 0.0
    low = peak * (1.0 + worst)
    t = start
    while t < stop:
        e = base + q1 * close1[t] + q2 * close2[t]
        r = e / previous - 1.0
        total += r
        squares += r * r
        previous = e
        t += 1
        if e > peak:
            peak = e
            low = peak * (1.0 + worst)
        elif e < low:
            worst = e / peak - 1.0
            low = e
            if e <= 0.0:
                break
    return total, squares, peak, worst, float(t)


@intrinsic
def _prefetch_at(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask memory for ``array[index]`` without waiting; an index outside is harmless."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, args[0])
        pointer = builder.gep(view.data, [args[1]])
        pointer = builder.bitcast(pointer, cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t] + [ir.IntType(32)] * 3)
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(call, [pointer, *(ir.Constant(ir.IntType(32), v) for v in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


prefetch: Any = _prefetch_at


@njit(cache=True, nogil=True, error_model="numpy")
def first_entry(z: Any, entry_th: Any, start: Any, stop: Any) -> Any:
    """First candle in ``start … stop − 1`` whose z asks for a position; ``stop`` where none."""
    t = start
    while t < stop and not (z[t] > entry_th or z[t] < -entry_th):
        t += 1
    return t


@njit(cache=True, nogil=True, error_model="numpy")
def first_exit(z: Any, side: Any, exit_th: Any, start: Any, stop: Any) -> Any:
    """First candle in ``start … stop − 1`` whose z leaves the position; ``stop`` where none."""
    t = start
    if side > 0:
        while t < stop and not z[t] >= -exit_th:
            t += 1
    else:
        while t < stop and not z[t] <= exit_th:
            t += 1
    return t


@njit(cache=True, nogil=True, error_model="numpy")
def hold_in_blocks(
    close1: Any,
    close2: Any,
    base: Any,
    q1: Any,
    q2: Any,
    start: Any,
    stop: Any,
    previous: Any,
    peak: Any,
    worst: Any,
    begin: Any,
    per_block: Any,
    blocks: Any,
) -> Any:
    """`walk_held`, block of candles by block, adding each one's sums to ``blocks``."""
    total, squares = 0.0, 0.0
    t = start
    k = start
    while k < stop:
        # As far as the block of candles that `k` is in.
        w = int((k - begin) * per_block)
        edge = k + 1
        while edge < stop and int((edge - begin) * per_block) == w:
            edge += 1
        s, s2, peak, worst, reached = walk_held(
            close1, close2, base, q1, q2, k, edge, previous, peak, worst
        )
        total += s
        squares += s2
        blocks[w, 0] += s
        blocks[w, 1] += s2
        t = int(reached)
        k = edge if t == edge else stop
        previous = base + q1 * close1[t - 1] + q2 * close2[t - 1]
    return total, squares, peak, worst, float(t)


@njit(cache=True, nogil=True, error_model="numpy")
def deepened(e: Any, peak: Any, worst: Any, low: Any) -> Any:
    """Peak, deepest drawdown and the equity that would deepen it, after one more equity."""
    if e > peak:
        return e, worst, e * (1.0 + worst)
    if e < low:
        return peak, e / peak - 1.0, e
    return peak, worst, low


@njit(cache=True, nogil=True, error_model="numpy")
def fill_both(q1: Any, q2: Any, raw1: Any, raw2: Any, slip1: Any, slip2: Any, fee_rate: Any) -> Any:
    """Trade both legs: two prices, fees and slippage of leg 1 and of both, notional."""
    price1 = fill_price(raw1, q1, slip1)
    price2 = fill_price(raw2, q2, slip2)
    fees1 = abs(q1) * price1 * fee_rate
    fees = fees1 + abs(q2) * price2 * fee_rate
    slipped1 = abs(q1 * (price1 - raw1))
    slipped = slipped1 + abs(q2 * (price2 - raw2))
    return price1, price2, fees1, fees, slipped1, slipped, abs(q1) * price1 + abs(q2) * price2


@njit(cache=True, nogil=True, error_model="numpy")
def funding_due(full: Any, t: Any, q1: Any, q2: Any, open1: Any, open2: Any) -> Any:
    """Funding paid at the open of candle t, by leg 1 and by both."""
    if full[5][t] == 0.0 and full[6][t] == 0.0:
        return 0.0, 0.0
    paid1 = funding_payment(q1, open1[t], full[5][t])
    return paid1, paid1 + funding_payment(q2, open2[t], full[6][t])


@njit(cache=True, nogil=True, error_model="numpy")
def finer_stop(
    full: Any, t: Any, side: Any, in1: Any, in2: Any, beta: Any, spread_stop: Any, take_profit: Any
) -> Any:
    """What the finer closes within candle t ask for, and the finer candle of the fill.

    −1 where it is not in this candle: after the last finer close the next finer open is the next
    candle's, where every exit decided on this close is filled.
    """
    stop = full[7][t + 1]
    for k in range(full[7][t], stop):
        move = frozen_move(side, full[10][k], full[11][k], in1, in2, beta)
        if move <= -spread_stop:
            return scalars.EXIT_SPREAD_STOP, k + 1 if k + 1 < stop else -1
        if move >= take_profit:
            return scalars.EXIT_TAKE_PROFIT, k + 1 if k + 1 < stop else -1
    return scalars.STAY, -1


@njit(cache=True, nogil=True, error_model="numpy")
def rehedge(p: Any, wanted: Any, units: Any, q2: Any, price: Any, volume: Any) -> Any:
    """New quantity of leg 2 at the ratio ``wanted``, what is traded for it (0: none), and price.

    ``units`` is signed with the side.
    """
    new2 = round_to_step(-units * wanted, p[STEP2])
    dq = new2 - q2
    if abs(dq) * price < p[MIN_NOTIONAL2] or dq == 0.0 or new2 == 0.0:
        return q2, 0.0, price
    slip = slippage_fraction(p[SLIP], p[IMPACT], p[SLIP_CAP], dq, volume)
    return new2, dq, fill_price(price, dq, slip)


@njit(cache=True, nogil=True, error_model="numpy")
def hold_full(
    z: Any,
    hedge: Any,
    open1: Any,
    open2: Any,
    close1: Any,
    close2: Any,
    p: Any,
    end: Any,
    full: Any,
    entry: Any,
    position: Any,
    path: Any,
    n_rehedges: Any,
) -> Any:
    """Hold a position candle by candle until something ends it, or the data do.

    One function of some length: its twenty running values are what it returns.

    Parameters
    ----------
    entry : tuple
        Candles of signal and fill, side, units, hedge ratio, fill prices.
    position : tuple
        Quantities, value of leg 2 at its fills, base: equity at a close is
        ``base + q1 · close1 + q2 · close2``.
    path : tuple
        Equity before, its peak, deepest drawdown.

    Returns
    -------
    tuple
        Candle of the exit's fill (or the end), reason, finer candle of the fill, quantity 2,
        value of leg 2, base; fees, slippage and notional of re-hedges; funding of both legs and of
        leg 1; Σ r, Σ r², last equity, peak, deepest drawdown; number of re-hedges.
    """
    i, f, side, units, beta, in1, in2 = entry
    q1, q2, flow2, base = position
    previous, peak, worst = path
    low = peak * (1.0 + worst)
    z_stop, spread_stop, take_profit = p[Z_STOP], p[SPREAD_STOP], p[TAKE_PROFIT]
    lag, drift, beta_held = int(p[LAG]), p[REHEDGE_DRIFT], beta
    closing = p[CLOSE_END] != 0.0
    fees, slipped, turnover, funding, funding1 = 0.0, 0.0, 0.0, 0.0, 0.0
    total, squares = 0.0, 0.0
    code, fine_out = scalars.STAY, -1
    t = f
    while True:
        if t > f:
            paid1, paid = funding_due(full, t, q1, q2, open1, open2)
            base -= paid
            funding += paid
            funding1 += paid1
        if drift < math.inf and lag == 1 and t > f:
            wanted = hedge[t - 1]
            if abs(wanted - beta_held) > drift * abs(beta_held):
                q2, dq, price = rehedge(p, wanted, side * units, q2, open2[t], full[3][t])
                if dq != 0.0:
                    paid = abs(dq) * price * p[FEE]
                    fees += paid
                    slipped += abs(dq * (price - open2[t]))
                    turnover += abs(dq) * price
                    base -= dq * price + paid
                    flow2 += dq * price
                    beta_held = wanted
                    record = full[12][n_rehedges]
                    record[0], record[1], record[2], record[3] = t, dq, price, paid
                    n_rehedges += 1
        if lag == 1:
            code, fine_out = finer_stop(full, t, side, in1, in2, beta, spread_stop, take_profit)
            if fine_out >= 0:
                break
        e = base + q1 * close1[t] + q2 * close2[t]
        if code == scalars.STAY and t < end - lag and t > i:
            move = frozen_move(side, close1[t], close2[t], in1, in2, beta)
            code = decide(
                z[t], side, t - i, move, False, p[ENTRY], p[EXIT], z_stop, spread_stop,
                take_profit, int(p[MAX_HOLDING]),
            )  # fmt: skip
        if code != scalars.STAY and lag == 0:
            break
        if t == end - 1 and closing:
            code = scalars.EXIT_FORCED
            break
        r = e / previous - 1.0
        total += r
        squares += r * r
        previous = e
        peak, worst, low = deepened(e, peak, worst, low)
        if e <= 0.0:
            code = scalars.EXIT_RUIN
        t += 1
        if code != scalars.STAY or t >= end:
            break
    return (
        t, code, fine_out, q2, flow2, base, fees, slipped, turnover, funding, funding1, total,
        squares, previous, peak, worst, n_rehedges,
    )  # fmt: skip
