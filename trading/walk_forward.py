"""Walk-forward: choose on the past, trade the next stretch, close at its edge, go on.

The out-of-sample stretches are stitched into one equity curve: what someone would have earned who
optimised again at every fold, never knowing more than was known then.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput, InsufficientData
from kernels import columns as col
from trading import filters
from trading.backtest import PairSettings, full_arrays, needs_all, simulate
from trading.candle_pair import Array, PairCandles, frozen_array
from trading.optimize import (
    FIGURES,
    Grid,
    Progress,
    SharedTrades,
    figures_of,
    run_rows,
    run_tasks,
    threshold_rows,
)
from trading.pair_result import PairBacktest
from trading.signals import HedgeLine, HedgePlan, Signals, check_windows, hedge_line, zscore_of

Mode = Literal["rolling", "expanding"]


@dataclass(frozen=True, slots=True)
class Fold:
    """Half-open spans of candles: train on ``train_begin … test_begin``, trade to ``test_end``."""

    train_begin: int
    test_begin: int
    test_end: int


def make_folds(n: int, folds: int, mode: Mode = "rolling", train_share: float = 0.5) -> list[Fold]:
    """Equal test stretches over the last 1 − ``train_share`` of ``n`` candles.

    Parameters
    ----------
    n : int
    folds : int
    mode : {"rolling", "expanding"}
        Train on the same number of candles each time, or on all so far.
    train_share : float
        Share of the candles before the first test.

    Raises
    ------
    BadInput
        No folds, a share outside (0, 1), or another mode.
    InsufficientData
        Less than two candles a test.
    """
    if folds < 1 or not 0 < train_share < 1 or mode not in ("rolling", "expanding"):
        raise BadInput(
            f"Walk-forward takes 1 fold or more, a train share between 0 and 1 and the mode "
            f"rolling or expanding; found {folds}, {train_share}, {mode!r}."
        )
    first = int(n * train_share)
    if (n - first) // folds < 2 or first < 3:
        raise InsufficientData(f"Walk-forward with {folds} folds", 4 * folds, n)
    edges = np.linspace(first, n, folds + 1).astype(int)
    return [
        Fold(0 if mode == "expanding" else int(a - first), int(a), int(b))
        for a, b in itertools.pairwise(edges)
    ]


@dataclass(frozen=True, eq=False)
class WalkForward:
    """The folds, what each chose, and the stitched out-of-sample backtest.

    ``choices`` has a row a fold: its times, the chosen combination, its train figure and the
    out-of-sample return and Sharpe. ``out_of_sample`` is a `PairBacktest` over the candles from
    the first test on; None where the run was cancelled. ``efficiency`` is the mean out-of-sample
    figure over the mean train figure, per candle.
    """

    folds: tuple[Fold, ...]
    choices: pd.DataFrame
    out_of_sample: PairBacktest | None
    trials: int
    complete: bool

    @property
    def efficiency(self) -> float:
        """Mean Sharpe out of sample over that of the train; NaN where there is none."""
        train, test = self.choices["train_sharpe"].mean(), self.choices["test_sharpe"].mean()
        return float(test / train) if train > 0 else math.nan


def walk_forward(
    candles: PairCandles,
    grid: Grid,
    settings: PairSettings | None = None,
    *,
    folds: int = 5,
    mode: Mode = "rolling",
    train_share: float = 0.5,
    figure: str = "sharpe",
    funding1: pd.Series | float | None = None,
    funding2: pd.Series | float | None = None,
    fine: PairCandles | None = None,
    gaps: Sequence[tuple[int, int]] = (),
    workers: int = 2,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> WalkForward:
    """Sweep the train stretch of every fold, trade the best combination on its test stretch.

    Parameters
    ----------
    candles, grid, settings, funding1, funding2, fine, gaps, workers, progress, cancelled
        As for `trading.optimize.sweep`. A fixed hedge ratio is fitted anew on the beginning of
        every train stretch. Positions are closed, and charged, at the edges of train and test.
    folds, mode, train_share
        See `make_folds`.
    figure : str
        What is maximised on the train stretch: sharpe or total_return.

    Raises
    ------
    BadInput, InsufficientData
        As the sweep; also where the windows do not fit into a train stretch.
    """
    if figure not in FIGURES[:2]:
        raise BadInput(f"Folds select by sharpe or total_return, found {figure!r}.")
    spans = make_folds(len(candles), folds, mode, train_share)
    more = (fine, (funding1, funding2), gaps)
    totals = train_totals(
        candles, grid, settings, spans, more=more, workers=workers, progress=progress,
        cancelled=cancelled,
    )  # fmt: skip
    if totals is None:
        return WalkForward(tuple(spans), pd.DataFrame(), None, len(grid), complete=False)
    return trade_folds(candles, grid, settings, spans, totals, figure, more)


def train_totals(
    candles: PairCandles,
    grid: Grid,
    settings: PairSettings | None,
    spans: Sequence[Fold],
    *,
    more: tuple[Any, Any, Any] = (None, (None, None), ()),
    workers: int = 2,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Array | None:
    """Totals of every combination on every train stretch, (folds, combinations, N_TOTALS).

    Those of the `Grid.axes`, joined along the second axis, are those of the grid. None where it
    was cancelled. ``more`` are finer candles, the two fundings and the gaps.
    """
    settings = replace(settings or PairSettings(), close_at_end=True)
    axes = list(itertools.product(grid.hedges, grid.z_windows))
    for plan, window in axes:
        check_windows(spans[0].test_begin - spans[0].train_begin, plan, window)
    rows = threshold_rows(grid, settings)
    per = len(rows)
    totals = np.full((len(spans), len(grid), col.N_TOTALS), math.nan)
    tasks = [
        _axis_task(
            candles, settings, plan, window, rows, spans, totals[:, s * per : (s + 1) * per], more
        )
        for s, (plan, window) in enumerate(axes)
    ]
    done = run_tasks(tasks, len(spans) * len(grid), workers, progress, cancelled)
    return totals if done else None


def fold_line(candles: PairCandles, plan: HedgePlan, fold: Fold) -> HedgeLine:
    """Hedge line for a fold; a fixed ratio is that of the beginning of its train stretch."""
    if plan.method != "fixed" or fold.train_begin == 0:
        return hedge_line(candles, plan)
    part = hedge_line(candles.part(fold.train_begin, fold.test_end), plan)
    out = np.full((2, len(candles)), math.nan)
    out[:, fold.train_begin : fold.test_end] = part
    return HedgeLine(frozen_array(out[0]), frozen_array(out[1]))


def _axis_task(
    candles: PairCandles,
    settings: PairSettings,
    plan: HedgePlan,
    window: int,
    rows: Array,
    spans: Sequence[Fold],
    totals: Array,
    more: tuple[Any, Any, Any],
) -> Callable[[], Iterator[int]]:
    """Every fold's train sweep on one z-score.

    A ratio fitted anew for each fold is worked out on its train stretch alone; otherwise line,
    z-score and trades are shared by all folds.
    """
    plain = not needs_all(candles, settings, *more)

    def work() -> Iterator[int]:
        data, line, shared, first = candles, None, None, 0
        for k, fold in enumerate(spans):
            if line is None or (plan.method == "fixed" and fold.train_begin > 0):
                if plain and plan.method == "fixed" and fold.train_begin > 0:
                    first = fold.train_begin
                    data = candles.part(first, fold.test_begin)
                    line = hedge_line(data, plan)
                else:
                    line = fold_line(candles, plan, fold)
                full = full_arrays(data, settings, line.hedge_ratio, *more)
                z = zscore_of(line.spread, window)
                fits = full is None and SharedTrades.fits(rows)
                shared = SharedTrades(data, line, z, rows) if fits else None
            begin, end = fold.train_begin - first, fold.test_begin - first
            if shared is not None and shared.run(begin, end, totals[k]):
                yield len(rows)
            else:
                yield from run_rows(data, line, z, rows, begin, end, totals[k], None, full)

    return work


def trade_folds(
    candles: PairCandles,
    grid: Grid,
    settings: PairSettings | None,
    spans: Sequence[Fold],
    totals: Array,
    figure: str = "sharpe",
    more: tuple[Any, Any, Any] = (None, (None, None), ()),
) -> WalkForward:
    """Trade each fold's test stretch with the best of its train stretch; see `train_totals`."""
    settings = replace(settings or PairSettings(), close_at_end=True)
    thresholds = grid.thresholds()
    axes = list(itertools.product(grid.hedges, grid.z_windows))
    first = spans[0].test_begin
    parts = np.full((3, len(candles)), math.nan)
    trades, rehedges, test_totals, records = [], [], [], []
    equity = settings.starting_equity
    funding = None
    for k, fold in enumerate(spans):
        length = fold.test_begin - fold.train_begin
        train = figures_of(totals[k], settings.starting_equity, length, candles.timeframe_ms)
        # A combination that never traded in the train stretch has nothing to show for itself.
        score = np.where(train["trades"] > 0, train[figure], math.nan)
        best = int(np.nanargmax(score)) if np.isfinite(score).any() else 0
        (plan, window), (entry, leave) = axes[best // len(thresholds)], thresholds[
            best % len(thresholds)
        ]  # fmt: skip
        chosen = replace(
            settings.with_thresholds(entry, leave), hedge=plan, z_window=window,
            starting_equity=equity if equity > 0 else settings.starting_equity,
        )  # fmt: skip
        line = fold_line(candles, plan, fold)
        signals = Signals(line.hedge_ratio, line.spread, zscore_of(line.spread, window))
        full = full_arrays(candles, chosen, line.hedge_ratio, *more)
        run = simulate(candles, chosen, signals, full, fold.test_begin, fold.test_end)
        stretch = slice(fold.test_begin, fold.test_end)
        for target, values in zip(parts, signals, strict=True):
            target[stretch] = values[stretch]
        funding = filters.Funding(full[5][first:], full[6][first:]) if full else funding
        trades.append(run.rows)
        rehedges.append(run.rehedges)
        test_totals.append(run.totals)
        equity = float(run.totals[col.T_EQUITY])
        test = figures_of(
            run.totals[None, :], chosen.starting_equity, fold.test_end - fold.test_begin,
            candles.timeframe_ms,
        )  # fmt: skip
        records.append(
            {
                "train_from": candles.time_ms[fold.train_begin],
                "test_from": candles.time_ms[fold.test_begin],
                "test_to": candles.time_ms[fold.test_end - 1] + candles.timeframe_ms,
                "entry_th": entry,
                "exit_th": leave,
                "z_window": window,
                "hedge": plan.label,
                **{f"train_{name}": float(train[name][best]) for name in FIGURES},
                **{f"test_{name}": float(test[name][0]) for name in FIGURES},
            }
        )
        if equity <= 0:
            break
    choices = pd.DataFrame(records)
    for name in ("train_from", "test_from", "test_to"):
        choices[name] = pd.to_datetime(choices[name], unit="ms", utc=True)
    stitched = _stitched(
        candles.part(first, len(candles)), settings, first, parts[:, first:], trades, rehedges,
        test_totals, funding, more[0],
    )  # fmt: skip
    return WalkForward(tuple(spans), choices, stitched, len(grid), complete=True)


