"""Statistics: distribution, quantiles, autocorrelation, seasons, correlations, volatility cone."""

from __future__ import annotations

import streamlit as st

from errors import InsufficientData
from live import cards
from live.host import still_cards
from tabs import widgets
from tabs.context import Context
from views import lacking, warm
from views.stats import StatsOptions, StatsView, input_key, make_stats, read_stats_input

_FIGURES = (
    ("distribution", "Distribution of returns, with fitted normal and t"),
    ("quantiles", "Quantiles against the fitted t"),
    ("autocorrelation", "Autocorrelation of returns"),
    ("clustering", "Volatility clustering"),
    ("seasonality", "Seasonality within the day"),
    ("cone", "Volatility cone"),
    ("correlation", "Correlation of returns"),
    ("cross", "Cross-correlation of the pair: who leads"),
)


def render(ctx: Context) -> None:
    """Show the statistics of the closed candles."""
    symbols = ctx.settings.symbols
    if not symbols:
        widgets.empty("No symbol is chosen.", "Choose one in the sidebar.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="stats-controls"):
        symbol = st.selectbox(
            "Symbol", symbols, format_func=str.upper, key="stats-symbol", width=200,
            persist_state="session",
        )  # fmt: skip
        limit = st.selectbox(
            "Candles", [500, 1500, 5000], index=1, key="stats-limit", width=140,
            format_func=lambda n: f"last {n:,}", persist_state="session",
        )  # fmt: skip
    pair = ctx.settings.pair
    options = StatsOptions(
        symbol, symbols, pair.y, pair.x, pair.timeframe, limit, pair.colour_blind_safe
    )
    given = ctx.view(("stats", options), lambda s: read_stats_input(s, options, ctx.now_ms))
    if not len(given.candles):
        widgets.no_candles(ctx)
        return
    if not warm.is_complete():
        widgets.empty(*warm.FIRST_START)
        return
    try:
        view = ctx.lasting(("stats", input_key(options, given)), lambda: make_stats(options, given))
    except InsufficientData as problem:
        missing = lacking.too_few(problem.found, problem.needed, options.timeframe, given.coming)
        widgets.empty("There are no statistics yet.", f"{missing} A shorter timeframe is sooner.")
        return
    _show(ctx, view, options)


def _show(ctx: Context, view: StatsView, options: StatsOptions) -> None:
    # One element: as many as there are facts hold the first chart up.
    facts = [cards.metric(name, text, help_text=why, width=160) for name, text, why in view.facts]
    still_cards(cards.row(facts), key="stats-facts")
    columns = st.columns(2, gap="small")
    for n, (name, title) in enumerate(_FIGURES):
        with columns[n % 2], st.container(border=True, key=f"stats-box-{name}"):
            st.markdown(f"**{title}**")
            if name in view.figures:
                widgets.chart(
                    ctx,
                    view.figures[name],
                    key=f"stats-{name}",
                    identity=f"{options.symbol}|{options.timeframe}|{options.limit}",
                    height=300,
                    alt=title,
                )
            else:
                st.caption(f"– {widgets.escaped(view.missing.get(name, 'not enough data'))}")
    st.markdown("##### By candle")
    widgets.table(
        view.minutes.head(500),
        f"statistics_{options.symbol}",
        key="stats-minutes",
        height=300,
        whole=lambda: view.minutes,
        dash="the first candle has no return, and a candle without a range no place in it",
    )
