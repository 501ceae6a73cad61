"""What a scan may use of a universe of prices: which symbols, which rows, and why not the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput, InsufficientData

Array = NDArray[np.float64]

WHAT = "the pair scan"
MIN_ROWS = 100


class Universe(NamedTuple):
    """Symbols and rows that are scanned.

    Attributes
    ----------
    symbols : tuple
        Names in the frame's order.
    prices : array, shape (symbols, n)
        As given, or their logarithms; C-contiguous, one row a symbol, without NaN.
    levels : array, shape (symbols,)
        Mean price as given, the notional of one unit.
    volumes : array, shape (symbols,)
        Median volume of a candle; NaN where not known.
    dropped : dict
        Symbol → why it is not scanned.
    rows_dropped : int
        Rows in which a scanned symbol has no price.
    """

    symbols: tuple[Any, ...]
    prices: Array
    levels: Array
    volumes: Array
    dropped: Mapping[Any, str]
    rows_dropped: int


def select(
    prices: pd.DataFrame,
    volumes: pd.DataFrame | pd.Series | Mapping[Any, float] | None,
    min_volume: float,
    min_coverage: float,
    log_prices: bool,
) -> Universe:
    """The part of `prices` that can be scanned; before any test, so that no test is chosen by it.

    Raises
    ------
    BadInput
        Not a frame of numbers with one column a symbol, or fewer than two usable symbols.
    InsufficientData
        Fewer than 100 rows in which every usable symbol has a price.
    """
    values = _numbers(prices)
    known = _median_volumes(prices, volumes)
    dropped: dict[Any, str] = {}
    keep = []
    for position, symbol in enumerate(prices.columns):
        reason = _why_not(values[:, position], min_coverage, log_prices)
        if not reason and min_volume > 0 and not known[position] >= min_volume:
            reason = f"volume of {known[position]:g} a candle, below {min_volume:g}"
        if reason:
            dropped[symbol] = reason
        else:
            keep.append(position)
    if len(keep) < 2:
        reasons = "; ".join(f"{symbol}: {reason}" for symbol, reason in list(dropped.items())[:5])
        raise BadInput(f"{WHAT} needs at least 2 usable symbols, found {len(keep)} ({reasons}).")
    values = values[:, keep]
    complete = np.logical_not(np.isnan(values).any(axis=1))
    values = values[complete]
    if len(values) < MIN_ROWS:
        raise InsufficientData(WHAT, MIN_ROWS, len(values))
    for position in np.flatnonzero(values.min(axis=0) == values.max(axis=0))[::-1]:
        symbol = prices.columns[keep.pop(position)]
        dropped[symbol] = f"constant at {values[0, position]:g} over the common rows"
        values = np.delete(values, position, axis=1)
    if len(keep) < 2:
        raise BadInput(f"{WHAT} needs at least 2 symbols that vary over their common rows.")
    table = np.ascontiguousarray(values.T)
    return Universe(
        symbols=tuple(prices.columns[keep]),
        prices=np.log(table) if log_prices else table,
        levels=table.mean(axis=1),
        volumes=known[keep],
        dropped=dropped,
        rows_dropped=int(np.count_nonzero(~complete)),
    )


def _numbers(prices: pd.DataFrame) -> Array:
    if not isinstance(prices, pd.DataFrame):
        raise BadInput(
            f"{WHAT} needs a DataFrame (index time, one column a symbol), "
            f"found {type(prices).__name__}."
        )
    if not prices.columns.is_unique:
        doubled = prices.columns[prices.columns.duplicated()][0]
        raise BadInput(f"{WHAT} needs one column a symbol; {doubled} is there more than once.")
    if not prices.index.is_monotonic_increasing:
        raise BadInput(f"{WHAT} needs rows in time order; sort the frame by its index first.")
    try:
        return prices.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{WHAT} needs numeric columns: {error}.") from error


def _why_not(column: Array, min_coverage: float, log_prices: bool) -> str:
    """Why a symbol is left out, or an empty string."""
    known = column[~np.isnan(column)]
    if len(known) < max(min_coverage * len(column), 1):
        return f"prices in only {len(known)} of {len(column)} rows"
    if np.isinf(known).any():
        return f"{int(np.isinf(known).sum())} infinite prices"
    if known.min() == known.max():
        return f"constant at {known[0]:g}"
    if log_prices and known.min() <= 0:
        return f"a price of {known.min():g}, which has no logarithm"
    return ""


def _median_volumes(prices: pd.DataFrame, volumes: Any) -> Array:
    if volumes is None:
        return np.full(prices.shape[1], np.nan)
    if isinstance(volumes, pd.DataFrame):
        volumes = volumes.median(axis=0)
    try:
        series = pd.Series(volumes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"volumes have to be numbers by symbol: {error}.") from error
    return series.reindex(prices.columns).to_numpy()
