"""Backtest: form, equity, trades on the spread, figures with uncertainty, sweep, walk-forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from candles import CHART_TIMEFRAMES, timeframe_ms
from config import Config
from errors import InsufficientData
from tabs import jobs, long_runs, sidebar, widgets
from tabs.context import Context
from tabs.jobs import Job
from trading.ask import BacktestAsk, grid_of
from views import backtests as views
from views import lacking
from views.backtests import BacktestView
from views.text import moment, percent

_HEDGES = {
    "rolling": "Rolling least squares",
    "kalman": "Kalman, prior state",
    "fixed": "Fixed on the first candles",
}
_SIZES = {
    "percent": "Share of equity (1 = all of it)",
    "notional": "Notional, quote currency",
    "volatility": "P&L volatility a year (0.2 = 20 %)",
    "units": "Units of the spread",
}
_FILLS = {"next": "Next candle's open", "same": "Same close (optimistic)"}
_SHOWN = ("Run", "Sweep", "Walk-forward", "Look-ahead audit", "Saved runs")


def render(ctx: Context) -> None:
    """Show the form and what it led to."""
    pair = ctx.settings.pair
    if not pair.y or not pair.x or pair.y == pair.x:
        widgets.empty("A backtest needs two symbols.", "Choose a pair in the sidebar.")
        return
    shown = st.segmented_control(
        "Show", _SHOWN, default="Run", key="bt-shown", required=True, persist_state="session",
        label_visibility="collapsed",
    )  # fmt: skip
    if shown == "Saved runs":
        _saved(ctx)
        return
    ask = _form(ctx)
    if shown == "Run":
        _run(ctx, ask)
    elif shown == "Sweep":
        _sweep(ctx, ask)
    elif shown == "Walk-forward":
        _walk(ctx, ask)
    else:
        _audit(ctx, ask)


# -- the form --------------------------------------------------------------------------------


def _form(ctx: Context) -> BacktestAsk:
    pair = ctx.settings.pair
    keep: dict[str, Any] = {"persist_state": "session"}
    with st.expander(f"Settings · {pair.title}", expanded=True):
        with st.container(horizontal=True, gap="small", key="bt-form-1"):
            timeframe = st.selectbox(
                "Candles", CHART_TIMEFRAMES, index=CHART_TIMEFRAMES.index(pair.timeframe),
                key="bt-timeframe", width=130, **keep,
            )  # fmt: skip
            limit = st.selectbox(
                "How many", [500, 1000, 3000, 10_000, 50_000], index=2, key="bt-limit",
                format_func=lambda n: f"last {n:,}", width=150, **keep,
            )  # fmt: skip
            entry = st.number_input("Entry z", 0.1, 10.0, pair.entry_th, 0.1, key="bt-entry",
                                    width=130, **keep)  # fmt: skip
            exit_ = st.number_input("Exit z", -5.0, 5.0, pair.exit_th, 0.1, key="bt-exit",
                                    width=130, **keep)  # fmt: skip
            window = st.number_input(
                "z window", 5, 5000, max(pair.window, 5), 5, key="bt-window", width=130, **keep
            )
            hedge = st.selectbox("Hedge ratio, past only", list(_HEDGES), key="bt-hedge", width=230,
                                 format_func=_HEDGES.__getitem__, **keep)  # fmt: skip
            hedge_window = st.number_input("Its window", 3, 20_000, 60, 10, key="bt-hedge-window",
                                           width=130, **keep)  # fmt: skip
        with st.container(horizontal=True, gap="small", key="bt-form-2"):
            fill = st.selectbox("Fills", list(_FILLS), format_func=_FILLS.__getitem__,
                                key="bt-fill", width=210, **keep)  # fmt: skip
            equity = st.number_input("Equity", 1.0, None, 10_000.0, 1000.0, key="bt-equity",
                                     width=150, **keep)  # fmt: skip
            size_by = st.selectbox("Size by", list(_SIZES), format_func=_SIZES.__getitem__,
                                   key="bt-size", width=260, **keep)  # fmt: skip
            amount = st.number_input("Amount", 0.0001, None, 1.0, 0.1, key="bt-amount", width=130,
                                     **keep)  # fmt: skip
            leverage = st.number_input("Leverage limit", 0.1, 125.0, 3.0, 0.5, key="bt-leverage",
                                       width=140, **keep)  # fmt: skip
        costs = _costs(keep)
        stops = _stops(keep)
    return BacktestAsk(
        pair.y or "", pair.x or "", timeframe, limit, entry, exit_, int(window), hedge,
        int(hedge_window), fill, equity, size_by, amount, leverage, **costs, **stops,
    )  # fmt: skip


def _costs(keep: dict[str, Any]) -> dict[str, Any]:
    with st.container(horizontal=True, gap="small", key="bt-form-3"):
        taker = st.number_input("Taker fee, bps", -100.0, 1000.0, Config.TAKER_FEE_BPS, 0.5,
                                key="bt-taker", width=140, **keep)  # fmt: skip
        maker_fee = st.number_input("Maker fee, bps", -100.0, 1000.0, Config.MAKER_FEE_BPS, 0.5,
                                    key="bt-maker-fee", width=140, **keep)  # fmt: skip
        slippage = st.number_input("Slippage, bps", 0.0, 1000.0, Config.SLIPPAGE_BPS, 0.5,
                                   key="bt-slippage", width=140, **keep)  # fmt: skip
        funding = st.number_input("Funding, bps each 8 h", -1000.0, 1000.0, 0.0, 0.1,
                                  key="bt-funding", width=170, **keep)  # fmt: skip
        maker = st.toggle("Charge the maker fee", key="bt-maker", **keep)
    return {
        "taker_bps": taker, "maker_bps": maker_fee, "slippage_bps": slippage,
        "funding_bps": funding, "maker": maker,
    }  # fmt: skip


def _stops(keep: dict[str, Any]) -> dict[str, Any]:
    with st.container(horizontal=True, gap="small", key="bt-form-4"):
        z_stop = st.number_input("z-stop (0: none)", 0.0, 50.0, 0.0, 0.5, key="bt-z-stop",
                                 width=150, **keep)  # fmt: skip
        spread_stop = st.number_input("Spread stop, % of notional", 0.0, 100.0, 0.0, 0.1,
                                      key="bt-spread-stop", width=190, **keep)  # fmt: skip
        target = st.number_input("Take-profit, % of notional", 0.0, 100.0, 0.0, 0.1,
                                 key="bt-target", width=190, **keep)  # fmt: skip
        holding = st.number_input("Time stop, candles", 0, 100_000, 0, 10, key="bt-holding",
                                  width=150, **keep)  # fmt: skip
        cooldown = st.number_input("Cool-down, candles", 0, 100_000, 0, 1, key="bt-cooldown",
                                   width=150, **keep)  # fmt: skip
    return {
        "z_stop": z_stop, "spread_stop_pct": spread_stop, "take_profit_pct": target,
        "max_holding": int(holding), "cooldown": int(cooldown),
    }  # fmt: skip


def _begin(ctx: Context, key: str, title: str, ask: BacktestAsk, work: Callable[..., Any]) -> None:
    """Read the candles in one snapshot, then work on them beside the page."""
    database, now_ms = ctx.database, ctx.now_ms

    def run(job: Job) -> Any:
        given, coming = views.read_in_time(database, ask, now_ms)
        try:
            return work(job, given)
        except InsufficientData as problem:
            raise lacking.with_time(problem, ask.timeframe, coming) from problem

    jobs.start(key, title, run)


# -- run -------------------------------------------------------------------------------------


def _run(ctx: Context, ask: BacktestAsk) -> None:
    if st.button("Run backtest", key="bt-run", type="primary", icon=":material/play_arrow:"):
        safe = ctx.colour_blind_safe
        _begin(ctx, "backtest", "Backtest", ask,
               lambda job, given: views.run_backtest(ask, given, job.progress, safe))  # fmt: skip
    job = jobs.show("backtest")
    if job is None:
        widgets.empty(
            "Nothing has been run yet.",
            "Signals are made on a candle's close and filled at the next open; the hedge ratio "
            "knows the past alone; fees and slippage are on.",
            icon=":material/science:",
        )
    elif job.result is not None:
        _show_run(ctx, job.result)


def _show_run(ctx: Context, view: BacktestView) -> None:
    ctx.show_result(view)
    st.markdown(f"**{widgets.escaped(view.verdict)}**")
    st.caption(
        f"{view.ask.y.upper()} / {view.ask.x.upper()}, {view.ask.timeframe}, "
        f"{moment(view.span[0])} to {moment(view.span[1])}. Covered by stored trades: "
        f"{percent(view.coverage[0], 1)} and {percent(view.coverage[1], 1)}."
    )
    identity = f"{view.ask}|{view.span}"
    step = timeframe_ms(view.ask.timeframe)
    with st.container(border=True, key="bt-equity-box"):
        widgets.chart(ctx, view.equity, key="bt-equity-chart", identity=identity, height=460,
                      alt="Equity, legs and drawdown", step_ms=step)  # fmt: skip
    with st.container(border=True, key="bt-trades-box"):
        widgets.chart(ctx, view.trades_figure, key="bt-trades-chart", identity=identity,
                      height=400, alt="Trades on the spread", step_ms=step)  # fmt: skip
    with st.container(horizontal=True, gap="small", key="bt-uncertain"):
        for label, value, how in view.uncertain:
            st.metric(label, value, help=how, border=True, width=240)
    _metrics(view)
    st.markdown("##### Trades")
    widgets.table(view.trades, "trades", key="bt-trades", height=320,
                  dash="the trade is still open")  # fmt: skip
    _keep(ctx, view)


def _metrics(view: BacktestView) -> None:
    with st.container(horizontal=True, gap="small", key="bt-metrics"):
        for label, value, why in view.metrics:
            st.metric(label, value, help=why or None, border=True, width=168)


def _keep(ctx: Context, view: BacktestView) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="bt-keep"):
        name = st.text_input("Keep this run as", key="bt-name", max_chars=80, width=280).strip()
        if st.button("Keep", key="bt-keep-button", disabled=not name):
            run = views.saved_run(view, name, ctx.now_ms)
            ctx.database.put("run", name, views.as_body(run))
            st.toast(widgets.escaped(f"Kept as {name}."))
        created_ms, source = ctx.now_ms, ctx.status.source
        st.download_button(
            "HTML report",
            lambda: views.report_html(view, name or "Backtest", created_ms, source),
            file_name="backtest.html",
            mime="text/html",
            key="bt-report",
            on_click="ignore",
            icon=":material/description:",
        )


# -- sweep, walk-forward, audit --------------------------------------------------------------


def _sweep(ctx: Context, ask: BacktestAsk) -> None:
    st.caption(
        f"{len(grid_of(ask)):,} combinations of entry, exit, window and hedge method around "
        "the settings above, on the same candles and costs."
    )
    symbols = long_runs.choose_pairs(ctx, "bt-sweep")
    if st.button("Run sweep", key="bt-sweep", type="primary", icon=":material/grid_on:"):
        long_runs.begin(ctx, "sweep", "sweep", ask, symbols)
    long_runs.show(ctx, "sweep", timeframe_ms(ask.timeframe))


def _walk(ctx: Context, ask: BacktestAsk) -> None:
    st.caption("Each fold selects on its train stretch alone and trades the next, costs included.")
    symbols = long_runs.choose_pairs(ctx, "bt-walk")
    if st.button("Run walk-forward", key="bt-walk", type="primary", icon=":material/steps:"):
        long_runs.begin(ctx, "walk", "walk_forward", ask, symbols)
    long_runs.show(ctx, "walk", timeframe_ms(ask.timeframe))


def _audit(ctx: Context, ask: BacktestAsk) -> None:
    st.caption(
        "The strategy is run again on data cut off at many points. If a signal or a fill before "
        "the cut differs from the full run, it has seen the future."
    )
    if st.button("Run audit", key="bt-audit", type="primary", icon=":material/policy:"):
        _begin(ctx, "audit", "Look-ahead audit", ask, lambda _, given: views.run_audit(ask, given))
    job = jobs.show("audit")
    if job is not None and job.result is not None:
        (st.success if job.result.passed else st.error)(widgets.escaped(job.result.sentence))


# -- saved runs ------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """A cell of the file: numbers stay numbers; nothing, and lists, as text."""
    return value if isinstance(value, (int, float, str)) else ("" if value is None else str(value))


def _saved(ctx: Context) -> None:
    with ctx.database.snapshot() as snapshot:
        runs = snapshot.all_of("run")
    if not runs:
        widgets.empty("No run has been kept yet.", "Run a backtest and give it a name.")
        return
    chosen = st.multiselect(
        "Compare", list(runs), default=list(runs)[:4], key="bt-compare", persist_state="session"
    )
    if not chosen:
        return
    table = views.compared(runs[name] for name in chosen)
    widgets.table(views.as_text(table), "runs", key="bt-compare-table", height=560,
                  whole=lambda: table.map(_plain),
                  dash="that run's sample does not allow the figure")  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom", key="bt-forget"):
        gone = st.selectbox("Forget", list(runs), key="bt-forget-name", width=280)
        if st.button("Forget this run", key="bt-forget-button") and gone:
            ctx.database.drop("run", gone)
            sidebar.notice("info", f"The run {gone} was forgotten.")
