"""The page as one would write it first: everything drawn again, with `st.plotly_chart`.

The peer of `benchmarks/dashboard.py`; it reads the same database and shows the same three charts on
one of its tabs. Another tab has one number and nothing else: what Streamlit itself takes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analytics import Analytics
from database import Database
from visualizations import create_ohlc_chart, create_spread_chart

SYMBOLS = ["btcusdt", "ethusdt"]
LIMIT = 300

database = st.cache_resource(Database)(os.environ["CRYPTO_DB_PATH"])


def charts() -> None:
    """The pair: candles of both, spread and z-score."""
    with database.snapshot() as snapshot:
        frame = snapshot.candles(SYMBOLS, "1min", limit=LIMIT)
    wide = frame.pivot(index="timestamp", columns="symbol", values="close").dropna()
    ratio, intercept = Analytics.calculate_hedge_ratio(wide["btcusdt"], wide["ethusdt"])
    spread = Analytics.calculate_spread(wide["btcusdt"], wide["ethusdt"], ratio, intercept)
    zscore = Analytics.calculate_zscore(spread, 20)
    for symbol in SYMBOLS:
        figure = create_ohlc_chart(frame, symbols=[symbol], volume=False)
        st.plotly_chart(figure, key=symbol)
    st.plotly_chart(create_spread_chart(spread, zscore), key="spread")
    st.number_input("tick", key="tick")


def number() -> None:
    """One number."""
    st.metric("Number", 1)


tabs = st.tabs(["Charts", "Number"], key="tab", on_change="rerun", bind="query-params")
for tab, draw in zip(tabs, (charts, number), strict=True):
    if tab.open:
        with tab:
            draw()
