"""What a user sees: landing, Start, every tab, on the demo market and on the recording."""

from __future__ import annotations

import time

import pytest

from tests.browser.furnished import furnish

TABS = [
    "Dashboard", "OHLC Charts", "Pair Analytics", "Scanner", "Backtest", "Statistics", "Portfolio",
    "Alerts", "Jobs", "Data", "Health",
]  # fmt: skip


def running(visit, server, tab="Dashboard", **size):
    """A page with the feed on and data on it."""
    page = visit(server, **size)
    page.open(tab)
    page.start()
    page.page.locator(".st-key-stop button:not([disabled])").wait_for()
    return page


def wait_for_data(seen) -> None:
    """Wait until the dashboard's chart of the pair is drawn: the analytics are loaded."""
    seen.charts("dashboard-pair").first.wait_for(timeout=150_000)


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def test_launch_start_and_live_prices_within_seconds(visit, demo_server, screenshots):
    seen = visit(demo_server)
    seen.open()
    seen.button("Launch Dashboard").wait_for(timeout=60_000)
    for step in ("1. Launch", "2. Choose a source", "3. Press Start", "4. Study a pair"):
        seen.page.get_by_text(step).wait_for()
    if screenshots:
        seen.page.screenshot(path=screenshots / "landing.png")
    seen.button("Launch Dashboard").click()
    seen.start()
    seen.page.locator(".st-key-tile-btcusdt [data-testid=stMetricValue]").wait_for(timeout=60_000)
    wait_for_data(seen)
    assert seen.page.get_by_text("SIMULATED DATA").first.is_visible()


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_overflows_on_any_tab(visit, demo_server, width, screenshots):
    seen = running(visit, demo_server, width=width, height=1100)
    seen.page.get_by_text("SIMULATED DATA").first.wait_for()
    wait_for_data(seen)
    too_wide = {}
    for tab in TABS:
        if screenshots and (tab, width) == ("Portfolio", 1440):
            furnish(demo_server)
            seen.page.wait_for_timeout(12_000)  # the toasts of its alerts have gone by then
        seen.go(tab)
        if tab == "Scanner":
            seen.page.get_by_text("Pairs tested").wait_for(timeout=100_000)
        if tab == "Backtest" and width == 1440:
            seen.page.locator(".st-key-backfill").wait_for(state="detached", timeout=150_000)
            field = seen.page.get_by_label("Its window")
            field.fill("30")  # two hours of candles leave enough to trade then
            field.press("Enter")
            seen.page.locator(".st-key-bt-run button").click()
            seen.charts("bt-equity-chart").first.wait_for(timeout=100_000)
        seen.page.wait_for_timeout(1_500)
        if (pixels := overflow(seen.page)) > 0:
            too_wide[tab] = pixels
        assert seen.page.get_by_text("could not be shown").count() == 0, tab
        assert seen.page.locator('[data-testid="stException"]').count() == 0, tab
        if screenshots:
            keep_picture(seen.page, tab, width, screenshots)
    assert too_wide == {}


def keep_picture(page, tab, width, folder) -> None:
    """The pictures of README and docs: each tab on a desk, the first on a phone."""
    # The picture of Jobs is made where there is one to be seen.
    if (width == 1440 and tab != "Jobs") or tab == TABS[0]:
        page.locator(".st-key-backfill").wait_for(state="detached", timeout=150_000)
        name = "phone" if width == 390 else tab.lower().replace(" ", "_")
        page.wait_for_timeout(3_000)
        page.screenshot(path=folder / f"{name}.png")


MARK = "document.querySelectorAll('.live-chart').forEach((n) => { n.marked = true; })"
MARKED = "[...document.querySelectorAll('.live-chart')].map((n) => Boolean(n.marked))"


def test_charts_are_updated_in_place_and_the_last_point_advances(visit, demo_server):
    """Sixty refreshes of three tabs, watched side by side."""
    watched = []
    for tab, key in (
        ("Dashboard", "dashboard-pair"), ("OHLC Charts", "ohlc"), ("Pair Analytics", "pair-main"),
    ):  # fmt: skip
        seen = running(visit, demo_server, tab)
        seen.charts(key).first.wait_for(timeout=150_000)
        seen.page.evaluate(MARK)
        shown = seen.page.locator(".live-chart").count()
        watched.append((seen, key, shown, [seen.state(key)]))
    deadline = time.monotonic() + 220
    while min(len(states) for *_, states in watched) <= 60 and time.monotonic() < deadline:
        for seen, key, _, states in watched:
            state = seen.state(key)
            if state["draws"] != states[-1]["draws"]:
                states.append(state)
        watched[0][0].page.wait_for_timeout(100)
    for seen, key, shown, states in watched:
        assert len(states) > 60, key
        assert seen.page.evaluate(MARKED) == [True] * shown, "no chart's node was replaced"
        values = {(state["lastX"], state["lastY"]) for state in states}
        assert len(values) > 40, "the last point moves with the market"


