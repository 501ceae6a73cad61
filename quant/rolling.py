"""Spread, z-scores, bands, returns, rolling correlation: series in, series on their index out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput, InsufficientData
from quant.alignment import align_pair, as_float_series
from quant.results import Bands

Floats = NDArray[np.float64]

ZSCORES: tuple[str, ...] = ("rolling", "ewma", "robust")
RETURNS: tuple[str, ...] = ("log", "simple")


def calculate_spread(
    price1: Any, price2: Any, ratio: Any, intercept: Any = 0.0, *, log_prices: bool = False
) -> pd.Series:
    """price1 − ratio · price2 − intercept.

    Parameters
    ----------
    price1, price2 : Series (joined on their index) or arrays of one length
        Rows that are not in both, or NaN in one, are dropped.
    ratio, intercept : float, or Series on the prices' index
        A moving ratio makes NaN where it is NaN or has no value.
    log_prices : bool
        Take logarithms of the prices first, as the ratio was estimated.

    Returns
    -------
    Series
        On the common index, in the unit of price1.

    Raises
    ------
    BadInput
        Where prices cannot be joined, or a logarithm is asked of a price that has none.
    InsufficientData
        Where the series have no common row.
    """
    pair = align_pair(price1, price2, "A spread", 1)
    y, x = pair.y, pair.x
    if log_prices:
        if min(y.min(), x.min()) <= 0:
            raise BadInput("Log prices need positive prices; at least one is zero or negative.")
        y, x = np.log(y), np.log(x)
    slope, level = (_on(pair.index, value) for value in (ratio, intercept))
    return pd.Series(y - slope * x - level, index=pair.index, name="spread")


def calculate_zscore(spread: Any, window: int = 20, method: str = "rolling") -> pd.Series:
    """How many standard deviations the spread is from its recent mean.

    Parameters
    ----------
    spread : Series or array of shape (n,)
    window : int
        Candles; for ``ewma`` the span, α = 2 / (window + 1).
    method : str
        ``rolling``: (s − mean) / sample standard deviation (ddof 1) of the window. ``ewma``: the
        same with exponential weights, unbiased for them. ``robust``: (s − median) / (1.4826 ·
        median absolute deviation) of the window.

    Returns
    -------
    Series
        On the spread's index. NaN in warm-up, where the window holds a NaN (``ewma`` passes over
        it) and where nothing in the window varies. A value uses no later candle.

    Raises
    ------
    BadInput
        For a window below 2, or an unknown method.
    InsufficientData
        Where the spread is shorter than the window.

    References
    ----------
    West (1979), Updating mean and variance estimates; Rousseeuw & Croux (1993), eq. 1.2, for the
    robust scale.
    """
    from kernels import rolling as kernel

    if method not in ZSCORES:
        raise BadInput(f"There is no z-score {method!r}; there are {', '.join(ZSCORES)}.")
    series = as_float_series(spread, "the spread")
    values = _windowed(series, window, f"A z-score over {window} candles")
    if method == "rolling":
        z = kernel.rolling_zscore(values, window)
    elif method == "ewma":
        z = kernel.ewm_zscore(values, window, 2.0 / (window + 1.0))
    else:
        z = kernel.robust_zscore(values, window)
    return pd.Series(z, index=series.index, name="zscore", copy=False)


def calculate_bollinger_bands(prices: Any, window: int = 20, num_std: float = 2) -> Bands:
    """(upper, middle, lower): rolling mean, and `num_std` sample standard deviations about it.

    Parameters
    ----------
    prices : Series or array of shape (n,)
    window : int
        Candles, at least 2.
    num_std : float
        Half the bands' width in standard deviations (ddof 1), not negative.

    Returns
    -------
    Bands
        Three Series on the prices' index, in their unit; NaN in warm-up and where the window holds
        a NaN. In a flat window the three are equal.

    Raises
    ------
    BadInput
        For a window below 2, or a negative `num_std`.
    InsufficientData
        Where there are fewer prices than one window.

    References
    ----------
    Bollinger (2001), Bollinger on Bollinger Bands, ch. 7; he uses ddof 0, this ddof 1 as the
    z-score does.
    """
    from kernels import rolling as kernel

    if not num_std >= 0:
        raise BadInput(f"Bollinger bands need a num_std of 0 or more, found {num_std}.")
    series = as_float_series(prices, "prices")
    values = _windowed(series, window, f"Bollinger bands over {window} candles")
    middle, std = kernel.rolling_mean_std(values, window)
    bands = (middle + num_std * std, middle, middle - num_std * std)
    names = ("upper", "middle", "lower")
    return Bands(
        *(
            pd.Series(band, index=series.index, name=name)
            for band, name in zip(bands, names, strict=True)
        )
    )


def calculate_returns(prices: Any, kind: str = "log") -> Any:
    """Returns from each candle to the next, as fractions.

    Parameters
    ----------
    prices : Series, DataFrame (a column a symbol) or array
    kind : str
        ``log``: ln(p_t / p_{t−1}); ``simple``: p_t / p_{t−1} − 1.

    Returns
    -------
    Series or DataFrame
        On the same index, the first row NaN; NaN beside a NaN price. Nothing is filled.

    Raises
    ------
    BadInput
        For an unknown kind, or a price that is not positive.
    InsufficientData
        Below two prices.
    """
    if kind not in RETURNS:
        raise BadInput(f"There are no returns {kind!r}; there are {', '.join(RETURNS)}.")
    table = prices if isinstance(prices, pd.DataFrame) else as_float_series(prices, "prices")
    if len(table) < 2:
        raise InsufficientData("A return", 2, len(table))
    values = table.to_numpy(dtype=np.float64)
    bad = int(np.count_nonzero(values <= 0))
    if bad:
        raise BadInput(f"Returns need positive prices; {bad} are zero or negative.")
    out = np.full(values.shape, np.nan)
    out[1:] = np.diff(np.log(values), axis=0) if kind == "log" else values[1:] / values[:-1] - 1.0
    if isinstance(table, pd.DataFrame):
        return pd.DataFrame(out, index=table.index, columns=table.columns)
    return pd.Series(out, index=table.index, name="return")


def rolling_correlation(
    price1: Any, price2: Any, window: int = 20, *, returns: bool = False
) -> pd.Series:
    """Pearson's correlation over the last `window` candles.

    Parameters
    ----------
    price1, price2 : Series (joined on their index) or arrays of one length
        Rows that are not in both, or NaN in one, are dropped.
    window : int
        Candles, at least 2.
    returns : bool
        Correlate log returns instead of the values as given.

    Returns
    -------
    Series
        On the common index, from −1 to 1; NaN in warm-up and where one side is flat.

    Raises
    ------
    BadInput
        For a window below 2.
    InsufficientData
        Where there are fewer pairs than one window.

    References
    ----------
    Chan, Golub & LeVeque (1983), Algorithms for computing the sample variance, eq. 1.4.
    """
    from kernels import rolling_pair as kernel

    _check_window(window)
    what = f"A rolling correlation over {window} candles"
    pair = align_pair(price1, price2, what, window + int(returns))
    y, x = pair.y, pair.x
    if returns:
        y, x = (calculate_returns(side).to_numpy() for side in (y, x))
    _, _, syy, sxx, sxy = kernel.rolling_pair_moments(y, x, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        product = np.where((syy > 0) & (sxx > 0), np.sqrt(syy) * np.sqrt(sxx), np.nan)
        values = np.clip(sxy / product, -1.0, 1.0)
    return pd.Series(values, index=pair.index, name="correlation")


def _on(index: pd.Index, value: Any) -> Any:
    """A number as it is, a Series on `index`, an array if it is of the right length."""
    if isinstance(value, pd.Series):
        return value.to_numpy() if value.index is index else value.reindex(index).to_numpy()
    array = np.asarray(value, dtype=np.float64)
    if array.ndim and len(array) != len(index):
        raise BadInput(
            f"A moving ratio or intercept needs one value a candle; found {len(array)} for "
            f"{len(index)} candles."
        )
    return array


def _check_window(window: int) -> None:
    if not window >= 2 or window != int(window):
        raise BadInput(f"A window is a whole number of at least 2 candles, found {window}.")


def _windowed(series: pd.Series, window: int, what: str) -> Floats:
    _check_window(window)
    if len(series) < window:
        raise InsufficientData(what, window, len(series))
    return np.ascontiguousarray(series.to_numpy())
