"""A figure that cannot be computed is a dash with its reason, on every tab, whatever is stored."""

from __future__ import annotations

import json
import re
import time
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from database import Database
from runtime import FeedStatus
from tabs.context import Context, Settings, forget_views
from tests.tabs.said_on_page import (
    CASES,
    NOW_MS,
    assert_no_number_is_missing_without_a_reason,
    cards_of,
    figures,
    fill,
    sentences,
)
from views import warm
from views.pair import PairOptions

TABS = (
    "dashboard", "ohlc_charts", "pair_analytics", "scanner", "backtest", "statistics_tab", "data",
    "health",
)  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def market(request, tmp_path_factory):
    warm.wait_until_complete()
    with Database(tmp_path_factory.mktemp("case") / "t.db") as database:
        fill(database, request.param)
        yield request.param, database


def page(ctx, tab):
    import importlib

    importlib.import_module(f"tabs.{tab}").render(ctx)


def opened(database, tab):
    """A tab with the work that its buttons begin, done."""
    forget_views()
    status = FeedStatus("live", False, False, "holder", "stopped", "")
    settings = Settings(("btcusdt", "ethusdt"), PairOptions("btcusdt", "ethusdt", "1min"))
    runtime = SimpleNamespace(now_ms=lambda: NOW_MS, status=lambda: status)
    ctx = Context(runtime, database, status, settings)
    app = AppTest.from_function(page, args=(ctx, tab), default_timeout=60).run()
    if tab == "backtest":
        app.button(key="bt-run").click().run()
    deadline = time.monotonic() + 60
    for key in ("job-scan", "job-backtest"):
        while key in app.session_state and not app.session_state[key].done:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    if tab == "pair_analytics":
        time.sleep(0.5)
    return app.run()


@pytest.mark.parametrize("tab", TABS)
def test_no_figure_is_nan_or_none_and_a_dash_has_a_reason(market, tab):
    case, database = market
    app = opened(database, tab)
    assert_no_number_is_missing_without_a_reason(app, (case, tab))
    text = "\n".join(sentences(app))
    if case == "nothing" and tab not in ("health",):
        assert re.search("press start|start the feed|choose|are needed", text, re.IGNORECASE), tab


def test_too_few_candles_say_how_many_are_missing_and_when_they_are_there(market):
    case, database = market
    if case != "five candles":
        return
    when = r"\d+ more closed candles of 1min are needed \(\d+ of \d+\).* at 2025-10-09"
    for tab in ("pair_analytics", "statistics_tab", "backtest"):
        text = "\n".join(sentences(opened(database, tab))).replace("\\", "")
        assert re.search(when, text), (tab, text)


def test_a_silent_symbol_has_no_number_of_now_and_says_since_when(market):
    case, database = market
    if case != "one is silent":
        return
    shown = {label: (value, why) for label, value, why in figures(opened(database, "dashboard"))}
    value, why = shown["Z-score"]
    assert value == "–"
    assert "ETHUSDT has not traded since 2025-10-09" in why
    assert shown["Hedge ratio"][0] != "–", "the candles up to then have one"
    tile = next(items for items in cards_of(opened(database, "dashboard")) if
                items[0].get("text") == "ETHUSDT")  # fmt: skip
    assert tile[2]["text"].startswith("–")
    assert "no trade since 2025-10-09" in json.dumps(tile, ensure_ascii=False)
