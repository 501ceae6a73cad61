"""The page of a pair: its charts as of one snapshot, and the study of its closed candles."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analytics import Analytics
from candles import timeframe_ms
from charts import pair as chart
from charts.style import palette
from config import Config
from errors import BadInput, PlatformError
from storage.snapshot import Snapshot
from views import lacking, warm
from views.indicators import bollinger, rebased_percent
from views.pair import (
    METHODS,
    Floats,
    PairOptions,
    PairState,
    fingerprint,
    read_pair,
)
from views.sharing import Beside, Shared
from views.text import number, pvalue, significant

log = logging.getLogger(__name__)

_Z95 = 1.959963984540054
_SIGNALS = Shared(limit=64)
_STUDIES = Beside(limit=64)


@dataclass(frozen=True, slots=True)
class PairPage:
    """Charts and sentences of one snapshot; figures are None where ``state.why`` says why."""

    version: int
    state: PairState
    last_ms: int | None
    main: dict[str, Any] | None = None
    ratio: dict[str, Any] | None = None
    scatter: dict[str, Any] | None = None
    coverage: dict[str, float | None] | None = None
    signal_note: str = ""


def read_pair_page(snapshot: Snapshot, options: PairOptions, now_ms: int) -> PairPage:
    """The pair's page as of one snapshot."""
    state = read_pair(snapshot, options, now_ms)
    prints = [snapshot.last_print(s)[1] for s in (options.y, options.x) if s]
    last_ms = max((t for t in prints if t is not None), default=None)
    if state.why is not None:
        return PairPage(snapshot.version, state, last_ms)
    at_ms, length = state.closes.at_ms, timeframe_ms(options.timeframe)
    start, end = int(at_ms[0]), int(at_ms[-1]) + length
    both = [s for s in (options.y, options.x) if s]
    gaps = [g for s in both for g in snapshot.open_spans(s, start, end)]
    # Of closed candles alone: they change once a candle, not with every refresh.
    key = ("signals", options, fingerprint(state.closes))
    signals, note = None, warm.FIRST_START[0]
    if warm.is_complete():
        signals, note = _SIGNALS.get(key, lambda: _past_signals(state))
    return PairPage(
        version=snapshot.version,
        state=state,
        last_ms=last_ms,
        main=_main_figure(state, signals, gaps, now_ms),
        ratio=_ratio_figure(state),
        scatter=_scatter_figure(state),
        coverage={s: snapshot.coverage(s, start, min(end, now_ms)) for s in both},
        signal_note=note,
    )


