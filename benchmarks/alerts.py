"""How long from a tick received to its alert recorded, and what the desk costs the writer.

    python benchmarks/alerts.py [--quick]

Prints come at 1,000 a second over four symbols through the collector's own queue and writer; 200
rules of every kind are watched by a desk beside it. Received is when a print was handed to the
queue; recorded is when the transaction that holds the alert has returned. The same flow without a
desk shows what the desk costs the writer. Every alert is checked against the rules fed value by
value, so that what was fast was also right.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import header
from binance import Parsed
from collecting.intake import Intake
from collecting.supervision import percentile
from config import Config
from database import Database
from desk import Desk
from notify import Channels
from storage import alert_store
from ticks import TickBatch
from trading.alerts import AlertRule, Op, RuleState, advance

SYMBOLS = ("btcusdt", "ethusdt", "solusdt", "xrpusdt")
PER_S = 1_000
COLUMNS = ("symbol", "time_ms", "price", "size", "trade_id", "is_buyer_maker")


def rules(now_ms: int) -> list[AlertRule]:
    """120 on prices, 40 on moves, 20 on pairs at candle close, 20 on the feed: 200."""
    out = []
    for k in range(120):
        op = (Op.ABOVE, Op.BELOW, Op.CROSSES)[k % 3]
        level = 95.0 + 10.0 * (k // 4) / 30
        out.append(AlertRule(f"p{k}", "price", op, level, None, SYMBOLS[k % 4], created_ms=now_ms))
    for k in range(40):
        out.append(
            AlertRule(
                f"m{k}", "move", Op.ABOVE, 0.02 + k / 1000, None, SYMBOLS[k % 4],
                window_s=(5, 30, 60, 300)[k % 3], created_ms=now_ms,
            )
        )  # fmt: skip
    for k in range(20):
        out.append(
            AlertRule(
                f"z{k}", ("zscore", "correlation", "volume", "volatility")[k % 4], Op.ABOVE, 0.9,
                None, SYMBOLS[k % 4], SYMBOLS[(k + 1) % 4], timeframe="1s", window=5 + k,
                created_ms=now_ms,
            )
        )  # fmt: skip
    for k in range(20):
        metric = ("silence", "gaps")[k % 2]
        out.append(
            AlertRule(f"f{k}", metric, Op.ABOVE, 5.0, None, SYMBOLS[k % 4], created_ms=now_ms)
        )
    return out


def price_at(k: int, symbol: int) -> float:
    """A wave that crosses every level a few times a minute, with a little noise."""
    return round(100.0 + 5.5 * math.sin(k / (900 + 150 * symbol)) + (k * 7919 % 13) / 200, 3)


class Clock:
    """When each print was handed over, by its time."""

    def __init__(self) -> None:
        self.received: dict[int, float] = {}
        self.recorded_ms: list[float] = []
        self.on_close = 0


def run(folder: Path, seconds: float, *, with_desk: bool, interval_ms: int) -> dict[str, float]:
    """One flow; latencies in ms."""
    database = Database(folder / f"alerts-{with_desk}-{interval_ms}.db")
    database.put_all("instrument", {s: {} for s in SYMBOLS})
    intake = Intake(
        database, "aggTrade", bound=Config.BUFFER_SIZE, batch_size=Config.BATCH_SIZE,
        interval_s=interval_ms / 1000,
    )  # fmt: skip
    clock = Clock()
    desk = _watched_desk(database, clock) if with_desk else None
    if desk is not None:
        intake.on_stored.append(desk._on_batch)
        intake.is_urgent = desk.is_urgent
        desk.start()
    intake.start()
    cpu = time.process_time()
    feed = threading.Thread(target=_feed, args=(intake, clock, seconds))
    feed.start()
    feed.join()
    intake.stop(5)
    time.sleep(0.5)
    cpu = time.process_time() - cpu
    out = {
        "writer p50": intake.counters.latency_ms(0.5) or math.nan,
        "writer p99": intake.counters.latency_ms(0.99) or math.nan,
        "cpu %": 100 * cpu / seconds,
    }
    if desk is not None:
        desk.stop()
        out |= _alert_figures(database, clock)
    database.close()
    return out


def _watched_desk(database: Database, clock: Clock) -> Desk:
    now_ms = time.time_ns() // 1_000_000
    with database.transaction() as con:
        for rule in rules(now_ms):
            alert_store.put_rule(con, rule.to_dict(), RuleState().to_dict())
    desk = Desk(database, lambda: time.time_ns() // 1_000_000, channels=Channels())
    commit = desk._commit

    def timed(pending) -> None:
        commit(pending)
        now_s = time.perf_counter()
        for alert in pending.alerts:
            received_s = clock.received.get(alert.fired_ms)
            if received_s is None or alert.rule_id[0] not in "pm":
                clock.on_close += 1
            else:
                clock.recorded_ms.append((now_s - received_s) * 1000)

    desk._commit = timed  # type: ignore[method-assign]
    return desk


def _feed(intake: Intake, clock: Clock, seconds: float) -> None:
    """One print a millisecond, handed over as a socket would: what is due, at once."""
    start_ms = time.time_ns() // 1_000_000
    begun_s = time.perf_counter()
    sent, total = 0, int(seconds * PER_S)
    while sent < total:
        now_s = time.perf_counter()
        due = min(total, int((now_s - begun_s) * PER_S))
        batch = TickBatch("aggTrade")
        for k in range(sent, due):
            row = (SYMBOLS[k % 4], start_ms + k, price_at(k, k % 4), 1.0, k // 4 + 1, False)
            for name, value in zip(COLUMNS, row, strict=True):
                getattr(batch, name).append(value)
            clock.received[start_ms + k] = now_s
        sent = due
        if len(batch):
            intake.put(Parsed(batch), 5.0)
        time.sleep(0.002)


def _alert_figures(database: Database, clock: Clock) -> dict[str, float]:
    with database.snapshot() as snapshot:
        stored = snapshot.books(alert_store.alerts, limit=10**6)
        prints = snapshot.ticks(limit=10**7).iloc[::-1]
    fired = sorted((a.rule_id, a.body["value"]) for a in stored if a.rule_id[0] == "p")
    wanted = []
    for rule in rules(0):
        if rule.metric != "price":
            continue
        state = RuleState()
        for price in prints[prints["symbol"] == rule.symbol]["price"]:
            state, fires = advance(rule, state, price, 1)
            if fires:
                wanted.append((rule.id, price))
    if fired != sorted(wanted):
        raise SystemExit(f"{len(fired)} alerts fired, {len(wanted)} were right")
    latencies = clock.recorded_ms
    return {
        "alerts": float(len(latencies)),
        "on close": float(clock.on_close),
        "p50": percentile(latencies, 0.5) or math.nan,
        "p99": percentile(latencies, 0.99) or math.nan,
        "max": max(latencies, default=math.nan),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="five seconds instead of thirty")
    seconds = 5.0 if parser.parse_args().quick else 30.0
    print(header(["numpy", "pandas"]))
    print(f"{PER_S:,} prints/s, 200 rules, {seconds:g} s, BATCH_SIZE {Config.BATCH_SIZE}\n")
    print(f"{'flow':28}  alerts  received → recorded, ms          writer, ms        cpu")
    print(f"{'':28}             p50     p99     max             p50     p99     %")
    print("-" * 96)
    with tempfile.TemporaryDirectory() as folder:
        for interval_ms in (Config.BATCH_INTERVAL_MS,):
            for with_desk in (False, True):
                out = run(Path(folder), seconds, with_desk=with_desk, interval_ms=interval_ms)
                name = f"{'desk' if with_desk else 'no desk'}, batches of {interval_ms} ms"
                figures = [out.get(key, math.nan) for key in ("p50", "p99", "max")]
                times = "  ".join(f"{x:6.1f}" if x == x else "     –" for x in figures)
                print(
                    f"{name:28}  {out.get('alerts', 0):6.0f}  {times}          "
                    f"{out['writer p50']:6.2f}  {out['writer p99']:6.2f}  {out['cpu %']:5.1f}"
                )
                if with_desk:
                    verdict = "reached" if out["p99"] < 100 else "missed"
                    print(f"{'':28}  target p99 < 100 ms: {verdict}; alerts as they should be")


if __name__ == "__main__":
    main()
