"""Newer controls in the states a user meets them in: empty, running, cancelled, done, failed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error

from tests.browser.conftest import Server, start_server, stop_server
from tests.browser.test_page import overflow, running

CROWDED = Path(__file__).with_name("crowded.js").read_text(encoding="utf-8")


def fits(seen, where: str) -> None:
    """Nothing sticks out or overlaps, on a phone and on a wide screen."""
    for width in (390, 1440):
        seen.page.set_viewport_size({"width": width, "height": 1100})
        seen.page.wait_for_timeout(500)
        assert overflow(seen.page) <= 0, (where, width)
        assert seen.page.evaluate(CROWDED) == [], (where, width)
    assert seen.page.locator('[data-testid="stException"]').count() == 0


def choose(seen, control: str, name: str) -> None:
    seen.page.locator(f".st-key-{control}").get_by_text(name, exact=True).click()


def test_a_sweep_is_cancelled_from_the_page_and_another_says_how_much_is_luck(visit, demo_server):
    seen = running(visit, demo_server, "Backtest")
    page = seen.page
    # As many candles as there are, so that there is time to cancel.
    page.goto(f"{demo_server.url}/?tab=Backtest&timeframe=1s")
    page.locator(".st-key-bt-limit").get_by_role("combobox").click()
    page.get_by_role("option", name="last 10,000").click()
    choose(seen, "bt-shown", "Sweep")
    seen.page.locator(".st-key-backfill").wait_for(state="detached", timeout=150_000)
    page.get_by_text("All 10 pairs of the 5 symbols").click()
    cancel = page.locator(".st-key-running-sweep").get_by_role("button", name="Cancel")
    kept = page.get_by_text("What has been computed is kept")
    for _ in range(8):  # a sweep takes about a second: it may be over before the hand is there
        seen.button("Run sweep").click()
        cancel.wait_for(state="attached")
        with contextlib.suppress(Error):  # the button left while it was being pressed
            cancel.click(timeout=2_000)
        cancel.wait_for(state="detached")
        page.wait_for_timeout(1_500)
        if kept.is_visible():
            break
    kept.wait_for()
    fits(seen, "a cancelled sweep")
    seen.go("Jobs")
    page.locator(".st-key-jobs-resume button:not([disabled])").wait_for()
    fits(seen, "a stopped job")
    seen.go("Backtest")
    page.get_by_text("This pair", exact=True).click()
    seen.button("Run sweep").click()
    luck = page.locator(".st-key-bt-sweep-luck")
    luck.get_by_text("Probability of overfitting").wait_for(timeout=120_000)
    for label in ("Trials", "Probability of overfitting", "Deflated Sharpe"):
        card = luck.locator('[data-testid="stMetric"]', has_text=label)
        assert card.locator('[data-testid="stMetricValue"]').inner_text() not in ("", "–")
    assert page.get_by_text("Overfitting: chosen on half of the candles").is_visible()
    seen.charts("bt-sweep-heat").first.wait_for()
    fits(seen, "the luck of a sweep")


def test_stored_data_their_filters_export_and_import_fit_a_phone_as_well(visit, demo_server):
    seen = running(visit, demo_server, "Data")
    page = seen.page
    page.locator('[data-testid="stDataFrame"]').first.hover()
    own = page.locator('[data-testid="stElementToolbar"] button[aria-label^="Download as CSV"]')
    assert own.count() > 0, "the label by which it is hidden"
    assert not any(button.is_visible() for button in own.all()), "it leaves formulas in cells"
    fits(seen, "stored ticks")
    choose(seen, "data-shown", "Export")
    page.get_by_role("button", name="Make the file").click()
    page.get_by_role("link", name="Download candles").wait_for()
    fits(seen, "a file to fetch")
    choose(seen, "data-shown", "Import")
    page.get_by_role("button", name="Import", exact=True).last.wait_for()
    fits(seen, "the import form")
    odd = "symbol;timestamp;price;size\nbtcusdt;gestern;eins;zwei ä\n".encode("utf-16")
    page.locator("input[type=file]").first.set_input_files(
        [{"name": "<i>odd</i> 😀.csv", "mimeType": "text/csv", "buffer": odd}]
    )
    page.get_by_text("<i>odd</i> 😀.csv").first.wait_for()
    page.get_by_role("button", name="Import", exact=True).last.click()
    page.locator("[data-testid=stAlert]").filter(has_text="0 of 1 ticks taken").wait_for()
    fits(seen, "a file that was refused")


def test_paper_fills_and_alerts_are_marks_on_the_candles(visit, demo_server):
    seen = running(visit, demo_server)
    page = seen.page
    tile = page.locator(".st-key-tile-btcusdt [data-testid=stMetricValue]")
    tile.wait_for()
    # Candles of a minute: those of a second leave the chart before the walk is back at the level.
    page.goto(f"{demo_server.url}/?tab=Portfolio&timeframe=1min")
    page.get_by_role("button", name="Open account").click()
    page.get_by_text("New order", exact=True).click()
    page.get_by_role("button", name="Send order").click()
    page.get_by_text("The order is with the desk").first.wait_for()
    seen.go("Dashboard")
    price = tile.inner_text()
    seen.go("Alerts")
    page.wait_for_timeout(2_500)
    page.get_by_role("button", name="Save rule").click()  # a price above 0 says nothing
    page.get_by_text("The rule can never fire").first.wait_for()
    page.wait_for_timeout(1_500)
    assert page.get_by_text("The rule can never fire").first.is_visible(), "refreshes leave it"
    # The price of a moment ago: the walk comes across it again within seconds.
    page.get_by_label("Level", exact=True).fill(price.replace(",", ""))
    page.get_by_role("button", name="Save rule").click()
    page.get_by_text("The rule is watched").first.wait_for()
    seen.go("OHLC Charts")
    seen.charts("ohlc").first.wait_for()
    names = "(n) => n._fullData.filter((t) => t.x?.length).map((t) => t.name)"
    wanted = {"Bought (paper)", "Alert"}
    for _ in range(180):
        found = set(seen.charts("ohlc").first.evaluate(names))
        if wanted <= found:
            break
        page.wait_for_timeout(500)
    assert wanted <= found
    assert overflow(seen.page) <= 0


@pytest.fixture
def quick_replay(tmp_path: Path) -> Iterator[Server]:
    """The recording that is shipped, over within seconds."""
    server = start_server(tmp_path, "replay", DEFAULT_TIMEFRAME="1s", REPLAY_SPEED="100")
    yield server
    stop_server(server)


def test_the_end_of_a_recording_is_said_and_it_can_be_played_again(quick_replay, visit):
    seen = running(visit, quick_replay, "Pair Analytics")
    page = seen.page
    ended = page.locator(".st-key-replay-ended").get_by_text("The recording has ended")
    ended.wait_for()
    page.locator(".st-key-header").get_by_text("recording ended").wait_for()
    fits(seen, "a recording that has ended")
    page.get_by_role("button", name="Play it again").click()
    ended.wait_for(state="detached")
