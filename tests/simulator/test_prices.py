"""The planted market: a pure function, and the truth in it can be found."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.paths import HORIZON_MS, Path
from simulator.prices import BLOCK_MS, EPOCH_MS, PlantedTape
from simulator.tape import Trades

GOLDEN_TIMES = [1779726967669, 1779726967860, 1779726967878]
GOLDEN_TICKS = [911545, 911571, 911577]
GOLDEN_STEPS = [6, 3, 20]
HOUR_MS = 3_600_000
NOON = 1_781_524_800_000  # 2026-06-15T12:00:00Z


@pytest.fixture(scope="module")
def tape() -> PlantedTape:
    return PlantedTape()


def same(a: Trades, b: Trades) -> bool:
    names = ("id", "time_ms", "price_ticks", "quantity_steps", "is_buyer_maker", "first_id")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def test_two_tapes_of_one_seed_are_the_same_and_of_another_seed_are_not(tape):
    one = tape.trades_between("btcusdt", NOON, NOON + HOUR_MS)
    assert same(one, PlantedTape().trades_between("btcusdt", NOON, NOON + HOUR_MS))
    other = PlantedTape(seed=8).trades_between("btcusdt", NOON, NOON + HOUR_MS)
    assert not same(one, other)


def test_the_tape_is_the_one_that_was_shipped(tape):
    """Golden values of this very generator: a change of them breaks every user's demo database."""
    trades = tape.trades("btcusdt", 100_000_000, 100_000_003)
    assert trades.time_ms.tolist() == GOLDEN_TIMES
    assert trades.price_ticks.tolist() == GOLDEN_TICKS
    assert trades.quantity_steps.tolist() == GOLDEN_STEPS


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(0, 30_000_000),
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=6),
    symbol=st.sampled_from(["solusdt", "bnbusdt", "adausdt"]),
)
def test_random_access_equals_reading_in_a_row(start, sizes, symbol):
    whole = TAPE.trades(symbol, start, start + sum(sizes))
    edges = start + np.cumsum([0, *sizes])
    parts = [TAPE.trades(symbol, int(a), int(b)) for a, b in zip(edges, edges[1:], strict=False)]
    assert same(whole, Trades.join(whole.spec, parts))


TAPE = PlantedTape()


@settings(max_examples=60, deadline=None)
@given(
    time_ms=st.integers(EPOCH_MS + BLOCK_MS, EPOCH_MS + 5 * 365 * 24 * HOUR_MS),
    symbol=st.sampled_from(sorted(TAPE.specs)),
)
def test_the_id_at_a_time_is_that_of_the_first_trade_not_before_it(time_ms, symbol):
    number = TAPE.id_at(symbol, time_ms)
    before, after = TAPE.trades(symbol, number - 1, number + 1).time_ms
    assert before < time_ms <= after


def test_ids_are_contiguous_and_times_never_decrease(tape):
    for symbol in tape.specs:
        trades = tape.trades_between(symbol, NOON, NOON + 2 * HOUR_MS)
        assert (np.diff(trades.id) == 1).all()
        assert (np.diff(trades.time_ms) >= 0).all()
        assert (np.diff(trades.first_id) > 0).all()
        assert (trades.last_id[:-1] < trades.first_id[1:]).all()
        assert (trades.price_ticks > 0).all()
        assert (trades.quantity_steps > 0).all()


def test_the_first_trade_comes_after_the_epoch_and_nothing_before_it(tape):
    first = tape.first_id("btcusdt")
    assert tape.id_at("btcusdt", EPOCH_MS - 1) == first
    assert tape.trades("btcusdt", first, first + 1).time_ms[0] >= EPOCH_MS
    assert len(tape.trades("btcusdt", first - 5, first)) == 0


def test_prices_are_the_floats_that_their_texts_parse_to(tape):
    from simulator.wire import decimal

    for symbol in ("btcusdt", "adausdt", "trxusdt"):
        trades = tape.trades_between(symbol, NOON, NOON + HOUR_MS)
        places = trades.spec.price_decimals
        texts = [decimal(n, places) for n in trades.price_ticks.tolist()]
        assert [float(text) for text in texts] == trades.price.tolist()


