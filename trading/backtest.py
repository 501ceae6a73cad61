"""The pair backtest: two legs, frozen units, next-open fills, every cost.

`run_pair` is the whole of it; `mean_reversion` is the gross one on a given spread. Rules of fills,
costs and every figure: ``docs/backtest.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput
from kernels import columns as col
from trading import filters
from trading.candle_pair import Array, PairCandles, frozen_array, pair_candles
from trading.costs import BPS, FREE, Costs
from trading.metrics import YEAR_MS
from trading.pair_result import PairBacktest
from trading.signals import HedgePlan, Signals, make_signals, spread_volatility
from trading.sizing import SIZE_CODES, Sizing
from trading.spread_trades import FillOn, SpreadBacktest, lag_of, mean_reversion
from trading.strategy import Rules

__all__ = [
    "FREE",
    "Costs",
    "HedgePlan",
    "PairBacktest",
    "PairSettings",
    "Rules",
    "Sizing",
    "SpreadBacktest",
    "mean_reversion",
    "pair_candles",
    "run_pair",
]

_NO_FINER = np.zeros((1, 4))


@dataclass(frozen=True, slots=True)
class PairSettings:
    """Everything that decides a pair backtest, but the data.

    Parameters
    ----------
    rules : Rules
    hedge : HedgePlan
    z_window : int
        Candles of the rolling z-score.
    costs : Costs
        On by default: taker 5 bps, slippage 1 bps per leg and side.
    sizing : Sizing
    fill : {"next", "same"}
        "same" fills at the signal's own close: optimistic, by explicit choice only.
    starting_equity : float
        Quote currency.
    rehedge_drift : float or None
        Where given, the second leg is traded anew, and charged, whenever the hedge ratio has
        moved by this fraction from the one held. None: units stay frozen.
    session : filters.Session or None
    cointegration : filters.CointegrationFilter or None
    close_at_end : bool
        Close what is open at the last close, charged, instead of marking it.
    """

    rules: Rules = field(default_factory=Rules)
    hedge: HedgePlan = field(default_factory=HedgePlan)
    z_window: int = 60
    costs: Costs = field(default_factory=Costs)
    sizing: Sizing = field(default_factory=Sizing)
    fill: FillOn = "next"
    starting_equity: float = 10_000.0
    rehedge_drift: float | None = None
    session: filters.Session | None = None
    cointegration: filters.CointegrationFilter | None = None
    close_at_end: bool = False

    def __post_init__(self) -> None:
        lag_of(self.fill)
        if not (math.isfinite(self.starting_equity) and self.starting_equity > 0):
            raise BadInput(f"Starting equity is above 0, found {self.starting_equity}.")
        if self.rehedge_drift is not None and not self.rehedge_drift > 0:
            raise BadInput(f"The re-hedge drift is above 0, found {self.rehedge_drift}.")
        if self.rehedge_drift is not None and self.fill == "same":
            raise BadInput("Re-hedging needs fills on the next candle.")

    def with_thresholds(self, entry_th: float, exit_th: float) -> PairSettings:
        """The same settings with other thresholds."""
        return replace(self, rules=replace(self.rules, entry_th=entry_th, exit_th=exit_th))


def settings_row(settings: PairSettings) -> Array:
    """Settings as the row of numbers the kernel reads."""
    rules, costs, sizing = settings.rules, settings.costs, settings.sizing
    row = np.zeros(col.N_SETTINGS)
    row[: col.COOLDOWN + 1] = (
        rules.entry_th,
        rules.exit_th,
        rules.z_stop,
        rules.spread_stop,
        rules.take_profit,
        rules.max_holding,
        rules.cooldown,
    )
    row[col.SIZE_BY : col.SLIP_CAP + 1] = (
        SIZE_CODES[sizing.by],
        sizing.amount,
        sizing.leverage_limit,
        costs.fee_rate,
        costs.fixed_slippage,
        costs.impact,
        costs.slippage_cap_bps * BPS,
    )
    for first, leg in ((col.STEP1, sizing.rules1), (col.STEP2, sizing.rules2)):
        row[first : first + 3] = leg.step_size, leg.min_quantity, leg.min_notional
    row[col.EQUITY] = settings.starting_equity
    row[col.REHEDGE_DRIFT] = math.inf if settings.rehedge_drift is None else settings.rehedge_drift
    row[col.LAG] = lag_of(settings.fill)
    row[col.CLOSE_END] = settings.close_at_end
    row.flags.writeable = False
    return row


def run_pair(
    candles: PairCandles,
    settings: PairSettings | None = None,
    *,
    signals: Signals | None = None,
    fine: PairCandles | None = None,
    funding1: pd.Series | float | None = None,
    funding2: pd.Series | float | None = None,
    gaps: Sequence[tuple[int, int]] = (),
    market: pd.Series | None = None,
) -> PairBacktest:
    """Backtest a pair; nothing is known before its candle has closed.

    Parameters
    ----------
    candles : PairCandles
        Closed candles of both legs, from `pair_candles`.
    settings : PairSettings, optional
    signals : Signals, optional
        Hedge ratio, spread and z-score known at each close, in place of the settings' plan.
    fine : PairCandles, optional
        The finest stored candles of both legs: stops and targets are judged on their closes and
        filled at the next finer open, which after a candle's last finer close is the open of the
        next candle. Otherwise on the candles' closes.
    funding1, funding2 : Series of rates by time, or one set rate, or None
    gaps : sequence of (start_ms, end_ms)
        The gap ledger's half-open spans: nothing is opened in them, nor across missing candles.
    market : Series, optional
        Prices (BTC) by time, for beta.

    Returns
    -------
    PairBacktest
        An honest empty one where nothing was traded.

    Raises
    ------
    BadInput, InsufficientData
        Windows longer than the data, signals of another length, and whatever settings refuse.
    """
    settings = settings or PairSettings()
    if signals is None:
        signals = make_signals(candles, settings.hedge, settings.z_window)
    else:
        signals = _checked(signals, len(candles))
    extras = full_arrays(candles, settings, signals.hedge_ratio, fine, (funding1, funding2), gaps)
    funding = filters.Funding(extras[5], extras[6]) if extras else None
    if extras is None:
        # The totals alone take half the time; the table of trades is written when asked for.
        totals, _, _ = _run_kernel(candles, settings, signals, None, 0, len(candles), None)
        table = partial(_plain_rows, candles, settings, signals, int(totals[col.T_TRADES]))
        return PairBacktest(candles, settings, signals, table, totals, _NO_FINER[:0], market=market)
    run = simulate(candles, settings, signals, extras, 0, len(candles))
    return PairBacktest(candles, settings, signals, *run, funding, fine, market)


class Simulated(NamedTuple):
    """What the kernel wrote: trades, totals and re-hedges, candles counted from the first."""

    rows: Array
    totals: Array
    rehedges: Array


def simulate(
    candles: PairCandles,
    settings: PairSettings,
    signals: Signals,
    extras: tuple[Any, ...] | None,
    begin: int,
    end: int,
) -> Simulated:
    """Run the kernel over candles ``begin … end − 1``, with its table of trades."""
    rows = np.empty(((end - begin) // 2 + 1, col.N_TRADE))
    totals, count, rehedges = _run_kernel(candles, settings, signals, extras, begin, end, rows)
    more = extras[12] if extras else _NO_FINER
    # A view: what lies behind it was never touched, and a copy of many trades takes longer.
    return Simulated(rows[:count], totals, more[:rehedges].copy())


def _plain_rows(
    candles: PairCandles, settings: PairSettings, signals: Signals, trades: int
) -> Array:
    """The table of trades of a run without extras, whose number of trades is known."""
    rows = np.empty((trades, col.N_TRADE))
    _run_kernel(candles, settings, signals, None, 0, len(candles), rows)
    return rows


def _run_kernel(
    candles: PairCandles,
    settings: PairSettings,
    signals: Signals,
    extras: tuple[Any, ...] | None,
    begin: int,
    end: int,
    rows: Array | None,
) -> tuple[Array, int, int]:
    """Totals, number of trades and of re-hedges; trades are written into ``rows`` where given."""
    from kernels.trade_loop import trade_loop

    totals = np.zeros(col.N_TOTALS)
    count, rehedges, infinite = trade_loop(
        signals.zscore,
        signals.hedge_ratio,
        candles.open1,
        candles.open2,
        candles.close1,
        candles.close2,
        settings_row(settings),
        begin,
        end,
        totals,
        rows,
        None,
        extras,
    )
    if infinite >= 0:
        at = pd.Timestamp(int(candles.time_ms[infinite]), unit="ms", tz="UTC")
        raise BadInput(
            f"The z-score of the candle at {at:%Y-%m-%d %H:%M:%S} UTC (number {infinite}) is "
            "infinite: its window had no variation."
        )
    return totals, count, rehedges


def _checked(signals: Signals, n: int) -> Signals:
    out = Signals(*(frozen_array(part) for part in signals))
    for name, values in zip(Signals._fields, out, strict=True):
        if values.shape != (n,):
            raise BadInput(f"{name} has shape {values.shape}, the candles are {n}.")
    return out


def needs_all(
    candles: PairCandles,
    settings: PairSettings,
    fine: PairCandles | None = None,
    funding: Sequence[object] = (None, None),
    gaps: Sequence[tuple[int, int]] = (),
) -> bool:
    """Whether anything beyond thresholds, sizing, fees and fixed slippage is asked for."""
    span = int(candles.time_ms[-1] - candles.time_ms[0])
    return not (
        settings.rules.plain
        and settings.session is None
        and settings.cointegration is None
        and settings.rehedge_drift is None
        and settings.sizing.by != "volatility"
        and settings.costs.impact == 0.0
        and fine is None
        and all(rate is None for rate in funding)
        and not gaps
        and span == (len(candles) - 1) * candles.timeframe_ms
    )


def full_arrays(
    candles: PairCandles,
    settings: PairSettings,
    hedge_ratio: Array,
    fine: PairCandles | None = None,
    funding: tuple[pd.Series | float | None, pd.Series | float | None] = (None, None),
    gaps: Sequence[tuple[int, int]] = (),
) -> tuple[Any, ...] | None:
    """The full kernel's arrays, or None where the plain one will do."""
    if not needs_all(candles, settings, fine, funding, gaps):
        return None
    n = len(candles)
    pvalues, limit = None, 1.0
    if settings.cointegration is not None:
        pvalues = filters.rolling_pvalues(candles, settings.cointegration)
        limit = settings.cointegration.max_pvalue
    may_enter = filters.entry_mask(candles, settings.session, gaps, pvalues, limit)
    whole = filters.contiguous(candles) if settings.fill == "next" else np.ones(n, bool)
    volatility = np.full(n, math.nan)
    if settings.sizing.by == "volatility":
        volatility = spread_volatility(
            candles, hedge_ratio, settings.z_window, YEAR_MS / candles.timeframe_ms
        )
    rates = filters.funding_at_opens(candles, *funding)
    finer = filters.finer_of(candles, fine)
    return (
        may_enter,
        whole.astype(np.uint8),
        candles.volume1,
        candles.volume2,
        volatility,
        rates.rate1,
        rates.rate2,
        finer.start,
        finer.open1,
        finer.open2,
        finer.close1,
        finer.close2,
        np.empty((n, 4)) if settings.rehedge_drift is not None else _NO_FINER.copy(),
    )


def blocked_reasons(
    candles: PairCandles, settings: PairSettings, gaps: Sequence[tuple[int, int]] = ()
) -> NDArray[np.object_]:
    """Why nothing may be opened at each close, in words; empty where it may (for the desk)."""
    out = np.full(len(candles), "", dtype=object)
    if settings.cointegration is not None:
        p = filters.rolling_pvalues(candles, settings.cointegration)
        out[~(p <= settings.cointegration.max_pvalue)] = "the pair fails its cointegration test"
    if settings.session is not None:
        closes = candles.time_ms + candles.timeframe_ms
        out[~settings.session.allows(closes)] = "outside the session"
    out[~filters.gap_free(candles, gaps)] = "candles are missing"
    return out
