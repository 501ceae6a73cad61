"""The self-check: what the platform estimates on the demo market, against what was planted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analytics import Analytics
from candles import fold_ticks
from errors import PlatformError
from views.text import DASH, moment, significant

_HOURS = 12
_MINUTE_MS = 60_000
_STEPS = 200_000
Told = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Check:
    """One planted fact: what was planted, what is estimated, its 95 % interval, and whether the
    interval covers the truth (None where there is none)."""

    pair: str
    what: str
    planted: str
    estimated: str
    interval: str
    covered: bool | None
    note: str = ""


def run_self_check(now_ms: int, told: Told, cancelled: Callable[[], bool]) -> list[Check]:
    """Estimate everything planted on the last twelve hours of the demo market's own trades."""
    from simulator.prices import PlantedTape

    tape = PlantedTape()
    truth = tape.truth
    end = now_ms // _MINUTE_MS * _MINUTE_MS
    start = end - _HOURS * 60 * _MINUTE_MS
    closes: dict[str, pd.Series] = {}
    checks: list[Check] = []
    for n, (y, x) in enumerate(truth.pairs):
        if cancelled():
            break
        told(n / len(truth.pairs), f"{y.upper()} / {x.upper()}")
        for symbol in (y, x):
            if symbol not in closes:
                closes[symbol] = _minute_closes(tape, symbol, start, end)
        checks += _pair_checks(truth, y, x, closes[y], closes[x], start, end)
    return checks


def _minute_closes(tape: Any, symbol: str, start_ms: int, end_ms: int) -> pd.Series:
    trades = tape.trades_between(symbol, start_ms, end_ms)
    candles = fold_ticks(
        np.zeros(len(trades), dtype=np.int64),
        trades.time_ms,
        trades.price,
        trades.quantity,
        _MINUTE_MS,
    )
    return pd.Series(candles.close, pd.to_datetime(candles.open_ms, unit="ms", utc=True))


def _pair_checks(
    truth: Any, y: str, x: str, price1: pd.Series, price2: pd.Series, start: int, end: int
) -> list[Check]:
    name = f"{y.upper()} / {x.upper()}"
    breaks = truth.breaks(y, x, start, end)
    if breaks:
        return [_break_check(name, breaks[-1], price1, price2)]
    planted = truth.pair(y, x, end - 1)
    joined = pd.concat([price1, price2], axis=1, join="inner").dropna()
    p1, p2 = joined.iloc[:, 0], joined.iloc[:, 1]
    return [
        _ratio_check(name, planted, p1, p2),
        _half_life_check(name, planted, p1, p2),
        _cointegration_check(name, p1, p2),
        _profit_check(name, planted, p1, p2),
    ]


def _ratio_check(name: str, planted: Any, p1: pd.Series, p2: pd.Series) -> Check:
    text = significant(planted.hedge_ratio, 5)
    try:
        fit: Any = Analytics.fit_hedge(p1, p2, method="ols")
    except PlatformError as problem:
        return Check(name, "Hedge ratio", text, DASH, DASH, None, str(problem))
    low, high = fit.ratio_interval
    return Check(
        name,
        "Hedge ratio",
        text,
        significant(fit.ratio, 5),
        f"{significant(low, 5)} to {significant(high, 5)}" if math.isfinite(low) else "unbounded",
        bool(low <= planted.hedge_ratio <= high),
    )


def _half_life_check(name: str, planted: Any, p1: pd.Series, p2: pd.Series) -> Check:
    truth = planted.half_life_candles(_MINUTE_MS)
    text = f"{significant(truth, 3)} min"
    try:
        ratio, intercept = Analytics.calculate_hedge_ratio(p1, p2)
        spread = Analytics.calculate_spread(p1, p2, ratio, intercept)
        life = Analytics.half_life(spread, estimated_ratio=True)
    except PlatformError as problem:
        return Check(name, "Half-life", text, DASH, DASH, None, str(problem))
    low, high = life.interval
    upper = "never" if math.isinf(high) else f"{significant(high, 3)} min"
    return Check(
        name,
        "Half-life",
        text,
        f"{significant(life.corrected, 3)} min",
        f"{significant(low, 3)} to {upper}",
        bool(low <= truth <= high),
    )


def _cointegration_check(name: str, p1: pd.Series, p2: pd.Series) -> Check:
    try:
        result = Analytics.engle_granger(p1, p2)
    except PlatformError as problem:
        return Check(name, "Cointegrated", "yes", DASH, DASH, None, str(problem))
    found = bool(result.pvalue < 0.05)
    return Check(
        name,
        "Cointegrated",
        "yes",
        "yes" if found else "no",
        f"p = {result.pvalue:.4f}",
        found,
        "A test of size 5 % misses some true pairs.",
    )


def _break_check(name: str, at_ms: int, price1: pd.Series, price2: pd.Series) -> Check:
    """The likeliest break of the hedge ratio, within ten minutes of the planted one."""
    try:
        found = Analytics.chow_over_time(price1, price2)
    except PlatformError as problem:
        return Check(name, "Break date", moment(at_ms), DASH, DASH, None, str(problem))
    when = round(pd.Timestamp(found.break_at).timestamp() * 1000)
    return Check(
        name,
        "Break date",
        moment(at_ms),
        moment(when),
        f"p = {found.pvalue:.4f}",
        abs(when - at_ms) <= 10 * _MINUTE_MS and found.pvalue < 0.05,
        f"Ratio {significant(found.ratio_before, 4)} before, "
        f"{significant(found.ratio_after, 4)} after; ten minutes count as found.",
    )


def _profit_check(name: str, planted: Any, p1: pd.Series, p2: pd.Series) -> Check:
    """Gross profit of a trade with the best thresholds of the planted process."""
    from trading.thresholds import mean_exit_thresholds

    kappa, sd = math.log(2.0) / planted.half_life_candles(_MINUTE_MS), planted.spread_sd
    entry = mean_exit_thresholds(sd, kappa, 0.1 * sd).entry_z
    spread = Analytics.calculate_spread(p1, p2, planted.hedge_ratio, planted.intercept)
    pnl = _profits(spread.to_numpy(dtype=float), sd, entry)
    expected = float(_profits(_process(kappa, sd), sd, entry).mean())
    text = significant(expected, 3)
    if len(pnl) < 5:
        return Check(name, "Profit a trade", text, DASH, DASH, None, f"{len(pnl)} trades.")
    mean, half = float(pnl.mean()), 1.96 * float(pnl.std(ddof=1)) / math.sqrt(len(pnl))
    return Check(
        name,
        "Profit a trade",
        text,
        significant(mean, 3),
        f"{significant(mean - half, 3)} to {significant(mean + half, 3)}",
        bool(mean - half <= expected <= mean + half),
        f"{len(pnl)} trades at z {entry:.2f}, the best thresholds of the known process, gross; "
        "planted is the mean over a long run of that process seen at minute closes.",
    )


def _profits(spread: Any, sd: float, entry: float) -> Any:
    trades, _ = Analytics.backtest_mean_reversion(spread, spread / sd, entry_th=entry, exit_th=0.0)
    return trades["pnl"].dropna().to_numpy(dtype=float)


def _process(kappa: float, sd: float) -> Any:
    """The planted spread at minute closes, exactly discretised, long enough to take means of."""
    rho = math.exp(-kappa)
    shocks = np.random.default_rng(0).normal(0.0, sd * math.sqrt(1.0 - rho * rho), _STEPS)
    out = np.empty(_STEPS)
    level = 0.0
    for i, shock in enumerate(shocks.tolist()):
        level = rho * level + shock
        out[i] = level
    return out
