"""From the socket to committed ticks and candles: how much CPU a message costs, beside peers.

``python benchmarks/ingest.py`` (``--quick`` for a short run, ``--soak SECONDS`` for the steady
load, ``--ticks 10000000`` for the reads of a large file). Each measurement runs in a process of its
own against a server that floods it over loopback; CPU time, not wall time, is compared. Peers:
``pip install -r benchmarks/requirements.txt``.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from report import Row, cpu_ms, header, table  # noqa: E402

from candles import STORED_TIMEFRAMES  # noqa: E402
from database import Database  # noqa: E402
from storage import candle_store  # noqa: E402
from ticks import TickBatch  # noqa: E402

LIBRARIES = ("websocket-client", "msgspec", "numpy", "picows", "cryptofeed", "websockets")
START_MS = 1_781_524_800_000
Answer = dict[str, Any]


@contextmanager
def flood(messages: int, symbols: int, rate: float = 0.0) -> Iterator[tuple[int, Answer]]:
    """A server that floods its first client; its port and what it sends."""
    command = [sys.executable, "-m", "simulator.flood", "--messages", str(messages)]
    command += ["--symbols", str(symbols), "--rate", str(rate)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline()), json.loads(server.stdout.readline())
        finally:
            server.terminate()


def measure(name: str, messages: int, symbols: int, folder: Path) -> tuple[Answer, Answer] | None:
    """One measurement in a process of its own: its answer and what was sent; None where a peer
    is not installed."""
    with flood(messages, symbols) as (port, sent):
        file = folder / f"{name}.db"
        command = [sys.executable, str(ROOT / "benchmarks" / "ingest_peers.py"), name, str(port)]
        command += [",".join(sent), str(messages), str(file)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1]), sent


def loss(answer: Answer, sent: Answer) -> str:
    """What is missing of what was sent, and how far volumes are apart."""
    messages = sum(s["messages"] for s in sent.values())
    volume = sum(float(s["volume"]) for s in sent.values())
    lost = messages - answer["messages"]
    apart = abs(answer["size"] / volume - 1) if lost == 0 else float("nan")
    for candles in answer.get("candles", {}).values():
        apart = max(apart, abs(candles / volume - 1))
    return f"lost {lost}, volume {apart:.0e}"


def compare(ours: str, peers: dict[str, tuple[str, float, float | None]], **how: Any) -> list[Row]:
    """Rows of one measurement beside each peer: label, share of the messages, ratio to reach."""
    messages, symbols, folder = how["messages"], how["symbols"], how["folder"]
    found = measure(ours, messages, symbols, folder)
    if found is None:
        return []
    mine = found[0]
    per_1000 = 1e6 * mine["cpu_s"] / mine["messages"]
    rate = mine["messages"] / mine["cpu_s"] / 1000
    note = f"{rate:,.0f} k messages a CPU second"
    reached = None if not how.get("rate_k") else rate >= how["rate_k"]
    rows = [Row(how["what"], per_1000, same=loss(*found), reached=reached, note=note)]
    for name, (label, share, target) in peers.items():
        other = measure(name, max(1000, int(messages * share)), symbols, folder)
        if other is not None:
            theirs = 1e6 * other[0]["cpu_s"] / other[0]["messages"]
            rows.append(Row("", per_1000, label, theirs, target, loss(*other)))
    return rows


def _batches(count: int, size: int) -> list[TickBatch]:
    """Batches of two symbols' ticks at 1,000 a second."""
    batches = []
    for begin in range(0, count * size, size):
        rows = range(begin, begin + size)
        batches.append(
            TickBatch(
                "aggTrade",
                ["btcusdt" if i % 2 else "ethusdt" for i in rows],
                [START_MS + i for i in rows],
                [100.0 + (i * 7919 % 101) / 10 for i in rows],
                [0.001 * (1 + i % 50) for i in rows],
                [10**9 + i // 2 for i in rows],
                [i % 3 == 0 for i in rows],
            )
        )
    return batches


def candle_cost(folder: Path, batches: int) -> Row:
    """What candles of six timeframes add to the ticks, at 1,000 ticks a second in four batches."""
    times: dict[bool, list[float]] = {True: [], False: []}
    keep = candle_store.update
    for round_ in range(6):
        with_candles = round_ % 2 == 0
        candle_store.update = keep if with_candles else lambda *_: None  # type: ignore[assignment]
        made = _batches(batches, 250)
        with Database(folder / f"candles{round_}.db") as database:
            begun = time.process_time()
            for batch in made:
                database.write(batch)
            times[with_candles].append(time.process_time() - begun)
    candle_store.update = keep
    full, bare = (min(times[k]) * 1e6 / (batches * 250) for k in (True, False))
    extra = full / bare - 1
    return Row(
        "ticks with candles, 1,000/s", full, "ticks alone", bare, reached=extra <= 0.20,
        note=f"candles add {extra:.0%}, ≤ 20 % wanted",
    )  # fmt: skip


def read_cost(folder: Path, ticks: int) -> list[Row]:
    """Reading candles with so many ticks stored."""
    path = folder / f"reads{ticks}.db"
    with Database(path) as database:
        for begin in range(0, ticks, 50_000):
            rows = range(begin, min(begin + 50_000, ticks))
            count = len(rows)
            database.write(
                TickBatch(
                    "aggTrade",
                    ["btcusdt"] * count,
                    [START_MS + 20 * i for i in rows],
                    [100.0 + i % 97 for i in rows],
                    [1.0] * count,
                    list(rows),
                    [None] * count,
                )  # fmt: skip
            )
        results = []
        for timeframe in STORED_TIMEFRAMES:
            # A time limit makes it the whole query; without one, closed candles are kept.
            for label, limit, before_ms in (("500", 500, None), ("2", 2, None),
                                            ("500, for the first time", 500, 10**15)):  # fmt: skip
                with database.snapshot() as snapshot:
                    ms = cpu_ms(
                        lambda s=snapshot, t=timeframe, n=limit, b=before_ms: s.candle_columns(
                            "btcusdt", t, limit=n, before_ms=b
                        ),
                        repeat=9,
                        inner=20,
                    )
                results.append((timeframe, label, ms))
    plain = plain_read_ms(path)
    rows = []
    for label, wanted in (("500", 0.5), ("500, for the first time", 0.5), ("2", 0.05)):
        worst = max((ms, t) for t, n, ms in results if n == label)
        rows.append(
            Row(
                f"last {label}, of {ticks:,} ticks",
                worst[0],
                reached=worst[0] <= wanted,
                note=f"worst of six timeframes ({worst[1]}), ≤ {wanted} ms wanted; "
                f"sqlite3 alone hands 500 such rows over in {plain:.2f} ms",
            )  # fmt: skip
        )
    return rows


def plain_read_ms(path: Path) -> float:
    """The same 500 rows by sqlite3 and nothing else."""
    with closing(sqlite3.connect(path)) as con:
        query = (
            "SELECT timestamp, open, high, low, close, volume FROM ohlc_data "
            "WHERE symbol = 'btcusdt' AND timeframe = '1s' ORDER BY timestamp DESC LIMIT 500"
        )
        return cpu_ms(lambda: con.execute(query).fetchall(), repeat=9, inner=20)


def steady(folder: Path, seconds: int, rate: int) -> Row:
    """A steady load with a reader every 100 ms: loss, memory, the reader's slowest reads."""
    from collector import BatchTickCollector

    messages = seconds * rate
    with flood(messages, 2, rate) as (port, sent), Database(folder / "steady.db") as database:
        collector = BatchTickCollector(
            database, ws_base=f"ws://127.0.0.1:{port}", rest_base="http://127.0.0.1:9",
            backfill_minutes=0,
        )  # fmt: skip
        stored, reads, ended = [0], [], threading.Event()
        collector.on_batch(lambda batch: stored.__setitem__(0, stored[0] + len(batch)))

        def read() -> None:
            while not ended.wait(0.1):
                begun = time.perf_counter()
                with database.snapshot() as snapshot:
                    for symbol in sent:
                        snapshot.candle_columns(symbol, "1s", limit=500)
                reads.append((time.perf_counter() - begun) * 1000)

        reader = threading.Thread(target=read)
        begun, early = time.process_time(), None
        collector.start(list(sent))
        reader.start()
        deadline = time.monotonic() + 3 * seconds + 30
        while stored[0] < messages and time.monotonic() < deadline:
            time.sleep(0.2)
            if early is None and stored[0] > messages // 5:
                early = _memory_mb()
        cpu = time.process_time() - begun
        ended.set()
        reader.join()
        collector.stop()
    p99 = sorted(reads)[int(0.99 * len(reads))] if reads else float("nan")
    grown = (_memory_mb() or 0) - (early or 0)
    return Row(
        f"{rate:,}/s for {seconds} s", 1e6 * cpu / max(1, stored[0]),
        same=f"lost {messages - stored[0]}", reached=messages == stored[0] and p99 < 10,
        note=f"reader p50 {statistics.median(reads):.1f} p99 {p99:.1f} ms (< 10 wanted), "
        f"{cpu / seconds:.0%} of a core, memory {grown:+.0f} MB after the first fifth",
    )  # fmt: skip


def _memory_mb() -> float | None:
    try:
        import psutil
    except ImportError:
        return None
    return psutil.Process().memory_info().rss / 1e6


def yardstick_us() -> float:
    """How long this machine takes to decode a frame with `json.loads`, so that runs compare."""
    frame = (
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1790526539033,"a":3466782974,'
        '"s":"BTCUSDT","p":"84551.10","q":"0.030","nq":"0.030","f":8123344783,"l":8123344783,'
        '"T":1790526538883,"m":true,"st":1}}'
    )
    return cpu_ms(lambda: json.loads(frame), repeat=9, inner=5000) * 1000


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages")
    parser.add_argument("--messages", type=int, default=400_000)
    parser.add_argument("--symbols", type=int, default=2)
    parser.add_argument("--soak", type=int, default=10, help="seconds of steady load (600: all)")
    parser.add_argument("--ticks", type=int, default=1_000_000, help="largest file for the reads")
    options = parser.parse_args()
    if options.quick:
        options.messages, options.ticks, options.soak = 60_000, 100_000, 5
    print(header(LIBRARIES))
    print("ms of CPU for 1,000 messages (for reads: ms a read)")
    print(
        f"json.loads of one frame takes {yardstick_us():.1f} µs here; "
        "it took 2.5 µs where the absolute targets were set"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        how: Answer = {"messages": options.messages, "symbols": options.symbols, "folder": folder}
        peers: dict[str, tuple[str, float, float | None]] = {
            "receive_plain": ("websocket-client + json", 0.05, 15.0),
            "receive_skip": ("no UTF-8 check + msgspec", 0.25, None),
            "receive_picows": ("picows + json", 0.25, None),
            "receive_cryptofeed": ("cryptofeed's handler", 0.05, None),
        }
        rows = compare("receive_ours", peers, what="receive + parse", **how)
        peers = {
            "whole_executemany": ("no UTF-8 check + json + executemany", 0.25, 3.8),
            "whole_each": ("connect + insert + commit each", 0.003, None),
        }
        rows += compare("whole_ours", peers, what="socket → ticks + candles", rate_k=250, **how)
        rows.append(candle_cost(folder, 40 if options.quick else 200))
        for ticks in sorted({100_000, options.ticks}):
            rows += read_cost(folder, ticks)
        rows.append(steady(folder, options.soak, 20_000))
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
