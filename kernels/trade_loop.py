"""The backtest's loop over two legs with all their costs.

`trade_loop` hops from trade to trade: flat stretches are only scanned for an entry. It compiles
the very functions of `kernels.scalars` that the live desk calls. Arguments that are None are
pruned when numba compiles, so the plain case (thresholds, sizing, fees, fixed slippage) and the
full one (stops on finer candles, masks, funding, volume, re-hedging) are one text and two machine
codes. It is one long function on purpose: its some thirty running values stay in registers, and
one text is what keeps the plain and the full case from drifting apart.
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
    AMOUNT,
    C_EQUITY_IN,
    C_EQUITY_OUT,
    C_FEES,
    C_FEES1,
    C_FILL_IN,
    C_FILL_OUT,
    C_FINE_OUT,
    C_FUNDING,
    C_FUNDING1,
    C_GROSS1,
    C_GROSS2,
    C_HEDGE,
    C_IN1,
    C_IN2,
    C_OUT1,
    C_OUT2,
    C_QTY1,
    C_QTY2,
    C_QTY2_IN,
    C_REASON,
    C_SIDE,
    C_SIGNAL_IN,
    C_SIGNAL_OUT,
    C_SLIPPAGE,
    C_SLIPPAGE1,
    CLOSE_END,
    COOLDOWN,
    ENTRY,
    EQUITY,
    EXIT,
    FEE,
    IMPACT,
    LAG,
    LEVERAGE,
    MAX_HOLDING,
    MIN_NOTIONAL1,
    MIN_NOTIONAL2,
    MIN_QTY1,
    MIN_QTY2,
    REHEDGE_DRIFT,
    SIZE_BY,
    SLIP,
    SLIP_CAP,
    SPREAD_STOP,
    STEP1,
    STEP2,
    T_DRAWDOWN,
    T_EQUITY,
    T_EXPOSED,
    T_FEES,
    T_FUNDING,
    T_GAINS,
    T_LOSSES,
    T_OPEN,
    T_REFUSED,
    T_SLIPPAGE,
    T_SQUARES,
    T_SUM,
    T_TRADES,
    T_TURNOVER,
    T_WINS,
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
def _accepted(quantity: Any, price: Any, step: Any, min_qty: Any, min_notional: Any) -> Any:
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
def _walk_held(
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


_prefetch: Any = _prefetch_at


@njit(cache=True, nogil=True, error_model="numpy")
def _first_entry(z: Any, entry_th: Any, start: Any, stop: Any) -> Any:
    """First candle in ``start … stop − 1`` whose z asks for a position; ``stop`` where none."""
    t = start
    while t < stop and not (z[t] > entry_th or z[t] < -entry_th):
        t += 1
    return t


@njit(cache=True, nogil=True, error_model="numpy")
def _first_exit(z: Any, side: Any, exit_th: Any, start: Any, stop: Any) -> Any:
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
def trade_loop(
    z: Any,
    hedge: Any,
    open1: Any,
    open2: Any,
    close1: Any,
    close2: Any,
    p: Any,
    begin: Any,
    end: Any,
    out: Any,
    trades: Any,
    blocks: Any,
    full: Any,
) -> Any:
    """Trade two legs over candles ``begin … end − 1``.

    Parameters
    ----------
    z, hedge : (n,) float64
        Known at each close.
    open1, open2, close1, close2 : (n,) float64
        Prices of the legs; with lag 1 fills are at the open of the next candle.
    p : (N_SETTINGS,) float64
        Settings, by the column names above.
    begin, end : int
        Half-open span; nothing outside of it is looked at.
    out : (N_TOTALS,) float64
        Written: totals.
    trades : (k, N_TRADE) float64 or None
        Written row by row where given.
    blocks : (b, 2) float64 or None
        Sums of returns and of their squares are added by equal blocks of candles.
    full : tuple of arrays or None
        ``(may_enter, may_fill, volume1, volume2, vol_year, funding1, funding2, fine_start,
        fine_open1, fine_open2, fine_close1, fine_close2, rehedges)``.

    Returns
    -------
    tuple of int
        Trades, re-hedges, and the first candle whose infinite z was acted on, −1 where none.
    """
    entry_th, exit_th = p[ENTRY], p[EXIT]
    fee_rate, slip, impact, cap = p[FEE], p[SLIP], p[IMPACT], p[SLIP_CAP]
    lag = int(p[LAG])
    last = end - lag
    # Where positions are closed at the edge, nothing is opened on the last close.
    last_entry = min(last, end - 1) if p[CLOSE_END] != 0.0 else last
    equity = p[EQUITY]
    nan, inf = math.nan, math.inf
    z_stop, spread_stop, take_profit = inf, inf, inf
    max_holding, cooldown = 0, 0
    n_rehedges = 0
    infinite = -1
    if full is not None:
        z_stop, spread_stop, take_profit = p[Z_STOP], p[SPREAD_STOP], p[TAKE_PROFIT]
        max_holding, cooldown = int(p[MAX_HOLDING]), int(p[COOLDOWN])
    drift = p[REHEDGE_DRIFT]
    total = 0.0
    squares = 0.0
    peak = equity
    worst = 0.0
    low = equity
    per_block = 1.0
    if blocks is not None:
        per_block = blocks.shape[0] / (end - begin)
    count = 0
    wins = 0
    exposed = 0
    refused = 0
    turnover = 0.0
    all_fees = 0.0
    all_slip = 0.0
    all_funding = 0.0
    gains = 0.0
    losses = 0.0
    open_at_end = 0.0
    free = begin
    i = begin
    while i < last_entry:
        # Flat: look for an entry.
        if full is None:
            i = _first_entry(z, entry_th, i, last_entry)
            if i >= last_entry:
                break
            side = -1 if z[i] > entry_th else 1
        else:
            may = i >= free and full[0][i] != 0 and equity > 0.0
            code = decide(
                z[i], 0, 0, nan, may, entry_th, exit_th, z_stop, spread_stop, take_profit, 0
            )
            if code == scalars.STAY:
                i += 1
                continue
            side = 1 if code == scalars.ENTER_LONG else -1
        f = i + lag
        if full is not None and full[1][f] == 0:
            i += 1
            continue
        beta = hedge[i]
        raw1 = open1[f] if lag == 1 else close1[f]
        raw2 = open2[f] if lag == 1 else close2[f]
        gross_unit = close1[i] + abs(beta) * close2[i]
        code = scalars.STAY
        stop = end
        ahead = i + 1
        if full is None:
            j = _first_exit(z, side, exit_th, i + 1, last)
            if j < last:
                code = scalars.EXIT_ZSCORE
                stop = j + lag
                # What lies far apart in memory is asked for before it is needed.
                _prefetch(open1, stop)
                _prefetch(open2, stop)
                ahead = _first_entry(z, entry_th, j + 1, last_entry)
                _prefetch(hedge, ahead)
                _prefetch(open1, ahead + 1)
                _prefetch(open2, ahead + 1)
                _prefetch(close1, ahead)
                _prefetch(close2, ahead)
                _prefetch(close1, ahead + 8)
                _prefetch(close2, ahead + 8)
            elif p[CLOSE_END] != 0.0:
                code = scalars.EXIT_FORCED
                stop = end - 1
        vol_year = nan
        if full is not None:
            vol_year = full[4][i]
        units = spread_units(int(p[SIZE_BY]), p[AMOUNT], p[LEVERAGE], equity, gross_unit, vol_year)
        q1 = _accepted(side * units, close1[i], p[STEP1], p[MIN_QTY1], p[MIN_NOTIONAL1])
        q2 = _accepted(-side * units * beta, close2[i], p[STEP2], p[MIN_QTY2], p[MIN_NOTIONAL2])
        if not (q1 != 0.0 and q2 != 0.0 and abs(q2) < inf):
            refused += 1
            i += 1
            continue
        slip1, slip2 = slip, slip
        if full is not None:
            slip1 = slippage_fraction(slip, impact, cap, q1, full[2][f])
            slip2 = slippage_fraction(slip, impact, cap, q2, full[3][f])
        in1 = fill_price(raw1, q1, slip1)
        in2 = fill_price(raw2, q2, slip2)
        fees1 = abs(q1) * in1 * fee_rate
        fees = fees1 + abs(q2) * in2 * fee_rate
        slipped1 = abs(q1 * (in1 - raw1))
        slipped = slipped1 + abs(q2 * (in2 - raw2))
        turnover += abs(q1) * in1 + abs(q2) * in2
        funding = 0.0
        funding1 = 0.0
        flow2 = q2 * in2
        q2_in = q2
        # Equity at a close is base + q1 · close1 + q2 · close2.
        base = equity - fees - q1 * in1 - flow2
        beta_held = beta
        previous = equity
        t = f
        fine_out = -1
        out1 = 0.0
        out2 = 0.0
        if full is None:
            t = stop
            if blocks is None:
                s, s2, peak, worst, reached = _walk_held(
                    close1, close2, base, q1, q2, f, stop, previous, peak, worst
                )
                total += s
                squares += s2
                t = int(reached)
            else:
                k = f
                while k < stop:
                    # As far as the block of candles that `k` is in.
                    w = int((k - begin) * per_block)
                    edge = k + 1
                    while edge < stop and int((edge - begin) * per_block) == w:
                        edge += 1
                    s, s2, peak, worst, reached = _walk_held(
                        close1, close2, base, q1, q2, k, edge, previous, peak, worst
                    )
                    total += s
                    squares += s2
                    blocks[w, 0] += s
                    blocks[w, 1] += s2
                    t = int(reached)
                    k = edge if t == edge else stop
                    previous = base + q1 * close1[t - 1] + q2 * close2[t - 1]
            low = peak * (1.0 + worst)
            if t > f:
                previous = base + q1 * close1[t - 1] + q2 * close2[t - 1]
                if t < stop or previous <= 0.0:
                    code = scalars.EXIT_RUIN
        if full is not None:
            while True:
                if t > f and (full[5][t] != 0.0 or full[6][t] != 0.0):
                    paid1 = funding_payment(q1, open1[t], full[5][t])
                    paid = paid1 + funding_payment(q2, open2[t], full[6][t])
                    base -= paid
                    funding += paid
                    funding1 += paid1
                if drift < inf and lag == 1 and t > f:
                    wanted = hedge[t - 1]
                    if abs(wanted - beta_held) > drift * abs(beta_held):
                        new2 = round_to_step(-side * units * wanted, p[STEP2])
                        dq = new2 - q2
                        if abs(dq) * open2[t] >= p[MIN_NOTIONAL2] and dq != 0.0 and new2 != 0.0:
                            s2 = slippage_fraction(slip, impact, cap, dq, full[3][t])
                            price = fill_price(open2[t], dq, s2)
                            paid = abs(dq) * price * fee_rate
                            fees += paid
                            slipped += abs(dq * (price - open2[t]))
                            turnover += abs(dq) * price
                            base -= dq * price + paid
                            flow2 += dq * price
                            q2 = new2
                            beta_held = wanted
                            full[12][n_rehedges, 0] = t
                            full[12][n_rehedges, 1] = dq
                            full[12][n_rehedges, 2] = price
                            full[12][n_rehedges, 3] = paid
                            n_rehedges += 1
                a, b = full[7][t], full[7][t + 1]
                if b > a and lag == 1:
                    for k in range(a, b):
                        move = frozen_move(side, full[10][k], full[11][k], in1, in2, beta)
                        if move <= -spread_stop:
                            code = scalars.EXIT_SPREAD_STOP
                        elif move >= take_profit:
                            code = scalars.EXIT_TAKE_PROFIT
                        if code != scalars.STAY:
                            # Filled at the next finer open; past this candle the loop below does.
                            if k + 1 < b:
                                fine_out = k + 1
                                out1, out2 = full[8][k + 1], full[9][k + 1]
                            break
                    if fine_out >= 0:
                        break
                e = base + q1 * close1[t] + q2 * close2[t]
                if code == scalars.STAY and t < last and t > i:
                    move = frozen_move(side, close1[t], close2[t], in1, in2, beta)
                    code = decide(
                        z[t],
                        side,
                        t - i,
                        move,
                        False,
                        entry_th,
                        exit_th,
                        z_stop,
                        spread_stop,
                        take_profit,
                        max_holding,
                    )
                if code != scalars.STAY and lag == 0:
                    break
                if t == end - 1 and p[CLOSE_END] != 0.0:
                    code = scalars.EXIT_FORCED
                    break
                r = e / previous - 1.0
                total += r
                squares += r * r
                previous = e
                if e > peak:
                    peak = e
                    low = peak * (1.0 + worst)
                elif e < low:
                    worst = e / peak - 1.0
                    low = e
                    if e <= 0.0:
                        code = scalars.EXIT_RUIN
                t += 1
                if code != scalars.STAY or t >= end:
                    break
        # `t` is now the candle of the exit's fill, or the end.
        exposed += min(t, end) - f
        if t >= end:
            code = scalars.STAY
        e = previous
        fill_out = -1.0
        signal_out = -1.0
        gross1 = 0.0
        gross2 = 0.0
        if code == scalars.STAY:
            open_at_end = 1.0
            gross1 = q1 * (close1[end - 1] - in1)
            gross2 = q2 * close2[end - 1] - flow2
        else:
            if fine_out >= 0:
                signal_out = t
            elif code == scalars.EXIT_FORCED or lag == 0:
                signal_out = t
                out1, out2 = close1[t], close2[t]
            else:
                signal_out = t - 1
                out1, out2 = open1[t], open2[t]
                if full is not None and (full[5][t] != 0.0 or full[6][t] != 0.0):
                    paid1 = funding_payment(q1, open1[t], full[5][t])
                    paid = paid1 + funding_payment(q2, open2[t], full[6][t])
                    base -= paid
                    funding += paid
                    funding1 += paid1
            raw1, raw2 = out1, out2
            if full is not None:
                slip1 = slippage_fraction(slip, impact, cap, q1, full[2][t])
                slip2 = slippage_fraction(slip, impact, cap, q2, full[3][t])
            out1 = fill_price(raw1, -q1, slip1)
            out2 = fill_price(raw2, -q2, slip2)
            paid1 = abs(q1) * out1 * fee_rate
            paid = paid1 + abs(q2) * out2 * fee_rate
            fees += paid
            fees1 += paid1
            s1 = abs(q1 * (out1 - raw1))
            slipped1 += s1
            slipped += s1 + abs(q2 * (out2 - raw2))
            turnover += abs(q1) * out1 + abs(q2) * out2
            gross1 = q1 * (out1 - in1)
            gross2 = q2 * out2 - flow2
            e = base + q1 * out1 + q2 * out2 - paid
            fill_out = t
            r = e / previous - 1.0 if previous > 0.0 else 0.0
            total += r
            squares += r * r
            if blocks is not None:
                w = int((t - begin) * per_block)
                blocks[w, 0] += r
                blocks[w, 1] += r * r
            if e > peak:
                peak = e
                low = peak * (1.0 + worst)
            elif e < low:
                worst = e / peak - 1.0
                low = e
            net = e - equity
            if net > 0.0:
                wins += 1
                gains += net
            else:
                losses -= net
        if infinite < 0 and abs(z[i]) == inf:
            infinite = i
        elif infinite < 0 and signal_out >= 0.0 and abs(z[int(signal_out)]) == inf:
            infinite = int(signal_out)
        all_fees += fees
        all_slip += slipped
        all_funding += funding
        if trades is not None:
            row = trades[count]
            row[C_SIDE] = side
            row[C_SIGNAL_IN] = i
            row[C_FILL_IN] = f
            row[C_SIGNAL_OUT] = signal_out
            row[C_FILL_OUT] = fill_out
            row[C_QTY1] = q1
            row[C_QTY2] = q2
            row[C_IN1] = in1
            row[C_IN2] = in2
            row[C_OUT1] = out1 if fill_out >= 0 else nan
            row[C_OUT2] = out2 if fill_out >= 0 else nan
            row[C_HEDGE] = beta
            row[C_REASON] = code
            row[C_FEES] = fees
            row[C_SLIPPAGE] = slipped
            row[C_FUNDING] = funding
            row[C_GROSS1] = gross1
            row[C_GROSS2] = gross2
            row[C_EQUITY_IN] = equity
            row[C_EQUITY_OUT] = e
            row[C_FINE_OUT] = fine_out
            row[C_FEES1] = fees1
            row[C_FUNDING1] = funding1
            row[C_SLIPPAGE1] = slipped1
            row[C_QTY2_IN] = q2_in
        count += 1
        equity = e
        if code == scalars.STAY:
            break
        # The next decision: the candle after the one whose close (or inside) decided the exit.
        i = ahead if full is None and code == scalars.EXIT_ZSCORE else int(signal_out) + 1
        free = i + cooldown
    out[T_EQUITY] = equity
    out[T_SUM] = total
    out[T_SQUARES] = squares
    out[T_DRAWDOWN] = worst
    out[T_TRADES] = count
    out[T_WINS] = wins
    out[T_EXPOSED] = exposed
    out[T_TURNOVER] = turnover
    out[T_FEES] = all_fees
    out[T_SLIPPAGE] = all_slip
    out[T_FUNDING] = all_funding
    out[T_REFUSED] = refused
    out[T_OPEN] = open_at_end
    out[T_GAINS] = gains
    out[T_LOSSES] = losses
    return count, n_rehedges, infinite