def _main_figure(
    state: PairState, signals: chart.Signals | None, gaps: list[tuple[int, int]], now_ms: int
) -> dict[str, Any]:
    o, closes = state.options, state.closes
    length = timeframe_ms(o.timeframe)
    forming = None
    if closes.closed < len(closes):
        forming = (int(closes.at_ms[-1]) - length // 2, int(closes.at_ms[-1]) + length // 2)
    upper, lower = bollinger(state.spread, o.window, 2.0)
    return chart.spread_and_zscore(
        closes.at_ms,
        state.spread,
        state.zscore_all,
        palette(o.colour_blind_safe),
        entry_th=o.entry_th,
        exit_th=o.exit_th,
        bands=(lower, upper),
        rebased=[
            ((o.y or "").upper(), rebased_percent(closes.y)),
            ((o.x or "").upper(), rebased_percent(closes.x)),
        ],
        signals=signals,
        gaps=gaps,
        forming=forming,
    )


def _ratio_figure(state: PairState) -> dict[str, Any] | None:
    """Rolling hedge ratio and correlation, each with a 95 % band."""
    o, closes = state.options, state.closes
    window = max(2 * o.window, 30)
    if state.moving and state.ratio_se is not None:
        ratio, se, title = state.ratio, state.ratio_se, METHODS[o.method]
    else:
        if closes.closed <= window:
            return None
        price1, price2 = closes.series(closed=False)
        path: Any = Analytics.fit_hedge(price1, price2, method="rolling_ols", window=window)
        ratio = path.ratio.reindex(price1.index).to_numpy(dtype=float)
        se = path.ratio_se.reindex(price1.index).to_numpy(dtype=float)
        title = f"Hedge ratio, least squares over {window} candles"
    return chart.ratio_and_correlation(
        closes.at_ms,
        ratio,
        (ratio - _Z95 * se, ratio + _Z95 * se),
        state.correlation_all,
        _fisher(state.correlation_all, o.window),
        palette(o.colour_blind_safe),
        ratio_title=f"{title}, 95 % band",
        fixed_ratio=None if state.moving else state.ratio_now,
    )


def _fisher(correlation: Floats, n: int) -> tuple[Floats, Floats] | None:
    """95 % band of a correlation of ``n`` pairs by Fisher's z-transform.

    References
    ----------
    Fisher, R. A. (1921). On the "probable error" of a coefficient of correlation. Metron 1.
    """
    if n <= 3:
        return None
    z = np.arctanh(np.clip(correlation, -0.999999, 0.999999))
    half = _Z95 / math.sqrt(n - 3)
    return np.tanh(z - half), np.tanh(z + half)


def _scatter_figure(state: PairState) -> dict[str, Any]:
    o, closes = state.options, state.closes
    fit = None
    if not state.moving:
        ends = np.array([closes.x.min(), closes.x.max()])
        intercept = closes.y[0] - state.ratio[0] * closes.x[0] - state.spread[0]
        fit = (ends, state.ratio[0] * ends + intercept)
    return chart.scatter_with_fit(
        closes.x,
        closes.y,
        np.arange(len(closes), dtype=float),
        fit,
        palette(o.colour_blind_safe),
        x_title=(o.x or "").upper(),
        y_title=(o.y or "").upper(),
    )


def _past_signals(state: PairState) -> tuple[chart.Signals | None, str]:
    """Where the rule would have acted, from hedge ratios that were known by then."""
    o, closes = state.options, state.closes
    price1, price2 = closes.series()
    if state.moving:
        spread = pd.Series(state.spread[: closes.closed], price1.index)
        note = "Signals use the ratio known before each candle."
    else:
        half = closes.closed // 2
        if half < 2 * o.window:
            return None, "Signals need more candles: half of them fit the ratio, the rest trade."
        ratio, intercept = Analytics.calculate_hedge_ratio(
            price1.iloc[:half], price2.iloc[:half], method=o.method
        )
        spread = Analytics.calculate_spread(
            price1.iloc[half:], price2.iloc[half:], ratio, intercept
        )
        note = (
            f"Signals use a ratio fitted on the first {half} candles alone ("
            f"{significant(ratio, 5)}), so the first half has none; the spread drawn is in sample."
        )
    zscore = Analytics.calculate_zscore(spread, o.window)
    try:
        trades, _ = Analytics.backtest_mean_reversion(
            spread, zscore, entry_th=o.entry_th, exit_th=o.exit_th
        )
    except PlatformError as problem:
        return None, str(problem)
    return _as_signals(trades), f"{note} {len(trades)} round trip{'' if len(trades) == 1 else 's'}."


def _as_signals(trades: pd.DataFrame) -> chart.Signals:
    rows: list[tuple[int, float, int]] = []
    for trade in trades.itertuples(index=False):
        side = 1 if trade.side == "LONG" else -1
        rows.append((_ms(trade.entry_time), float(trade.entry_zscore), side))
        if not pd.isna(trade.exit_time):
            rows.append((_ms(trade.exit_time), float(trade.exit_zscore), 0))
    return chart.Signals(
        np.array([r[0] for r in rows], dtype=np.int64),
        np.array([r[1] for r in rows], dtype=float),
        np.array([r[2] for r in rows], dtype=np.int8),
    )


def _ms(time: Any) -> int:
    return round(pd.Timestamp(time).timestamp() * 1000)


# -- the study of the closed candles ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One test: its numbers, its verdict in words, and what is assumed until rejected."""

    name: str
    statistic: float | None
    pvalue: str
    verdict: str
    null: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """What the closed candles say; ``facts`` are label, value and explanation."""

    candles: int
    findings: tuple[Finding, ...]
    facts: tuple[tuple[str, str, str], ...]


def study(state: PairState) -> Study | None:
    """Tests and interval estimates on the closed candles; made once a candle, beside the page.

    Until those of the newest candle are there, the candle's before are; None before the first.
    """
    return _STUDIES.get(state.options, fingerprint(state.closes), lambda: _study_or_word(state))


def study_at_once(state: PairState) -> Study:
    """The same, of exactly these candles, made while the caller waits; takes a second or two."""
    return _study(state)


def _study_or_word(state: PairState) -> Study:
    """The study; where it fails, one that says so, for the page would wait for it for ever."""
    try:
        return _study(state)
    except PlatformError as problem:
        why = _reason(state, problem)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        log.exception("the study of %s failed", state.title)
        why = "They failed on these candles; the reason is in the log."
    return Study(state.closes.closed, (), (("Tests", "–", why),))


def _reason(state: PairState, problem: PlatformError) -> str:
    """Why a number is missing; where candles are, how many and when they will be there."""
    timeframe, closed = state.options.timeframe, state.closes.at_ms[: state.closes.closed]
    ended = int(closed[-1]) + timeframe_ms(timeframe)
    return lacking.why(problem, timeframe, lacking.after(ended))


def _study(state: PairState) -> Study:
    price1, price2 = state.closes.series()
    spread = pd.Series(state.spread[: state.closes.closed], price1.index).dropna()
    in_sample = not state.moving
    findings = (
        *_both_directions(state, price1, price2),
        _finding(state, "ADF on the spread", lambda: Analytics.adf_test(spread)),
        _finding(state, "KPSS on the spread", lambda: Analytics.kpss_test(spread)),
        _finding(state, "Phillips–Perron on the spread", lambda: Analytics.phillips_perron(spread)),
        _finding(state, "Variance ratio of the spread", lambda: Analytics.variance_ratio(spread)),
        _finding(state, "Hurst exponent of the spread", lambda: Analytics.hurst_exponent(spread)),
    )
    facts = [
        *_ratio_facts(state, price1, price2),
        *_half_life_facts(state, spread, in_sample),
        *_cost_facts(state, spread, in_sample),
    ]
    return Study(state.closes.closed, findings, tuple(facts))


def _both_directions(state: PairState, price1: pd.Series, price2: pd.Series) -> list[Finding]:
    """Engle–Granger both ways, tested once."""
    names = ("Engle–Granger, price 1 on price 2", "Engle–Granger, price 2 on price 1")
    try:
        both = Analytics.engle_granger_both(price1, price2)
    except PlatformError as problem:
        return [Finding(name, None, "–", _reason(state, problem), "") for name in names]
    return [
        _finding(state, names[0], lambda: both.forward),
        _finding(state, names[1], lambda: both.reverse),
    ]


def _finding(state: PairState, name: str, test: Callable[[], Any]) -> Finding:
    try:
        result = test()
    except PlatformError as problem:
        return Finding(name, None, "–", _reason(state, problem), "")
    critical = ", ".join(f"{k} {v:.3g}" for k, v in result.critical_values.items())
    detail = f"lags {result.used_lag}, n {result.n_obs}"
    if critical:
        detail += f", critical {critical}"
    if hasattr(result, "hurst"):
        low, high = result.interval
        detail += f", H {result.hurst:.3f}, 95 % interval {low:.3f} to {high:.3f}"
    if hasattr(result, "ratio"):
        detail += f", ratio {result.ratio:.3f}"
    return Finding(
        name,
        float(result.statistic),
        pvalue(result.pvalue),
        result.verdict,
        result.null_hypothesis,
        detail,
    )


def _ratio_facts(
    state: PairState, price1: pd.Series, price2: pd.Series
) -> list[tuple[str, str, str]]:
    """The hedge ratio with the interval that holds for cointegrated prices."""
    if state.moving:
        return [("Hedge ratio", state.ratio_text, "Known before the newest candle.")]
    try:
        fit: Any = Analytics.fit_hedge(price1, price2, method="ols")
    except PlatformError as problem:
        return [("Hedge ratio", "–", _reason(state, problem))]
    low, high = fit.ratio_interval
    interval = f"{significant(low)} to {significant(high)}"
    return [
        ("Hedge ratio", state.ratio_text, f"{METHODS[state.options.method]}, in sample."),
        ("95 % interval (OLS)", interval, "; ".join(fit.notes) or "Long-run errors."),
        ("R²", number(fit.r_squared, 3), "Of price 1 on price 2; high even for unrelated trends."),
    ]


def _half_life_facts(
    state: PairState, spread: pd.Series, in_sample: bool
) -> list[tuple[str, str, str]]:
    try:
        life = Analytics.half_life(spread, estimated_ratio=in_sample)
    except PlatformError as problem:
        return [("Half-life", "–", _reason(state, problem))]
    minutes = timeframe_ms(state.options.timeframe) / 60_000
    low, high = life.interval
    upper = "never" if math.isinf(high) else significant(high, 3)
    text = f"{significant(life.half_life, 3)} candles"
    if math.isfinite(life.half_life):
        text += f" ({significant(life.half_life * minutes, 3)} min)"
    return [
        ("Half-life", text, life.verdict),
        ("95 % interval", f"{significant(low, 3)} to {upper} candles", "Bias corrected."),
    ]


def _cost_facts(state: PairState, spread: pd.Series, in_sample: bool) -> list[tuple[str, str, str]]:
    """The z at which the way back to the mean pays four fills, and the best z of a fitted OU."""
    from trading.costs import Costs
    from trading.thresholds import break_even_zscore, mean_exit_thresholds, round_trip_cost

    ratio, exit_th = state.ratio_now, state.options.exit_th
    if ratio is None:
        return [("Break-even z", "–", "There is no hedge ratio.")]
    costs = Costs(taker_bps=Config.TAKER_FEE_BPS, slippage_bps=Config.SLIPPAGE_BPS)
    cost = round_trip_cost(float(state.closes.y[-1]), float(state.closes.x[-1]), ratio, costs)
    deviation = float(spread.tail(state.options.window).std(ddof=1))
    even = break_even_zscore(deviation, cost, exit_th)
    facts = [
        (
            "Break-even z",
            number(even.value, 2),
            even.reason
            or f"Two legs in and out at {costs.taker_bps:g} bps fee and {costs.slippage_bps:g} bps "
            f"slippage a fill cost {significant(cost)} a unit; one standard deviation of the last "
            f"{state.options.window} candles of the spread is {significant(deviation)}.",
        )
    ]
    try:
        ou = Analytics.ou_fit(spread, estimated_ratio=in_sample)
        if not (ou.kappa > 0 and math.isfinite(ou.stationary_std)):
            raise BadInput("The process fitted does not revert, so there is no best entry.")
        best = mean_exit_thresholds(ou.stationary_std, ou.kappa, cost)
    except PlatformError as problem:
        return [*facts, ("Best entry, fitted OU", "–", _reason(state, problem))]
    explained = (
        f"In stationary deviations ({significant(ou.stationary_std)}), exit at the mean: the most "
        "profit a unit of time after costs, were the spread the Ornstein–Uhlenbeck process fitted."
    )
    return [*facts, ("Best entry, fitted OU", number(best.entry_z, 2), explained)]
