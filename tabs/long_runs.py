"""Sweeps, walk-forwards and full scans: begun as jobs beside the page, and what came of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from candles import timeframe_ms
from errors import InsufficientData
from tabs import jobs, widgets
from tabs.context import Context
from tabs.jobs import Job
from trading.ask import BacktestAsk
from views import lacking
from views import long_runs as views
from views.backtests import SweepView, WalkView, read_in_time

_TITLES = {"sweep": "Sweep", "walk_forward": "Walk-forward"}


class Ended(NamedTuple):
    """A job as it ended, and its view."""

    job: Any
    view: Any


def choose_pairs(ctx: Context, key: str) -> tuple[str, ...] | None:
    """Whether every pair of the chosen symbols is tried: these symbols, or None for one pair."""
    symbols = ctx.settings.symbols
    if len(symbols) < 3:
        return None
    many = len(symbols) * (len(symbols) - 1) // 2
    over = st.segmented_control(
        "Over", ("This pair", f"All {many:,} pairs of the {len(symbols)} symbols"),
        default="This pair", key=f"{key}-over", required=True, persist_state="session",
    )  # fmt: skip
    return None if over == "This pair" else symbols


def begin(
    ctx: Context, key: str, kind: str, ask: BacktestAsk, symbols: tuple[str, ...] | None
) -> None:
    """Write the job down with its candles and work on it beside the page."""
    database, now_ms = ctx.database, ctx.now_ms

    def run(job: Job) -> Ended:
        if symbols is not None:
            job_id = views.ask_pairs(database, kind, ask, symbols, now_ms)
        else:
            given, coming = read_in_time(database, ask, now_ms)
            try:
                job_id = views.ask_pair(database, kind, ask, given, now_ms)
            except InsufficientData as problem:
                raise lacking.with_time(problem, ask.timeframe, coming) from problem
        return Ended(*views.work_on(database, job_id, job.progress, job.cancelled))

    jobs.start(key, _TITLES[kind], run)


def show(ctx: Context, key: str, step_ms: int) -> None:
    """The job of a key: its progress while it runs, then its result."""
    job = jobs.show(key)
    if job is None or job.result is None:
        return
    ended: Ended = job.result
    note(ended.job)
    show_view(ctx, ended.view, identity=ended.job.id, key=f"bt-{key}", step_ms=step_ms)


def note(job: Any) -> None:
    """What there is to say of how a job went: another machine than asked, or failed tasks."""
    if job.note and job.state != "running":
        st.warning(widgets.escaped(job.note), icon=":material/info:")
    if job.state in ("stopped", "failed"):
        st.caption("What has been computed is kept: the tab Jobs resumes it.")


def show_view(ctx: Context, view: Any, *, identity: str, key: str, step_ms: int) -> None:
    """A sweep, a walk-forward or a table of pairs."""
    ctx.show_result(view)
    if isinstance(view, SweepView):
        _sweep(ctx, view, identity, key)
    elif isinstance(view, WalkView):
        _walk(ctx, view, identity, key, step_ms)
    elif isinstance(view, views.PairsView):
        for sentence in view.sentences:
            st.markdown(widgets.escaped(sentence))
        widgets.table(
            view.table.head(2000), "pairs", key=f"{key}-pairs", height=440,
            whole=lambda: view.table, column_config=_digits(view.table),
            dash="the pair never traded, or could not be tried",
        )  # fmt: skip


def _digits(table: pd.DataFrame) -> dict[str, Any]:
    """Four digits of whatever size: some of the chances are next to nothing."""
    numbers = table.select_dtypes("float").columns
    return {str(name): st.column_config.NumberColumn(format="%.4g") for name in numbers}


def _sweep(ctx: Context, view: SweepView, identity: str, key: str) -> None:
    with st.container(horizontal=True, gap="small", key=f"{key}-luck"):
        for label, value, explained in view.facts:
            st.metric(label, value, help=explained, border=True, width=220)
    for sentence in view.sentences:
        st.markdown(widgets.escaped(sentence))
    with st.container(border=True, key=f"{key}-heat-box"):
        st.markdown("**Sharpe ratio by entry and exit; the square marks the plateau**")
        widgets.chart(ctx, view.figure, key=f"{key}-heat", identity=identity, height=440,
                      alt="Heat map of the sweep")  # fmt: skip
    widgets.table(
        view.table.head(1000), "sweep", key=f"{key}-table", height=300, whole=lambda: view.table,
        dash="the combination made no trade, or was not done",
    )  # fmt: skip


def _walk(ctx: Context, view: WalkView, identity: str, key: str, step_ms: int) -> None:
    for sentence in view.sentences:
        st.markdown(widgets.escaped(sentence))
    if view.figure is None:
        return
    with st.container(border=True, key=f"{key}-box"):
        st.markdown("**Out-of-sample equity, stitched; every other fold is tinted**")
        widgets.chart(ctx, view.figure, key=f"{key}-chart", identity=identity, height=400,
                      alt="Out-of-sample equity", step_ms=step_ms)  # fmt: skip
    widgets.table(view.table, "walk_forward", key=f"{key}-table")


def step_of(job: Any) -> int:
    """Length of the candles that a job of pairs ran on, in milliseconds."""
    return timeframe_ms(job.parameters["ask"]["timeframe"]) if "ask" in job.parameters else 0
