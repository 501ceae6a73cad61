"""The backtest beside vectorbt and backtesting.py: speed, and the same answers, in one run.

    python benchmarks/backtest.py [--quick]

CPU time of the process, best of several; peers get the same signals and fills.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import resource
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from analytics import Analytics
from kernels import backtest as spread_kernel
from trading.backtest import HedgePlan, PairSettings, Sizing, pair_candles, run_pair
from trading.optimize import Grid, sweep
from trading.signals import Signals, make_signals
from trading.walk_forward import walk_forward

warnings.filterwarnings("ignore")
os.environ["TQDM_DISABLE"] = "1"  # no progress bar of a peer between the rows
SETTINGS = PairSettings(sizing=Sizing("percent", 0.5), hedge=HedgePlan("fixed", 500), z_window=60)


def market(n: int, seed: int = 0) -> Any:
    """A planted cointegrated pair of one-minute candles."""
    rng = np.random.default_rng(seed)
    x = 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, n)))
    y = 1.5 * x + 10 + lfilter([1], [1, -0.97], rng.normal(0, 0.2, n))
    times = pd.RangeIndex(1_700_006_400_000, 1_700_006_400_000 + 60_000 * n, 60_000)
    legs = [
        pd.DataFrame({"open": np.r_[c[0], c[:-1]], "close": c, "volume": 1.0}, index=times)
        for c in (y, x)
    ]
    return pair_candles(*legs)


def best(call: Callable[[], Any], seconds: float = 1.0, most: int = 200) -> float:
    """Least CPU seconds of a call, after one to warm up; a slow one is repeated once."""
    start = time.process_time()
    call()
    fewest = 1 if time.process_time() - start > 1.0 else 2
    spent, least, count = 0.0, float("inf"), 0
    while spent < seconds and count < most or count < fewest:
        start = time.process_time()
        call()
        took = time.process_time() - start
        spent, least, count = spent + took, min(least, took), count + 1
    return least


def vectorbt_orders(candles: Any, positions: np.ndarray, units: np.ndarray) -> Any:
    """A portfolio of the same target amounts on both legs at the next open."""
    import vectorbt as vbt

    close = np.column_stack([candles.close1, candles.close2])
    opens = np.column_stack([candles.open1, candles.open2])
    size = np.full_like(close, np.nan)
    changed = np.flatnonzero(np.diff(np.r_[0, positions]) != 0)
    size[changed] = units[changed]
    frame = pd.DataFrame(close, index=candles.index, columns=["y", "x"])
    return vbt.Portfolio.from_orders(
        frame,
        size=size,
        size_type="targetamount",
        price=opens,
        fees=5e-4,
        slippage=1e-4,
        init_cash=SETTINGS.starting_equity,
        cash_sharing=True,
        group_by=True,
        freq="1min",
    )


def six_of_vectorbt(portfolio: Any) -> tuple[float, ...]:
    """The six figures and the equity, as a user would ask for them."""
    trades = portfolio.trades
    return (
        portfolio.total_return(),
        portfolio.sharpe_ratio(),
        portfolio.max_drawdown(),
        trades.count(),
        trades.win_rate(),
        portfolio.position_coverage() if hasattr(portfolio, "position_coverage") else 0.0,
    )


def backtesting_run(spread: pd.Series, z: np.ndarray) -> Any:
    """backtesting.py on one leg with the same signals."""
    from backtesting import Backtest, Strategy

    level = spread - spread.min() + 100.0
    # It passes over the first candle that has a z: one of no meaning comes before.
    z = z.copy()
    z[np.flatnonzero(~np.isnan(z))[0] - 1] = 0.0
    frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), level), index=spread.index)

    class Reversion(Strategy):
        def init(self) -> None:
            self.z = self.I(lambda: z)

        def next(self) -> None:
            now = self.z[-1]
            if self.position:
                if (now >= 0) if self.position.is_long else (now <= 0):
                    self.position.close()
            elif now > 2:
                self.sell(size=1)
            elif now < -2:
                self.buy(size=1)

    return Backtest(frame, Reversion, cash=1e6)


def single(n: int, quick: bool) -> None:
    """One row of the first table, answers compared."""
    c = market(n)
    signals = make_signals(c, SETTINGS.hedge, SETTINGS.z_window)
    index = c.index
    spread = pd.Series(signals.spread, index=index).ffill().bfill()
    z = pd.Series(signals.zscore, index=index)
    seconds = 0.3 if quick else 1.0
    public = best(lambda: Analytics.backtest_mean_reversion(spread, z), seconds)
    ours = run_pair(c, SETTINGS, signals=signals)
    two = best(lambda: run_pair(c, SETTINGS, signals=signals).summary, seconds)
    full = best(lambda: run_pair(c, SETTINGS, signals=signals).all_figures(), seconds, 5)
    units = np.zeros((n, 2))
    for row in ours.rows:
        units[int(row[2])] = row[5], row[6]
    positions = ours.positions
    # Warm from the smaller sizes, and slow: from 100,000 candles on a peer is run once.
    many = n < 100_000
    start = time.process_time()
    theirs = vectorbt_orders(c, positions, units)
    six_of_vectorbt(theirs)
    peer = time.process_time() - start
    assert theirs.trades.count() == 2 * len(ours.trades), "trades differ"
    np.testing.assert_allclose(theirs.value().to_numpy(), ours.equity["pair"], rtol=1e-12)
    assert abs(theirs.sharpe_ratio() / ours.summary.sharpe - 1) < 1e-9, "Sharpe differs"
    if many:
        peer = best(lambda: six_of_vectorbt(vectorbt_orders(c, positions, units)), seconds, 5)
        stats = best(lambda: vectorbt_orders(c, positions, units).stats(), seconds, 3)
    else:
        start = time.process_time()
        vectorbt_orders(c, positions, units).stats()
        stats = time.process_time() - start
    line = f"{n:>9,} {public * 1e3:>9.3f} {two * 1e3:>9.3f} {full * 1e3:>9.2f}"
    line += f" {peer * 1e3:>9.1f} {stats * 1e3:>9.1f} {peer / public:>7.0f}× {peer / two:>7.0f}×"
    line += f" {stats / full:>7.0f}×"
    if n <= (10_000 if quick else 1_000_000):
        test = backtesting_run(spread, signals.zscore)
        start = time.process_time()
        stats_of_peer = test.run()
        took = time.process_time() - start
        closed = Analytics.backtest_mean_reversion(spread, z).trades
        closed = closed[closed["status"] == "closed"]
        found = stats_of_peer["_trades"].sort_values("EntryBar")["PnL"].to_numpy()[: len(closed)]
        np.testing.assert_allclose(found, closed["pnl"], rtol=1e-6, atol=1e-9)
        line += f" {took * 1e3:>9.0f} {took / public:>7.0f}×"
    print(line, flush=True)


def beside_the_state_machine(n: int) -> None:
    """Two legs with fees and six figures, against the bare state machine."""
    c = market(n)
    signals = make_signals(c, SETTINGS.hedge, SETTINGS.z_window)
    found = np.empty((2, n // 2 + 1), np.int64)

    def bare() -> None:
        spread_kernel.state_machine(
            signals.zscore, 2.0, 0.0, 1, np.zeros(n, np.int8), found[0], found[1]
        )

    calls = {
        "alone": bare,
        "public": lambda: run_pair(c, SETTINGS, signals=signals).summary,
        "with the table of trades": lambda: run_pair(c, SETTINGS, signals=signals).rows,
    }
    least = dict.fromkeys(calls, float("inf"))
    # In turns, so that a busy moment of the machine falls on all of them.
    for _ in range(40):
        for name, call in calls.items():
            start = time.process_time()
            call()
            least[name] = min(least[name], time.process_time() - start)
    alone, public = least["alone"], least["public"]
    print(
        f"\ntwo legs, fees, six figures, {n:,} candles, public call: {public * 1e3:.2f} ms; state "
        f"machine alone {alone * 1e3:.2f} ms; {public / alone:.2f}× (to reach: ≤ 4×); with the "
        f"table of trades {least['with the table of trades'] / alone:.2f}×"
    )


def extra_memory() -> None:
    """First sweep of a fresh process: what its peak adds to what was in use just before.

    Run in a process of its own (`--memory`), so that nothing earlier has made room for it.
    Compiled code comes from its cache and counts as extra.
    """
    c, grid = market(10_000), grid_of_2000()
    gc.collect()
    used = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    sweep(c, grid, SETTINGS)
    # Not ru_maxrss, which a child inherits from the process that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    peak = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 2**10
    tracemalloc.start()
    sweep(c, grid, SETTINGS)
    print(f"{peak - used:.1f} {tracemalloc.get_traced_memory()[1] / 2**20:.1f}")


def measured_memory() -> tuple[float, float]:
    """MB of `extra_memory`: of the process and of the arrays alone."""
    command = [sys.executable, __file__, "--memory"]
    for _ in range(2):  # the first may have to compile
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    process, arrays = found.split()
    return float(process), float(arrays)


def grid_of_2000() -> Grid:
    """20 entries × 10 exits × 5 windows × 2 hedge plans."""
    return Grid(
        tuple(np.linspace(1.0, 3.5, 20)),
        tuple(np.linspace(-0.5, 0.9, 10)),
        (20, 40, 60, 90, 120),
        (HedgePlan("rolling", 240), HedgePlan("fixed", 500)),
    )


def sweeps(quick: bool) -> None:
    """2,000 combinations × 10k candles, beside vectorbt in column chunks."""
    c, grid = market(10_000), grid_of_2000()
    extra, arrays = measured_memory()
    took = best(lambda: sweep(c, grid, SETTINGS, workers=1), 2.0)
    result = sweep(c, grid, SETTINGS)
    plans = {p.label: p for p in grid.hedges}
    share = 40 if quick else 400
    frame = result.frame.iloc[:: 2000 // share]
    peer = 0.0
    for start in range(0, len(frame), 40):
        chunk, runs = frame.iloc[start : start + 40], []
        for row in chunk.itertuples():
            s = SETTINGS.with_thresholds(row.entry_th, row.exit_th)
            known = make_signals(c, plans[row.hedge], row.z_window)
            runs.append(run_pair(c, s, signals=Signals(*known)))
        peer += many_in_vectorbt(c, runs, chunk)
    peer *= 2000 / len(frame)
    print(
        f"\nsweep 2,000 × 10,000: {took * 1e3:.1f} ms CPU; vectorbt {peer * 1e3:,.0f} ms, "
        f"extrapolated from {len(frame)} combinations spread over the grid and compared; "
        f"{peer / took:.0f}× (to reach: ≥ 500×)\n"
        f"extra memory of the first sweep of a fresh process: {extra:.0f} MB at its peak, compiled "
        f"code included; arrays {arrays:.0f} MB (to reach: ≤ 50 MB)"
    )


def many_in_vectorbt(c: Any, runs: list[Any], chunk: pd.DataFrame) -> float:
    """CPU seconds of vectorbt on these combinations at once; their answers compared."""
    import vectorbt as vbt

    n, k = len(c), len(runs)
    size = np.full((n, 2 * k), np.nan)
    for j, run in enumerate(runs):
        for row in run.rows:
            size[int(row[2]), 2 * j : 2 * j + 2] = row[5], row[6]
            if row[4] >= 0:
                size[int(row[4]), 2 * j : 2 * j + 2] = 0.0
    names = pd.MultiIndex.from_product([range(k), ["y", "x"]], names=["run", "leg"])
    close = pd.DataFrame(
        np.tile(np.column_stack([c.close1, c.close2]), k), index=c.index, columns=names
    )
    opens = np.tile(np.column_stack([c.open1, c.open2]), k)

    def go() -> Any:
        p = vbt.Portfolio.from_orders(
            close, size=size, size_type="targetamount", price=opens, fees=5e-4, slippage=1e-4,
            init_cash=SETTINGS.starting_equity, cash_sharing=True, group_by="run", freq="1min",
        )  # fmt: skip
        return p.total_return(), p.sharpe_ratio(), p.max_drawdown(), p.trades.count(), (
            p.trades.win_rate()
        ), p.gross_exposure()  # fmt: skip

    go()
    start = time.process_time()
    total, sharpe, depth, trades, _, _ = go()
    took = time.process_time() - start
    np.testing.assert_allclose(total, chunk["total_return"], rtol=1e-9, atol=1e-12)
    # Without a trade nothing varies: vectorbt's Sharpe is infinite there, ours is withheld.
    traded = (chunk["trades"] > 0).to_numpy()
    np.testing.assert_allclose(sharpe[traded], chunk["sharpe"][traded], rtol=1e-8)
    assert chunk["sharpe"][~traded].isna().all()
    np.testing.assert_allclose(depth, chunk["max_drawdown"], rtol=1e-9)
    assert (trades.to_numpy() == 2 * chunk["trades"]).all()
    return took


def forward(quick: bool) -> None:
    """20 folds × 2,000 combinations × 100k candles: wall and CPU time on two threads."""
    c, grid = market(20_000 if quick else 100_000), grid_of_2000()
    print(f"\nwalk-forward, 20 folds × 2,000 × {len(c):,} (to reach: wall under 5 s on two cores)")
    print(
        f"{'mode':>10} {'wall s':>7} {'CPU s':>7} {'load':>5} {'longest pause of another thread'}"
    )
    for mode in ("rolling", "expanding"):
        wall, cpu = float("inf"), float("inf")
        for _ in range(2):
            watch = Watch()
            start, used = time.perf_counter(), time.process_time()
            walk_forward(c, grid, SETTINGS, folds=20, mode=mode, workers=2)
            wall = min(wall, time.perf_counter() - start)
            cpu = min(cpu, time.process_time() - used)
            pause = watch.stop()
        print(f"{mode:>10} {wall:>7.2f} {cpu:>7.2f} {os.getloadavg()[0]:>5.1f} {pause:>9.0f} ms")


class Watch(threading.Thread):
    """Another thread that wants to run every 10 ms, as the page does, and how late it was."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest, self.over = 0.0, threading.Event()
        self.start()

    def run(self) -> None:
        """Sleep and compare."""
        while not self.over.is_set():
            start = time.perf_counter()
            time.sleep(0.01)
            self.longest = max(self.longest, time.perf_counter() - start - 0.01)

    def stop(self) -> float:
        """Milliseconds of the longest delay."""
        self.over.set()
        self.join()
        return self.longest * 1e3


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sizes and combinations")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        extra_memory()
        return
    quick = arguments.quick
    names = ("numpy", "pandas", "numba", "vectorbt", "backtesting")
    print(
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
    print(", ".join(f"{name} {version(name)}" for name in names))
    try:
        from vectorbt._engine import is_rust_available

        print("vectorbt engine:", "rust" if is_rust_available() else "numba")
    except ImportError:
        print("vectorbt engine: numba")
    print(
        "\nms CPU; public = Analytics.backtest_mean_reversion; two legs = run_pair and six figures;"
    )
    print(
        "all = run_pair and every figure; vectorbt = two legs and six figures; stats = its stats()"
    )
    print(
        f"{'candles':>9} {'public':>9} {'two legs':>9} {'all':>9} {'vectorbt':>9} {'stats':>9}"
        f" {'vbt/pub':>8} {'vbt/two':>8} {'sta/all':>8} {'bt.py':>9} {'bt/pub':>8}"
    )
    for n in (1_000, 10_000) if quick else (1_000, 10_000, 100_000, 1_000_000):
        single(n, quick)
    beside_the_state_machine(100_000 if quick else 1_000_000)
    sweeps(quick)
    forward(quick)


if __name__ == "__main__":
    main()
