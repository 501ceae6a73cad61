"""When to try again, to ask, to give a connection up: pure decisions, no clock, no socket.

Every function and state machine is told the time (seconds of a monotonic clock), so that a test
can live through a day in a millisecond.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

FATAL_S = 300.0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long the collector waits for what, in seconds."""

    connect_s: float = 10.0
    """For TCP, TLS and the handshake together."""
    first_message_s: float = 50.0
    """For the first trade of a stream, before its connection is renewed; doubles each time."""
    probe_after_s: float = 10.0
    """Without a byte, before LIST_SUBSCRIPTIONS is sent."""
    probe_answer_s: float = 10.0
    """For the answer, before the connection is given up."""
    mid_frame_s: float = 10.0
    """For the rest of a frame that has begun."""
    quiet_s: float = 60.0
    """Without a trade though probes are answered, before the connection is renewed; doubles."""
    lifetime_s: float = 23 * 3600.0
    """Age at which a connection is renewed; the exchange ends it at 24 hours."""
    lifetime_jitter_s: float = 1800.0
    """Up to so much more, at random, so that not everyone renews at once."""
    handover_s: float = 30.0
    """For the new connection to show data on every stream, before the old one is closed anyway."""
    overlap_s: float = 3.0
    """Both connections are read for so long after that."""
    fatal_s: float = FATAL_S
    """Before trying again after a cause that trying does not cure: location, certificate."""
    backoff_s: float = 0.5
    """Ceiling of the first wait between attempts; doubles up to the next."""
    backoff_cap_s: float = 60.0
    steady_s: float = 30.0
    """A connection that stood so long makes the waits begin anew."""
    poll_s: float = 0.25
    """Timeout of the socket: how often the deadlines are looked at when nothing comes."""


def backoff(
    rng: random.Random, *, first_s: float = 0.5, cap_s: float = 60.0, factor: float = 2.0
) -> Iterator[float]:
    """Seconds to wait before each further attempt, for ever.

    Each is uniform between half of and the whole of a ceiling that grows by ``factor`` up to
    ``cap_s``; the jitter keeps clients that lost the same server from coming back together.
    """
    ceiling = first_s
    while True:
        yield ceiling * (0.5 + 0.5 * rng.random())
        ceiling = min(cap_s, ceiling * factor)


def wait_after(
    delays: Iterator[float],
    *,
    retryable: bool,
    retry_after_s: float | None = None,
    fatal_s: float = FATAL_S,
) -> float:
    """Seconds until the next attempt: what the exchange asked for where it did, never less.

    After a cause that trying again does not cure ``fatal_s`` is added.
    """
    delay = next(delays)
    if not retryable:
        delay += fatal_s
    return delay if retry_after_s is None else max(delay, retry_after_s)


class Verdict(Enum):
    """What the watchdog asks for."""

    FINE = "fine"
    PROBE = "probe"
    STALLED = "the server stopped in the middle of a frame"
    DEAD = "nothing came, not even an answer to our question"
    QUIET = "questions are answered, but no trade comes"


class Watchdog:
    """Watches one connection: bytes, trades, unfinished frames, and the answers to probes.

    Parameters
    ----------
    now_s : float
        When the connection stood.
    quiet_s : float
        Patience with a market that answers and sends no trade; the caller doubles it each time
        so that a market that is quiet by nature is not reconnected every minute.
    """

    def __init__(self, deadlines: Deadlines, now_s: float, quiet_s: float) -> None:
        self._deadlines, self._quiet_s = deadlines, quiet_s
        self._byte_s = self._data_s = now_s
        self._probe_s: float | None = None
        self._in_frame = False

    def received(self, now_s: float, *, trades: bool, in_frame: bool) -> None:
        """Bytes came; ``trades`` among them; ``in_frame`` where the last frame is not whole."""
        self._byte_s, self._probe_s, self._in_frame = now_s, None, in_frame
        if trades:
            self._data_s = now_s

    def probed(self, now_s: float) -> None:
        """A probe was sent."""
        self._probe_s = now_s

    def verdict(self, now_s: float) -> Verdict:
        """What to do now."""
        silent_s = now_s - self._byte_s
        if self._in_frame and silent_s >= self._deadlines.mid_frame_s:
            return Verdict.STALLED
        if self._probe_s is not None:
            late = now_s - self._probe_s >= self._deadlines.probe_answer_s
            return Verdict.DEAD if late else Verdict.FINE
        if now_s - self._data_s >= self._quiet_s:
            return Verdict.QUIET
        return Verdict.PROBE if silent_s >= self._deadlines.probe_after_s else Verdict.FINE


def fell_silent(age_s: float, messages: int, silent_s: float, quiet_s: float) -> bool:
    """Whether a stream that has spoken is silent for longer than its own habit explains.

    Parameters
    ----------
    age_s, messages
        How long it has been listened to until its last message, and how many there were.
    silent_s : float
        Since its last message.
    quiet_s : float
        Never judged before.
    """
    usual_s = age_s / messages if messages else age_s
    return silent_s >= max(quiet_s, 30 * usual_s)


class Pacer:
    """Spreads control messages: at most ``rate`` in any second.

    The exchange closes with 1008 past ten a second; we stay at half of that.
    """

    def __init__(self, rate: int = 5) -> None:
        self._sent: deque[float] = deque(maxlen=rate)

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more message may go; 0 where it may now."""
        if len(self._sent) < (self._sent.maxlen or 1):
            return 0.0
        return max(0.0, self._sent[0] + 1.0 - now_s)

    def sent(self, now_s: float) -> None:
        """A message went."""
        self._sent.append(now_s)


STREAMS_A_CONNECTION = 200
"""The exchange allows 1,024; careful clients stop here."""


def shards(
    streams: list[str], at_present: list[list[str]], limit: int = STREAMS_A_CONNECTION
) -> list[list[str]]:
    """Streams over connections, at most ``limit`` each; those that have a place keep it.

    Returns
    -------
    list of list of str
        One list a connection, in the order of ``at_present``; empty ones are to be closed.
    """
    wanted = dict.fromkeys(streams)
    placed = [[s for s in shard if s in wanted] for shard in at_present]
    taken = {s for shard in placed for s in shard}
    new = [s for s in wanted if s not in taken]
    for shard in placed:
        while new and len(shard) < limit:
            shard.append(new.pop(0))
    placed += [new[i : i + limit] for i in range(0, len(new), limit)]
    return placed


RETRY_WRITE_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Pauses of a writer that is told to come back; the last is repeated."""


def percentile(values: list[float], share: float) -> float | None:
    """The value below which ``share`` of them lie, by the nearest rank; None where none are."""
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
