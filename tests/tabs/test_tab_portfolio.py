"""The Portfolio and Alerts tabs, run as the page runs them, beside a desk that works."""

import time
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from database import Database
from desk import Desk
from notify import Channels
from runtime import FeedStatus
from storage import alert_store, books
from tabs import desk_requests
from tabs.context import Context, Settings, forget_views
from ticks import TickBatch
from views import warm
from views.pair import PairOptions

FACTS = {
    "btcusdt": {"tick_size": 0.1, "step_size": 0.001, "min_notional": 5.0},
    "ethusdt": {"tick_size": 0.01, "step_size": 0.001, "min_notional": 5.0},
}
COLUMNS = ("symbol", "time_ms", "price", "size", "trade_id", "is_buyer_maker")


def page(ctx, tab):
    import importlib

    from tabs import alert_notices

    alert_notices.show(ctx)
    importlib.import_module(f"tabs.{tab}").render(ctx)


class Stage:
    """A market with an hour of prints, its desk, and a page that shows one tab of it."""

    def __init__(self, path, *, running=True):
        self.database = Database(path)
        self.database.put_all("instrument", FACTS)
        self.number = 0
        self.now = lambda: time.time_ns() // 1_000_000
        batch = TickBatch("aggTrade")
        begun = self.now() - 3_600_000
        for k in range(720):
            price = 100.0 + (k * 37 % 50) / 10
            self._add(batch, "btcusdt", begun + 5_000 * k, price)
            self._add(batch, "ethusdt", begun + 5_000 * k + 1, price / 2 + (k * 13 % 7) / 100)
        self.database.write(batch)
        self.desk = Desk(self.database, self.now, channels=Channels())
        self.running = running
        if running:
            self.desk.start()

    def _add(self, batch, symbol, time_ms, price):
        self.number += 1
        row = (symbol, time_ms, price, 1.0, self.number, False)
        for column, value in zip(COLUMNS, row, strict=True):
            getattr(batch, column).append(value)

    def prints(self, *prices):
        batch = TickBatch("aggTrade")
        for btc in prices:
            self._add(batch, "btcusdt", self.now(), btc)
            self._add(batch, "ethusdt", self.now(), btc / 2)
        self.database.write(batch)

    def open(self, tab):
        status = FeedStatus("demo", True, self.running, "holder", "live", "")
        options = PairOptions("btcusdt", "ethusdt", "1min")
        settings = Settings(("btcusdt", "ethusdt"), options)
        runtime = SimpleNamespace(now_ms=self.now)
        self.ctx = ctx = Context(runtime, self.database, status, settings)
        at = AppTest.from_function(page, args=(ctx, tab), default_timeout=30)
        return self.again(at)

    def again(self, at):
        forget_views()
        self.ctx.__dict__.pop("now_ms", None)  # read once a refresh
        at.run()
        assert not at.exception, at.exception
        return at

    def wait_for(self, condition):
        deadline = time.monotonic() + 10
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert condition()

    def read(self, query, *args):
        with self.database.snapshot() as snapshot:
            return snapshot.books(query, *args)

    def close(self):
        self.desk.stop()
        self.database.close()


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path / "page.db")
    yield stage
    stage.close()


def button(at, label):
    return next(b for b in at.button if b.label == label)


def open_account(stage):
    at = stage.open("portfolio")
    button(at, "Open account").click()
    stage.again(at)
    (account,) = stage.read(books.accounts)
    return at, account.id


def test_without_a_desk_the_page_says_what_to_do_and_offers_nothing(tmp_path):
    stage = Stage(tmp_path / "page.db", running=False)
    at = stage.open("portfolio")
    assert "press Start" in at.info[0].value
    assert button(at, "Open account").disabled
    stage.close()


