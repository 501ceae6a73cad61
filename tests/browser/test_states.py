"""Newer controls in the states a user meets them in: empty, running, cancelled, done, failed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error

from database import Database
from storage import alert_store, job_store
from storage.job_store import JobRow
from tests.browser.conftest import Server, start_server, stop_server
from tests.browser.furnished import asked, data_of
from tests.browser.test_page import overflow, running

ODD = "<b>x</b> \"y\" 'z' 😀 *_~`[a](b)$ <script>"
CROWDED = Path(__file__).with_name("crowded.js").read_text(encoding="utf-8")


def fits(seen, where: str) -> None:
    """Nothing sticks out or overlaps, on a phone and on a wide screen."""
    for width in (390, 1440):
        seen.page.set_viewport_size({"width": width, "height": 1100})
        for _ in range(20):  # the page is laid out anew for the width
            seen.page.wait_for_timeout(500)
            wide, crowded = overflow(seen.page), seen.page.evaluate(CROWDED)
            if wide <= 0 and not crowded:
                break
        assert wide <= 0, (where, width)
        assert crowded == [], (where, width)
    assert seen.page.locator('[data-testid="stException"]').count() == 0


def choose(seen, control: str, name: str) -> None:
    seen.page.locator(f".st-key-{control}").get_by_text(name, exact=True).click()


def test_a_long_run_is_cancelled_from_the_page_and_a_sweep_says_how_much_is_luck(
    visit, demo_server
):
    seen = running(visit, demo_server, "Backtest")
    page = seen.page
    # As many candles as there are, and every pair, so that there is time to cancel.
    page.goto(f"{demo_server.url}/?tab=Backtest&timeframe=1s")
    page.locator(".st-key-bt-limit").get_by_role("combobox").click()
    page.get_by_role("option", name="last 10,000").click()
    page.locator(".st-key-backfill").wait_for(state="detached", timeout=150_000)
    choose(seen, "bt-shown", "Walk-forward")
    page.get_by_text("All 10 pairs of the 5 symbols").click()
    cancel = page.locator(".st-key-running-walk").get_by_role("button", name="Cancel")
    kept = page.get_by_text("What has been computed is kept")
    for _ in range(8):  # it takes seconds: it may be over before the hand is there
        seen.button("Run walk-forward").click()
        cancel.wait_for(state="attached")
        with contextlib.suppress(Error):  # the button left while it was being pressed
            cancel.dispatch_event("click", timeout=2_000)
        cancel.wait_for(state="detached")
        page.wait_for_timeout(1_500)
        if kept.is_visible():
            break
    kept.wait_for()
    fits(seen, "a cancelled run")
    seen.go("Jobs")
    page.locator(".st-key-jobs-resume button:not([disabled])").wait_for()
    fits(seen, "a stopped job")
    seen.go("Backtest")
    choose(seen, "bt-shown", "Sweep")
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
    page.locator(".st-key-tile-btcusdt [data-testid=stMetricValue]").wait_for()
    # Candles of a minute: those of a second leave the chart before the walk is back at the level.
    page.goto(f"{demo_server.url}/?tab=Portfolio&timeframe=1min")
    page.get_by_role("button", name="Open account").click()
    page.get_by_text("New order", exact=True).click()
    page.get_by_role("button", name="Send order").click()
    page.get_by_text("The order is with the desk").first.wait_for()
    seen.go("Alerts")
    page.get_by_role("button", name="Save rule").wait_for()
    page.get_by_role("button", name="Save rule").click()  # a price above 0 says nothing
    page.get_by_text("The rule can never fire").first.wait_for()
    page.wait_for_timeout(1_500)
    assert page.get_by_text("The rule can never fire").first.is_visible(), "refreshes leave it"
    # A move within a second that is above nothing: one comes with the next trades.
    page.locator(".st-key-metric").get_by_role("combobox").click()
    page.get_by_role("option", name="Percent move in a window").click()
    page.get_by_label("Window, seconds").fill("1")
    page.get_by_label("Level", exact=True).fill("0.000001")
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


def typed_time(seen, field: str, digits: str) -> None:
    """Year, month, day, hour and minute into a field for a time, which takes them one by one."""
    seen.page.locator(f".st-key-{field} [role=spinbutton]").first.click()
    seen.page.keyboard.type(digits)
    seen.page.keyboard.press("Enter")
    seen.page.keyboard.press("Escape")  # the calendar that comes with it


def test_a_time_in_which_nothing_is_stored_says_what_to_do(visit, demo_server):
    seen = running(visit, demo_server, "Data")
    for shown in ("Ticks", "Candles"):
        choose(seen, "data-shown", shown)
        key = f"data-{shown.lower()}"
        seen.page.locator(f".st-key-{key}-newer").wait_for()
        typed_time(seen, f"{key}-from", "202001010000")
        typed_time(seen, f"{key}-to", "202001020000")
        seen.page.get_by_text(f"No {shown.lower()} are stored here in this time").wait_for()
        assert seen.page.get_by_text("Choose another time, or empty From and To.").is_visible()
    fits(seen, "nothing in this time")


@pytest.fixture
def database(demo_server: Server) -> Iterator[Database]:
    """What the server has stored."""
    with data_of(demo_server) as opened:
        yield opened


@pytest.fixture
def odd_job(database: Database) -> Iterator[str]:
    """A job of an odd title that another process works on, and says so until it is told to stop."""
    now_ms, over = time.time_ns() // 1_000_000, threading.Event()
    given = {"symbols": ["btcusdt"], "candles": 10, "pairs": [["btcusdt", "ethusdt"]]}
    job = JobRow(
        "odd", "sweep", ODD, given, "running", 40, "", "another", now_ms, now_ms, None, None
    )

    def work() -> None:
        while not over.wait(1.0):
            with database.transaction() as con:
                at_ms = time.time_ns() // 1_000_000
                job_store.beat(con, "odd", "another", f"12 of 40 tasks {ODD}", at_ms)

    with database.transaction() as con:
        job_store.create(con, job)
    thread = threading.Thread(target=work)
    thread.start()
    yield "odd"
    over.set()
    thread.join()
    with database.transaction() as con:
        job_store.delete(con, "odd")


def no_markup(seen) -> None:
    """The odd text made no element of its own."""
    assert seen.page.locator("b", has_text="x").count() == 0
    assert seen.page.get_by_role("link", name="a", exact=True).count() == 0


def test_a_running_job_of_an_odd_name_fits_every_screen_and_is_cancelled(
    visit, demo_server, odd_job
):
    seen = running(visit, demo_server, "Jobs")
    row = seen.page.locator(f".st-key-jobs-running-{odd_job}")
    row.get_by_text(f"{ODD}: 12 of 40 tasks {ODD}").wait_for()
    no_markup(seen)
    for width in (390, 1440):
        fits(seen, "a running job")
        seen.page.set_viewport_size({"width": width, "height": 1100})
        cancel = row.get_by_role("button", name="Cancel")
        box, bar = cancel.bounding_box(), row.get_by_role("progressbar").bounding_box()
        assert box["x"] + box["width"] <= width
        assert bar["width"] > 120, width
    row.get_by_role("button", name="Cancel").click()
    row.wait_for(state="detached")
    seen.page.locator(".st-key-jobs-resume button:not([disabled])").wait_for()
    no_markup(seen)


def test_odd_names_of_accounts_and_rules_are_text_and_copied_cells_no_formulas(
    visit, demo_server, database
):
    seen = running(visit, demo_server, "OHLC Charts")
    page = seen.page
    seen.charts("ohlc").first.wait_for()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    name = ODD[:40]
    asked(database, "desk.account.open", id="odd", name=name, starting_equity=10_000.0)
    watched = {"metric": "drawdown", "op": "above", "level": 0.5, "account": "odd"}
    asked(database, "desk.rule.save", id="odd", note=ODD, **watched)
    now_ms, note = time.time_ns() // 1_000_000, '=HYPERLINK("http://x";"y")'
    body = {"sentence": note, "value": -1.5, "detail": {}, "note": ODD, "quiet": False}
    with database.transaction() as con:
        alert_store.add_alert(con, "odd", now_ms, now_ms, body)
    seen.go("Alerts")
    rule = page.locator(".st-key-rule-odd")
    rule.get_by_text(f"of {name} above 0.5").wait_for()
    assert ODD in rule.inner_text()
    no_markup(seen)
    table = page.locator("[data-testid=stDataFrame]").first
    table.wait_for()
    fits(seen, "odd alerts")
    table.scroll_into_view_if_needed()
    for _ in range(20):  # the grid is drawn on a canvas, some time after it is there
        page.mouse.move(0, 0)
        table.click(position={"x": 250, "y": 55})
        page.keyboard.press("Control+a")
        page.keyboard.press("Control+c")
        copied = page.evaluate("navigator.clipboard.readText()")
        if "\t" in copied:  # cells, not the text of the page
            break
        page.wait_for_timeout(500)
    assert "'=HYPERLINK" in copied
    assert "\t-1.5\t" in copied, "a number stays one"
    seen.go("Portfolio")
    page.locator(".st-key-account").get_by_role("combobox").click()
    page.get_by_role("option", name=name).click()
    page.get_by_text("Terms, reset, another account").click()
    page.get_by_text(f"To begin anew, type the account's name: {name}").wait_for()
    no_markup(seen)
    fits(seen, "an odd account")
    seen.go("Dashboard")
    page.get_by_text(f"Positions · {name}").wait_for()
    no_markup(seen)
    fits(seen, "an odd account on the first page")
    asked(database, "desk.rule.drop", rule="odd")


def test_the_tour_leads_from_tab_to_tab_and_is_closed_for_good(visit, demo_server):
    seen = running(visit, demo_server)
    page = seen.page
    tour = page.locator(".st-key-tour")
    for at, tab in enumerate(("Dashboard", "Pair Analytics", "Backtest", "Health"), start=2):
        tour.get_by_text(f"{at} of 5 · {tab}").wait_for()
        page.get_by_role("tab", name=tab, selected=True).wait_for()
        if tab == "Pair Analytics":
            fits(seen, "the tour")
        if tab != "Health":
            tour.get_by_role("button", name="Next").click()
    page.get_by_text("planted").last.wait_for(timeout=120_000)
    tour.get_by_role("button", name="Close the tour").click()
    tour.wait_for(state="detached")
    again = running(visit, demo_server)
    assert again.page.locator(".st-key-tour").count() == 0


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
