"""What can go wrong between an exchange and its clients, as data.

A fault strikes all open connections (or the next handshakes and REST requests) either when a
script says so, after a given number of delivered events, or on demand from a test through
``exchange.inject(fault)``. What a fault draws comes from a seeded generator. No fault touches the
tape: ``exchange.tape`` goes on telling, id by id, what a client that repairs its losses must have.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from simulator import mischief, wire
from simulator.connection import Client
from simulator.rest import Answer

if TYPE_CHECKING:
    from simulator.server import Exchange


class Fault(Protocol):
    """Something that goes wrong."""

    def strike(self, desk: FaultDesk) -> None:
        """Make it happen, in the exchange's loop."""


class Step(NamedTuple):
    """One line of a fault script: after so many events that reached a client, this fault."""

    after_events: int
    fault: Fault


@dataclass(frozen=True)
class Drop:
    """Connections are reset without a word."""

    def strike(self, desk: FaultDesk) -> None:
        """Reset every connection."""
        for client in desk.clients:
            client.socket.transport.abort()


@dataclass(frozen=True)
class HalfOpen:
    """The peer is gone and nobody says so: nothing is read, nothing is written any more."""

    def strike(self, desk: FaultDesk) -> None:
        """Make the present connections deaf for ever."""
        for client in desk.clients:
            client.socket.transport.pause_reading()
            client.deaf = True


@dataclass(frozen=True)
class Stall:
    """The path stands still, then delivers all it held back.

    Parameters
    ----------
    seconds : float or None
        How long; None is for ever.
    mid_frame : bool
        Stop half-way through the next frame rather than between two.
    """

    seconds: float | None = None
    mid_frame: bool = False

    def strike(self, desk: FaultDesk) -> None:
        """Hold back everything that goes to the present connections."""
        for client in desk.clients:
            client.socket.transport.pause_reading()
            if self.mid_frame:
                client.detours.append(mischief.cut_next_frame(client))
            else:
                client.hold()
            if self.seconds is not None:
                desk.later(self.seconds, client.release)


@dataclass(frozen=True)
class Close:
    """Connections are closed.

    Parameters
    ----------
    code : int
        Close code; 1006 ends the TCP connection without a close frame.
    reason : str
        Text of the close frame.
    """

    code: int = 1001
    reason: str = ""

    def strike(self, desk: FaultDesk) -> None:
        """Close every connection."""
        for client in desk.clients:
            if self.code == 1006:
                client.socket.transport.close()
            else:
                desk.run(client.socket.close(self.code, self.reason))


@dataclass(frozen=True)
class Refuse:
    """Handshakes are answered with a status other than 101.

    Parameters
    ----------
    status : int
        503, 451, 429, 418, 403 …
    count : int
        How many handshakes.
    retry_after_s : int or None
        Value of ``Retry-After``.
    drop : bool
        Also reset the connections that are open.
    """

    status: int = 503
    count: int = 1
    retry_after_s: int | None = None
    drop: bool = True

    def strike(self, desk: FaultDesk) -> None:
        """Refuse the next handshakes."""
        body = wire.rest_error(0, "Service unavailable from a restricted location.")
        answer = Answer(self.status, body, self.retry_after_s)
        desk.refusals.extend([answer] * self.count)
        if self.drop:
            Drop().strike(desk)


@dataclass(frozen=True)
class SilentStream:
    """A stream falls silent on connections that answer everything else.

    Parameters
    ----------
    stream : str
        E.g. ``btcusdt@aggTrade``; ``*`` silences all.
    seconds : float or None
        How long; None lasts as long as the connection.
    """

    stream: str = "*"
    seconds: float | None = None

    def strike(self, desk: FaultDesk) -> None:
        """Silence the stream on the present connections."""
        for client in desk.clients:
            client.silent.add(self.stream)
            if self.seconds is not None:
                desk.later(self.seconds, partial(client.silent.discard, self.stream))


@dataclass(frozen=True)
class Garbage:
    """Messages that are no events, one after another: broken JSON, wrong types, invalid UTF-8.

    Parameters
    ----------
    count : int
        How many.
    """

    count: int = 20

    def strike(self, desk: FaultDesk) -> None:
        """Write them between two events."""
        for client in desk.clients:
            for number in range(self.count):
                client.write(mischief.garbage_frame(desk.random, number))


@dataclass(frozen=True)
class OddValues:
    """Events whose values cannot be: zero, negative, NaN, wrong types, prints that are no trades.

    Parameters
    ----------
    count : int
        How many of the next events.
    replace : bool
        Instead of the true event (which is then missing) rather than before it.
    """

    count: int = 20
    replace: bool = False

    def strike(self, desk: FaultDesk) -> None:
        """Falsify the next events of the present connections."""
        for client in desk.clients:
            client.detours.append(mischief.falsify(client, self.count, self.replace))


@dataclass(frozen=True)
class Duplicates:
    """Events come twice: at once, and again as a block.

    Parameters
    ----------
    count : int
        How many of the next events.
    """

    count: int = 50

    def strike(self, desk: FaultDesk) -> None:
        """Repeat the next events of the present connections."""
        for client in desk.clients:
            client.detours.append(mischief.repeat(client, self.count))


