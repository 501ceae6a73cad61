"""Look-ahead audit: what was decided must not change when the future is taken away.

A strategy is run on the whole data and on data cut off at many points. Every signal known at a
close before the cut, and every fill, must be the same in both. The first difference is reported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from errors import BadInput, InsufficientData
from kernels import columns as col
from trading.backtest import PairSettings, run_pair
from trading.candle_pair import Array, PairCandles

# Recursive sums are anchored where the data ends: equal up to rounding, not to the last bit.
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Trail:
    """What a run leaves to be compared.

    ``signals`` are arrays by name, one value a candle, known at its close; ``fills`` is (k, m)
    with the candle in the first column and quantities and prices in the others.
    """

    signals: dict[str, Array]
    fills: Array


class Difference(NamedTuple):
    """The first thing that changed: where, what, and both values."""

    cut: int
    candle: int
    what: str
    with_future: float
    without_future: float

    @property
    def sentence(self) -> str:
        """The finding for a person."""
        return (
            f"Candle {self.candle}: {self.what} is {self.with_future:g} with the future and "
            f"{self.without_future:g} on data that end at candle {self.cut - 1}."
        )


class AuditReport(NamedTuple):
    """``difference`` is None where nothing changed at any of the ``cuts``."""

    cuts: tuple[int, ...]
    difference: Difference | None

    @property
    def passed(self) -> bool:
        """Whether no look-ahead was found."""
        return self.difference is None

    @property
    def sentence(self) -> str:
        """The verdict for a person."""
        if self.difference is None:
            return f"No signal and no fill changed at {len(self.cuts)} cut points."
        return "Look-ahead found. " + self.difference.sentence


def audit(
    run: Callable[[PairCandles], Trail], candles: PairCandles, cuts: int = 30, seed: int = 0
) -> AuditReport:
    """Compare a strategy with and without the future.

    Parameters
    ----------
    run : callable
        The strategy: candles to what it signalled and filled. It may raise `InsufficientData` on
        short data: that cut is passed over.
    candles : PairCandles
    cuts : int
        How many cut points: the ends, and seeded random ones between.
    seed : int

    Raises
    ------
    InsufficientData
        Fewer than ten candles.
    """
    n = len(candles)
    if n < 10:
        raise InsufficientData("A look-ahead audit", 10, n)
    if cuts < 1:
        raise BadInput(f"The audit takes at least 1 cut point, found {cuts}.")
    whole = run(candles)
    rng = np.random.default_rng(seed)
    inner = rng.choice(np.arange(3, n), size=min(cuts - 1, n - 3), replace=False)
    points = sorted({*(int(c) for c in inner), n - 1})
    used = []
    for cut in points:
        try:
            short = run(candles.head(cut))
        except InsufficientData:
            continue
        used.append(cut)
        found = _first_difference(whole, short, cut)
        if found is not None:
            return AuditReport(tuple(used), found)
    return AuditReport(tuple(used), None)


def audit_pair(
    candles: PairCandles,
    settings: PairSettings | None = None,
    *,
    cuts: int = 30,
    seed: int = 0,
    **data: Any,
) -> AuditReport:
    """Audit the platform's own pair strategy with these settings (``data`` as for `run_pair`)."""
    chosen = replace(settings or PairSettings(), close_at_end=False)

    def run(part: PairCandles) -> Trail:
        result = run_pair(part, chosen, **data)
        entries = result.rows[:, [col.C_FILL_IN, col.C_QTY1, col.C_QTY2_IN, col.C_IN1, col.C_IN2]]
        closed = result.rows[result.rows[:, col.C_FILL_OUT] >= 0]
        exits = closed[:, [col.C_FILL_OUT, col.C_QTY1, col.C_QTY2, col.C_OUT1, col.C_OUT2]]
        fills = np.concatenate([entries, exits * np.array([1, -1, -1, 1, 1])])
        fills = fills[np.argsort(fills[:, 0], kind="stable")]
        return Trail(result.signals._asdict(), fills)

    return audit(run, candles, cuts, seed)


def _first_difference(whole: Trail, short: Trail, cut: int) -> Difference | None:
    found = []
    for name, values in whole.signals.items():
        a, b = values[:cut], short.signals[name][:cut]
        changed = np.flatnonzero(~_same(a, b))
        if changed.size:
            k = int(changed[0])
            found.append(Difference(cut, k, f"the signal {name}", float(a[k]), float(b[k])))
    a, b = whole.fills[whole.fills[:, 0] < cut], short.fills
    shared = min(len(a), len(b))
    changed = np.flatnonzero(~_same(a[:shared], b[:shared]).all(axis=1))
    if changed.size:
        k = int(changed[0])
        column = int(np.flatnonzero(~_same(a[k], b[k]))[0])
        at, both = int(min(a[k, 0], b[k, 0])), (float(a[k, column]), float(b[k, column]))
        found.append(Difference(cut, at, f"value {column} of fill {k}", *both))
    elif len(a) != len(b):
        more = a if len(a) > len(b) else b
        at = int(more[shared, 0])
        found.append(Difference(cut, at, "the number of fills", float(len(a)), float(len(b))))
    return min(found, key=lambda d: d.candle) if found else None


def _same(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    both_missing = np.isnan(a) & np.isnan(b)
    scale = TOLERANCE * np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
    return np.asarray(both_missing | (np.abs(a - b) <= scale))
