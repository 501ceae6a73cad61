"""Tests and scans against statsmodels: times, and the same answers in the same run.

``python benchmarks/analytics_tests.py [--quick]``
"""

# ruff: noqa: E402  (threads and path have to be set before numpy is imported)

from __future__ import annotations

import argparse
import os
import pathlib
import sys

# One thread for everybody: a peer whose matrix library spreads over cores would pay for both.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import resource
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
import pandas as pd

from benchmarks.report import Row, cpu_ms, header, table


def _walk(n: int, seed: int) -> np.ndarray:
    return 100 + np.cumsum(np.random.default_rng(seed).normal(size=n))


def _adf_rows(n: int, quick: bool) -> list[Row]:
    """The kernel and the public call, on series without and with memory in their changes."""
    from statsmodels.tsa.stattools import adfuller

    from analytics import Analytics
    from kernels import unitroot
    from quant.unitroot import schwert_lag

    worst, lags_differ = 0.0, 0
    for seed in range(3 if quick else 10):
        series = _walk(n, seed)
        ours, theirs = Analytics.adf_test(series), adfuller(series, result_object=True)
        worst = max(worst, abs(ours.statistic - theirs.statistic), abs(ours.pvalue - theirs.pvalue))
        lags_differ += ours.used_lag != theirs.lags
    same = f"t, p within {worst:.0e}, {lags_differ} lags differ"
    series = pd.Series(_walk(n, 1))
    values = series.to_numpy() - series.mean()
    lag = schwert_lag(n)
    peer = cpu_ms(lambda: adfuller(values, result_object=True), repeat=3 if quick else 7)
    kernel = cpu_ms(lambda: unitroot.adf(values, 1, lag, unitroot.AIC), repeat=15, inner=100)
    public = cpu_ms(lambda: Analytics.adf_test(series), repeat=15, inner=50)
    goals = (900, 100) if n == 500 else (2500, 1000)
    return [
        Row(f"ADF with AIC, {n:,}: kernel", kernel, "statsmodels", peer, goals[0], same),
        Row(f"ADF with AIC, {n:,}: public call", public, "statsmodels", peer, goals[1], same),
    ]


def _engle_granger_row(quick: bool) -> Row:
    """1,225 pairs of 50 symbols, one thread; the peer is timed on a sample of them."""
    from statsmodels.tsa.stattools import coint

    from kernels.cointegration import t_block
    from kernels.unitroot import AIC
    from quant.scan_frame import pair_rows
    from quant.unitroot import longest_lag

    prices = np.array([_walk(1000, seed) for seed in range(50)])
    centred = prices - prices.mean(axis=1, keepdims=True)
    squares = np.einsum("ij,ij->i", centred, centred)
    first, second = pair_rows(50)
    statistics, lags = np.empty(len(first)), np.empty(len(first))
    lag = longest_lag(1000, "n", None)

    def scan() -> None:
        t_block(centred, squares, first, second, lag, AIC, statistics, lags)

    def half(part: slice) -> None:
        t_block(
            centred,
            squares,
            first[part],
            second[part],
            lag,
            AIC,
            statistics[part],
            lags[part],
        )

    ours = cpu_ms(scan, repeat=25)
    parts = [slice(0, len(first) // 2), slice(len(first) // 2, None)]
    walls = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(25):
            begin = time.perf_counter()
            list(pool.map(half, parts))
            walls.append(1000 * (time.perf_counter() - begin))
    wall = median(walls)
    sample = range(0, len(first), 60 if quick else 12)
    start = time.process_time()
    theirs = [coint(prices[first[p]], prices[second[p]])[0] for p in sample]
    each = (time.process_time() - start) / len(theirs)
    worst = float(np.abs(statistics[list(sample)] - theirs).max())
    return Row(
        "Engle–Granger with AIC, 1,225 pairs × 1,000",
        ours,
        "statsmodels",
        1000 * each * len(first),
        1500,
        f"t within {worst:.0e}",
        note=f"peer timed on {len(theirs)} pairs; two threads {wall:.1f} ms wall; ≤ 10 ms",
        reached=min(ours, wall) <= 10 and 1000 * each * len(first) >= 1500 * ours,
    )


def _full_scan_row(quick: bool) -> Row:
    """500 symbols, everything scan_pairs returns; memory is the process's peak, all included."""
    from statsmodels.tsa.stattools import coint

    from analytics import Analytics

    prices = pd.DataFrame({f"s{k}": _walk(1000, 1000 + k) for k in range(500)})
    Analytics.scan_pairs(prices.iloc[:, :4])
    wall = time.perf_counter()
    start = time.process_time()
    result = Analytics.scan_pairs(prices, workers=2)
    cpu_s, wall_s = time.process_time() - start, time.perf_counter() - wall
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    worst = 0.0
    for row in result.frame.iloc[:: 40_000 if quick else 4_000].itertuples():
        t = coint(prices[row.price1], prices[row.price2], maxlag=result.lag, autolag=None)[0]
        worst = max(worst, abs(t - row.t_forward))
    return Row(
        f"full scan, {result.n_tested:,} pairs × 1,000, lag {result.lag}, screen and FDR",
        1000 * cpu_s,
        same=f"t within {worst:.0e} of statsmodels' fixed lag",
        reached=wall_s <= 5 and peak_mb <= 500,
        note=f"{wall_s:.1f} s wall on 2 threads, peak {peak_mb:.0f} MB; ≤ 5 s, ≤ 500 MB",
    )


def rows(quick: bool) -> list[Row]:
    """Every measurement of this file."""
    # Memory first, before the peers have filled the process.
    full = _full_scan_row(quick)
    return [*_adf_rows(500, quick), *_adf_rows(5000, quick), _engle_granger_row(quick), full]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    arguments = parser.parse_args()
    print(header(["numpy", "pandas", "numba", "statsmodels"]))
    measured = rows(arguments.quick)
    print(table(measured))
    return 0 if all(row.ok for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
