"""A paper account: orders filled by the tape, books that balance, pairs as one thing."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import BadInput
from trading.ledger import Book
from trading.market import Market
from trading.orders import Kind, OrderRequest, State
from trading.paper import AccountSettings, PaperAccount
from trading.paper_pairs import PairRequest, PairState, leg_risk
from trading.sizing import SymbolRules

RULES = {
    "btcusdt": SymbolRules(step_size=0.001, min_notional=5.0, tick_size=0.1),
    "ethusdt": SymbolRules(step_size=0.001, min_notional=5.0, tick_size=0.01),
}


class Desk:
    """An account and its market, fed by hand; every print is fresh unless said otherwise."""

    def __init__(self, **terms):
        self.market = Market(stale_ms=5_000)
        terms = {"starting_equity": 100_000.0, **terms}
        self.account = PaperAccount("a", AccountSettings("paper", **terms), self.market, RULES)
        self.ids = {"btcusdt": 0, "ethusdt": 0}
        self.traded = {"btcusdt": [], "ethusdt": []}
        self.journal = []

    def tick(self, symbol, price, time_ms, *, now_ms=None):
        self.ids[symbol] += 1
        if self.market.on_print(symbol, time_ms, price, self.ids[symbol]):
            self.traded[symbol].append(price)
            self.account.on_print(symbol, time_ms if now_ms is None else now_ms)

    def order(self, side="LONG", amount=1.0, *, now_ms=1_000, id="o1", symbol="btcusdt", **more):
        return self.account.submit(OrderRequest(id, symbol, side, amount, **more), now_ms)

    def quantity(self, symbol="btcusdt", pair_id=""):
        return self.account.book.position(symbol, pair_id).quantity


@pytest.fixture
def desk():
    desk = Desk()
    desk.tick("btcusdt", 100.0, 1_000)
    desk.tick("ethusdt", 50.0, 1_000)
    return desk


def only_fill(desk):
    (record,) = desk.account.drain().fills
    return record


def test_a_market_order_fills_at_the_next_print_and_pays_taker_fee_and_slippage(desk):
    desk.order()
    assert desk.quantity() == 0
    desk.tick("btcusdt", 101.0, 1_100)
    fill = only_fill(desk).fill
    assert fill.price == pytest.approx(101.0 * 1.0001)
    assert fill.fee == pytest.approx(fill.price * 5e-4)


def test_a_resting_limit_fills_at_its_price_as_maker_when_the_tape_comes_to_it(desk):
    desk.order(kind=Kind.LIMIT, price=99.0)
    desk.tick("btcusdt", 99.1, 1_100)
    assert desk.quantity() == 0
    desk.tick("btcusdt", 98.0, 1_200)
    record = only_fill(desk)
    assert record.maker
    assert record.fill.price == 99.0
    assert record.fill.fee == pytest.approx(99.0 * 2e-4)
    assert record.fill.slippage == 0


def test_a_limit_through_the_market_is_a_taker_within_its_price(desk):
    desk.order(kind=Kind.LIMIT, price=102.0)
    desk.tick("btcusdt", 101.999, 1_100)
    record = only_fill(desk)
    assert not record.maker
    assert record.fill.price == pytest.approx(102.0)
    assert record.reference_price == 101.999


def test_a_stop_fills_at_the_print_beyond_it_and_not_at_its_price(desk):
    desk.order("SHORT", kind=Kind.STOP, price=95.0)
    desk.tick("btcusdt", 95.1, 1_100)
    desk.tick("btcusdt", 93.0, 1_200)
    record = only_fill(desk)
    assert record.reference_price == 93.0
    assert record.fill.price < 93.0


def test_of_two_exits_the_first_to_fill_cancels_the_other(desk):
    desk.order(stop_loss=95.0, take_profit=110.0)
    desk.tick("btcusdt", 100.0, 1_100)
    assert {o.state for o in desk.account.orders.values()} == {State.WORKING}
    desk.tick("btcusdt", 111.0, 1_200)
    assert desk.quantity() == 0
    assert not desk.account.orders
    assert desk.account.drain().orders["o1:sl"].state is State.CANCELLED


def test_closing_a_position_by_hand_cancels_its_exits(desk):
    desk.order(stop_loss=95.0, take_profit=110.0)
    desk.tick("btcusdt", 100.0, 1_100)
    desk.account.flatten("btcusdt", "f1", 1_150)
    desk.tick("btcusdt", 100.0, 1_200)
    assert desk.quantity() == 0
    assert not desk.account.orders


def test_two_clicks_on_one_button_are_one_order(desk):
    assert len(desk.order()) == 1
    assert desk.order() == []
    desk.tick("btcusdt", 100.0, 1_100)
    assert desk.order() == []
    desk.tick("btcusdt", 100.0, 1_200)
    assert desk.quantity() == 1.0


def test_an_order_does_not_fill_at_a_ghost_price_but_waits_for_a_fresh_one(desk):
    (order,) = desk.order(now_ms=60_000)
    assert "waits for a fresh one" in order.reason
    desk.tick("btcusdt", 90.0, 56_000, now_ms=62_000)
    assert desk.quantity() == 0
    desk.tick("btcusdt", 91.0, 62_000, now_ms=62_050)
    assert desk.quantity() == 1.0


def test_prints_from_before_the_order_do_not_fill_it(desk):
    desk.order(kind=Kind.LIMIT, price=99.0, now_ms=60_000)
    desk.tick("btcusdt", 90.0, 30_000, now_ms=60_100)
    assert desk.quantity() == 0


def test_a_late_print_is_left_alone(desk):
    desk.tick("btcusdt", 100.0, 5_000)
    assert not desk.market.on_print("btcusdt", 4_000, 50.0, 1)
    assert desk.market.last("btcusdt") == 100.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"amount": 0.0}, "finite number above 0, found 0.0"),
        ({"amount": -1.0}, "finite number above 0, found -1.0"),
        ({"amount": math.nan}, "finite number above 0, found nan"),
        ({"amount": 0.0004}, "less than one step"),
        ({"amount": 0.001}, "minimum notional"),
        ({"amount": 4_000.0}, "leverage limit of 3 allows 300,000.00"),
        ({"symbol": "dogeusdt"}, "not a symbol this desk knows"),
        ({"kind": Kind.LIMIT}, "needs a price"),
        ({"price": 99.0}, "takes no price"),
        ({"kind": Kind.LIMIT, "price": math.inf}, "The price is a finite number"),
        ({"stop_loss": 101.0}, "lies below its entry"),
        ({"take_profit": 99.0}, "lies above its entry"),
        ({"reduce_only": True}, "nothing of btcusdt to close"),
        ({"side": "BUY"}, "LONG or SHORT"),
        ({"by": "lots"}, "quantity, notional or percent"),
    ],
)
def test_what_cannot_be_an_order_is_refused_with_a_sentence_and_nothing_half_done(
    desk, change, sentence
):
    before = repr(desk.account.book.to_dict())
    with pytest.raises(BadInput, match=sentence.replace(".", r"\.")):
        desk.order(**change)
    assert not desk.account.orders
    assert not desk.account.drain()
    assert repr(desk.account.book.to_dict()) == before


def test_price_and_quantity_are_rounded_and_said_so(desk):
    (order,) = desk.order(kind=Kind.LIMIT, price=98.97, amount=1.0004)
    assert order.price == pytest.approx(99.0)
    assert order.quantity == 1.0
    assert "rounded to 99" in order.reason
    assert "rounded to 1" in order.reason


@pytest.mark.parametrize(
    ("by", "amount", "quantity"),
    [("quantity", 2.0, 2.0), ("notional", 500.0, 5.0), ("percent", 0.5, 500.0)],
)
def test_size_by_quantity_notional_and_percent_of_equity(desk, by, amount, quantity):
    (order,) = desk.order("SHORT", amount, by=by)
    assert order.quantity == -quantity


def test_half_the_spread_of_the_prints_is_the_slippage_when_asked_for():
    desk = Desk(slippage_by="half_spread")
    desk.market.on_print("btcusdt", 1_000, 99.9, 1, True)
    desk.market.on_print("btcusdt", 1_001, 100.1, 2, False)
    assert desk.market.half_spread_bps("btcusdt") == pytest.approx(10.0)
    desk.ids["btcusdt"] = 2
    desk.order(now_ms=1_002)
    desk.tick("btcusdt", 100.0, 1_100)
    assert only_fill(desk).fill.price == pytest.approx(100.0 * 1.001)


# -- funding and liquidation -----------------------------------------------------------------


def test_a_long_pays_positive_funding_and_a_short_receives_it(desk):
    desk.order("LONG", 10.0)
    desk.order("SHORT", 10.0, id="o2", symbol="ethusdt")
    desk.tick("btcusdt", 100.0, 1_100)
    desk.tick("ethusdt", 50.0, 1_100)
    assert desk.account.on_funding("btcusdt", 2_000, 1e-3, "set")
    assert desk.account.on_funding("ethusdt", 2_000, 1e-3, "set")
    assert desk.account.book.position("btcusdt").funding == pytest.approx(1.0)
    assert desk.account.book.position("ethusdt").funding == pytest.approx(-0.5)


def test_a_funding_time_is_applied_once(desk):
    desk.order("LONG", 10.0)
    desk.tick("btcusdt", 100.0, 1_100)
    assert desk.account.on_funding("btcusdt", 2_000, 1e-3, "set")
    assert not desk.account.on_funding("btcusdt", 2_000, 1e-3, "set")
    assert desk.account.book.funding == pytest.approx(1.0)


def test_a_position_is_liquidated_when_its_margin_is_used_up(desk):
    desk = Desk(leverage_limit=10.0, starting_equity=10_000.0)
    desk.tick("btcusdt", 100.0, 1_000)
    desk.order("LONG", 900.0)
    desk.tick("btcusdt", 100.0, 1_100)
    view = desk.account.margin(desk.account.book.position("btcusdt"))
    # q = 900, entry 100.01, margin = q · entry / 10: p = entry · (1 − 1/10) / (1 − 0.005)
    assert view.liquidation_price == pytest.approx(100.01 * 0.9 / 0.995)
    desk.tick("btcusdt", view.liquidation_price + 0.01, 1_200)
    assert desk.quantity() == 900.0
    desk.account.drain()
    desk.tick("btcusdt", view.liquidation_price - 0.01, 1_300)
    assert desk.quantity() == 0
    record = only_fill(desk)
    assert record.cause == "liquidation"


def test_a_mark_price_liquidates_where_there_is_one(desk):
    desk = Desk(leverage_limit=10.0, starting_equity=10_000.0)
    desk.tick("btcusdt", 100.0, 1_000)
    desk.order("SHORT", 900.0)
    desk.tick("btcusdt", 100.0, 1_100)
    desk.market.on_mark("btcusdt", 1_150, 100.0)
    desk.tick("btcusdt", 112.0, 1_200)
    assert desk.quantity() == -900.0
    desk.market.on_mark("btcusdt", 1_250, 112.0)
    desk.account.on_mark("btcusdt")
    assert desk.quantity() == 0


# -- pairs -----------------------------------------------------------------------------------


def pair(desk, **more):
    terms = {"side": "LONG", "hedge_ratio": 2.0, "amount": 20_000.0, **more}
    return desk.account.open_pair(PairRequest("p1", "btcusdt", "ethusdt", **terms), 1_000)


def test_a_pair_freezes_its_hedge_ratio_into_two_legs(desk):
    bought = pair(desk)
    assert (bought.quantity1, bought.quantity2) == (100.0, -200.0)
    desk.tick("btcusdt", 100.0, 1_100)
    desk.tick("ethusdt", 50.0, 1_150)
    assert desk.account.pairs["p1"].state is PairState.OPEN
    assert desk.quantity("btcusdt", "p1") == 100.0
    assert desk.quantity("ethusdt", "p1") == -200.0
    assert pair(desk) is None


def test_leg_risk_is_said_while_one_leg_rests(desk):
    pair(desk, rest_leg=2, rest_price=51.0)
    desk.tick("btcusdt", 100.0, 1_100)
    now = desk.account.pairs["p1"]
    legs = [desk.account.book.position(s, "p1") for s in now.symbols]
    assert "btcusdt is held (100, worth 10,000.00) while ethusdt is not filled" in leg_risk(
        now, *legs, 100.0, 50.0
    )
    desk.tick("ethusdt", 51.0, 1_200)
    now = desk.account.pairs["p1"]
    legs = [desk.account.book.position(s, "p1") for s in now.symbols]
    assert leg_risk(now, *legs, 100.0, 51.0) == ""


def test_cancelling_a_resting_leg_closes_the_leg_that_is_held(desk):
    pair(desk, rest_leg=2, rest_price=51.0)
    desk.tick("btcusdt", 100.0, 1_100)
    assert desk.account.cancel("p1:2", 1_150)
    desk.tick("btcusdt", 100.0, 1_200)
    assert desk.quantity("btcusdt", "p1") == 0
    assert not desk.account.pairs


@pytest.mark.parametrize(
    ("terms", "btc", "eth", "word"),
    [
        ({"spread_stop": 0.01}, 97.0, 50.0, "spread stop"),
        ({"take_profit": 0.01}, 103.0, 50.0, "take-profit"),
        ({"max_holding_ms": 1_000}, 100.0, 50.0, "time stop"),
    ],
)
def test_a_pair_is_left_by_stop_target_or_time(desk, terms, btc, eth, word):
    pair(desk, **terms)
    desk.tick("btcusdt", 100.0, 1_100)
    desk.tick("ethusdt", 50.0, 1_100)
    desk.tick("btcusdt", btc, 2_200)
    assert desk.account.pairs["p1"].state is PairState.CLOSING
    assert word in desk.account.pairs["p1"].reason
    desk.tick("btcusdt", btc, 2_300)
    desk.tick("ethusdt", eth, 2_300)
    assert not desk.account.pairs
    assert desk.account.drain().pairs["p1"].state is PairState.CLOSED


def test_a_leg_refused_at_its_fill_closes_the_other(desk):
    pair(desk, amount=299_000.0)
    desk.tick("btcusdt", 100.0, 1_100)
    desk.tick("ethusdt", 90.0, 1_150)
    assert "was refused" in desk.account.pairs["p1"].reason
    desk.tick("btcusdt", 100.0, 1_200)
    assert not desk.account.book.open_positions()


@settings(deadline=None)
@given(moves=st.lists(st.tuples(st.floats(50, 150), st.floats(25, 75)), min_size=2, max_size=8))
def test_pair_profit_reconciles_to_its_legs_to_the_cent(moves):
    desk = Desk()
    desk.tick("btcusdt", 100.0, 1_000)
    desk.tick("ethusdt", 50.0, 1_000)
    pair(desk)
    for k, (btc, eth) in enumerate(moves):
        desk.tick("btcusdt", btc, 2_000 + k)
        desk.tick("ethusdt", eth, 2_000 + k)
    desk.account.on_funding("ethusdt", 3_000, 1e-4, "set")
    desk.account.close_pair("p1", 3_000)
    desk.tick("btcusdt", 100.0, 3_100)
    desk.tick("ethusdt", 50.0, 3_100)
    book = desk.account.book
    legs = [book.position(s, "p1") for s in ("btcusdt", "ethusdt")]
    whole = book.pair("p1", {}).pnl
    assert whole == pytest.approx(
        sum(leg.realised - leg.fees - leg.funding for leg in legs), abs=0.005
    )
    assert book.equity({}) - book.starting_equity == pytest.approx(whole, abs=0.005)
    (trade,) = book.trades
    assert trade.pnl == pytest.approx(whole, abs=0.005)


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"hedge_ratio": 0.0}, "hedge ratio"),
        ({"hedge_ratio": math.nan}, "hedge ratio"),
        ({"amount": math.nan}, "amount"),
        ({"amount": 1e6}, "leverage limit"),
        ({"amount": 0.001}, "less than one step"),
        ({"spread_stop": -0.1}, "positive fraction"),
        ({"rest_leg": 1}, "needs a price"),
    ],
)
def test_what_cannot_be_a_pair_is_refused_with_a_sentence(desk, terms, sentence):
    with pytest.raises(BadInput, match=sentence):
        pair(desk, **terms)
    assert not desk.account.orders
    assert not desk.account.pairs


# -- laws over random order flows ------------------------------------------------------------

prices = st.integers(600, 1_400).map(lambda k: k / 10)
actions = st.one_of(
    st.tuples(st.just("tick"), st.sampled_from(["btcusdt", "ethusdt"]), prices),
    st.tuples(
        st.just("order"),
        st.sampled_from(["btcusdt", "ethusdt"]),
        st.sampled_from(["LONG", "SHORT"]),
        st.integers(1, 400).map(lambda k: k / 10),
        st.sampled_from(list(Kind)),
        prices,
        st.booleans(),
    ),
    st.tuples(st.just("pair"), st.sampled_from(["LONG", "SHORT"]), st.floats(0.2, 3.0)),
    st.tuples(st.just("close"), st.integers(0, 3)),
    st.tuples(st.just("funding"), st.sampled_from(["btcusdt", "ethusdt"]), st.floats(-0.01, 0.01)),
)


def play(flow, **terms):
    """Run a random flow of orders and prints; what is refused is refused."""
    desk = Desk(**terms)
    desk.tick("btcusdt", 100.0, 1_000)
    desk.tick("ethusdt", 100.0, 1_000)
    records, fundings, pairs = [], [], []
    for k, (what, *rest) in enumerate(flow):
        now = 1_010 + 10 * k
        try:
            if what == "tick":
                desk.tick(rest[0], rest[1], now)
            elif what == "order":
                symbol, side, amount, kind, price, exits = rest
                sign = 1 if side == "LONG" else -1
                entry = desk.market.last(symbol) if kind is Kind.MARKET else price
                desk.order(
                    side, amount, id=f"o{k}", symbol=symbol, kind=kind, now_ms=now,
                    price=None if kind is Kind.MARKET else price,
                    stop_loss=entry * (1 - 0.05 * sign) if exits else None,
                    take_profit=entry * (1 + 0.05 * sign) if exits else None,
                )  # fmt: skip
            elif what == "pair":
                request = PairRequest(
                    f"p{k}", "btcusdt", "ethusdt", rest[0], rest[1], 5_000.0,
                    spread_stop=0.02, take_profit=0.02,
                )  # fmt: skip
                desk.account.open_pair(request, now)
                pairs.append(request.id)
            elif what == "close" and pairs:
                desk.account.close_pair(pairs[rest[0] % len(pairs)], now)
            elif what == "funding":
                desk.account.on_funding(rest[0], now, rest[1], "set")
        except BadInput:
            pass
        changes = desk.account.drain()
        records += changes.fills
        fundings += changes.fundings
        desk.journal += [getattr(r, "fill", None) or r.event for r in changes.journal]
        for record in changes.fills:
            assert_within_traded_range(desk, record)
        assert_books_balance(desk.account)
    return desk, records, fundings


def assert_within_traded_range(desk, record):
    traded = desk.traded[record.fill.symbol]
    low, high = min(traded[-2:]), max(traded[-2:])
    if not record.maker:
        low = high = traded[-1]
    assert low <= record.reference_price <= high or (
        record.maker and min(traded) <= record.reference_price <= max(traded)
    )


def assert_books_balance(account):
    assert abs(account.book.imbalance(account.marks())) <= 1e-9 * account.book.starting_equity


@settings(max_examples=150, deadline=None)
@given(st.lists(actions, max_size=60))
def test_the_books_balance_and_fills_stay_in_the_traded_range(flow):
    desk, records, _ = play(flow, leverage_limit=5.0)
    for (symbol, pair_id), position in desk.account.book.positions.items():
        total = math.fsum(
            r.fill.quantity for r in records if (r.fill.symbol, r.fill.pair_id) == (symbol, pair_id)
        )
        assert position.quantity == pytest.approx(total, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(actions, max_size=60))
def test_replaying_the_journal_gives_the_same_book_and_restoring_the_same_account(flow):
    desk, _, _ = play(flow, leverage_limit=5.0)
    account = desk.account
    again = Book.replay(account.book.starting_equity, desk.journal)
    assert repr(again.to_dict()) == repr(account.book.to_dict())
    restored = PaperAccount.restore(
        "a", account.settings, desk.market, RULES, events=desk.journal,
        orders=account.orders.values(), pairs=account.pairs.values(),
    )  # fmt: skip
    assert restored.orders == account.orders
    assert restored.equity() == account.equity()
    for position in restored.book.open_positions():
        assert restored.margin(position) == account.margin(position)


@settings(max_examples=60, deadline=None)
@given(st.lists(actions, max_size=40))
def test_an_order_fills_at_most_once_and_the_same_flow_gives_the_same_fills(flow):
    _, first, _ = play(flow)
    _, second, _ = play(flow)
    ids = [r.fill.order_id for r in first]
    assert len(ids) == len(set(ids))
    assert first == second
