"""Data: stored ticks and candles by pages, import, export, retention and the gap ledger."""

from __future__ import annotations

from typing import Any

import streamlit as st

from candles import CHART_TIMEFRAMES
from config import Config
from tabs import jobs, time_span, widgets
from tabs.context import Context
from tabs.jobs import Job
from tabs.time_span import Span
from views.stored import StoredView, read_candles, read_gaps, read_ticks

_PAGE = 200
# A file that is refused is refused within this time, and said in the same drawing of the page.
_AT_ONCE_S = 0.8
_SHOWN = ("Ticks", "Candles", "Gap ledger", "Import", "Export")
_STATES = {"all": None, "open": "open", "filled": "filled", "confirmed absent": "confirmed_absent"}


def render(ctx: Context) -> None:
    """Show what is stored."""
    shown = st.segmented_control(
        "Show", _SHOWN, default="Ticks", key="data-shown", required=True, persist_state="session",
        label_visibility="collapsed",
    )  # fmt: skip
    if shown == "Ticks":
        _ticks(ctx)
    elif shown == "Candles":
        _candles(ctx)
    elif shown == "Gap ledger":
        _gaps(ctx)
    elif shown == "Import":
        _import(ctx)
    else:
        _export(ctx)


def _symbol(ctx: Context, *, all_allowed: bool, key: str) -> str | None:
    options: list[str | None] = list(ctx.settings.symbols)
    if all_allowed:
        options = [None, *options]
    return st.selectbox(
        "Symbol",
        options,
        format_func=lambda s: "All symbols" if s is None else s.upper(),
        key=key,
        width=220,
        persist_state="session",
    )


def _summary(view: StoredView) -> None:
    if len(view.summary):
        st.markdown("##### What is stored")
        widgets.table(view.summary, "stored", key="data-summary",
                      dash="no ticks of that symbol were deleted")  # fmt: skip


def _ticks(ctx: Context) -> None:
    controls = st.container(horizontal=True, vertical_alignment="bottom", key="data-ticks-controls")
    with controls:
        symbol = _symbol(ctx, all_allowed=True, key="data-ticks-symbol")
        span = time_span.choose(ctx, "data-ticks")
    key = _page_key("data-ticks", (symbol, span))
    view = ctx.view(
        ("ticks", symbol, span, key), lambda s: read_ticks(s, symbol, *span, _PAGE, key)
    )
    with controls:
        _pager("data-ticks", view.next_key)
    _page(view, "data-ticks", "ticks", symbol, span)
    _summary(view)


def _candles(ctx: Context) -> None:
    controls = st.container(
        horizontal=True, vertical_alignment="bottom", key="data-candles-controls"
    )
    with controls:
        symbol = _symbol(ctx, all_allowed=False, key="data-candles-symbol")
        timeframe = st.selectbox(
            "Timeframe", CHART_TIMEFRAMES, index=CHART_TIMEFRAMES.index(ctx.settings.timeframe),
            key="data-candles-timeframe", width=140, persist_state="session",
        )  # fmt: skip
        span = time_span.choose(ctx, "data-candles")
    key = _page_key("data-candles", (symbol, timeframe, span))
    view = ctx.view(
        ("candles", symbol, timeframe, span, key),
        lambda s: read_candles(s, symbol, timeframe, *span, _PAGE, key),
    )
    with controls:
        _pager("data-candles", view.next_key)
    _page(view, "data-candles", "candles", symbol, span)
    _summary(view)


def _pager(key: str, next_key: int | None) -> None:
    """Newest, newer and older; where the pages seen begin is a stack."""
    stack: list[int] = st.session_state[f"{key}-stack"]
    st.button("Newest", key=f"{key}-newest", on_click=stack.clear, disabled=not stack)
    st.button("Newer", key=f"{key}-newer", on_click=_newer, args=(stack,), disabled=not stack)
    st.button(
        "Older",
        key=f"{key}-older",
        on_click=stack.append,
        args=(next_key,),
        disabled=next_key is None,
    )


def _newer(stack: list[int]) -> None:
    if stack:
        stack.pop()


