"""Everything that can go wrong, in a row; then the database is compared with the tape."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from collector import BatchTickCollector
from database import Database
from simulator import Exchange, faults
from tests.feed_tools import QUICK, candle_mismatches, stored_rows, tape_rows, wait_until

SYMBOLS = ["btcusdt", "ethusdt", "solusdt"]

FAULTS: list[tuple[Any, float]] = [
    (faults.Drop(), 1.0),
    (faults.HalfOpen(), 2.0),
    (faults.Stall(mid_frame=True), 1.8),
    (faults.Stall(seconds=0.3), 0.8),
    (faults.Close(1001), 1.0),
    (faults.Close(1006), 1.0),
    (faults.Close(1008, "Too many requests"), 3.0),
    (faults.Refuse(503, count=2), 1.5),
    (faults.Refuse(451, count=1), 1.5),
    (faults.Refuse(429, count=1, retry_after_s=1), 2.0),
    (faults.SilentStream("btcusdt@aggTrade"), 6.0),
    (faults.Garbage(), 0.3),
    (faults.OddValues(count=10), 0.8),
    (faults.OddValues(count=10, replace=True), 1.0),
    (faults.Duplicates(count=15), 1.5),
    (faults.Disorder(count=15), 1.5),
    (faults.Burst(seconds=0.8, repeat=3), 1.2),
    (faults.RestFault(503, count=1), 0.1),
    (faults.RestFault(429, count=1, retry_after_s=1), 0.1),
    (faults.PartialFrame(), 1.0),
    (faults.LifetimeEnd(grace_s=1.0), 2.0),
]


def compare(database: Database, exchange: Exchange, symbols: list[str]) -> dict[str, int]:
    """The database against the simulator's tape, id by id, and its candles against the ticks."""
    counts = {"ticks": 0, "candles": 0}
    for symbol in symbols:
        rows = stored_rows(database, symbol)
        truth = exchange.tape.trades(symbol, rows[0][0], rows[-1][0] + 1)
        assert rows == tape_rows(truth), f"{symbol} is not what was traded"
        compared, wrong = candle_mismatches(database, symbol, rows)
        assert not wrong, wrong[:5]
        counts["ticks"] += len(rows)
        counts["candles"] += compared
    return counts


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.nightly)])
def test_no_fault_loses_doubles_or_bends_a_trade(tmp_path: Path, rounds: int) -> None:
    database = Database(tmp_path / "soak.db")
    with Exchange() as exchange, database:
        collector = BatchTickCollector(
            database,
            ws_base=exchange.ws_url,
            rest_base=exchange.rest_url,
            backfill_minutes=2,
            clock=exchange.market.now_ms,
            deadlines=QUICK,
        )
        collector.start(SYMBOLS)
        wait_until(lambda: collector.health()["state"] == "live", 10, "the first trades came")
        for _ in range(rounds):
            for fault, settle_s in FAULTS:
                exchange.inject(fault)
                time.sleep(settle_s)
        wait_until(lambda: collector.health()["state"] == "live", 15, "live after every fault")
        before = collector.health()["ticks"]
        wait_until(lambda: collector.health()["ticks"] > before + 20, 15, "trades flow again")

        def repaired() -> bool:
            with database.snapshot() as snapshot:
                return not snapshot.gaps(state="open")

        wait_until(repaired, 40, "every hole was closed")
        health = collector.health()
        collector.stop()
        wait_until(repaired, 1, "stopping opened no hole")
        counts = compare(database, exchange, SYMBOLS)
    print(f"{counts}, reconnects {health['reconnects']}, gaps {health['gaps']}, {health['drops']}")
    assert health["reconnects"] >= 10 * rounds
    assert health["gaps"]["filled"] >= 5
    assert health["duplicates"] > 0
