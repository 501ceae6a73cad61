"""What the sweep says of its own luck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.trading.markets import pair
from trading.backtest import HedgePlan, run_pair
from trading.optimize import Grid, sweep
from views.luck import BLOCKS, blocks_for, luck_of

GRID = Grid((1.0, 1.6, 2.2), (-0.5, 0.0, 0.5), (20, 40), (HedgePlan("rolling", 60),))


@pytest.fixture(scope="module")
def result():
    c = pair(900)
    return c, sweep(c, GRID, blocks=blocks_for(900))


def test_trials_overfitting_and_the_deflated_sharpe_are_stated_with_a_verdict(result):
    candles, found = result
    returns = run_pair(candles, found.settings_of(found.plateau())).returns
    facts, verdict = luck_of(found, returns)
    shown = {label: (value, how) for label, value, how in facts}
    assert shown["Trials"][0] == "18"
    assert shown["Probability of overfitting"][0].endswith(" %")
    assert "924 ways" in shown["Probability of overfitting"][1]
    assert shown["Deflated Sharpe"][0].endswith(" %")
    assert verdict.startswith("Overfitting: chosen on half of the candles")


def test_sharpe_ratios_of_the_trials_are_compared_per_candle(result):
    # A strategy of Sharpe 0.2 a candle over 2,000 candles is far above the best of 18 trials that
    # spread by 0.02; annualised figures by mistake would put it far below.
    _, found = result
    rng = np.random.default_rng(3)
    returns = rng.normal(0.2, 1.0, 2_000)
    facts, _ = luck_of(found, returns)
    assert {f[0]: f[1] for f in facts}["Deflated Sharpe"] == "100.0 %"


def test_where_it_cannot_be_judged_there_is_a_dash_and_why(result):
    _, found = result
    for other, why in (
        (replace(found, blocks=None, candles=90), "It takes 120 candles, there are 90."),
        (replace(found, complete=False), "cancelled"),
    ):
        facts, verdict = luck_of(other, np.zeros(100))
        assert {f[0]: f[1] for f in facts}["Probability of overfitting"] == "–"
        assert why in verdict
    facts, verdict = luck_of(found, None)
    assert [f[0] for f in facts] == ["Trials"]
    assert "nothing to judge" in verdict


def test_short_histories_keep_no_blocks():
    assert blocks_for(119) == 0
    assert blocks_for(120) == BLOCKS
