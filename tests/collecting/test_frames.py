"""The frame reader is held to RFC 6455: what it must take in any pieces, what it must refuse."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collecting.frames import MAX_MESSAGE, FrameBuffer, ProtocolError, Received, read_into

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, first: int = 0) -> bytes:
    """A server's frame, encoded after section 5.2."""
    head = bytes([(0x80 if final else 0) | first | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 65_536:
        return head + b"\x7e" + struct.pack("!H", len(payload)) + payload
    return head + b"\x7f" + struct.pack("!Q", len(payload)) + payload


def fed(*pieces: bytes) -> tuple[Received, FrameBuffer]:
    """All that came of feeding the pieces one after another."""
    buffer, whole = FrameBuffer(), Received()
    for piece in pieces:
        part = buffer.feed(piece)
        whole.messages += part.messages
        whole.pings += part.pings
        whole.pongs += part.pongs
        whole.close = whole.close or part.close
    return whole, buffer


@pytest.mark.parametrize("length", [0, 1, 2, 3, 125, 126, 127, 65_535, 65_536, 300_000])
def test_each_form_of_length_is_read(length: int) -> None:
    payload = bytes(i % 251 for i in range(length))
    received, buffer = fed(frame(payload) + frame(b"next"))
    assert received.messages == [payload, b"next"]
    assert not buffer.in_frame


def test_a_short_message_may_come_with_a_long_form_of_length() -> None:
    received, _ = fed(b"\x81\x7f" + struct.pack("!Q", 3) + b"abc" + b"\x81\x7e\x00\x02de")
    assert received.messages == [b"abc", b"de"]


@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING, PONG]), st.binary(max_size=300))),
    st.data(),
)
def test_any_cutting_of_the_stream_gives_the_same(
    frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    sent = [(kind, body[:125] if kind in (PING, PONG) else body) for kind, body in frames]
    stream = b"".join(frame(body, kind) for kind, body in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    received, buffer = fed(*(stream[a:b] for a, b in zip(edges, edges[1:], strict=False)))
    assert received.messages == [body for kind, body in sent if kind in (TEXT, BINARY)]
    assert received.pings == [body for kind, body in sent if kind == PING]
    assert received.pongs == sum(kind == PONG for kind, _ in sent)
    assert not buffer.in_frame


def test_fragments_are_joined_and_control_frames_between_them_are_seen() -> None:
    stream = (
        frame(b"one ", TEXT, final=False)
        + frame(b"are you there", PING)
        + frame(b"two ", CONTINUATION, final=False)
        + frame(b"", PONG)
        + frame(b"three", CONTINUATION)
        + frame(b"whole")
    )
    for size in (1, 3, len(stream)):
        pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
        received, buffer = fed(*pieces)
        assert received.messages == [b"one two three", b"whole"]
        assert received.pings == [b"are you there"]
        assert received.pongs == 1
        assert not buffer.in_frame


def test_a_message_in_fragments_counts_as_unfinished() -> None:
    _, buffer = fed(frame(b"one ", TEXT, final=False))
    assert buffer.in_frame


def test_half_a_frame_counts_as_unfinished() -> None:
    received, buffer = fed(frame(b"abcdef")[:-1])
    assert received.messages == []
    assert buffer.in_frame


def test_a_close_frame_gives_code_and_reason_and_ends_the_reading() -> None:
    body = struct.pack("!H", 1008) + "zu viele Anfragen é".encode()
    received, _ = fed(frame(b"last") + frame(body, CLOSE) + frame(b"ignored"))
    assert received.messages == [b"last"]
    assert received.close == (1008, "zu viele Anfragen é")


def test_a_close_frame_without_code_is_1005() -> None:
    assert fed(frame(b"", CLOSE))[0].close == (1005, "")


@pytest.mark.parametrize(
    ("stream", "what"),
    [
        (b"\x81\x84\x01\x02\x03\x04abcd", "masked"),
        (frame(b"x" * 200)[:1] + b"\xfe\x00\xc8" + b"x" * 204, "masked"),
        (frame(b"x", first=0x40), "reserved"),
        (frame(b"x", opcode=3), "unknown kind"),
        (frame(b"x", opcode=11), "unknown kind"),
        (frame(b"x", PING, final=False), "control"),
        (b"\x89\x7e\x00\x80" + b"p" * 128, "control"),
        (frame(b"x", CONTINUATION), "out of turn"),
        (frame(b"a", final=False) + frame(b"b", TEXT), "out of turn"),
        (frame(b"a", final=False) + frame(b"b" * 200, TEXT), "out of turn"),
        (b"\x81\x7f" + struct.pack("!Q", MAX_MESSAGE + 1), "bytes"),
        (b"\x81\x7f" + struct.pack("!Q", 2**63), "bytes"),
        (frame(b"\x03", CLOSE), "half a code"),
    ],
)
def test_what_breaks_the_protocol_is_refused(stream: bytes, what: str) -> None:
    with pytest.raises(ProtocolError, match=what):
        fed(stream + b"\0" * 8)


def test_fragments_together_may_not_pass_the_longest_message() -> None:
    piece = frame(b"x" * (MAX_MESSAGE // 2 + 1), TEXT, final=False)
    with pytest.raises(ProtocolError, match="bytes"):
        fed(piece, frame(b"x" * (MAX_MESSAGE // 2), CONTINUATION))


@given(st.binary(max_size=400))
def test_rubbish_is_refused_or_waits_and_never_does_anything_else(stream: bytes) -> None:
    buffer = FrameBuffer()
    try:
        buffer.feed(stream)
    except ProtocolError:
        return
    assert isinstance(buffer.in_frame, bool)


def test_reading_a_socket_tells_stall_and_end_apart() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(0.05)
        buffer = FrameBuffer()
        with theirs:
            theirs.sendall(frame(b"hello") + frame(b"cut short")[:5])
            assert read_into(buffer, ours).messages == [b"hello"]
            assert buffer.in_frame
            with pytest.raises(TimeoutError):
                read_into(buffer, ours)
        with pytest.raises(ConnectionResetError, match="without a close frame"):
            read_into(buffer, ours)
