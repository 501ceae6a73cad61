"""Mark prices at the desk: taken in beside the tape, trusted while they are recent."""

import pytest

from storage import books
from views.portfolio import read_portfolio

SHORT = {"id": "o1", "account": "a1", "symbol": "btcusdt", "side": "SHORT", "amount": 900.0}


@pytest.fixture
def short(bench):
    """A short of 900 at 100 on a tenth of margin: liquidated at about 109.4."""
    bench.account(starting_equity=10_000.0, leverage_limit=10.0)
    assert bench.ask("desk.order", **SHORT)["done"]
    bench.step(("btcusdt", 100.0))
    assert quantity(bench) == -900.0
    return bench


def quantity(bench):
    return sum(p["quantity"] for p in bench.read(books.positions, "a1"))


def mark(bench, price, ahead_ms=0):
    bench.desk.on_mark([("btcusdt", bench.now_ms + ahead_ms, price)])
    bench.step()


def judged_by(bench):
    with bench.database.snapshot() as snapshot:
        (account,) = snapshot.books(books.accounts)
        return read_portfolio(snapshot, account, bench.now_ms).positions["judged by"].tolist()


def test_a_mark_price_liquidates_though_the_last_price_has_not_crossed(short):
    mark(short, 112.0)
    assert quantity(short) == 0
    liquidation = short.journal().iloc[-1]
    assert liquidation["note"] == "liquidation"
    assert liquidation["reference_price"] == 100.0
    order = next(o for o in short.read(books.orders, "a1") if o["id"].startswith("liquidation"))
    assert "the mark price 112 left less" in order["reason"]


def test_a_last_price_beyond_liquidates_nothing_while_the_mark_price_is_within(short):
    mark(short, 100.0)
    short.step(("btcusdt", 112.0))
    assert quantity(short) == -900.0
    assert judged_by(short) == ["mark price 100"]


def test_without_a_recent_mark_price_the_last_price_is_taken(short):
    mark(short, 100.0)
    short.now_ms += 6_000
    short.step(("btcusdt", 101.0))
    assert judged_by(short) == ["last price"]
    short.step(("btcusdt", 112.0))
    assert quantity(short) == 0
    order = next(o for o in short.read(books.orders, "a1") if o["id"].startswith("liquidation"))
    assert "the last price 112 left less" in order["reason"]


def test_a_feed_without_mark_prices_is_judged_by_the_last_price_and_says_so(short):
    assert judged_by(short) == ["last price"]


def test_the_last_mark_price_is_stored_with_the_position_and_found_again(short):
    mark(short, 101.5)
    short.step(("btcusdt", 101.0))
    short.restart()
    short.step(("btcusdt", 112.0))
    assert quantity(short) == -900.0
    assert short.desk._state.market.mark("btcusdt") == 101.5


def test_a_mark_price_has_its_place_among_the_prints(short):
    short.tape(("btcusdt", 102.0))
    at_ms = short.now_ms
    short.tape(("btcusdt", 103.0))
    short.desk.on_mark([("btcusdt", at_ms + 1, 112.0)])
    short.step()
    assert quantity(short) == 0
    assert short.journal().iloc[-1]["reference_price"] == 102.0


def test_a_mark_price_from_far_ahead_of_the_clock_is_refused(short):
    mark(short, 112.0, ahead_ms=60_000)
    assert quantity(short) == -900.0
    assert judged_by(short) == ["last price"]


def test_at_a_stale_last_price_nothing_is_liquidated_before_the_next_print(short):
    short.now_ms += 10_000
    mark(short, 112.0)
    assert quantity(short) == -900.0
    short.step(("btcusdt", 103.0))
    assert quantity(short) == 0
    assert short.journal().iloc[-1]["reference_price"] == 103.0
