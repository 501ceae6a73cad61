"""Correlations between symbols, at once and across lags."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput
from quant.alignment import align_pair, clean_frame, require_varying
from quant.results import ResultMapping
from quant.rolling import calculate_returns

METHODS: tuple[str, ...] = ("pearson", "spearman")
_MINIMUM = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LeadLag(ResultMapping):
    """Who leads whom.

    Attributes
    ----------
    lag : DataFrame of int, symbols × symbols
        Candles by which the row's symbol leads the column's: the lag of the correlation largest in
        absolute value. Negative where it follows; 0 on the diagonal; antisymmetric.
    correlation : DataFrame
        The correlation at that lag.
    noise_band : float
        Correlations of independent series stay within ± this in 95 % of lags.
    n_obs : int
        Rows used.
    """

    lag: pd.DataFrame
    correlation: pd.DataFrame
    noise_band: float
    n_obs: int


def correlation_matrix(
    prices: pd.DataFrame, *, returns: bool = True, method: str = "pearson"
) -> pd.DataFrame:
    """Correlations between all columns.

    Parameters
    ----------
    prices : DataFrame of shape (n, k)
        A column a symbol. Rows with a NaN in any column are dropped.
    returns : bool
        Correlate log returns (levels of wandering prices correlate by chance).
    method : str
        ``pearson`` or ``spearman`` (of ranks).

    Returns
    -------
    DataFrame of shape (k, k)
        Symmetric, 1 on the diagonal.

    Raises
    ------
    BadInput
        For fewer than two columns, a constant column, an unknown method.
    InsufficientData
        Below 3 rows.
    """
    if method not in METHODS:
        raise BadInput(f"There is no correlation {method!r}; there are {', '.join(METHODS)}.")
    values, names, _ = _table(prices, returns)
    if method == "spearman":
        values = pd.DataFrame(values).rank().to_numpy()
    unit = _unit_columns(values, names, returns)
    matrix = np.clip(unit.T @ unit, -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return pd.DataFrame((matrix + matrix.T) / 2, index=names, columns=names)


def cross_correlation(
    price1: Any, price2: Any, max_lag: int = 20, *, returns: bool = True
) -> pd.Series:
    """Correlation of price1 now with price2 `lag` candles earlier.

    A peak at a positive lag says that price2 leads; at a negative, that price1 does.

    Parameters
    ----------
    price1, price2 : Series (joined on their index) or arrays of one length
    max_lag : int
        Lags from −max_lag to max_lag candles.
    returns : bool
        Of log returns rather than of the values as given.

    Returns
    -------
    Series
        Indexed by lag; each covariance is divided by the whole sample's n and standard deviations.
        ``attrs["noise_band"]`` is 1.96 / √n: independent series stay within it at 95 % of lags.

    Raises
    ------
    BadInput
        For a constant series, or a max_lag that is negative.
    InsufficientData
        Below max_lag + 3 observations.

    References
    ----------
    Box, Jenkins & Reinsel (2008), Time Series Analysis, eq. 12.1.4; Bartlett (1955) for the band.
    """
    if max_lag < 0:
        raise BadInput(f"max_lag is a number of candles, 0 or more; found {max_lag}.")
    what = f"A cross-correlation to lag {max_lag}"
    pair = align_pair(price1, price2, what, max_lag + _MINIMUM + int(returns))
    frame = pd.DataFrame({"price1": pair.y, "price2": pair.x})
    values, names, n = _table(frame, returns)
    unit = _unit_columns(values, names, returns)
    lags = np.arange(-max_lag, max_lag + 1)
    series = pd.Series(
        _lagged(unit[:, 0], unit[:, 1], max_lag),
        index=pd.Index(lags, name="lag"),
        name="correlation",
    )
    series.attrs["noise_band"] = 1.959963984540054 / math.sqrt(n)
    return series


def lead_lag_matrix(prices: pd.DataFrame, max_lag: int = 20, *, returns: bool = True) -> LeadLag:
    """For every two symbols the lag at which they correlate most.

    Parameters
    ----------
    prices : DataFrame of shape (n, k)
        A column a symbol. Rows with a NaN in any column are dropped.
    max_lag : int
        Lags from −max_lag to max_lag candles.
    returns : bool
        Of log returns rather than of the values as given.

    Raises
    ------
    BadInput, InsufficientData
        As :func:`cross_correlation`.
    """
    if max_lag < 0:
        raise BadInput(f"max_lag is a number of candles, 0 or more; found {max_lag}.")
    values, names, n = _table(prices, returns, max_lag + _MINIMUM)
    unit = _unit_columns(values, names, returns)
    k = unit.shape[1]
    lag, peak = np.zeros((k, k), dtype=np.int64), np.eye(k)
    for i in range(k):
        for j in range(i + 1, k):
            across = _lagged(unit[:, j], unit[:, i], max_lag)
            at = int(np.argmax(np.abs(across)))
            lag[i, j], lag[j, i] = at - max_lag, max_lag - at
            peak[i, j] = peak[j, i] = across[at]
    return LeadLag(
        lag=pd.DataFrame(lag, index=names, columns=names),
        correlation=pd.DataFrame(peak, index=names, columns=names),
        noise_band=1.959963984540054 / math.sqrt(n),
        n_obs=n,
    )


def _lagged(first: Floats, second: Floats, max_lag: int) -> Floats:
    """Σ first_t · second_{t−lag} for lags −max_lag … max_lag."""
    n = len(first)
    out = np.empty(2 * max_lag + 1)
    for lag in range(max_lag + 1):
        out[max_lag + lag] = first[lag:] @ second[: n - lag]
        out[max_lag - lag] = first[: n - lag] @ second[lag:]
    return out


def _table(
    prices: pd.DataFrame, returns: bool, minimum: int = _MINIMUM
) -> tuple[Floats, pd.Index, int]:
    frame = clean_frame(prices, "A correlation", minimum + int(returns))
    values = frame.values
    if returns:
        moves = calculate_returns(pd.DataFrame(values))
        values = moves.to_numpy()[1:]
    return values, frame.columns, len(values)


def _unit_columns(values: Floats, names: pd.Index, returns: bool) -> Floats:
    """Columns of mean 0 and length 1."""
    of = "log returns" if returns else "prices"
    for name, column in zip(names, values.T, strict=True):
        require_varying(column, "A correlation", str(name), of)
    centred = values - values.mean(axis=0)
    return np.ascontiguousarray(centred / np.sqrt((centred**2).sum(axis=0)))
