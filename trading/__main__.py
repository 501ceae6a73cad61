"""``python -m trading``: compile a backtest, a bootstrap and a sweep into the cache on disk.

The loops of ``kernels`` that carry many arguments compile when they are first called. Called here,
in a process of its own, they keep nobody waiting (see ``python -m kernels``).
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from trading.backtest import PairSettings, run_pair
from trading.bootstrap import bootstrap_intervals
from trading.candle_pair import PairCandles, pair_candles
from trading.metrics import YEAR_MS
from trading.optimize import Grid, sweep

_CANDLES = 2_000


def made_up_candles() -> PairCandles:
    """Two prices that move together, the same at each call."""
    rng = np.random.default_rng(1)
    times = pd.date_range("2026-01-01", periods=_CANDLES, freq="1min", tz="UTC")
    price2 = 100 + rng.normal(0, 0.1, _CANDLES).cumsum()
    price1 = 2 * price2 + 5 + rng.normal(0, 0.3, _CANDLES)
    first, second = (pd.DataFrame({"close": p}, index=times) for p in (price1, price2))
    return pair_candles(first, second)


def main() -> int:
    """Run them once; 0."""
    candles = made_up_candles()
    result = run_pair(candles, PairSettings())
    bootstrap_intervals(result.returns, YEAR_MS / candles.timeframe_ms)
    trials = sweep(candles, Grid(), PairSettings()).trials
    print(f"{len(result.trades)} trades, {trials} combinations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
