"""Processes and a Dask cluster beside one process: speed-up, overhead, and the same results.

    python benchmarks/scale.py [--quick] [--only scan|sweep] [--rounds N] [--patience MINUTES]

Wall time, since it is processes that are compared. Every place does the same job once a round, in
turn, so that what else the machine does meets all of them; the median of the rounds' ratios counts.
All are warm before the clock starts: processes and Dask workers run, each has done tasks of the
job. One process uses one thread, as does every worker of the others.

The ceiling is what two bare processes reach that each do half of the same tasks, without any of
this. What other programs took of the cores is measured beside; a round in which they took more
than a twentieth is done again while there is patience, and the calmest rounds count. Core seconds
say what a place costs whoever else computes.
"""

from __future__ import annotations

import argparse
import math
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
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from computing import jobs, requests, tasks
from computing.cluster import Cluster
from computing.inputs import Files, opened, source_of
from computing.runner import Here, Place, Processes, outcomes
from database import Database
from trading.ask import BacktestAsk

ROOT = Path(__file__).resolve().parents[1]
ASK = BacktestAsk("", "", "1min", z_window=60, hedge_window=240)
SPEEDUP, OVERHEAD = 1.7, 0.15
CALM = 0.05
# Bare processes do every third task: their ratio is wanted, not their time.
BARE_STEP = 3
WARM_TRIES = 50


class Leg(NamedTuple):
    """One measurement: wall and core seconds, and the share of all cores that others took."""

    seconds: float
    cores_s: float
    others: float


Round = dict[str, Leg]


def walks(symbols: int, candles: int) -> pd.DataFrame:
    """Closes of symbols that share a walk, a column each."""
    rng = np.random.default_rng(1)
    shared = 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, candles)))
    times = pd.date_range("2026-01-01", periods=candles, freq="1min", tz="UTC")
    closes = {
        f"s{k:03d}": shared * (1 + k / 50) * np.exp(np.cumsum(rng.normal(0, 5e-5, candles)))
        for k in range(symbols)
    }
    return pd.DataFrame(closes, index=times)


def candles_of(closes: pd.DataFrame) -> pd.DataFrame:
    """The same as closed candles, one below the other."""
    parts = []
    for symbol, close in closes.items():
        part = {"symbol": symbol, "timestamp": closes.index, "open": close.shift().bfill()}
        parts.append(pd.DataFrame(part | {"close": close, "volume": 1.0}))
    return pd.concat(parts, ignore_index=True)


def asked(quick: bool) -> dict[str, Callable[[], tuple[str, requests.Request]]]:
    """The jobs that are timed, by what ``--only`` calls them."""
    scanned, length, swept = (300, 3_000, 24) if quick else (330, 10_000, 40)

    def scan() -> tuple[str, requests.Request]:
        title = f"full scan, {math.comb(scanned, 2):,} pairs of {length:,} candles"
        return title, requests.full_scan(walks(scanned, length), {})

    def sweep() -> tuple[str, requests.Request]:
        title = f"sweep, {math.comb(swept, 2):,} pairs of 3,000 candles, 792 combinations each"
        frame = candles_of(walks(swept, 3_000))
        return title, requests.many_pairs("sweep", ASK, frame, {}, {})

    return {"scan": scan, "sweep": sweep}


