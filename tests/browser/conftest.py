"""The page in a real browser: the server as users start it, and the system's Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
READY_S = 90
_SYMBOLS = "btcusdt,ethusdt,solusdt,linkusdt,adausdt"
# What Chromium says of Streamlit's own frames, which is not ours to mend.
_NOT_OURS = ("Unrecognized feature", "allow-scripts and allow-same-origin")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser."""
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(400))


@dataclass
class Server:
    """A running `streamlit run app.py` on a free port, its databases in a folder of their own."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(
    folder: Path, source: str, *, root: Path = ROOT, port: int | None = None, **settings: str
) -> Server:
    port = port or free_port()
    log = folder / "server.log"
    environment = os.environ | {
        "CRYPTO_DB_PATH": str(folder / "ticks.db"),
        "DATA_SOURCE": source,
        "REFRESH_INTERVAL": "500",
        **settings,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
            cwd=root,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    base = settings.get("STREAMLIT_SERVER_BASE_URL_PATH", "").strip("/")
    server = Server(f"http://localhost:{port}/{base}".rstrip("/"), process, log)
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return server
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"The server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def stop_server(server: Server) -> None:
    """End it as Ctrl-C does; nothing that was walked may have left a warning of Streamlit's."""
    server.process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
    try:
        server.process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    log = server.log.read_text(encoding="utf-8", errors="replace")
    assert "Session State API" not in log, log
    assert "Uncaught app execution" not in log, log


@pytest.fixture(scope="package")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The demo market, two hours of it fetched on Start."""
    server = start_server(
        tmp_path_factory.mktemp("demo"), "demo", BACKFILL_MINUTES="120", DEFAULT_SYMBOLS=_SYMBOLS
    )
    yield server
    stop_server(server)


@pytest.fixture(scope="module")
def replay_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The recording that is shipped, played at its own speed."""
    server = start_server(tmp_path_factory.mktemp("replay"), "replay", DEFAULT_TIMEFRAME="1s")
    yield server
    stop_server(server)


@pytest.fixture
def dead_server(tmp_path: Path) -> Iterator[Server]:
    """The live source at an address where nobody answers."""
    nowhere = f"127.0.0.1:{free_port()}"
    server = start_server(
        tmp_path, "live", BINANCE_WS_URL=f"ws://{nowhere}", BINANCE_REST_URL=f"http://{nowhere}"
    )
    yield server
    stop_server(server)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium; not for longer, because its driver keeps an event loop running."""
    if CHROMIUM is None:
        message = "Chromium is not installed; on Debian: apt-get install chromium"
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@dataclass
class Visit:
    """A page and what went wrong on it."""

    page: Any
    url: str
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def open(self, tab: str | None = None) -> None:
        """The landing page, or a tab by its link."""
        self.page.goto(self.url + (f"/?tab={tab.replace(' ', '+')}" if tab else "/"))

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def go(self, tab: str) -> None:
        """Press a tab and wait until it is the one shown."""
        self.page.get_by_role("tab", name=tab, exact=True).click()
        self.page.locator(f'[role="tab"][aria-selected="true"]:has-text("{tab}")').wait_for()

    def start(self) -> None:
        """Start the feed unless it runs."""
        self.button("Start").wait_for(timeout=60_000)
        if self.button("Start").is_enabled():
            self.button("Start").click()

    def charts(self, key: str | None = None) -> Any:
        """Live charts that have been drawn, those of a key or all."""
        place = f".st-key-{key} " if key else ""
        return self.page.locator(f"{place}.live-chart[data-draws]")

    def state(self, key: str) -> dict[str, Any]:
        """What the chart of a key says of itself."""
        return self.charts(key).first.evaluate("(node) => ({...node.dataset})")


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Opens pages; at the end of the test none may have erred or asked for anything outside."""
    contexts, visits = [], []

    def opened(server: Server, width: int = 1440, height: int = 1000, **more: Any) -> Visit:
        settings = {"timezone_id": "Europe/Berlin", "color_scheme": "dark"} | more
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        made = Visit(page, server.url)
        page.on("console", lambda m: _note(made, m))
        page.on("pageerror", lambda e: made.errors.append(str(e)))
        page.on("request", lambda r: _ask(made, r.url))
        visits.append(made)
        return made

    yield opened
    for context in contexts:
        context.close()
    for made in visits:
        assert made.errors == []
        assert made.outside == []


def _note(made: Visit, message: Any) -> None:
    if message.type == "error" and not any(part in message.text for part in _NOT_OURS):
        made.errors.append(message.text)


def _ask(made: Visit, url: str) -> None:
    local = ("http://localhost", "ws://localhost", "data:", "blob:", "about:")
    if not url.startswith(local):
        made.outside.append(url)


@pytest.fixture(scope="session")
def screenshots() -> Path | None:
    """Where screenshots go; set SCREENSHOTS=1 to write those of the docs anew."""
    if not os.environ.get("SCREENSHOTS"):
        return None
    folder = ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
