"""Export of ticks and candles of any size: a file made beside the page, then offered."""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from candles import CHART_TIMEFRAMES
from tabs import export_files, jobs, time_span, widgets
from tabs.context import Context
from tabs.export_files import ExportedFile
from tabs.jobs import Job
from views.text import file_size


def render(ctx: Context) -> None:
    """Choose what to export; the file is made when the button is pressed."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="export-controls"):
        what = st.segmented_control(
            "What", ["Candles", "Ticks"], default="Candles", key="export-what", required=True
        )
        symbol = st.selectbox(
            "Symbol", ctx.settings.symbols, format_func=str.upper, key="export-symbol", width=200
        )
        timeframe = st.selectbox(
            "Timeframe", CHART_TIMEFRAMES, index=4, key="export-timeframe", width=140,
            disabled=what == "Ticks",
        )  # fmt: skip
        file_format = st.segmented_control(
            "Format", ["CSV", "Parquet"], default="CSV", key="export-format", required=True
        )
        span = time_span.choose(ctx, "export")
    if symbol is None:
        widgets.empty("No symbol is chosen.", "Choose one in the sidebar.")
        return
    st.caption(
        "Everything stored of the symbol, or what lies between From and To; a file of any size is "
        "written piece by piece. Text cells of a CSV are made harmless to spreadsheets."
    )
    if st.button("Make the file", key="export-make", type="primary", icon=":material/download:"):
        options = {"start_ms": span[0], "end_ms": span[1], "file_format": file_format.lower()}
        _begin(ctx, what == "Ticks", symbol, timeframe, options)
    job = jobs.show("export")
    if job is not None and job.result is not None:
        _offer(job.result)


def _begin(ctx: Context, ticks: bool, symbol: str, timeframe: str, options: dict[str, Any]) -> None:
    from interchange.exporting import export_candles, export_ticks

    database = ctx.database
    stem = f"ticks_{symbol}" if ticks else f"candles_{symbol}_{timeframe}"
    name = re.sub(r"[^a-z0-9_.]", "", stem.lower()) + "." + options["file_format"]

    def work(job: Job) -> ExportedFile:
        told: dict[str, Any] = {"cancelled": job.cancelled, "progress": job.progress, **options}
        if ticks:
            return export_files.folder.make(
                name, lambda out: export_ticks(database, out, [symbol], **told), job.cancelled
            )
        return export_files.folder.make(
            name,
            lambda out: export_candles(database, out, [symbol], timeframe, **told),
            job.cancelled,
        )

    jobs.start("export", f"Writing {name}", work, compiled=False, wait_s=0.3)


def _offer(made: ExportedFile) -> None:
    if not made.rows:
        widgets.empty("There is nothing to export.", "Choose another symbol or another time.")
        return
    with st.container(horizontal=True, vertical_alignment="center", key="export-ready"):
        st.link_button(
            f"Download {widgets.escaped(made.name)}",
            made.address,
            icon=":material/download:",
            type="primary",
        )
        st.caption(
            f"{made.rows:,} rows, {file_size(made.size)}. The newest {export_files.KEPT} files are "
            "kept until the server stops."
        )
