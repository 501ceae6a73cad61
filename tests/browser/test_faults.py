"""What fails between the page and its program is said, and the page comes back by itself."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from tests.browser.conftest import ROOT, start_server, stop_server
from tests.browser.test_page import running, wait_for_data

OPACITY = "(node) => Number(getComputedStyle(node).opacity)"
UNANSWERED = ".live-unanswered"
AGE = ".st-key-page-age .live-row"


def opacity(seen) -> float:
    return seen.charts("dashboard-pair").first.evaluate(OPACITY)


def wait_for_opacity(seen, least: float, most: float) -> None:
    for _ in range(120):
        if least <= opacity(seen) <= most:
            return
        seen.page.wait_for_timeout(250)
    assert least <= opacity(seen) <= most


def test_data_gone_stale_are_grey_until_the_feed_is_back(visit, demo_server):
    seen = running(visit, demo_server)
    wait_for_data(seen)
    assert opacity(seen) == 1
    seen.button("Stop").click()
    seen.page.get_by_text("stale: last trade").wait_for()
    wait_for_opacity(seen, 0.5, 0.6)
    seen.start()
    wait_for_opacity(seen, 1, 1)
    assert seen.page.get_by_text("stale: last trade").count() == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot hold a process")
def test_a_program_that_answers_no_more_is_said_and_the_page_goes_on_when_it_does(visit, tmp_path):
    server = start_server(tmp_path, "demo", BACKFILL_MINUTES="30")
    seen = running(visit, server)
    try:
        wait_for_data(seen)
        os.kill(server.process.pid, signal.SIGSTOP)
        seen.page.locator(UNANSWERED, has_text="No answer for").wait_for()
        assert 0.5 < opacity(seen) < 0.6
        os.kill(server.process.pid, signal.SIGCONT)
        seen.page.locator(UNANSWERED).wait_for(state="detached")
        wait_for_opacity(seen, 1, 1)
        # A tab that follows nothing hears of it as well.
        seen.go("Health")
        os.kill(server.process.pid, signal.SIGSTOP)
        seen.page.locator(UNANSWERED).wait_for()
        os.kill(server.process.pid, signal.SIGCONT)
        seen.page.locator(UNANSWERED).wait_for(state="detached")
    finally:
        seen.page.close()
        os.kill(server.process.pid, signal.SIGCONT)
        stop_server(server)


def test_a_page_left_open_over_another_release_begins_anew(visit, tmp_path):
    root = tmp_path / "platform"
    without = shutil.ignore_patterns(".*", "tests", "benchmarks", "docs", "__pycache__", "*.db*")
    shutil.copytree(ROOT, root, ignore=without)
    shutil.copytree(ROOT / ".streamlit", root / ".streamlit")
    server = start_server(tmp_path, "demo", root=root, BACKFILL_MINUTES="5")
    seen = running(visit, server)
    seen.page.locator(AGE).wait_for()
    stop_server(server)
    hub = root / "live" / "hub.js"
    hub.write_text(hub.read_text(encoding="utf-8") + "// another release\n", encoding="utf-8")
    port = int(server.url.rsplit(":", 1)[1])
    server = start_server(tmp_path, "demo", root=root, port=port, BACKFILL_MINUTES="5")
    try:
        seen.page.wait_for_function(
            "performance.getEntriesByType('navigation')[0].type === 'reload'", timeout=60_000
        )
        seen.page.locator(AGE).wait_for()
        assert seen.page.locator(AGE).count() == 1
    finally:
        seen.page.close()
        stop_server(server)
    seen.errors.clear()  # the connection was refused for a while


def test_charts_come_when_their_library_could_not_be_loaded_at_first(visit, demo_server):
    wait_for_data(running(visit, demo_server))
    seen = visit(demo_server)
    seen.page.route("**/platform/plotly-*", lambda route: route.abort())
    seen.open("Dashboard")
    seen.page.get_by_text("The chart library could not be loaded").first.wait_for()
    seen.page.unroute("**/platform/plotly-*")
    wait_for_data(seen)
    assert seen.page.get_by_text("The chart library could not be loaded").count() == 0
    assert all("ERR_FAILED" in text for text in seen.errors), "nothing else went wrong"
    seen.errors.clear()


@pytest.mark.parametrize("module", ["hub", "chart"])
def test_a_module_that_could_not_be_loaded_is_loaded_with_the_page_anew(
    visit, demo_server, module: str
):
    wait_for_data(running(visit, demo_server))
    seen = visit(demo_server)
    failed: list[str] = []

    def fails(route) -> None:
        failed.append(route.request.url)
        route.abort()

    address = f"**/platform/*/{module}.js"
    seen.page.route(address, fails)
    seen.open("Dashboard")
    seen.page.wait_for_function("window.platformReload")
    assert failed
    seen.page.unroute(address)
    wait_for_data(seen)
    assert all("ERR_FAILED" in text for text in seen.errors), "nothing else went wrong"
    seen.errors.clear()
