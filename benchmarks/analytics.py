"""The analytics beside their peers: ``python benchmarks/analytics.py [--quick]``.

CPU time of one process, the same data and the same answers for both, in one run.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import warnings
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd

from analytics import Analytics
from benchmarks.report import Row, beside, cpu_ms, header, table

LIBRARIES = (
    "numpy", "pandas", "scipy", "numba", "scikit-learn", "statsmodels", "filterpy", "arch",
)  # fmt: skip


def kalman_rows(quick: bool) -> list[Row]:
    """The hedge filter beside filterpy's, with the same model and the same numbers."""
    if importlib.util.find_spec("filterpy") is None:
        return [Row("Kalman hedge", float("nan"), "filterpy", note="filterpy is not installed")]
    from filterpy.kalman import KalmanFilter

    from kernels.regression import kalman

    n = 2_000 if quick else 10_000
    y, x = _pair(n)
    noise, variance, initial = 1e-5, 1e-3, 1.0

    def peer() -> np.ndarray:
        filter_ = KalmanFilter(dim_x=2, dim_z=1)
        filter_.x, filter_.P = np.zeros((2, 1)), np.eye(2) * initial
        filter_.F, filter_.Q, filter_.R = np.eye(2), np.eye(2) * noise, np.array([[variance]])
        states = np.empty((n, 2))
        for i in range(n):
            if i:
                filter_.predict()
            filter_.update(y[i], H=np.array([[x[i], 1.0]]))
            states[i] = filter_.x[:, 0]
        return states

    apart = float(np.abs(kalman(y, x, noise, noise, variance, initial)[2:4].T - peer()).max())
    peer_ms = cpu_ms(peer, repeat=3)
    ours = cpu_ms(lambda: kalman(y, x, noise, noise, variance, initial), inner=20)
    call = cpu_ms(lambda: Analytics.calculate_hedge_ratio(y, x, "kalman"), inner=5)
    return [
        Row(f"Kalman hedge {n:,}: kernel", ours, "filterpy", peer_ms, 1_500, f"{apart:.1e}"),
        Row(f"Kalman hedge {n:,}: public call", call, "filterpy", peer_ms),
    ]


def huber_rows(quick: bool) -> list[Row]:
    """Huber beside scikit-learn on standardised data, and on raw prices where that goes astray."""
    from sklearn.linear_model import HuberRegressor

    n = 5_000
    y, x = _pair(n, outliers=0.05)
    mx, sx, my, sy = x.mean(), x.std(), y.mean(), y.std()
    standard, target = ((x - mx) / sx)[:, None], (y - my) / sy

    def peer(design: np.ndarray, values: np.ndarray, **options: Any) -> HuberRegressor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where it does not converge
            return HuberRegressor(alpha=0.0, **options).fit(design, values)

    ratio, intercept = Analytics.calculate_hedge_ratio(y, x, "huber")
    exact = peer(standard, target, tol=1e-10, max_iter=2_000)
    apart = abs(ratio / (exact.coef_[0] * sy / sx) - 1)
    raw = peer(x[:, None], y)
    theirs = _huber_objective(y, x, raw.coef_[0], raw.intercept_, raw.scale_)
    scale = exact.scale_ * sy
    best = _huber_objective(y, x, ratio, intercept, scale)
    note = f"raw prices: its objective {theirs:,.0f}, ours {best:,.0f}"
    peer_ms = cpu_ms(lambda: peer(standard, target), repeat=3 if quick else 7)
    ours = cpu_ms(lambda: Analytics.calculate_hedge_ratio(y, x, "huber"), inner=10)
    name = "scikit-learn, standardised"
    return [Row("Huber 5k, public call", ours, name, peer_ms, 30, f"{apart:.1e}", note=note)]


def zscore_rows(quick: bool) -> list[Row]:
    """Rolling z-score beside pandas, both beside rational arithmetic."""
    n, window = (100_000 if quick else 1_000_000), 60
    rng = np.random.default_rng(0)
    spread = pd.Series(60_000 + rng.normal(size=n).cumsum())

    def peer() -> pd.Series:
        rolling = spread.rolling(window)
        return (spread - rolling.mean()) / rolling.std()

    ours, theirs = Analytics.calculate_zscore(spread, window), peer()
    at = rng.integers(window, n, 300)
    exact = [_exact_z(spread.iloc[i - window + 1 : i + 1].tolist()) for i in at]
    error, peer_error = (float(np.abs(z.iloc[at] - exact).max()) for z in (ours, theirs))
    ours_ms, peer_ms = beside(lambda: Analytics.calculate_zscore(spread, window), peer)
    same = f"error {error:.0e}, pandas {peer_error:.0e}"
    row = Row(f"rolling z {n:,}, window {window}", ours_ms, "pandas", peer_ms, 6, same)
    closer = error < peer_error
    return [Row(**{**row.__dict__, "reached": row.ok and closer})]


