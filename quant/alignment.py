"""Series made ready for arithmetic: joined on their common index, NaN dropped, length checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput, InsufficientData

Array = NDArray[np.float64]


class AlignedPair(NamedTuple):
    """Two series on one index, contiguous float64, without NaN."""

    y: Array
    x: Array
    index: pd.Index
    dropped: int


class CleanSeries(NamedTuple):
    """One series without NaN, contiguous float64."""

    values: Array
    index: pd.Index
    dropped: int


class CleanFrame(NamedTuple):
    """Several series on one index without NaN, C-contiguous float64 of shape (n, k)."""

    values: Array
    index: pd.Index
    columns: pd.Index
    dropped: int


def as_float_series(values: Any, name: str) -> pd.Series:
    """`values` as a float64 Series; a Series keeps its index, anything else is numbered from 0.

    Raises
    ------
    BadInput
        Where `values` is not one-dimensional or not numeric.
    """
    if isinstance(values, pd.Series) and values.dtype == np.float64:
        return values
    try:
        series = values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))
        return series.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} is not a series of numbers: {error}.") from error


def clean_series(values: Any, what: str, minimum: int, name: str = "the series") -> CleanSeries:
    """`values` without its NaN.

    Raises
    ------
    InsufficientData
        Where fewer than `minimum` values remain.
    BadInput
        Where the values are not numbers, or one of them is infinite.
    """
    series = as_float_series(values, name)
    array = series.to_numpy()
    keep = ~np.isnan(array)
    index = series.index
    if not keep.all():
        array, index = array[keep], index[keep]
    if len(array) < minimum:
        raise InsufficientData(what, minimum, len(array))
    _refuse_infinite(array, name)
    return CleanSeries(np.ascontiguousarray(array), index, len(series) - len(array))


def align_pair(price1: Any, price2: Any, what: str, minimum: int) -> AlignedPair:
    """The two series joined on their common index, rows with a NaN left out.

    Series are joined by index and come out in its order; arrays and lists by position and have to
    be of one length. `what` names the computation for the error's sentence.

    Raises
    ------
    InsufficientData
        Where fewer than `minimum` pairs remain.
    BadInput
        Where the indexes cannot be joined, or a value is infinite or not a number.
    """
    y, x, index = _joined(price1, price2)
    longer = max(_length(price1), _length(price2))
    # one NaN or infinity would show in the sums: the common case is told at a glance
    with np.errstate(invalid="ignore", over="ignore"):
        total = y.sum() + x.sum()
    if not np.isfinite(total):
        keep = ~(np.isnan(y) | np.isnan(x))
        y, x, index = y[keep], x[keep], index[keep]
        _refuse_infinite(y, "price1")
        _refuse_infinite(x, "price2")
    if len(y) < minimum:
        raise InsufficientData(what, minimum, len(y))
    return AlignedPair(np.ascontiguousarray(y), np.ascontiguousarray(x), index, longer - len(y))


def clean_frame(prices: pd.DataFrame, what: str, minimum: int, columns: int = 2) -> CleanFrame:
    """The rows of `prices` in which every column has a value.

    Raises
    ------
    InsufficientData
        Where fewer than `minimum` such rows remain.
    BadInput
        Where there are fewer than `columns` columns, or one is not numeric or has an infinity.
    """
    if not isinstance(prices, pd.DataFrame) or prices.shape[1] < columns:
        found = prices.shape[1] if isinstance(prices, pd.DataFrame) else type(prices).__name__
        raise BadInput(f"{what} needs a frame of at least {columns} price columns, found {found}.")
    if not prices.columns.is_unique:
        doubled = prices.columns[prices.columns.duplicated()][0]
        raise BadInput(f"{what} needs one column a symbol; {doubled} is there more than once.")
    try:
        values = prices.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{what} needs numeric columns: {error}.") from error
    keep = ~np.isnan(values).any(axis=1)
    values = np.ascontiguousarray(values[keep])
    if len(values) < minimum:
        raise InsufficientData(what, minimum, len(values))
    _refuse_infinite(values, "the frame")
    return CleanFrame(values, prices.index[keep], prices.columns, len(prices) - len(values))


def require_varying(values: Array, what: str, name: str, of: str = "prices") -> None:
    """Refuse a series that is the same number throughout.

    Raises
    ------
    BadInput
        With the number and how often it is there.
    """
    if len(values) and values.min() == values.max():
        raise BadInput(
            f"{what} needs {of} that vary; {name} is constant at {values[0]:g} over all "
            f"{len(values)} observations."
        )


def require_not_collinear(y: Array, x: Array, what: str) -> None:
    """Refuse a pair in which one series is an exact linear function of the other.

    Exact means up to float64: a residual below 1e-13 of the series' own variance.

    Raises
    ------
    BadInput
        Where nothing but rounding is left of the spread.
    """
    dy, dx = y - y.mean(), x - x.mean()
    syy, sxx, sxy = dy @ dy, dx @ dx, dx @ dy
    if syy <= 0 or sxx <= 0:
        return
    ssr = dy - (sxy / sxx) * dx
    if ssr @ ssr <= 1e-20 * syy + (1e-15 * np.abs(y).max()) ** 2 * len(y):
        raise BadInput(
            f"{what} needs two different series; price1 is {sxy / sxx:.6g} times price2 plus a "
            f"constant at all {len(y)} observations, so no spread is left to test."
        )


def _joined(price1: Any, price2: Any) -> tuple[Array, Array, pd.Index]:
    """The values of both on their common index, NaN and all."""
    if isinstance(price1, np.ndarray) and isinstance(price2, np.ndarray):
        plain = price1.dtype == price2.dtype == np.float64 and price1.ndim == price2.ndim == 1
        if plain and len(price1) == len(price2):
            return price1, price2, pd.RangeIndex(len(price1))
    first, second = as_float_series(price1, "price1"), as_float_series(price2, "price2")
    if not (first.index is second.index or first.index.equals(second.index)):
        first, second = _join(first, second, price1, price2)
    return first.to_numpy(), second.to_numpy(), first.index


def _length(values: Any) -> int:
    return len(values) if hasattr(values, "__len__") else 0


def _join(first: pd.Series, second: pd.Series, *given: Any) -> tuple[pd.Series, pd.Series]:
    if not all(isinstance(item, pd.Series) for item in given):
        raise BadInput(
            f"price1 has {len(first)} values and price2 {len(second)}; arrays have to be of one "
            "length (series are joined on their index instead)."
        )
    for name, series in (("price1", first), ("price2", second)):
        if not series.index.is_unique:
            doubled = series.index[series.index.duplicated()][0]
            raise BadInput(
                f"the index of {name} has {doubled} more than once; it cannot be joined."
            )
    try:
        common = first.index.intersection(second.index, sort=None)
        if not common.is_monotonic_increasing:
            common = common.sort_values()
        return first.reindex(common), second.reindex(common)
    except TypeError as error:
        raise BadInput(
            f"the indexes of price1 ({first.index.dtype}) and price2 ({second.index.dtype}) "
            f"cannot be joined: {error}."
        ) from error


def _refuse_infinite(values: Array, name: str) -> None:
    bad = np.count_nonzero(np.isinf(values))
    if bad:
        raise BadInput(f"{name} has {bad} infinite values; prices are finite numbers.")
