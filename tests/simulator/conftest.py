"""An exchange to talk to, and a client that shares no code with the platform."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import websocket

from simulator import Clock, Exchange, PlantedMarket, PlantedTape

START_MS = 1_781_524_800_000.0  # 2026-06-15T12:00:00Z


class Caller:
    """A WebSocket connection and what comes over it."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self.ws = websocket.create_connection(url, timeout=timeout, skip_utf8_validation=True)

    def ask(self, method: str, params: list[str] | None = None, number: Any = 1) -> Any:
        """Send a control message; the answer, events before it left out."""
        message: dict[str, Any] = {"method": method, "id": number}
        if params is not None:
            message["params"] = params
        self.ws.send(json.dumps(message))
        return self.answer()

    def answer(self) -> Any:
        while True:
            message = self.receive()
            if "result" in message or "error" in message:
                return message

    def receive(self) -> Any:
        return json.loads(self.ws.recv())

    def events(self, count: int) -> list[Any]:
        """The next events, answers left out, envelopes taken off."""
        found: list[Any] = []
        while len(found) < count:
            message = self.receive()
            event = message.get("data", message)
            if "e" in event:
                found.append(event)
        return found

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        self.ws.settimeout(seconds)
        try:
            self.ws.recv()
        except websocket.WebSocketTimeoutException:
            return True
        finally:
            self.ws.settimeout(5.0)
        return False


@pytest.fixture
def start() -> Iterator[Callable[..., Exchange]]:
    """Starts exchanges on a market twenty times as fast as time, and stops them afterwards."""
    with ExitStack() as stack:

        def begin(speed: float = 20.0, **options: Any) -> Exchange:
            market = options.pop("market", None)
            if market is None:
                market = PlantedMarket(PlantedTape(), Clock(speed=speed, start_ms=START_MS))
            return stack.enter_context(Exchange(market, **options))

        yield begin


@pytest.fixture
def call() -> Iterator[Callable[..., Caller]]:
    """Connects to a path of an exchange, and hangs up afterwards."""
    with ExitStack() as stack:

        def connect(exchange: Exchange, path: str, **options: Any) -> Caller:
            caller = Caller(exchange.ws_url + path, **options)
            stack.enter_context(closing(_Hangup(caller.ws)))
            return caller

        yield connect


class _Hangup:
    def __init__(self, ws: websocket.WebSocket) -> None:
        self._ws = ws

    def close(self) -> None:
        self._ws.shutdown()


@pytest.fixture(scope="session")
def real_recording() -> Path:
    """The recorded frames of the real exchange, where they lie beside the checkout."""
    for folder in Path(__file__).parents:
        found = folder.parent / "shared" / "data" / "binance-usdm-2024-08-08"
        if found.is_dir():
            return found
    pytest.skip("the recordings of the real exchange are not beside this checkout")
