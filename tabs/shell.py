"""The frame of the dashboard: header, the one fragment that is refreshed, and its tabs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit_autorefresh import st_autorefresh

from config import Config
from errors import DatabaseError, PlatformError
from live.feed import name_of
from live.host import beat, preload, still_cards
from runtime import FeedStatus, Runtime, get_runtime
from tabs import (
    alert_notices,
    alerts,
    backtest,
    dashboard,
    data,
    health,
    job_list,
    jobs,
    ohlc_charts,
    page_parts,
    pair_analytics,
    portfolio,
    replay_notice,
    scanner,
    sidebar,
    statistics_tab,
    tour,
    widgets,
)
from tabs.context import Context
from views import warm
from views.feed import age, age_of_result
from views.text import zone_named

log = logging.getLogger(__name__)

# Where the browser asks for what changed by itself, the page is run so seldom.
_RUN_EVERY_MS = 15_000

TABS: dict[str, Callable[[Context], None]] = {
    "Dashboard": dashboard.render,
    "OHLC Charts": ohlc_charts.render,
    "Pair Analytics": pair_analytics.render,
    "Scanner": scanner.render,
    "Backtest": backtest.render,
    "Statistics": statistics_tab.render,
    "Portfolio": portfolio.render,
    "Alerts": alerts.render,
    "Jobs": job_list.render,
    "Data": data.render,
    "Health": health.render,
}
_SOURCES = {
    "demo": "SIMULATED DATA · demo market",
    "replay": "SIMULATED DATA · replay of a recording",
}
_STATES = {
    "live": ("green", "live"),
    "connecting": ("orange", "connecting"),
    "reconnecting": ("orange", "reconnecting"),
    "silent": ("orange", "silent"),
    "paused": ("orange", "paused"),
    "refused": ("red", "refused"),
    "stopped": ("gray", "stopped"),
    "ended": ("gray", "recording ended"),
}
_OF_A_SOURCE = (
    "scan-result", "scan-state", "alerts-seen", "alerts-unread", "data-ticks-stack",
    "data-candles-stack",
)  # fmt: skip
# Scripts that take a moment must not fade the page out, and nothing may stick out of a phone.
_CSS = """
<style>
/* Its button is called Stop as well, and it comes and goes with every tick. */
[data-testid="stStatusWidget"] { display: none; }
[data-stale="true"] { opacity: 1 !important; transition: none !important; }
.block-container { padding-top: 3.6rem; padding-bottom: 3rem; max-width: 1680px; }
.st-key-landing { max-width: 1160px; margin: 0 auto; padding-top: 5vh; }
[class*="st-key-step-"] { min-height: 12.8rem; }
.st-key-heartbeat, .st-key-preload, .st-key-beat-place {
  height: 0; overflow: hidden; margin-top: -1rem;
}
[data-testid="stMetricValue"], [data-testid="stMetricDelta"] { font-variant-numeric: tabular-nums; }
/* The grid's own export leaves formulas in text cells; each table has a download below it. */
[data-testid="stElementToolbar"] button[aria-label^="Download as CSV"] { display: none; }
/* Text of at least 4.5 to 1 against its ground, in both themes. */
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] * { opacity: 1; }
[data-testid="stCaptionContainer"] { color: color-mix(in srgb, currentColor 78%, transparent); }
[data-testid="stCaptionContainer"] p { opacity: 1 !important; color: inherit; }
button[kind^="primary"]:not([disabled]), [data-tag] {
  background-color: #4a66d9 !important; border-color: #4a66d9 !important; color: #fff !important;
}
button[kind^="primary"]:not([disabled]):hover { filter: brightness(1.08); }
html[data-unanswered] :is(.live-chart, .spark) { opacity: 0.55; filter: grayscale(0.6); }
html[data-unanswered] [data-testid="stMetricValue"] { opacity: 0.75; filter: grayscale(1); }
html[data-unanswered] .st-key-page-age { text-decoration: line-through; }
.live-unanswered {
  position: fixed; z-index: 1000000; top: 0.6rem; left: 50%; transform: translateX(-50%);
  box-sizing: border-box; max-width: calc(100vw - 1rem); width: max-content;
  padding: 0.5rem 1rem; border-radius: 0.5rem; background: #9a4a00; color: #fff;
  font-family: "Source Sans", sans-serif; font-size: 0.9rem;
}
.live-chart { width: 100%; min-width: 0; }
.live-clock {
  position: absolute; z-index: 5; pointer-events: none; white-space: nowrap;
  padding: 1px 7px; border-radius: 4px; font-size: 11px; font-variant-numeric: tabular-nums;
  color: var(--st-text-color); background: var(--st-secondary-background-color);
  border: 1px solid var(--st-border-color);
}
.live-row { display: flex; flex-wrap: wrap; gap: 0.7rem; }
.live-row, .live-card { min-width: 0; font-variant-numeric: tabular-nums; }
.live-boxes > .live-card {
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius, 0.6rem);
  padding: 0.8rem 1rem; max-width: 100%; box-sizing: border-box; overflow-wrap: anywhere;
}
.st-key-status .live-card { width: 100%; }
.live-pills { gap: 0.4rem; }
.live-pill {
  font-size: 0.85rem; padding: 0.1rem 0.5rem; border-radius: 0.4rem; white-space: nowrap;
  background: color-mix(in srgb, currentColor 12%, transparent);
}
.live-label { font-size: 0.85rem; opacity: 0.85; display: flex; justify-content: space-between; }
.live-value { font-size: 1.45rem; line-height: 1.5; white-space: nowrap; }
.live-strong { font-weight: 650; margin-top: 0.25rem; }
.live-delta { font-size: 0.85rem; }
.live-line { font-size: 0.95rem; line-height: 1.6; }
.live-small { font-size: 0.8rem; }
.live-spark { margin: 0.35rem 0; }
[data-tone="strong"] { font-weight: 650; }
[data-tone="muted"] { color: color-mix(in srgb, var(--st-text-color) 62%, transparent); }
[data-tone="up"] { color: var(--live-up, var(--st-green-color)); }
[data-tone="down"] { color: var(--live-down, var(--st-red-color)); }
[data-tone="warn"] { color: var(--st-orange-color, #f0a23a); }
.live-help {
  all: unset; position: relative; cursor: help; width: 1.1em; height: 1.1em; line-height: 1.1em;
  text-align: center; font-size: 0.75rem; border-radius: 50%; opacity: 0.85;
  border: 1px solid currentColor;
}
.live-help[hidden] { display: none; }
.live-help:hover::after, .live-help:focus::after {
  content: attr(data-help); position: absolute; z-index: 10; top: 1.6em; right: -0.4em;
  width: max-content; max-width: 240px; padding: 0.5rem 0.7rem; border-radius: 0.5rem;
  text-align: left; line-height: 1.4; white-space: normal; font-weight: 400;
  background: var(--st-secondary-background-color); color: var(--st-text-color);
  border: 1px solid var(--st-border-color);
}
.live-help:focus-visible { outline: 2px solid var(--st-primary-color); }
.stTabs [role="tab"] { white-space: nowrap; }
@media (max-width: 640px) {
  .block-container { padding-left: 0.8rem; padding-right: 0.8rem; }
  [data-testid="stButtonGroup"] > div:has(> [data-variant="pills"]) { flex-wrap: wrap; }
  [class*="st-key-tile-"], [class*="st-key-step-"], .st-key-signal, .st-key-pair-signal {
    width: 100% !important;
  }
}
</style>
"""


# Old data are greyed; the badge beside says since when. With nothing but a style Streamlit would
# keep it apart from the fragment, and the page grey until a run of the whole.
_STALE = """
<style>
.live-chart, .spark { opacity: 0.55; filter: grayscale(0.6); }
[data-testid="stMetricValue"] { opacity: 0.75; filter: grayscale(1); }
</style>
<span></span>
"""


def style() -> None:
    """The page's own style sheet; it holds no data."""
    st.html(_CSS)


def launched() -> bool:
    """Whether the dashboard is open; a deep link, or a reload, opens it at once."""
    if "tab" in st.query_params or "desk" in st.query_params:
        st.session_state["launched"] = True
    if st.session_state.get("launched"):
        st.query_params["desk"] = "open"
        return True
    return False


def desk() -> None:
    """The dashboard: the sidebar, and the fragment with the tabs."""
    warm.begin()
    runtime = get_runtime()
    _live(sidebar.render(runtime))
    preload()


@st.fragment
def _live(status_place: Any) -> None:
    """Everything that is refreshed; a tick reruns this and nothing else."""
    runtime = get_runtime()
    if st.session_state.pop("redraw", False):
        st.rerun()
    first = "beats" not in st.session_state
    followed = False
    try:
        followed = _page(runtime, status_place, first=first)
    except DatabaseError as problem:
        st.error(widgets.escaped(str(problem)), icon=":material/database_off:")
    finally:
        # Whatever a panel does, the heart goes on beating. Its frame takes a browser as long as a
        # row of numbers: it waits for them where the hub asks for the next run.
        st.session_state["beats"] = True
        if not (first and followed):
            interval_ms = max(Config.REFRESH_INTERVAL, _RUN_EVERY_MS if followed else 0)
            with st.container(key="heartbeat"):
                st_autorefresh(interval=interval_ms, key="heartbeat-timer", debounce=False)


def _page(runtime: Runtime, status_place: Any, *, first: bool) -> bool:
    """Draw all that is refreshed; whether the browser keeps it up to date from here on."""
    status = runtime.status()
    _redraw_sidebar(status)
    _of_one_market(status.source)
    header = st.container(horizontal=True, vertical_alignment="center", gap="small", key="header")
    # Always there, empty or not: what comes and goes above must not move the charts below.
    notices = st.container(key="notices")
    with notices:
        _notices(runtime, status)
    database = runtime.database
    if database is None:
        st.error(status.error or "The database cannot be used.", icon=":material/database_off:")
        return False
    ctx = Context(runtime, database, status, sidebar.settings(runtime))
    with notices:
        tour.banner(ctx)
    tabs = st.tabs(list(TABS), key="tab", on_change="rerun", bind="query-params")
    for container, (name, render) in zip(tabs, TABS.items(), strict=True):
        if container.open:
            with container:
                _guarded(name, render, ctx)
    sidebar.show_status(ctx, status_place)
    with header:
        fresh = _header(ctx)
    if ctx.live is None:
        return False
    _follow(ctx, fresh, again=first)
    return True


def _redraw_sidebar(status: FeedStatus) -> None:
    """Run the whole page where another page or process has started, stopped or switched the feed.

    Once a refresh: a state that is another one at each look must not keep the page running.
    """
    redrawn = st.session_state.pop("sidebar-redrawn", False)
    if sidebar.is_behind(status) and not redrawn:
        st.session_state["sidebar-redrawn"] = True
        st.rerun()


def _of_one_market(source: str) -> None:
    """Drop what this session holds of another source: results, pages of ids, alerts seen."""
    if st.session_state.get("shown-source", source) != source:
        jobs.forget_all()
        for key in _OF_A_SOURCE:
            st.session_state.pop(key, None)
    st.session_state["shown-source"] = source


def _follow(ctx: Context, fresh: bool, *, again: bool) -> None:
    """Have the browser follow what this run has drawn, and ask for another run in any case."""
    live = ctx.live
    if live is None:
        return
    around = page_parts.structure(
        ctx.status, newest_alert=st.session_state.get("alerts-seen", 0), fresh=fresh
    )
    with st.container(key="beat-place"):
        structure = name_of((around, live.message.made.structure[1]))
        beat(live.feed, structure, Config.REFRESH_INTERVAL, again=again)


def _guarded(name: str, render: Callable[[Context], None], ctx: Context) -> None:
    """A tab that fails says so in a sentence; the others go on."""
    try:
        render(ctx)
    except PlatformError as problem:
        st.error(widgets.escaped(str(problem)), icon=":material/error:")
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, ImportError):
        log.exception("the tab %s failed", name)
        st.error(
            f"The tab {name} could not be shown. The reason is in the log; the rest of the page "
            "and the collector go on.",
            icon=":material/error:",
        )


def _header(ctx: Context) -> bool:
    """What the page shows: which market, which state, which version of the data, how old.

    Returns whether the data are fresh.
    """
    status = ctx.status
    if status.simulated:
        st.badge(_SOURCES[status.source], icon=":material/science:", color="orange")
    else:
        st.badge("Binance USD-M futures", icon=":material/public:", color="blue")
    colour, word = _STATES.get(status.state, ("gray", status.state))
    st.badge(word, icon=":material/sensors:", color=colour)  # type: ignore[arg-type]
    try:
        alert_notices.show(ctx)
    except DatabaseError:
        st.badge("database does not answer", icon=":material/database_off:", color="red")
    version = getattr(ctx.shown, "version", None)
    if version is None:
        return True
    last_ms = getattr(ctx.shown, "last_ms", None)
    zone = zone_named(ctx.settings.zone_name)
    if ctx.of_a_result:
        text, fresh = age_of_result(last_ms, zone), True
    else:
        text, fresh = age(ctx.now_ms, last_ms, zone)
    if ctx.live is not None:
        ctx.live.cards(page_parts.AGE)
    else:
        still_cards(page_parts.age_part(version, text, fresh=fresh), key=page_parts.AGE)
    if not fresh:
        st.html(_STALE)
    return fresh


def _notices(runtime: Runtime, status: Any) -> None:
    """Sentences that concern the whole page."""
    for kind, text in st.session_state.pop("notices", []):
        # The next refresh draws the page without the sentence; a toast outlives it.
        st.toast(widgets.escaped(text), icon=":material/info:", duration=15)
        {"error": st.error, "warning": st.warning, "info": st.info}[kind](widgets.escaped(text))
    if status.unknown_symbols:
        names = ", ".join(s.upper() for s in status.unknown_symbols)
        st.warning(f"The exchange does not list {widgets.escaped(names)}; the others are running.")
    if status.source == "live" and status.state in ("refused", "silent", "reconnecting"):
        st.error(widgets.escaped(status.sentence), icon=":material/cloud_off:")
        if st.button("Switch to the demo market", key="offer-demo", icon=":material/science:"):
            sidebar.switch_to(runtime, "demo", start=True)
            st.rerun()
    if status.backfilling:
        _backfill(runtime, status)
    replay_notice.show(runtime, status)


def _backfill(runtime: Runtime, status: Any) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="backfill"):
        st.progress(
            min(max(status.backfill_fraction, 0.0), 1.0),
            text=widgets.escaped(status.backfill_text or "Fetching the past, newest first."),
        )
        if st.button("Stop fetching", key="skip-backfill"):
            runtime.skip_backfill()
