"""The Data page in the browser: times, files out and files in."""

from __future__ import annotations

import csv
import io
import time
import zipfile

from tests.browser.test_page import running


def part(visit, server, name):
    seen = running(visit, server, "Data")
    seen.page.locator(".st-key-data-shown").get_by_text(name, exact=True).click()
    return seen


def test_a_tables_times_are_local_and_its_heading_says_them_in_utc(visit, demo_server):
    seen = running(visit, demo_server, "Data")  # ticks are what it shows first
    table = seen.page.locator('[data-testid="stDataFrame"]').first
    table.wait_for(timeout=100_000)
    box = table.bounding_box()
    tip = seen.page.locator('[role="tooltip"]')
    for x in range(60, int(box["width"]), 40):
        seen.page.mouse.move(box["x"] + x, box["y"] + 14)
        seen.page.wait_for_timeout(400)
        if tip.count() and "UTC" in tip.first.inner_text():
            break
    said = tip.first.inner_text()
    assert said.startswith("Time in Europe/Berlin. First and last row in UTC: ")
    assert time.strftime("%Y", time.gmtime()) in said


def test_an_export_is_made_beside_the_page_and_fetched_by_its_link(visit, demo_server, tmp_path):
    seen = part(visit, demo_server, "Export")
    seen.page.locator(".st-key-export-what").get_by_text("Ticks", exact=True).click()
    seen.page.wait_for_timeout(1_500)
    seen.button("Make the file").or_(
        seen.page.get_by_role("button", name="Make the file")
    ).first.click()
    link = seen.page.get_by_role("link", name="Download ticks")
    link.wait_for()
    with seen.page.expect_download() as fetched:
        link.click()
    assert fetched.value.suggested_filename == "ticks_btcusdt.csv"
    fetched.value.save_as(tmp_path / "ticks.csv")
    with (tmp_path / "ticks.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 500
    assert {row["symbol"] for row in rows} == {"btcusdt"}


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.csv", b"btcusdt,2026-01-01T00:00:00Z,1,1\n" * 3_000_000)
    return out.getvalue()


def test_a_file_that_cannot_be_is_answered_by_a_sentence(visit, demo_server):
    seen = part(visit, demo_server, "Import")
    wide = ",".join(f"c{n}" for n in range(5_000)) + "\n"
    for name, content, said in (
        ("bomb.zip", bomb(), "would grow"),
        ("wide.csv", wide.encode(), "columns"),
        ("<b>x'\"😀.csv", b"\x00\x01\x02,garbage\n1,2", "<b>x"),
        ("empty.csv", b"", "empty.csv"),
    ):
        field = seen.page.locator("input[type=file]").first
        field.wait_for(state="attached")
        field.set_input_files([{"name": name, "mimeType": "text/csv", "buffer": content}])
        seen.page.locator("[data-testid=stFileChipName]").filter(has_text=name).wait_for()
        seen.page.locator("[data-testid=stFileChipIconSpinner]").wait_for(state="detached")
        seen.page.get_by_role("button", name="Import", exact=True).last.click()
        answer = seen.page.locator(".st-key-job-place-import [data-testid=stAlert]")
        # How long that takes is measured by benchmarks/uploads.py.
        answer.filter(has_text=said).wait_for()


def test_every_control_has_a_name_and_the_keyboard_reaches_the_tabs(visit, demo_server):
    seen = running(visit, demo_server)
    seen.page.locator(".st-key-tile-btcusdt, .live-chart").first.wait_for()
    nameless = seen.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, [role=tab]")]
        .filter((one) => one.checkVisibility({visibilityProperty: true}) && one.tabIndex >= 0)
        .filter((one) => !(one.innerText.trim() || one.ariaLabel || one.title ||
          one.getAttribute("aria-labelledby") || one.labels?.length || one.closest("label")))
        .map((one) => one.outerHTML.slice(0, 160))"""
    )
    assert nameless == []
    unnamed = "[...document.querySelectorAll('.live-chart')].filter((n) => !n.ariaLabel).length"
    assert seen.page.evaluate(unnamed) == 0
    seen.page.get_by_role("tab", name="Dashboard", exact=True).focus()
    seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("Enter")
    chosen = '[role="tab"][aria-selected="true"]:has-text("OHLC Charts")'
    seen.page.locator(chosen).wait_for()