def test_zoom_is_kept_and_a_double_click_follows_again(visit, demo_server):
    seen = running(visit, demo_server, "OHLC Charts")
    chart = seen.charts("ohlc").first
    chart.wait_for(timeout=100_000)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    x, y = box["x"] + box["width"] * 0.5, box["y"] + 120
    seen.page.mouse.move(x, y)
    seen.page.mouse.down()
    seen.page.mouse.move(x + 160, y, steps=6)
    seen.page.mouse.up()
    seen.page.wait_for_timeout(1_500)
    moved = chart.evaluate("(n) => n._fullLayout.xaxis.range")
    draws = int(seen.state("ohlc")["draws"])
    assert seen.state("ohlc")["following"] == "false"
    while int(seen.state("ohlc")["draws"]) < draws + 3:
        seen.page.wait_for_timeout(300)
    assert chart.evaluate("(n) => n._fullLayout.xaxis.range") == moved
    seen.page.mouse.dblclick(x, y)
    seen.page.wait_for_timeout(1_500)
    assert seen.state("ohlc")["following"] == "true"


def test_typed_text_scroll_and_open_menus_survive_refreshes(visit, demo_server):
    seen = running(visit, demo_server, "Data")
    seen.page.get_by_text("Import", exact=True).first.click()
    field = seen.page.get_by_label("Symbol, where the file does not say")
    field.wait_for()
    field.press_sequentially("sol", delay=50)
    seen.page.wait_for_timeout(4_000)
    assert field.input_value() == "sol"
    field.press_sequentially("usdt", delay=50)
    assert field.input_value() == "solusdt"
    seen.button("delete Clear data keyboard_arrow_down").or_(
        seen.page.get_by_role("button", name="Clear data")
    ).first.click()
    seen.page.get_by_text("Settings, paper accounts, alert rules").wait_for()
    seen.page.wait_for_timeout(3_000)
    assert seen.page.get_by_text("Settings, paper accounts, alert rules").is_visible()


def test_a_link_opens_its_tab_and_a_tab_writes_the_link(visit, demo_server):
    seen = running(visit, demo_server, "Health")
    seen.page.get_by_text("Writer, median").wait_for()
    seen.go("Data")
    seen.page.wait_for_url("**tab=Data**")


def test_the_first_paint_of_a_warm_server_is_quick(visit, demo_server):
    wait_for_data(running(visit, demo_server))
    times = []
    for _ in range(3):
        seen = visit(demo_server)
        began = time.perf_counter()
        seen.open()
        seen.button("Launch Dashboard").wait_for()
        times.append(time.perf_counter() - began)
    # The target of 1.5 s is measured by benchmarks/dashboard.py; a test on a shared machine only
    # guards against an order of magnitude.
    assert min(times) < 15


def test_stop_and_start_again_keeps_everything(visit, demo_server):
    seen = running(visit, demo_server)
    wait_for_data(seen)
    seen.page.locator(".st-key-stop button").click()
    seen.page.locator(".st-key-header").get_by_text("stopped").wait_for()
    seen.page.reload()
    seen.page.locator(".st-key-tile-btcusdt [data-testid=stMetricValue]").wait_for()
    seen.start()
    seen.page.locator(".st-key-header").get_by_text("live").wait_for()


def test_what_one_page_stops_and_starts_another_can_start_and_stop(visit, demo_server):
    one = running(visit, demo_server)
    other = running(visit, demo_server, "Health")
    for pressed, left in (("stop", "start"), ("start", "stop")):
        one.page.locator(f".st-key-{pressed} button").click()
        other.page.locator(f".st-key-{left} button:not([disabled])").wait_for()
        other.page.locator(f".st-key-{pressed} button[disabled]").wait_for()


def test_the_recording_reaches_the_screen(visit, replay_server, screenshots):
    seen = running(visit, replay_server, "OHLC Charts")
    seen.charts("ohlc").first.wait_for(timeout=100_000)
    deadline = time.monotonic() + 60
    while int((state := seen.state("ohlc"))["points"]) <= 8 and time.monotonic() < deadline:
        seen.page.wait_for_timeout(500)
    assert int(state["points"]) > 8
    assert float(state["lastY"]) > 1_000
    assert seen.page.get_by_text("replay of a recording").first.is_visible()
    if screenshots:
        seen.page.wait_for_timeout(25_000)
        seen.page.screenshot(path=screenshots / "replay.png")


def test_an_unreachable_exchange_is_said_and_the_demo_is_one_button_away(dead_server, visit):
    seen = visit(dead_server)
    seen.open("Dashboard")
    seen.start()
    seen.page.get_by_text("does not answer").first.wait_for()
    assert seen.page.get_by_text("SIMULATED DATA").count() == 0, "nothing made up unasked"
    seen.page.get_by_role("button", name="Switch to the demo market").click()
    seen.page.get_by_text("SIMULATED DATA").first.wait_for()
    # A server that has just begun: on a busy machine it still loads and compiles.
    tile = seen.page.locator(".st-key-tile-btcusdt [data-testid=stMetricValue]")
    tile.wait_for(timeout=150_000)
