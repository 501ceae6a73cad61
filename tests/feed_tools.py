"""What the tests of the live path share: short deadlines, waiting, and an independent view."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from collecting.supervision import Deadlines
from database import Database

QUICK = Deadlines(
    connect_s=2.0,
    first_message_s=3.0,
    probe_after_s=0.5,
    probe_answer_s=0.4,
    mid_frame_s=0.5,
    quiet_s=1.5,
    lifetime_s=3600.0,
    handover_s=3.0,
    overlap_s=0.2,
    fatal_s=0.3,
    backoff_s=0.1,
    backoff_cap_s=0.4,
    steady_s=0.0,
    poll_s=0.05,
)

SHARED = Path(__file__).parents[2] / "shared" / "data"


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something to become true; fails with ``what`` where it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not true: {what}")
        time.sleep(0.02)


Row = tuple[int, int, float, float, int]
"""id, time, price, size, maker."""


def stored_rows(database: Database, symbol: str) -> list[Row]:
    """What the database holds of a symbol, by id, read with SQL of the test's own."""
    with database.snapshot() as snapshot:
        rows = snapshot._con.execute(
            "SELECT trade_id, timestamp, price, size, is_buyer_maker FROM ticks "
            "WHERE symbol = ? ORDER BY trade_id",
            (symbol,),
        )
        return [
            (row[0], round(datetime.fromisoformat(row[1]).timestamp() * 1000), *row[2:])
            for row in rows
        ]


def tape_rows(trades: Any) -> list[Row]:
    """The simulator's truth in the same shape."""
    columns = (trades.id, trades.time_ms, trades.price, trades.quantity, trades.is_buyer_maker)
    return [
        (int(a), int(t), float(p), float(q), int(m))
        for a, t, p, q, m in zip(*(c.tolist() for c in columns), strict=True)
    ]


Candle = tuple[float, float, float, float, float]
LENGTHS_MS = {
    "1s": 1_000,
    "5s": 5_000,
    "10s": 10_000,
    "30s": 30_000,
    "1min": 60_000,
    "5min": 300_000,
}


def plain_candles(rows: Iterable[Row], length_ms: int) -> dict[int, Candle]:
    """Candles by their open, from the prints in order, with nothing of the platform's."""
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[1] - row[1] % length_ms, []).append(row)
    candles: dict[int, Candle] = {}
    for key, group in groups.items():
        prices = [row[2] for row in group]
        volume = math.fsum(row[3] for row in group)
        candles[key] = (prices[0], max(prices), min(prices), prices[-1], volume)
    return candles


def candle_mismatches(database: Database, symbol: str, rows: list[Row]) -> tuple[int, list[str]]:
    """How many stored candles were compared, and what differed from the plain ones."""
    compared, wrong = 0, []
    for timeframe, length_ms in LENGTHS_MS.items():
        expected = plain_candles(rows, length_ms)
        with database.snapshot() as snapshot:
            found = snapshot._con.execute(
                "SELECT timestamp, open, high, low, close, volume FROM ohlc_data "
                "WHERE symbol = ? AND timeframe = ?",
                (symbol, timeframe),
            ).fetchall()
        compared += len(found)
        keys = {row[0] for row in found}
        wrong += [f"{symbol} {timeframe} {k} is missing" for k in expected.keys() - keys]
        for key, *values in found:
            wanted = expected.get(key)
            same = wanted is not None and tuple(values[:4]) == wanted[:4]
            if not same or abs(values[4] - wanted[4]) > 1e-12 * wanted[4]:
                wrong.append(f"{symbol} {timeframe} {key}: {values} instead of {wanted}")
    return compared, wrong
