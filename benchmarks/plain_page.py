"""The page as one would write it first: everything drawn again, with `st.plotly_chart`.

The peer of `benchmarks/dashboard.py`; it reads the same database and shows the same three charts.
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
with database.snapshot() as snapshot:
    frame = snapshot.candles(SYMBOLS, "1min", limit=LIMIT)
wide = frame.pivot(index="timestamp", columns="symbol", values="close").dropna()
ratio, intercept = Analytics.calculate_hedge_ratio(wide["btcusdt"], wide["ethusdt"])
spread = Analytics.calculate_spread(wide["btcusdt"], wide["ethusdt"], ratio, intercept)
zscore = Analytics.calculate_zscore(spread, 20)
for symbol in SYMBOLS:
    st.plotly_chart(create_ohlc_chart(frame, symbols=[symbol], volume=False), key=symbol)
st.plotly_chart(create_spread_chart(spread, zscore), key="spread")
st.number_input("tick", key="tick")
