"""The README is true: its settings are those of the code, and its examples run as written."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from config import SETTINGS
from database import Database
from simulator.server import Exchange

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
CSV = "symbol,timestamp,price,size\nbtcusdt,2026-01-01T00:00:00.000Z,60000.5,0.1\n"


def settings_table() -> str:
    rows = ["| variable | default | allowed | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{s.variable}` | {f'`{s.default}`' if s.default else 'none'} | {s.allowed} "
        f"| {s.meaning} |"
        for s in SETTINGS
    ]
    return "\n".join(rows)


def test_the_settings_table_is_that_of_the_code():
    assert settings_table() in README


def test_both_commands_stand_on_the_first_screen():
    first_screen = "\n".join(README.splitlines()[:40])
    assert "pip install -r requirements.txt && streamlit run app.py" in first_screen
    assert "pip install -r requirements-dev.txt && pytest" in first_screen


@pytest.fixture(scope="module")
def exchange():
    running = Exchange().start()
    yield running
    running.stop()


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_run_as_written(number, tmp_path, exchange):
    (tmp_path / "historical_data.csv").write_text(CSV, encoding="utf-8")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "BINANCE_WS_URL": exchange.ws_url,
        "BINANCE_REST_URL": exchange.rest_url,
    }
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", EXAMPLES[number]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_link_to_a_file_leads_somewhere():
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_every_table_of_the_database_is_named_with_columns_that_are_there(tmp_path):
    with Database(tmp_path / "t.db"):
        pass
    with closing(sqlite3.connect(tmp_path / "t.db")) as con:
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        tables = {
            name: [column[1] for column in con.execute(f"PRAGMA table_info({name})")]
            for (name,) in con.execute(names)
        }
    section = README.split("## The database")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in rows))) == set(tables)
    for name in ("ticks", "ohlc_data", "gaps", "journal"):
        row = next(row for row in rows if f"`{name}`" in row.split("|")[1])
        assert [c for c in tables[name] if not re.search(rf"\b{c}\b", row.split("|")[2])] == [], (
            name
        )
