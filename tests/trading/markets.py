"""Planted markets for the tests of trading."""

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from trading.backtest import pair_candles

START_MS = 1_700_006_400_000  # a full hour, on the grid of all timeframes


def pair_frames(n, seed=0, phi=0.97, noise=0.05, timeframe_ms=60_000):
    rng = np.random.default_rng(seed)
    x = 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, n)))
    y = 1.5 * x + 10 + lfilter([1], [1, -phi], rng.normal(0, noise, n))
    times = pd.to_datetime(START_MS + timeframe_ms * np.arange(n), unit="ms", utc=True)
    frames = []
    for close, symbol in ((y, "ethusdt"), (x, "btcusdt")):
        open_ = np.r_[close[0], close[:-1]] * (1 + rng.normal(0, 2e-5, n))
        frames.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "timestamp": times,
                    "open": open_,
                    "close": close,
                    "volume": rng.uniform(1, 1000, n),
                }
            )
        )
    return frames


def pair(n, seed=0, **kwargs):
    return pair_candles(*pair_frames(n, seed, **kwargs))
