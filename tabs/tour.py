"""The guided tour: a banner with steps on the first start with the demo market."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from errors import PlatformError
from tabs.context import Context


class Step(NamedTuple):
    """The tab that a step is about, and what is to be seen there."""

    tab: str
    text: str


_STEPS = (
    Step("Dashboard", "Press **Start** in the sidebar or below: the recent past is there within "
         "seconds."),
    Step("Dashboard", "The **z-score** says how far the spread of the pair is from its mean. BTC "
         "is planted as 25 × ETH + 12,000 plus a spread that halves in 10 minutes."),
    Step("Pair Analytics", "The **tests**, each with its null hypothesis and its verdict in words, "
         "and the break-even z: what the costs ask for."),
    Step("Backtest", "Press **Run backtest**, then sweep it, then let the audit look for a "
         "look-ahead."),
    Step("Health", "The **self-check**: every estimate beside what was planted, with its "
         "interval."),
)  # fmt: skip


def banner(ctx: Context) -> None:
    """A step above the tabs, until the tour is closed for good; it covers nothing."""
    if ctx.status.source != "demo" or _closed(ctx):
        return
    if ctx.status.running and _at() == 0:
        st.session_state["tour-step"] = 1
    at = _at()
    with (
        st.container(border=True, key="tour"),
        st.container(horizontal=True, vertical_alignment="center", gap="small"),
    ):
        st.markdown(
            f":material/tour: **{at + 1} of {len(_STEPS)} · {_STEPS[at].tab}.** {_STEPS[at].text}",
            width="stretch",
        )
        if at > 1:
            st.button("Back", key="tour-back", on_click=_go, args=(at - 1,))
        if 0 < at < len(_STEPS) - 1:
            st.button("Next", key="tour-next", type="primary", on_click=_go, args=(at + 1,))
        st.button("Close the tour", key="tour-close", on_click=_close, args=(ctx,))


def _at() -> int:
    return int(st.session_state.get("tour-step", 0))


def _go(step: int) -> None:
    st.session_state["tour-step"] = step
    st.session_state["tab"] = _STEPS[step].tab
    if _STEPS[step].tab == "Health":
        st.session_state["health-shown"] = "Self-check"


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
