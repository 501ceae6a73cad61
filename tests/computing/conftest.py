"""A small market, jobs on it, and functions that workers of every kind can import."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from computing import jobs, requests
from database import Database
from trading.ask import BacktestAsk

HERE = Path(__file__).parent
NOW_MS = 1_760_000_000_000
SYMBOLS = ("aaa", "bbb", "ccc", "ddd", "eee", "fff")
ASK = BacktestAsk("aaa", "bbb", "1min", z_window=20, hedge_window=40, taker_bps=1.0)

if str(HERE) not in sys.path:
    # Where worker processes find `mischief`: they are handed this path.
    sys.path.append(str(HERE))


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


@pytest.fixture(scope="session")
def frame():
    """The market as one frame."""
    return market()


@pytest.fixture(scope="session")
def asked(frame):
    """A request of each kind, by name."""
    prices = frame.pivot(index="timestamp", columns="symbol", values="close")
    from trading.candle_pair import pair_candles

    legs = [frame[frame["symbol"] == s] for s in ("aaa", "bbb")]
    candles = pair_candles(*legs, timeframe_ms=60_000, symbol1="aaa", symbol2="bbb")
    return {
        "scan": requests.full_scan(prices, {}),
        "sweep": requests.one_pair("sweep", ASK, candles, (), {}, 12),
        "walk_forward": requests.one_pair("walk_forward", ASK, candles, (), {}, 0),
        "many": requests.many_pairs("sweep", replace(ASK, y="", x=""), frame, {}, {}),
        "many_walks": requests.many_pairs("walk_forward", ASK, frame, {}, {}),
    }


@pytest.fixture
def database(tmp_path):
    """An empty database."""
    with Database(tmp_path / "t.db") as opened:
        yield opened


@pytest.fixture
def begun(database, asked):
    """A function that writes a job of a kind down."""
    return lambda name: jobs.new_job(database, asked[name], NOW_MS)
