"""A small market for jobs, the same at every call."""

import numpy as np
import pandas as pd

from trading.ask import BacktestAsk

NOW_MS = 1_760_000_000_000
SYMBOLS = ("aaa", "bbb", "ccc", "ddd", "eee", "fff")
ASK = BacktestAsk("aaa", "bbb", "1min", z_window=20, hedge_window=40, taker_bps=1.0)


def market(n=600, symbols=SYMBOLS):
    """Closed candles of symbols that share a walk, the same at every call."""
    rng = np.random.default_rng(7)
    shared = 100 + rng.normal(0, 0.1, n).cumsum()
    times = pd.date_range("2026-01-01", periods=n, freq="1min", tz="UTC")
    parts = []
    for k, symbol in enumerate(symbols):
        noise = rng.normal(0, 0.2, n) + (rng.normal(0, 0.1, n).cumsum() if k > 2 else 0)
        close = (1 + k / 4) * shared + noise
        opens = np.r_[close[0], close[:-1]]
        part = {"symbol": symbol, "timestamp": times, "open": opens, "close": close, "volume": 1.0}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)
