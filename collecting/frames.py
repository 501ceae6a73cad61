"""Reading WebSocket frames many at a time.

websocket-client does the handshake, TLS, and what we send. What the server sends is read here: its
own reader asks the socket three times a message and checks UTF-8 in Python, which is nearly all of
the time that a busy stream costs. This one takes whatever has arrived in one ``recv`` and cuts the
frames out of it. `FrameBuffer` knows the protocol and no socket; `read_into` is the thin shell.

References
----------
RFC 6455, sections 5.2 (framing), 5.4 (fragments), 5.5 (control frames), 7.4 (close codes).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from errors import MalformedMessage

READ_SIZE = 1 << 18
"""Bytes asked for at once: some 1,300 trade messages."""

MAX_MESSAGE = 1 << 24
"""A message longer than this is refused; the longest that the exchange sends is far below."""

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _RESERVED, _OPCODE = 0x80, 0x70, 0x0F
_MASKED, _LENGTH = 0x80, 0x7F
_WHOLE_TEXT = _FINAL | _TEXT


class ProtocolError(MalformedMessage):
    """The server's bytes are no WebSocket frames; the connection must be closed."""


@dataclass(slots=True)
class Received:
    """What a piece of the stream contained, in order within each list.

    ``close`` is the code and reason of a close frame (1005 where it has none); what follows it
    is not read.
    """

    messages: list[bytes] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    pongs: int = 0
    close: tuple[int, str] | None = None


class FrameBuffer:
    """Bytes in, whole messages out; keeps what is not complete for the next piece."""

    def __init__(self) -> None:
        self._rest = b""
        self._fragments: list[bytes] = []
        self._fragment_bytes = 0
        self._in_message = False

    @property
    def in_frame(self) -> bool:
        """Whether part of a frame or of a message has arrived and the rest has not."""
        return bool(self._rest) or self._in_message

    def feed(self, data: bytes) -> Received:
        """Cut the messages out of the next piece of the stream.

        Raises
        ------
        ProtocolError
            A masked frame, a reserved bit or opcode, a control frame that is long or in
            fragments, fragments out of turn, or a message above `MAX_MESSAGE` bytes.
        """
        if self._rest:
            data = self._rest + data
        received = Received()
        append = received.messages.append
        position, end = 0, len(data)
        # The loop takes the common frame alone: unfragmented text of up to 65,535 bytes.
        while end - position >= 4:
            length = data[position + 1]
            if data[position] != _WHOLE_TEXT or length > 126 or self._in_message:
                begin = self._other(data, position, end, received)
                if begin < 0 or received.close is not None:
                    break
                position = begin
                continue
            begin = position + 2
            if length == 126:
                begin = position + 4
                length = data[position + 2] << 8 | data[position + 3]
            stop = begin + length
            if stop > end:
                break
            append(data[begin:stop])
            position = stop
        # Only an empty or one-byte frame is shorter than four bytes.
        while 2 <= end - position < 4 and received.close is None:
            begin = self._other(data, position, end, received)
            if begin < 0:
                break
            position = begin
        self._rest = data[position:]
        return received

    def _other(self, data: bytes, position: int, end: int, received: Received) -> int:
        """Take one frame of any kind; the position after it, or −1 where it is not complete."""
        first, second = data[position], data[position + 1]
        opcode = first & _OPCODE
        self._check_head(first, second, opcode)
        length, begin = second & _LENGTH, position + 2
        if length >= 126:
            begin += 2 if length == 126 else 8
            if begin > end:
                return -1
            length = int.from_bytes(data[position + 2 : begin], "big")
        if length + self._fragment_bytes > MAX_MESSAGE:
            raise ProtocolError(f"A message of {length:,} bytes; up to {MAX_MESSAGE:,} are read.")
        stop = begin + length
        if stop > end:
            return -1
        payload = data[begin:stop]
        if opcode >= _CLOSE:
            _take_control(opcode, payload, received)
        else:
            self._take_data(first, payload, received)
        return stop

    def _check_head(self, first: int, second: int, opcode: int) -> None:
        if first & _RESERVED:
            raise ProtocolError("A frame with a reserved bit, though no extension was agreed.")
        if second & _MASKED:
            raise ProtocolError("A masked frame; only clients mask.")
        if opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            raise ProtocolError(f"A frame of the unknown kind {opcode:#x}.")
        if opcode >= _CLOSE and (not first & _FINAL or second & _LENGTH > 125):
            raise ProtocolError("A control frame that is fragmented or above 125 bytes.")
        if opcode < _CLOSE and (opcode == _CONTINUATION) != self._in_message:
            raise ProtocolError("A fragment out of turn.")

    def _take_data(self, first: int, payload: bytes, received: Received) -> None:
        self._fragments.append(payload)
        self._fragment_bytes += len(payload)
        self._in_message = not first & _FINAL
        if not self._in_message:
            received.messages.append(b"".join(self._fragments))
            self._fragments, self._fragment_bytes = [], 0


def _take_control(opcode: int, payload: bytes, received: Received) -> None:
    if opcode == _PING:
        received.pings.append(payload)
    elif opcode == _PONG:
        received.pongs += 1
    else:
        received.close = _close_reason(payload)


def _close_reason(payload: bytes) -> tuple[int, str]:
    if not payload:
        return 1005, ""
    if len(payload) == 1:
        raise ProtocolError("A close frame with half a code.")
    return struct.unpack("!H", payload[:2])[0], payload[2:].decode("utf-8", "replace")


def read_into(buffer: FrameBuffer, socket: Any) -> Received:
    """Wait for the socket and take what it has.

    Raises
    ------
    TimeoutError
        Nothing came within the socket's timeout.
    ConnectionError
        The other side closed without a close frame.
    ProtocolError
        As `FrameBuffer.feed`.
    """
    data = socket.recv(READ_SIZE)
    if not data:
        raise ConnectionResetError("The connection ended without a close frame.")
    return buffer.feed(data)
