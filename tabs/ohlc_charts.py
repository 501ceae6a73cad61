"""OHLC Charts: candles of one symbol or several, in panels of their own or rebased to percent."""

from __future__ import annotations

from typing import Any

import streamlit as st

from candles import timeframe_ms
from live.host import chart_part
from tabs import widgets
from tabs.context import Context
from views.ohlc import OhlcOptions, OhlcView, read_ohlc
from views.tables import candle_table

_CHART = "ohlc"
_START, _STEP, _MOST = 300, 300, 3_000
_MODES = {"panels": "Own panels", "rebased": "Rebased to percent"}
_LINES = ("MA 20", "MA 50", "Bollinger bands", "VWAP", "RSI", "Volume")


def render(ctx: Context) -> None:
    """Show the candles of one snapshot."""
    options = _options(ctx)
    if options is None:
        widgets.empty("No symbol is chosen.", "Choose one above, or in the sidebar.")
        return
    zone = ctx.settings.zone
    view, live = ctx.follow(
        ("ohlc", options, zone),
        lambda snapshot, now_ms: read_ohlc(snapshot, options, now_ms),
        lambda view: _parts(view, options, zone),
        lambda view: (view.counts, view.open_gaps),
    )
    if not any(view.counts.values()):
        widgets.no_candles(ctx)
        return
    with st.container(key="ohlc-notes"):
        _notes(view, options)
    with st.container(border=True, key="ohlc-chart"):
        live.chart(_CHART, on_earlier=_earlier if options.limit < _MOST else None)
    if _below(view, options):
        # The table follows by runs of the page.
        ctx.live = None


def _parts(view: OhlcView, options: OhlcOptions, zone: str) -> dict[str, dict[str, Any]]:
    """All that follows the data."""
    return {
        _CHART: chart_part(
            view.figure,
            key=_CHART,
            identity=f"{options.symbols}|{options.timeframe}|{options.mode}|{options.rsi}",
            height=_height(options, view),
            alt=f"Candles of {', '.join(s.upper() for s in options.symbols)}",
            step_ms=timeframe_ms(options.timeframe),
            zone=zone,
            earlier=options.limit < _MOST,
        )
    }


def _options(ctx: Context) -> OhlcOptions | None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="ohlc-controls"):
        known = list(ctx.settings.symbols)
        chosen = st.pills(
            "Symbols",
            known,
            selection_mode="multi",
            default=known[:2],
            format_func=str.upper,
            key="ohlc-symbols",
            persist_state="session",
        )
        mode = st.segmented_control(
            "View",
            list(_MODES),
            default="panels",
            format_func=_MODES.__getitem__,
            key="ohlc-mode",
            required=True,
            persist_state="session",
        )
        lines = st.pills(
            "Lines",
            _LINES,
            selection_mode="multi",
            default=["MA 20", "Volume"],
            key="ohlc-lines",
            persist_state="session",
        )
    if not chosen:
        return None
    return OhlcOptions(
        symbols=tuple(s for s in known if s in chosen),
        timeframe=ctx.settings.timeframe,
        limit=st.session_state.get("ohlc-limit", _START),
        mode=mode or "panels",
        averages=tuple(n for n, name in ((20, "MA 20"), (50, "MA 50")) if name in lines),
        bands="Bollinger bands" in lines,
        vwap="VWAP" in lines,
        rsi="RSI" in lines,
        volume="Volume" in lines,
        colour_blind_safe=ctx.colour_blind_safe,
        window=ctx.settings.window,
    )


def _earlier() -> None:
    st.session_state["ohlc-limit"] = min(st.session_state.get("ohlc-limit", _START) + _STEP, _MOST)


def _height(options: OhlcOptions, view: OhlcView) -> int:
    if options.mode == "rebased":
        return 480
    shown = sum(1 for count in view.counts.values() if count)
    return min(260 + 60 * options.volume + 80 * options.rsi, 420) * max(shown, 1) + 60


def _notes(view: OhlcView, options: OhlcOptions) -> None:
    missing = [s.upper() for s, count in view.counts.items() if not count]
    if missing:
        st.caption(f"{', '.join(missing)}: no candles of {options.timeframe} are stored yet.")
    for symbol, holes in view.open_gaps.items():
        st.caption(
            f":orange[{symbol.upper()}: {holes} span{'s' if holes > 1 else ''} with missing trades "
            "shaded]; the gap ledger in Data says why."
        )


def _below(view: OhlcView, options: OhlcOptions) -> bool:
    """What stands under the chart; whether the table is open."""
    with st.container(horizontal=True, vertical_alignment="center", key="ohlc-below"):
        st.caption(
            "Drag to move, double-click to follow the live edge again; move beyond the left edge "
            "to load earlier candles. The forming candle is tinted."
        )
        if options.limit < _MOST:
            st.button("Load earlier", key="ohlc-more", on_click=_earlier)
    with st.expander("Candles as a table", key="ohlc-table-open", on_change="rerun") as box:
        if box.open:
            frame = candle_table(view.candles)
            widgets.table(
                frame.tail(500)[::-1], f"candles_{options.timeframe}", key="ohlc-table",
                height=280, whole=lambda: frame,
            )  # fmt: skip
    return bool(box.open)
