"""Long computations as a user meets them: begun with a button, kept in the tab Jobs."""

from __future__ import annotations

import contextlib

from playwright.sync_api import Error


def test_a_sweep_of_all_pairs_and_a_full_scan_are_kept_as_jobs(visit, demo_server, screenshots):
    seen = visit(demo_server, height=1200)
    page = seen.page
    seen.open("Backtest")
    seen.start()
    page.locator(".st-key-stop button:not([disabled])").wait_for()
    page.get_by_text("Sweep", exact=True).first.click()
    page.get_by_text("All 10 pairs of the 5 symbols").click()
    seen.button("Run sweep").click()
    page.get_by_text("at a false-discovery rate of 5 % over all pairs").wait_for(timeout=150_000)
    seen.go("Scanner")
    seen.button("Full scan, lag by AIC").click()
    page.get_by_text("pairs are cointegrated").first.wait_for(timeout=150_000)
    seen.go("Jobs")
    page.get_by_text("What was asked").wait_for()
    page.locator('[data-testid="stDataFrame"]').first.wait_for()
    page.get_by_text("pairs are cointegrated").first.wait_for()
    page.wait_for_timeout(1_500)
    if screenshots:
        a_stopped_job(seen)
        page.locator(".st-key-jobs-chosen").get_by_role("combobox").click()
        page.get_by_role("option", name="Full scan").click()
        page.get_by_text("Pairs tested").wait_for()
        page.wait_for_timeout(2_000)
        page.screenshot(path=screenshots / "jobs.png")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.locator('[data-testid="stException"]').count() == 0


def a_stopped_job(seen) -> None:
    """A sweep of all pairs over many candles that was cancelled, for the picture."""
    page = seen.page
    stopped = page.locator(".st-key-jobs-resume button:not([disabled])")
    page.locator(".st-key-backfill").wait_for(state="detached", timeout=150_000)
    page.goto(f"{seen.url}/?tab=Backtest&timeframe=1s")
    page.locator(".st-key-bt-limit").get_by_role("combobox").click()
    page.get_by_role("option", name="last 10,000").click()
    page.locator(".st-key-bt-shown").get_by_text("Sweep", exact=True).click()
    page.get_by_text("All 10 pairs of the 5 symbols").click()
    for _ in range(6):  # it may be over before the hand is there
        seen.button("Run sweep").click()
        running = page.locator(".st-key-running-sweep")
        with contextlib.suppress(Error):
            running.get_by_role("button", name="Cancel").click(timeout=2_000)
        running.wait_for(state="detached")
        seen.go("Jobs")
        page.locator('[data-testid="stDataFrame"]').first.wait_for()
        page.wait_for_timeout(1_500)
        if stopped.count():
            return
        seen.go("Backtest")
