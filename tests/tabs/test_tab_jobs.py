"""The Jobs tab and the buttons that begin jobs, run as the page runs them."""

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from database import Database
from runtime import FeedStatus
from storage import job_store
from tabs.context import Context, Settings, forget_views
from trading.ask import BacktestAsk
from views import long_runs as views
from views import warm
from views.backtests import read_backtest_input
from views.pair import PairOptions
from views.text import moment

SYMBOLS = ("btcusdt", "ethusdt", "solusdt")
NOW_MS = 1_760_000_400_000
CANDLES = 400


def page(ctx, tab):
    import importlib

    importlib.import_module(f"tabs.{tab}").render(ctx)


@pytest.fixture
def database(tmp_path):
    """An hour-long market of three symbols that share a walk."""
    warm.wait_until_complete()
    rng = np.random.default_rng(3)
    shared = 100 + rng.normal(0, 0.1, CANDLES).cumsum()
    with Database(tmp_path / "t.db") as opened:
        for k, symbol in enumerate(SYMBOLS):
            close = shared * (1 + k) + rng.normal(0, 0.2, CANDLES)
            first = NOW_MS - (CANDLES + 5) * 60_000
            rows = [
                (symbol, (first + 60_000 * i) // 60_000 * 60_000, c, c + 0.1, c - 0.1, c, 1.0)
                for i, c in enumerate(close.tolist())
            ]
            opened.import_candles(rows, "1min", "klines")
        yield opened


@pytest.fixture
def opened(database):
    """A function that opens a tab on that market."""

    def tab(name, *symbols):
        forget_views()
        status = FeedStatus("live", False, True, "holder", "live", "")
        options = PairOptions("btcusdt", "ethusdt", "1min")
        settings = Settings(symbols or SYMBOLS, options)
        runtime = SimpleNamespace(now_ms=lambda: NOW_MS)
        ctx = Context(runtime, database, status, settings)
        app = AppTest.from_function(page, args=(ctx, name), default_timeout=60)
        return checked(app.run())

    return tab


def checked(app):
    assert not app.exception, app.exception
    return app


def again(app):
    """The page as the next refresh shows it."""
    forget_views()
    return checked(app.run())


def ended(app, key):
    """The page once the job beside it has ended."""
    deadline = time.monotonic() + 120
    while not app.session_state[f"job-{key}"].done and time.monotonic() < deadline:
        time.sleep(0.1)
    job = app.session_state[f"job-{key}"]
    assert job.done
    assert job.error is None, job.error
    return again(app)


def texts(app):
    parts = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info]
    return "\n".join(str(p.value) for p in parts)


def listed(database):
    with database.snapshot() as snapshot:
        return snapshot.books(job_store.listed)


def test_without_jobs_the_tab_says_where_they_come_from(opened):
    assert "No long computation has been begun yet" in texts(opened("job_list"))


def test_a_full_scan_is_begun_from_the_scanner_and_kept(opened, database):
    app = opened("scanner")
    app.button(key="scan-full").click().run()
    app = ended(app, "scan")
    frame = app.session_state["scan-result"].result.frame
    assert len(frame) == 3
    assert frame["aic_p_value"].notna().all()
    assert app.session_state["scan-live"] is False
    (job,) = listed(database)
    assert (job.kind, job.state, job.parameters["shown"]["timeframe"]) == ("scan", "done", "1min")
    shown = opened("job_list")
    assert "pairs are cointegrated" in texts(shown)
    assert "Full scan of 3 symbols" in shown.selectbox(key="jobs-chosen").options[0]


def test_a_sweep_over_every_pair_is_listed_with_what_was_asked(opened, database):
    app = opened("backtest")
    app.session_state["bt-shown"] = "Sweep"
    app.session_state["bt-sweep-over"] = "All 3 pairs of the 3 symbols"
    again(app)
    app.button(key="bt-sweep").click().run()
    app = ended(app, "sweep")
    assert "pairs have a Sharpe ratio, deflated for its trials" in texts(app)
    shown = texts(opened("job_list"))
    assert "**Symbols** BTCUSDT, ETHUSDT, SOLUSDT" in shown
    assert "**Entry z** 2" in shown
    assert "pairs have a Sharpe ratio, deflated" in shown


