"""Sweep: every combination of entry, exit, z window and hedge plan, through the backtest's loop.

A peak among thousands of trials is mostly luck, so the result highlights a plateau: the
combination whose neighbours do well too, and deflates Sharpe ratios for the number of trials.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput
from kernels import columns as col
from trading.backtest import PairSettings, full_arrays, settings_row
from trading.candle_pair import Array, PairCandles
from trading.metrics import YEAR_MS
from trading.signals import HedgeLine, HedgePlan, check_windows, hedge_line, zscore_of
from trading.sizing import SIZE_CODES

# About 20 ms of work a call into the kernel: so often progress is told and a cancel is heard.
CANDLES_A_CALL = 10_000_000
FIGURES = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate", "exposure")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is tried: the product of four axes, without pairs of entry ≤ exit."""

    entries: tuple[float, ...] = (1.0, 1.5, 2.0, 2.5, 3.0)
    exits: tuple[float, ...] = (-0.5, 0.0, 0.5)
    z_windows: tuple[int, ...] = (30, 60, 120)
    hedges: tuple[HedgePlan, ...] = (HedgePlan(),)

    def __post_init__(self) -> None:
        for name in ("entries", "exits", "z_windows", "hedges"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise BadInput(f"{name} holds at least one value and none twice, found {values}.")
        if not all(math.isfinite(v) for v in (*self.entries, *self.exits)) or min(self.entries) < 0:
            raise BadInput("Entries and exits are finite, entries at least 0.")
        if not self.thresholds():
            raise BadInput("No entry of the grid is above an exit.")

    def thresholds(self) -> list[tuple[float, float]]:
        """(entry, exit) pairs that make a strategy."""
        return [(a, b) for a, b in itertools.product(self.entries, self.exits) if a > b]

    def axes(self) -> list[Grid]:
        """The grid in parts of one hedge plan and one window, in the order of the sweep's rows."""
        return [
            replace(self, z_windows=(window,), hedges=(plan,))
            for plan, window in itertools.product(self.hedges, self.z_windows)
        ]

    def __len__(self) -> int:
        return len(self.thresholds()) * len(self.z_windows) * len(self.hedges)


class Best(NamedTuple):
    """One combination of the sweep, by its row in the frame."""

    row: int
    entry_th: float
    exit_th: float
    z_window: int
    hedge: HedgePlan
    score: float


@dataclass(frozen=True, eq=False)
class SweepResult:
    """All combinations with their figures.

    ``frame`` has columns entry_th, exit_th, z_window, hedge and the six figures; ``totals`` are
    the kernel's sums in the same order; ``blocks`` (trials, blocks, 2) sums of returns and squares
    for `overfitting.cscv`, or None. ``complete`` is False after a cancel: rows not done are NaN.
    """

    frame: pd.DataFrame
    grid: Grid
    settings: PairSettings
    totals: Array
    blocks: Array | None
    candles: int
    timeframe_ms: int
    complete: bool

    @property
    def trials(self) -> int:
        """Combinations that were run."""
        return int(self.frame["trades"].notna().sum())

    def sharpes_a_candle(self) -> Array:
        """Each combination's Sharpe ratio of one candle, not of a year; 0 where it never traded.

        What `overfitting.deflated_sharpe` holds a candle's returns against.
        """
        yearly = np.nan_to_num(self.frame["sharpe"].to_numpy(np.float64))
        return yearly / math.sqrt(YEAR_MS / self.timeframe_ms)

    def best(self, figure: str = "sharpe") -> Best | None:
        """The peak: highest figure of one combination; None where there is no number."""
        return self._pick(self.frame[figure].to_numpy(np.float64), figure)

    def plateau(self, figure: str = "sharpe") -> Best | None:
        """The combination whose neighbourhood (one step on every axis) has the best median."""
        return self._pick(self.neighbourhood(figure), figure)

    def neighbourhood(self, figure: str = "sharpe") -> Array:
        """Median of the figure over each combination and its neighbours, in frame order.

        A combination without a number counts as the worst there is; at the edge of the grid
        there are fewer neighbours.
        """
        cube, places = self._cube(figure)
        worst = np.nanmin(cube) if np.isfinite(cube).any() else math.nan
        valid = np.zeros(cube.shape, bool)
        valid[places] = True
        filled = np.where(np.isfinite(cube), cube, worst)
        filled[~valid] = math.nan
        padded = np.pad(filled, [(1, 1), (1, 1), (1, 1), (0, 0)], constant_values=math.nan)
        shifts = itertools.product(range(3), repeat=3)
        a, b, c, _ = cube.shape
        stack = np.stack([padded[i : i + a, j : j + b, k : k + c] for i, j, k in shifts])
        out = np.full(cube.shape, math.nan)
        known = np.isfinite(stack).any(axis=0)
        out[known] = np.nanmedian(stack[:, known], axis=0)
        return np.asarray(out[places])

    def heat_map(
        self, figure: str = "sharpe", z_window: int | None = None, hedge: str | None = None
    ) -> pd.DataFrame:
        """Figure by entry (rows) and exit (columns), for one window and hedge.

        Without them those of the plateau are taken. Combinations of entry ≤ exit are NaN.
        """
        chosen = self.plateau(figure)
        if z_window is None:
            z_window = chosen.z_window if chosen else self.grid.z_windows[0]
        if hedge is None:
            hedge = chosen.hedge.label if chosen else self.grid.hedges[0].label
        part = self.frame[(self.frame["z_window"] == z_window) & (self.frame["hedge"] == hedge)]
        return part.pivot(index="entry_th", columns="exit_th", values=figure)

    def settings_of(self, best: Best) -> PairSettings:
        """Backtest settings of a combination."""
        return replace(
            self.settings.with_thresholds(best.entry_th, best.exit_th),
            hedge=best.hedge,
            z_window=best.z_window,
        )

    def _pick(self, score: Array, figure: str) -> Best | None:
        if not np.isfinite(score).any():
            return None
        at = int(np.nanargmax(score))
        row = self.frame.iloc[at]
        label = {plan.label: plan for plan in self.grid.hedges}
        return Best(
            at,
            float(row["entry_th"]),
            float(row["exit_th"]),
            int(row["z_window"]),
            label[row["hedge"]],
            float(score[at]),
        )

    def _cube(self, figure: str) -> tuple[Array, tuple[NDArray[np.int64], ...]]:
        g = self.grid
        axes: tuple[Any, ...] = (g.entries, g.exits, g.z_windows, tuple(p.label for p in g.hedges))
        names = ("entry_th", "exit_th", "z_window", "hedge")
        places = tuple(
            pd.Index(sorted(axis) if name != "hedge" else axis).get_indexer(self.frame[name])
            for axis, name in zip(axes, names, strict=True)
        )
        cube = np.full(tuple(len(axis) for axis in axes), math.nan)
        cube[places] = self.frame[figure].to_numpy(np.float64)
        return cube, places


def sweep(
    candles: PairCandles,
    grid: Grid,
    settings: PairSettings | None = None,
    *,
    fine: PairCandles | None = None,
    funding1: pd.Series | float | None = None,
    funding2: pd.Series | float | None = None,
    gaps: Sequence[tuple[int, int]] = (),
    blocks: int = 0,
    workers: int = 2,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> SweepResult:
    """Backtest every combination of the grid; the other settings are held.

    Parameters
    ----------
    candles, settings, fine, funding1, funding2, gaps
        As for `trading.backtest.run_pair`.
    grid : Grid
    blocks : int
        Even number of time blocks whose sums are kept for `overfitting.cscv`; 0: none.
    workers : int
        Threads; the kernel releases the GIL.
    progress : callable, optional
        Called with (combinations done, of how many), in the calling thread.
    cancelled : callable, optional
        Asked between calls of the kernel; True stops and gives what is done.
    """
    settings = settings or PairSettings()
    if blocks % 2 or blocks < 0:
        raise BadInput(f"Overfitting is judged on an even number of blocks, found {blocks}.")
    for plan, window in itertools.product(grid.hedges, grid.z_windows):
        check_windows(len(candles), plan, window)
    rows = threshold_rows(grid, settings)
    per = len(rows)
    totals = np.full((len(grid), col.N_TOTALS), math.nan)
    sums = np.zeros((len(grid), blocks, 2)) if blocks else None
    tasks: list[Callable[[], Iterator[int]]] = []
    for s, (plan, window) in enumerate(itertools.product(grid.hedges, grid.z_windows)):
        place = slice(s * per, (s + 1) * per)
        tasks.append(
            _series_task(
                candles,
                settings,
                plan,
                window,
                rows,
                totals[place],
                None if sums is None else sums[place],
                (fine, (funding1, funding2), gaps),
            )
        )
    complete = run_tasks(tasks, len(grid), workers, progress, cancelled)
    frame = _frame(grid, totals, settings, len(candles), candles.timeframe_ms)
    return SweepResult(
        frame, grid, settings, totals, sums, len(candles), candles.timeframe_ms, complete
    )


def joined_sweep(
    candles: PairCandles,
    grid: Grid,
    settings: PairSettings,
    parts: Sequence[tuple[Array, Array | None] | None],
) -> SweepResult:
    """One sweep made of its `Grid.axes`, swept elsewhere.

    ``parts`` are ``totals`` and ``blocks`` of each axis; None: not done, and its rows are NaN.
    """
    empty = np.full((len(grid.thresholds()), col.N_TOTALS), math.nan)
    totals = np.concatenate([empty if part is None else part[0] for part in parts])
    sums = [part[1] for part in parts if part is not None and part[1] is not None]
    complete = all(part is not None for part in parts)
    blocks = np.concatenate(sums) if complete and len(sums) == len(parts) else None
    frame = _frame(grid, totals, settings, len(candles), candles.timeframe_ms)
    return SweepResult(
        frame, grid, settings, totals, blocks, len(candles), candles.timeframe_ms, complete
    )


def threshold_rows(grid: Grid, settings: PairSettings) -> Array:
    """Kernel settings of each (entry, exit) of the grid, (k, N_SETTINGS)."""
    pairs = np.array(grid.thresholds())
    rows = np.repeat(settings_row(settings)[None, :], len(pairs), axis=0)
    rows[:, col.ENTRY], rows[:, col.EXIT] = pairs[:, 0], pairs[:, 1]
    return rows


def _series_task(
    candles: PairCandles,
    settings: PairSettings,
    plan: HedgePlan,
    window: int,
    rows: Array,
    totals: Array,
    sums: Array | None,
    more: tuple[Any, Any, Any],
) -> Callable[[], Iterator[int]]:
    """A generator function that runs one z-score's rows, a few at a time, yielding their count."""

    def work() -> Iterator[int]:
        line = hedge_line(candles, plan)
        z = zscore_of(line.spread, window)
        full = full_arrays(candles, settings, line.hedge_ratio, *more)
        n = len(candles)
        fast = full is None and sums is None and SharedTrades.fits(rows)
        if fast and SharedTrades(candles, line, z, rows).run(0, n, totals):
            yield len(rows)
        else:
            yield from run_rows(candles, line, z, rows, 0, n, totals, sums, full)

    return work


class SharedTrades:
    """The trades that the combinations on one z-score share, walked when first needed.

    Use it where `fits` says so: size is a share of equity, without steps and minima.
    """

    def __init__(self, candles: PairCandles, line: HedgeLine, z: Array, rows: Array) -> None:
        from kernels import sweep as kernel

        entries, first = np.unique(rows[:, col.ENTRY], return_inverse=True)
        exits, second = np.unique(-rows[:, col.EXIT], return_inverse=True)
        # Combinations with one exit after another read the same records.
        self.order = np.argsort(second, kind="stable")
        self.pairs = np.column_stack([first, second])[self.order]
        self.exits = -exits
        self.settings = rows[0]
        self.prices: tuple[Array, ...] = (z, line.hedge_ratio, candles.open1, candles.open2)
        self.prices += (candles.close1, candles.close2)
        starts = kernel.entry_candles(z, entries.min())
        count = starts.size - 1
        self.table = (
            kernel.next_slots(z, entries, starts),
            starts,
            np.empty((exits.size, count, kernel.N_FIELDS)),
            np.zeros((exits.size, count), np.int32),
        )
        self.span = (-1, -1)
        self.states: Array = kernel.fresh_states(len(rows))

    @staticmethod
    def fits(rows: Array) -> bool:
        """Whether these settings can share trades."""
        p = rows[0]
        exact = [col.STEP1, col.STEP2, col.MIN_QTY1, col.MIN_QTY2]
        exact += [col.MIN_NOTIONAL1, col.MIN_NOTIONAL2]
        return bool(p[col.SIZE_BY] == SIZE_CODES["percent"] and not p[exact].any())

    def run(self, begin: int, end: int, totals: Array) -> bool:
        """Write the totals of all combinations over a span; False where equity was used up.

        A span that begins where the last one did, and ends no earlier, goes on from its trades.
        """
        from kernels.sweep import fresh_states, shared_grid

        if begin != self.span[0] or end < self.span[1]:
            self.states = fresh_states(len(self.pairs))
        self.span = (begin, end)
        out = np.empty_like(totals)
        arguments: tuple[Any, ...] = (*self.prices, self.settings, self.exits, self.pairs)
        arguments += (*self.table, self.states, begin, end, out)
        if not shared_grid(*arguments):
            self.span = (-1, -1)
            return False
        totals[self.order] = out
        return True


def run_rows(
    candles: PairCandles,
    line: HedgeLine,
    z: Array,
    rows: Array,
    begin: int,
    end: int,
    totals: Array,
    sums: Array | None,
    full: tuple[Any, ...] | None,
) -> Iterator[int]:
    """The grid row by row, any settings, a call of some 20 ms at a time; yields rows done."""
    from kernels.sweep import grid_loop

    step = max(1, CANDLES_A_CALL // (end - begin))
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        grid_loop(
            z,
            line.hedge_ratio,
            candles.open1,
            candles.open2,
            candles.close1,
            candles.close2,
            rows[part],
            begin,
            end,
            totals[part],
            None if sums is None else sums[part],
            full,
        )
        yield len(rows[part])


def run_tasks(
    tasks: Sequence[Callable[[], Iterator[int]]],
    total: int,
    workers: int,
    progress: Progress | None,
    cancelled: Callable[[], bool] | None,
) -> bool:
    """Run generator tasks in threads, a step at a time; whether all were finished."""
    stopped = False
    done = 0

    def one(task: Callable[[], Iterator[int]]) -> int:
        count = 0
        for step in task():
            count += step
            if stopped:
                break
        return count

    def ask() -> bool:
        return cancelled is not None and cancelled()

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        waiting: set[Future[int]] = {pool.submit(one, task) for task in tasks}
        while waiting:
            finished, waiting = wait(waiting, timeout=0.05, return_when=FIRST_COMPLETED)
            done += sum(future.result() for future in finished if not future.cancelled())
            if progress is not None:
                progress(done, total)
            if not stopped and ask():
                stopped = True
                waiting = {future for future in waiting if not future.cancel()}
    return done == total


def figures_of(
    totals: Array, starting_equity: float, candles: int, timeframe_ms: int
) -> dict[str, Array]:
    """The six figures of each row of totals, as `trading.pair_result.six_figures`."""
    t = totals.T
    mean = t[col.T_SUM] / candles
    variance = (t[col.T_SQUARES] - candles * mean * mean) / max(candles - 1, 1)
    closed = t[col.T_TRADES] - t[col.T_OPEN]
    with np.errstate(divide="ignore", invalid="ignore"):
        sharpe = np.where(variance > 0, mean / np.sqrt(variance), math.nan)
        win_rate = np.where(closed > 0, t[col.T_WINS] / closed, math.nan)
    values = (
        t[col.T_EQUITY] / starting_equity - 1.0,
        sharpe * math.sqrt(YEAR_MS / timeframe_ms),
        t[col.T_DRAWDOWN],
        t[col.T_TRADES],
        win_rate,
        t[col.T_EXPOSED] / candles,
    )
    return dict(zip(FIGURES, values, strict=True))


def _frame(
    grid: Grid, totals: Array, settings: PairSettings, candles: int, timeframe_ms: int
) -> pd.DataFrame:
    pairs = np.array(grid.thresholds())
    series = len(grid.z_windows) * len(grid.hedges)
    per = len(pairs)
    data: dict[str, Any] = {
        "entry_th": np.tile(pairs[:, 0], series),
        "exit_th": np.tile(pairs[:, 1], series),
        "z_window": np.tile(np.repeat(grid.z_windows, per), len(grid.hedges)),
        "hedge": np.repeat([p.label for p in grid.hedges], per * len(grid.z_windows)),
    }
    data |= figures_of(totals, settings.starting_equity, candles, timeframe_ms)
    return pd.DataFrame(data)