def _page_key(key: str, filters: Any) -> int | None:
    """Where the page begins; other filters begin at the newest page again."""
    fresh = f"{key}-stack" not in st.session_state
    if fresh or st.session_state.get(f"{key}-filters") != filters:
        st.session_state[f"{key}-filters"] = filters
        st.session_state[f"{key}-stack"] = []
    stack: list[int] = st.session_state[f"{key}-stack"]
    return stack[-1] if stack else None


def _page(view: StoredView, key: str, name: str, symbol: str | None, span: Span) -> None:
    if not len(view.rows):
        if span == time_span.EVERYTHING:
            nothing, next_step = "", "Press Start in the sidebar, or import a file."
        else:
            nothing, next_step = " in this time", "Choose another time, or empty From and To."
        widgets.empty(f"No {name} are stored here{nothing}.", next_step)
        return
    widgets.table(
        view.rows,
        f"{name}_{symbol or 'all'}_page",
        key=f"{key}-table",
        height=420,
        decimals=view.decimals,
    )


def _gaps(ctx: Context) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="data-gaps-controls"):
        symbol = _symbol(ctx, all_allowed=True, key="data-gaps-symbol")
        state = st.selectbox(
            "State", list(_STATES), key="data-gaps-state", width=200, persist_state="session"
        )
    view = ctx.view(("gaps", symbol, state), lambda s: read_gaps(s, symbol, _STATES[state]))
    if len(view.rows):
        widgets.table(view.rows, "gaps", key="data-gaps-table", height=420,
                      dash="the gap is still open")  # fmt: skip
    else:
        other = "" if symbol is None and state == "all" else " Choose another state or symbol."
        widgets.empty(
            "The ledger has no such gap.",
            "Every missing run of trade ids is written here when it is seen, and closed when it "
            "has been filled or is known not to exist." + other,
            icon=":material/task_alt:",
        )
    _summary(view)


# -- import and export -----------------------------------------------------------------------


def _import(ctx: Context) -> None:
    st.markdown(
        "Binance archives (zip or CSV: aggTrades, trades, klines), ticks as CSV or NDJSON, candles "
        "as CSV. Importing a file twice changes nothing."
    )
    with st.form("import-form", border=True):
        file = st.file_uploader(
            "File", type=["csv", "zip", "gz", "ndjson", "jsonl", "txt"], key="import-file"
        )
        with st.container(horizontal=True):
            symbol = st.text_input("Symbol, where the file does not say", key="import-symbol")
            timeframe = st.selectbox(
                "Timeframe of candles, where it does not say",
                ["", *CHART_TIMEFRAMES],
                key="import-timeframe",
            )
        asked = st.form_submit_button("Import", type="primary")
    if asked and file is None:
        jobs.refuse("import", "Import", "Choose a file first.")
    elif asked:
        _begin_import(ctx, file, symbol.strip().lower() or None, timeframe or None)
    job = jobs.show("import")
    if job is not None and job.result is not None:
        report = job.result
        say, icon = (st.success, "task_alt") if report.taken else (st.warning, "info")
        say(widgets.escaped(report.sentence), icon=f":material/{icon}:")


def _begin_import(ctx: Context, file: Any, symbol: str | None, timeframe: str | None) -> None:
    from interchange.importing import import_file
    from interchange.source import UPLOAD_LIMITS

    database, now_ms = ctx.database, ctx.now_ms

    def work(job: Job) -> Any:
        return import_file(
            database,
            file,
            name=file.name,
            symbol=symbol,
            timeframe=timeframe,
            limits=UPLOAD_LIMITS,
            progress=job.progress,
            cancelled=job.cancelled,
            now_ms=now_ms,
        )

    jobs.start("import", f"Importing {file.name}", work, compiled=False, wait_s=_AT_ONCE_S)


def _export(ctx: Context) -> None:
    from tabs import export_form

    export_form.render(ctx)
    st.caption(
        f"Ticks older than {Config.DATA_RETENTION_HOURS} hours are deleted in small steps "
        "(DATA_RETENTION_HOURS); candles stay."
    )
