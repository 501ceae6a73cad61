"""Times are drawn in the browser's zone, here Berlin's, and in UTC on hover."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.browser.test_page import running

BERLIN = ZoneInfo("Europe/Berlin")


def hover(seen, key="ohlc", share=0.6):
    """Rest the pointer on a chart; what the crosshair's label and the hover box's head say."""
    chart = seen.charts(key).first
    chart.wait_for(timeout=100_000)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    label = seen.page.locator(f".st-key-{key} .live-clock")
    for nudge in range(20):
        seen.page.mouse.move(box["x"] + box["width"] * share + nudge, box["y"] + 130)
        seen.page.wait_for_timeout(250)
        if label.first.is_visible():
            head = seen.page.locator(f".st-key-{key} .hoverlayer .legendtitletext").first
            return label.first.text_content(), head.text_content()
    raise AssertionError("the crosshair has no label")


def stamp(text: str, zone) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)


def test_the_crosshair_names_the_time_in_the_users_zone_and_in_utc(visit, demo_server):
    seen = running(visit, demo_server, "OHLC Charts")
    label, head = hover(seen)
    local, utc = re.fullmatch(r"(.+) Europe/Berlin · (.+) UTC", label).groups()
    assert stamp(local, BERLIN) == stamp(utc, UTC)
    assert abs(stamp(utc, UTC).timestamp() - time.time()) < 12 * 3_600
    assert stamp(local, BERLIN).strftime("%H:%M") in head, "the box's head is local time"
    newest = float(seen.state("ohlc")["lastX"]) / 1000
    assert abs(newest - time.time()) < 120, "the newest candle is drawn at the time it has"


def test_a_user_who_wants_utc_gets_utc(visit, demo_server):
    seen = running(visit, demo_server, "OHLC Charts")
    seen.page.get_by_text("More settings").click()
    zones = seen.page.locator(".st-key-zone")
    zones.get_by_text("UTC", exact=True).click()
    seen.page.wait_for_timeout(2_500)
    try:
        label, head = hover(seen)
        (utc,) = re.fullmatch(r"(.+) UTC", label).groups()
        assert stamp(utc, UTC).strftime("%H:%M") in head
        shown = seen.charts("ohlc").first.evaluate("(n) => n._fullLayout.xaxis.range[1]")
        end = datetime.fromisoformat(shown).replace(tzinfo=UTC).timestamp()
        assert abs(end - time.time()) < 400, "the axis ends now, on the clock of UTC"
    finally:
        zones.get_by_text("My time zone", exact=True).click()
        seen.page.wait_for_timeout(1_500)


@pytest.mark.parametrize("key", ["ohlc"])
def test_no_button_of_a_chart_sends_it_anywhere(visit, demo_server, key):
    seen = running(visit, demo_server, "OHLC Charts")
    seen.charts(key).first.wait_for(timeout=100_000)
    buttons = seen.page.locator(f".st-key-{key} .modebar-btn")
    titles = buttons.evaluate_all("(all) => all.map((one) => one.dataset.title)")
    assert "Download plot as a PNG" in titles
    assert not [t for t in titles if "hare" in t or "loud" in t]
