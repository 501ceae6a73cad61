"""Audit, thresholds, bootstrap, saved runs and reports."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from errors import BadInput, InsufficientData
from tests.trading.markets import pair
from trading import filters, report, runs, thresholds
from trading.audit import Trail, audit, audit_pair
from trading.backtest import FREE, Costs, HedgePlan, PairSettings, Rules, run_pair
from trading.bootstrap import bootstrap_intervals, optimal_block


@pytest.mark.parametrize(
    "setup",
    [
        PairSettings(hedge=HedgePlan("rolling", 60), z_window=30),
        PairSettings(hedge=HedgePlan("fixed", 100), z_window=30, fill="same"),
        PairSettings(hedge=HedgePlan("kalman", 60), z_window=30, rehedge_drift=0.01),
        PairSettings(
            hedge=HedgePlan("rolling", 60),
            z_window=30,
            rules=Rules(1.5, 0.0, 3.0, 0.001, 0.001, 40, 3),
            session=filters.Session(6, 20),
            cointegration=filters.CointegrationFilter(100, 25, 0.5),
        ),
    ],
)
def test_our_own_strategies_pass_the_audit(setup):
    outcome = audit_pair(pair(900, 1), setup, cuts=12, funding1=1e-4)
    assert outcome.passed, outcome.sentence
    assert len(outcome.cuts) > 5


def test_planted_cheaters_are_caught():
    def whole_sample_mean(c):
        spread = c.close1 - 1.5 * c.close2
        return Trail({"z": (spread - spread.mean()) / spread.std()}, np.empty((0, 5)))

    def next_close(c):
        up = np.r_[c.close1[1:] > c.close1[:-1], False]
        at = np.flatnonzero(up).astype(float)
        return Trail({}, np.column_stack([at, np.ones(at.size)]))

    caught = audit(whole_sample_mean, pair(300))
    assert not caught.passed
    assert "Look-ahead found" in caught.sentence
    assert "signal z" in caught.sentence
    assert not audit(next_close, pair(300)).passed
    with pytest.raises(InsufficientData):
        audit(next_close, pair(5))


def test_the_optimum_of_bertram_solves_his_first_order_condition():
    # Bertram (2010), eq. for the maximum expected return, in standard deviations u = |a| / s:
    # e^{u²/2} (2 u s − c) = s · √(2π) · erfi(u / √2)
    from scipy.special import erfi

    s, kappa, cost = 2.0, 0.1, 0.7
    best = thresholds.bertram_thresholds(s, kappa, cost)
    u = best.entry_z
    left = math.exp(u * u / 2) * (2 * u * s - cost)
    assert left == pytest.approx(s * math.sqrt(2 * math.pi) * erfi(u / math.sqrt(2)), rel=1e-5)
    assert best.exit_z == -u
    assert best.profit_a_time == pytest.approx(best.profit_a_trade * best.trades_a_time)
    assert thresholds.bertram_thresholds(s, kappa, 2 * cost).entry_z > u
    with pytest.raises(BadInput, match="reverts"):
        thresholds.bertram_thresholds(0.0, kappa, cost)


def test_the_cycle_of_our_own_rule_is_what_a_simulation_takes():
    rho, n, u = 0.5 ** (1 / 400), 2_000_000, 1.0
    x = lfilter([1], [1, -rho], np.random.default_rng(0).normal(0, np.sqrt(1 - rho**2), n))
    from trading.spread_trades import mean_reversion

    trades = mean_reversion(x, x, u, 0.0, fill="same").trades
    kappa = -math.log(rho)
    from scipy.special import erfi

    cycle = math.pi / (2 * kappa) * erfi(u / math.sqrt(2))
    # Watching at discrete times moves each boundary out by 0.5826 of a step's deviation.
    assert n / len(trades) == pytest.approx(cycle, rel=0.12)
    free = thresholds.mean_exit_thresholds(1.0, kappa, 0.0)
    assert free.entry_z < thresholds.mean_exit_thresholds(1.0, kappa, 0.5).entry_z


def test_break_even_is_where_the_move_pays_four_fills():
    cost = thresholds.round_trip_cost(100.0, 50.0, 2.0, Costs())
    assert cost == pytest.approx(200.0 * 2 * 6e-4)
    assert thresholds.break_even_zscore(0.12, cost, 0.5).value == pytest.approx(0.5 + cost / 0.12)
    more = thresholds.round_trip_cost(100.0, 50.0, 2.0, FREE, 1e-4, 2.0)
    assert more == pytest.approx(200.0 * 2e-4)
    assert thresholds.break_even_zscore(0.0, cost).value is None


def test_bootstrap_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        r = 1e-3 * lfilter([1], [1, -0.3], rng.normal(0.05, 1, 800))
        true = 0.05 / 0.7 / (1 / np.sqrt(1 - 0.09))
        low, high = bootstrap_intervals(r, 1.0, samples=300, seed=seed).sharpe[1:]
        hits += low <= true <= high
    assert 0.83 <= hits / 60 <= 1.0


def test_bootstrap_is_seeded_and_refuses_what_it_cannot_do():
    r = np.random.default_rng(0).normal(0, 1e-3, 500)
    assert bootstrap_intervals(r, 1.0, seed=3) == bootstrap_intervals(r, 1.0, seed=3)
    assert bootstrap_intervals(np.tile(r, 100), 1.0, samples=20).block >= 1
    with pytest.raises(InsufficientData):
        bootstrap_intervals(r[:5], 1.0)
    with pytest.raises(BadInput, match="used up"):
        bootstrap_intervals(np.r_[r, -1.0], 1.0)
    with pytest.raises(BadInput, match="level"):
        bootstrap_intervals(r, 1.0, confidence=2)


def test_the_block_length_is_near_that_of_arch():
    from arch.bootstrap import optimal_block_length

    for phi in (0.0, 0.5, 0.9):
        x = lfilter([1], [1, -phi], np.random.default_rng(1).normal(size=3000))
        theirs = float(optimal_block_length(x)["stationary"].iloc[0])
        assert optimal_block(x) == pytest.approx(max(theirs, 1.0), rel=0.15)


@pytest.fixture(scope="module")
def finished():
    setup = PairSettings(
        hedge=HedgePlan("rolling", 60), z_window=30, session=filters.Session(1, 23)
    )
    result = run_pair(pair(900, 1), setup)
    return result, runs.save_run("first", result, code_version="1.2", created_ms=7, trials=3)


def test_a_saved_run_survives_json_and_runs_again_to_the_same_result(finished):
    result, saved = finished
    again = runs.SavedRun.from_json(saved.to_json())
    assert again == saved
    assert again.pair_settings() == result.settings
    assert run_pair(result.candles, again.pair_settings()).summary == result.summary
    assert saved.coverage == 1.0
    assert saved.figures["sharpe"] is None
    assert "days" in saved.reasons["sharpe"]
    with pytest.raises(BadInput, match="not a saved run"):
        runs.SavedRun.from_json("{")
    with pytest.raises(BadInput, match="needs a name"):
        runs.save_run(" ", result, code_version="", created_ms=0)


def test_runs_are_compared_side_by_side_with_the_settings_that_differ(finished):
    result, saved = finished
    other = run_pair(result.candles, result.settings.with_thresholds(1.0, 0.0))
    table = runs.compare([saved, runs.save_run("second", other, code_version="1", created_ms=8)])
    assert table.columns.tolist() == ["first", "second"]
    assert table.loc["rules.entry_th"].tolist() == [2.0, 1.0]
    assert "z_window" not in table.index
    assert "total_return" in table.index


def test_exports_hold_what_the_run_holds(finished):
    result, saved = finished
    csv = pd.read_csv(io.StringIO(report.to_csv(result)))
    assert csv["pnl"].tolist() == result.trades["pnl"].tolist()
    parquet = pd.read_parquet(io.BytesIO(report.to_parquet(result, "equity")))
    assert parquet["pair"].tolist() == result.equity["pair"].tolist()
    assert report.spread_of(result).columns[0] == "spread"
    with pytest.raises(BadInput, match="trades and equity"):
        report.to_csv(result, "all")
    page = report.to_html(result, saved)
    assert page.startswith("<!doctype html>")
    assert "<svg" in page
    for outside in ("http://", "https://", "<script", "src="):
        assert outside not in page


def test_a_name_cannot_smuggle_markup_into_the_report(finished):
    result, _ = finished
    saved = runs.save_run("<script>x</script>", result, code_version="1", created_ms=0)
    assert "<script>" not in report.to_html(result, saved)