def _stitched(
    candles: PairCandles,
    settings: PairSettings,
    first: int,
    signals: Array,
    trades: list[Array],
    rehedges: list[Array],
    totals: list[Array],
    funding: filters.Funding | None,
    fine: PairCandles | None,
) -> PairBacktest:
    """The tests as one backtest, candles counted from the first test."""
    rows = np.concatenate(trades)
    for column in (col.C_SIGNAL_IN, col.C_FILL_IN, col.C_SIGNAL_OUT, col.C_FILL_OUT):
        rows[:, column] = np.where(rows[:, column] >= 0, rows[:, column] - first, -1)
    again = np.concatenate(rehedges)
    again[:, 0] -= first
    summed = np.sum(totals, axis=0)
    summed[col.T_EQUITY] = totals[-1][col.T_EQUITY]
    known = Signals(*(frozen_array(part) for part in signals))
    out = PairBacktest(candles, settings, known, rows, summed, again, funding, fine)
    curve = out.equity["pair"].to_numpy(np.float64)
    highest = np.maximum(np.maximum.accumulate(curve), settings.starting_equity)
    summed[col.T_DRAWDOWN] = min(float((curve / highest).min()) - 1.0, 0.0)
    return out


def fold_edges(result: WalkForward) -> NDArray[np.int64]:
    """First candle of every test and the end of the last, counted from the first test."""
    first = result.folds[0].test_begin
    edges = [fold.test_begin - first for fold in result.folds]
    return np.array([*edges, result.folds[-1].test_end - first], dtype=np.int64)
