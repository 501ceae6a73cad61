"""Candles of the tape for the REST route ``klines``."""

from __future__ import annotations

import numpy as np

from simulator.tape import Trades
from simulator.wire import decimal, to_json

INTERVALS_MS = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
}


def kline_rows(trades: Trades, interval_ms: int, limit: int) -> bytes:
    """The body of ``GET /fapi/v1/klines``: rows of 12 columns, the first `limit` of them.

    An interval without trades has no row.
    """
    rows: list[list[object]] = []
    if len(trades):
        opens = trades.time_ms // interval_ms * interval_ms
        starts = np.flatnonzero(np.diff(opens, prepend=-1))
        stops = np.append(starts[1:], len(trades))
        for start, stop in list(zip(starts.tolist(), stops.tolist(), strict=True))[:limit]:
            rows.append(_row(trades.part(start, stop), int(opens[start]), interval_ms))
    return to_json(rows)


def _row(part: Trades, open_ms: int, interval_ms: int) -> list[object]:
    spec, ticks, steps = part.spec, part.price_ticks, part.quantity_steps
    places = spec.price_decimals + spec.quantity_decimals
    taker_buys = ~part.is_buyer_maker

    def price(value: int) -> str:
        return decimal(int(value), spec.price_decimals)

    def volume(value: int) -> str:
        return decimal(int(value), spec.quantity_decimals)

    return [
        open_ms,
        price(ticks[0]),
        price(ticks.max()),
        price(ticks.min()),
        price(ticks[-1]),
        volume(steps.sum()),
        open_ms + interval_ms - 1,
        decimal(int((ticks * steps).sum()), places),
        int((part.last_id - part.first_id + 1).sum()),
        volume(steps[taker_buys].sum()),
        decimal(int((ticks * steps)[taker_buys].sum()), places),
        "0",
    ]
