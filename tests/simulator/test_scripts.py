"""All faults in a row, against the simplest client that repairs its losses."""

from __future__ import annotations

import json
import math
import time

import pytest
import requests
import websocket

from simulator import Exchange
from simulator.scripts import ALL, in_a_row

STREAM = "btcusdt@aggTrade"


class Repairer:
    """Keeps what is well-formed, reconnects for ever, fills holes over REST. Nothing clever."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.kept: dict[int, tuple[float, float, int]] = {}

    def run(self, until) -> None:
        """Listen until `until()`; a second of silence is taken for a dead connection."""
        while not until():
            try:
                url = f"{self.exchange.ws_url}/market/ws/{STREAM}"
                ws = websocket.create_connection(url, timeout=0.6, skip_utf8_validation=True)
            except (websocket.WebSocketException, OSError):
                time.sleep(0.05)
                continue
            try:
                while not until():
                    opcode, payload = ws.recv_data()
                    if opcode == websocket.ABNF.OPCODE_CLOSE:
                        break
                    self.keep(payload)
            except (websocket.WebSocketException, OSError):
                pass
            finally:
                ws.shutdown()

    def keep(self, payload: bytes) -> None:
        try:
            event = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict) or event.get("e") != "aggTrade" or "X" in event:
            return
        numbers = (event.get("a"), event.get("T"))
        texts = (event.get("p"), event.get("q"))
        right = all(type(n) is int and n > 0 for n in numbers) and event.get("s") == "BTCUSDT"
        if not right or not all(isinstance(text, str) for text in texts):
            return
        try:
            price, size = map(float, texts)
        except ValueError:
            return
        if math.isfinite(price) and math.isfinite(size) and price > 0 and size > 0:
            self.kept.setdefault(event["a"], (price, size, event["T"]))

    def repair(self) -> None:
        """Fill every hole between the first and the last id."""
        base = f"{self.exchange.rest_url}/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1000&fromId="
        first, last = min(self.kept), max(self.kept)
        for _ in range(200):
            missing = next((n for n in range(first, last) if n not in self.kept), None)
            if missing is None:
                return
            answer = requests.get(base + str(missing), timeout=5)
            for row in answer.json() if answer.status_code == 200 else ():
                if row["a"] <= last:
                    self.kept.setdefault(row["a"], (float(row["p"]), float(row["q"]), row["T"]))
        pytest.fail("the holes could not be filled")


def test_after_every_fault_in_a_row_a_client_that_repairs_has_the_tape(start):
    exchange = start(script=in_a_row(ALL, first=40, every=40), weight_a_minute=100_000)
    client = Repairer(exchange)
    end = time.monotonic() + 60
    client.run(lambda: len(exchange.faults.struck) == len(ALL) or time.monotonic() > end)
    assert [type(f) for f in exchange.faults.struck] == [type(f) for f in ALL]
    end = time.monotonic() + 2
    client.run(lambda: time.monotonic() > end)
    client.repair()
    first, last = min(client.kept), max(client.kept)
    truth = exchange.tape.trades("btcusdt", first, last + 1)
    assert sorted(client.kept) == truth.id.tolist()
    assert [client.kept[n][0] for n in truth.id.tolist()] == truth.price.tolist()
    assert [client.kept[n][1] for n in truth.id.tolist()] == truth.quantity.tolist()
    assert [client.kept[n][2] for n in truth.id.tolist()] == truth.time_ms.tolist()
