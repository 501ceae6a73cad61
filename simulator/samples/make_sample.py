"""Makes the shipped recording: ``python -m simulator.samples.make_sample``.

Ten minutes of two symbols across a UTC midnight, as a client of the combined market route would
have recorded them. The file is the same byte for byte wherever it is made.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from simulator.prices import PlantedTape
from simulator.wire import agg_trade_events, combined

SYMBOLS = ("btcusdt", "ethusdt")
BEGIN_MS = 1_781_567_700_000
"""2026-06-15T23:55:00Z."""

MINUTES = 10


def lines(symbol: str) -> list[bytes]:
    """The frames of one symbol, one a line."""
    tape = PlantedTape()
    trades = tape.trades_between(symbol, BEGIN_MS, BEGIN_MS + MINUTES * 60_000)
    return [combined(event.stream, event.data) + b"\n" for event in agg_trade_events(trades)]


def main() -> None:
    """Write one file a symbol beside this script."""
    for symbol in SYMBOLS:
        path = Path(__file__).with_name(f"{symbol}-aggtrade-frames.ndjson.gz")
        path.write_bytes(gzip.compress(b"".join(lines(symbol)), 9, mtime=0))
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
