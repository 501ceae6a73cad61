"""The Data tab, run as the page runs it: what it says where there is nothing to show."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from database import Database, Gap
from runtime import FeedStatus
from tabs.context import Context, Settings, forget_views
from tests.tabs.said_on_page import NOW_MS, fill, sentences
from views.pair import PairOptions


def page(ctx):
    from tabs import data

    data.render(ctx)


@pytest.fixture
def app(tmp_path):
    forget_views()
    with Database(tmp_path / "t.db") as database:
        fill(database, "five candles")
        database.record_gaps([Gap("btcusdt", 5, 9, NOW_MS - 60_000, NOW_MS - 30_000, "a test")])
        status = FeedStatus("live", False, True, "holder", "live", "")
        settings = Settings(("btcusdt", "ethusdt"), PairOptions("btcusdt", "ethusdt", "1min"))
        ctx = Context(SimpleNamespace(now_ms=lambda: NOW_MS), database, status, settings)
        yield AppTest.from_function(page, args=(ctx,), default_timeout=30).run()


def show(app, part):
    app.session_state["data-shown"] = part
    return again(app)


def again(app):
    forget_views()
    app.run()
    assert not app.exception, app.exception
    return app


def said(app):
    return "\n".join(sentences(app))


def choose_time(app, key, hour):
    day = dt.datetime(2025, 10, 9, hour)
    app.datetime_input(key=f"{key}-from").set_value(day)
    app.datetime_input(key=f"{key}-to").set_value(day + dt.timedelta(minutes=30))
    return again(app)


@pytest.mark.parametrize(("part", "name"), [("Ticks", "ticks"), ("Candles", "candles")])
def test_a_time_in_which_nothing_is_stored_says_so_and_what_to_do(app, part, name):
    show(app, part)
    key = f"data-{name}"
    assert any("price" in t.value or "open" in t.value for t in app.dataframe)
    choose_time(app, key, 3)
    assert f"No {name} are stored here in this time." in said(app)
    assert "Choose another time, or empty From and To." in said(app)
    assert all(app.button(key=f"{key}-{b}").disabled for b in ("newest", "newer", "older"))
    choose_time(app, key, 8)  # the trades are of 08:55 to 09:00
    assert f"No {name} are stored here" in said(app)
    app.datetime_input(key=f"{key}-to").set_value(dt.datetime(2025, 10, 9, 9, 0))
    assert "are stored here" not in said(again(app))


def test_a_ledger_without_such_a_gap_says_what_is_written_there(app):
    show(app, "Gap ledger")
    assert app.dataframe[0].value["state"].tolist() == ["open"]
    app.selectbox(key="data-gaps-state").select("filled")
    again(app)
    assert "The ledger has no such gap." in said(app)
    assert "Choose another state or symbol" in said(app)
    app.selectbox(key="data-gaps-state").select("all")
    app.selectbox(key="data-gaps-symbol").select("ethusdt")
    assert "The ledger has no such gap." in said(again(app))


def test_import_without_a_file_is_answered_and_a_refresh_leaves_the_answer(app):
    show(app, "Import")
    next(b for b in app.button if b.label == "Import").click()
    assert "Choose a file first" in said(again(app))
    assert "Choose a file first" in said(again(app))
