"""Sweep, walk-forward and what is left of them after deflation."""

from dataclasses import replace

import numpy as np
import pytest

from errors import BadInput, InsufficientData
from kernels import columns as col
from tests.trading.markets import pair
from trading import overfitting
from trading.backtest import HedgePlan, PairSettings, Sizing, run_pair
from trading.optimize import FIGURES, Grid, SharedTrades, run_rows, sweep, threshold_rows
from trading.signals import hedge_line, zscore_of
from trading.walk_forward import make_folds, walk_forward

PLANS = (HedgePlan("rolling", 60), HedgePlan("fixed", 200), HedgePlan("kalman", 100))
GRID = Grid((1.0, 1.6, 2.2), (-0.5, 0.0, 1.2), (20, 40), PLANS)


@pytest.mark.parametrize("fill", ["next", "same"])
@pytest.mark.parametrize("by", ["percent", "notional"])
@pytest.mark.parametrize("close_at_end", [True, False])
def test_every_combination_is_what_a_single_run_gives(by, fill, close_at_end):
    c = pair(800, 4)
    amount = 1.0 if by == "percent" else 5000.0
    setup = PairSettings(sizing=Sizing(by, amount), fill=fill, close_at_end=close_at_end)
    result = sweep(c, GRID, setup, blocks=0 if by == "percent" else 8)
    assert result.complete
    assert result.trials == len(GRID) == 48
    plans = {p.label: p for p in GRID.hedges}
    for row in result.frame.itertuples():
        one = replace(setup, hedge=plans[row.hedge], z_window=row.z_window)
        single = run_pair(c, one.with_thresholds(row.entry_th, row.exit_th)).summary
        for name in FIGURES:
            assert getattr(row, name) == pytest.approx(
                getattr(single, name), rel=1e-8, abs=1e-12, nan_ok=True
            )
    if result.blocks is not None:
        np.testing.assert_allclose(result.blocks.sum(axis=1), result.totals[:, 1:3], atol=1e-12)


def test_the_plateau_is_a_neighbourhood_and_not_a_lone_peak():
    c = pair(800)
    result = sweep(c, Grid((1.0, 1.5, 2.0, 2.5, 3.0), (0.0, 0.3, 0.6), (40,), PLANS[:1]))
    frame = result.frame
    frame["sharpe"] = 0.0
    frame.loc[0, "sharpe"] = 9.0
    flat = (frame["entry_th"] >= 2.0) & (frame["exit_th"] <= 0.3)
    frame.loc[flat, "sharpe"] = 3.0
    assert result.best().row == 0
    assert result.plateau().entry_th >= 2.0
    assert result.heat_map().shape == (5, 3)
    assert result.settings_of(result.best()).rules.entry_th == 1.0


