"""Backtests for the page: what is asked, the candles they run on, and what came of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from candles import timeframe_ms
from charts import backtest as chart
from charts.statistics import heat_map
from charts.style import palette
from database import Database
from errors import BadInput, InsufficientData, PlatformError
from storage.snapshot import Snapshot
from trading.ask import BacktestAsk, settings_of
from views import lacking, luck
from views.feed import source_sentence
from views.lacking import Coming
from views.text import DASH, number, percent

Told = Callable[[float, str], None]
_YEAR_MS = 365 * 86_400_000


@dataclass(frozen=True, eq=False)
class BacktestInput:
    """Closed candles of both legs from one snapshot, with their gaps and trading rules."""

    version: int
    last_ms: int | None
    candles: Any
    gaps: tuple[tuple[int, int], ...]
    coverage: tuple[float | None, float | None]
    rules: tuple[Any, Any]


def read_backtest_input(snapshot: Snapshot, ask: BacktestAsk, now_ms: int) -> BacktestInput:
    """What a run needs, from one snapshot.

    Raises
    ------
    BadInput, InsufficientData
        The legs have too few closed candles in common, or a price that never moved.
    """
    from trading.candle_pair import pair_candles

    length = timeframe_ms(ask.timeframe)
    frames = []
    for symbol in (ask.y, ask.x):
        frame = snapshot.candles([symbol], ask.timeframe, limit=ask.limit)
        closes_at = frame["timestamp"] + pd.Timedelta(milliseconds=length)
        frames.append(frame[closes_at <= pd.Timestamp(now_ms, unit="ms", tz="UTC")])
    _require_prices(frames, ask)
    candles = pair_candles(frames[0], frames[1], timeframe_ms=length, symbol1=ask.y, symbol2=ask.x)
    start, end = int(candles.time_ms[0]), int(candles.time_ms[-1]) + length
    instruments = snapshot.all_of("instrument")
    last = [snapshot.last_print(s)[1] for s in (ask.y, ask.x)]
    return BacktestInput(
        version=snapshot.version,
        last_ms=max((t for t in last if t is not None), default=None),
        candles=candles,
        gaps=tuple(g for s in (ask.y, ask.x) for g in snapshot.open_spans(s, start, end)),
        coverage=(
            snapshot.coverage(ask.y, start, end),
            snapshot.coverage(ask.x, start, end),
        ),
        rules=(rules_of(instruments.get(ask.y)), rules_of(instruments.get(ask.x))),
    )


def read_in_time(database: Database, ask: BacktestAsk, now_ms: int) -> tuple[BacktestInput, Coming]:
    """What a run needs, and how further candles come, from one snapshot.

    Raises
    ------
    BadInput
        As `read_backtest_input`; too few candles say when there are enough.
    """
    with database.snapshot() as snapshot:
        coming = lacking.read_coming(snapshot, now_ms)
        try:
            return read_backtest_input(snapshot, ask, now_ms), coming
        except InsufficientData as problem:
            raise lacking.with_time(problem, ask.timeframe, coming) from problem


def _require_prices(frames: list[pd.DataFrame], ask: BacktestAsk) -> None:
    """Refuse legs without candles, or whose price never moved, naming them."""
    legs = list(zip((ask.y, ask.x), frames, strict=True))
    empty = [symbol.upper() for symbol, frame in legs if frame.empty]
    if empty:
        raise BadInput(
            f"No closed candles of {ask.timeframe} are stored for {' and '.join(empty)}: press "
            "Start in the sidebar, or import a file."
        )
    for symbol, frame in legs:
        if len(frame) > 1 and frame["close"].min() == frame["close"].max():
            raise BadInput(
                f"A backtest needs prices that vary; {symbol.upper()} is constant at "
                f"{frame['close'].iloc[0]:g} over all {len(frame):,} candles."
            )


def rules_of(body: Any) -> Any:
    """Step size and minima of a symbol, as far as the exchange has told them."""
    from trading.sizing import SymbolRules

    if not isinstance(body, Mapping):
        return SymbolRules()
    names = {f: body[f] for f in SymbolRules.__dataclass_fields__ if body.get(f) is not None}
    return SymbolRules(**{k: float(v) for k, v in names.items()})


@dataclass(frozen=True, eq=False)
class BacktestView:
    """A finished run, ready to be shown and kept.

    ``metrics`` are name, value and the reason where there is none; ``uncertain`` the same with an
    interval or a probability.
    """

    version: int
    last_ms: int | None
    ask: BacktestAsk
    verdict: str
    metrics: tuple[tuple[str, str, str], ...]
    uncertain: tuple[tuple[str, str, str], ...]
    equity: dict[str, Any]
    trades_figure: dict[str, Any]
    trades: pd.DataFrame
    raw: dict[str, float | None]
    coverage: tuple[float | None, float | None]
    span: tuple[int, int]
    result: Any


def run_backtest(
    ask: BacktestAsk, given: BacktestInput, told: Told, colour_blind_safe: bool
) -> BacktestView:
    """One run with its figures and their uncertainty."""
    from trading.backtest import run_pair

    told(0.1, "running")
    rate = ask.funding_bps / 1e4 or None
    result = run_pair(
        given.candles,
        settings_of(ask, given.rules),
        gaps=given.gaps,
        funding1=rate,
        funding2=rate,
    )
    told(0.4, "resampling for the intervals")
    uncertain = _uncertainty(result, given.candles.timeframe_ms)
    told(0.9, "drawing")
    figures = result.all_figures()
    colours = palette(colour_blind_safe)
    trades = result.trades
    times = given.candles.time_ms
    return BacktestView(
        version=given.version,
        last_ms=given.last_ms,
        ask=ask,
        verdict=_verdict(result, trades),
        metrics=tuple(_metric(name, f.value, f.reason) for name, f in figures.items()),
        uncertain=uncertain,
        equity=_equity_figure(result, ask, colours),
        trades_figure=chart.trades_on_spread(
            np.asarray(times),
            np.asarray(result.signals.spread),
            np.asarray(result.signals.zscore),
            _marks(trades, times, np.asarray(result.signals.spread)),
            colours,
            entry_th=ask.entry_th,
            exit_th=ask.exit_th,
            gaps=given.gaps,
        ),
        trades=trades,
        raw={name: f.value for name, f in figures.items()},
        coverage=given.coverage,
        span=(int(times[0]), int(times[-1])),
        result=result,
    )


def _equity_figure(result: Any, ask: BacktestAsk, colours: Any) -> dict[str, Any]:
    from trading.metrics import drawdown_curve

    frame = result.equity
    at = frame.index.as_unit("ms").asi8
    pair = frame["pair"].to_numpy(dtype=float)
    return chart.equity_and_drawdown(
        np.asarray(at, dtype=np.int64),
        pair,
        np.asarray(drawdown_curve(pair, ask.equity)),
        colours,
        legs=(
            (ask.y.upper(), frame["leg1"].to_numpy(dtype=float)),
            (ask.x.upper(), frame["leg2"].to_numpy(dtype=float)),
        ),
        starting_equity=ask.equity,
    )


def _marks(trades: pd.DataFrame, times: Any, spread: Any) -> chart.TradeMarks:
    rows: list[tuple[int, float, int, str]] = []

    def at(moment: Any) -> tuple[int, float]:
        ms = round(pd.Timestamp(moment).timestamp() * 1000)
        place = min(max(int(np.searchsorted(times, ms, side="right")) - 1, 0), len(times) - 1)
        return ms, float(spread[place])

    for trade in trades.itertuples(index=False):
        side = 1 if trade.side == "LONG" else -1
        rows.append((*at(trade.entry_time), side, f"{trade.side} at z {trade.entry_zscore:.2f}"))
        if not pd.isna(trade.exit_time):
            rows.append((*at(trade.exit_time), 0, f"{trade.reason}, P&L {trade.pnl:,.2f}"))
    return chart.as_marks(rows)


_PERCENT = frozenset(
    {
        "total_return", "annual_return", "annual_volatility", "max_drawdown", "win_rate",
        "value_at_risk", "conditional_value_at_risk", "exposure",
    }
)  # fmt: skip


_COUNTS = frozenset({"trades", "refused_entries", "max_drawdown_candles"})


def _metric(name: str, value: float | None, reason: str) -> tuple[str, str, str]:
    label = name.replace("_", " ").capitalize()
    if value is None:
        return label, "–", reason
    if name in _COUNTS:
        return label, f"{value:,.0f}", ""
    return label, percent(value) if name in _PERCENT else number(value, 2), ""


def _verdict(result: Any, trades: pd.DataFrame) -> str:
    if not len(trades):
        return "No trade was made: the z-score never crossed the entry while trading was allowed."
    count = "1 trade" if len(trades) == 1 else f"{len(trades)} trades"
    net, costs = float(trades["pnl"].sum()), result.costs
    gross = float(trades["gross_pnl"].sum())
    kind = "a profit" if net > 0 else "a loss"
    return f"{count}: gross {gross:+,.2f}, costs {costs.total:,.2f}, {kind} of {abs(net):,.2f} net."


def _uncertainty(result: Any, length_ms: int) -> tuple[tuple[str, str, str], ...]:
    """Bootstrap intervals, and the probability that the Sharpe ratio is above zero."""
    from computing.runner import gathered
    from trading.bootstrap import bootstrap_intervals
    from trading.overfitting import probabilistic_sharpe

    if not np.any(result.returns):
        why = "Equity never changed."
        names = ("Sharpe, 95 %", "Return, 95 %", "Probability Sharpe > 0")
        return tuple((name, DASH, why) for name in names)
    rows: list[tuple[str, str, str]] = []
    try:
        b = bootstrap_intervals(result.returns, _YEAR_MS / length_ms, run=gathered)
        how = f"Stationary bootstrap, {b.samples:,} samples, blocks of {b.block:.0f} candles."
        s, r = b.sharpe, b.total_return
        withheld = result.figures.sharpe.reason
        rows.append(
            ("Sharpe, 95 %", "–", withheld)
            if withheld
            else ("Sharpe, 95 %", f"{s.low:.2f} to {s.high:.2f}", how)
        )
        rows.append(("Return, 95 %", f"{percent(r.low)} to {percent(r.high)}", how))
    except PlatformError as problem:
        rows.append(("Sharpe, 95 %", "–", str(problem)))
    chance = probabilistic_sharpe(result.returns)
    rows.append(
        ("Probability Sharpe > 0", percent(chance.value, 1), chance.reason or "One trial assumed.")
    )
    return tuple(rows)


# -- sweep, walk-forward, audit --------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SweepView:
    """Heat map of the sweep, its table, and what survives the number of trials."""

    version: int
    last_ms: int | None
    figure: dict[str, Any]
    table: pd.DataFrame
    sentences: tuple[str, ...]
    facts: tuple[luck.Fact, ...] = ()


def sweep_view(
    result: Any, given: Any, gaps: Any, version: int = 0, last_ms: int | None = None
) -> SweepView:
    """A sweep for the page: the plateau rather than the peak, deflated for the trials made.

    ``given`` are the candles that were swept.
    """
    from trading.backtest import run_pair
    from trading.metrics import MIN_ANNUAL_DAYS

    heat = result.heat_map("sharpe")
    plateau, peak = result.plateau("sharpe"), result.best("sharpe")
    sentences = [f"{result.trials:,} combinations were tried."]
    if not result.complete:
        sentences.append("Not complete: combinations not done stay empty.")
    days = (int(given.time_ms[-1]) - int(given.time_ms[0])) / 86_400_000
    if days < MIN_ANNUAL_DAYS:
        sentences.append(
            f"These Sharpe ratios are a year's, reckoned from {days:.1f} days: they compare the "
            "combinations with one another and promise nothing of a year."
        )
    returns = None
    if plateau is not None and peak is not None:
        returns = run_pair(given, result.settings_of(plateau), gaps=gaps).returns
        sentences.append(
            f"Plateau: entry {plateau.entry_th:g}, exit {plateau.exit_th:g}, window "
            f"{plateau.z_window}, {plateau.hedge.label} (median Sharpe of its neighbourhood "
            f"{plateau.score:.2f}); peak: entry {peak.entry_th:g}, exit {peak.exit_th:g} "
            f"({peak.score:.2f})."
        )
    facts, verdict = luck.luck_of(result, returns)
    sentences.append(verdict)
    return SweepView(
        version, last_ms, _heat_figure(heat, plateau), result.frame, tuple(sentences), facts
    )


def _heat_figure(heat: pd.DataFrame, plateau: Any) -> dict[str, Any]:
    values = heat.to_numpy(dtype=float)
    columns, rows = [f"{c:g}" for c in heat.columns], [f"{i:g}" for i in heat.index]
    figure = heat_map(
        columns, rows, values, low=None, x_title="Exit z", y_title="Entry z", scale="RdBu"
    )
    figure["data"][0]["zmid"] = 0
    if plateau is not None:
        figure["data"].append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "Plateau",
                "x": [f"{plateau.exit_th:g}"],
                "y": [f"{plateau.entry_th:g}"],
                "marker": {
                    "symbol": "square-open", "size": 22, "color": "#f0a23a", "line": {"width": 3},
                },
                "showlegend": False,
                "hovertemplate": "plateau<extra></extra>",
            }
        )  # fmt: skip
    return figure


@dataclass(frozen=True, eq=False)
class WalkView:
    """Stitched out-of-sample equity, and what every fold chose."""

    version: int
    last_ms: int | None
    figure: dict[str, Any] | None
    table: pd.DataFrame
    sentences: tuple[str, ...]


def walk_view(
    result: Any, times: Any, equity: float, version: int = 0, last_ms: int | None = None
) -> WalkView:
    """A walk-forward for the page; ``times`` are the opens of the candles, epoch ms."""
    from trading.metrics import drawdown_curve

    out = None if result is None else result.out_of_sample
    if out is None:
        sentence = "Not complete: it takes every combination to choose."
        return WalkView(version, last_ms, None, pd.DataFrame(), (sentence,))
    frame = out.equity
    pair = frame["pair"].to_numpy(dtype=float)
    last = len(times) - 1
    folds = [
        (int(times[min(f.test_begin, last)]), int(times[min(f.test_end, last)]))
        for f in result.folds
    ]
    figure = chart.equity_and_drawdown(
        np.asarray(frame.index.as_unit("ms").asi8, dtype=np.int64),
        pair,
        np.asarray(drawdown_curve(pair, equity)),
        palette(False),
        starting_equity=equity,
        folds=folds,
    )
    sentences = (
        f"{len(result.folds)} folds, {result.trials:,} combinations each: out-of-sample return "
        f"{percent(pair[-1] / equity - 1)}.",
        f"Efficiency, Sharpe out of sample over that of the train: {number(result.efficiency)}.",
    )
    return WalkView(version, last_ms, figure, result.choices, sentences)


# -- audit, kept runs, report ----------------------------------------------------------------


def run_audit(ask: BacktestAsk, given: BacktestInput) -> Any:
    """The look-ahead audit of these settings; see `trading.audit.audit_pair`."""
    from trading.audit import audit_pair

    return audit_pair(given.candles, settings_of(ask, given.rules), gaps=given.gaps)


@cache
def code_version() -> str:
    """The platform's version, as kept runs state it."""
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


def saved_run(view: BacktestView, name: str, created_ms: int, trials: int = 1) -> Any:
    """The run to be kept, `trading.runs.SavedRun`."""
    from trading.runs import save_run

    return save_run(
        name, view.result, code_version=code_version(), created_ms=created_ms, trials=trials
    )


def as_body(run: Any) -> Any:
    """A kept run as plain data for the database."""
    return json.loads(run.to_json())


def compared(bodies: Iterable[Any]) -> pd.DataFrame:
    """Kept runs side by side: a row a figure, of whatever kind it is; None where it has none."""
    from trading.runs import SavedRun, compare

    table = compare(SavedRun.from_json(json.dumps(body)) for body in bodies).reset_index()
    return table.astype(object).where(table.notna(), None)


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The same for a grid, whose columns have one kind of value each."""
    return table.map(lambda v: DASH if v is None else str(v))


def report_html(view: BacktestView, name: str, created_ms: int, source: str) -> str:
    """One self-contained page of a run; ``source`` is ``live``, ``demo`` or ``replay``."""
    from trading.report import to_html

    return to_html(view.result, saved_run(view, name, created_ms), source_sentence(source))
