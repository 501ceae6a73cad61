"""Scanner: every pair of the stored symbols, ranked; a click opens the pair."""

from __future__ import annotations

from typing import Any

import streamlit as st

from candles import CHART_TIMEFRAMES
from tabs import jobs, long_runs, sidebar, widgets
from tabs.context import Context
from tabs.jobs import Job
from tabs.long_runs import Ended
from views import long_runs as long_views
from views.scan import (
    ScanOptions,
    ScanView,
    Universe,
    read_universe,
    run_scan,
    shown_table,
    too_short,
)
from views.text import DASH


def render(ctx: Context) -> None:
    """Show the last scan, and begin another when asked to, or when a candle has closed."""
    options = _options(ctx)
    with st.container(horizontal=True, gap="small", key="scan-buttons"):
        asked = st.button("Scan now", key="scan", type="primary", icon=":material/radar:")
        in_full = st.button(
            "Full scan, lag by AIC", key="scan-full", icon=":material/manage_search:",
            on_click=_no_longer_live,
            help="Every pair is tested a second time with a lag of its own, chosen by AIC. It is "
            "kept as a job, which can be stopped and resumed in the tab Jobs.",
        )  # fmt: skip
    # Not as a default: a full scan sets it as well.
    st.session_state.setdefault("scan-live", True)
    live = st.toggle("Scan again when a candle closes", key="scan-live", persist_state="session")
    universe = ctx.view(("universe", options), lambda s: read_universe(s, options, ctx.now_ms))
    if universe.prices.shape[1] < 2:
        widgets.empty(
            "A scan needs at least two symbols with stored candles.",
            "Choose more symbols in the sidebar and press Start.",
        )
        return
    if why := too_short(universe, options):
        widgets.empty("There are too few candles for a scan yet.", why)
        return
    # History that arrives makes old candles, and its end makes no new one.
    state = (options, universe.prices.index[-1], ctx.status.backfilling)
    if in_full:
        _begin_full(ctx, universe, options)
    elif asked or (live and st.session_state.get("scan-state") != state):
        running = st.session_state.get("job-scan")
        if asked or running is None or running.done:
            st.session_state["scan-state"] = state
            _begin(universe, options)
    job = jobs.show("scan")
    if job is not None and job.result is not None:
        st.session_state["scan-result"] = _unwrapped(job.result)
    view = st.session_state.get("scan-result")
    if view is not None:
        show_result(ctx, view)


def _options(ctx: Context) -> ScanOptions:
    with st.container(horizontal=True, vertical_alignment="bottom", key="scan-controls"):
        timeframe = st.selectbox(
            "Timeframe", CHART_TIMEFRAMES, index=CHART_TIMEFRAMES.index(ctx.settings.timeframe),
            key="scan-timeframe", width=130, persist_state="session",
        )  # fmt: skip
        limit = st.selectbox(
            "Candles", [300, 1000, 3000], index=1, key="scan-limit", width=130,
            persist_state="session",
        )  # fmt: skip
        fdr = st.number_input(
            "False-discovery rate", 0.001, 0.5, 0.05, 0.01, key="scan-fdr", width=170,
            format="%.3f", persist_state="session",
        )  # fmt: skip
        turnover = st.number_input(
            "Least turnover a candle (median)", 0.0, None, 0.0, 1000.0, key="scan-turnover",
            width=230, persist_state="session",
        )  # fmt: skip
    return ScanOptions(timeframe, limit, fdr, turnover, ctx.settings.pair.entry_th)


def _begin(universe: Universe, options: ScanOptions) -> None:
    def work(job: Job) -> Any:
        return run_scan(universe, options, job.progress, job.cancelled)

    jobs.start("scan", "Scanning", work)


def _begin_full(ctx: Context, universe: Universe, options: ScanOptions) -> None:
    """As a job, so that hours of it are not lost with this program."""
    database, now_ms = ctx.database, ctx.now_ms

    def work(job: Job) -> Any:
        job_id = long_views.ask_scan(database, universe, options, now_ms)
        return Ended(*long_views.work_on(database, job_id, job.progress, job.cancelled))

    jobs.start("scan", "Scanning in full", work)


def _no_longer_live() -> None:
    """The next candle's quick scan is not to take the place of a full one."""
    st.session_state["scan-live"] = False


def _unwrapped(result: Any) -> Any:
    """A quick scan's result, or that of a full scan's job; None while that is not whole."""
    if isinstance(result, Ended):
        long_runs.note(result.job)
        return result.view
    return result


def show_result(ctx: Context, view: ScanView) -> None:
    """The verdict of a scan, its table, and the way from a row to its pair."""
    ctx.show_result(view)
    result = view.result
    st.markdown(f"**{widgets.escaped(result.verdict)}**")
    with st.container(horizontal=True, gap="small", key="scan-facts"):
        for label, value in (
            ("Symbols", result.n_symbols),
            ("Candles", result.n_obs),
            ("Pairs tested", result.n_tested),
            ("Found", result.n_discoveries),
            ("Pass the screen", result.n_screened),
        ):
            st.metric(label, f"{value:,}", border=True, width=150)
    table = shown_table(result.frame)
    chosen = st.dataframe(
        widgets.harmless(table),
        key="scan-table",
        hide_index=True,
        width="stretch",
        height=min(460, 40 + 36 * len(table)),
        on_select="rerun",
        selection_mode="single-row",
        column_config=_columns(),
        placeholder=DASH,
    )
    widgets.say_dash(table, "the spread does not revert, or the candles are too few for it")
    rows = chosen.selection.rows if chosen is not None else []
    if rows and rows[0] < len(result.frame):
        y, x = (str(result.frame.iloc[rows[0]][c]) for c in ("price1", "price2"))
        st.button(
            f"Open {y.upper()} / {x.upper()} in Pair Analytics",
            key="scan-open",
            icon=":material/open_in_new:",
            on_click=_open,
            args=(y, x),
        )
    else:
        st.caption("Choose a row to open the pair.")
    widgets.downloads(lambda: result.frame, "scan", key="scan")
    st.caption(
        f"Null hypothesis: {widgets.escaped(result.null_hypothesis)} q-values hold the share of "
        f"false finds to {result.fdr:.0%} over the whole scan; the test with a lag by AIC is "
        "shown beside them and not used for that."
    )
    for symbol, why in result.dropped.items():
        st.caption(f"{widgets.escaped(str(symbol).upper())} left out: {widgets.escaped(why)}")


def _columns() -> dict[str, Any]:
    from quant.scan_frame import COLUMNS

    digits = {
        "q_value": "%.4f", "p_value": "%.4f", "correlation": "%.3f", "hedge_ratio": "%.5g",
        "hedge_instability": "%.3f", "half_life": "%.1f", "hurst": "%.3f",
        "spread_vol_bps": "%.1f", "expected_reversion_bps": "%.1f", "cost_bps": "%.1f",
        "cost_to_edge": "%.2f", "net_edge_bps": "%.1f", "volume": "compact",
        "aic_p_value": "%.4f",
    }  # fmt: skip
    return {
        name: st.column_config.NumberColumn(name.replace("_", " "), help=COLUMNS[name], format=fmt)
        for name, fmt in digits.items()
    }


def _open(y: str, x: str) -> None:
    """Take the pair, and go to its tab."""
    chosen = list(st.session_state["symbols"])
    st.session_state["symbols"] = list(dict.fromkeys([*chosen, y, x]))
    st.session_state["y"], st.session_state["x"] = y, x
    st.session_state["tab"] = "Pair Analytics"
    sidebar.redraw_page()
