"""Every pair of a universe tested alike, with one false-discovery rate over the whole scan.

One Engle–Granger test at one fixed lag, in both directions, for every pair: the p-value is twice
the smaller of the two (Bonferroni), and Benjamini–Hochberg runs over all of them. The lag is fixed
so that every p-value means the same and none was chosen by its result. The best pairs are tested
again with the lag chosen by AIC; that is shown beside and not used for the control.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput
from quant import scan_frame
from quant.hurst import hurst_scales
from quant.results import ResultMapping
from quant.universe import Universe, select

Array = NDArray[np.float64]

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]

CHUNK = 4096


class ScanSettings(NamedTuple):
    """What a scan was asked for.

    Attributes
    ----------
    costs_bps : float
        Fee and slippage of one fill of one leg, in bps of its notional.
    entry_z : float
        Standard deviations at which a trade would be entered; what it expects to earn.
    fdr : float
        False-discovery rate of the scan.
    lag : int
        Lagged differences in every Dickey–Fuller regression.
    windows : int
        Sub-windows for the stability of the hedge ratio.
    retest : int
        How many of the best pairs are tested again with AIC.
    max_cost_to_edge : float
        Largest share of the expected reversion that costs may take.
    max_half_life : float
        In candles.
    log_prices : bool
    """

    costs_bps: float
    entry_z: float
    fdr: float
    lag: int
    windows: int
    retest: int
    max_cost_to_edge: float
    max_half_life: float
    log_prices: bool


@dataclass
class ScanState:
    """How far a scan is; hand it back as ``resume`` to go on.

    Attributes
    ----------
    key : str
        Fingerprint of prices and settings that shape the tests.
    done, total : int
        Pairs tested, pairs there are.
    table : array, shape (total, columns)
        Raw results of the first `done` pairs.
    """

    key: str
    done: int
    total: int
    table: Array

    @property
    def complete(self) -> bool:
        """True where every pair has been tested."""
        return self.done >= self.total


@dataclass(frozen=True, kw_only=True)
class ScanResult(ResultMapping):
    """A scanned universe, ranked.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row a pair, best first; the columns are those of
        :data:`quant.scan_frame.COLUMNS`. Plain columns, ready for ``to_csv`` and ``to_parquet``.
    n_symbols, n_obs : int
        Symbols scanned, candles used of each.
    n_pairs, n_tested : int
        Pairs there are, and those whose test could be made (copies of each other cannot).
    n_discoveries : int
        Pairs with q ≤ `fdr`.
    n_screened : int
        Discoveries that also revert fast enough and pay their costs.
    fdr : float
        The rate controlled: the expected share of false finds among the discoveries.
    lag : int
    null_hypothesis, verdict : str
    dropped : Mapping
        Symbol → why it was not scanned.
    rows_dropped : int
        Rows left out because a scanned symbol has no price there.
    complete : bool
        False after a cancelled scan: then q-values are NaN and nothing counts as found.
    state : ScanState
        Hand to ``resume`` to go on.
    settings : ScanSettings
    """

    frame: pd.DataFrame
    n_symbols: int
    n_obs: int
    n_pairs: int
    n_tested: int
    n_discoveries: int
    n_screened: int
    fdr: float
    lag: int
    null_hypothesis: str
    verdict: str
    dropped: Mapping[Any, str]
    rows_dropped: int
    complete: bool
    state: ScanState
    settings: ScanSettings


@dataclass(frozen=True, kw_only=True)
class ScanOptions:
    """What a scan can be asked for.

    Attributes
    ----------
    volumes : DataFrame, Series or mapping, optional
        Volume of each candle (a frame like the prices; its median counts) or one number a symbol.
        Best in the quote currency, so that symbols compare.
    min_volume : float
        Symbols below it are left out before any test.
    costs_bps : float
        Fee and slippage of one fill of one leg; a round trip has two fills of each leg. The
        default is taker 5 and slippage 1.
    entry_z : float
        Entry, in standard deviations of the spread: the reversion a trade expects.
    fdr : float
        False-discovery rate over the whole scan.
    lag : int, optional
        The one lag of every test; default ⌈4 (n / 100)^¼⌉ (Schwert 1989), 8 for 1,000 candles.
        A lag of 1 is faster but finds too much: a price that is a walk plus noise that reverts
        has changes with a longer memory (false finds of 7–9 % at a level of 5 %).
    windows : int
        Sub-windows for the stability of the hedge ratio, at least 2.
    retest : int
        How many of the best are tested again with AIC.
    max_cost_to_edge, max_half_life : float
        The screen: costs as a share of the expected reversion, and candles (default n / 8).
    log_prices : bool
        Scan logarithms; the hedge ratio is then one of notionals.
    min_coverage : float
        Share of rows a symbol needs a price in; others are left out with the reason.
    """

    volumes: pd.DataFrame | pd.Series | Mapping[Any, float] | None = None
    min_volume: float = 0.0
    costs_bps: float = 6.0
    entry_z: float = 2.0
    fdr: float = 0.05
    lag: int | None = None
    windows: int = 4
    retest: int = 50
    max_cost_to_edge: float = 1.0
    max_half_life: float | None = None
    log_prices: bool = False
    min_coverage: float = 0.95


def scan_pairs(
    prices: pd.DataFrame,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    resume: ScanState | None = None,
    **options: Any,
) -> ScanResult:
    """Every pair of `prices` tested for cointegration in both directions, ranked.

    Parameters
    ----------
    prices : DataFrame, shape (n, symbols)
        Index time in order, one column a symbol, at least 100 rows in which all have a price.
    workers : int, optional
        Threads; default one a core, at most four.
    progress : callable (done, total), optional
        Called after each chunk, in the caller's thread.
    cancel : callable () → bool, optional
        Asked between chunks; True ends the scan early with a partial result.
    resume : ScanState, optional
        The state of a cancelled scan of the same prices and settings.
    **options
        Those of :class:`ScanOptions`, by name.

    Raises
    ------
    BadInput
        Unusable frame or option, fewer than two usable symbols, or a state of another scan.
    InsufficientData
        Fewer than 100 common rows.

    References
    ----------
    Engle & Granger (1987), Econometrica 55(2); MacKinnon (1994), JBES 12(2); Benjamini & Hochberg
    (1995), JRSS B 57(1).
    """
    universe, settings = prepare(prices, ScanOptions(**options))
    state = (
        _start(universe, settings) if resume is None else _checked_state(resume, universe, settings)
    )
    _run(universe, settings, state, workers, progress, cancel)
    return _result(universe, settings, state)


def prepare(prices: pd.DataFrame, options: ScanOptions) -> tuple[Universe, ScanSettings]:
    """What is scanned and how, checked; prices and errors as of `scan_pairs`."""
    o = options
    universe = select(prices, o.volumes, o.min_volume, o.min_coverage, o.log_prices)
    n = universe.prices.shape[1]
    settings = ScanSettings(
        o.costs_bps, o.entry_z, o.fdr,
        math.ceil(4.0 * (n / 100.0) ** 0.25) if o.lag is None else o.lag,
        o.windows, o.retest, o.max_cost_to_edge,
        n / 8.0 if o.max_half_life is None else o.max_half_life, o.log_prices,
    )  # fmt: skip
    _check(settings, n)
    return universe, settings


def _check(settings: ScanSettings, n: int) -> None:
    """Refuse options that have no meaning, naming what is allowed."""
    rules = (
        ("costs_bps", settings.costs_bps >= 0, "0 or more"),
        ("entry_z", settings.entry_z > 0, "above 0"),
        ("fdr", 0 < settings.fdr < 1, "between 0 and 1"),
        ("lag", 0 <= settings.lag <= n // 4, f"0 to {n // 4} for {n} rows"),
        ("windows", 2 <= settings.windows <= n // 20, f"2 to {n // 20} for {n} rows"),
        ("retest", settings.retest >= 0, "0 or more"),
        ("max_cost_to_edge", settings.max_cost_to_edge > 0, "above 0"),
        ("max_half_life", settings.max_half_life > 0, "above 0"),
    )
    for name, fine, allowed in rules:
        if not fine:
            raise BadInput(f"{name} is {getattr(settings, name)}; allowed is {allowed}.")


def _key(universe: Universe, settings: ScanSettings) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((universe.symbols, settings.lag, settings.windows)).encode())
    digest.update(universe.prices.tobytes())
    return digest.hexdigest()


def _start(universe: Universe, settings: ScanSettings) -> ScanState:
    from kernels.cointegration import N_COLUMNS

    k = len(universe.symbols)
    total = k * (k - 1) // 2
    return ScanState(_key(universe, settings), 0, total, np.full((total, N_COLUMNS), np.nan))


def _checked_state(state: ScanState, universe: Universe, settings: ScanSettings) -> ScanState:
    if state.key != _key(universe, settings):
        raise BadInput(
            "resume belongs to a scan of other prices, another lag or other windows; start anew."
        )
    return state


def _chunks(start: int, total: int) -> Iterator[slice]:
    for at in range(start, total, CHUNK):
        yield slice(at, min(at + CHUNK, total))


def _run(
    universe: Universe,
    settings: ScanSettings,
    state: ScanState,
    workers: int | None,
    progress: Progress | None,
    cancel: Cancel | None,
) -> None:
    """Test the pairs that are left, a chunk a thread; the kernels run without the lock."""
    centred, squares = scan_frame.centred_of(universe.prices)
    peaks = np.abs(universe.prices).max(axis=1)

    first, second = scan_frame.pair_rows(len(centred))

    def work(part: slice) -> None:
        state.table[part] = fixed_lag_rows(
            (centred, squares, peaks), settings, first[part], second[part]
        )

    threads = max(1, min(4, os.cpu_count() or 1) if workers is None else workers)
    parts = list(_chunks(state.done, state.total))
    with ThreadPoolExecutor(threads) as pool:
        for at in range(0, len(parts), threads):
            if cancel is not None and cancel():
                return
            batch = parts[at : at + threads]
            list(pool.map(work, batch))
            state.done = batch[-1].stop
            if progress is not None:
                progress(state.done, state.total)


def fixed_lag_rows(
    prepared: tuple[Array, Array, Array],
    settings: ScanSettings,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> Array:
    """Raw results of the pairs of these rows, (k, columns).

    `prepared` are each symbol's centred prices (C-contiguous, one row a symbol), the sums of
    their squares, and the largest absolute prices.
    """
    from kernels.cointegration import N_COLUMNS, scan_block

    centred, squares, peaks = prepared
    out = np.empty((len(first), N_COLUMNS))
    scan_block(
        centred, peaks, first, second, settings.lag, settings.windows,
        hurst_scales(centred.shape[1]), squares, out,
    )  # fmt: skip
    return out


def joined_scan(
    universe: Universe, settings: ScanSettings, table: Array, by_aic: Array
) -> ScanResult:
    """A whole scan with a lag by AIC for every pair, of rows worked out elsewhere.

    `table` are rows of `fixed_lag_rows`, `by_aic` of `scan_frame.aic_rows`, both of every pair.
    """
    state = ScanState(_key(universe, settings), len(table), len(table), table)
    return _result(universe, settings, state, by_aic)


def _result(
    universe: Universe, settings: ScanSettings, state: ScanState, by_aic: Array | None = None
) -> ScanResult:
    frame = scan_frame.build(universe, settings, state.table, state.complete, by_aic)
    tested = int(np.count_nonzero(~np.isnan(state.table[: state.done, 0])))
    found, screened = int(frame["found"].sum()), int(frame["screened"].sum())
    if state.complete:
        verdict = (
            f"{found} of {tested} pairs are cointegrated at a false-discovery rate of "
            f"{settings.fdr:.0%}; {screened} of them revert fast enough to pay their costs."
        )
    else:
        verdict = (
            f"Cancelled after {state.done} of {state.total} pairs: the false-discovery rate is "
            "only known over the whole scan, so nothing counts as found yet."
        )
    return ScanResult(
        frame=frame,
        n_symbols=len(universe.symbols),
        n_obs=universe.prices.shape[1],
        n_pairs=state.total,
        n_tested=tested,
        n_discoveries=found,
        n_screened=screened,
        fdr=settings.fdr,
        lag=settings.lag,
        null_hypothesis="For each pair: the two prices are not cointegrated in either direction.",
        verdict=verdict,
        dropped=universe.dropped,
        rows_dropped=universe.rows_dropped,
        complete=state.complete,
        state=state,
        settings=settings,
    )
