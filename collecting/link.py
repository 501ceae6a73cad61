"""One supervised connection to the exchange: connect, read, watch, reconnect for ever.

A link carries up to 200 streams of one route. It owns a thread, in which everything happens; what
it reads it hands to ``deliver``. It reconnects by itself when the connection breaks, and only says
so (`renewal`) where it should be replaced while it still works: the collector then opens another
beside it before closing it.
"""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import websocket

from binance import (
    FrameParser,
    Mark,
    Parsed,
    StreamKind,
    authorities,
    is_retryable,
    list_subscriptions,
    mark_stream_name,
    refused,
    stream_name,
    stream_url,
    subscribe,
    unsubscribe,
)
from collecting.frames import FrameBuffer, Received, read_into
from collecting.supervision import (
    Deadlines,
    Pacer,
    Verdict,
    Watchdog,
    backoff,
    fell_silent,
    wait_after,
)
from errors import CertificateRefused, FeedError, NoNetwork, RateLimited

log = logging.getLogger(__name__)

_RECEIVE_BUFFER = 1 << 21
_BATCH_OF_PARAMS = 50

SILENT = "silent"
"""How the reason of a renewal begins that is better repeated with more patience."""


@dataclass(slots=True)
class StreamState:
    """What one stream has shown on this connection; seconds of the monotonic clock."""

    since_s: float
    last_s: float | None = None
    messages: int = 0
    silent: bool = False


class Renewed(FeedError):
    """The connection is given up on purpose; the sentence says why."""


