"""Health: the feed's states, lag, queue, drops, gaps, the database, memory and the log's tail."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from tabs import self_check, widgets
from tabs.context import Context
from tabs.log_tail import recent_lines
from views.wellbeing import HealthView, read_health


def render(ctx: Context) -> None:
    """Show the platform's own account of itself, or hold it against what was planted."""
    if ctx.status.source == "demo":
        # Not as a default: the tour sets it as well.
        st.session_state.setdefault("health-shown", "Feed")
        shown = st.segmented_control(
            "Show", ("Feed", "Self-check"), key="health-shown", required=True,
            persist_state="session", label_visibility="collapsed",
        )  # fmt: skip
        if shown == "Self-check":
            self_check.render(ctx)
            return
    _feed(ctx)


def _feed(ctx: Context) -> None:
    report = ctx.status.health
    st.markdown(f"##### {widgets.escaped(ctx.status.sentence or 'Not collecting.')}")
    trouble = report.get("trouble")
    if trouble:
        waiting = (report.get("queue") or {}).get("depth", 0)
        st.warning(widgets.escaped(f"{waiting:,} ticks wait in memory: {trouble}"))
    sizes = ctx.database.sizes()
    view = ctx.view("health", lambda snapshot: read_health(snapshot, report, *sizes))
    with st.container(horizontal=True, gap="small", key="health-facts"):
        for label, value, explained in view.facts:
            st.metric(label, value, help=explained, border=True, width=164)
    left, right = st.columns(2, gap="small")
    with left:
        _table("Streams", view.streams, "No stream is open. Press Start in the sidebar.", "streams")
        _table("Gaps", view.gaps, "No gap has been seen.", "gaps")
    with right:
        _table("Dropped messages", view.drops, "Nothing has been dropped.", "drops")
        _lag(view)
    st.markdown("##### Desk")
    st.caption(widgets.escaped(view.desk_state))
    with st.container(horizontal=True, gap="small", key="health-desk"):
        for label, value, explained in view.desk:
            st.metric(label, value, help=explained, border=True, width=164)
    with st.expander("Log", expanded=False):
        st.code("\n".join(recent_lines(200)) or "Nothing has been logged yet.", language=None)


def _table(title: str, frame: pd.DataFrame, nothing: str, key: str) -> None:
    st.markdown(f"**{title}**")
    if len(frame):
        widgets.table(frame, key, key=f"health-{key}")
    else:
        st.caption(nothing)


def _lag(view: HealthView) -> None:
    """How late trades arrived: counts by bin, since Start."""
    st.markdown("**Lag: receive time minus event time**")
    if not len(view.lag):
        st.caption("No lag has been measured yet.")
        return
    most = int(view.lag["trades"].max())
    bar = st.column_config.ProgressColumn("trades", format="localized", max_value=max(most, 1))
    widgets.table(view.lag, "lag", key="health-lag", column_config={"trades": bar})
