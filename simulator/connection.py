"""One client of the exchange: its subscriptions, its control messages, its way out."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from simulator import wire
from simulator.tape import Event

MESSAGES_A_SECOND = 10
STREAMS_A_CONNECTION = 1024
_METHODS = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"


class Address:
    """A WebSocket path taken apart.

    Parameters
    ----------
    path : str
        Path and query of the handshake.

    Attributes
    ----------
    route : str or None
        ``market``, ``public``, ``legacy``, or None where the exchange has no such path.
    combined : bool
        Whether events come in an envelope.
    streams : tuple of str
        Streams asked for in the path.
    """

    def __init__(self, path: str) -> None:
        parts = urlsplit(path)
        words = [word for word in parts.path.split("/") if word]
        self.route: str | None = "legacy"
        if words and words[0] in ("market", "public"):
            self.route = words.pop(0)
        form = words.pop(0) if words else ""
        self.combined = form == "stream"
        if form not in ("ws", "stream") or (self.combined and words):
            self.route = None
        listed = parse_qs(parts.query).get("streams", [""])[0] if self.combined else ""
        self.streams = tuple(s for s in (listed.split("/") if listed else words) if s)


def carries(route: str, stream: str) -> bool:
    """Whether the route delivers the stream; what it does not, it acknowledges all the same."""
    kind = stream.partition("@")[2].partition("@")[0].partition("_")[0]
    kind = "depth" if kind.startswith("depth") else kind
    return kind in (wire.MARKET_STREAMS if route == "market" else wire.PUBLIC_STREAMS)


class Client:
    """One WebSocket connection as the exchange sees it.

    Data frames are written to the transport directly: it is what lets a fault stop in the middle
    of one, and it keeps a burst to a single system call.

    Parameters
    ----------
    socket : ServerConnection
        The open connection.
    address : Address
        What it asked for.
    """

    def __init__(self, socket: ServerConnection, address: Address) -> None:
        self.socket, self.address = socket, address
        self.streams: dict[str, None] = dict.fromkeys(address.streams)
        self.silent: set[str] = set()
        """Streams a fault has silenced on this connection; ``*`` silences all."""
        self.detours: list[Callable[[list[bytes]], list[bytes]]] = []
        """Faults' hands on the payloads of each delivery, before they become frames."""
        self.backlog: bytearray | None = None
        """Where bytes wait while a fault stalls the connection."""
        self.deaf = False
        """Half-open: nothing is read, nothing is written, nobody says goodbye."""
        self._control: deque[float] = deque(maxlen=MESSAGES_A_SECOND + 1)

    @property
    def open(self) -> bool:
        """Whether bytes can still be written."""
        return not self.socket.transport.is_closing()

    @property
    def healthy(self) -> bool:
        """Whether events reach the client: it is open and no fault keeps everything from it."""
        return self.open and not self.deaf and self.backlog is None and "*" not in self.silent

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the client has not taken yet."""
        stalled = len(self.backlog) if self.backlog is not None else 0
        return stalled + self.socket.transport.get_write_buffer_size()

    def wants(self, stream: str) -> bool:
        """Whether an event of `stream` goes to this client."""
        if stream not in self.streams or not self.open:
            return False
        return carries(self.address.route or "", stream)

    def envelope(self, event: Event) -> bytes:
        """The event as this connection writes it."""
        return wire.combined(event.stream, event.data) if self.address.combined else event.data

    def deliver(self, events: list[Event]) -> None:
        """Write the events this client has subscribed to."""
        silent = self.silent
        payloads = [
            self.envelope(event)
            for event in events
            if self.wants(event.stream) and not (event.stream in silent or "*" in silent)
        ]
        for detour in list(self.detours):
            payloads = detour(payloads)
        self.send(payloads)

    def send(self, payloads: list[bytes]) -> None:
        """Write each payload as a text frame."""
        if payloads:
            self.write(b"".join(map(wire.text_frame, payloads)))

    def hold(self, first: bytes = b"") -> None:
        """Keep from now on what is to be written, `first` before everything."""
        self.backlog = bytearray(first)

    def release(self) -> None:
        """Write what was kept, and read again."""
        raw, self.backlog = self.backlog, None
        if self.open and not self.deaf:
            self.write(bytes(raw or b""))
            self.socket.transport.resume_reading()

    def write(self, raw: bytes) -> None:
        """Write bytes as they are; a stalled connection keeps them, a deaf one loses them."""
        if self.deaf or not self.open:
            return
        if self.backlog is not None:
            self.backlog += raw
        else:
            self.socket.transport.write(raw)

    async def converse(self) -> None:
        """Answer control messages until the connection ends."""
        try:
            async for message in self.socket:
                if self._too_fast():
                    await self.socket.close(1008, "Too many requests")
                    return
                self.write(wire.text_frame(self._answer(message)))
        except ConnectionClosed:
            return

    def _too_fast(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._control.append(now)
        full = len(self._control) > MESSAGES_A_SECOND
        return full and now - self._control[0] < 1.0

    def _answer(self, message: str | bytes) -> bytes:
        try:
            request = json.loads(message)
        except ValueError as problem:
            return wire.refusal(3, f"Invalid JSON: {problem}")
        if not isinstance(request, dict):
            return wire.refusal(2, "Invalid request: request must be an object")
        number, method = request.get("id"), request.get("method")
        if isinstance(number, bool) or not isinstance(number, int | str | None):
            return wire.refusal(2, "Invalid request: request ID must be an unsigned integer")
        if method == "LIST_SUBSCRIPTIONS":
            return wire.result(number, list(self.streams))
        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return self._change(method, request.get("params"), number)
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return wire.result(number, self.address.combined if method[0] == "G" else None)
        return wire.refusal(
            2, f"Invalid request: unknown variant `{method}`, expected one of {_METHODS}", number
        )

    def _change(self, method: str, params: Any, number: int | str | None) -> bytes:
        if not isinstance(params, list) or not all(isinstance(one, str) for one in params):
            return wire.refusal(2, "Invalid request: params must be an array of strings", number)
        if not params or not all(params):
            return wire.refusal(2, "Invalid request: streams must have non-zero length", number)
        if method == "UNSUBSCRIBE":
            for stream in params:
                self.streams.pop(stream, None)
        elif len({*self.streams, *params}) > STREAMS_A_CONNECTION:
            return wire.refusal(2, "Invalid request: too many streams on one connection", number)
        else:
            self.streams |= dict.fromkeys(params)
        return wire.result(number)
