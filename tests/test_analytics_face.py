"""The face: calls as the contract writes them, and nothing heavy at import."""

from __future__ import annotations

import gzip
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analytics import Analytics

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def klines() -> pd.DataFrame:
    """Closes of BTCUSDT and ETHUSDT, 4,320 minutes of 2025-10-29 to 2025-11-01."""
    folder = ROOT / "../shared/data/klines-1m-2025-10-29"
    if not folder.is_dir():
        pytest.skip("the recorded klines are not beside this checkout")
    closes = {}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        with gzip.open(folder / f"{symbol}-1m.csv.gz", "rt") as file:
            frame = pd.read_csv(file)
        names = {name.lower(): name for name in frame.columns}
        closes[symbol] = frame[names["close"]].astype(float)
    return pd.DataFrame(closes)


def test_the_contract_runs_as_written():
    rng = np.random.default_rng(0)
    n = 5_000
    tick_df = pd.DataFrame(
        {
            "symbol": np.where(np.arange(n) % 2, "btcusdt", "ethusdt"),
            "timestamp": 1_723_161_600_000 + 400 * np.arange(n),
            "price": 100 + 0.01 * rng.normal(size=n).cumsum(),
            "size": rng.exponential(size=n) + 0.01,
        }
    )
    ohlc_df = Analytics.resample_ohlcv(tick_df, "1s")
    wide = ohlc_df.pivot(index="timestamp", columns="symbol", values="close")
    price1, price2 = wide["ethusdt"], wide["btcusdt"]
    ratio, intercept = Analytics.calculate_hedge_ratio(price1, price2, method="ols")
    spread = Analytics.calculate_spread(price1, price2, ratio)
    zscore = Analytics.calculate_zscore(spread, window=20)
    upper, middle, lower = Analytics.calculate_bollinger_bands(price1, window=20, num_std=2)
    assert isinstance(ratio, float)
    assert isinstance(intercept, float)
    pd.testing.assert_series_equal(spread, price1 - ratio * price2, check_names=False)
    assert zscore.index.equals(spread.index)
    assert (upper.dropna() >= middle.dropna()).all()
    assert (lower.dropna() <= middle.dropna()).all()


def test_eth_on_btc_has_the_ratio_of_the_recording(klines):
    # the recording's own notes: hedge ratio .046461, R² .941
    fit = Analytics.fit_hedge(klines["ETHUSDT"], klines["BTCUSDT"])
    assert fit.ratio == pytest.approx(0.046461, abs=5e-7)
    assert fit.r_squared == pytest.approx(0.941, abs=5e-4)
    assert fit.n == 4_320


def test_importing_the_face_loads_nothing_heavy():
    code = (
        "import sys, analytics; "
        "print([m for m in ('numba', 'statsmodels', 'sklearn', 'scipy', 'trading') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_analytic_is_a_static_method_that_says_what_it_returns():
    for name, member in vars(Analytics).items():
        if name.startswith("_"):
            continue
        assert isinstance(member, staticmethod), name
        assert inspect.getdoc(member.__func__), name


def test_an_analytic_of_ones_own_is_one_more_static_method():
    class Mine(Analytics):
        @staticmethod
        def spread_range(price1, price2, ratio):
            spread = Analytics.calculate_spread(price1, price2, ratio)
            return float(spread.max() - spread.min())

    assert Mine.spread_range([3.0, 5.0], [1.0, 1.0], 1.0) == 2.0
