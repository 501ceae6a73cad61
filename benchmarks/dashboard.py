"""What a refresh costs, beside the plain page: CPU, bytes, and how many sessions one core holds.

``python benchmarks/dashboard.py [--quick]``. Each variant runs as its users start it, in a process
of its own, on the same database; sessions speak the page's own protocol without a browser.
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
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import websocket
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from database import Database  # noqa: E402
from simulator.prices import PlantedTape  # noqa: E402
from ticks import TickBatch  # noqa: E402

SYMBOLS = ("btcusdt", "ethusdt")
HOURS = 5.2


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


def serve(script: str, database: Path) -> Served:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "CRYPTO_DB_PATH": str(database),
        "DATA_SOURCE": "live",
        "REFRESH_INTERVAL": "600000",
    }
    process = psutil.Popen(
        [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                return Served(port, process)
        except OSError:
            time.sleep(0.3)
    raise SystemExit(f"{script} did not start")


@dataclass
class Session:
    """One browser's side of the protocol."""

    served: Served
    query: str
    fragment: str = ""
    heartbeat: str = ""
    widgets: dict[str, int] = field(default_factory=dict)
    ticks: int = 0

    def __post_init__(self) -> None:
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{self.served.port}/_stcore/stream",
            subprotocols=["streamlit"],
            origin=f"http://127.0.0.1:{self.served.port}",
            timeout=60,
        )
        self.run(whole=True)

    def run(self, *, whole: bool = False) -> tuple[float, int]:
        """One run of the page, or of its fragment: (seconds, bytes received)."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        if not whole:
            self.ticks += 1
            if self.fragment:
                message.rerun_script.fragment_id = self.fragment
                message.rerun_script.is_auto_rerun = True
            state = message.rerun_script.widget_states.widgets.add()
            state.id = self.heartbeat
            state.json_value = str(self.ticks)
        began, received = time.perf_counter(), 0
        self.socket.send_binary(message.SerializeToString())
        while True:
            data = self.socket.recv()
            received += len(data)
            answer = ForwardMsg.FromString(data)
            self._look(answer)
            if answer.WhichOneof("type") == "script_finished":
                return time.perf_counter() - began, received

    def _look(self, answer: ForwardMsg) -> None:
        if answer.WhichOneof("type") != "delta":
            return
        if answer.delta.fragment_id:
            self.fragment = answer.delta.fragment_id
        element = answer.delta.new_element
        if element.WhichOneof("type") == "component_instance":
            self.heartbeat = element.component_instance.id


def one_session(served: Served, query: str, refreshes: int) -> tuple[float, float, float]:
    """(CPU ms, kB, wall ms) of a refresh, once a second as in use, after warming up."""
    session = Session(served, query)
    deadline = time.monotonic() + 120
    warm = 0
    while warm < 5 and time.monotonic() < deadline:
        time.sleep(1.0)
        _, size = session.run()
        warm = warm + 1 if size > 20_000 else 0
    cpu, sizes, walls = served.cpu_s(), [], []
    for _ in range(refreshes):
        wall, size = session.run()
        walls.append(wall * 1000)
        sizes.append(size / 1000)
        time.sleep(0.6)
    spent = (served.cpu_s() - cpu) * 1000 / refreshes
    session.socket.close()
    return spent, statistics.median(sizes), statistics.median(walls)


def many_sessions(served: Served, query: str, count: int, seconds: float) -> tuple[float, float]:
    """p95 of a refresh in ms, and share of a core, of ``count`` sessions at one a second."""
    sessions = [Session(served, query) for _ in range(count)]
    walls: list[float] = []
    end = time.monotonic() + seconds

    def drive(session: Session, offset: float) -> None:
        time.sleep(offset)
        due = time.monotonic()
        while due < end:
            wall, _ = session.run()
            walls.append(wall * 1000)
            due += 1.0
            time.sleep(max(0.0, due - time.monotonic()))

    cpu = served.cpu_s()
    threads = [threading.Thread(target=drive, args=(s, n / count)) for n, s in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    share = (served.cpu_s() - cpu) / seconds
    for session in sessions:
        session.socket.close()
    walls.sort()
    return walls[int(len(walls) * 0.95) - 1], share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer refreshes and sessions")
    options = parser.parse_args()
    refreshes, sessions, seconds = (10, 10, 5.0) if options.quick else (40, 50, 20.0)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        feed = Feed(path)
        heads = ("CPU ms", "kB", "wall ms", "p95 ms")
        print(f"{'variant':34}", *(f"{head:>8}" for head in heads), "  core  sessions")
        for name, script, query, count in (
            # With more sessions than this the plain page never catches up with its own refreshes.
            ("plain: full rerun, plotly_chart", "benchmarks/plain_page.py", "", 5),
            ("ours: Pair Analytics, in place", "app.py", "tab=Pair+Analytics", sessions),
        ):
            served = serve(script, path)
            try:
                cpu, size, wall = one_session(served, query, refreshes)
                p95, share = many_sessions(served, query, count, seconds)
            finally:
                served.process.terminate()
                served.process.wait(20)
            print(f"{name:34} {cpu:8.1f} {size:8.1f} {wall:8.1f} {p95:8.1f} {share:6.0%} {count:9}")
        print("p95 and core: so many sessions at one refresh a second")
        feed.close()


if __name__ == "__main__":
    main()
