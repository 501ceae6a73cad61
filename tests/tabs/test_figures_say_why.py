"""A figure that cannot be computed is a dash with its reason, on every tab, whatever is stored."""

from __future__ import annotations

import json
import math
import re
import struct
import time
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from database import Database
from runtime import FeedStatus
from tabs.context import Context, Settings, forget_views
from ticks import TickBatch
from views import warm
from views.pair import PairOptions

NOW_MS = 1_760_000_400_000
MINUTE = 60_000
CASES = ("nothing", "one symbol", "five candles", "constant", "one is silent")
TABS = (
    "dashboard", "ohlc_charts", "pair_analytics", "scanner", "backtest", "statistics_tab", "data",
    "health",
)  # fmt: skip
BAD = re.compile(r"\b(nan|none|inf|nat)\b", re.IGNORECASE)
BARE = re.compile(r"^\s*[–-]?\s*$")


def wave(level):
    """A price that is made of two waves alone: every test has to get by without noise."""
    return lambda i: level * (1 + 0.001 * math.sin(i / 7) + 0.0007 * math.sin(i / 3.1 + level))


def put(database, symbol, price, minutes, ago=0):
    """Ten trades a minute, the newest ``ago`` minutes before now."""
    n = minutes * 10
    times = [NOW_MS - (minutes + ago) * MINUTE + 6_000 * i for i in range(n)]
    prices = [price(i) for i in range(n)]
    makers = [i % 2 for i in range(n)]
    ids = list(range(1, n + 1))
    database.write(TickBatch("aggTrade", [symbol] * n, times, prices, [1.0] * n, ids, makers))


@pytest.fixture(scope="module", params=CASES)
def market(request, tmp_path_factory):
    warm.wait_until_complete()
    with Database(tmp_path_factory.mktemp("case") / "t.db") as database:
        if request.param == "one symbol":
            put(database, "btcusdt", wave(100), 130)
        elif request.param == "five candles":
            put(database, "btcusdt", wave(100), 5)
            put(database, "ethusdt", wave(10), 5)
        elif request.param == "constant":
            put(database, "btcusdt", lambda _: 100.0, 130)
            put(database, "ethusdt", lambda _: 10.0, 130)
        elif request.param == "one is silent":
            put(database, "btcusdt", wave(100), 190)
            put(database, "ethusdt", wave(10), 100, ago=90)
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


def cards_of(app):
    """Label, value and help of each figure that is a live card."""
    for component in app.get("bidi_component"):
        data = component.proto.bytes
        (length,) = struct.unpack_from("<I", data)
        for part in json.loads(data[4 : 4 + length])["parts"].values():
            for card in part["fields"].get("cards", ()):
                yield card["items"]


def figures(app):
    found = [(m.label, m.value, m.help or "") for m in app.metric]
    for items in cards_of(app):
        texts = [i for i in items if i["kind"] == "text"]
        if len(texts) > 1 and texts[0]["as"] == "label":
            lines = [run[0] for i in items if i["kind"] == "line" for run in i["runs"]]
            found.append((texts[0]["text"], texts[1]["text"], texts[0]["help"] or " ".join(lines)))
    return found


def sentences(app):
    shown = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info, *app.success]
    lines = [
        run[0] for items in cards_of(app) for i in items if i["kind"] == "line" for run in i["runs"]
    ]
    return [str(s.value) for s in shown] + lines


@pytest.mark.parametrize("tab", TABS)
def test_no_figure_is_nan_or_none_and_a_dash_has_a_reason(market, tab):
    case, database = market
    app = opened(database, tab)
    assert not app.exception, app.exception
    for label, value, why in figures(app):
        assert not BAD.search(value), (case, tab, label, value)
        if BARE.match(value):
            assert len(why) > 10, (case, tab, label, why)
            assert not BAD.search(why), (case, tab, label, why)
    text = "\n".join(sentences(app))
    assert not BAD.search(text.replace("half has none", "")), (case, tab, text)
    for table in app.dataframe:
        frame = table.value
        empty = (frame.isna() | (frame == "–")).to_numpy().any()
        assert not empty or "– in the table:" in text, (case, tab, list(frame.columns))
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
