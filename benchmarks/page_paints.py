"""First paint and tab switches, timed by the page's own clock in headless Chromium."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
_PANEL = '[role="tabpanel"]:not([inert]) '
# The first thing on each tab that says something of the data, or what can be done there.
TABS = {
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


def paints(name: str, port: int, rounds: int, cpu_s: Callable[[], float]) -> str:
    """Lines about the variant: seconds to what it shows first, and ms of each tab switch.

    ``cpu_s`` tells how much the server has computed so far; what it spent stands in brackets.
    """
    if CHROMIUM is None:
        return f"{name}: Chromium is not installed, paints are not measured"
    from playwright.sync_api import sync_playwright

    url = f"http://127.0.0.1:{port}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            if name == "plain":
                marks = {"chart": ".js-plotly-plot"}
                return f"{name}: {_paints(browser, url, marks, rounds, cpu_s)}"
            marks = {"landing": ".st-key-launch button"}
            landing = _paints(browser, url, marks, rounds, cpu_s)
            marks = {"numbers": "[data-testid=stMetricValue]", "chart": ".live-chart[data-draws]"}
            desk = _paints(browser, f"{url}?tab=Dashboard", marks, rounds, cpu_s)
            return f"{name}: {landing}; {desk}\n{_switches(browser, url, rounds, cpu_s)}"
        finally:
            browser.close()


def _paint(browser: Any, url: str, marks: dict[str, str]) -> dict[str, float]:
    """When each mark is first seen, ms from the start of the navigation; an empty cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.goto(url, wait_until="commit")
    seen = {mark: page.evaluate(_SEEN, selector) for mark, selector in marks.items()}
    context.close()
    return seen


def _paints(
    browser: Any, url: str, marks: dict[str, str], rounds: int, cpu_s: Callable[[], float]
) -> str:
    seen, spent = [], []
    for _ in range(rounds + 1):
        before = cpu_s()
        seen.append(_paint(browser, url, marks))
        spent.append(cpu_s() - before)
    # The first round warms the server.
    medians = {mark: statistics.median(r[mark] for r in seen[1:]) for mark in marks}
    told = ", ".join(f"first {mark} {ms / 1000:.2f} s" for mark, ms in medians.items())
    return f"{told} [{statistics.median(spent[1:]) * 1000:.0f} ms CPU]"


def _switches(browser: Any, url: str, rounds: int, cpu_s: Callable[[], float]) -> str:
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}?tab=Dashboard")
    page.locator(TABS["Dashboard"]).first.wait_for()
    took: dict[str, list[float]] = {tab: [] for tab in TABS}
    spent: dict[str, list[float]] = {tab: [] for tab in TABS}
    for _ in range(rounds + 1):
        for tab, selector in TABS.items():
            page.wait_for_timeout(600)
            before = cpu_s()
            took[tab].append(page.evaluate(_SWITCH, [tab, selector]))
            spent[tab].append((cpu_s() - before) * 1000)
    told = (
        f"{tab} {statistics.median(ms[1:]):.0f} [{statistics.median(spent[tab][1:]):.0f}]"
        for tab, ms in took.items()
    )
    return f"      tab switches, ms [CPU] (second visit on): {', '.join(told)}"