def test_an_account_is_opened_an_order_sent_and_the_position_shown(stage):
    at, account = open_account(stage)
    at = stage.again(at)
    button(at, "Send order").click()
    stage.again(at)
    stage.prints(101.0)
    stage.wait_for(lambda: len(stage.read(books.journal, account)))
    at = stage.again(at)
    labels = {m.label: m.value for m in at.metric}
    assert {"Equity", "P&L", "Exposure", "Net beta", "Drawdown", "Win rate", "Sharpe"} <= set(
        labels
    )
    assert labels["Win rate"] == "–"
    table = next(d.value for d in at.dataframe if "liquidation" in d.value.columns)
    assert table["symbol"].tolist() == ["BTCUSDT"]


def test_two_clicks_on_one_button_send_one_order(stage, monkeypatch):
    at, account = open_account(stage)
    at = stage.again(at)
    for _ in range(2):
        button(at, "Send order").click()
        stage.again(at)
    assert len(stage.read(books.orders, account)) == 1
    monkeypatch.setattr(desk_requests, "_DOUBLE_CLICK_S", 0.0)
    at.session_state["token-order"] = ("", 0.0)
    button(at, "Send order").click()
    stage.again(at)
    assert len(stage.read(books.orders, account)) == 2


def test_a_refused_order_is_a_sentence(stage):
    at, account = open_account(stage)
    at = stage.again(at)
    next(n for n in at.number_input if n.label == "Amount").set_value(0.0)
    button(at, "Send order").click()
    at = stage.again(at)
    assert "above 0" in at.error[0].value
    assert stage.read(books.orders, account) == []


def test_a_pair_is_opened_and_shown_as_one_thing(stage):
    warm.begin()
    assert warm.wait(120)
    at, account = open_account(stage)
    at = stage.again(at)
    button(at, "Send pair").click()
    at = stage.again(at)
    assert not at.error, at.error[0].value
    stage.prints(101.0)
    stage.wait_for(lambda: len(stage.read(books.journal, account)) == 2)
    at = stage.again(at)
    assert any("LONG BTCUSDT / ETHUSDT" in m.value for m in at.markdown)
    button(at, "Close pair").click()
    stage.again(at)
    stage.prints(102.0)
    stage.wait_for(lambda: stage.read(books.pairs, account) == [])


def test_auto_mode_is_started_and_stopped(stage):
    at, _ = open_account(stage)
    at = stage.again(at)
    button(at, "Start auto mode").click()
    at = stage.again(at)
    assert not at.error, at.error[0].value
    at = stage.again(at)
    button(at, "Stop and keep the pair").click()
    at = stage.again(at)
    (row,) = stage.read(books.autos)
    assert not row.running


def test_a_rule_is_made_fires_is_shown_and_toasted(stage):
    at = stage.open("alerts")
    next(n for n in at.number_input if n.label == "Level").set_value(110.0)
    button(at, "Save rule").click()
    at = stage.again(at)
    assert not at.error, at.error[0].value
    stage.prints(111.0)
    stage.wait_for(lambda: stage.read(alert_store.alerts))
    at = stage.again(at)
    assert any("Price of BTCUSDT above 110" in t.value.replace("\\", "") for t in at.toast)
    assert any("above 110" in m.value for m in at.markdown)
    table = next(d.value for d in at.dataframe if "alert" in d.value.columns)
    assert len(table) == 1
    at = stage.again(at)
    assert not at.toast


def test_a_rule_that_can_never_fire_is_a_sentence(stage):
    at = stage.open("alerts")
    at.selectbox(key="metric").select("correlation")
    at = stage.again(at)
    next(n for n in at.number_input if n.label == "Level").set_value(1.5)
    button(at, "Save rule").click()
    at = stage.again(at)
    assert "can never fire" in at.error[0].value
    assert stage.read(alert_store.rules) == []


def test_rules_are_snoozed_switched_off_and_deleted(stage):
    at = stage.open("alerts")
    next(n for n in at.number_input if n.label == "Level").set_value(110.0)
    button(at, "Save rule").click()
    stage.again(at)
    at = stage.again(at)
    button(at, "Snooze 1 h").click()
    stage.again(at)
    at = stage.again(at)
    assert any("snoozed until" in m.value for m in at.markdown)
    button(at, "Switch off").click()
    stage.again(at)
    at = stage.again(at)
    button(at, "Delete").click()
    stage.again(at)
    assert stage.read(alert_store.rules) == []
