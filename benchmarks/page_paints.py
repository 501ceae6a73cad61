"""First paint and tab switches, timed by the page's own clock in headless Chromium."""

from __future__ import annotations

import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
_PANEL = '[role="tabpanel"]:not([inert]) '
# The first thing on each tab that says something of the data, or what can be done there.
_PLAIN = {
    "Charts": f"{_PANEL}.js-plotly-plot .main-svg",
    "Number": f"{_PANEL}[data-testid=stMetricValue]",
}
_OURS = {
    "OHLC Charts": ".st-key-ohlc .live-chart[data-draws]",
    "Pair Analytics": ".st-key-pair-main .live-chart[data-draws]",
    "Scanner": f"{_PANEL}[data-testid=stMetricValue], {_PANEL}button[kind]",
    "Backtest": ".st-key-bt-run button",
    "Statistics": "[class*=st-key-stats-] .live-chart[data-draws]",
    "Portfolio": f"{_PANEL}button[kind], {_PANEL}[data-testid=stMetricValue]",
    "Alerts": f"{_PANEL}button[kind]",
    "Data": f"{_PANEL}[data-testid=stDataFrame]",
    "Health": f"{_PANEL}[data-testid=stMetricValue]",
    "Dashboard": ".st-key-dashboard-pair .live-chart[data-draws]",
}
_SEEN = """(selector) => new Promise((resolve) => {
  const look = () => {
    const found = [...document.querySelectorAll(selector)].find((n) => n.getClientRects().length);
    found ? resolve(performance.now()) : requestAnimationFrame(look);
  };
  look();
})"""
_SWITCH = """([name, selector]) => new Promise((resolve) => {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const tab = tabs.find((n) => n.textContent.trim() === name);
  const began = performance.now();
  tab.click();
  const look = () => {
    const found = [...document.querySelectorAll(selector)].find((n) => n.getClientRects().length);
    const here = tab.getAttribute("aria-selected") === "true";
    if (found && here) resolve(performance.now() - began);
    else if (performance.now() - began > 20000) resolve(NaN);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


class Page(Protocol):
    """A server that is measured."""

    port: int

    def cpu_s(self) -> float:
        """Seconds it has computed so far."""


@dataclass(frozen=True)
class Visit:
    """An address, opened with an empty cache, and what is waited for there."""

    server: str
    query: str
    marks: dict[str, str]


_VISITS = (
    Visit("plain", "", {"chart": ".js-plotly-plot .main-svg"}),
    Visit("plain", "?tab=Number", {"number, alone on its page": "[data-testid=stMetricValue]"}),
    Visit("ours", "", {"landing": ".st-key-launch button"}),
    Visit(
        "ours",
        "?tab=Dashboard",
        {"numbers": "[data-testid=stMetricValue]", "chart": ".live-chart[data-draws]"},
    ),
)


def paints(servers: dict[str, Page], rounds: int) -> Iterator[str]:
    """Lines about first paints and tab switches of ``plain`` and ``ours``, round by round in turn.

    What the server computed meanwhile stands in brackets. The first round warms and does not count.
    """
    if CHROMIUM is None:
        yield "Chromium is not installed, paints are not measured"
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield from _first_paints(browser, servers, rounds)
            yield from _switches(browser, servers, rounds)
        finally:
            browser.close()


def _first_paints(browser: Any, servers: dict[str, Page], rounds: int) -> Iterator[str]:
    seen: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds + 1):
        for n, visit in enumerate(_VISITS):
            server = servers[visit.server]
            before = server.cpu_s()
            for mark, ms in _paint(browser, f"{_home(server)}{visit.query}", visit.marks).items():
                seen[f"{visit.server}: first {mark}"].append(ms / 1000)
            seen[f"cpu {n}"].append((server.cpu_s() - before) * 1000)
    for n, visit in enumerate(_VISITS):
        cpu = statistics.median(seen[f"cpu {n}"][1:])
        for mark in visit.marks:
            name = f"{visit.server}: first {mark}"
            s = seen[name][1:]
            yield f"{name} {statistics.median(s):.2f} s, at best {min(s):.2f} [{cpu:.0f} ms CPU]"


def _paint(browser: Any, url: str, marks: dict[str, str]) -> dict[str, float]:
    """When each mark is first seen, ms from the start of the navigation; an empty cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.goto(url, wait_until="commit")
    seen = {mark: page.evaluate(_SEEN, selector) for mark, selector in marks.items()}
    context.close()
    return seen


def _home(server: Page) -> str:
    return f"http://127.0.0.1:{server.port}/"


def _switches(browser: Any, servers: dict[str, Page], rounds: int) -> Iterator[str]:
    tabs = {"plain": _PLAIN, "ours": _OURS}
    pages = {}
    for name, server in servers.items():
        page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        page.set_default_timeout(60_000)
        page.goto(_home(server) + ("?tab=Dashboard" if name == "ours" else ""))
        page.locator('[role="tab"]').first.wait_for()
        pages[name] = page
    took: dict[tuple[str, str], list[float]] = defaultdict(list)
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(rounds + 1):
        for name, page in pages.items():
            page.bring_to_front()
            for tab, selector in tabs[name].items():
                page.wait_for_timeout(600)
                before = servers[name].cpu_s()
                took[name, tab].append(page.evaluate(_SWITCH, [tab, selector]))
                spent[name, tab].append((servers[name].cpu_s() - before) * 1000)
    yield "tab switches, second visit on: ms, at best [CPU]"
    for name in pages:
        told = (
            f"{tab} {statistics.median(took[name, tab][1:]):.0f}, {min(took[name, tab][1:]):.0f} "
            f"[{statistics.median(spent[name, tab][1:]):.0f}]"
            for tab in tabs[name]
        )
        yield f"{name}: {'; '.join(told)}"
