"""Pair Analytics: prices, spread and z-score, hedge ratio, correlation, tests in words."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from candles import timeframe_ms
from live import cards
from live.host import chart_part
from tabs import widgets
from tabs.context import Context, Live
from views import pair_page, warm
from views.pair import PairOptions
from views.pair_page import PairPage, Study, read_pair_page
from views.pair_report import pair_report
from views.text import number, percent

_START, _STEP, _MOST = 300, 300, 3_000
_HEADLINE, _MAIN, _NOTE, _RATIO, _SCATTER = (
    "pair-headline", "pair-main", "pair-note", "pair-ratio", "pair-scatter",
)  # fmt: skip


def render(ctx: Context) -> None:
    """Show the pair as of one snapshot, and as it goes on."""
    options = ctx.settings.pair.with_limit(st.session_state.get("pair-limit", _START))
    zone = ctx.settings.zone
    page, live = ctx.follow(
        ("pair", options, zone),
        lambda snapshot, now_ms: read_pair_page(snapshot, options, now_ms),
        lambda page: _parts(page, options, zone),
        _structure,
    )
    live.cards(_HEADLINE)
    if page.main is None or page.scatter is None:
        widgets.empty(f"{options.title} cannot be analysed yet.", page.state.why or "")
        return
    _charts(page, live, options)
    study = _newest_study(page)
    _report(ctx, page)
    if study is not None:
        _study(study)
    elif warm.is_complete():
        widgets.empty("The closed candles are being tested.", "That takes a few seconds.")
    else:
        widgets.empty(*warm.FIRST_START)


def _charts(page: PairPage, live: Live, options: PairOptions) -> None:
    with st.container(border=True, key="pair-main-box"):
        live.chart(_MAIN, on_earlier=_earlier if options.limit < _MOST else None)
        live.cards(_NOTE)
    left, right = st.columns([3, 2], gap="small")
    with left, st.container(border=True, key="pair-ratio-box"):
        if page.ratio is None:
            widgets.empty("No rolling hedge ratio yet.", "It needs more closed candles.")
        else:
            live.chart(_RATIO)
    with right, st.container(border=True, key="pair-scatter-box"):
        live.chart(_SCATTER)


def _earlier() -> None:
    st.session_state["pair-limit"] = min(st.session_state.get("pair-limit", _START) + _STEP, _MOST)


def _report(ctx: Context, page: PairPage) -> None:
    """The page as a file, made when it is asked for."""
    source, created_ms = ctx.status.source, ctx.now_ms

    def made() -> str:
        return pair_report(page, pair_page.study_at_once(page.state), source, created_ms)

    st.download_button(
        "HTML report",
        made,
        file_name=f"pair_{page.state.options.y}_{page.state.options.x}.html",
        mime="text/html",
        key="pair-report",
        on_click="ignore",
        icon=":material/description:",
        disabled=not warm.is_complete(),
        help="One file that needs nothing else: figures, intervals, tests, coverage, settings.",
    )


def _newest_study(page: PairPage) -> Study | None:
    return pair_page.study(page.state) if warm.is_complete() else None


def _structure(page: PairPage) -> tuple[Any, ...]:
    """What `render` draws besides the parts."""
    shown = page.state.why, page.main is None, page.scatter is None, page.ratio is None
    if page.main is None:
        return shown
    # A newer study says of how many candles it is, and waits for the page's next run: all sessions
    # would run at once with every candle that closes.
    return *shown, warm.is_complete(), _newest_study(page) is None


def _parts(page: PairPage, options: PairOptions, zone: str) -> dict[str, dict[str, Any]]:
    """All that follows the data."""
    parts = {_HEADLINE: _headline(page)}
    if page.main is None or page.scatter is None:
        return parts
    parts[_NOTE] = cards.row(
        [cards.card(cards.line((page.signal_note + _coverage(page), "muted"), small=True))], "plain"
    )
    earlier = options.limit < _MOST
    for key, figure, height, what in (
        (_MAIN, page.main, 620, "Prices, spread and z-score"),
        (_RATIO, page.ratio, 380, "Rolling hedge ratio and correlation"),
        (_SCATTER, page.scatter, 380, "Scatter"),
    ):
        if figure is not None:
            parts[key] = chart_part(
                figure,
                key=key,
                identity=f"{options.title}|{options.timeframe}|{options.method}",
                height=height,
                alt=f"{what} of {options.title}",
                step_ms=0 if key == _SCATTER else timeframe_ms(options.timeframe),
                zone=zone,
                earlier=earlier and key == _MAIN,
            )
    return parts


def _headline(page: PairPage) -> dict[str, Any]:
    state = page.state
    return cards.row(
        [
            widgets.metric("Z-score", number(state.zscore_now), state.zscore_now,
                           state.why_not_now, explained=state.explained),
            widgets.metric("Spread", state.spread_text, state.spread_now, state.why_not_now),
            widgets.metric("Hedge ratio", state.ratio_text, state.ratio_now, state.why),
            widgets.metric("Correlation", number(state.correlation, 3), state.correlation,
                           state.correlation_why),
            widgets.signal_card(state.signal, key="pair-signal"),
        ]
    )  # fmt: skip


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
    widgets.table(
        frame,
        "pair_tests",
        key="pair-tests",
        column_config={
            "Statistic": st.column_config.NumberColumn(format="%.3f"),
            "Verdict at 5 %": {"width": "large"},
        },
    )
