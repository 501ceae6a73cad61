"""The sleight of hand behind the faults: payloads cut, falsified, repeated, shuffled, dammed up."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from simulator import wire
from simulator.connection import Client

Action = Callable[[], object]
Errand = Coroutine[Any, Any, None]
Payloads = list[bytes]
Detour = Callable[[Payloads], Payloads]

_ODD: tuple[dict[str, Any], ...] = (
    {"p": "0"},
    {"q": "0"},
    {"p": "0", "q": "0", "X": "NA"},
    {"p": "-1.50"},
    {"q": "-0.001"},
    {"p": "NaN"},
    {"q": "NaN"},
    {"p": "Infinity"},
    {"p": None},
    {"p": ["84551.10"]},
    {"p": "eighty"},
    {"p": ""},
    {"q": True},
    {"T": "yesterday"},
    {"T": -1},
    {"X": "INSURANCE_FUND"},
    {"X": "ADL"},
    {"e": "liquidation"},
    {"s": "NOSUCHUSDT"},
    {"s": 7},
)
"""What `falsify` writes over true values; each alone makes the event one to be dropped."""

_NO_EVENTS: tuple[tuple[int, bytes], ...] = (
    (1, b""),
    (1, b"{"),
    (1, b"null"),
    (1, b"[]"),
    (1, b"[1,2,3]"),
    (1, b'"aggTrade"'),
    (1, b"12345678901234567890123456789"),
    (1, b'{"e":"aggTrade"}'),
    (1, b'{"stream":"btcusdt@aggTrade","data":null}'),
    (1, b'{"stream":7,"data":{"e":"aggTrade","s":"BTCUSDT"}}'),
    (1, b'{"e":"aggTrade","s":"BTCUSDT","a":"x","p":{},"q":[],"T":null,"m":3}'),
    (1, b'{"e":"somethingNew","E":1,"s":"BTCUSDT"}'),
    (1, b"<html><body>502 Bad Gateway</body></html>"),
    (1, b'{"e":"aggTrade","p":"\xff\xfe"}'),
    (1, b"[" * 4000 + b"]" * 4000),
    (2, b"\x00\x01\x02\x03 binary"),
)


class Scheduler(Protocol):
    """Calls something later."""

    def later(self, seconds: float, action: Action) -> None:
        """Call `action` in so many seconds."""


def garbage_frame(draw: random.Random, number: int) -> bytes:
    """A frame that carries no event: the known kinds in turn, then random bytes."""
    if number < len(_NO_EVENTS):
        opcode, payload = _NO_EVENTS[number]
        return wire.text_frame(payload, opcode=opcode)
    return wire.text_frame(draw.randbytes(draw.randrange(1, 400)), opcode=2)


def odd_payload(payload: bytes, number: int) -> bytes:
    """The payload with a value that cannot be."""
    message = json.loads(payload)
    event = message.get("data", message)
    event.update(_ODD[number % len(_ODD)])
    return wire.to_json(message)


def cut_next_frame(client: Client) -> Detour:
    """Half of the next frame goes out; the rest and all after it wait."""

    def detour(payloads: Payloads) -> Payloads:
        if not payloads:
            return payloads
        client.detours.remove(detour)
        frame = wire.text_frame(payloads[0])
        client.write(frame[: len(frame) // 2])
        client.hold(frame[len(frame) // 2 :])
        return payloads[1:]

    return detour


def cut_and_hang_up(client: Client) -> Detour:
    """Half of the next frame goes out, then the connection ends."""

    def detour(payloads: Payloads) -> Payloads:
        if payloads:
            frame = wire.text_frame(payloads[0])
            client.write(frame[: len(frame) // 2])
            client.socket.transport.close()
        return []

    return detour


def falsify(client: Client, count: int, replace: bool) -> Detour:
    """An odd event before, or instead of, each of the next `count`."""
    done = 0

    def detour(payloads: Payloads) -> Payloads:
        nonlocal done
        out: Payloads = []
        for payload in payloads:
            if done < count:
                out.append(odd_payload(payload, done))
                done += 1
                if replace:
                    continue
            out.append(payload)
        if done >= count:
            client.detours.remove(detour)
        return out

    return detour


def repeat(client: Client, count: int) -> Detour:
    """The next `count` events come twice each, and once more as a block."""
    seen: Payloads = []

    def detour(payloads: Payloads) -> Payloads:
        out: Payloads = []
        for payload in payloads:
            out.append(payload)
            if len(seen) < count:
                seen.append(payload)
                out.append(payload)
        if len(seen) >= count:
            client.detours.remove(detour)
            out += seen
        return out

    return detour


def shuffle(client: Client, count: int, seconds: float, scheduler: Scheduler) -> None:
    """The next `count` events, or those of so many seconds, come in another order."""
    held: Payloads = []

    def release() -> Payloads:
        if detour in client.detours:
            client.detours.remove(detour)
        # A fixed permutation: the second half backwards, then the first half.
        out = held[: len(held) // 2 - 1 : -1] + held[: len(held) // 2]
        held.clear()
        return out

    def detour(payloads: Payloads) -> Payloads:
        room = count - len(held)
        held.extend(payloads[:room])
        return release() + payloads[room:] if len(held) >= count else []

    client.detours.append(detour)
    scheduler.later(seconds, lambda: client.send(release()))


def dam(client: Client, seconds: float, times: int, scheduler: Scheduler) -> None:
    """Events wait for so many seconds, then all come at once, each so many times."""
    held: Payloads = []

    def detour(payloads: Payloads) -> Payloads:
        held.extend(payloads)
        return []

    def release() -> None:
        client.detours.remove(detour)
        client.send(held * times)

    client.detours.append(detour)
    scheduler.later(seconds, release)
