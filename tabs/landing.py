"""The landing page: what it is, and four steps to begin."""

from __future__ import annotations

import streamlit as st

from live.host import preload

_STEPS = (
    (
        ":material/rocket_launch:",
        "Launch",
        "Open the dashboard. Nothing is sent anywhere; no account, no key.",
    ),
    (
        ":material/sensors:",
        "Choose a source",
        "The live Binance futures market, a demo market whose truth is known, or a recording.",
    ),
    (
        ":material/play_circle:",
        "Press Start",
        "Trades go into a local SQLite file; the recent past is fetched as well.",
    ),
    (
        ":material/query_stats:",
        "Study a pair",
        "Candles, spread and z-score update in place; test, scan and backtest on what is stored.",
    ),
)


def render() -> None:
    """Show the landing page."""
    with st.container(key="landing"):
        st.title("Crypto Analytics Platform")
        st.markdown(
            "##### Watch two perpetuals, see whether they move together, and try a mean-reversion "
            "idea this evening."
        )
        st.markdown(
            "Live trades of Binance USD-M futures, checked and stored on this computer, with pair "
            "statistics that state their assumptions and a backtest that tries to prove itself "
            "wrong."
        )
        if st.button(
            "Launch Dashboard", type="primary", icon=":material/rocket_launch:", key="launch"
        ):
            st.session_state["launched"] = True
            st.rerun()
        st.markdown("#### Four steps to begin")
        with st.container(horizontal=True, gap="small", key="steps"):
            for number, (icon, title, text) in enumerate(_STEPS, start=1):
                with st.container(border=True, width=260, key=f"step-{number}"):
                    st.markdown(f"### {icon}")
                    st.markdown(f"**{number}. {title}**")
                    st.caption(text)
        st.caption(
            "Research software. What it shows is not advice, and it never trades: no exchange key "
            "is ever asked for."
        )
    preload()