def resample_rows(quick: bool) -> list[Row]:
    """Candles of ticks of four symbols beside pandas."""
    n = 100_000 if quick else 1_000_000
    rng = np.random.default_rng(0)
    times = 1_720_000_000_000 + np.sort(rng.integers(0, 6 * 3_600_000, n))
    names = np.array(["btcusdt", "ethusdt", "solusdt", "xrpusdt"])
    strings = pd.DataFrame(
        {
            "symbol": names[rng.integers(0, 4, n)],
            "timestamp": pd.to_datetime(times, unit="ms", utc=True),
            "price": 1_000 + 0.01 * rng.normal(size=n).cumsum(),
            "size": rng.exponential(size=n),
        }
    )
    coded = strings.assign(symbol=strings["symbol"].astype("category"))

    def peer(frame: pd.DataFrame, freq: str) -> pd.DataFrame:
        groups = frame.groupby(["symbol", frame["timestamp"].dt.floor(freq)], observed=True)
        return groups.agg(
            open=("price", "first"),
            high=("price", "max"),
            low=("price", "min"),
            close=("price", "last"),
            volume=("size", "sum"),
        ).reset_index()

    rows = []
    for freq in ("1min", "1s"):
        same = _same_candles(Analytics.resample_ohlcv(strings, freq), peer(strings, freq))
        for kind, frame, target in (("strings", strings, 2.5), ("coded", coded, 8.0)):
            what = f"resample {n:,} ticks to {freq}, {kind}"
            ours, theirs = beside(_resampling(frame, freq), _peer(peer, strings, freq), 5)
            rows.append(Row(what, ours, "pandas, strings", theirs, target, same))
        ours, theirs = beside(_resampling(coded, freq), _peer(peer, coded, freq), 5)
        rows.append(Row(what, ours, "pandas, coded", theirs, None, same))
    return rows


def interval_rows(quick: bool) -> list[Row]:
    """What the richer call costs; without a peer."""
    y, x = _pair(2_000)
    rows = []
    for method in ("ols",) if quick else ("ols", "huber", "lad", "theil_sen"):
        work = _fitting(y, x, method)
        rows.append(Row(f"fit_hedge 2k {method}, with interval", cpu_ms(work, repeat=3)))
    return rows


def _resampling(frame: pd.DataFrame, freq: str) -> Callable[[], Any]:
    return lambda: Analytics.resample_ohlcv(frame, freq)


def _peer(peer: Callable[..., Any], frame: pd.DataFrame, freq: str) -> Callable[[], Any]:
    return lambda: peer(frame, freq)


def _fitting(y: np.ndarray, x: np.ndarray, method: str) -> Callable[[], Any]:
    return lambda: Analytics.fit_hedge(y, x, method)


def _pair(n: int, outliers: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = 100 + 0.1 * rng.normal(size=n).cumsum()
    y = 2 * x + 5 + 0.3 * rng.normal(size=n)
    y[rng.random(n) < outliers] += 30
    return y, x


def _huber_objective(
    y: np.ndarray, x: np.ndarray, slope: float, intercept: float, scale: float
) -> float:
    z = np.abs(y - slope * x - intercept) / scale
    loss = np.where(z < 1.35, z**2, 2 * 1.35 * z - 1.35**2)
    return float(len(y) * scale + scale * loss.sum())


def _exact_z(window: list[float]) -> float:
    values = [Fraction(value) for value in window]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    deviation = values[-1] - mean
    with localcontext() as context:
        context.prec = 40
        root = (Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt()
        return float(Decimal(deviation.numerator) / Decimal(deviation.denominator) / root)


def _same_candles(ours: pd.DataFrame, theirs: pd.DataFrame) -> str:
    for name in ("open", "high", "low", "close"):
        if not np.array_equal(ours[name], theirs[name]):
            raise AssertionError(f"{name} differs from pandas")
    apart = float(np.abs(ours["volume"] / theirs["volume"] - 1).max())
    return f"exact, volume {apart:.0e}"


def main() -> int:
    """Print the table; 1 where a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller inputs, fewer repeats")
    quick = parser.parse_args().quick
    families = [kalman_rows, huber_rows, zscore_rows, resample_rows, interval_rows]
    if importlib.util.find_spec("benchmarks.analytics_tests"):
        from benchmarks import analytics_tests

        families.insert(0, analytics_tests.rows)
    print(header(LIBRARIES))
    rows = [row for family in families for row in family(quick)]
    print(table(rows))
    missed = [row.what for row in rows if not row.ok]
    print(f"\nmissed: {', '.join(missed)}" if missed else "\nevery target reached")
    return 0 if quick or not missed else 1


if __name__ == "__main__":
    sys.exit(main())