def test_arrivals_have_the_stated_rate_come_in_bursts_and_follow_the_hour_of_the_day(tape):
    day = NOON - 12 * HOUR_MS
    times = tape.trades_between("btcusdt", day, day + 24 * HOUR_MS).time_ms - day
    assert len(times) / 86_400 == pytest.approx(8.0, rel=0.02)
    a_second = np.bincount(times // 1000, minlength=86_400)
    assert a_second.var() > 2 * a_second.mean()  # Poisson would have them equal
    an_hour = np.bincount(times // HOUR_MS)
    assert an_hour[13:17].mean() > 1.5 * an_hour[1:5].mean()


def test_thirty_minutes_of_two_symbols_take_well_under_a_second_of_cpu():
    began = time.process_time()
    fresh = PlantedTape(seed=11)
    for symbol in ("btcusdt", "ethusdt"):
        assert len(fresh.trades_between(symbol, NOON - HOUR_MS // 2, NOON)) > 5000
    assert time.process_time() - began < 1.0


def test_a_path_ends_at_its_horizon_with_a_sentence():
    with pytest.raises(ValueError, match="17 years"):
        Path(1, "x", 600.0, 1.0).at(np.array([HORIZON_MS]))


def test_a_path_has_the_law_of_an_ornstein_uhlenbeck_process():
    """Against the law itself: stationary sd, and correlation exp(−θΔ) at several lags."""
    path = Path(5, "law", half_life_s=60.0, sd=2.0)
    x = path.at(np.arange(0, 20_000 * 15_000, 15_000, dtype=np.int64))
    # Effective number of observations: n·(1 − ρ)/(1 + ρ), with ρ = 2^(−1/4) at steps of 15 s.
    rho = 2.0**-0.25
    effective = len(x) * (1 - rho) / (1 + rho)
    assert abs(x.mean()) < 4 * 2.0 / math.sqrt(effective)
    assert x.std() == pytest.approx(2.0, rel=4 / math.sqrt(effective))
    for lag in (1, 4, 8):
        found = np.corrcoef(x[:-lag], x[lag:])[0, 1]
        assert found == pytest.approx(2.0 ** (-lag / 4), abs=4 / math.sqrt(effective))
    z = (x[1:] - rho * x[:-1]) / (2.0 * math.sqrt(1 - rho**2))
    assert (z**4).mean() == pytest.approx(3.0, abs=0.2)  # normal innovations


def test_a_path_is_continuous_where_its_blocks_meet():
    from simulator.paths import BLOCK_MS as PATH_BLOCK_MS

    path = Path(5, "law", half_life_s=600.0, sd=1.0)
    times = np.arange(-8, 8, dtype=np.int64) * 250 + 1000 * PATH_BLOCK_MS
    steps = np.diff(path.at(times))
    one_step = math.sqrt(2 * math.log(2) / 600.0 * 0.25)
    assert np.abs(steps).max() < 5 * one_step


def closes(tape: PlantedTape, symbol: str, start: int, minutes: int) -> np.ndarray:
    """The last traded price of each minute: what a candle closes at."""
    trades = tape.trades_between(symbol, start, start + minutes * 60_000)
    edges = start + np.arange(1, minutes + 1) * 60_000
    return trades.price[np.searchsorted(trades.time_ms, edges, side="left") - 1]


@pytest.mark.parametrize("pair", [("btcusdt", "ethusdt"), ("linkusdt", "adausdt")])
def test_the_planted_hedge_ratio_and_half_life_are_what_statsmodels_finds(pair):
    """OLS of y on x over 24 h of closes, AR(1) of its residual; four seeds, each within 4.5 errors.

    The error of the hedge ratio allows for the residual's autocorrelation (Newey-West), that of
    the AR coefficient is the asymptotic √((1 − ρ²)/n).
    """
    misses = []
    for seed in range(4):
        tape = PlantedTape(seed)
        y, x = (closes(tape, symbol, NOON, 1440) for symbol in pair)
        truth = tape.truth.pair(*pair, at_ms=NOON)
        fit = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HAC", cov_kwds={"maxlags": 60})
        assert abs(fit.params[1] - truth.hedge_ratio) < 4.5 * fit.bse[1]
        residual = y - truth.hedge_ratio * x - truth.intercept
        rho = sm.OLS(residual[1:], sm.add_constant(residual[:-1])).fit().params[1]
        expected = truth.ar1_coefficient(60_000)
        misses.append((rho - expected) / math.sqrt((1 - expected**2) / len(residual)))
        assert residual.std() == pytest.approx(truth.spread_sd, rel=0.35)
    assert np.abs(misses).max() < 4.5
    assert abs(np.mean(misses)) < 2.0  # small-sample bias of AR(1) is downward and small


def test_a_regime_break_changes_the_hedge_ratio_and_nothing_jumps(tape):
    pair = ("bnbusdt", "xrpusdt")
    breaks = tape.truth.breaks(*pair, NOON, NOON + 24 * HOUR_MS)
    assert len(breaks) == 2
    assert breaks[1] - breaks[0] == 12 * HOUR_MS
    before, after = (tape.truth.pair(*pair, at_ms=breaks[0] + k) for k in (-1, 0))
    assert {before.hedge_ratio, after.hedge_ratio} == {280.0, 340.0}
    assert before.to_ms == after.from_ms == breaks[0]
    assert tape.truth.last_break(*pair, breaks[1]) == breaks[0]
    for regime in (before, after):
        start = regime.from_ms + 60_000
        y, x = (closes(tape, symbol, start, 11 * 60) for symbol in pair)
        spread = y - regime.hedge_ratio * x - regime.intercept
        assert abs(spread.mean()) < 0.6
        assert spread.std() == pytest.approx(regime.spread_sd, rel=0.3)
    grid = breaks[0] + np.arange(-2000, 2000, dtype=np.int64) * 250
    steps = np.abs(np.diff(tape.mid_prices("bnbusdt", grid)))
    assert steps.max() < 8 * np.median(steps)


def test_symbols_planted_as_independent_are_not_called_cointegrated(tape):
    assert tape.truth.cointegrated("btcusdt", "solusdt")
    assert tape.truth.cointegrated("solusdt", "ethusdt")
    assert not tape.truth.cointegrated("btcusdt", "dogeusdt")
    assert not tape.truth.cointegrated("bnbusdt", "xrpusdt")
    with pytest.raises(ValueError, match="btcusdt on ethusdt"):
        tape.truth.pair("ethusdt", "btcusdt", at_ms=NOON)


def test_truth_speaks_in_the_units_of_the_estimators(tape):
    truth = tape.truth.pair("btcusdt", "ethusdt", at_ms=NOON)
    assert truth.half_life_candles(60_000) == 10.0
    assert truth.half_life_candles(1000) == 600.0
    b = truth.ar1_coefficient(60_000) - 1
    assert -math.log(2) / math.log(1 + b) == pytest.approx(10.0)
    stationary = truth.sigma_per_sqrt_s**2 / (2 * truth.theta_per_s)
    assert math.sqrt(stationary) == pytest.approx(truth.spread_sd)


@pytest.mark.nightly
def test_estimates_scatter_around_the_planted_truth_over_many_seeds():
    """60 seeds of 12 h: mean AR(1) miss within 3 standard errors after Kendall's bias."""
    found = []
    for seed in range(60):
        tape = PlantedTape(seed)
        y, x = (closes(tape, symbol, NOON, 720) for symbol in ("btcusdt", "ethusdt"))
        truth = tape.truth.pair("btcusdt", "ethusdt", at_ms=NOON)
        spread = y - truth.hedge_ratio * x - truth.intercept
        found.append(np.polyfit(spread[:-1], spread[1:], 1)[0])
    rho = truth.ar1_coefficient(60_000)
    kendall = -(1 + 3 * rho) / 720  # Kendall (1954), Biometrika 41, equation (20)
    error = np.std(found, ddof=1) / math.sqrt(len(found))
    assert np.mean(found) == pytest.approx(rho + kendall, abs=3 * error)
