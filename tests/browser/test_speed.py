"""What keeps the page quick, held by order and number instead of by a clock."""

from __future__ import annotations

import json
import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import streamlit

from tests.browser.test_page import running, wait_for_data

# What is seen first, and in which frame each chart is drawn for the first time.
RECORD = """() => {
  window.seen = [];
  window.firsts = {};
  let frame = 0;
  const count = () => { frame++; requestAnimationFrame(count); };
  requestAnimationFrame(count);
  const names = { "[data-testid=stMetricValue]": "numbers", ".live-chart[data-draws]": "chart",
    ".st-key-heartbeat iframe": "heartbeat" };
  new MutationObserver(() => {
    for (const [selector, name] of Object.entries(names)) {
      if (!window.seen.includes(name) && document.querySelector(selector)) window.seen.push(name);
    }
    for (const node of document.querySelectorAll(".live-chart[data-draws]")) {
      const key = node.closest("[class*=st-key-]").className;
      window.firsts[key] ??= frame;
    }
  }).observe(document, { subtree: true, childList: true, attributes: true,
                         attributeFilter: ["data-draws"] });
}"""
# Labels of vertical axes that stick out of their chart.
CUT_OFF = """() => [...document.querySelectorAll(".live-chart[data-draws]")].flatMap((chart) => {
  const right = chart.getBoundingClientRect().right;
  return [...chart.querySelectorAll("[class*=ytick] text")]
    .filter((label) => label.getBoundingClientRect().right > right)
    .map((label) => label.textContent);
})"""


def test_numbers_are_seen_before_a_chart_is_drawn_and_charts_take_turns(demo_server, visit):
    wait_for_data(running(visit, demo_server))
    seen = visit(demo_server)
    seen.page.add_init_script(f"({RECORD})()")
    seen.open("Pair Analytics")
    for key in ("pair-main", "pair-ratio", "pair-scatter"):
        seen.charts(key).first.wait_for()
    seen.page.locator(".st-key-heartbeat iframe").wait_for(state="attached")
    order = seen.page.evaluate("seen")
    assert order[0] == "numbers"
    assert set(order) == {"numbers", "chart", "heartbeat"}
    # Those below the fold come when the browser is idle, which may be twice in a frame.
    first, *later = sorted(seen.page.evaluate("Object.values(firsts)"))
    assert len(later) >= 2
    assert first < later[0]


def test_what_the_desk_is_drawn_with_is_fetched_with_the_page(demo_server, visit):
    wait_for_data(running(visit, demo_server))
    seen = visit(demo_server)
    seen.open("Dashboard")
    seen.charts("dashboard-pair").first.wait_for()
    began = json.loads(
        seen.page.evaluate(
            """() => JSON.stringify(Object.fromEntries(performance.getEntriesByType("resource")
              .map((entry) => [entry.name.split("/").pop(), entry.startTime])))"""
        )
    )
    # The connection over which elements come is asked for after this.
    connected = began["health"]
    for piece in ("cards.js", "hub.js", "chart.js"):
        assert began[piece] < connected
    bidi = next(name for name in began if name.startswith("BidiComponent"))
    assert began[bidi] < connected


def test_where_the_reduced_chart_library_does_not_run_the_whole_one_does(demo_server, visit):
    from live.assets import plotly_paths

    wait_for_data(running(visit, demo_server))
    reduced, whole = plotly_paths()
    seen, asked = visit(demo_server), []
    seen.page.on("request", lambda request: asked.append(request.url))
    seen.open("Dashboard")
    seen.charts("dashboard-pair").first.wait_for()
    assert [url.endswith(whole) for url in asked].count(True) == 0
    assert [url.endswith(reduced) for url in asked].count(True) == 1
    other = visit(demo_server)
    empty = {"content_type": "text/javascript", "body": ""}
    other.page.route(f"**{reduced}", lambda route: route.fulfill(**empty))
    other.open("Dashboard")
    other.charts("dashboard-pair").first.wait_for()


def test_a_chart_of_closed_candles_is_not_drawn_again_with_every_refresh(demo_server, visit):
    seen = visit(demo_server)
    seen.page.goto(f"{demo_server.url}/?tab=Statistics&timeframe=1min")
    chart = seen.charts("stats-distribution").first
    chart.wait_for(timeout=150_000)
    # As long as the past is fetched there are other candles every moment.
    seen.page.locator(".st-key-backfill").wait_for(state="detached", timeout=150_000)
    seen.page.wait_for_timeout(1_500)
    before = int(chart.get_attribute("data-draws"))
    refreshes = []
    seen.page.locator(".st-key-heartbeat iframe").wait_for(state="attached")
    for _ in range(6):
        refreshes.append(seen.page.locator(".st-key-page-age").first.inner_text())
        seen.page.wait_for_timeout(1_000)
    assert len(set(refreshes)) > 2, "the page is refreshed"
    # One candle may have closed meanwhile.
    assert int(chart.get_attribute("data-draws")) <= before + 1


def test_labels_have_the_room_that_is_left_to_them_at_any_zoom(demo_server, visit):
    for width in (1440, 390):
        seen = running(visit, demo_server, width=width)
        wait_for_data(seen)
        for tab, key in (("Pair Analytics", "pair-main"), ("OHLC Charts", "ohlc")):
            seen.go(tab)
            seen.charts(key).first.wait_for()
            assert seen.page.evaluate(CUT_OFF) == []
        seen.page.evaluate(
            """() => { const chart = document.querySelector(".st-key-ohlc .live-chart");
              const [low, high] = chart._fullLayout.yaxis.range, middle = (low + high) / 2;
              const range = [middle, middle + (high - low) / 2000];
              Plotly.relayout(chart, { "yaxis.range": range }); }"""
        )
        seen.page.wait_for_timeout(1500)
        assert seen.page.evaluate(CUT_OFF) == []


def test_a_visitor_who_leaves_at_once_does_not_spoil_the_page_for_the_next(demo_server):
    files = sorted((Path(streamlit.__file__).parent / "static" / "static" / "js").glob("*.js"))
    address = urlsplit(demo_server.url)
    for file in files:
        with socket.create_connection((address.hostname, address.port)) as left:
            left.sendall(f"GET /static/js/{file.name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    for file in files:
        with urllib.request.urlopen(f"{demo_server.url}/static/js/{file.name}", timeout=20) as got:
            assert got.read() == file.read_bytes(), file.name
