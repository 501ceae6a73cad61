"""Alert rules: one alert for each transition, and rules that can never fire refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candles import CandleColumns
from errors import BadInput
from trading.alert_engine import AlertEngine, MoveWindow
from trading.alert_metrics import reading
from trading.alerts import METRICS, AlertRule, Op, RuleState, advance, check_rule, guards

KNOWN = frozenset({"btcusdt", "ethusdt"})
NOW = 1_790_000_000_000


def rule(**terms):
    base = {"id": "r", "metric": "price", "op": Op.ABOVE, "level": 100.0, "symbol": "btcusdt"}
    return AlertRule(**{**base, **terms})


def run(rule, values, step_ms=1000):
    """Values that fired, feeding one a second."""
    state, fired = RuleState(), []
    for k, value in enumerate(values):
        state, fires = advance(rule, state, value, NOW + k * step_ms)
        if fires:
            fired.append(value)
    return fired


def test_a_rule_fires_on_the_transition_and_not_on_the_state():
    assert run(rule(), [99, 101, 102, 103]) == [101]
    assert run(rule(), [101, 102]) == []
    assert run(rule(), [101, 99, 100]) == [100]


def test_the_rearm_level_keeps_a_trembling_price_quiet():
    assert run(rule(), [99, 101, 99.9, 101, 99.9, 101]) == [101, 101, 101]
    assert run(rule(rearm=98.0), [99, 101, 99.9, 101, 97, 101]) == [101, 101]
    assert run(rule(op=Op.BELOW, rearm=102.0), [101, 99, 101, 99, 103, 99]) == [99, 99]


def test_crossing_fires_both_ways_and_touching_is_not_crossing():
    assert run(rule(op=Op.CROSSES), [99, 101, 100, 102, 100, 98]) == [101, 98]


def test_cooldown_passes_transitions_over():
    assert run(rule(cooldown_s=3), [99, 101, 99, 102, 99, 103]) == [101, 103]


def test_an_expired_rule_is_silent():
    assert run(rule(expires_ms=NOW + 2000), [99, 99, 101, 99, 101]) == []


def test_a_nan_changes_nothing():
    assert run(rule(), [99, math.nan, 101, math.nan, 102]) == [101]


def test_a_rule_that_is_off_does_nothing_and_begins_anew():
    engine = AlertEngine([rule()])
    engine.on_print("btcusdt", NOW, 99.0)
    engine.enable("r", False)
    engine.on_print("btcusdt", NOW, 101.0)
    engine.enable("r", True)
    engine.on_print("btcusdt", NOW, 102.0)
    assert engine.drain()[0] == []
    engine.on_print("btcusdt", NOW, 99.0)
    engine.on_print("btcusdt", NOW, 102.0)
    assert len(engine.drain()[0]) == 1


@given(
    st.sampled_from(list(Op)),
    st.floats(95, 105),
    st.floats(0, 5),
    st.lists(st.floats(90, 110), max_size=60),
    st.integers(0, 5),
)
def test_the_engines_short_cut_fires_what_every_value_fed_would_fire(
    op, level, back, values, cooldown_s
):
    distance = None if op is Op.CROSSES else level + (-back if op is Op.ABOVE else back)
    one = rule(op=op, level=level, rearm=distance, cooldown_s=cooldown_s)
    engine = AlertEngine([one, rule(id="other", level=100.0)])
    for k, value in enumerate(values):
        engine.on_print("btcusdt", NOW + k * 1000, value)
    fired = [a.value for a in engine.drain()[0] if a.rule_id == "r"]
    assert fired == run(one, values)


@given(st.lists(st.floats(90, 110), min_size=1, max_size=60), st.integers(0, 60))
def test_a_restart_between_any_two_values_changes_nothing(values, cut):
    rules = [rule(rearm=99.0), rule(id="c", op=Op.CROSSES), rule(id="b", op=Op.BELOW, level=95.0)]
    whole = AlertEngine(rules)
    first = AlertEngine(rules)
    for k, value in enumerate(values):
        whole.on_print("btcusdt", NOW + k, value)
    for k, value in enumerate(values[:cut]):
        first.on_print("btcusdt", NOW + k, value)
    stored = {i: RuleState(**s.to_dict()) for i, s in first.states.items()}
    second = AlertEngine([AlertRule.from_dict(r.to_dict()) for r in rules], stored)
    for k, value in enumerate(values[cut:], start=cut):
        second.on_print("btcusdt", NOW + k, value)
    assert whole.drain()[0] == first.drain()[0] + second.drain()[0]


@given(st.lists(st.tuples(st.integers(1, 4000), st.floats(50, 150)), min_size=1, max_size=60))
def test_the_move_window_is_the_extreme_of_the_prints_in_it(steps):
    window, now, seen = MoveWindow(5), NOW, []
    for gap, price in steps:
        now += gap
        seen.append((now, price))
        window.push(now, price)
        inside = [p for t, p in seen if t >= now - 5000]
        assert window.rise(price) == price / min(inside) - 1
        assert window.fall(price) == price / max(inside) - 1


def test_a_fall_within_the_window_fires_and_a_slow_one_does_not():
    fall = rule(metric="move", op=Op.BELOW, level=-0.02, window_s=10)
    engine = AlertEngine([fall])
    for k in range(60):
        engine.on_print("btcusdt", NOW + k * 1000, 100.0 - 0.1 * k)
    assert engine.drain()[0] == []
    engine.on_print("btcusdt", NOW + 60_500, 92.0)
    (alert,) = engine.drain()[0]
    assert alert.value == pytest.approx(92.0 / 94.9 - 1)
    assert alert.detail == {"price": 92.0}


def test_snoozed_and_muted_alerts_are_quiet():
    engine = AlertEngine([rule()])
    engine.snooze("r", NOW + 5000)
    for k, price in enumerate([99.0, 101.0, 99.0]):
        engine.on_print("btcusdt", NOW + k, price)
    engine.on_print("btcusdt", NOW + 6000, 101.0)
    assert [a.is_quiet for a in engine.drain()[0]] == [True, False]
    engine.muted_until_ms = NOW + 9000
    engine.on_print("btcusdt", NOW + 7000, 99.0)
    engine.on_print("btcusdt", NOW + 8000, 101.0)
    assert engine.drain()[0][0].is_quiet


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"metric": "mood"}, "not a metric"),
        ({"symbol": "dogeusdt"}, "not a symbol this desk knows"),
        ({"level": math.nan}, "finite numbers"),
        ({"op": Op.BELOW, "level": 0.0}, "can never fire"),
        ({"op": Op.ABOVE, "level": -1.0}, "can never fire"),
        ({"expires_ms": NOW - 1}, "expires in the past"),
        ({"rearm": 101.0}, "lies at or below"),
        ({"op": Op.BELOW, "rearm": 99.0}, "lies at or above"),
        ({"op": Op.CROSSES, "rearm": 99.0}, "no re-arm level"),
        ({"cooldown_s": -1}, "cool-down"),
        ({"metric": "move", "level": -0.01}, "a rise"),
        ({"metric": "move", "op": Op.BELOW, "level": -1.0}, "can never fire"),
        ({"metric": "move", "level": 0.01, "window_s": 0}, "1 to 86400 seconds"),
        ({"metric": "correlation", "symbol2": "ethusdt", "level": 1.0}, "can never fire"),
        ({"metric": "correlation", "symbol2": "btcusdt", "level": 0.5}, "two symbols"),
        ({"metric": "zscore", "symbol2": "ethusdt", "level": 4.0, "window": 10}, "can never fire"),
        ({"metric": "cointegration", "symbol2": "ethusdt", "level": 0.1, "window": 10}, "30 to"),
        ({"metric": "volume", "level": 2.0, "timeframe": "7min"}, "not offered"),
        ({"metric": "pnl", "level": 100.0}, "needs an account"),
    ],
)
def test_a_rule_that_cannot_work_or_never_fire_is_refused_with_a_sentence(terms, sentence):
    with pytest.raises(BadInput, match=sentence):
        check_rule(rule(**terms), KNOWN, NOW)


def test_every_metric_has_a_rule_that_is_allowed():
    levels = {"move": 0.02, "correlation": 0.5, "cointegration": 0.05}
    for metric in METRICS:
        one = rule(metric=metric, level=levels.get(metric, 2.0), symbol2="ethusdt", account="a")
        check_rule(one, KNOWN, NOW)
        assert one.sentence()


def test_guards_hold_values_that_change_nothing():
    one = rule(rearm=98.0)
    armed, spent = RuleState(armed=True), RuleState(armed=False)
    assert guards(one, armed) == (-math.inf, 100.0)
    assert guards(one, spent) == (98.0, math.inf)
    assert guards(one, replace(armed, enabled=False)) == (-math.inf, math.inf)


# -- metrics on candle closes ----------------------------------------------------------------


def candles(close, volume=None, high=None, low=None):
    n = len(close)
    close = np.asarray(close, dtype=float)
    return CandleColumns(
        np.zeros(n, np.int64), np.arange(n) * 60_000, close,
        close if high is None else high, close if low is None else low, close,
        np.ones(n) if volume is None else np.asarray(volume, dtype=float),
    )  # fmt: skip


def test_zscore_and_spread_are_of_the_windows_own_fit():
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    y = 2 * x + np.array([0.0, 0.1, -0.1, 0.05, -0.05, 0.3])
    ratio, intercept = np.polyfit(x, y, 1)
    residual = y - ratio * x - intercept
    z = rule(metric="zscore", symbol2="ethusdt", window=6, level=1.0)
    got = reading(z, candles(y), candles(x))
    assert got.value == pytest.approx(residual[-1] / residual.std(ddof=1))
    assert got.detail["hedge_ratio"] == pytest.approx(ratio)
    spread = reading(replace(z, metric="spread"), candles(y), candles(x))
    assert spread.value == pytest.approx(residual[-1])


def test_correlation_is_of_log_returns():
    rng = np.random.default_rng(3)
    y, x = (np.exp(rng.normal(size=40).cumsum() / 100) for _ in range(2))
    one = rule(metric="correlation", symbol2="ethusdt", window=39, level=0.5)
    wanted = np.corrcoef(np.diff(np.log(y)), np.diff(np.log(x)))[0, 1]
    assert reading(one, candles(y), candles(x)).value == pytest.approx(wanted)


def test_volume_and_volatility_are_held_against_the_candles_before():
    one = rule(metric="volume", window=4, level=2.0)
    assert reading(one, candles([1.0] * 5, [1, 2, 3, 2, 6]), None).value == pytest.approx(3.0)
    close = np.full(5, 100.0)
    high = np.array([101.0, 101, 101, 101, 104])
    got = reading(replace(one, metric="volatility"), candles(close, high=high, low=close), None)
    assert got.value == pytest.approx(np.log(1.04) / np.log(1.01))


@pytest.mark.parametrize("metric", ["zscore", "spread", "correlation", "cointegration", "volume"])
def test_too_little_and_constant_data_is_a_nan_with_its_reason(metric):
    one = rule(metric=metric, symbol2="ethusdt", window=40, level=0.5)
    for n in (5, 60):
        second = None if metric == "volume" else candles(np.ones(n))
        got = reading(one, candles(np.ones(n), np.zeros(n)), second)
        assert math.isnan(got.value)
        assert got.detail["why"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_cointegration_metric_is_the_engle_granger_p_value(seed):
    from quant.cointegration import engle_granger

    rng = np.random.default_rng(seed)
    x = rng.normal(size=60).cumsum() + 100
    y = 2 * x + rng.normal(size=60)
    one = rule(metric="cointegration", symbol2="ethusdt", window=60, level=0.5)
    got = reading(one, candles(y), candles(x))
    assert got.value == engle_granger(y, x).pvalue
