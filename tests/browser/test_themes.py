"""A light and a dark theme, each readable; charts follow it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.test_page import TABS, running

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
GROUND = "getComputedStyle(document.querySelector('.stApp')).backgroundColor"


def brightness(colour: str) -> float:
    return sum(float(v) for v in colour.removeprefix("rgb(").removesuffix(")").split(",")) / 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_tab_is_readable_in_the_theme_that_the_system_prefers(visit, demo_server, scheme):
    seen = running(visit, demo_server, color_scheme=scheme)
    ground = brightness(seen.page.evaluate(GROUND))
    assert ground > 200 if scheme == "light" else ground < 60
    faint = {}
    for tab in TABS:
        seen.go(tab)
        for _ in range(12):  # what has just come may still be fading in
            seen.page.wait_for_timeout(1_500)
            if not (found := seen.page.evaluate(CONTRAST)):
                break
        if found:
            faint[tab] = found
    assert faint == {}


def ink(seen, key):
    """Brightness of the axis labels, and the colour of the first line that has one."""
    return seen.charts(key).first.evaluate(
        """(n) => [n.querySelector(".xtick text, .ytick text").style.fill,
        n._fullData.map((t) => t.line?.color).find(Boolean)]"""
    )


def test_charts_follow_the_theme(visit, demo_server):
    seen = running(visit, demo_server, "OHLC Charts", color_scheme="dark")
    chart = seen.charts("ohlc").first
    chart.wait_for(timeout=100_000)
    dark = ink(seen, "ohlc")
    seen.page.emulate_media(color_scheme="light")
    seen.page.wait_for_timeout(4_000)
    assert brightness(seen.page.evaluate(GROUND)) > 200
    light = ink(seen, "ohlc")
    assert brightness(dark[0]) > 180 > 80 > brightness(light[0])
    assert dark[1] != light[1], "lines have a colour that can be told from white"


def test_a_theme_can_be_chosen_against_the_systems(visit, demo_server):
    seen = running(visit, demo_server, "Health", color_scheme="dark")
    seen.page.get_by_text("Writer, median").wait_for()
    seen.page.locator('[data-testid="stMainMenu"]').first.click()
    seen.page.get_by_text("light_mode").click()
    seen.page.wait_for_timeout(2_000)
    assert brightness(seen.page.evaluate(GROUND)) > 200
