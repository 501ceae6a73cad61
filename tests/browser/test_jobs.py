"""Long computations as a user meets them: begun with a button, kept in the tab Jobs."""

from __future__ import annotations


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
        page.screenshot(path=screenshots / "jobs.png")
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.locator('[data-testid="stException"]').count() == 0
