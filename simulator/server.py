"""The exchange look-alike: one port, WebSocket and REST, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from simulator import wire
from simulator.connection import Address, Client
from simulator.faults import Fault, FaultDesk, Step
from simulator.market import PlantedMarket
from simulator.rest import Answer, Rest
from simulator.tape import Event, Market, Tape

_PAUSE_S = 0.02
_SLOW_CLIENT_BYTES = 64 * 1024 * 1024
_log = logging.getLogger("simulator")


class Exchange:
    """An exchange on loopback that plays a market.

    Parameters
    ----------
    market : Market, optional
        What it plays; the planted market by default.
    host, port : str, int
        Where it listens; port 0 takes a free one.
    weight_a_minute : int
        REST budget, as the exchange counts it.
    ping_interval_s : float
        How often it pings its clients.
    lifetime_s : float
        How long a connection lives before it is closed with a ``serverShutdown`` event.
    script : sequence of Step
        Faults at given numbers of delivered events.
    fault_seed : int
        Seed of what the faults draw.
    tls : ssl.SSLContext, optional
        With it, it speaks wss and https alone.

    Examples
    --------
    >>> with Exchange() as exchange:
    ...     print(exchange.ws_url, exchange.rest_url)  # doctest: +SKIP
    """

    def __init__(
        self,
        market: Market | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        weight_a_minute: int = 2400,
        ping_interval_s: float = 180.0,
        lifetime_s: float = 86_400.0,
        script: Sequence[Step] = (),
        fault_seed: int = 7,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.market: Market = market if market is not None else PlantedMarket()
        self._host, self._port, self._tls = host, port, tls
        self._ping_interval_s, self._lifetime_s = ping_interval_s, lifetime_s
        self._rest = Rest(self.market, weight_a_minute, time.time)
        self.faults = FaultDesk(self, script, fault_seed)
        self.clients: list[Client] = []
        self.events_sent = 0
        self.handshakes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._halt: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread: threading.Thread | None = None

    # -- from any thread ----------------------------------------------------------------------

    def start(self) -> Exchange:
        """Listen; returns when connections are accepted.

        Raises
        ------
        OSError
            The port is taken or the address is not this machine's.
        """
        if self._thread is not None:
            return self
        self._ready.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure
        return self

    def stop(self) -> None:
        """Hang up on everybody and stop listening; returns when it is done."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._halt is not None:
            self._loop.call_soon_threadsafe(self._halt.set)
        thread.join()

    def __enter__(self) -> Exchange:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def ws_url(self) -> str:
        """Base for ``BINANCE_WS_URL``."""
        return f"{'wss' if self._tls else 'ws'}://{self._host}:{self._port}"

    @property
    def rest_url(self) -> str:
        """Base for ``BINANCE_REST_URL``."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def tape(self) -> Tape:
        """The truth, id by id, whatever happens on the connections."""
        return self.market.tape

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._thread is not None and self._thread.is_alive()

    def inject(self, fault: Fault) -> None:
        """Let `fault` happen now; returns when it has struck."""
        loop = self._loop
        if loop is None or not self.running:
            raise RuntimeError("The exchange is not running, so that nothing can go wrong with it.")

        async def strike() -> None:
            self.faults.strike(fault)

        asyncio.run_coroutine_threadsafe(strike(), loop).result(timeout=10.0)

    # -- in the loop's thread -----------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as failure:
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._halt = asyncio.get_running_loop(), asyncio.Event()
        quiet = logging.getLogger("simulator.websockets")
        quiet.setLevel(logging.CRITICAL)
        async with serve(
            self._converse,
            self._host,
            self._port,
            ssl=self._tls,
            process_request=self._greet,
            compression=None,
            ping_interval=None,
            close_timeout=1.0,
            logger=quiet,
        ) as server:
            self._port = next(iter(server.sockets)).getsockname()[1]
            pump = asyncio.create_task(self._pump())
            self._ready.set()
            halt = asyncio.create_task(self._halt.wait())
            await asyncio.wait((pump, halt), return_when=asyncio.FIRST_COMPLETED)
            for task in (pump, halt):
                task.cancel()
            for client in list(self.clients):
                client.socket.transport.abort()
            if pump.done() and not pump.cancelled() and pump.exception() is not None:
                _log.error("the simulated market stopped", exc_info=pump.exception())

    async def _greet(self, socket: ServerConnection, request: Request) -> Response | None:
        """Answer REST, refuse wrong addresses, let the rest shake hands."""
        path = request.path
        if path.startswith("/fapi/"):
            answer = self.faults.rest_answer(path)
            if answer is None:
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(None, self._rest.answer, path)
            return _response(answer)
        self.handshakes += 1
        refusal = self.faults.handshake_answer()
        if refusal is not None:
            return _response(refusal)
        address = Address(path)
        if address.route is None:
            return _response(Answer(404, b"Not Found"))
        if any("," in stream or "%2C" in stream.upper() for stream in address.streams):
            return _response(Answer(400, b"Bad Request"))
        return None

    async def _converse(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        client = Client(socket, Address(socket.request.path))
        self.clients.append(client)
        loop = asyncio.get_running_loop()
        life = loop.call_later(self._lifetime_s, self.faults.end_of_life, client)
        pings = asyncio.create_task(self._ping(client))
        try:
            await client.converse()
            if client.deaf:
                await socket.wait_closed()
        finally:
            life.cancel()
            pings.cancel()
            self.clients.remove(client)

    async def _ping(self, client: Client) -> None:
        while True:
            await asyncio.sleep(self._ping_interval_s)
            payload = str(self.market.now_ms()).encode()
            client.write(wire.text_frame(payload, opcode=9))

    async def _pump(self) -> None:
        """Tell the clients what happens, as it happens."""
        while True:
            wanted = {
                stream
                for client in self.clients
                for stream in client.streams
                if client.wants(stream)
            }
            if self._behind():
                await asyncio.sleep(_PAUSE_S / 10)
                continue
            events = self.market.due(wanted)
            if events:
                self.deliver(events)
            await asyncio.sleep(0 if events and self._unpaced else _PAUSE_S)

    @property
    def _unpaced(self) -> bool:
        return bool(getattr(self.market, "unpaced", False))

    def _behind(self) -> bool:
        """Whether an unpaced recording has to wait; slow clients of a paced market are dropped."""
        if self._unpaced:
            return any(c.open and c.waiting_bytes > 1 << 20 for c in self.clients)
        for client in self.clients:
            if client.waiting_bytes > _SLOW_CLIENT_BYTES:
                client.socket.transport.abort()
        return False

    def deliver(self, events: list[Event]) -> None:
        """Send events to all who subscribed, stopping where the script has a fault."""
        self.faults.run_script(self.events_sent)
        while events:
            room = self.faults.until_next(self.events_sent)
            batch, events = (events, []) if room is None else (events[:room], events[room:])
            heard = any(client.healthy for client in self.clients)
            for client in list(self.clients):
                client.deliver(batch)
            if heard:  # the script waits for a client that can feel what it does
                self.events_sent += len(batch)
            self.faults.run_script(self.events_sent)


def _response(answer: Answer) -> Response:
    headers = Headers()
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(answer.body))
    headers["Connection"] = "close"
    if answer.retry_after_s is not None:
        headers["Retry-After"] = str(answer.retry_after_s)
    if answer.used_weight is not None:
        headers["X-MBX-USED-WEIGHT-1M"] = str(answer.used_weight)
    return Response(answer.status, HTTPStatus(answer.status).phrase, headers, answer.body)
