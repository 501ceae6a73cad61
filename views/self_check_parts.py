"""Each planted fact beside its estimate: ratio, half-life, cointegration, break date, profit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from analytics import Analytics
from errors import PlatformError
from views.text import DASH, moment, significant

MINUTE_MS = 60_000
CONFIDENCE = 0.95
_STEPS = 200_000
_POWER_SAMPLES = 100
_HALF_SPAN_MS = 6 * 3_600_000
_LEAST_AFTER_MS = 3 * 3_600_000
# The planted price takes a minute from the old line to the new one.
_RAMP_MS = 60_000

Closes = Callable[[str, int, int], pd.Series]


@dataclass(frozen=True, slots=True)
class Check:
    """One planted fact: what was planted, what is estimated, its 95 % interval, and whether the
    interval covers the truth (None where there is none).

    ``expected`` is how often that is to be so, of 1.
    """

    pair: str
    what: str
    planted: str
    estimated: str
    interval: str
    covered: bool | None
    note: str = ""
    expected: float = CONFIDENCE


def pair_checks(planted: Any, price1: pd.Series, price2: pd.Series) -> list[Check]:
    """What can be checked of a relation that does not break."""
    joined = pd.concat([price1, price2], axis=1, join="inner").dropna()
    p1, p2 = joined.iloc[:, 0], joined.iloc[:, 1]
    name = f"{planted.y.upper()} / {planted.x.upper()}"
    return [
        _ratio_check(name, planted, p1, p2),
        _half_life_check(name, planted, p1, p2),
        _profit_check(name, planted, p1, p2),
        _cointegration_check(name, planted, p1, p2),
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
    truth = planted.half_life_candles(MINUTE_MS)
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


def _cointegration_check(name: str, planted: Any, p1: pd.Series, p2: pd.Series) -> Check:
    try:
        result = Analytics.engle_granger(p1, p2)
    except PlatformError as problem:
        return Check(name, "Cointegrated", "yes", DASH, DASH, None, str(problem))
    found = bool(result.pvalue < 0.05)
    expected = power(planted.half_life_candles(MINUTE_MS), len(p1))
    return Check(
        name,
        "Cointegrated",
        "yes",
        "yes" if found else "not shown",
        f"p = {result.pvalue:.4f}",
        found,
        f"A test at 5 % finds a relation of this half-life in {expected:.0%} of samples of "
        f"{len(p1):,} candles; p above 0.05 means not shown, never absent.",
        expected,
    )


@lru_cache(maxsize=16)
def power(half_life: float, n: int) -> float:
    """How often Engle–Granger at 5 % finds a relation of that half-life in n candles.

    By simulation: price2 a random walk, the spread an AR(1) of variance as large as a few hundred
    of its steps, seeded. Neither the scale of the two nor the ratio matters to the test's
    distribution in the long run; a sample of a hundred is good to some ten points.
    """
    rng, found = np.random.default_rng(0), 0
    rho = 0.5 ** (1.0 / half_life)
    for _ in range(_POWER_SAMPLES):
        x = 1_000.0 + np.cumsum(rng.normal(0.0, 1.0, n))
        y = 100.0 + x + _ar1(rho, rng.normal(0.0, 1.0, n))
        found += Analytics.engle_granger(pd.Series(y), pd.Series(x)).pvalue < 0.05
    # Nothing is certain: a share of 1 would call a single miss impossible.
    return min(found / _POWER_SAMPLES, 0.99)


def break_checks(truth: Any, y: str, x: str, closes: Closes, end: int) -> list[Check]:
    """The date of the last planted break with hours on either side."""
    name = f"{y.upper()} / {x.upper()}"
    at_ms = truth.last_break(y, x, end - _LEAST_AFTER_MS)
    if at_ms is None:
        return []
    span = (at_ms - _HALF_SPAN_MS, min(at_ms + _HALF_SPAN_MS, end))
    price1, price2 = closes(y, *span), closes(x, *span)
    planted = moment(at_ms)
    try:
        found = Analytics.chow_over_time(price1, price2)
        low, high = Analytics.break_date_interval(price1, price2, found)
    except PlatformError as problem:
        return [Check(name, "Break date", planted, DASH, DASH, None, str(problem))]
    first, last = (round(pd.Timestamp(end).timestamp() * 1000) for end in (low, high))
    ratios = truth.pair(y, x, at_ms - 1).hedge_ratio, truth.pair(y, x, at_ms + 1).hedge_ratio
    date = Check(
        name,
        "Break date",
        planted,
        moment(round(pd.Timestamp(found.break_at).timestamp() * 1000)),
        f"{moment(first)} to {moment(last)}",
        first <= at_ms + _RAMP_MS and at_ms <= last + MINUTE_MS,
        f"p = {found.pvalue:.4f}; ratio {significant(found.ratio_before, 4)} before and "
        f"{significant(found.ratio_after, 4)} after, planted {ratios[0]:g} and {ratios[1]:g}.",
    )
    return [date]


def _profit_check(name: str, planted: Any, p1: pd.Series, p2: pd.Series) -> Check:
    """Gross profit of a trade with the best thresholds of the planted process."""
    from scipy.stats import t as student

    half_life, sd = planted.half_life_candles(MINUTE_MS), planted.spread_sd
    entry, expected = best_thresholds(half_life, sd)
    spread = Analytics.calculate_spread(p1, p2, planted.hedge_ratio, planted.intercept)
    pnl = _profits(spread.to_numpy(dtype=float), sd, entry)
    text, what = significant(expected, 3), "Profit a trade"
    if len(pnl) < 5:
        return Check(name, what, text, DASH, DASH, None, f"{len(pnl)} trades; it takes five.")
    error = float(pnl.std(ddof=1)) / math.sqrt(len(pnl))
    mean, half = float(pnl.mean()), float(student.ppf(0.975, len(pnl) - 1)) * error
    return Check(
        name,
        what,
        text,
        significant(mean, 3),
        f"{significant(mean - half, 3)} to {significant(mean + half, 3)}",
        bool(mean - half <= expected <= mean + half),
        f"{len(pnl)} trades at z {entry:.2f}, the best thresholds of the known process where a "
        "round trip costs a tenth of its deviation; gross. Planted is the mean over a long run of "
        "that process seen at minute closes.",
    )


@lru_cache(maxsize=16)
def best_thresholds(half_life: float, sd: float) -> tuple[float, float]:
    """The best entry z of the known process, and its mean gross profit a trade in the long run."""
    from trading.thresholds import mean_exit_thresholds

    kappa = math.log(2.0) / half_life
    entry = mean_exit_thresholds(sd, kappa, 0.1 * sd).entry_z
    rho = math.exp(-kappa)
    # The planted spread at minute closes, exactly discretised, long enough to take means of.
    shocks = np.random.default_rng(0).normal(0.0, sd * math.sqrt(1.0 - rho * rho), _STEPS)
    return entry, float(_profits(_ar1(rho, shocks), sd, entry).mean())


def _profits(spread: Any, sd: float, entry: float) -> Any:
    trades, _ = Analytics.backtest_mean_reversion(spread, spread / sd, entry_th=entry, exit_th=0.0)
    return trades["pnl"].dropna().to_numpy(dtype=float)


def _ar1(rho: float, shocks: Any) -> Any:
    from scipy.signal import lfilter

    return lfilter([1.0], [1.0, -rho], shocks)
