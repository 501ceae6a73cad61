"""The page without a browser: every tab, with no symbol's data, one, two and twenty symbols."""

from __future__ import annotations

import json
import re
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import runtime as runtime_module
from config import Config
from database import Database
from simulator.prices import PlantedTape
from tabs import shell, sidebar, statistics_tab
from tabs.context import forget_views
from ticks import TickBatch
from views import pair_page, warm
from views.stats import make_stats

APP = str(Path(__file__).resolve().parents[1] / "app.py")
TABS = [
    "Dashboard", "OHLC Charts", "Pair Analytics", "Scanner", "Backtest", "Statistics", "Portfolio",
    "Alerts", "Jobs", "Data", "Health",
]  # fmt: skip
TWO = ["btcusdt", "ethusdt"]
TWENTY = [
    *TWO, "solusdt", "bnbusdt", "xrpusdt", "linkusdt", "adausdt", "dogeusdt", "trxusdt", "xlmusdt",
    "avaxusdt", "ltcusdt", "dotusdt", "suiusdt", "nearusdt", "aptusdt", "uniusdt", "filusdt",
    "arbusdt", "opusdt",
]  # fmt: skip


def fill(path: Path, symbols: list[str], minutes: int) -> None:
    """A database with the newest minutes of the demo market."""
    tape, now_ms = PlantedTape(), time.time_ns() // 1_000_000
    with Database(path) as database:
        for symbol in symbols:
            t = tape.trades_between(symbol, now_ms - minutes * 60_000, now_ms)
            database.write(
                TickBatch(
                    "aggTrade",
                    [symbol] * len(t),
                    t.time_ms.tolist(),
                    t.price.tolist(),
                    t.quantity.tolist(),
                    t.id.tolist(),
                    t.is_buyer_maker.tolist(),
                )
            )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Files with no, one, two and twenty symbols."""
    folder = tmp_path_factory.mktemp("stored")
    files = {n: folder / f"{n}.db" for n in (0, 1, 2, 20)}
    fill(files[0], [], 1)
    fill(files[1], TWO[:1], 130)
    fill(files[2], TWO, 130)
    fill(files[20], TWENTY, 8)
    warm.begin()
    warm.wait_until_complete()
    return files


@pytest.fixture
def open_app(stored, tmp_path, monkeypatch) -> Iterator:
    """A function that opens the page on one of the files, as the demo market."""
    monkeypatch.setattr(Config, "DB_PATH", str(tmp_path / "t.db"))
    monkeypatch.setattr(Config, "DATA_SOURCE", "demo")
    monkeypatch.setattr(runtime_module, "_runtime", None)
    forget_views()

    def opened(symbols: int, tab: str | None = None, **settings: object) -> AppTest:
        shutil.copy(stored[symbols], tmp_path / "t_demo.db")
        if symbols == 20:
            settings |= {"symbols": TWENTY}
        if symbols == 1:
            settings |= {"symbols": TWO[:1]}
        if settings:
            runtime_module.get_runtime().save_settings(settings)
        app = AppTest.from_file(APP, default_timeout=60)
        if tab is not None:
            app.query_params["tab"] = tab
        return app.run()

    yield opened
    if runtime_module._runtime is not None:
        runtime_module._runtime.close()


def texts(app: AppTest) -> str:
    parts = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info, *app.title]
    return "\n".join(str(p.value) for p in parts)


def parts(app: AppTest) -> dict[str, dict]:
    """The live parts on the page by key: their fields."""
    found = {}
    for component in app.get("bidi_component"):
        data = component.proto.bytes
        if data:
            (length,) = struct.unpack_from("<I", data)
            head = json.loads(data[4 : 4 + length])
            found |= {key: part["fields"] for key, part in head["parts"].items()}
    return found


def metric(app: AppTest, row: str, label: str) -> tuple[str, str]:
    """Value and help of a card."""
    for card in parts(app)[row]["cards"]:
        first, second, *_ = card["items"]
        if first["text"] == label:
            return second["text"], first["help"]
    raise AssertionError(f"no card {label} in {row}")


def assert_healthy(app: AppTest) -> None:
    assert not app.exception, app.exception
    assert "could not be shown" not in texts(app)


def test_the_landing_page_has_its_button_and_four_steps(open_app):
    app = open_app(0)
    assert_healthy(app)
    assert [b.label for b in app.button] == ["Launch Dashboard"]
    for step in ("1. Launch", "2. Choose a source", "3. Press Start", "4. Study a pair"):
        assert step in texts(app)
    app.button(key="launch").click().run()
    assert_healthy(app)
    labels = [b.label for b in app.sidebar.button]
    assert "Start" in labels
    assert "Stop" in labels


def test_with_nothing_stored_the_feed_can_be_started_where_one_looks(open_app, monkeypatch):
    monkeypatch.setattr(Config, "BACKFILL_MINUTES", 90)
    app = open_app(0, "Dashboard")
    assert "The last 1.5 h of trades are fetched as well." in texts(app)
    app.button(key="start-here").click().run()
    assert_healthy(app)
    assert runtime_module.get_runtime().status().running
    assert not app.button(key="stop").disabled


def test_a_scan_of_too_few_candles_says_how_many_are_missing_and_when_they_are_there(open_app):
    app = open_app(20, "Scanner")
    assert "too few candles for a scan yet" in texts(app)
    assert re.search(r"9\d more closed candles of 1min are needed .* there at 20\d\d-", texts(app))


def test_the_tabs_are_labelled_as_promised(open_app):
    assert list(shell.TABS) == TABS
    app = open_app(2, "Dashboard")
    assert [t.label for t in app.tabs] == TABS


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("symbols", [0, 1, 2, 20])
def test_every_tab_shows_itself_whatever_is_stored(open_app, tab, symbols):
    app = open_app(symbols, tab)
    assert_healthy(app)
    assert "SIMULATED DATA" in texts(app)


def test_the_tab_of_the_readme_shows_what_is_stored(open_app, monkeypatch):
    readme = (Path(APP).parent / "README.md").read_text(encoding="utf-8")
    (example,) = [e for e in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "TABS" in e]
    monkeypatch.setattr(shell, "TABS", dict(shell.TABS))
    exec(example, {})
    app = open_app(2, "Last prices")
    assert_healthy(app)
    shown = {m.label: float(m.value) for m in app.metric if m.label in TWO}
    path = Config.DB_PATH.replace("t.db", "t_demo.db")
    with Database(path, read_only=True) as database, database.snapshot() as snapshot:
        assert shown == {s.symbol: s.last_price for s in snapshot.symbols()}


def test_with_nothing_stored_the_page_says_what_to_do_next(open_app):
    said = texts(open_app(0, "Dashboard"))
    assert "There is nothing stored for these symbols yet." in said
    assert "Start the feed here or in the sidebar." in said


def test_a_number_that_cannot_be_computed_is_a_dash_with_the_reason(open_app):
    app = open_app(20, "Dashboard")
    value, why = metric(app, "headline", "Z-score")
    assert value == "–"
    assert "more closed candles" in why


def test_the_pair_has_a_zscore_on_two_hours_of_data(open_app):
    app = open_app(2, "Dashboard")
    assert -6 < float(metric(app, "headline", "Z-score")[0]) < 6


@pytest.mark.parametrize("method", ["huber", "tls", "rolling_ols", "kalman"])
def test_every_regression_gives_the_pair_page_its_charts(open_app, method):
    app = open_app(2, "Pair Analytics", method=method)
    assert_healthy(app)
    assert "cannot be analysed" not in texts(app)
    assert len(app.get("bidi_component")) >= 3


def test_rebased_candles_and_every_line_can_be_chosen(open_app):
    app = open_app(2, "OHLC Charts")
    assert_healthy(app)
    app.session_state["ohlc-lines"] = [
        "MA 20", "MA 50", "Bollinger bands", "VWAP", "RSI", "Volume",
    ]  # fmt: skip
    assert_healthy(app.run())
    app.session_state["ohlc-mode"] = "rebased"
    assert_healthy(app.run())
    app.session_state["ohlc-symbols"] = []
    app.run()
    assert "No symbol is chosen" in texts(app)


@pytest.mark.parametrize("shown", ["Ticks", "Candles", "Gap ledger", "Import", "Export"])
def test_every_part_of_the_data_page_shows_itself(open_app, shown):
    app = open_app(2, "Data")
    app.session_state["data-shown"] = shown
    assert_healthy(app.run())


def test_ticks_are_paged_back_and_forth(open_app):
    app = open_app(2, "Data")
    first = app.dataframe[0].value["id"].iloc[0]
    app.button(key="data-ticks-older").click().run()
    assert app.dataframe[0].value["id"].iloc[0] == first - 200
    app.button(key="data-ticks-newer").click().run()
    assert app.dataframe[0].value["id"].iloc[0] == first


@pytest.mark.parametrize("shown", ["Run", "Sweep", "Walk-forward", "Look-ahead audit"])
def test_each_kind_of_backtest_ends_in_a_result(open_app, shown):
    app = open_app(2, "Backtest")
    app.session_state["bt-shown"] = shown
    app.session_state["bt-window"] = 15
    app.session_state["bt-hedge-window"] = 25
    app.run()
    key = {"Run": "bt-run", "Sweep": "bt-sweep", "Walk-forward": "bt-walk"}.get(shown, "bt-audit")
    app.button(key=key).click().run()
    job = app.session_state[f"job-{ {'bt-run': 'backtest'}.get(key, key[3:]) }"]
    deadline = time.monotonic() + 100
    while not job.done and time.monotonic() < deadline:
        time.sleep(0.2)
    assert job.done
    assert job.error is None
    assert_healthy(app.run())


def test_a_backtest_on_too_few_candles_is_a_sentence(open_app):
    app = open_app(20, "Backtest")  # eight minutes of each
    app.button(key="bt-run").click().run()
    job = app.session_state["job-backtest"]
    while not job.done:
        time.sleep(0.1)
    app.run()
    assert "needs at least" in texts(app)


def test_a_typed_symbol_that_cannot_be_one_is_a_sentence_and_the_others_stay(open_app):
    app = open_app(2, "Dashboard")
    app.session_state["symbols"] = ["btcusdt", "<script>alert(1)</script>"]
    app.run()
    assert_healthy(app)


def test_settings_are_remembered_for_the_next_session(open_app):
    app = open_app(2, "Dashboard")
    app.sidebar.selectbox(key="timeframe").select("5s").run()
    assert runtime_module.get_runtime().load_settings()["timeframe"] == "5s"
    again = AppTest.from_file(APP, default_timeout=60)
    again.query_params["tab"] = "Health"
    assert again.run().sidebar.selectbox(key="timeframe").value == "5s"


def linked(**asked):
    """A new session that was opened by a link."""
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params.update(tab="Health", **asked)
    return app.run()


def test_a_link_is_understood_by_other_names_of_the_same_things(open_app):
    open_app(2, "Dashboard")
    app = linked(timeframe="5M", y="ETHUSDT", x="BTCUSDT")
    assert app.sidebar.selectbox(key="timeframe").value == "5min"
    assert app.sidebar.selectbox(key="y").value == "ethusdt"
    assert app.sidebar.selectbox(key="x").value == "btcusdt"


def test_a_link_to_what_is_not_here_says_so_and_shows_what_was_there_before(open_app):
    before = open_app(2, "Dashboard").sidebar.selectbox(key="timeframe").value
    app = linked(timeframe="fortnight", y="<b>doge</b>")
    assert app.sidebar.selectbox(key="timeframe").value == before
    assert app.sidebar.selectbox(key="y").value == "btcusdt"
    said = " ".join(message.value for message in app.warning)
    assert "timeframe = fortnight" in said
    assert "5min" in said
    assert "Add it to the symbols" in said
    assert "<b>" not in said


def test_statistics_of_the_same_candles_are_made_once_for_all_visits_and_sessions(
    open_app, monkeypatch
):
    made = []

    def counted(options, given):
        made.append(options)
        return make_stats(options, given)

    now_ms = time.time_ns() // 1_000_000
    monkeypatch.setattr(runtime_module.Runtime, "now_ms", lambda self: now_ms)
    monkeypatch.setattr(statistics_tab, "make_stats", counted)
    app = open_app(2, "Statistics")
    first = parts(app)["stats-facts"]
    for tab in ("Data", "Statistics"):
        app.session_state["tab"] = tab
        app.run()
    again = AppTest.from_file(APP, default_timeout=60)
    again.query_params["tab"] = "Statistics"
    assert parts(again.run())["stats-facts"] == parts(app)["stats-facts"] == first
    assert len(made) == 1


def test_clearing_asks_and_then_deletes(open_app):
    app = open_app(2, "Dashboard")
    app.button(key="clear").click().run()
    assert_healthy(app)
    with runtime_module.get_runtime().database.snapshot() as snapshot:
        assert snapshot.count("ticks") == 0


def test_clearing_deletes_no_other_market_than_the_one_it_named(open_app):
    app = open_app(2, "Dashboard")
    runtime = runtime_module.get_runtime()
    runtime.switch("live")
    fill(Path(Config.DB_PATH), TWO[:1], 1)
    runtime.switch("demo")
    app.run()
    assert "of **Demo market" in texts(app)
    runtime.switch("live")  # as another page does while the question stands
    app.button(key="clear").click().run()
    assert_healthy(app)
    assert "The source is live by now, not demo; nothing was deleted" in texts(app)
    for source in ("live", "demo"):
        runtime.switch(source)
        with runtime.database.snapshot() as snapshot:
            assert snapshot.count("ticks") > 0, source


def after_the_sidebar(monkeypatch, act: Callable[[runtime_module.Runtime], object]) -> list[int]:
    """Have another page act between the drawing of the sidebar and the rest, the first time.

    Returns a list that gets longer with every drawing of the sidebar.
    """
    drawn, render = [], sidebar.render

    def drawn_and_acted(runtime):
        place = render(runtime)
        drawn.append(len(drawn))
        if len(drawn) == 1:
            act(runtime)
        return place

    monkeypatch.setattr(sidebar, "render", drawn_and_acted)
    return drawn


def test_a_feed_started_or_stopped_by_another_page_changes_the_buttons_of_this_one(
    open_app, monkeypatch
):
    drawn = after_the_sidebar(monkeypatch, lambda runtime: runtime.start(TWO))
    app = open_app(2, "Health")
    assert_healthy(app)
    assert len(drawn) == 2, "drawn again, and once"
    assert (app.button(key="start").disabled, app.button(key="stop").disabled) == (True, False)
    after_the_sidebar(monkeypatch, lambda runtime: runtime.stop())
    app.run()
    assert (app.button(key="start").disabled, app.button(key="stop").disabled) == (False, True)


def test_a_source_chosen_on_another_page_is_the_one_the_sidebar_names(open_app, monkeypatch):
    drawn = after_the_sidebar(monkeypatch, lambda runtime: runtime.switch("live"))
    app = open_app(2, "Health")
    assert_healthy(app)
    assert len(drawn) == 2
    assert app.sidebar.selectbox(key="source").value == "live"
    assert "of **Live market" in texts(app)
    assert "SIMULATED DATA" not in texts(app)


def test_a_state_that_is_another_one_at_each_look_does_not_keep_the_page_running(
    open_app, monkeypatch
):
    look, status = count(), runtime_module.Runtime.status
    monkeypatch.setattr(
        runtime_module.Runtime,
        "status",
        lambda self: replace(status(self), running=next(look) % 2 == 0),
    )
    drawn = after_the_sidebar(monkeypatch, lambda runtime: None)
    assert_healthy(open_app(2, "Health"))
    assert len(drawn) <= 2


def test_a_database_that_is_none_is_a_sentence(open_app, tmp_path):
    (tmp_path / "t_demo.db").write_text("this is no database, it only looks like a file" * 10)
    app = AppTest.from_file(APP, default_timeout=60)
    app.query_params["tab"] = "Dashboard"
    app.run()
    assert not app.exception
    assert "not a SQLite database" in texts(app)


def test_another_source_shows_nothing_that_was_found_in_the_one_before(open_app):
    app = open_app(2, "Backtest")
    app.button(key="bt-run").click().run()
    job = app.session_state["job-backtest"]
    while not job.done:
        time.sleep(0.1)
    app.run()
    assert app.session_state["job-backtest"].result is not None
    pair_page._STUDIES.get("pair", 1, lambda: "study of the demo market")
    time.sleep(0.2)
    assert pair_page._STUDIES.get("pair", 1, str) == "study of the demo market"
    app.sidebar.selectbox(key="source").select("live").run()
    assert_healthy(app)
    assert "SIMULATED DATA" not in texts(app)
    assert "job-backtest" not in app.session_state
    assert "Nothing has been run yet" in texts(app)
    assert pair_page._STUDIES.get("pair", 2, str) is None
