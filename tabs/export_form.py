"""Export of ticks and candles as files, made in the background and then offered."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from candles import CHART_TIMEFRAMES
from tabs import widgets
from tabs.context import Context
from views.tables import candle_table

_MOST_CANDLES = 100_000
_MOST_TICKS = 500_000


def render(ctx: Context) -> None:
    """Choose what to export; the file is made when its button is pressed."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="export-controls"):
        what = st.segmented_control(
            "What", ["Candles", "Ticks"], default="Candles", key="export-what", required=True
        )
        symbol = st.selectbox(
            "Symbol", ctx.settings.symbols, format_func=str.upper, key="export-symbol", width=200
        )
        timeframe = st.selectbox(
            "Timeframe", CHART_TIMEFRAMES, index=4, key="export-timeframe", width=140,
            disabled=what == "Ticks",
        )  # fmt: skip
    if symbol is None:
        widgets.empty("No symbol is chosen.", "Choose one in the sidebar.")
        return
    database = ctx.database
    if what == "Ticks":

        def ticks() -> pd.DataFrame:
            with database.snapshot() as snapshot:
                return snapshot.ticks(symbol, limit=_MOST_TICKS)

        widgets.downloads(ticks, f"ticks_{symbol}", key="export-ticks")
        st.caption(f"The newest {_MOST_TICKS:,} ticks, the latest first.")
        return

    def candles() -> pd.DataFrame:
        with database.snapshot() as snapshot:
            columns = snapshot.candle_columns(symbol, timeframe, limit=_MOST_CANDLES)
        return candle_table({symbol: columns})

    widgets.downloads(candles, f"candles_{symbol}_{timeframe}", key="export-candles")
    st.caption(f"The newest {_MOST_CANDLES:,} candles of {timeframe}.")