def test_a_stopped_job_is_resumed_and_then_deleted(opened, database):
    app = opened("backtest", "btcusdt", "ethusdt")
    app.session_state["bt-shown"] = "Walk-forward"
    again(app)
    app.button(key="bt-walk").click().run()
    ended(app, "walk")
    (job,) = listed(database)
    with database.transaction() as con:  # as if the program had died in the middle of it
        con.execute("DELETE FROM job_results WHERE task_key <> 'axis-000'")
        con.execute("UPDATE jobs SET state = 'running', result_hash = NULL, beat_ms = 1")
    app = opened("job_list")
    assert "stopped, can be resumed" in str(app.dataframe[0].value["state"].iloc[0])
    assert "Not complete" in texts(app)
    app.button(key="jobs-resume").click().run()
    app = ended(app, f"resume-{job.id}")
    assert listed(database)[0].result_hash == job.result_hash
    assert "Efficiency, Sharpe out of sample" in texts(app)
    app.button(key="jobs-delete").click().run()
    assert listed(database) == []


def test_a_running_job_shows_its_pace_and_is_cancelled(opened, database):
    app = opened("scanner")
    app.button(key="scan-full").click().run()
    ended(app, "scan")
    with database.transaction() as con:
        con.execute("UPDATE jobs SET state = 'stopped'")
        job_id = listed_id(con)
        job_store.claim(con, job_id, "another", NOW_MS)
        job_store.beat(con, job_id, "another", "1 of 3 tasks, 2.0 a second, 1 s left", NOW_MS)
    app = opened("job_list")
    assert "0 a second, 1 s left" in str(app.get("progress")[0].proto)
    app.button(key=f"jobs-stop-{job_id}").click().run()
    assert listed(database)[0].state == "stopped"


def listed_id(con):
    return con.execute("SELECT id FROM jobs").fetchone()[0]


@pytest.mark.parametrize("kind", ["sweep", "walk_forward"])
@pytest.mark.parametrize("symbols", [SYMBOLS, SYMBOLS[:2]])
def test_a_job_cancelled_before_its_first_task_is_shown_as_empty(database, kind, symbols):
    ask = BacktestAsk("btcusdt", "ethusdt", "1min")
    if len(symbols) > 2:
        job_id = views.ask_pairs(database, kind, ask, symbols, NOW_MS)
    else:
        with database.snapshot() as snapshot:
            given = read_backtest_input(snapshot, ask, NOW_MS)
        job_id = views.ask_pair(database, kind, ask, given, NOW_MS)
    job, view = views.work_on(database, job_id, lambda *_: None, lambda: True)
    assert job.state == "stopped"
    assert view.sentences
    assert not any("nan" in sentence for sentence in view.sentences)


def scanned_and_header(ctx):
    """The Scanner's tab, and what the header then says of the age of what is shown."""
    import streamlit as st

    from tabs import page_parts, scanner, shell

    scanner.render(ctx)
    said = []
    shell.still_cards = lambda part, key: said.append((key, part))
    fresh = shell._header(ctx)
    (part,) = (part for key, part in said if key == page_parts.AGE)
    st.session_state["header"] = (fresh, [c["items"][0]["text"] for c in part["cards"]])


def test_an_hour_later_a_result_says_what_it_was_computed_on_and_not_that_the_feed_is_stale(
    opened, database, monkeypatch
):
    monkeypatch.setattr("tabs.shell.still_cards", None)
    scanner = opened("scanner")
    scanner.button(key="scan-full").click().run()
    view = ended(scanner, "scan").session_state["scan-result"]
    view = replace(view, last_ms=NOW_MS)  # there are no trades in this market
    forget_views()
    status = FeedStatus("live", False, True, "holder", "live", "")
    later = SimpleNamespace(now_ms=lambda: NOW_MS + 3_600_000)
    settings = Settings(SYMBOLS, PairOptions("btcusdt", "ethusdt", "1min"))
    app = AppTest.from_function(
        scanned_and_header, args=(Context(later, database, status, settings),), default_timeout=60
    )
    app.session_state["scan-live"] = False
    app.session_state["scan-result"] = view
    fresh, (version, age) = checked(app.run()).session_state["header"]
    assert fresh
    assert version == f"data version {view.version:,}"
    assert age == f"computed on data until {moment(NOW_MS)}"
