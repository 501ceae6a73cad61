"""Mean reversion on a given spread and z-score: gross, per unit of spread.

This is `Analytics.backtest_mean_reversion`. Costs, legs and sizes belong to `trading.backtest`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.internals import create_dataframe_from_blocks

from errors import BadInput, InsufficientData
from trading.strategy import check_thresholds

FillOn = Literal["next", "same"]
LAGS: dict[str, int] = {"next": 1, "same": 0}
MINIMUM = 2

COLUMNS = pd.Index(
    [
        "side",
        "entry_time",
        "entry_price",
        "entry_zscore",
        "exit_time",
        "exit_price",
        "exit_zscore",
        "holding_candles",
        "pnl",
        "reason",
        "status",
    ]
)
_TEXT = pd.array([""], dtype="str").dtype


class Words:
    """A few words of which a string column is made, written straight into Arrow's layout.

    Taking from a column of strings costs pyarrow 15 to 40 µs a column; this is 3.
    """

    def __init__(self, *words: str) -> None:
        letters = [w.encode() for w in words]
        self.letters = np.frombuffer(b"".join(letters), np.uint8)
        self.starts = np.cumsum([0, *(len(w) for w in letters)])
        self.longest = max(len(w) for w in letters)

    def column(self, codes: NDArray[np.int64]) -> Any:
        """The string array whose k-th entry is word ``codes[k]``."""
        from kernels import backtest

        offsets = np.empty(codes.size + 1, np.int64)
        text = np.empty(codes.size * self.longest, np.uint8)
        backtest.spell(codes, self.letters, self.starts, offsets, text)
        arrow = pa.LargeStringArray.from_buffers(
            codes.size, pa.py_buffer(offsets), pa.py_buffer(text)
        )
        return pd.arrays.ArrowStringArray(arrow, dtype=_TEXT)


_SIDES = Words("SHORT", "FLAT", "LONG")
_REASONS = Words("open at the end", "z crossed exit")
_STATUS = Words("open", "closed")
# Where each block of columns stands; one block a type keeps small frames quick to make.
_PLACES = [np.array(p, dtype=np.intp) for p in ([0], [1, 4], [2, 3, 5, 6, 8], [7], [9], [10])]


class SpreadBacktest(NamedTuple):
    """Trades as a frame, and the side held at each candle as int8 Series."""

    trades: pd.DataFrame
    positions: pd.Series


def lag_of(fill: str) -> int:
    """Candles from signal to fill.

    Raises
    ------
    BadInput
        Neither "next" nor "same".
    """
    if fill not in LAGS:
        raise BadInput(f"Fills are on the next candle or the same close, found {fill!r}.")
    return LAGS[fill]


def mean_reversion(
    spread: Any,
    zscore: Any,
    entry_th: float = 2.0,
    exit_th: float = 0.0,
    *,
    fill: FillOn = "next",
) -> SpreadBacktest:
    """Trades and positions of the spread's mean reversion, gross, per unit of spread.

    Short the spread when z > ``entry_th``, long when z < −``entry_th``; a long leaves at
    z ≥ −``exit_th``, a short at z ≤ ``exit_th``. The signal on a candle's close is filled at the
    spread of the next candle. Flat before opposite. A NaN z changes nothing.

    Parameters
    ----------
    spread, zscore : Series or array, shape (n,)
        On one index; where the indices differ z is taken at the spread's, NaN where it has none.
        Candles whose spread is NaN are left out: a fill waits for the next number.
    entry_th, exit_th : float
        ``entry_th`` ≥ 0 and above ``exit_th``.
    fill : {"next", "same"}
        "same" fills at the close that gave the signal: optimistic, by explicit choice only.

    Returns
    -------
    SpreadBacktest
        ``(trades, positions)``. ``trades`` has its columns even when empty: side (LONG, SHORT),
        entry_time, entry_price, entry_zscore (of the signal), exit_time, exit_price, exit_zscore,
        holding_candles, pnl, reason, status (open, closed). An open trade has no exit; its pnl is
        marked at the last spread. ``positions`` is −1, 0, 1 on the spread's index, from the fill.

    Raises
    ------
    BadInput
        Thresholds that make no strategy; an infinite value; no common index; time not ascending.
    InsufficientData
        Fewer than two candles.
    """
    lag = lag_of(fill)
    entry_th, exit_th = float(entry_th), float(exit_th)
    check_thresholds(entry_th, exit_th)
    index, prices, z = _aligned(spread, zscore)
    from kernels import backtest

    if backtest.all_finite(prices):
        trades, positions = _run(index, prices, z, entry_th, exit_th, lag)
        return SpreadBacktest(trades, pd.Series(positions, index=index, copy=False))
    known = np.flatnonzero(~np.isnan(prices))
    if np.isinf(prices).any():
        raise BadInput("The spread holds an infinite value; prices are finite numbers.")
    if known.size < MINIMUM:
        raise InsufficientData("A backtest", MINIMUM, int(known.size))
    trades, held = _run(index[known], prices[known], z[known], entry_th, exit_th, lag)
    positions = pd.Series(np.zeros(len(index), np.int8), index=index)
    last_known = np.searchsorted(known, np.arange(len(index)), side="right") - 1
    positions[:] = np.where(last_known >= 0, held[np.maximum(last_known, 0)], 0)
    return SpreadBacktest(trades, positions)


def _aligned(spread: Any, zscore: Any) -> tuple[pd.Index, NDArray[Any], NDArray[Any]]:
    """The spread's index with both as contiguous float64."""
    if not isinstance(spread, pd.Series):
        spread = pd.Series(_numbers(spread, "The spread"))
    if not isinstance(zscore, pd.Series):
        z = _numbers(zscore, "The z-score")
        if z.shape != (len(spread),):
            raise BadInput(
                f"The z-score has {len(z)} values and the spread {len(spread)}: "
                "they are of the same candles."
            )
    elif zscore.index is spread.index or zscore.index.equals(spread.index):
        z = _numbers(zscore, "The z-score")
    else:
        if len(zscore) and len(spread) and spread.index.intersection(zscore.index).empty:
            raise BadInput("Spread and z-score have no time in common.")
        z = _numbers(zscore.reindex(spread.index), "The z-score")
    if len(spread) < MINIMUM:
        raise InsufficientData("A backtest", MINIMUM, len(spread))
    index = spread.index
    if not (index.is_monotonic_increasing and index.is_unique):
        raise BadInput("The times of the spread must ascend without repeats; sort them first.")
    return index, _numbers(spread, "The spread"), z


