"""Engle–Granger on one pair and on many: the first-stage residual, then its Dickey–Fuller t.

Series come centred (their mean taken off), one row a symbol, C-contiguous, so that a pair costs
one product, one residual and the sweep of :func:`kernels.unitroot.adf`. Blocks of pairs run
without the interpreter lock; the caller deals them out to threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from kernels.unitroot import FAST, adf

_series = types.Array(types.float64, 1, "C", readonly=True)
_table = types.Array(types.float64, 2, "C", readonly=True)
_index = types.Array(types.int64, 1, "C", readonly=True)
_vector = types.float64[::1]
_matrix = types.float64[:, ::1]
_f8, _i8 = types.float64, types.int64

# Columns of a scanned pair, in the order `scan_block` writes them.
T_FORWARD, T_REVERSE, RATIO, INSTABILITY, REVERSION, HURST, SPREAD_STD = range(7)
N_COLUMNS = 7

# Below this share of price1's own square the residual is rounding: one series is the other's copy.
_COLLINEAR = 1e-20
_ROUNDING = 1e-15


@njit(_f8(_series, _series), cache=True, nogil=True, fastmath=FAST)
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of products."""
    s = 0.0
    for t in range(a.shape[0]):
        s += a[t] * b[t]
    return s


@njit(_f8(_series, _series, _f8, _vector), cache=True, nogil=True, fastmath=FAST)
def residual(y: np.ndarray, x: np.ndarray, ratio: float, out: np.ndarray) -> float:
    """Fill ``out`` with y − ratio · x; return its sum of squares."""
    s = 0.0
    for t in range(y.shape[0]):
        e = y[t] - ratio * x[t]
        out[t] = e
        s += e * e
    return s


@njit(types.UniTuple(_f8, 2)(_series), cache=True, nogil=True, fastmath=FAST)
def reversion(spread: np.ndarray) -> tuple[float, float]:
    """Return (b, standard error) of Δs on a constant and s one candle before."""
    n = spread.shape[0] - 1
    before = after = 0.0
    for t in range(n):
        before += spread[t]
        after += spread[t + 1]
    before /= n
    after /= n
    square = cross = change = 0.0
    for t in range(n):
        b = spread[t] - before
        d = spread[t + 1] - after - b
        square += b * b
        cross += b * d
        change += d * d
    slope = cross / square
    ssr = change - slope * cross
    return slope, np.sqrt(max(ssr, 0.0) / (n - 2) / square)


@njit(_f8(_series, _i8, _vector), cache=True, nogil=True, fastmath=FAST)
def hurst(levels: np.ndarray, n_scales: int, log_variances: np.ndarray) -> float:
    """Half the slope of log variance of the 2^k-candle change on log 2^k, k = 0 … n_scales − 1."""
    n = levels.shape[0]
    drift = (levels[n - 1] - levels[0]) / (n - 1)
    slope_sum = 0.0
    centre = 0.5 * (n_scales - 1)
    lag = 1
    for k in range(n_scales):
        s = 0.0
        now, before = levels[lag:], levels[: n - lag]
        for t in range(now.shape[0]):
            d = now[t] - before[t] - lag * drift
            s += d * d
        # Unbiased, as in the variance ratio of Lo and MacKinlay (1988).
        m = (n - lag) * (1.0 - lag / (n - 1.0))
        log_variances[k] = np.log(s / m)
        slope_sum += (k - centre) * log_variances[k]
        lag *= 2
    spread_of_k = n_scales * (n_scales * n_scales - 1) / 12.0
    return 0.5 * slope_sum / spread_of_k / np.log(2.0)


@njit(_f8(_series, _series, _i8, _f8), cache=True, nogil=True, fastmath=FAST)
def instability(y: np.ndarray, x: np.ndarray, n_windows: int, ratio: float) -> float:
    """Sample standard deviation of the sub-windows' hedge ratios, as a share of the whole's."""
    n = y.shape[0]
    width = n // n_windows
    mean = square = 0.0
    for w in range(n_windows):
        a = w * width
        b = n if w == n_windows - 1 else a + width
        sy = sx = sxy = sxx = 0.0
        for t in range(a, b):
            sy += y[t]
            sx += x[t]
            sxy += x[t] * y[t]
            sxx += x[t] * x[t]
        m = b - a
        below = sxx - sx * sx / m
        if below <= 0.0:
            return np.nan
        local = (sxy - sx * sy / m) / below
        delta = local - mean
        mean += delta / (w + 1)
        square += delta * (local - mean)
    return np.sqrt(square / (n_windows - 1)) / abs(ratio)


@njit(
    types.void(_table, _series, _index, _index, _i8, _i8, _i8, _series, _matrix),
    cache=True,
    nogil=True,
)
def scan_block(
    centred: np.ndarray,
    peaks: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    lag: int,
    n_windows: int,
    n_scales: int,
    squares: np.ndarray,
    out: np.ndarray,
) -> None:
    """Fill one row of ``out`` a pair (columns ``T_FORWARD`` …), at one fixed lag.

    Ratio, half-life's slope, Hurst exponent and the rest belong to the direction with the smaller
    t; the sign of ``T_FORWARD`` − ``T_REVERSE`` tells which. A pair of copies gets NaN throughout.

    Parameters
    ----------
    centred : array, shape (symbols, n)
    peaks, squares : array, shape (symbols,)
        Largest absolute price, and the sum of squares of the centred row.
    first, second : array of int, shape (pairs,)
        Rows of price1 and price2.
    """
    n = centred.shape[1]
    forward, backward = np.empty(n), np.empty(n)
    work = np.empty(n_scales)
    for p in range(first.shape[0]):
        i, j = first[p], second[p]
        y, x = centred[i], centred[j]
        sxy = dot(x, y)
        ratio, back = sxy / squares[j], sxy / squares[i]
        ssr = residual(y, x, ratio, forward)
        rounding = (_ROUNDING * peaks[i]) ** 2 * n
        if not ssr > _COLLINEAR * squares[i] + rounding:
            for c in range(out.shape[1]):
                out[p, c] = np.nan
            continue
        residual(x, y, back, backward)
        t_forward = adf(forward, 0, lag, 0)[0]
        t_reverse = adf(backward, 0, lag, 0)[0]
        out[p, T_FORWARD], out[p, T_REVERSE] = t_forward, t_reverse
        if t_forward <= t_reverse:
            best = forward
            out[p, RATIO] = ratio
            out[p, INSTABILITY] = instability(y, x, n_windows, ratio)
        else:
            best = backward
            out[p, RATIO] = back
            out[p, INSTABILITY] = instability(x, y, n_windows, back)
        out[p, REVERSION] = reversion(best)[0]
        out[p, HURST] = hurst(best, n_scales, work)
        out[p, SPREAD_STD] = np.sqrt(dot(best, best) / (n - 2))


@njit(
    types.void(_table, _series, _index, _index, _i8, _i8, _vector, _vector),
    cache=True,
    nogil=True,
)
def t_block(
    centred: np.ndarray,
    squares: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    max_lag: int,
    criterion: int,
    out: np.ndarray,
    lags: np.ndarray,
) -> None:
    """Fill ``out`` with the Engle–Granger t of each pair and ``lags`` with the lag used."""
    spread = np.empty(centred.shape[1])
    for p in range(first.shape[0]):
        y, x = centred[first[p]], centred[second[p]]
        ratio = dot(x, y) / squares[second[p]]
        residual(y, x, ratio, spread)
        result = adf(spread, 0, max_lag, criterion)
        out[p], lags[p] = result[0], result[1]
