"""What follows the data without a run of the page: whole when something was missed, never mixed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import Server, start_server, stop_server
from tests.browser.test_page import running

LIVE = "**/platform/live/**"
# What the charts of a feed hold, beside what a browser that had nothing would be handed now.
COMPARE = """async (url) => {
  const hub = await import(performance.getEntriesByType("resource")
    .map((entry) => entry.name).find((name) => name.endsWith("/hub.js")));
  const whole = async () =>
    hub.read(new Uint8Array(await (await fetch(url, { cache: "no-store" })).arrayBuffer()));
  for (let attempt = 0; attempt < 200; attempt++) {
    const { head, floats } = await whole();
    const node = document.querySelector(".st-key-pair-main .live-chart");
    if (Number(node.dataset.version) === head.seq) {
      const part = head.parts["pair-main"];
      const held = node.data.map((trace) => Array.from(trace.y));
      const sent = part.fields.data.map((trace) =>
        Array.from(hub.column(part.columns[trace.y.$], null, floats).values));
      return JSON.stringify(held) === JSON.stringify(sent) ? "same" : "different";
    }
    await new Promise((resolve) => setTimeout(resolve, 130));
  }
  return "never met";
}"""


def asked(seen) -> list[str]:
    """The addresses the page asks for live changes, as they come."""
    urls: list[str] = []
    seen.page.on("request", lambda r: urls.append(r.url) if "/platform/live/" in r.url else None)
    return urls


def wait_until(seen, true, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        seen.page.wait_for_timeout(200)
    assert true()


def have(url: str) -> int:
    return int(parse_qs(urlsplit(url).query)["have"][0])


def draws(seen, key: str) -> int:
    return int(seen.state(key)["draws"])


def test_changes_add_up_to_the_whole_and_a_client_that_missed_one_gets_the_whole(
    visit, demo_server
):
    seen = running(visit, demo_server, "Pair Analytics")
    seen.charts("pair-main").first.wait_for(timeout=150_000)
    urls = asked(seen)
    wait_until(seen, lambda: len(urls) > 8)
    assert any(have(url) > 0 for url in urls), "changes alone are asked for"
    whole = urls[-1].split("?")[0] + "?have=0"
    assert seen.page.evaluate(COMPARE, whole) == "same"
    # As long as twenty messages: the server no longer has what this browser has.
    seen.page.route(LIVE, lambda route: route.abort())
    before = draws(seen, "pair-main")
    seen.page.wait_for_timeout(8_000)
    seen.page.unroute(LIVE)
    assert draws(seen, "pair-main") > before, "while nobody answers, the page is run"
    count = len(urls)
    wait_until(seen, lambda: len(urls) > count + 4)
    assert seen.page.evaluate(COMPARE, urls[-1].split("?")[0] + "?have=0") == "same"
    seen.errors[:] = [text for text in seen.errors if "ERR_FAILED" not in text]


@pytest.mark.parametrize("instead", [{"status": 502}, {"content_type": "text/html"}])
def test_a_data_route_that_gives_something_else_leaves_a_page_that_goes_on(
    visit, demo_server, instead
):
    seen = visit(demo_server)
    seen.page.route(LIVE, lambda route: route.fulfill(body="<h1>Who are you?</h1>", **instead))
    seen.open("Dashboard")
    seen.start()
    seen.charts("dashboard-pair").first.wait_for(timeout=150_000)
    node = seen.charts("dashboard-pair").first
    node.evaluate("(n) => { n.marked = true; }")
    before = draws(seen, "dashboard-pair")
    wait_until(seen, lambda: draws(seen, "dashboard-pair") >= before + 5)
    assert node.evaluate("(n) => Boolean(n.marked)"), "and no chart is replaced"
    seen.errors[:] = [text for text in seen.errors if "502" not in text]


def test_sessions_with_other_settings_follow_other_feeds_and_equal_ones_share(visit, demo_server):
    first, same, other = (running(visit, demo_server, "Pair Analytics") for _ in range(3))
    urls = [asked(seen) for seen in (first, same, other)]
    other.page.goto(f"{demo_server.url}/?tab=Pair+Analytics&timeframe=5s")
    for seen in (first, same, other):
        seen.charts("pair-main").first.wait_for(timeout=150_000)
    wait_until(first, lambda: all(len(some) > 3 for some in urls))
    tokens = [some[-1].split("?")[0] for some in urls]
    assert tokens[0] == tokens[1]
    assert tokens[2] != tokens[0]
    step = "(n) => n.data[0].x[1] - n.data[0].x[0]"
    steps = [s.charts("pair-main").first.evaluate(step) for s in (first, same, other)]
    assert steps == [60_000, 60_000, 5_000]


def test_while_nothing_but_data_changes_the_page_is_not_run(visit, demo_server):
    seen, asked_for = visit(demo_server), []
    seen.page.on("websocket", lambda ws: ws.on("framesent", lambda f: asked_for.append(f)))
    seen.open("Dashboard")
    seen.start()
    seen.charts("dashboard-pair").first.wait_for(timeout=150_000)
    seen.page.locator(".st-key-backfill").wait_for(state="detached", timeout=150_000)
    seen.page.wait_for_timeout(5_000)
    before, runs, version = draws(seen, "dashboard-pair"), len(asked_for), set()

    def eight_draws() -> bool:
        version.add(seen.page.locator(".st-key-page-age .live-pill").first.inner_text())
        return draws(seen, "dashboard-pair") >= before + 8

    wait_until(seen, eight_draws)
    assert len(version) > 4, "the version shown goes with the chart"
    assert len(asked_for) - runs <= 3, "a run every fifteen refreshes, and where something is new"


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Server]:
    """The demo market on a database that does not exist yet."""
    server = start_server(tmp_path, "demo", BACKFILL_MINUTES="5")
    yield server
    stop_server(server)


def test_start_pressed_as_soon_as_it_is_there_on_a_new_database(new_server, visit):
    seen = visit(new_server)
    seen.open()
    # No waiting in between: the first runs of the page are cut short by the next click.
    seen.page.locator(".st-key-launch button").click()
    seen.page.locator(".st-key-start button").click(timeout=60_000)
    seen.page.locator(".st-key-tile-btcusdt [data-testid=stMetricValue]").wait_for()
    assert seen.page.get_by_text("could not be shown").count() == 0
    assert seen.page.locator('[data-testid="stException"]').count() == 0
    assert "Traceback" not in new_server.log.read_text(errors="replace")