def test_progress_is_told_and_a_cancel_is_heard():
    told = []
    c = pair(800)
    sweep(c, GRID, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (48, 48)
    stopped = sweep(c, GRID, cancelled=lambda: True, workers=1)
    assert not stopped.complete or stopped.trials == 48


def test_folds_cover_the_tail_without_overlap_and_train_ends_where_test_begins():
    for mode in ("rolling", "expanding"):
        folds = make_folds(1003, 7, mode)
        assert folds[-1].test_end == 1003
        for a, b in zip(folds, folds[1:], strict=False):
            assert a.test_end == b.test_begin
        assert all(f.train_begin == 0 for f in folds) == (mode == "expanding")


@pytest.mark.parametrize("by", ["percent", "notional"])
@pytest.mark.parametrize("mode", ["rolling", "expanding"])
def test_walk_forward_selects_on_train_alone_and_stitches_what_follows(mode, by):
    c = pair(1600, 2)
    setup = PairSettings(sizing=Sizing(by, 1.0 if by == "percent" else 5000.0))
    result = walk_forward(c, GRID, setup, folds=3, mode=mode)
    run = result.out_of_sample
    equity = run.equity["pair"].to_numpy()
    assert equity[-1] == pytest.approx(run.totals[0], rel=1e-10)
    grown = np.prod(1 + result.choices["test_total_return"])
    assert equity[-1] / 10_000 == pytest.approx(grown, rel=1e-10)
    assert not (run.trades["status"] == "open").any()
    # Another future changes neither the first choice nor the first stretch.
    fold = result.folds[0]
    other = pair(1600, 2)
    prices = other.close1.copy()
    prices[fold.test_end :] *= 1.5
    changed = walk_forward(replace(other, close1=prices), GRID, setup, folds=3, mode=mode)
    same = ["entry_th", "exit_th", "z_window", "hedge", "test_total_return"]
    assert changed.choices.loc[0, same].tolist() == result.choices.loc[0, same].tolist()


@pytest.mark.parametrize("fill", ["next", "same"])
@pytest.mark.parametrize("close_at_end", [True, False])
def test_shared_trades_over_any_span_are_what_the_loop_of_each_combination_gives(
    fill, close_at_end
):
    """Spans that grow go on where they stood; any other span begins anew."""
    c = pair(1200, 7)
    setup = PairSettings(sizing=Sizing("percent", 1.0), fill=fill, close_at_end=close_at_end)
    rows = threshold_rows(GRID, setup)
    line = hedge_line(c, PLANS[0])
    z = zscore_of(line.spread, 20)
    shared = SharedTrades(c, line, z, rows)
    for begin, end in ((0, 300), (0, 301), (0, 302), (0, 800), (0, 1200), (0, 500), (90, 1000)):
        fast = np.empty((len(rows), col.N_TOTALS))
        slow = np.empty_like(fast)
        assert shared.run(begin, end, fast)
        assert sum(run_rows(c, line, z, rows, begin, end, slow, None, None)) == len(rows)
        known = ~np.isnan(fast).all(axis=0)
        assert known.sum() >= 10
        np.testing.assert_allclose(fast[:, known], slow[:, known], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("mode", ["rolling", "expanding"])
def test_the_choice_of_every_fold_is_the_best_of_a_sweep_of_its_train_stretch(mode):
    c = pair(1600, 3)
    setup = PairSettings(sizing=Sizing("percent", 1.0), close_at_end=True)
    grid = replace(GRID, hedges=(HedgePlan("fixed", 200),))
    result = walk_forward(c, grid, setup, folds=4, mode=mode)
    for fold, chosen in zip(result.folds, result.choices.itertuples(), strict=True):
        alone = sweep(c.part(fold.train_begin, fold.test_begin), grid, setup)
        best = alone.best()
        assert (best.entry_th, best.exit_th, best.z_window) == chosen[4:7]
        assert best.score == pytest.approx(chosen.train_sharpe, rel=1e-9)


def test_bad_grids_and_folds_are_sentences():
    with pytest.raises(BadInput, match="above an exit"):
        Grid((1.0,), (2.0,))
    with pytest.raises(BadInput, match="none twice"):
        Grid((1.0, 1.0))
    with pytest.raises(BadInput, match="even number"):
        sweep(pair(800), GRID, blocks=3)
    with pytest.raises(InsufficientData):
        sweep(pair(100), GRID)
    with pytest.raises(BadInput, match="share"):
        make_folds(100, 2, train_share=1.0)
    with pytest.raises(InsufficientData):
        make_folds(20, 15)
    with pytest.raises(BadInput, match="select by"):
        walk_forward(pair(800), GRID, figure="trades")


def test_probabilistic_sharpe_is_the_normal_probability_for_normal_returns():
    # Lo (2002): for normal returns the variance of the estimate is (1 + S²/2) / (n − 1).
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    r = rng.normal(0.05, 1.0, 20_000)
    sharpe = r.mean() / r.std(ddof=1)
    expected = norm.cdf(sharpe * np.sqrt((r.size - 1) / (1 + sharpe**2 / 2)))
    assert overfitting.probabilistic_sharpe(r).value == pytest.approx(expected, rel=1e-3)
    assert overfitting.probabilistic_sharpe(r[:5]).value is None
    assert overfitting.probabilistic_sharpe(np.zeros(100)).value is None


def test_the_expected_maximum_is_that_of_independent_normal_trials():
    rng = np.random.default_rng(0)
    trials = rng.normal(0, 0.1, (400, 1000))
    assert np.mean([overfitting.expected_maximum_sharpe(t) for t in trials]) == pytest.approx(
        trials.max(axis=1).mean(), rel=0.02
    )


def test_cscv_is_a_half_for_noise_and_0_for_skill():
    rng = np.random.default_rng(0)
    probabilities = []
    for _ in range(40):
        r = rng.normal(0, 1, (30, 8, 50))
        sums = np.stack([r.sum(axis=2), (r**2).sum(axis=2)], axis=2)
        probabilities.append(overfitting.cscv(sums, 50).probability)
    assert np.mean(probabilities) == pytest.approx(0.5, abs=0.1)
    r[3] += 1.0
    skilled = np.stack([r.sum(axis=2), (r**2).sum(axis=2)], axis=2)
    assert overfitting.cscv(skilled, 50).probability == 0.0
    with pytest.raises(BadInput, match="2 to 16"):
        overfitting.cscv(np.zeros((3, 18, 2)), 5)