@contextmanager
def dask_of_two(folder: Path) -> Iterator[str]:
    """A scheduler and two workers of one thread each, over TCP, as docs/scaling.md starts them."""
    told = folder / "scheduler.json"
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    }
    command = [sys.executable, "-m", "distributed.cli."]
    options = (
        ("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told)),
        ("dask_worker", "--scheduler-file", str(told), "--nworkers", "2", "--nthreads", "1",
         "--local-directory", str(folder), "--preload", "computing.ready"),
    )  # fmt: skip
    running = []
    try:
        for module, *more in options:
            line = [*command[:2], command[2] + module, *more, "--no-dashboard"]
            with (folder / f"{module}.log").open("wb") as log:
                running.append(
                    subprocess.Popen(line, env=environment, cwd=folder, stdout=log, stderr=log)
                )
        yield scheduler_address(told)
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(30)


def scheduler_address(told: Path) -> str:
    """Where the scheduler is, once two workers have joined it."""
    from distributed import Client

    deadline = time.monotonic() + 60
    while not told.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    with Client(scheduler_file=str(told), set_as_default=False, timeout=30) as client:
        client.wait_for_workers(2, timeout=120)
        return str(client.scheduler.address)


@contextmanager
def clocked(*, dask: bool = False) -> Iterator[list[Leg]]:
    """The measurement of what is done inside, in a list that is filled at the end.

    Where it is not done there, what Dask's processes use while they idle does not count.
    """
    found: list[Leg] = []
    begun, ours, all_of = time.perf_counter(), our_cores_s(), busy_cores_s()
    yield found
    seconds, cores = time.perf_counter() - begun, os.cpu_count() or 1
    mine, idle = (now - before for now, before in zip(our_cores_s(), ours, strict=True))
    others = (busy_cores_s() - all_of - mine - idle) / (seconds * cores)
    found.append(Leg(seconds, mine + (idle if dask else 0.0), max(0.0, others)))


def our_cores_s() -> tuple[float, float]:
    """Core seconds of this process and all it has started, ended or not, without Dask; of Dask."""
    me = psutil.Process()
    seconds = {False: 0.0, True: 0.0}
    for child in me.children():
        try:
            is_dask = "distributed.cli" in " ".join(child.cmdline())
            for process in (child, *child.children(recursive=True)):
                seconds[is_dask] += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return seconds[False] + sum(me.cpu_times()[:4]), seconds[True]


def busy_cores_s() -> float:
    """Core seconds of everything on the machine."""
    now = psutil.cpu_times()
    return sum(now) - now.idle - getattr(now, "iowait", 0.0) - getattr(now, "guest", 0.0)


def warm(source: Files, request: requests.Request, place: Place) -> None:
    """Have every worker of a place do tasks of the job before it is timed."""
    keys = tasks.KINDS[request.kind].keys(request.parameters)[: 4 * place.workers]
    calls = {key: (source, request.kind, key) for key in keys}
    seen: set[str] = set()
    for _ in range(WARM_TRIES):
        seen |= {ended.worker for ended in outcomes(tasks.do, calls, place)}
        if len(seen) >= (1 if isinstance(place, Here) else place.workers):
            return
    raise RuntimeError(f"of {place.workers} workers only {len(seen)} did anything")


def timed(database: Database, request: requests.Request, place: Place) -> tuple[Leg, str]:
    """A job's measurement, and the hash of its results."""
    job_id = jobs.new_job(database, request, time.time_ns() // 1_000_000)
    source = source_of(database, job_id)
    assert isinstance(source, Files)
    warm(source, request, place)
    with clocked(dask=isinstance(place, Cluster)) as found:
        job = jobs.run(database, job_id, place=nullcontext(place))
    if job.state != "done" or job.result_hash is None:
        raise RuntimeError(f"{request.title}: {job.state}. {job.note}")
    jobs.delete(database, job_id)
    return found[0], job.result_hash


def half(folder: str, kind: str, which: str) -> None:
    """Every other task of a sample, by a process that has nothing to do with the others."""
    source = Files(folder)
    keys = tasks.KINDS[kind].keys(opened(source).parameters)[::BARE_STEP]
    for key in keys[:2]:  # what is loaded once is not timed
        tasks.do(source, kind, key)
    print("ready", flush=True)
    sys.stdin.readline()
    for key in keys if which == "all" else keys[int(which) :: 2]:
        tasks.do(source, kind, key)
    print("done", flush=True)


def bare(folder: str, kind: str, parts: tuple[str, ...]) -> Leg:
    """The measurement of bare processes that do the parts at once."""
    command = [sys.executable, __file__, "--half", folder, kind]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, part], **pipes) for part in parts]
    for process in running:
        heard(process)
    with clocked() as found:
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in running:
            heard(process)
    for process in running:
        process.communicate()
    return found[0]


def heard(process: subprocess.Popen[str]) -> None:
    """Wait for the next line of a bare process."""
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError("a bare process ended before its work was done")


