"""Accounts, alerts and jobs: whatever is stored of prices, a dash has its reason."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from database import Database
from desk import Desk
from notify import Channels
from runtime import FeedStatus
from storage import job_store
from storage.job_store import JobRow, StoredResult
from tabs.context import Context, Settings, forget_views
from tests.tabs.said_on_page import (
    CASES,
    MINUTE,
    NOW_MS,
    assert_no_number_is_missing_without_a_reason,
    cards_of,
    figures,
    fill,
    sentences,
)
from ticks import TickBatch
from trading.alerts import METRICS
from views import warm
from views.pair import PairOptions

PAIR = ("btcusdt", "ethusdt")
FACTS = {
    "btcusdt": {"tick_size": 0.1, "step_size": 0.001, "min_notional": 5.0},
    "ethusdt": {"tick_size": 0.01, "step_size": 0.001, "min_notional": 5.0},
}


def page(ctx, tab):
    import importlib

    importlib.import_module(f"tabs.{tab}").render(ctx)


class Stage:
    """A market, and a desk that the test turns by hand."""

    def __init__(self, path, case):
        warm.wait_until_complete()
        self.case, self.now_ms = case, NOW_MS
        self.database = Database(path)
        self.database.put_all("instrument", FACTS)
        fill(self.database, case)
        self.next_id = 1_000_000
        self.desk = Desk(self.database, lambda: self.now_ms, channels=Channels())
        self.desk.load()

    def traded(self):
        """Symbols that trade now; where nothing is stored, the first print makes them."""
        known = {"one symbol": PAIR[:1], "one is silent": PAIR[:1]}
        return known.get(self.case, PAIR)

    def prints(self, factor=1.0):
        """A trade of each symbol that trades, a second on."""
        self.now_ms += 1_000
        for symbol in self.traded():
            price = (100.0 if symbol == PAIR[0] else 10.0) * factor
            self.next_id += 1
            self.database.write(
                TickBatch("aggTrade", [symbol], [self.now_ms], [price], [1.0], [self.next_id], [0])
            )
        self.turn()

    def turn(self):
        self.desk._due.clear()
        while self.desk.turn():
            pass

    def ask(self, request, /, **body):
        number = self.database.ask(request, body)
        self.turn()
        with self.database.snapshot() as snapshot:
            return snapshot.answered(number)

    def hold(self):
        """An account with orders of every kind, a position, and a pair where both legs trade."""
        self.prints()
        assert self.ask("desk.account.open", id="a1", name="<b>A*</b>", starting_equity=10_000.0)[
            "done"
        ]
        order = {"account": "a1", "symbol": "btcusdt", "side": "LONG", "amount": 2.0}
        self.ask("desk.order", id="o1", **order)
        self.ask("desk.order", id="o2", kind="limit", price=90.0, **order)
        self.ask("desk.order", id="o3", kind="stop", price=120.0, **order)
        self.ask("desk.order", id="o4", **order | {"amount": 1e9})
        if len(self.traded()) == 2:
            body = {"symbol1": "btcusdt", "symbol2": "ethusdt", "hedge_ratio": 2.0}
            self.ask("desk.pair.open", id="p1", account="a1", side="SHORT", amount=900.0, **body)
        self.prints()
        self.prints(1.01)

    def opened(self, tab):
        forget_views()
        status = FeedStatus("demo", True, True, "holder", "live", "")
        settings = Settings(PAIR, PairOptions(*PAIR, "1min"))
        runtime = SimpleNamespace(now_ms=lambda: self.now_ms, status=lambda: status)
        ctx = Context(runtime, self.database, status, settings)
        return AppTest.from_function(page, args=(ctx, tab), default_timeout=60).run()

    def close(self):
        self.desk.stop()
        self.database.close()


@pytest.fixture(params=CASES)
def stage(request, tmp_path):
    stage = Stage(tmp_path / "t.db", request.param)
    yield stage
    stage.close()


def shown(app):
    return {label: (value, why.replace("\\", "")) for label, value, why in figures(app)}


def test_an_account_that_holds_nothing_has_its_equity_and_no_invented_figure(stage):
    stage.prints()
    assert stage.ask("desk.account.open", id="a1", name="A", starting_equity=10_000.0)["done"]
    app = stage.opened("portfolio")
    assert_no_number_is_missing_without_a_reason(app, (stage.case, "flat"))
    found = shown(app)
    assert found["Equity"][0] == "10,000.00"
    assert found["Win rate"][0] == found["Sharpe"][0] == "–"


def test_positions_orders_and_pairs_say_what_they_lack(stage):
    stage.hold()
    app = stage.opened("portfolio")
    assert_no_number_is_missing_without_a_reason(app, (stage.case, "held"))
    found = shown(app)
    assert found["Unrealised"][0] not in ("–", "+0.00")
    value, why = found["Net beta"]
    if stage.case in ("nothing", "five candles"):
        assert value == "–"
        assert re.search(r"BTCUSDT: \d+ more closed candles of 1min are needed", why)
    elif stage.case == "constant":
        assert value != "0.00"


def test_what_is_held_of_a_symbol_without_a_price_has_no_value_and_not_its_entry_price(stage):
    stage.hold()
    stage.database.clear()
    app = stage.opened("portfolio")
    assert_no_number_is_missing_without_a_reason(app, (stage.case, "cleared"))
    found = shown(app)
    for label in ("Equity", "P&L", "Unrealised", "Exposure", "Net beta", "Drawdown"):
        value, why = found[label]
        assert value == "–", (label, value)
        assert "no trade of BTCUSDT" in why, (label, why)
    assert found["Fees"][0] not in ("–", "0.00"), "what was paid is known"


def test_a_position_in_a_symbol_that_fell_silent_says_as_of_when_it_is_valued(tmp_path):
    stage = Stage(tmp_path / "t.db", "constant")
    stage.hold()
    stage.now_ms += 10 * MINUTE
    stage.case = "one is silent"
    stage.prints()
    app = stage.opened("portfolio")
    text = "\n".join(sentences(app)).replace("\\", "")
    assert "ETHUSDT has not traded since 2025-10-09" in text
    stage.close()


def test_rules_of_every_kind_and_what_they_fired_say_what_they_lack(stage):
    stage.prints()
    assert stage.ask("desk.account.open", id="a1", name="A", starting_equity=10_000.0)["done"]
    levels = {"price": 100.5, "lag": 1.0, "silence": 1.0, "gaps": 1.0, "volume": 2.0}
    for metric, what in METRICS.items():
        body = {"metric": metric, "op": "above", "level": levels.get(metric, 0.5)}
        if what.symbols:
            body["symbol"] = "btcusdt"
        if what.symbols == 2:
            body["symbol2"] = "ethusdt"
        if what.needs_account:
            body["account"] = "a1"
        answer = stage.ask("desk.rule.save", id=metric, note="=1+1 <b>", **body)
        assert answer["done"] or "ETHUSDT" in answer["why"], answer
    stage.prints()
    stage.now_ms += 2 * MINUTE
    stage.prints(1.01)
    app = stage.opened("alerts")
    assert_no_number_is_missing_without_a_reason(app, (stage.case, "alerts"))
    text = "\n".join(sentences(app)).replace("\\", "")
    assert "Price of BTCUSDT above 100.5" in text
    assert any("alert" in table.value.columns for table in app.dataframe), "it fired"


def job(kind, state, note="", *, beat_ms=None, title="<b>BTC*</b>"):
    given = {"symbols": ["btcusdt", "ethusdt"], "candles": 0, "pairs": [["btcusdt", "ethusdt"]]}
    return JobRow(
        f"{kind}-{state}", kind, title, given, state, 4, note, "me" if beat_ms else None, beat_ms,
        NOW_MS - MINUTE, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("state", ["running", "stopped", "failed", "killed"])
@pytest.mark.parametrize("kind", ["scan", "sweep", "walk_forward"])
def test_jobs_in_every_state_say_what_they_lack(tmp_path, kind, state):
    stage = Stage(tmp_path / "t.db", "nothing")
    beat_ms = {"running": NOW_MS, "killed": NOW_MS - 60_000}.get(state)
    row = job(kind, "running" if state == "killed" else state, "2 of 4 tasks", beat_ms=beat_ms)
    with stage.database.transaction() as con:
        job_store.create(con, row)
        reason = "A backtest needs at least 10 observations, found 3."
        failed = [StoredResult(f"t{k}", "failed", reason, 0.1, "w") for k in range(2)]
        job_store.store(con, row.id, failed if state == "failed" else [], NOW_MS)
    app = stage.opened("job_list")
    assert_no_number_is_missing_without_a_reason(app, (kind, state))
    table = app.dataframe[0].value
    words = {"running": "running", "failed": "done but for tasks that failed"}
    assert table["state"].tolist() == [words.get(state, "stopped, can be resumed")]
    if state == "failed":
        assert reason in str(app.dataframe[1].value["reason"].tolist())
    stage.close()


def open_cards(stage):
    """Texts of the cards of the first page, by their label; in order."""
    app = stage.opened("dashboard")
    assert_no_number_is_missing_without_a_reason(app, (stage.case, "first page"))
    found = {}
    for items in cards_of(app):
        lines = ["".join(run[0] for run in i["runs"]) for i in items if i["kind"] == "line"]
        texts = [i["text"] for i in items if i["kind"] == "text"]
        found[texts[0] if texts else ""] = [*texts[1:], *lines]
    return found


def test_the_first_page_says_how_to_come_to_positions_and_alerts(stage):
    stage.prints()
    shown = open_cards(stage)
    assert shown["Positions"] == ["No paper account is open: the tab Portfolio opens one."]
    assert shown["Alerts"] == ["No rule is watched: the tab Alerts makes one."]


def test_the_first_page_shows_what_is_held_what_is_met_and_what_fired(stage):
    rule = {"metric": "price", "op": "above", "level": 100.5, "symbol": "btcusdt"}
    stage.hold()
    stage.prints()
    assert stage.ask("desk.rule.save", id="r1", **rule)["done"]
    stage.prints(1.02)
    shown = open_cards(stage)
    account = shown["Positions · <b>A*</b>"]
    assert account[0].endswith(" USDT")
    assert re.match(r"LONG [\d.]+ BTCUSDT · P&L [+-]\d", account[2])
    if len(stage.traded()) == 2:
        assert any("ETHUSDT in a pair · P&L" in line for line in account)
    alerts = shown["Alerts"]
    assert alerts[:2] == ["1 open", "Rules watched: 1"]
    assert sum("Price of BTCUSDT above 100.5" in line for line in alerts) == 2, "open, and fired"
    stage.prints(0.99)
    assert open_cards(stage)["Alerts"][0] == "0 open"


def test_the_first_page_invents_no_equity_where_a_price_is_missing(tmp_path):
    stage = Stage(tmp_path / "t.db", "constant")
    stage.hold()
    stage.database.clear()
    stage.traded = lambda: PAIR[1:]
    stage.prints()
    assert open_cards(stage)["Positions · <b>A*</b>"][:2] == ["–", "P&L –"]
    stage.close()
