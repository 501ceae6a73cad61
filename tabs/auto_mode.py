"""Auto mode within the Portfolio tab: start and stop a pair, its decisions, the comparison."""

from __future__ import annotations

from typing import Any

import streamlit as st

from candles import CHART_TIMEFRAMES
from errors import BadInput
from storage.books import AccountRow, AutoRow
from tabs import desk_requests, widgets
from tabs.context import Context
from views.auto import auto_rows, compare_run, decisions_frame, title


def render(ctx: Context, account: AccountRow, running: bool) -> None:
    """What runs by itself on this account."""
    with ctx.database.snapshot() as snapshot:
        rows = auto_rows(snapshot, account.id)
    for row in rows[:10]:
        _one(ctx, account, row, running)
    _start_form(ctx, account.id, running)


def _one(ctx: Context, account: AccountRow, row: AutoRow, running: bool) -> None:
    with st.container(border=True, key=f"auto-{row.id}"):
        state = "running" if row.running else "stopped"
        st.markdown(f"**{title(row)}** · {state}")
        with st.container(horizontal=True, vertical_alignment="center"):
            if row.running:
                _stop(ctx, row, running)
            compared = st.toggle("Backtest against paper", key=f"compare-{row.id}")
            logged = st.toggle("Decisions", key=f"decisions-{row.id}")
        if compared:
            _comparison(ctx, account, row)
        if logged:
            with ctx.database.snapshot() as snapshot:
                frame = decisions_frame(snapshot, row.id)
            widgets.table(frame, "decisions", key=f"auto-log-{row.id}", height=280)


def _stop(ctx: Context, row: AutoRow, running: bool) -> None:
    for label, close in (("Stop and keep the pair", False), ("Stop and close the pair", True)):
        if st.button(label, key=f"stop-{close}-{row.id}", disabled=not running):
            body = {"auto": row.id, "close": close}
            desk_requests.say(desk_requests.ask(ctx, "desk.auto.stop", body), "Stopped.")


def _comparison(ctx: Context, account: AccountRow, row: AutoRow) -> None:
    try:
        with ctx.database.snapshot() as snapshot:
            report = compare_run(snapshot, account, row, ctx.now_ms)
    except BadInput as problem:
        st.caption(widgets.escaped(str(problem)))
        return
    st.markdown(report.sentence)
    widgets.table(report.totals, "backtest_and_paper", key=f"totals-{row.id}")
    if len(report.differences):
        widgets.table(
            report.differences,
            "backtest_against_paper",
            key=f"differences-{row.id}",
            height=280,
        )


def _start_form(ctx: Context, account: str, running: bool) -> None:
    options = ctx.settings.pair
    if options.y is None or options.x is None:
        st.caption("Choose two symbols in the sidebar.")
        return
    with st.form("auto-form"):
        st.caption(
            f"{options.title}, as chosen in the sidebar: the backtest's strategy decides on each "
            "candle close and its orders meet the tape."
        )
        left, middle, right = st.columns(3)
        frames = list(CHART_TIMEFRAMES)
        timeframe = left.selectbox("Candles", frames, index=frames.index(options.timeframe))
        hedge = middle.number_input("Hedge window, candles", 3, 5_000, 240)
        window = right.number_input("z window, candles", 2, 2_000, 60)
        entry = left.number_input("Entry z", 0.1, 10.0, float(options.entry_th))
        leave = middle.number_input("Exit z", -5.0, 9.0, float(options.exit_th))
        z_stop = right.number_input("z-stop (0: none)", 0.0, 20.0, 0.0)
        stop = left.number_input("Spread stop, % (0: none)", 0.0, 100.0, 0.0)
        candles = middle.number_input("Time stop, candles (0: none)", 0, 100_000, 0)
        amount = right.number_input("Size, % of equity", 0.1, 1_000.0, 50.0)
        if st.form_submit_button("Start auto mode", disabled=not running):
            rules = {
                "entry_th": entry,
                "exit_th": leave,
                "z_stop": z_stop or None,
                "spread_stop": stop / 100 or None,
                "max_holding": int(candles),
            }
            body: dict[str, Any] = {
                "id": desk_requests.token("auto"),
                "account": account,
                "symbol1": options.y,
                "symbol2": options.x,
                "timeframe": timeframe,
                "hedge": {"method": "rolling", "window": int(hedge)},
                "z_window": int(window),
                "rules": rules,
                "by": "percent",
                "amount": amount / 100,
            }
            answer = desk_requests.ask(ctx, "desk.auto.start", body)
            desk_requests.say(answer, "Auto mode has begun.", renewing="auto")
