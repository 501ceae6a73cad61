"""The state machine of the strategy, one candle at a time."""

import math

import pytest

from errors import BadInput
from trading.strategy import MachineState, MeanReversion, Reason, Rules, Side


def targets(rules, zs):
    machine = MeanReversion(rules)
    return [int(machine.on_close(i, z).target) for i, z in enumerate(zs)]


def test_long_below_minus_entry_until_z_reaches_minus_exit():
    assert targets(Rules(2.0, 0.5), [-2.0, -2.1, -0.6, -0.5, 0.0]) == [0, 1, 1, 0, 0]


def test_short_above_entry_until_z_reaches_exit():
    assert targets(Rules(2.0, 0.5), [2.0, 2.1, 0.6, 0.5, 0.0]) == [0, -1, -1, 0, 0]


def test_the_candle_that_closes_never_opens_the_other():
    assert targets(Rules(2.0, 0.0), [-3.0, 3.0, 3.0]) == [1, 0, -1]


def test_nan_changes_nothing():
    assert targets(Rules(2.0, 0.0), [math.nan, -3.0, math.nan, 1.0]) == [0, 1, 1, 0]


def test_z_stop_leaves_and_nothing_opens_beyond_it():
    assert targets(Rules(2.0, 0.0, z_stop=4.0), [3.0, 4.0, 4.5, 3.0]) == [-1, 0, 0, -1]


def test_time_stop_counts_closes_since_the_entry():
    assert targets(Rules(2.0, 0.0, max_holding=2), [3.0, 3.0, 3.0]) == [-1, -1, 0]


def test_cool_down_skips_that_many_closes():
    assert targets(Rules(2.0, 0.0, cooldown=2), [3, -1, 3, 3, 3]) == [-1, 0, 0, 0, -1]


def test_stop_is_judged_before_target_and_both_on_the_frozen_spread():
    machine = MeanReversion(Rules(2.0, 0.0, spread_stop=0.01, take_profit=0.01))
    machine.on_close(0, -3.0, hedge_ratio=2.0)
    machine.filled(100.0, 50.0, 2.0)
    assert machine.on_price(1, 101.0, 50.0) is None
    assert machine.on_price(1, 102.0, 50.0).reason is Reason.TAKE_PROFIT
    machine = MeanReversion(
        Rules(2.0, 0.0, spread_stop=0.01),
        MachineState(side=1, entry_price1=100.0, entry_price2=50.0, hedge_ratio=2.0),
    )
    decision = machine.on_close(2, -1.0, price1=100.0, price2=51.0)
    assert decision.reason is Reason.SPREAD_STOP
    assert decision.move == pytest.approx(-0.01)


def test_a_blocked_entry_says_why_and_a_refused_one_is_forgotten():
    machine = MeanReversion(Rules())
    assert machine.on_close(0, 3.0, blocked="a gap").blocked == "a gap"
    assert machine.on_close(1, 3.0).acts
    machine.refused()
    assert machine.side is Side.FLAT
    machine.on_close(2, 3.0)
    assert machine.close(3).reason is Reason.FORCED
    assert machine.close(4) is None


def test_a_decision_is_plain_data_for_the_log():
    record = MeanReversion(Rules()).on_close(7, 3.0, spread=1.5).to_dict()
    assert record["target"] == "SHORT"
    assert record["reason"] == "ENTER_SHORT"
    assert record["spread"] == 1.5


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"entry_th": 1.0, "exit_th": 1.0}, "above the exit"),
        ({"entry_th": -1.0, "exit_th": -2.0}, "at least 0"),
        ({"entry_th": math.nan}, "finite"),
        ({"z_stop": 1.0}, "z-stop"),
        ({"spread_stop": 0.0}, "positive fraction"),
        ({"cooldown": -1}, "whole number"),
    ],
)
def test_rules_that_make_no_strategy_are_refused_with_a_sentence(kwargs, words):
    with pytest.raises(BadInput, match=words):
        Rules(**kwargs)
