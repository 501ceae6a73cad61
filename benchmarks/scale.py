"""Processes and a Dask cluster beside one process: speed-up, overhead, and the same results.

    python benchmarks/scale.py [--quick] [--rounds N]

Wall time, since it is processes that are compared; every place does the same job once a round, in
turn, so that what else the machine does meets all of them, and the median of the rounds' ratios
counts. The ceiling is what two bare processes reach that each do half without any of this.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from computing import jobs, requests, tasks
from computing.cluster import Cluster
from computing.runner import Here, Processes
from database import Database
from trading.ask import BacktestAsk

ASK = BacktestAsk("", "", "1min", z_window=60, hedge_window=240)
SPEEDUP, OVERHEAD = 1.7, 0.15


def market(symbols: int, candles: int) -> pd.DataFrame:
    """Closed candles of symbols that share a walk."""
    rng = np.random.default_rng(1)
    shared = 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, candles)))
    times = pd.date_range("2026-01-01", periods=candles, freq="1min", tz="UTC")
    parts = []
    for k in range(symbols):
        close = shared * (1 + k / 50) * np.exp(np.cumsum(rng.normal(0, 5e-5, candles)))
        opens = np.r_[close[0], close[:-1]]
        part = {"symbol": f"s{k:03d}", "timestamp": times, "open": opens, "close": close}
        parts.append(pd.DataFrame(part | {"volume": 1.0}))
    return pd.concat(parts, ignore_index=True)


def asked(quick: bool) -> dict[str, requests.Request]:
    """The jobs that are timed."""
    scanned, swept = (120, 10) if quick else (400, 40)
    prices = market(scanned, 3000).pivot(index="timestamp", columns="symbol", values="close")
    frame = market(swept, 3000)
    return {
        f"full scan, {scanned * (scanned - 1) // 2:,} pairs of 3,000 candles": requests.full_scan(
            prices, {}
        ),
        f"sweep, {swept * (swept - 1) // 2:,} pairs of 3,000 candles, 792 combinations each": (
            requests.many_pairs("sweep", ASK, frame, {}, {})
        ),
    }


@contextmanager
def dask_of_two(folder: Path) -> Iterator[str]:
    """A scheduler and two workers of one thread each, over TCP; the address."""
    from distributed import Client, LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", protocol="tcp://",
        local_directory=str(folder),
    ) as cluster:  # fmt: skip
        with Client(cluster, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield cluster.scheduler_address


def timed(database: Database, request: requests.Request, place: Any) -> tuple[float, str]:
    """Wall seconds of a job, and the hash of its results."""
    job_id = jobs.new_job(database, request, time.time_ns() // 1_000_000)
    begun = time.perf_counter()
    job = jobs.run(database, job_id, place=nullcontext(place))
    took = time.perf_counter() - begun
    if job.state != "done" or job.result_hash is None:
        raise RuntimeError(f"{request.title}: {job.state}. {job.note}")
    jobs.delete(database, job_id)
    return took, job.result_hash


def half(folder: str, kind: str, which: str) -> None:
    """Every other task of a job, by a process that has nothing to do with the others."""
    from computing.inputs import Files, opened

    keys = tasks.KINDS[kind].keys(opened(Files(folder)).parameters)
    tasks.do(Files(folder), kind, keys[0])  # what is loaded once is not timed
    print("ready", flush=True)
    sys.stdin.readline()
    for key in keys[int(which) :: 2] if which != "all" else keys:
        tasks.do(Files(folder), kind, key)
    print("done", flush=True)


def bare(folder: str, kind: str, parts: tuple[str, ...]) -> float:
    """Wall seconds of bare processes that do the parts at once."""
    command = [sys.executable, __file__, "--half", folder, kind]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, part], **pipes) for part in parts]
    for process in running:
        process.stdout.readline()
    begun = time.perf_counter()
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in running:
        process.stdout.readline()
    took = time.perf_counter() - begun
    for process in running:
        process.wait()
    return took


def measure(
    database: Database, request: requests.Request, cluster: Cluster, rounds: int
) -> tuple[dict[str, list[float]], bool]:
    """Seconds of each place by round, and whether all results were the same."""
    places: dict[str, Callable[[], tuple[float, str]]] = {
        "one": lambda: timed(database, request, Here(1)),
        "threads": lambda: timed(database, request, Here(2)),
        "loky": lambda: timed(database, request, Processes(2)),
        "dask": lambda: timed(database, request, cluster),
    }
    job_id = jobs.new_job(database, request, 0)
    folder = str(database.path.with_name(f"{database.path.stem}_jobs") / job_id)
    hashes = {place()[1] for place in places.values()}  # the first round warms up
    found: dict[str, list[float]] = {name: [] for name in (*places, "bare one", "bare two")}
    for _ in range(rounds):
        for name, place in places.items():
            seconds, result = place()
            found[name].append(seconds)
            hashes.add(result)
        found["bare one"].append(bare(folder, request.kind, ("all",)))
        found["bare two"].append(bare(folder, request.kind, ("0", "1")))
    jobs.delete(database, job_id)
    return found, len(hashes) == 1


def ratio(above: list[float], below: list[float]) -> float:
    """Median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def report(what: str, found: dict[str, list[float]], same: bool) -> bool:
    """Print one job's lines; whether every target was reached."""
    one, two = found["one"], found["loky"]
    speedup, overhead = ratio(one, two), ratio(found["dask"], two) - 1
    ceiling = ratio(found["bare one"], found["bare two"])
    print(f"\n{what}: one process {statistics.median(one):.2f} s")
    print(f"  2 bare processes, the ceiling here now  {ceiling:5.2f}x")
    print(f"  2 threads (what small work takes)       {ratio(one, found['threads']):5.2f}x")
    lines = (
        (f"2 processes (loky)                      {speedup:5.2f}x", "≥ 1.7", speedup >= SPEEDUP),
        (f"2 Dask workers                          {ratio(one, found['dask']):5.2f}x", "", True),
        (f"Dask against loky                       {overhead:+5.1%}", "≤ 15 %",
         overhead <= OVERHEAD),
        (f"results of all places the same          {'yes' if same else 'NO'}", "yes", same),
    )  # fmt: skip
    for text, target, reached in lines:
        print(f"  {text:48}{target:8}{'' if not target else 'ok' if reached else 'MISSED'}")
    return all(reached for *_, reached in lines)


def main() -> int:
    """Run; 1 where a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller jobs, two rounds")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--half", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.half:
        half(*options.half)
        return 0
    packages = ", ".join(f"{n} {version(n)}" for n in ("joblib", "dask", "numba", "numpy"))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python "
          f"{platform.python_version()}, {packages}")  # fmt: skip
    fine = True
    with (
        tempfile.TemporaryDirectory() as folder,
        dask_of_two(Path(folder)) as address,
        Database(Path(folder) / "b.db") as database,
        Cluster(address) as cluster,
    ):
        for what, request in asked(options.quick).items():
            rounds = options.rounds or (2 if options.quick else 5)
            fine &= report(what, *measure(database, request, cluster, rounds))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