class ConnectGate:
    """Lets connections begin at most about once a second, whoever asks."""

    def __init__(self, interval_s: float = 1.0) -> None:
        self._interval_s, self._next_s = interval_s, 0.0
        self._lock = threading.Lock()

    def wait(self, stopping: threading.Event) -> None:
        """Wait for the turn, or for the end."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_s)
            self._next_s = turn + self._interval_s
        stopping.wait(turn - now)


class Link:
    """A supervised connection.

    Parameters
    ----------
    base : str
        Address without route.
    kind : {'aggTrade', 'trade'}
    symbols : sequence of str
    deliver : callable
        Takes a `Parsed` and the connection's own stop event; False pauses the link.
    may_resume : callable
        Whether a paused link may go on.
    on_marks : callable, optional
        Takes mark prices, in the link's thread; without it none are subscribed. They count for
        nothing else: a connection on which only marks come is as silent as one without.
    """

    def __init__(
        self,
        base: str,
        kind: StreamKind,
        symbols: Sequence[str],
        deliver: Callable[[Parsed], bool],
        may_resume: Callable[[], bool],
        gate: ConnectGate,
        deadlines: Deadlines,
        patience: float = 1.0,
        on_marks: Callable[[list[Mark]], None] | None = None,
    ) -> None:
        self._on_marks = on_marks
        self._base, self._kind = base, kind
        self._deliver, self._may_resume = deliver, may_resume
        self._gate, self._deadlines = gate, deadlines
        self._first_s = deadlines.first_message_s * patience
        self._quiet_s = deadlines.quiet_s * patience
        self._lock = threading.Lock()
        self._symbols = list(dict.fromkeys(symbols))
        self._parser = FrameParser(kind, self._symbols, marks=on_marks is not None)
        self._stopping = threading.Event()
        self._socket: websocket.WebSocket | None = None
        self._outbox: deque[str] = deque()
        self._pacer = Pacer()
        self._message_id = 0
        self._next_look_s = 0.0
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self.streams: dict[str, StreamState] = {}
        self.dropped: Counter[str] = Counter()
        self.connected = False
        self.connected_s: float | None = None
        self.reconnects = 0
        self.state = "connecting"
        self.sentence = "Connecting to the exchange."
        self.renewal: str | None = None

    # -- from outside ------------------------------------------------------------------------

    @property
    def symbols(self) -> list[str]:
        """What it carries."""
        with self._lock:
            return list(self._symbols)

    @property
    def ready(self) -> bool:
        """Whether every stream has shown data."""
        states = list(self.streams.values())
        return self.connected and all(s.last_s is not None for s in states)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Ask to end; `join` waits for it."""
        self._stopping.set()
        socket = self._socket
        if socket is not None:
            # Wakes a thread that waits in recv; websocket-client's close() would take seconds.
            socket.abort()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def set_symbols(self, symbols: Sequence[str]) -> None:
        """Subscribe and unsubscribe so that these are carried."""
        with self._lock:
            wanted = list(dict.fromkeys(symbols))
            new = [s for s in wanted if s not in self._symbols]
            gone = [s for s in self._symbols if s not in wanted]
            self._symbols = wanted
            self._parser.set_symbols(wanted)
            now = time.monotonic()
            for symbol in gone:
                self.streams.pop(symbol, None)
            if self.connected:
                self.streams.update({s: StreamState(now) for s in new})
                self._queue(unsubscribe, gone)
                self._queue(subscribe, new)

    def _names(self, symbols: list[str]) -> list[str]:
        """Streams of these symbols: trades, and marks where somebody takes them."""
        names = [stream_name(s, self._kind) for s in symbols]
        return names if self._on_marks is None else names + [mark_stream_name(s) for s in symbols]

    def _queue(self, message: Callable[[Sequence[str], int], str], symbols: list[str]) -> None:
        names = self._names(symbols)
        for i in range(0, len(names), _BATCH_OF_PARAMS):
            self._message_id += 1
            self._outbox.append(message(names[i : i + _BATCH_OF_PARAMS], self._message_id))

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        rng = random.Random()
        delays = self._delays(rng)
        while not self._stopping.is_set():
            try:
                self._gate.wait(self._stopping)
                self._one_connection(rng)
            except FeedError as error:
                if self._stopping.is_set():
                    break
                if self._was_steady():
                    delays = self._delays(rng)
                self._lost(error, delays)
            except Exception:
                log.exception("the connection failed in a way nobody foresaw")
                self._lost(FeedError("The connection failed; see the log."), delays)
        self.connected = False
        self.state, self.sentence = "stopped", "Stopped."

    def _delays(self, rng: random.Random) -> Iterator[float]:
        return backoff(rng, first_s=self._deadlines.backoff_s, cap_s=self._deadlines.backoff_cap_s)

    def _was_steady(self) -> bool:
        """Whether the connection just lost had stood for long; one that never stood had not."""
        stood_s = 0.0 if not self.connected else time.monotonic() - (self.connected_s or 0.0)
        return stood_s > self._deadlines.steady_s

    def _lost(self, error: FeedError, delays: Iterator[float]) -> None:
        """Say why, and wait before the next attempt."""
        self.connected = False
        retryable = is_retryable(error)
        if isinstance(error, Renewed):
            self.state = "silent" if self.state == "silent" else "reconnecting"
        else:
            self.state = "reconnecting" if retryable else "refused"
        retry_after_s = error.retry_after_s if isinstance(error, RateLimited) else None
        wait_s = wait_after(
            delays,
            retryable=retryable,
            retry_after_s=retry_after_s,
            fatal_s=self._deadlines.fatal_s,
        )
        self.sentence = f"{error} Trying again in {wait_s:.0f} s."
        log.warning("connection lost: %s next attempt in %.1f s", error, wait_s)
        self._stopping.wait(wait_s)

    def _one_connection(self, rng: random.Random) -> None:
        """From handshake to loss; always ends by raising, unless stopping."""
        with self._lock:
            symbols = list(self._symbols)
            self._outbox.clear()
        socket = self._open(stream_url(self._base, self._kind, self._names(symbols)))
        try:
            self._stand(symbols)
            self._read(socket, rng)
        finally:
            self._socket = None
            socket.shutdown()

    def _open(self, url: str) -> websocket.WebSocket:
        sslopt = {"ca_certs": authorities(), "cert_reqs": ssl.CERT_REQUIRED}
        socket = websocket.WebSocket(
            sslopt=sslopt, enable_multithread=True, skip_utf8_validation=True
        )
        try:
            socket.connect(url, timeout=self._deadlines.connect_s)
        except (websocket.WebSocketException, OSError) as error:
            raise connect_error(error, url) from error
        # Held before the check, so that stop() either finds it or is seen here.
        self._socket = socket
        if self._stopping.is_set():
            socket.shutdown()
            raise Renewed("Stopped.")
        socket.settimeout(self._deadlines.poll_s)
        return socket

    def _stand(self, symbols: list[str]) -> None:
        now = time.monotonic()
        with self._lock:
            self.streams = {s: StreamState(now) for s in symbols}
            late = [s for s in self._symbols if s not in self.streams]
            self.streams.update({s: StreamState(now) for s in late})
            self._queue(subscribe, late)
            self.connected = True
        if self.connected_s is not None:
            self.reconnects += 1
        self.connected_s = now
        self.renewal = None
        self.state = "connecting"
        self.sentence = "Connected; waiting for the first trade."
        log.info("connected: %d streams", len(self.streams))

    def _read(self, socket: websocket.WebSocket, rng: random.Random) -> None:
        buffer, begun = FrameBuffer(), time.monotonic()
        watchdog = Watchdog(self._deadlines, begun, self._quiet_s)
        end_s = (
            begun + self._deadlines.lifetime_s + rng.random() * self._deadlines.lifetime_jitter_s
        )
        while not self._stopping.is_set():
            try:
                received = read_into(buffer, socket.sock)
            except TimeoutError:
                received = None
            except (OSError, AttributeError) as error:
                # AttributeError: stop() took the socket away while we were on our way to it.
                raise _broken(error) from error
            now = time.monotonic()
            if received is not None:
                self._answer(socket, received)
                trades = self._take(received.messages, now) if received.messages else False
                watchdog.received(time.monotonic(), trades=trades, in_frame=buffer.in_frame)
                if received.close is not None:
                    raise _closed(*received.close)
            self._send_queued(socket, now)
            self._watch(socket, watchdog, time.monotonic(), end_s)

    def _answer(self, socket: websocket.WebSocket, received: Received) -> None:
        try:
            for ping in received.pings:
                socket.pong(ping)
            if received.close is not None:
                socket.send_close()
        except (websocket.WebSocketException, OSError) as error:
            raise _broken(error) from error

    def _take(self, messages: list[bytes], now_s: float) -> bool:
        """Parse and hand over; True where trades were among them."""
        parsed = self._parser.parse(messages)
        if parsed.dropped:
            self.dropped.update(parsed.dropped)
        for reply in parsed.replies:
            if reply.error is not None:
                log.warning("the exchange refused a request: %s", reply.error)
        if parsed.shutdown:
            self._ask_renewal("the server announced that it will close")
        if parsed.marks and self._on_marks is not None:
            self._on_marks(parsed.marks)
        if not len(parsed.batch) and not parsed.seen:
            return False
        streams = self.streams
        for symbol in set(parsed.batch.symbol):
            stream = streams.get(symbol)
            if stream is not None:
                stream.last_s, stream.silent = now_s, False
                stream.messages += 1
        if self.state != "live":
            self.state, self.sentence = "live", "Live."
        if not self._deliver(parsed):
            self._pause()
        return True

    def _pause(self) -> None:
        """Nothing more can be taken: close, wait until it can, and come back."""
        self.state = "paused"
        self.sentence = "Paused: the database cannot be written and the memory for ticks is full."
        log.warning("paused: nothing more can be taken until the database is written again")
        self.connected = False
        socket = self._socket
        if socket is not None:
            socket.shutdown()
        while not self._stopping.is_set() and not self._may_resume():
            self._stopping.wait(0.1)
        raise Renewed("The feed was paused.")

    def _send_queued(self, socket: websocket.WebSocket, now_s: float) -> None:
        while self._outbox and self._pacer.wait_s(now_s) <= 0:
            self._send(socket, self._outbox.popleft(), now_s)

    def _send(self, socket: websocket.WebSocket, message: str, now_s: float) -> None:
        try:
            socket.send(message)
        except (websocket.WebSocketException, OSError) as error:
            raise _broken(error) from error
        self._pacer.sent(now_s)

    def _watch(
        self, socket: websocket.WebSocket, watchdog: Watchdog, now_s: float, end_s: float
    ) -> None:
        verdict = watchdog.verdict(now_s) if self.streams else Verdict.FINE
        if verdict is Verdict.PROBE:
            if self._pacer.wait_s(now_s) <= 0:
                self._message_id += 1
                self._send(socket, list_subscriptions(self._message_id), now_s)
                watchdog.probed(now_s)
        elif verdict in (Verdict.STALLED, Verdict.DEAD):
            raise Renewed(f"Given up: {verdict.value}.")
        elif verdict is Verdict.QUIET:
            self._ask_renewal(f"{SILENT}: {verdict.value}")
        if now_s >= end_s:
            self._ask_renewal("its lifetime ends")
        self._watch_streams(now_s)

    def _watch_streams(self, now_s: float) -> None:
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + self._deadlines.poll_s
        late = [s for s, stream in list(self.streams.items()) if self._is_late(stream, now_s)]
        if not late:
            return
        names = ", ".join(symbol.upper() for symbol in late[:5])
        if all(stream.last_s is None for stream in list(self.streams.values())):
            self.state = "silent"
            self.sentence = (
                "The exchange accepted the subscription and sends nothing; "
                "the address may be a route without trades."
            )
        self._ask_renewal(f"{SILENT}: {names}")

    def _is_late(self, stream: StreamState, now_s: float) -> bool:
        """Whether a stream missed its first-message deadline, or stopped against its habit."""
        if stream.last_s is None:
            late = now_s - stream.since_s >= self._first_s
        else:
            heard_s, silent_s = stream.last_s - stream.since_s, now_s - stream.last_s
            late = fell_silent(heard_s, stream.messages, silent_s, self._quiet_s)
        stream.silent = late
        return late

    def _ask_renewal(self, reason: str) -> None:
        if self.renewal is None:
            log.info("renewal asked: %s", reason)
            self.renewal = reason


def _broken(error: BaseException) -> NoNetwork:
    return NoNetwork(f"The connection broke: {str(error).rstrip('.') or type(error).__name__}.")


def _closed(code: int, reason: str) -> FeedError:
    said = f": {reason}" if reason else ""
    if code == 1008:
        return RateLimited(f"The server closed for a breach of its rules (1008{said}).", 2.0)
    return Renewed(f"The server closed the connection ({code}{said}).")


def connect_error(error: BaseException, url: str) -> FeedError:
    """What stood in the way of a connection, as the platform's error."""
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or url
    if isinstance(error, websocket.WebSocketBadStatusException):
        body = error.resp_body or b""
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
        return refused(error.status_code, error.resp_headers or {}, text, url)
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateRefused(
            f"The certificate of {host} could not be verified ({error.verify_message}); "
            "check this computer's clock and whether something intercepts its traffic."
        )
    if isinstance(error, websocket.WebSocketException) and not isinstance(
        error, (websocket.WebSocketTimeoutException, websocket.WebSocketAddressException)
    ):
        return FeedError(f"{host} does not speak WebSocket here: {error}.")
    return NoNetwork(f"{host} does not answer; check the network.")
