"""The flood sends what it says, to the last frame."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import websocket

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", ["/market/stream", "/market/stream?streams=btcusdt@aggTrade"])
def test_a_flood_is_what_its_summary_says_and_ends_with_1000(path):
    command = [sys.executable, "-m", "simulator.flood", "--messages", "5001", "--symbols", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        summary = json.loads(process.stdout.readline())
        ws = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=10)
        if "streams" not in path:
            ws.send('{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":9}')
            assert json.loads(ws.recv()) == {"result": None, "id": 9}
        ws.ping()
        ids: dict[str, list[int]] = {}
        volume: dict[str, Decimal] = {}
        while True:
            opcode, payload = ws.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                break
            event = json.loads(payload)["data"]
            name = event["s"].lower()
            ids.setdefault(name, []).append(event["a"])
            volume[name] = volume.get(name, Decimal(0)) + Decimal(event["q"])
            assert 180 < len(payload) < 220
        ws.shutdown()
        assert process.wait(10) == 0
    assert int.from_bytes(payload[:2], "big") == 1000
    for name, truth in summary.items():
        first = truth["first_id"]
        assert ids[name] == list(range(first, first + truth["messages"]))
        assert volume[name] == Decimal(truth["volume"])
