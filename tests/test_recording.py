"""Recorded frames over a real WebSocket into the database: nothing lost, every candle equal.

The candles are computed a second time from the recorded text alone, with none of the platform's
parsing or folding.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from collector import BatchTickCollector
from database import Database
from simulator import Exchange, Replay
from simulator.replay import SAMPLES
from tests.feed_tools import (
    QUICK,
    SHARED,
    Row,
    candle_mismatches,
    stored_rows,
    wait_until,
)

RECORDING = SHARED / "binance-usdm-2024-08-08"


def recorded_rows(folder: Path) -> dict[str, list[Row]]:
    """The prints of the files, by symbol and id, read as text."""
    rows: dict[str, list[Row]] = {}
    for file in sorted(folder.glob("*.ndjson.gz")):
        for line in gzip.decompress(file.read_bytes()).splitlines():
            frame = json.loads(line)
            body: dict[str, Any] = frame.get("data", frame)
            number = body["a"] if body["e"] == "aggTrade" else body["t"]
            row = (number, body["T"], float(body["p"]), float(body["q"]), int(body["m"]))
            rows.setdefault(body["s"].lower(), []).append(row)
    return {symbol: sorted(set(prints)) for symbol, prints in rows.items()}


@pytest.mark.parametrize("folder", [SAMPLES, RECORDING], ids=["sample", "binance-2024-08-08"])
def test_a_recording_arrives_whole_and_its_candles_equal_those_of_the_text(
    folder: Path, tmp_path: Path
) -> None:
    if not folder.is_dir():
        pytest.skip(f"the recording is not here: {folder.name}")
    recorded = recorded_rows(folder)
    sent = sum(map(len, recorded.values()))
    replay = Replay(folder, speed=None)
    with Exchange(replay) as exchange, Database(tmp_path / "replay.db") as database:
        collector = BatchTickCollector(
            database,
            ws_base=exchange.ws_url,
            rest_base=exchange.rest_url,
            stream=replay.kind,  # type: ignore[arg-type]
            backfill_minutes=0,
            clock=replay.now_ms,
            deadlines=QUICK,
        )
        seen = [0]
        collector.on_batch(lambda batch: seen.__setitem__(0, seen[0] + len(batch)))
        collector.start(sorted(recorded))
        wait_until(lambda: seen[0] >= sent, 60, f"all of {sent} prints are stored")
        health = collector.health()
        collector.stop()
        compared, wrong, stored = 0, [], 0
        for symbol, rows in recorded.items():
            found = stored_rows(database, symbol)
            stored += len(found)
            assert found == rows, f"{symbol} is not what was recorded"
            count, mismatches = candle_mismatches(database, symbol, rows)
            compared += count
            wrong += mismatches
        with database.snapshot() as snapshot:
            gaps = snapshot.gaps()
    print(f"{folder.name}: sent {sent}, stored {stored}, candles {compared}, wrong {len(wrong)}")
    assert not wrong, wrong[:5]
    assert not gaps
    assert health["drops"] == {}
    assert stored == sent
