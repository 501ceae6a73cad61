"""Jobs on a small market."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

# Where worker processes find `mischief`: they are handed this path.
sys.path.append(str(Path(__file__).parent))

from small_market import ASK, NOW_MS, market

from computing import jobs, requests
from database import Database
from trading.candle_pair import pair_candles


@pytest.fixture(scope="session")
def frame():
    """The market as one frame."""
    return market()


@pytest.fixture(scope="session")
def asked(frame):
    """A request of each kind, by name."""
    prices = frame.pivot(index="timestamp", columns="symbol", values="close")
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
