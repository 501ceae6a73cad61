"""The desk's books survive anything, and nothing happens twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from database import Database
from desk import Desk
from desk import state as desk_state
from errors import DatabaseError
from notify import Channels
from storage import alert_store, books

START_MS = 1_790_000_100_000
ORDER = {"id": "o1", "account": "a1", "symbol": "btcusdt", "side": "LONG", "amount": 2.0}
PAIR = {
    "id": "p1",
    "account": "a1",
    "symbol1": "btcusdt",
    "symbol2": "ethusdt",
    "side": "LONG",
    "hedge_ratio": 2.0,
    "amount": 20_000.0,
}


def test_an_order_from_a_page_fills_at_the_next_print_and_is_in_the_books(bench):
    bench.account()
    assert bench.ask("desk.order", **ORDER)["done"]
    bench.step(("btcusdt", 101.0))
    journal = bench.journal()
    assert journal[["symbol", "quantity", "reference_price", "trade_id"]].values.tolist() == [
        ["btcusdt", 2.0, 101.0, 2]
    ]
    (position,) = bench.read(books.positions, "a1")
    assert position["quantity"] == 2.0
    (account,) = bench.read(books.accounts)
    assert account.cash == pytest.approx(100_000 - 2 * 101.0 * 1.0001 * 1.0005)


def test_two_clicks_and_a_request_asked_again_after_a_restart_are_one_order(bench):
    bench.account()
    bench.ask("desk.order", **ORDER)
    assert "already" in bench.ask("desk.order", **ORDER)["note"]
    bench.step(("btcusdt", 101.0))
    bench.restart()
    assert "already" in bench.ask("desk.order", **ORDER)["note"]
    bench.step(("btcusdt", 102.0))
    assert len(bench.journal()) == 1


def test_a_restart_finds_orders_positions_pairs_and_equity_as_they_were(bench):
    bench.account()
    bench.ask("desk.order", **ORDER, stop_loss=90.0, take_profit=120.0)
    bench.ask("desk.pair.open", **PAIR)
    bench.step(("btcusdt", 101.0), ("ethusdt", 50.0))
    before = bench.desk._state.accounts["a1"]
    after = bench.restart()._state.accounts["a1"]
    assert after is not before
    assert after.orders == before.orders
    assert len(after.orders) == 2
    assert after.pairs == before.pairs
    assert after.equity() == before.equity()
    assert repr(after.book.to_dict()) == repr(before.book.to_dict())


def test_what_was_traded_while_the_desk_was_away_fills_resting_orders_on_return(bench):
    bench.account()
    bench.ask("desk.order", **ORDER, kind="limit", price=99.0)
    bench.tape(("btcusdt", 98.0), ("btcusdt", 103.0))
    bench.restart()
    bench.step()
    assert bench.journal()["price"].tolist() == [99.0]


def test_nothing_is_repeated_where_the_transaction_fails_halfway(bench, monkeypatch):
    bench.account()
    bench.rule(level=100.5)
    bench.ask("desk.order", **ORDER)

    def breaks(con, position):
        raise DatabaseError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(desk_state.books, "put_tape_position", breaks)
        with pytest.raises(DatabaseError):
            bench.step(("btcusdt", 101.0))
    assert bench.journal().empty
    assert bench.alerts() == []
    bench.restart()
    bench.step()
    assert len(bench.journal()) == 1
    assert len(bench.alerts()) == 1


def test_a_cleared_tape_begins_again_and_open_orders_are_cancelled(bench):
    bench.account()
    bench.ask("desk.order", **ORDER, kind="limit", price=90.0)
    bench.database.clear()
    bench.ids["btcusdt"] = 0
    bench.step()
    bench.step(("btcusdt", 80.0))
    (order,) = bench.read(books.orders, "a1")
    assert order["state"] == "cancelled"
    assert "tape began again" in order["reason"]
    assert bench.journal().empty


def test_late_prints_of_a_hole_being_filled_move_nothing(bench):
    bench.account()
    bench.ids["btcusdt"] = 10
    bench.step(("btcusdt", 100.0))
    bench.ask("desk.order", **ORDER, kind="limit", price=95.0)
    bench.ids["btcusdt"] = 4
    bench.step(("btcusdt", 90.0))
    assert bench.journal().empty
    assert bench.desk.health()["late_prints"] == 1


def test_a_refusal_is_a_sentence_and_leaves_nothing_behind(bench):
    bench.account()
    for change, word in (
        ({"amount": 0}, "above 0"),
        ({"amount": None}, "cannot be read"),
        ({"symbol": "no such"}, "cannot be a symbol"),
        ({"symbol": "dogeusdt"}, "not a symbol this desk knows"),
        ({"account": "nobody"}, "no account"),
        ({"kind": "iceberg"}, "no order"),
        ({"amount": 1e9}, "leverage limit"),
    ):
        answer = bench.ask("desk.order", **{**ORDER, **change})
        assert not answer["done"]
        assert word in answer["why"], answer
    assert bench.read(books.orders, "a1") == []
    assert "does not know" in bench.ask("desk.nonsense")["why"]


def test_a_request_that_waited_too_long_is_not_carried_out(bench, monkeypatch):
    bench.account()
    number = bench.database.ask("desk.order", ORDER)
    with bench.database.transaction() as con:
        con.execute("UPDATE commands SET asked_ms = asked_ms - 120000 WHERE id = ?", (number,))
    bench.step(("btcusdt", 101.0))
    with bench.database.snapshot() as snapshot:
        assert "Ask again" in snapshot.answered(number)["why"]
    assert bench.journal().empty


def test_a_reset_needs_the_name_and_keeps_the_old_books_readable(bench):
    bench.account()
    bench.ask("desk.order", **ORDER)
    bench.step(("btcusdt", 101.0))
    refused = bench.ask("desk.account.reset", account="a1", new_id="a2", confirm="yes")
    assert "confirm with the account's name" in refused["why"]
    assert bench.ask("desk.account.reset", account="a1", new_id="a2", confirm="paper")["done"]
    (account,) = bench.read(books.accounts)
    assert (account.id, account.cash) == ("a2", 100_000.0)
    assert len(bench.read(books.accounts, closed=True)) == 2
    assert len(bench.journal()) == 1
    assert list(bench.restart()._state.accounts) == ["a2"]


def test_funding_is_applied_once_at_each_funding_time(bench):
    bench.account(funding_rate=0.001)
    bench.ask("desk.order", **ORDER)
    bench.step(("btcusdt", 100.0))
    bench.now_ms = (START_MS // 28_800_000 + 1) * 28_800_000
    bench.step(("btcusdt", 100.0))
    bench.step(("btcusdt", 100.0))
    bench.restart()
    bench.step(("btcusdt", 100.0))
    paid = bench.journal().query("kind == 'funding'")
    assert paid["note"].tolist() == ["set rate"]
    assert bench.desk._state.accounts["a1"].book.funding == pytest.approx(2 * 100.0 * 0.001)


def test_the_exchanges_funding_rate_is_taken_when_it_can_be_had(make_bench):
    bench = make_bench(funding_rates=lambda symbol: -0.002)
    bench.tape(("btcusdt", 100.0))
    bench.desk.load()
    bench.account()
    bench.ask("desk.order", **ORDER)
    bench.step(("btcusdt", 100.0))
    bench.desk._learn_rate("btcusdt")
    bench.now_ms = (START_MS // 28_800_000 + 1) * 28_800_000
    bench.step(("btcusdt", 100.0))
    (event,) = bench.journal().query("kind == 'funding'").to_dict("records")
    assert (event["rate"], event["note"]) == (-0.002, "exchange, last published")


def test_funding_times_missed_while_another_symbol_traded_are_each_applied(bench):
    bench.account(funding_rate=0.001)
    bench.ask("desk.order", **ORDER)
    bench.ask("desk.order", **{**ORDER, "id": "o2", "symbol": "ethusdt"})
    bench.step(("btcusdt", 100.0), ("ethusdt", 50.0))
    bench.now_ms = (START_MS // 28_800_000 + 3) * 28_800_000
    bench.ask("desk.order", **{**ORDER, "id": "o3", "symbol": "ethusdt"})
    bench.step(("ethusdt", 50.0), ("btcusdt", 100.0))
    paid = bench.journal().query("kind == 'funding'")
    assert paid["symbol"].tolist() == ["ethusdt"] * 3 + ["btcusdt"] * 3
    assert paid["key"].nunique() == 6
    bench.restart()
    bench.step(("btcusdt", 100.0))
    assert len(bench.journal().query("kind == 'funding'")) == 6


def test_equity_is_kept_once_a_minute(bench):
    bench.account()
    for _ in range(3):
        bench.now_ms += 60_000
        bench.step(("btcusdt", 100.0))
    assert len(bench.read(books.equity, "a1")) >= 3


def test_a_held_pair_is_watched(bench):
    bench.account()
    bench.ask("desk.pair.open", **PAIR)
    bench.step(("btcusdt", 101.0), ("ethusdt", 50.0))
    with bench.database.snapshot() as snapshot:
        health = snapshot.all_of("pair_health")["p1"]
    assert "candles, 60 are needed" in health["why"]


def test_alerts_reach_the_history_once_whatever_restarts(bench):
    bench.rule()
    bench.step(("btcusdt", 111.0), ("btcusdt", 112.0))
    bench.restart()
    bench.step(("btcusdt", 113.0), ("btcusdt", 109.0), ("btcusdt", 115.0))
    assert [a.body["value"] for a in bench.alerts()] == [115.0, 111.0]


def test_a_snoozed_rule_is_recorded_and_not_sent(make_bench):
    from notify import Webhook

    hook = Webhook("http://127.0.0.1:9/x", allow_private=True)
    bench = make_bench(channels=Channels(webhook=hook))
    bench.tape(("btcusdt", 100.0))
    bench.desk.load()
    bench.rule()
    bench.ask("desk.rule.snooze", rule="r1", seconds=3600)
    bench.step(("btcusdt", 111.0))
    assert bench.alerts()[0].body["quiet"]
    assert bench.read(alert_store.deliveries) == []
    bench.ask("desk.rule.snooze", rule="r1", seconds=0)
    bench.step(("btcusdt", 100.0), ("btcusdt", 111.0))
    (delivery,) = bench.read(alert_store.deliveries)
    assert delivery.channel == "webhook"
    assert delivery.body["values"]["value"] == 111.0
    bench.ask("desk.mute", seconds=3600)
    bench.restart()
    bench.step(("btcusdt", 100.0), ("btcusdt", 111.0))
    assert len(bench.read(alert_store.deliveries)) == 1
    assert len(bench.alerts()) == 3


def test_a_second_desk_that_woke_up_repeats_nothing(bench):
    bench.account()
    bench.rule()
    asleep = bench.desk
    awake = bench.new_desk()
    awake.load()
    bench.desk = awake
    assert bench.ask("desk.order", **ORDER)["done"]
    bench.step(("btcusdt", 111.0))
    asleep._due.clear()
    with pytest.raises(DatabaseError, match="Another process's desk"):
        asleep.turn()
    assert len(bench.alerts()) == 1
    assert len(bench.journal()) == 1
    asleep._loaded = False
    bench.desk = asleep
    bench.step(("btcusdt", 109.0), ("btcusdt", 112.0))
    assert len(bench.alerts()) == 2


def test_a_rule_asked_for_twice_is_one_and_dropped_rules_are_gone(bench):
    bench.rule()
    bench.rule()
    assert len(bench.read(alert_store.rules)) == 1
    bench.ask("desk.rule.drop", rule="r1")
    bench.step(("btcusdt", 120.0))
    assert bench.alerts() == []
    assert bench.restart()._state.engine.rules == {}


def test_the_thread_follows_the_tape_and_ends_at_once(bench):
    bench.rule()
    bench.desk.stop()
    desk = bench.new_desk()
    desk.start()
    bench.tape(("btcusdt", 111.0))
    deadline = time.monotonic() + 5
    while not bench.alerts() and time.monotonic() < deadline:
        time.sleep(0.02)
    begun = time.monotonic()
    desk.stop()
    assert time.monotonic() - begun < 1.5
    assert len(bench.alerts()) == 1
    assert desk.health()["trouble"] == ""


VICTIM = """
import json, sys, time
from database import Database
from desk import Desk
from notify import Channels
from ticks import TickBatch
path, start = sys.argv[1], int(sys.argv[2])
database = Database(path)
clock = [start]
desk = Desk(database, lambda: clock[0], channels=Channels())
desk.load()
print("ready", flush=True)
k = database.snapshot().__enter__().last_print("btcusdt")[0]
while True:
    batch = TickBatch("aggTrade")
    for _ in range(20):
        k += 1
        clock[0] = start + k * 50
        price = 100.0 + (k * 7919 % 400) / 10
        for name, value in (("symbol", "btcusdt"), ("time_ms", clock[0]), ("price", price),
                            ("size", 1.0), ("trade_id", k), ("is_buyer_maker", False)):
            getattr(batch, name).append(value)
    database.write(batch)
    number = database.ask("desk.order", {
        "id": f"o{k}", "account": "a1", "symbol": "btcusdt",
        "side": "LONG" if k // 20 % 2 else "SHORT", "amount": 1.0, "kind": "limit",
        "price": 115.0 if k // 20 % 2 else 125.0})
    desk.turn()
"""


@pytest.mark.parametrize("seed", range(1))
def test_kill_9_loses_nothing_and_repeats_nothing(make_bench, tmp_path, seed):
    bench = make_bench()
    path = bench.path
    bench.tape(("btcusdt", 120.0))
    bench.desk.load()
    bench.account()
    bench.rule(level=135.0, rearm=110.0)
    bench.database.close()
    script = tmp_path / "victim.py"
    script.write_text(VICTIM)
    for life in range(3):
        child = subprocess.Popen(
            [sys.executable, str(script), str(path), str(START_MS)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert child.stdout.readline().strip() == b"ready"
        time.sleep(0.25 + 0.13 * life + 0.07 * seed)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    database = Database(path)
    desk = Desk(database, lambda: START_MS, channels=Channels())
    desk.load()
    while desk.turn():
        pass
    check_against_the_tape(database, desk)
    database.close()


def check_against_the_tape(database, desk):
    """Fires and fills are those that one uninterrupted reading of the tape gives."""
    with database.snapshot() as snapshot:
        prices = snapshot.books(books.prices_between, "btcusdt", 0, 10**13)[1]
        journal = snapshot.books(books.journal, "a1")
        alerts = snapshot.books(alert_store.alerts, limit=1_000_000)
        orders = snapshot.books(books.orders, "a1")
    expected, armed = 0, True
    for price in prices[1:]:
        if armed and price >= 135.0:
            expected, armed = expected + 1, False
        elif not armed and price <= 110.0:
            armed = True
    assert len(alerts) == expected > 3
    assert len(journal) == journal["key"].nunique() > 3
    filled = {o["id"] for o in orders if o["state"] == "filled"}
    assert filled == set(journal["key"])
    account = desk._state.accounts["a1"]
    assert account.book.position("btcusdt").quantity == pytest.approx(journal["quantity"].sum())
    assert abs(account.book.imbalance(account.marks())) < 1e-4
    assert json.dumps(account.settings.to_dict())