@dataclass(frozen=True)
class Disorder:
    """Events come in another order.

    Parameters
    ----------
    count : int
        How many of the next events are shuffled among themselves.
    seconds : float
        How long to wait for so many at most.
    """

    count: int = 50
    seconds: float = 2.0

    def strike(self, desk: FaultDesk) -> None:
        """Gather the next events, then deliver them shuffled."""
        for client in desk.clients:
            mischief.shuffle(client, self.count, self.seconds, desk)


@dataclass(frozen=True)
class Burst:
    """Nothing for a while, then everything at once.

    Parameters
    ----------
    seconds : float
        How long events are gathered.
    repeat : int
        How many times each is sent when the dam breaks.
    """

    seconds: float = 2.0
    repeat: int = 1

    def strike(self, desk: FaultDesk) -> None:
        """Gather, then flood."""
        for client in desk.clients:
            mischief.dam(client, self.seconds, self.repeat, desk)


@dataclass(frozen=True)
class PartialFrame:
    """The connection ends in the middle of a frame."""

    def strike(self, desk: FaultDesk) -> None:
        """Write half of the next frame, then end the TCP connection."""
        for client in desk.clients:
            client.detours.append(mischief.cut_and_hang_up(client))


@dataclass(frozen=True)
class LifetimeEnd:
    """The 24 hours are over: a ``serverShutdown`` event, and soon after close 1001.

    Parameters
    ----------
    grace_s : float
        Time between the two.
    """

    grace_s: float = 1.0

    def strike(self, desk: FaultDesk) -> None:
        """Announce the end to the present connections, then close them."""
        for client in desk.clients:
            desk.end_of_life(client, self.grace_s)


@dataclass(frozen=True)
class RestFault:
    """REST requests are answered with an error.

    Parameters
    ----------
    status : int
        429, 418, 403, 451, 500, 503 …
    count : int
        How many requests.
    retry_after_s : int or None
        Value of ``Retry-After``.
    path : str
        Only requests whose path contains this.
    body : bytes or None
        What comes instead of an error body, with status 200 too.
    """

    status: int = 503
    count: int = 1
    retry_after_s: int | None = None
    path: str = ""
    body: bytes | None = None

    def strike(self, desk: FaultDesk) -> None:
        """Answer the next matching requests with this."""
        desk.rest_faults.extend([self] * self.count)


class FaultDesk:
    """Runs the script and keeps what waits for the next handshake or request.

    Parameters
    ----------
    exchange : Exchange
        Whom it troubles.
    script : sequence of Step
        What happens when.
    seed : int
        Seed of the generator.
    """

    def __init__(self, exchange: Exchange, script: Sequence[Step], seed: int) -> None:
        self._exchange = exchange
        self._script = deque(sorted(script, key=lambda step: step.after_events))
        self.random = random.Random(seed)
        self.refusals: deque[Answer] = deque()
        self.rest_faults: list[RestFault] = []
        self.struck: list[Fault] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> list[Client]:
        """The connections that are open and not already lost."""
        return [c for c in self._exchange.clients if c.open and not c.deaf]

    def strike(self, fault: Fault) -> None:
        """Let it happen."""
        self.struck.append(fault)
        fault.strike(self)

    def until_next(self, events_sent: int) -> int | None:
        """Events until the script's next fault; None where there is none."""
        return self._script[0].after_events - events_sent if self._script else None

    def run_script(self, events_sent: int) -> None:
        """Let happen what is due after so many events."""
        while self._script and self._script[0].after_events <= events_sent:
            self.strike(self._script.popleft().fault)

    def handshake_answer(self) -> Answer | None:
        """What a handshake is refused with, or None."""
        return self.refusals.popleft() if self.refusals else None

    def rest_answer(self, path: str) -> Answer | None:
        """What a REST request is answered with instead of data, or None."""
        for place, fault in enumerate(self.rest_faults):
            if fault.path in path:
                del self.rest_faults[place]
                error = wire.rest_error(-1001, "Internal error; unable to process your request.")
                body = error if fault.body is None else fault.body
                return Answer(fault.status, body, fault.retry_after_s)
        return None

    def end_of_life(self, client: Client, grace_s: float = 1.0) -> None:
        """Announce the end of a connection, then close it."""
        shutdown = wire.server_shutdown(self._exchange.market.now_ms())
        if client.address.combined:
            shutdown = wire.combined("serverShutdown", shutdown)
        client.write(wire.text_frame(shutdown))
        self.later(grace_s, lambda: self.run(client.socket.close(1001, "lifetime")))

    def later(self, seconds: float, action: mischief.Action) -> None:
        """Call `action` in so many seconds."""
        asyncio.get_running_loop().call_later(seconds, action)

    def run(self, errand: mischief.Errand) -> None:
        """Run a coroutine beside everything else."""
        task = asyncio.get_running_loop().create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
