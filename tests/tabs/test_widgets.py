"""Tables: times in the user's zone, prices to their last digit, files that no spreadsheet runs."""

from __future__ import annotations

import io

import pandas as pd
from streamlit.testing.v1 import AppTest

from tabs import widgets


def frame():
    return pd.DataFrame(
        {
            "symbol": ["ADAUSDT", "ADAUSDT"],
            "timestamp": ["2026-07-01T10:00:00.123Z", "2026-07-01T10:00:01.000Z"],
            "found": ["2026-07-01 10:00:00 UTC", "–"],
            "price": [0.71793, 0.71794],
            "note": ["=1+1", "10:00 UTC"],
        }
    )


def page(zone):
    import streamlit as st

    from tabs import widgets
    from tests.tabs.test_widgets import frame

    st.session_state["zone"] = zone
    widgets.table(frame(), "ticks", key="t", decimals=5)


def shown(zone):
    at = AppTest.from_function(page, args=(zone,), default_timeout=30).run()
    assert not at.exception
    return at.dataframe[0]


def test_texts_that_are_times_become_times_and_others_stay():
    times, config = widgets.shown_times(frame())
    assert set(config) == {"timestamp", "found"}
    assert str(times["timestamp"].iloc[0]) == "2026-07-01 10:00:00.123000+00:00"
    assert times["found"].isna().tolist() == [False, True]
    assert times["note"].tolist() == frame()["note"].tolist()


def test_a_times_heading_names_the_zone_and_its_ends_in_utc():
    import json

    columns = json.loads(shown("utc").proto.columns)
    assert columns["timestamp"]["type_config"]["timezone"] == "UTC"
    assert columns["timestamp"]["type_config"]["format"] == "YYYY-MM-DD HH:mm:ss.SSS"
    help_text = columns["timestamp"]["help"].replace("\\", "")
    assert "First and last row in UTC: 2026-07-01 10:00:00 to 2026-07-01 10:00:01" in help_text
    assert columns["price"]["type_config"]["format"] == "%.5f"


def test_the_file_holds_utc_and_no_cell_that_a_spreadsheet_runs():
    text = widgets.csv_bytes(frame()).decode()
    assert "2026-07-01T10:00:00.123Z" in text
    assert ",'=1+1" in text
    again = pd.read_parquet(io.BytesIO(widgets.parquet_bytes(frame())))
    assert again["price"].tolist() == [0.71793, 0.71794]


def test_empty_frames_and_frames_without_times_are_tables_too():
    for empty in (pd.DataFrame(columns=["timestamp", "price"]), pd.DataFrame({"a": [1, None]})):
        times, config = widgets.shown_times(empty)
        assert config == {}
        assert list(times.columns) == list(empty.columns)


def test_cells_of_the_grid_can_be_copied_into_a_spreadsheet():
    assert shown("utc").value["note"].tolist() == ["'=1+1", "10:00 UTC"]
    renamed = widgets.harmless(pd.DataFrame({"=run": ["-0.5", "+A1"], "n": [-1, 2]}))
    assert list(renamed.columns) == ["'=run", "n"]
    assert renamed["'=run"].tolist() == ["-0.5", "'+A1"]
    assert renamed["n"].tolist() == [-1, 2]


def test_numbers_beside_text_in_one_column_stay_numbers_in_csv_and_are_text_in_parquet():
    mixed = pd.DataFrame({"figure": ["sharpe", "pair"], "=run": [-1.5, "=a/b"]})
    assert widgets.csv_bytes(mixed).decode().splitlines() == [
        "figure,'=run",
        "sharpe,-1.5",
        "pair,'=a/b",
    ]
    again = pd.read_parquet(io.BytesIO(widgets.parquet_bytes(mixed)))
    assert again["=run"].tolist() == ["-1.5", "=a/b"]
