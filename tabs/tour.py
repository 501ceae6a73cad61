"""The guided tour: a banner with steps on the first start with the demo market."""

from __future__ import annotations

import streamlit as st

from errors import PlatformError
from tabs.context import Context

_STEPS = (
    "**Press Start** in the sidebar or below: the recent past is there within seconds.",
    "**Dashboard**: BTC is planted as 25 × ETH + 12,000 plus a spread that halves in 10 minutes.",
    "**Pair Analytics**: the tests, each with its null hypothesis and its verdict in words.",
    "**Backtest**: run it, then sweep it, then let the audit look for a look-ahead.",
    "**Health → Self-check**: every estimate beside what was planted.",
)


def banner(ctx: Context) -> None:
    """Five steps above the tabs, until they are closed for good; it covers nothing."""
    if ctx.status.source != "demo" or _closed(ctx):
        return
    with st.expander(":material/tour: A tour in five steps", expanded=not ctx.status.running):
        st.markdown("\n".join(f"{n}. {step}" for n, step in enumerate(_STEPS, start=1)))
        st.button("Close the tour", key="tour-close", on_click=_close, args=(ctx,))


def _closed(ctx: Context) -> bool:
    if "tour-closed" not in st.session_state:
        try:
            stored = ctx.runtime.load_settings().get("tour_closed", False)
        except PlatformError:
            stored = False
        st.session_state["tour-closed"] = bool(stored)
    return bool(st.session_state["tour-closed"])


def _close(ctx: Context) -> None:
    st.session_state["tour-closed"] = True
    ctx.runtime.save_settings({"tour_closed": True})
