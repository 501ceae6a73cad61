"""Costs and rounding, as backtest and paper trading share them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import BadInput
from kernels.scalars import round_to_step
from trading.costs import FREE, Costs, price_fill
from trading.sizing import (
    Sizing,
    SymbolRules,
    pair_quantities,
    round_price,
    round_quantity,
    spread_units,
)


def test_costs_are_on_by_default():
    filled = price_fill(100.0, 2.0, Costs())
    assert filled.price == pytest.approx(100.01)
    assert filled.fee == pytest.approx(200.02 * 5e-4)
    assert filled.slippage == pytest.approx(0.02)
    assert price_fill(100.0, -2.0, FREE) == (100.0, 0.0, 0.0)


def test_half_spread_replaces_slippage_and_impact_grows_with_the_root_of_size():
    assert Costs(half_spread_bps=3.0).fixed_slippage == pytest.approx(3e-4)
    costs = Costs(slippage_bps=0.0, impact=0.01)
    assert price_fill(100.0, 1.0, costs, volume=100.0).price == pytest.approx(100.1)
    assert price_fill(100.0, 1.0, costs, volume=0.0).price == pytest.approx(101.0)


@given(st.floats(0.001, 1e6), st.sampled_from([1.0, 0.1, 0.01, 0.001, 0.5, 5.0, 1e-8]))
def test_rounding_goes_towards_zero_by_less_than_a_step(quantity, step):
    rounded = round_to_step(quantity, step)
    assert rounded <= quantity * (1 + 2e-15) + 1e-8 * step
    assert quantity - rounded < step * (1 + 1e-6)
    assert round_to_step(-quantity, step) == -rounded
    assert round_to_step(rounded, step) == rounded


@given(st.integers(1, 10**6))
def test_multiples_of_decimal_steps_are_the_nearest_doubles(k):
    assert round_to_step(k * 0.001, 0.001) == k / 1000


def test_what_the_exchange_would_refuse_is_refused_with_the_reason():
    rules = SymbolRules(step_size=0.001, min_notional=100.0, min_quantity=0.002, tick_size=0.1)
    assert round_quantity(0.12345, 50_000.0, rules) == (0.123, "")
    assert "one step" in round_quantity(0.0001, 50_000.0, rules).refused
    assert "minimum of" in round_quantity(0.0015, 90_000.0, rules).refused
    assert "minimum notional" in round_quantity(0.003, 1_000.0, rules).refused
    assert "not 0" in round_quantity(math.nan, 1.0, rules).refused
    assert round_price(100.26, rules) == 100.3
    legs = pair_quantities(1, 0.01, 10.0, 50_000.0, 900.0, Sizing(rules1=rules, rules2=rules))
    assert "minimum notional" in legs.refused


def test_units_follow_notional_percent_and_volatility_within_leverage():
    args = (10_000.0, 100.0, 50.0, 2.0)
    assert spread_units(Sizing("units", 3.0), *args) == 3.0
    assert spread_units(Sizing("notional", 1000.0), *args) == 5.0
    assert spread_units(Sizing("percent", 0.5), *args) == 25.0
    assert spread_units(Sizing("volatility", 0.1), *args, 100.0) == 10.0
    assert spread_units(Sizing("volatility", 0.1), *args) == 0.0
    assert spread_units(Sizing("percent", 9.0, leverage_limit=2.0), *args) == 100.0
    assert spread_units(Sizing(), -1.0, 100.0, 50.0, 2.0) == 0.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Costs(taker_bps=math.nan),
        lambda: Costs(slippage_bps=-1),
        lambda: Costs(slippage_bps=1e5),
        lambda: Costs(half_spread_bps=-1),
        lambda: Sizing("percent", 0.0),
        lambda: Sizing("all"),
        lambda: Sizing(leverage_limit=0),
        lambda: SymbolRules(step_size=-1),
    ],
)
def test_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(BadInput):
        make()
