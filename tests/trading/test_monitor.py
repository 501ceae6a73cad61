"""A held pair is warned of when it is no pair any more."""

import numpy as np

from quant.cointegration import engle_granger
from trading.monitor import MINIMUM, Limits, pair_health


def walk(n=240, seed=7):
    return 100 + np.random.default_rng(seed).normal(size=n).cumsum()


def test_a_sound_pair_gives_no_warning():
    x = walk()
    y = 2 * x + np.random.default_rng(1).normal(size=240)
    health = pair_health(y, x, 2.0)
    assert health.warnings == ()
    assert health.pvalue == engle_granger(y, x).pvalue
    assert health.candles == 240


def test_independent_walks_are_warned_of():
    health = pair_health(walk(seed=1), walk(seed=4), 2.0)
    assert health.pvalue > 0.1
    assert "Cointegration is not shown any more" in health.warnings[0]


def test_a_drifted_hedge_ratio_is_warned_of():
    x = walk()
    y = 3 * x + np.random.default_rng(1).normal(size=240)
    (warning,) = pair_health(y, x, 2.0, Limits(drift=0.25)).warnings
    assert "drifted by 50%" in warning


def test_too_little_and_constant_data_says_so_and_warns_of_nothing():
    for y, x in ((walk(20), walk(20)), (np.ones(100), walk(100))):
        health = pair_health(y, x, 2.0)
        assert health.warnings == ()
        assert health.why
        assert health.to_dict()["pvalue"] is None
    assert f"{MINIMUM} are needed" in pair_health(walk(20), walk(20), 1.0).why
