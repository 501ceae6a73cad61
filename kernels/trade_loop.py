"""The backtest's loop over two legs with all their costs.

`trade_loop` hops from trade to trade: flat stretches are only scanned for an entry. Arguments
that are None are pruned when numba compiles, so the plain case (thresholds, sizing, fees, fixed
slippage) and the full one (stops on finer candles, masks, funding, volume, re-hedging) are one text
and two machine codes. What has a name of its own is a function of `kernels.trade_parts`, inlined
when compiled. What is left here is the sequence of one trade, in one function because its thirty
running totals stay in registers between trades.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from kernels import scalars
from kernels.columns import (
    AMOUNT,
    CLOSE_END,
    COOLDOWN,
    ENTRY,
    EQUITY,
    EXIT,
    FEE,
    IMPACT,
    LAG,
    LEVERAGE,
    MIN_NOTIONAL1,
    MIN_NOTIONAL2,
    MIN_QTY1,
    MIN_QTY2,
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
from kernels.trade_parts import (
    accepted,
    decide,
    deepened,
    fill_both,
    first_entry,
    first_exit,
    funding_due,
    hold_full,
    hold_in_blocks,
    prefetch,
    slippage_fraction,
    spread_units,
    walk_held,
)


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
    cooldown = 0
    n_rehedges = 0
    infinite = -1
    if full is not None:
        z_stop, spread_stop, take_profit = p[Z_STOP], p[SPREAD_STOP], p[TAKE_PROFIT]
        cooldown = int(p[COOLDOWN])
    total = 0.0
    squares = 0.0
    peak = equity
    worst = 0.0
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
            i = first_entry(z, entry_th, i, last_entry)
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
            j = first_exit(z, side, exit_th, i + 1, last)
            if j < last:
                code = scalars.EXIT_ZSCORE
                stop = j + lag
                # What lies far apart in memory is asked for before it is needed.
                prefetch(open1, stop)
                prefetch(open2, stop)
                ahead = first_entry(z, entry_th, j + 1, last_entry)
                prefetch(hedge, ahead)
                prefetch(open1, ahead + 1)
                prefetch(open2, ahead + 1)
                prefetch(close1, ahead)
                prefetch(close2, ahead)
                prefetch(close1, ahead + 8)
                prefetch(close2, ahead + 8)
            elif p[CLOSE_END] != 0.0:
                code = scalars.EXIT_FORCED
                stop = end - 1
        vol_year = nan
        if full is not None:
            vol_year = full[4][i]
        units = spread_units(int(p[SIZE_BY]), p[AMOUNT], p[LEVERAGE], equity, gross_unit, vol_year)
        q1 = accepted(side * units, close1[i], p[STEP1], p[MIN_QTY1], p[MIN_NOTIONAL1])
        q2 = accepted(-side * units * beta, close2[i], p[STEP2], p[MIN_QTY2], p[MIN_NOTIONAL2])
        if not (q1 != 0.0 and q2 != 0.0 and abs(q2) < inf):
            refused += 1
            i += 1
            continue
        slip1, slip2 = slip, slip
        if full is not None:
            slip1 = slippage_fraction(slip, impact, cap, q1, full[2][f])
            slip2 = slippage_fraction(slip, impact, cap, q2, full[3][f])
        in1, in2, fees1, fees, slipped1, slipped, notional = fill_both(
            q1, q2, raw1, raw2, slip1, slip2, fee_rate
        )
        turnover += notional
        funding = 0.0
        funding1 = 0.0
        flow2 = q2 * in2
        q2_in = q2
        # Equity at a close is base + q1 · close1 + q2 · close2.
        base = equity - fees - q1 * in1 - flow2
        previous = equity
        fine_out = -1
        if full is None:
            if blocks is None:
                s, s2, peak, worst, reached = walk_held(
                    close1, close2, base, q1, q2, f, stop, previous, peak, worst
                )
            else:
                s, s2, peak, worst, reached = hold_in_blocks(
                    close1, close2, base, q1, q2, f, stop, previous, peak, worst, begin,
                    per_block, blocks,
                )  # fmt: skip
            t = int(reached)
            if t > f:
                previous = base + q1 * close1[t - 1] + q2 * close2[t - 1]
                if t < stop or previous <= 0.0:
                    code = scalars.EXIT_RUIN
        else:
            (
                t, code, fine_out, q2, flow2, base, more_fees, more_slipped, notional, funding,
                funding1, s, s2, previous, peak, worst, n_rehedges,
            ) = hold_full(
                z, hedge, open1, open2, close1, close2, p, end, full,
                (i, f, side, units, beta, in1, in2), (q1, q2, flow2, base),
                (equity, peak, worst), n_rehedges,
            )  # fmt: skip
            fees += more_fees
            slipped += more_slipped
            turnover += notional
        total += s
        squares += s2
        # `t` is now the candle of the exit's fill, or the end.
        exposed += min(t, end) - f
        if t >= end:
            code = scalars.STAY
        e = previous
        fill_out = -1.0
        signal_out = -1.0
        out1, out2 = nan, nan
        gross1, gross2 = 0.0, 0.0
        if code == scalars.STAY:
            open_at_end = 1.0
            gross1 = q1 * (close1[end - 1] - in1)
            gross2 = q2 * close2[end - 1] - flow2
        else:
            if full is not None and fine_out >= 0:
                signal_out = t
                raw1, raw2 = full[8][fine_out], full[9][fine_out]
            elif code == scalars.EXIT_FORCED or lag == 0:
                signal_out = t
                raw1, raw2 = close1[t], close2[t]
            else:
                signal_out = t - 1
                raw1, raw2 = open1[t], open2[t]
                if full is not None:
                    paid1, paid = funding_due(full, t, q1, q2, open1, open2)
                    base -= paid
                    funding += paid
                    funding1 += paid1
            if full is not None:
                slip1 = slippage_fraction(slip, impact, cap, q1, full[2][t])
                slip2 = slippage_fraction(slip, impact, cap, q2, full[3][t])
            out1, out2, paid1, paid, s1, s2, notional = fill_both(
                -q1, -q2, raw1, raw2, slip1, slip2, fee_rate
            )
            fees1 += paid1
            fees += paid
            slipped1 += s1
            slipped += s2
            turnover += notional
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
            peak, worst, _ = deepened(e, peak, worst, peak * (1.0 + worst))
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
            values = (
                float(side), float(i), float(f), signal_out, fill_out, q1, q2, in1, in2,
                out1, out2, beta, float(code), fees, slipped, funding, gross1, gross2, equity, e,
                float(fine_out), fees1, funding1, slipped1, q2_in,
            )  # fmt: skip
            # In the order of the columns of a trade.
            for column in range(len(values)):
                trades[count, column] = values[column]
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
