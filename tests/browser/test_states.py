"""Newer controls in their states, as a user meets them: empty, running, cancelled, finished, failed."""

from __future__ import annotations

import csv
import time

import pytest

from tests.browser.conftest import Server, start_server, stop_server
from tests.browser.test_data_page import bomb
from tests.browser.test_page import overflow, running

WIDTHS = (1440, 390)
# What sticks out of the page, or lies on another control of the same row.
CROWDED = """(key) => {
  const found = [];
  const root = document.querySelector(`.st-key-${key}`) ?? document.body;
  const boxes = [...root.querySelectorAll("button, input, [data-baseweb=select], [role=progressbar]")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }))
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([, box]) => box.width > 4 && box.height > 4);
  for (const [one, box] of boxes) {
    if (box.right > window.innerWidth + 1) found.push("sticks out: " + one.outerHTML.slice(0, 90));
    for (const [other, its] of boxes) {
      if (one === other || one.contains(other) || other.contains(one)) continue;
      if (one.closest("[data-baseweb]") && one.closest("[data-baseweb]").parentElement.contains(other)) continue;
      const wide = Math.min(box.right, its.right) - Math.max(box.left, its.left);
      const high = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
      if (wide > 3 && high > 3) found.push("overlaps: " + one.outerHTML.slice(0, 90) + " / " + other.outerHTML.slice(0, 60));
    }
  }
  return found;
}"""


def fits(seen, where: str) -> None:
    """Nothing sticks out or overlaps, on a wide screen and on a phone."""
    for width in reversed(WIDTHS):
        seen.page.set_viewport_size({"width": width, "height": 1100})
        seen.page.wait_for_timeout(700)
        assert overflow(seen.page) <= 0, (where, width)
        crowded = seen.page.evaluate(CROWDED, "no-such-key")
        assert crowded == [], (where, width)
        assert seen.page.locator('[data-testid="stException"]').count() == 0


def choose(seen, control: str, name: str) -> None:
    seen.page.locator(f".st-key-{control}").get_by_text(name, exact=True).click()


def test_a_sweep_is_cancelled_from_the_page_resumed_and_says_how_much_is_luck(visit, demo_server):
    seen = running(visit, demo_server, "Backtest")
    page = seen.page
    choose(seen, "bt-shown", "Sweep")
    page.get_by_text("All 10 pairs of the 5 symbols").click()
    seen.button("Run sweep").click()
    page.locator(".st-key-running-sweep").get_by_role("button", name="Cancel").click()
    page.get_by_text("What has been computed is kept").wait_for(timeout=60_000)
    fits(seen, "a cancelled sweep")
    seen.go("Jobs")
    page.get_by_text("stopped", exact=False).first.wait_for()
    page.locator(".st-key-jobs-resume button:not([disabled])").wait_for()
    fits(seen, "a stopped job")
    seen.go("Backtest")
    choose(seen, "bt-shown", "Sweep")
    page.get_by_text("This pair", exact=True).click()
    seen.button("Run sweep").click()
    luck = page.locator(".st-key-bt-sweep-luck")
    luck.get_by_text("Probability of overfitting").wait_for(timeout=120_000)
    for label in ("Trials", "Probability of overfitting", "Deflated Sharpe"):
        value = luck.locator('[data-testid="stMetric"]', has_text=label)
        assert value.locator('[data-testid="stMetricValue"]').inner_text() not in ("", "–")
    assert page.get_by_text("Overfitting: chosen on half of the candles").is_visible()
    seen.charts("bt-sweep-heat").first.wait_for()
    fits(seen, "the luck of a sweep")
