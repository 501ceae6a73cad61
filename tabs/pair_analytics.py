"""Pair Analytics: prices, spread and z-score, hedge ratio, correlation, tests in words."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from candles import timeframe_ms
from tabs import widgets
from tabs.context import Context
from views import pair_page, warm
from views.pair_page import PairPage, Study, read_pair_page
from views.text import number, percent

_START, _STEP, _MOST = 300, 300, 3_000


def render(ctx: Context) -> None:
    """Show the pair as of one snapshot."""
    options = ctx.settings.pair.with_limit(st.session_state.get("pair-limit", _START))
    page = ctx.view(
        ("pair", options), lambda snapshot: read_pair_page(snapshot, options, ctx.now_ms)
    )
    _headline(page)
    if page.main is None or page.scatter is None:
        widgets.empty(f"{options.title} cannot be analysed yet.", page.state.why or "")
        return
    step_ms = timeframe_ms(options.timeframe)
    identity = f"{options.title}|{options.timeframe}|{options.method}"
    with st.container(border=True, key="pair-main-box"):
        widgets.chart(
            ctx,
            page.main,
            key="pair-main",
            identity=identity,
            height=620,
            alt=f"Prices, spread and z-score of {options.title}",
            step_ms=step_ms,
            version=page.version,
            on_earlier=_earlier if options.limit < _MOST else None,
        )
        st.caption(page.signal_note + _coverage(page))
    left, right = st.columns([3, 2], gap="small")
    with left, st.container(border=True, key="pair-ratio-box"):
        if page.ratio is None:
            widgets.empty("No rolling hedge ratio yet.", "It needs more closed candles.")
        else:
            widgets.chart(
                ctx,
                page.ratio,
                key="pair-ratio",
                identity=identity,
                height=380,
                alt=f"Rolling hedge ratio and correlation of {options.title}",
                step_ms=step_ms,
                version=page.version,
            )
    with right, st.container(border=True, key="pair-scatter-box"):
        widgets.chart(
            ctx,
            page.scatter,
            key="pair-scatter",
            identity=identity,
            height=380,
            alt=f"Scatter of {options.title}",
            version=page.version,
        )
    study = pair_page.study(page.state) if warm.is_complete() else None
    if study is not None:
        _study(study)
    elif warm.is_complete():
        widgets.empty("The closed candles are being tested.", "That takes a few seconds.")
    else:
        widgets.empty(*warm.FIRST_START)


def _earlier() -> None:
    st.session_state["pair-limit"] = min(st.session_state.get("pair-limit", _START) + _STEP, _MOST)


def _headline(page: PairPage) -> None:
    state = page.state
    with st.container(horizontal=True, gap="small", key="pair-headline"):
        for label, text, value, note in (
            ("Z-score", number(state.zscore_now), state.zscore_now, state.explained),
            ("Spread", state.spread_text, state.spread_now, None),
            ("Hedge ratio", state.ratio_text, state.ratio_now, None),
            ("Correlation", number(state.correlation, 3), state.correlation, None),
        ):
            shown = widgets.figure_of(value, text, state.why)
            st.metric(label, border=True, width=168, **({"help": note} | shown))
        with st.container(border=True, width=236, key="pair-signal"):
            st.caption("Signal on the last closed candle")
            st.markdown(f"**{state.signal}**")


def _coverage(page: PairPage) -> str:
    shares = [
        f"{symbol.upper()} {percent(share, 1)}" for symbol, share in (page.coverage or {}).items()
    ]
    return f" Covered by stored trades: {', '.join(shares)}." if shares else ""


def _study(study: Study) -> None:
    st.markdown(f"##### What {study.candles} closed candles say")
    with st.container(horizontal=True, gap="small", key="pair-facts"):
        for label, value, explained in study.facts:
            st.metric(label, value, help=explained, border=True, width=210)
    frame = pd.DataFrame(
        [
            {
                "Test": f.name,
                "Statistic": f.statistic,
                "p": f.pvalue,
                "Verdict at 5 %": f.verdict,
                "Null hypothesis": f.null,
                "Details": f.detail,
            }
            for f in study.findings
        ]
    )
    widgets.table(frame, key="pair-tests", column_config={"Verdict at 5 %": {"width": "large"}})
    widgets.downloads(lambda: frame, "pair_tests", key="pair-tests-file")
