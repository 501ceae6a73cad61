"""What a refresh costs, beside the plain page: CPU, bytes, sessions, first paint, tab switches.

``python benchmarks/dashboard.py [--quick] [--only refreshes|paints]``. Each variant runs as its
users start it, in a process of its own, on the same database. For refreshes it is held to one core
and sessions speak the page's own protocol without a browser; paints are timed in headless Chromium
where it is installed, the plain page and ours in turn. Measured is a server that says it is warm:
everything loaded, everything compiled. Beside each line stands the machine's load average then:
above the number of cores the wall times are somebody else's too.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from page_paints import paints  # noqa: E402
from page_sessions import RESTS, FollowingSession, RunningSession, Session  # noqa: E402

from database import Database  # noqa: E402
from simulator.prices import PlantedTape  # noqa: E402
from ticks import TickBatch  # noqa: E402

SYMBOLS = ("btcusdt", "ethusdt")
HOURS = 5.2
WARM_WITHIN_S = 300.0
READY = "/platform/ready"


def batch(tape: PlantedTape, symbol: str, start_ms: int, end_ms: int) -> TickBatch:
    """The demo market's trades of a stretch of time."""
    t = tape.trades_between(symbol, start_ms, end_ms)
    n = len(t)
    return TickBatch(
        "aggTrade", [symbol] * n, t.time_ms.tolist(), t.price.tolist(), t.quantity.tolist(),
        t.id.tolist(), t.is_buyer_maker.tolist(),
    )  # fmt: skip


class Feed:
    """Writes the demo market into the database as it happens, as a collector would."""

    def __init__(self, path: Path) -> None:
        self.tape, self.database = PlantedTape(), Database(path)
        self.at_ms = time.time_ns() // 1_000_000
        start = int(self.at_ms - HOURS * 3_600_000)
        for symbol in SYMBOLS:
            self.database.write(batch(self.tape, symbol, start, self.at_ms))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.25):
            now = time.time_ns() // 1_000_000
            for symbol in SYMBOLS:
                part = batch(self.tape, symbol, self.at_ms, now)
                if len(part):
                    self.database.write(part)
            self.at_ms = now

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.database.close()


@dataclass
class Served:
    """A page's server process."""

    port: int
    process: psutil.Popen

    def cpu_s(self) -> float:
        used = self.process.cpu_times()
        return used.user + used.system


@contextmanager
def served(script: str, database: Path, *, one_core: bool = False) -> Iterator[Served]:
    """A server as users start it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "CRYPTO_DB_PATH": str(database),
        "DATA_SOURCE": "live",
        "REFRESH_INTERVAL": "1000",
    }
    process = psutil.Popen(
        [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until_up(port, script)
        if one_core and hasattr(process, "cpu_affinity"):
            process.cpu_affinity([max(process.cpu_affinity())])
        yield Served(port, process)
    finally:
        process.terminate()
        process.wait(20)


def wait_until_up(port: int, script: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.3)
    raise SystemExit(f"{script} did not start")


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


def wait_until_warm(server: Served) -> float:
    """Seconds until the server says of itself that everything is loaded and compiled."""
    began = time.monotonic()
    while time.monotonic() - began < WARM_WITHIN_S:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{READY}", timeout=5):
                return time.monotonic() - began
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the server did not get warm")


@dataclass(frozen=True)
class Cost:
    """A refresh of one session."""

    cpu_ms: float
    kilobytes: float
    wall_ms: float


def one_session(server: Served, session: Session, refreshes: int) -> Cost:
    """What a refresh costs, once a second as in use, after warming up."""
    deadline, quiet = time.monotonic() + 240, 0
    while quiet < 8 and time.monotonic() < deadline:
        session.run()
        quiet += session.complete
        time.sleep(1.0)
    cpu, sizes, walls = server.cpu_s(), [], []
    for _ in range(refreshes):
        wall, size = session.refresh()
        walls.append(wall * 1000)
        sizes.append(size / 1000)
        time.sleep(max(0.0, 1.0 - wall))
    spent = (server.cpu_s() - cpu) * 1000 / refreshes
    session.close()
    return Cost(spent, statistics.mean(sizes), statistics.median(walls))


@dataclass(frozen=True)
class Load:
    """Many sessions at one refresh a second each."""

    p95_ms: float
    core: float


def many_sessions(server: Served, sessions: list[Session], seconds: float) -> Load:
    """How long a refresh takes and what share of the core is used."""
    walls: list[float] = []
    for n, session in enumerate(sessions):
        session.refresh()
        # Nobody opens fifty pages in one second: their regular runs are spread as they would be.
        session.ticks = n % RESTS
    end = time.monotonic() + seconds

    def drive(session: Session, offset: float) -> None:
        time.sleep(offset)
        due = time.monotonic()
        while due < end:
            wall, _ = session.refresh()
            walls.append(wall * 1000)
            due += 1.0
            time.sleep(max(0.0, due - time.monotonic()))

    cpu = server.cpu_s()
    threads = [
        threading.Thread(target=drive, args=(s, n / len(sessions))) for n, s in enumerate(sessions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    share = (server.cpu_s() - cpu) / seconds
    for session in sessions:
        session.close()
    walls.sort()
    return Load(walls[int(len(walls) * 0.95) - 1], share)


VARIANTS = (
    # With more sessions than this the plain page never catches up with its own refreshes.
    ("plain: all drawn again, plotly_chart", "benchmarks/plain_page.py", "", RunningSession, 5),
    ("ours, were every refresh a run", "app.py", "tab=Pair+Analytics", RunningSession, 10),
    ("ours: Pair Analytics", "app.py", "tab=Pair+Analytics", FollowingSession, 50),
)


def refreshes(path: Path, *, quick: bool) -> None:
    """The table of what a refresh costs."""
    count, seconds = (15, 10.0) if quick else (45, 45.0)
    heads = ("CPU ms", "kB", "wall ms", "p95 ms")
    print(f"{'variant':37}", *(f"{head:>8}" for head in heads), "  core  sessions")
    for name, script, query, kind, sessions in VARIANTS:
        with served(script, path, one_core=True) as server:
            warmed = wait_until_warm(server) if script == "app.py" else 0.0
            cost = one_session(server, kind(server.port, query), count)
            many = many_sessions(
                server, [kind(server.port, query) for _ in range(sessions)], seconds
            )
        print(
            f"{name:37} {cost.cpu_ms:8.1f} {cost.kilobytes:8.1f} {cost.wall_ms:8.1f} "
            f"{many.p95_ms:8.1f} {many.core:6.0%} {sessions:9}   {load()}"
            + (f", warm after {warmed:.0f} s" if warmed else ""),
            flush=True,
        )
    print("p95 and core: so many sessions at one refresh a second, the server on one core")


def first_paints(path: Path, *, quick: bool) -> None:
    """What a browser takes, the plain page and ours in turn."""
    with served("benchmarks/plain_page.py", path) as plain, served("app.py", path) as ours:
        wait_until_warm(ours)
        for line in paints({"plain": plain, "ours": ours}, 1 if quick else 5):
            print(f"{line}; {load()}", flush=True)


PARTS = {"refreshes": refreshes, "paints": first_paints}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer refreshes, shorter load")
    parser.add_argument("--only", choices=PARTS, help="one of the parts")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}; {load()}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        feed = Feed(path)
        for name, measure in PARTS.items():
            if options.only in (None, name):
                measure(path, quick=options.quick)
        feed.close()


if __name__ == "__main__":
    main()
