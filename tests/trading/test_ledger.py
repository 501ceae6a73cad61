"""The books balance, whatever the order flow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import BadInput
from trading.ledger import Book, Fill, FundingEvent

SYMBOLS = ("btcusdt", "ethusdt")
quantities = st.integers(-500, 500).filter(bool).map(lambda k: k / 1000)
prices = st.floats(0.5, 90_000)


@st.composite
def flows(draw):
    events = []
    for k in range(draw(st.integers(0, 40))):
        symbol = draw(st.sampled_from(SYMBOLS))
        price = draw(prices)
        if draw(st.booleans()):
            pair = draw(st.sampled_from(["", "", "p1"]))
            fee = draw(st.floats(-1, 5))
            events.append(Fill(k, symbol, draw(quantities), price, fee, pair_id=pair))
        else:
            events.append(FundingEvent(k, symbol, draw(st.floats(-0.01, 0.01)), price))
    return events


@given(flows(), prices, prices)
def test_cash_and_positions_agree_with_profit_and_costs(events, mark1, mark2):
    book = Book.replay(100_000.0, events)
    marks = dict(zip(SYMBOLS, (mark1, mark2), strict=True))
    assert abs(book.imbalance(marks)) <= 1e-9 * 100_000.0
    assert book.wallet_balance + book.unrealised(marks) == pytest.approx(book.equity(marks))


@given(flows())
def test_position_is_the_sum_of_its_fills(events):
    book = Book.replay(1000.0, events)
    for (symbol, pair), position in book.positions.items():
        total = math.fsum(
            e.quantity
            for e in events
            if isinstance(e, Fill) and (e.symbol, e.pair_id) == (symbol, pair)
        )
        assert position.quantity == pytest.approx(total, abs=1e-12)


@given(flows())
def test_replaying_the_fills_gives_the_same_book(events):
    assert repr(Book.replay(1000.0, events).to_dict()) == repr(
        Book.replay(1000.0, list(events)).to_dict()
    )


@given(flows())
def test_closed_trades_and_what_is_open_add_up_to_the_totals(events):
    book = Book.replay(1000.0, events)
    if not book.open_positions():
        total = math.fsum(t.pnl for t in book.trades)
        assert total == pytest.approx(book.equity({}) - 1000.0, abs=1e-6)


def test_turning_over_realises_all_and_opens_at_the_new_price():
    book = Book(1000.0)
    book.apply(Fill(0, "btcusdt", 1.0, 100.0))
    book.apply(Fill(1, "btcusdt", -3.0, 110.0))
    position = book.position("btcusdt")
    assert (position.quantity, position.entry_price, position.realised) == (-2.0, 110.0, 10.0)
    assert [t.pnl for t in book.trades] == [10.0]


def test_a_pair_is_the_sum_of_its_legs_and_is_not_netted_with_own_positions():
    book = Book(10_000.0)
    book.apply(Fill(0, "ethusdt", 10.0, 100.0, fee=0.5, pair_id="a"))
    book.apply(Fill(0, "btcusdt", -0.5, 2000.0, fee=0.5, pair_id="a"))
    book.apply(Fill(1, "btcusdt", 0.5, 2000.0))
    marks = {"ethusdt": 103.0, "btcusdt": 2010.0}
    pair = book.pair("a", marks)
    assert pair.is_open
    assert pair.pnl == pytest.approx(30.0 - 5.0 - 1.0)
    assert book.net() == {"ethusdt": 10.0}
    book.apply(Fill(2, "ethusdt", -10.0, 103.0, pair_id="a"))
    assert book.trades == []
    book.apply(Fill(2, "btcusdt", 0.5, 2010.0, pair_id="a"))
    assert [(t.pair_id, t.side, t.pnl) for t in book.trades] == [("a", 1, 24.0)]


def test_funding_is_paid_by_longs_and_received_by_shorts():
    book = Book(1000.0)
    book.apply(Fill(0, "btcusdt", 1.0, 100.0))
    book.apply(Fill(0, "ethusdt", -1.0, 100.0))
    book.apply(FundingEvent(1, "btcusdt", 0.01, 200.0))
    book.apply(FundingEvent(1, "ethusdt", 0.01, 100.0))
    assert book.position("btcusdt").funding == 2.0
    assert book.position("ethusdt").funding == -1.0


def test_bad_events_are_refused_with_a_sentence():
    with pytest.raises(BadInput, match="not 0"):
        Fill(0, "btcusdt", 0.0, 1.0)
    with pytest.raises(BadInput, match="above 0"):
        Fill(0, "btcusdt", 1.0, -1.0)
    with pytest.raises(BadInput, match="Starting equity"):
        Book(0.0)
    book = Book(1.0)
    book.apply(Fill(5, "btcusdt", 1.0, 1.0))
    with pytest.raises(BadInput, match="time order"):
        book.apply(Fill(4, "btcusdt", 1.0, 1.0))
    with pytest.raises(BadInput, match="No mark price"):
        book.equity({})
