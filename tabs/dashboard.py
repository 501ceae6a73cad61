"""Dashboard: price tiles, the pair's z-score as the headline, and a grid of small charts."""

from __future__ import annotations

import streamlit as st

from candles import timeframe_ms
from charts.style import Palette, palette
from live.host import spark
from tabs import widgets
from tabs.context import Context
from views.dashboard import SMALL, DashboardView, read_dashboard
from views.market import Tile
from views.text import DASH, compact, number, percent


def render(ctx: Context) -> None:
    """Show the market and the pair as of one snapshot."""
    s = ctx.settings
    view = ctx.view(
        ("dashboard", s.symbols, s.pair),
        lambda snapshot: read_dashboard(snapshot, s.symbols, s.pair, ctx.now_ms),
    )
    if not any(tile.price is not None for tile in view.market.tiles):
        widgets.no_candles(ctx)
        return
    _headline(ctx, view)
    colours = palette(ctx.colour_blind_safe)
    st.markdown("##### Market")
    with st.container(horizontal=True, gap="small", key="tiles"):
        for tile in view.market.tiles:
            _tile(tile, colours)
    _watch_list(ctx, view)


def _headline(ctx: Context, view: DashboardView) -> None:
    """The pair's z-score, and how it came to be."""
    pair = view.pair
    st.markdown(f"##### Pair {pair.title}")
    with st.container(horizontal=True, gap="small", key="headline"):
        _metric(
            "Z-score", number(pair.zscore_now), pair.zscore_now, pair.why, help_text=pair.explained
        )
        _metric("Spread", pair.spread_text, pair.spread_now, pair.why)
        _metric("Hedge ratio", pair.ratio_text, pair.ratio_now, pair.why)
        _metric("Correlation", number(pair.correlation, 3), pair.correlation, pair.why)
        with st.container(border=True, width=260, key="signal"):
            st.caption("Signal on the last closed candle")
            st.markdown(f"**{pair.signal}**")
    if view.pair_figure is None:
        widgets.empty("The pair cannot be charted yet.", pair.why or "")
        return
    widgets.chart(
        ctx,
        view.pair_figure,
        key="dashboard-pair",
        identity=f"{pair.title}|{ctx.settings.timeframe}|{ctx.settings.pair.method}",
        height=360,
        alt=f"Spread and z-score of {pair.title}; z-score now {number(pair.zscore_now)}",
        step_ms=timeframe_ms(ctx.settings.timeframe),
        version=view.version,
    )


def _metric(
    label: str, text: str, value: float | None, why: str | None, help_text: str | None = None
) -> None:
    shown = widgets.figure_of(value, text, why)
    st.metric(label, border=True, width=168, **({"help": help_text} | shown))


def _tile(tile: Tile, colours: Palette) -> None:
    with st.container(border=True, width=300, key=f"tile-{tile.symbol}"):
        minute = tile.changes["1 min"]
        st.metric(
            tile.symbol.upper(),
            number(tile.price, tile.decimals),
            delta=None if minute is None else f"{percent(minute, 3, sign=True)} in 1 min",
        )
        if len(tile.spark) > 1:
            spark(
                tile.spark,
                key=f"spark-{tile.symbol}",
                height=44,
                colour=colours.up if tile.spark[-1] >= tile.spark[0] else colours.down,
                alt=f"The last hour of {tile.symbol.upper()}",
            )
        st.markdown(_changes(tile))
        st.caption(_details(tile))


def _changes(tile: Tile) -> str:
    """Changes over the longer spans, one line; a dash carries its reason below."""
    parts = []
    for label in ("15 min", "1 h", "24 h"):
        value = tile.changes[label]
        colour = "gray" if value is None else ("green" if value >= 0 else "red")
        parts.append(f"{label} :{colour}[{percent(value, sign=True)}]")
    return " · ".join(parts)


def _details(tile: Tile) -> str:
    lines = [
        f"Volume 24 h {compact(tile.turnover_24h)} · "
        f"volatility {percent(tile.volatility, 1)} a year",
        f"{number(tile.trades_per_s, 1)} trades/s · "
        f"buy − sell {percent(tile.imbalance, 0, sign=True)}",
    ]
    if tile.stored_h < 23.9:
        lines[0] = lines[0].replace("24 h", f"{tile.stored_h:.1f} h stored")
    missing = [f"{what}: {why}" for what, why in tile.why.items()]
    return "  \n".join(lines + ([f"{DASH} " + "; ".join(missing)] if missing else []))


def _watch_list(ctx: Context, view: DashboardView) -> None:
    """Every symbol's closes on the chosen timeframe, side by side."""
    st.markdown(f"##### Watch list · last {SMALL} candles of {ctx.settings.timeframe}")
    colours = palette(ctx.colour_blind_safe)
    with st.container(horizontal=True, gap="small", key="watchlist"):
        for n, (symbol, closes) in enumerate(view.small_charts.items()):
            with st.container(border=True, width=220, key=f"watch-{symbol}"):
                st.caption(f"**{symbol.upper()}** {percent(closes[-1] / closes[0] - 1, sign=True)}")
                spark(
                    closes,
                    key=f"watch-chart-{symbol}",
                    height=72,
                    colour=colours.lines[n % len(colours.lines)],
                    alt=f"Closes of {symbol.upper()}",
                )
