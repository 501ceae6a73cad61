"""A WebSocket server that floods one client as fast as it reads, for benchmarks.

``python -m simulator.flood --messages 1000000 --symbols 2 --port 0`` prints the port on its first
line and on its second what it is going to send, as JSON. It then serves one client: the handshake,
an ACK for each SUBSCRIBE, N aggTrade frames of about 200 bytes in the combined envelope, then
close 1000; pings are answered on the way.
Frames are encoded before the port is printed, so that a benchmark does not pay for them (unless
``--rate`` paces them).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import select
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from simulator.rng import normals, uniforms
from simulator.wire import combined, decimal, text_frame

NAMES = ("btcusdt", "ethusdt", "solusdt", "bnbusdt", "xrpusdt", "dogeusdt", "adausdt", "linkusdt")
FIRST_ID = 3_466_782_974
START_MS = 1_781_524_800_000
"""2026-06-15T12:00:00Z."""

_BLOB = 2000
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Flood:
    """What is sent: `messages` aggTrades of `symbols` symbols in turn, ids contiguous.

    Parameters
    ----------
    messages : int
        How many frames.
    symbols : int
        How many symbols, 1 or more; past eight they are called ``s008usdt`` and so on.
    per_ms : float
        Trades a millisecond of exchange time.
    start_ms : int
        Exchange time of the first trade, UTC epoch ms.
    """

    def __init__(
        self, messages: int, symbols: int = 2, per_ms: float = 20.0, start_ms: int = START_MS
    ) -> None:
        named = list(NAMES[:symbols])
        self.names = named + [f"s{k:03d}usdt" for k in range(len(named), symbols)]
        self.messages, self._per_ms, self._start_ms = messages, per_ms, start_ms

    def summary(self) -> dict[str, Any]:
        """What a client that loses nothing has in the end, by symbol."""
        volume = dict.fromkeys(self.names, 0)
        for block in range(-(-self.messages // _BLOB)):
            number, steps, _, _ = self._draw(block)
            for place, name in enumerate(self.names):
                volume[name] += int(steps[number % len(self.names) == place].sum())
        count = len(self.names)
        return {
            name: {
                "first_id": FIRST_ID,
                "messages": (self.messages - place + count - 1) // count,
                "volume": str(Decimal(volume[name]).scaleb(-3)),
            }
            for place, name in enumerate(self.names)
        }

    def blobs(self) -> Iterator[bytes]:
        """The frames, some thousands in each piece."""
        for block in range(-(-self.messages // _BLOB)):
            number, steps, moves, makers = self._draw(block)
            frames = map(
                self._frame, number.tolist(), steps.tolist(), moves.tolist(), makers.tolist()
            )
            yield b"".join(frames)

    def _draw(self, block: int) -> tuple[Any, Any, Any, Any]:
        count = min(_BLOB, self.messages - block * _BLOB)
        number = block * _BLOB + np.arange(count)
        steps = 1 + (60 * uniforms(7, 1, 0, block, count) ** 3).astype(np.int64)
        moves = np.rint(3 * normals(7, 2, 0, block, count)).astype(np.int64)
        return number, steps, moves, uniforms(7, 3, 0, block, count) < 0.5

    def _frame(self, number: int, steps: int, move: int, maker: bool) -> bytes:
        symbols = len(self.names)
        name, place = self.names[number % symbols], number // symbols
        ticks = 845_511 + (place // 500) % 2000 + move
        t = self._start_ms + int(number / self._per_ms)
        q, a = decimal(steps, 3), FIRST_ID + place
        data = (
            f'{{"e":"aggTrade","E":{t + 1},"a":{a},"s":"{name.upper()}","p":"{decimal(ticks, 1)}",'
            f'"q":"{q}","nq":"{q}","f":{2 * a},"l":{2 * a + 1},"T":{t},'
            f'"m":{"true" if maker else "false"},"st":1}}'
        )
        return text_frame(combined(f"{name}@aggTrade", data.encode()))


def serve_one(listener: socket.socket, blobs: Iterable[bytes], rate: float = 0.0) -> None:
    """Serve the first client that shakes hands, then return.

    Parameters
    ----------
    listener : socket
        Bound and listening.
    blobs : iterable of bytes
        Encoded frames.
    rate : float
        Frames a second; 0 is as fast as the client reads.
    """
    while True:
        client, _ = listener.accept()
        with client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _shake_hands(client):
                _wait_for_subscribe(client)
                _send_all(client, blobs, rate)
                return


def _shake_hands(client: socket.socket) -> bool:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = client.recv(4096)
        if not piece:
            return False
        head += piece
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (li.partition(":") for li in lines[1:])}
    key = headers.get("sec-websocket-key")
    if key is None:
        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    path = lines[0].split(" ")[1]
    client.settimeout(0.0 if "streams=" in path or "@" in path else 10.0)
    return True


def _wait_for_subscribe(client: socket.socket) -> None:
    """ACK the first control message, unless the path already named the streams."""
    if client.gettimeout() != 0.0:
        with contextlib.suppress(TimeoutError):
            while _answer(client) != _TEXT:
                pass
    client.settimeout(None)


def _answer(client: socket.socket) -> int:
    """Read one frame and answer it; its opcode."""
    opcode, payload = _read_frame(client)
    if opcode == _TEXT:
        client.sendall(text_frame(b'{"result":null,"id":%d}' % json.loads(payload)["id"]))
    elif opcode == _PING:
        client.sendall(text_frame(payload, opcode=_PONG))
    return opcode


def _read_frame(client: socket.socket) -> tuple[int, bytes]:
    """Opcode and payload of one masked frame shorter than 64 KiB."""
    first, second = _exactly(client, 2)
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(_exactly(client, 2), "big")
    mask, payload = _exactly(client, 4), _exactly(client, size)
    return first & 0x0F, bytes(byte ^ mask[k % 4] for k, byte in enumerate(payload))


def _exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = client.recv(size - len(data))
        if not piece:
            raise ConnectionError("The client hung up.")
        data += piece
    return data


def _send_all(client: socket.socket, blobs: Iterable[bytes], rate: float) -> None:
    began, sent = time.monotonic(), 0
    # A client that hangs up in the middle has its reasons; its benchmark will say so.
    with contextlib.suppress(OSError):
        for blob in blobs:
            while select.select([client], [], [], 0)[0]:
                if _answer(client) == _CLOSE:
                    return
            client.sendall(blob)
            sent += _BLOB
            if rate:
                time.sleep(max(0.0, began + sent / rate - time.monotonic()))
        client.sendall(text_frame((1000).to_bytes(2, "big"), opcode=_CLOSE))
        client.settimeout(30.0)
        while _answer(client) != _CLOSE:
            pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Encode, print the port, serve one client."""
    parser = argparse.ArgumentParser(prog="python -m simulator.flood", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--symbols", type=int, default=2)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--per-ms", type=float, default=20.0, help="trades an exchange millisecond")
    parser.add_argument("--start-ms", type=int, default=START_MS, help="time of the first trade")
    parser.add_argument("--rate", type=float, default=0.0, help="frames a second (0: no limit)")
    options = parser.parse_args(arguments)
    flood = Flood(options.messages, options.symbols, options.per_ms, options.start_ms)
    blobs: Iterable[bytes] = flood.blobs() if options.rate else list(flood.blobs())
    with socket.create_server(("127.0.0.1", options.port)) as listener:
        print(listener.getsockname()[1], flush=True)
        print(json.dumps(flood.summary()), flush=True)
        serve_one(listener, blobs, options.rate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
