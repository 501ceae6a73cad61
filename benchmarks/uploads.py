"""How long a hostile file waits for its sentence, on the page, beside a plain read of it.

``python benchmarks/uploads.py``. The page is served as users start it; headless
Chromium chooses each file and presses Import. Timed are choosing (until the form names the file,
or refuses it) and asking (from the press to the sentence). Beside them stands what ``pandas`` takes
to read or refuse the same file, in this process. The load average says whose the wall times are.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from dashboard import load, served, wait_until_warm
from playwright.sync_api import sync_playwright

_HEAD = b"symbol,timestamp,price,size\n"
_MB = 1 << 20
# Refused by the uploader itself, or by the importer once Import is pressed.
_AT_ONCE = "File must be"


class Hostile(NamedTuple):
    """A file, and a part of the sentence that answers it."""

    name: str
    write: Callable[[Path], Any]
    said: str


def zipped(path: Path, *members: tuple[str, bytes], times: int = 1) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, body in members:
            with archive.open(name, "w", force_zip64=True) as member:
                for _ in range(times):
                    member.write(body)


def rows(many: int) -> bytes:
    """Ticks that do not compress out of all proportion."""
    noise = np.random.default_rng(1).integers(10_000, 99_999, many)
    lines = (f"btcusdt,{1_760_000_000_000 + k},{n},1\n" for k, n in enumerate(noise.tolist()))
    return "".join(lines).encode()


def nested(path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.csv", _HEAD)
    zipped(path, ("b.zip", inner.getvalue()))


def hostile() -> Iterator[Hostile]:
    odd = "symbol;timestamp;price;size\nbtcusdt;gestern;eins;zwei ä\n"
    yield Hostile("too large.csv", lambda p: p.write_bytes(b"1,1,1,1\n" * 27_000_000), _AT_ONCE)
    yield Hostile("too many columns.csv", lambda p: p.write_bytes(b"c," * 5_000), "columns")
    short = _HEAD + b"1,1,1,1\n" * 24_900_000
    yield Hostile("too many rows.csv", lambda p: p.write_bytes(short), "rows")
    yield Hostile(
        "too many rows.zip", lambda p: zipped(p, ("a.csv", rows(1_000_000)), times=26), "rows"
    )
    yield Hostile("UTF-16.csv", lambda p: p.write_bytes(odd.encode("utf-16")), "0 of 1 ticks")
    yield Hostile("UTF-32.csv", lambda p: p.write_bytes(odd.encode("utf-32")), "0 of 1 ticks")
    yield Hostile("Latin-1.csv", lambda p: p.write_bytes(odd.encode("latin-1")), "0 of 1 ticks")
    zeros = b"0" * (300 * _MB)
    yield Hostile("zip bomb.zip", lambda p: zipped(p, ("a.csv", zeros)), "would grow")
    yield Hostile("a zip in a zip.zip", nested, "archive")
    yield Hostile("not a zip.zip", lambda p: p.write_bytes(b"no archive at all\n"), ".")
    noise = np.random.default_rng(2).bytes(20 * _MB)
    yield Hostile("binary noise.csv", lambda p: p.write_bytes(noise), "binary")
    yield Hostile("empty.csv", lambda p: p.write_bytes(b""), "empty")


def plain_read(path: Path) -> float:
    """Seconds that pandas takes to read the file, or to refuse it."""
    began = time.perf_counter()
    with contextlib.suppress(ValueError, OSError, zipfile.BadZipFile, pd.errors.ParserError):
        pd.read_csv(path, low_memory=False)
    return time.perf_counter() - began


def asked(browser: Any, url: str, path: Path, said: str) -> tuple[float, float, str]:
    """Seconds for choosing and for asking, and the sentence."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}/?tab=Data")
    page.locator(".st-key-data-shown").get_by_text("Import", exact=True).click()
    field = page.locator("input[type=file]").first
    field.wait_for(state="attached")
    page.wait_for_timeout(1_000)
    uploader = page.locator("[data-testid=stFileUploader]")
    began = time.perf_counter()
    field.set_input_files(path)
    if said == _AT_ONCE:
        answer = uploader.get_by_text(said).first
        answer.wait_for()
        seconds = time.perf_counter() - began, 0.0
    else:
        uploader.locator("[data-testid=stFileChipName]").first.wait_for()
        uploader.locator("[data-testid=stFileChipIconSpinner]").wait_for(state="detached")
        chosen = time.perf_counter()
        page.get_by_role("button", name="Import", exact=True).last.click()
        answer = page.locator("[data-testid=stAlert]").filter(has_text=said).first
        answer.wait_for()
        seconds = chosen - began, time.perf_counter() - chosen
    sentence = " ".join(answer.inner_text().split())
    page.close()
    return *seconds, sentence


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is needed: apt install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ["BACKFILL_MINUTES"] = "0"
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with served("app.py", Path(folder) / "ticks.db") as server:
            url = f"http://localhost:{server.port}"
            browser.new_page().goto(f"{url}/?tab=Data")
            wait_until_warm(server)
            print("file                   MB   choose s   ask s   plain read s   ask/plain   said")
            for case in hostile():
                path = Path(folder) / case.name
                case.write(path)
                choose, ask, sentence = asked(browser, url, path, case.said)
                plain = plain_read(path)
                print(
                    f"{case.name:<20} {path.stat().st_size / 1e6:6.1f} {choose:8.2f} {ask:8.2f}"
                    f" {plain:12.3f} {ask / plain:12.1f}   {sentence[:110]}  [{load()}]"
                )
                sys.stdout.flush()
                path.unlink()
        browser.close()


if __name__ == "__main__":
    main()