def _numbers(values: Any, what: str) -> NDArray[Any]:
    try:
        array = values.to_numpy() if isinstance(values, pd.Series) else np.asarray(values)
        array = np.ascontiguousarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{what} is made of numbers: {error}.") from error
    if array.ndim != 1:
        raise BadInput(f"{what} is one series, found an array of {array.ndim} dimensions.")
    return array


def _run(
    index: pd.Index,
    prices: NDArray[Any],
    z: NDArray[Any],
    entry_th: float,
    exit_th: float,
    lag: int,
) -> tuple[pd.DataFrame, NDArray[Any]]:
    from kernels import backtest

    n = prices.size
    positions = np.zeros(n, np.int8)
    signals = np.empty((2, n // 2 + 1), np.int64)
    count = backtest.state_machine(z, entry_th, exit_th, lag, positions, signals[0], signals[1])
    values = np.empty((5, count))
    whole = np.empty((5, count), np.int64)
    fills, holding, codes = whole[:2], whole[2:3], whole[3:]
    backtest.gather_trades(
        prices, z, lag, positions, signals[0], signals[1], values, fills, holding, codes
    )
    if np.isinf(values[1]).any() or np.isinf(values[3]).any():
        at = int(np.flatnonzero(np.isinf(z))[0])
        raise BadInput(
            f"The z-score of the candle at {index[at]} (number {at}) is infinite: its window had "
            "no variation."
        )
    return _frame(index, values, fills, holding, codes), positions


def _frame(
    index: pd.Index,
    values: NDArray[Any],
    fills: NDArray[Any],
    holding: NDArray[Any],
    codes: NDArray[Any],
) -> pd.DataFrame:
    """The trades as a frame, made of whole blocks: a column at a time costs ten times as much."""
    count = values.shape[1]
    words = (_SIDES.column(codes[0]), _REASONS.column(codes[1]), _STATUS.column(codes[1]))
    rows = pd.RangeIndex(count)
    if isinstance(index, pd.DatetimeIndex):
        times = index.array.take(fills.ravel(), allow_fill=True).reshape(2, count)
        blocks = (words[0], times, values, holding, words[1], words[2])
        return create_dataframe_from_blocks(
            list(zip(blocks, _PLACES, strict=True)), index=rows, columns=COLUMNS
        )
    entry = index.take(fills[0])
    leave = pd.Series(index.take(np.maximum(fills[1], 0)), index=rows).where(fills[1] >= 0)
    columns = [words[0], entry, values[0], values[1], leave, values[2], values[3]]
    columns += [holding[0], values[4], words[1], words[2]]
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)), index=rows)
