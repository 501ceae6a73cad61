"""Isolated margin and the price that liquidates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.ledger import Fill, Position
from trading.margin import MarginRules, liquidation_price, margin_view

quantities = st.floats(0.01, 100).flatmap(lambda q: st.sampled_from([q, -q]))


def position(quantity, entry):
    return Position("btcusdt").after(Fill(1, "btcusdt", quantity, entry))


@given(quantities, st.floats(1, 1e5), st.floats(1.0, 50.0), st.floats(0, 0.015))
def test_at_the_liquidation_price_the_margin_left_is_the_maintenance(q, entry, leverage, rate):
    rules = MarginRules(leverage, rate)
    price = margin_view(position(q, entry), entry, rules).liquidation_price
    if math.isnan(price):
        assert q > 0
        assert leverage == pytest.approx(1.0)
        return
    view = margin_view(position(q, entry), price, rules)
    assert view.left == pytest.approx(view.maintenance, abs=1e-7 * abs(q) * entry)
    beyond = price * (0.999 if q > 0 else 1.001)
    assert margin_view(position(q, entry), beyond, rules).is_crossed


def test_the_long_and_short_formulas():
    # entry · (1 ∓ 1/leverage) / (1 ∓ rate)
    assert liquidation_price(2.0, 100.0, 20.0, 0.005) == pytest.approx(100 * 0.9 / 0.995)
    assert liquidation_price(-2.0, 100.0, 20.0, 0.005) == pytest.approx(100 * 1.1 / 1.005)


def test_a_long_without_leverage_is_never_liquidated():
    view = margin_view(position(1.0, 100.0), 50.0, MarginRules(1.0, 0.005))
    assert math.isnan(view.liquidation_price)
    assert math.isnan(view.distance)


def test_funding_paid_brings_the_liquidation_price_nearer():
    rules = MarginRules(10.0, 0.005)
    free = margin_view(position(1.0, 100.0), 100.0, rules)
    paid = margin_view(position(1.0, 100.0), 100.0, rules, funding=2.0)
    assert paid.liquidation_price > free.liquidation_price
    assert paid.distance < free.distance
