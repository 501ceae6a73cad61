"""What `ingest.py` measures: each runs in a process of its own and prints one line of JSON.

``python benchmarks/ingest_peers.py NAME PORT SYMBOLS MESSAGES FILE``; the server on PORT floods one
client. The answer holds the CPU seconds of the process, the messages taken, and the summed size.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import websocket

sys.path.insert(0, str(Path(__file__).parents[1]))

Answer = dict[str, Any]


class Data(msgspec.Struct):
    """A trade, as the peer without the check of UTF-8 decodes it."""

    s: str
    a: int
    p: float
    q: float
    T: int
    m: bool


class Frame(msgspec.Struct):
    """Its envelope."""

    data: Data


_BATCH = 1000


def url_of(port: int, names: list[str]) -> str:
    """Address of the flood with all streams."""
    return f"ws://127.0.0.1:{port}/market/stream?streams=" + "/".join(
        f"{name}@aggTrade" for name in names
    )


# -- receive and parse -----------------------------------------------------------------------


def receive_ours(port: int, names: list[str], messages: int, file: str) -> Answer:
    """The platform's frame reader and parser, on websocket-client's handshake."""
    from binance import FrameParser
    from collecting.frames import FrameBuffer, read_into

    socket = websocket.WebSocket()
    socket.connect(url_of(port, names), timeout=10)
    buffer, parser = FrameBuffer(), FrameParser("aggTrade", names)
    begun, count, size = time.process_time(), 0, 0.0
    while True:
        received = read_into(buffer, socket.sock)
        batch = parser.parse(received.messages).batch
        count += len(batch)
        size += sum(batch.size)
        if received.close is not None:
            socket.send_close()
            break
    cpu = time.process_time() - begun
    socket.shutdown()
    return {"cpu_s": cpu, "messages": count, "size": size}


def _run_forever(
    port: int, names: list[str], take: Callable[[Any], None], **options: bool
) -> float:
    app = websocket.WebSocketApp(url_of(port, names), on_message=lambda _, text: take(text))
    begun = time.process_time()
    app.run_forever(**options)
    return time.process_time() - begun


def receive_plain(port: int, names: list[str], messages: int, file: str) -> Answer:
    """websocket-client as its README has it, and `json.loads`."""
    return _receive_json(port, names)


def receive_skip(port: int, names: list[str], messages: int, file: str) -> Answer:
    """The same without the check of UTF-8, and msgspec."""

    decode = msgspec.json.Decoder(Frame, strict=False).decode
    sizes: list[float] = []
    cpu = _run_forever(
        port, names, lambda text: sizes.append(decode(text).data.q), skip_utf8_validation=True
    )
    return {"cpu_s": cpu, "messages": len(sizes), "size": sum(sizes)}


def _receive_json(port: int, names: list[str]) -> Answer:
    sizes: list[float] = []

    def take(text: Any) -> None:
        data = json.loads(text)["data"]
        float(data["p"])
        sizes.append(float(data["q"]))

    cpu = _run_forever(port, names, take)
    return {"cpu_s": cpu, "messages": len(sizes), "size": sum(sizes)}


def receive_picows(port: int, names: list[str], messages: int, file: str) -> Answer:
    """picows (Cython) and `json.loads`."""
    from picows import WSListener, WSMsgType, ws_connect

    sizes: list[float] = []

    class Listener(WSListener):
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                data = json.loads(frame.get_payload_as_bytes())["data"]
                float(data["p"])
                sizes.append(float(data["q"]))
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()

    async def run() -> float:
        transport, _ = await ws_connect(Listener, url_of(port, names))
        begun = time.process_time()
        await transport.wait_disconnected()
        return time.process_time() - begun

    cpu = asyncio.run(run())
    return {"cpu_s": cpu, "messages": len(sizes), "size": sum(sizes)}


def receive_cryptofeed(port: int, names: list[str], messages: int, file: str) -> Answer:
    """cryptofeed's handler of Binance futures, on the websockets library that it uses."""
    import websockets
    from cryptofeed.exchanges import BinanceFutures

    sizes: list[float] = []

    class Handler(BinanceFutures):
        requires_authentication = False

        def __init__(self) -> None:
            pass

        def exchange_symbol_to_std_symbol(self, symbol: str) -> str:
            return symbol

        async def callback(self, kind: str, trade: Any, timestamp: float) -> None:
            sizes.append(float(trade.amount))

    async def run() -> float:
        handler = Handler()
        async with websockets.connect(url_of(port, names), compression=None) as connection:
            begun = time.process_time()
            async for text in connection:
                await handler.message_handler(text, None, time.time())
            return time.process_time() - begun

    cpu = asyncio.run(run())
    return {"cpu_s": cpu, "messages": len(sizes), "size": sum(sizes)}