def measure(
    database: Database, request: requests.Request, cluster: Cluster, rounds: int, until_s: float
) -> tuple[list[Round], bool]:
    """The calmest rounds, and whether all results were the same."""
    places: dict[str, Place] = {"one": Here(1), "loky": Processes(2), "dask": cluster}
    job_id = jobs.new_job(database, request, 0)
    source = source_of(database, job_id)
    assert isinstance(source, Files)
    hashes: set[str] = set()
    done: list[Round] = []
    while sum(restless(one) <= CALM for one in done) < rounds:
        if len(done) >= rounds and time.monotonic() > until_s:
            break
        legs: Round = {}
        for name, place in places.items():
            legs[name], result = timed(database, request, place)
            hashes.add(result)
        legs["bare one"] = bare(source.folder, request.kind, ("all",))
        legs["bare two"] = bare(source.folder, request.kind, ("0", "1"))
        done.append(legs)
        say_round(len(done), legs)
    jobs.delete(database, job_id)
    return sorted(done, key=restless)[:rounds], len(hashes) == 1


def restless(legs: Round) -> float:
    """The largest share of the cores that others took in a round."""
    return max(leg.others for leg in legs.values())


def say_round(number: int, legs: Round) -> None:
    """One line a round, whether it will count or not; in brackets what others took of the cores."""
    seconds = "  ".join(
        f"{name} {leg.seconds:.2f} s ({leg.others:.0%})" for name, leg in legs.items()
    )
    print(f"  round {number}: {seconds}", flush=True)


def ratio(found: list[Round], above: str, below: str) -> float:
    """Median of the rounds' ratios of wall time."""
    return statistics.median(legs[above].seconds / legs[below].seconds for legs in found)


def cost(found: list[Round], name: str) -> float:
    """Median of a place's core seconds, against one process, less 1."""
    return statistics.median(legs[name].cores_s / legs["one"].cores_s for legs in found) - 1


def report(what: str, found: list[Round], same: bool) -> bool:
    """Print one job's lines; whether every target was reached."""
    speedup, ceiling = ratio(found, "one", "loky"), ratio(found, "bare one", "bare two")
    overhead = ratio(found, "dask", "loky") - 1
    alone = 2 / (1 + cost(found, "loky"))
    beside = (1 + cost(found, "dask")) / (1 + cost(found, "loky")) - 1
    seconds = statistics.median(legs["one"].seconds for legs in found)
    others = max(restless(legs) for legs in found)
    print(f"{what}: one process {seconds:.1f} s; {len(found)} rounds, others took up to "
          f"{others:.0%} of the cores")  # fmt: skip
    lines = (
        (f"2 bare processes, the ceiling here now  {ceiling:5.2f}x", "", True),
        (f"2 processes (loky)                      {speedup:5.2f}x", "≥ 1.7", speedup >= SPEEDUP),
        (f"  of the ceiling                        {speedup / ceiling:5.0%}", "", True),
        (f"  core seconds beside one process's     {cost(found, 'loky'):+5.1%}", "", True),
        (f"  by them, on 2 free cores (arithmetic)  {alone:4.2f}x", "", True),
        (f"2 Dask workers                          {ratio(found, 'one', 'dask'):5.2f}x", "", True),
        (f"  core seconds beside one process's     {cost(found, 'dask'):+5.1%}", "", True),
        (f"  by them, against loky (arithmetic)    {beside:+5.1%}", "", True),
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
    parser.add_argument("--only", choices=("scan", "sweep"))
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--patience", type=float, default=0.0, help="minutes for calm rounds")
    parser.add_argument("--half", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.half:
        half(*options.half)
        return 0
    packages = ", ".join(f"{n} {version(n)}" for n in ("joblib", "dask", "numba", "numpy"))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python "
          f"{platform.python_version()}, {packages}; every place warm before the clock starts",
          flush=True)  # fmt: skip
    fine = True
    with (
        tempfile.TemporaryDirectory() as folder,
        dask_of_two(Path(folder)) as address,
        Database(Path(folder) / "b.db") as database,
        Cluster(address) as cluster,
    ):
        for name, made in asked(options.quick).items():
            if options.only in (None, name):
                what, request = made()
                rounds = options.rounds or (2 if options.quick else 3)
                until_s = time.monotonic() + 60 * options.patience
                fine &= report(what, *measure(database, request, cluster, rounds, until_s))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