# -- end to end ------------------------------------------------------------------------------


def whole_ours(port: int, names: list[str], messages: int, file: str) -> Answer:
    """The collector, with its candles, into its database."""
    from collector import BatchTickCollector
    from database import Database

    database = Database(file)
    collector = BatchTickCollector(
        database,
        ws_base=f"ws://127.0.0.1:{port}",
        rest_base="http://127.0.0.1:9",
        backfill_minutes=0,
    )
    stored = [0]
    collector.on_batch(lambda batch: stored.__setitem__(0, stored[0] + len(batch)))
    begun, deadline = time.process_time(), time.monotonic() + 1200
    collector.start(names)
    while stored[0] < messages and time.monotonic() < deadline:
        time.sleep(0.02)
    cpu = time.process_time() - begun
    collector.stop()
    answer = {"cpu_s": cpu, **_stored(file, "size")}
    with database.snapshot() as snapshot:
        answer["gaps"] = len(snapshot.gaps())
    database.close()
    return answer


def _stored(file: str, column: str) -> Answer:
    con = sqlite3.connect(file)
    count, size = con.execute(f"SELECT count(*), sum({column}) FROM ticks").fetchone()
    answer: Answer = {"messages": count, "size": size}
    if con.execute("SELECT 1 FROM sqlite_master WHERE name = 'ohlc_data'").fetchone():
        rows = con.execute("SELECT timeframe, sum(volume) FROM ohlc_data GROUP BY 1").fetchall()
        answer["candles"] = dict(rows)
    con.close()
    return answer


_TABLE = """CREATE TABLE ticks (id INTEGER PRIMARY KEY AUTOINCREMENT, symbol TEXT, timestamp TEXT,
    price REAL, size REAL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"""
_INSERT = "INSERT INTO ticks (symbol, timestamp, price, size) VALUES (?, ?, ?, ?)"


def _row(text: Any) -> tuple[str, str, float, float]:
    from datetime import UTC, datetime

    data = json.loads(text)["data"]
    moment = datetime.fromtimestamp(data["T"] / 1000, UTC).isoformat()
    return data["s"].lower(), moment, float(data["p"]), float(data["q"])


def whole_executemany(port: int, names: list[str], messages: int, file: str) -> Answer:
    """No check of UTF-8, json, executemany in batches; no candles, no ids, no gaps."""
    con = sqlite3.connect(file, check_same_thread=False)
    con.execute("PRAGMA journal_mode = WAL")
    con.execute("PRAGMA synchronous = NORMAL")
    con.execute(_TABLE)
    rows: list[Any] = []

    def take(text: Any) -> None:
        rows.append(_row(text))
        if len(rows) >= _BATCH:
            con.executemany(_INSERT, rows)
            con.commit()
            rows.clear()

    begun = time.process_time()
    _run_forever(port, names, take, skip_utf8_validation=True)
    con.executemany(_INSERT, rows)
    con.commit()
    cpu = time.process_time() - begun
    con.close()
    return {"cpu_s": cpu, **_stored(file, "size")}


def whole_each(port: int, names: list[str], messages: int, file: str) -> Answer:
    """Connect, insert and commit for each tick, as the earlier version did; no candles."""
    con = sqlite3.connect(file)
    con.execute(_TABLE)
    con.commit()
    con.close()

    def take(text: Any) -> None:
        one = sqlite3.connect(file)
        one.execute(_INSERT, _row(text))
        one.commit()
        one.close()

    cpu = _run_forever(port, names, take)
    return {"cpu_s": cpu, **_stored(file, "size")}


if __name__ == "__main__":
    name, port, symbols, messages, file = sys.argv[1:6]
    print(json.dumps(globals()[name](int(port), symbols.split(","), int(messages), file)))
