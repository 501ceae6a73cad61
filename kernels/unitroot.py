"""The augmented Dickey–Fuller regression with its lag search, in one sweep of the series.

The columns of the regression are shifted copies of one series, so the Gram matrix of all of them
follows from its first row: moving both columns one step back adds one product at the beginning and
drops one at the end. One Cholesky factor of that matrix, ordered level, lag 1 … lag L, target,
holds the residual sum of squares of *every* nested regression, which is all an information
criterion asks for. The chosen lag is then fitted on the longer sample it leaves, whose sums differ
from the common sample's by the few candles at the beginning.

Reads no file and no clock; runs without the interpreter lock.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

FIXED, AIC, BIC, T_STAT = 0, 1, 2, 3

# Sums may be reordered and fused, which lets them run in vector registers; NaN keeps its meaning.
FAST = {"reassoc", "nsz", "contract"}

_series = types.Array(types.float64, 1, "C", readonly=True)
_vector = types.float64[::1]
_matrix = types.float64[:, ::1]
_f8, _i8 = types.float64, types.int64

# The 95 % point of the normal distribution: the last lag stays when its |t| reaches it.
_LAST_LAG_T = 1.6448536269514722
# A pivot below this share of its diagonal is a column the others already explain.
_RANK_TOLERANCE = 1e-12


@njit(types.void(_series, _i8, _i8, _vector), cache=True, nogil=True, fastmath=FAST)
def lag_products(diffs: np.ndarray, start: int, n_lags: int, out: np.ndarray) -> None:
    """Fill ``out[j]`` with the sum over t ≥ start of diffs[t]·diffs[t − j], j = 0 … n_lags.

    Four lags share each load of ``diffs[t]``.
    """
    n = diffs.shape[0]
    j = 0
    while j + 3 <= n_lags:
        s0 = s1 = s2 = s3 = 0.0
        now = diffs[start:n]
        d0, d1 = diffs[start - j : n - j], diffs[start - j - 1 : n - j - 1]
        d2, d3 = diffs[start - j - 2 : n - j - 2], diffs[start - j - 3 : n - j - 3]
        for t in range(now.shape[0]):
            value = now[t]
            s0 += value * d0[t]
            s1 += value * d1[t]
            s2 += value * d2[t]
            s3 += value * d3[t]
        out[j], out[j + 1], out[j + 2], out[j + 3] = s0, s1, s2, s3
        j += 4
    while j <= n_lags:
        s = 0.0
        now, before = diffs[start:n], diffs[start - j : n - j]
        for t in range(now.shape[0]):
            s += now[t] * before[t]
        out[j] = s
        j += 1


@njit(
    types.void(_series, _series, _i8, _i8, _vector, _f8, _matrix, _vector),
    cache=True,
    nogil=True,
)
def fill_gram(
    levels: np.ndarray,
    diffs: np.ndarray,
    start: int,
    n_lags: int,
    row: np.ndarray,
    level_target: float,
    gram: np.ndarray,
    cross: np.ndarray,
) -> None:
    """Fill the upper triangle of the Gram matrix of target and lags, and their sums with the level.

    ``gram[i, j]``, i ≤ j, is the sum of diffs[t − i]·diffs[t − j], ``cross[j]`` that of
    levels[t]·diffs[t − j], over t = start … the end; ``row`` is the matrix's first row.
    """
    n = diffs.shape[0]
    # What comes in at the beginning and goes out at the end when a column moves one step back.
    gained, lost = np.empty(n_lags + 1), np.empty(n_lags + 1)
    for j in range(n_lags + 1):
        gram[0, j] = row[j]
        # The target does not move: place 0 is not used.
        gained[j] = diffs[start - j] if j else 0.0
        lost[j] = diffs[n - j] if j else 0.0
    for i in range(1, n_lags + 1):
        first, last = gained[i], lost[i]
        before, now = gram[i - 1, i - 1 : n_lags], gram[i, i : n_lags + 1]
        come, go = gained[i:], lost[i:]
        for j in range(now.shape[0]):
            now[j] = before[j] + first * come[j] - last * go[j]
    cross[0] = level_target
    for j in range(n_lags):
        come_level = levels[start - 1] * gained[j + 1]
        go_level = levels[n - 1] * lost[j + 1]
        cross[j + 1] = cross[j] + come_level - go_level + gram[1, j + 1]


@njit(types.void(_i8, _i8, _matrix), cache=True, nogil=True)
def trend_basis(n: int, order: int, out: np.ndarray) -> None:
    """Fill ``out`` with orthonormal polynomials in time of degree 1 … order (at most 2)."""
    mean = 0.5 * (n - 1)
    square = 0.0
    for t in range(n):
        square += (t - mean) ** 2
    norm = np.sqrt(square)
    for t in range(n):
        out[0, t] = (t - mean) / norm
    if order < 2:
        return
    mean_square = square / n
    square = 0.0
    for t in range(n):
        value = (t - mean) ** 2 - mean_square
        out[1, t] = value
        square += value * value
    norm = np.sqrt(square)
    for t in range(n):
        out[1, t] /= norm


@njit(
    _f8(_series, _series, _i8, _i8, _i8, _f8, _f8, _matrix, _vector),
    cache=True,
    nogil=True,
    fastmath=FAST,
)
def project_trend(
    levels: np.ndarray,
    diffs: np.ndarray,
    start: int,
    n_lags: int,
    n_trend: int,
    level_sum: float,
    level_square: float,
    gram: np.ndarray,
    cross: np.ndarray,
) -> float:
    """Take constant and trends out of ``gram`` and ``cross``; return the level's own square."""
    n_diffs = diffs.shape[0]
    n = n_diffs - start
    sums = np.empty(n_lags + 1)
    basis = np.empty((max(n_trend - 1, 1), n))
    if n_trend > 1:
        trend_basis(n, n_trend - 1, basis)
    for q in range(n_trend):
        if q == 0:
            scale = 1.0 / np.sqrt(n)
            with_level = level_sum * scale
            for j in range(n_lags + 1):
                sums[j] = (levels[n_diffs - j] - levels[start - j]) * scale
        else:
            with_level = 0.0
            for t in range(n):
                with_level += basis[q - 1, t] * levels[start + t]
            for j in range(n_lags + 1):
                s = 0.0
                for t in range(n):
                    s += basis[q - 1, t] * diffs[start - j + t]
                sums[j] = s
        for i in range(n_lags + 1):
            cross[i] -= with_level * sums[i]
            for j in range(i, n_lags + 1):
                gram[i, j] -= sums[i] * sums[j]
        level_square -= with_level * with_level
    return level_square


@njit(_i8(_matrix, _i8), cache=True, nogil=True, fastmath=FAST)
def cholesky(a: np.ndarray, size: int) -> int:
    """Replace the upper triangle of ``a`` by its Cholesky factor, two pivots a sweep.

    The last column is the target's, and its pivot is left as the residual sum of squares.
    Returns the number of leading columns that are not explained by those before them.
    """
    whole = np.empty(size)
    for i in range(size):
        whole[i] = a[i, i]
    j = 0
    while j + 2 < size:
        row0, row1 = a[j], a[j + 1]
        if not row0[j] > _RANK_TOLERANCE * whole[j]:
            return j
        scale = 1.0 / np.sqrt(row0[j])
        for i in range(j, size):
            row0[i] *= scale
        factor = row0[j + 1]
        pivot = row1[j + 1] - factor * factor
        if not pivot > _RANK_TOLERANCE * whole[j + 1]:
            return j + 1
        scale = 1.0 / np.sqrt(pivot)
        row1[j + 1] = pivot * scale
        for i in range(j + 2, size):
            row1[i] = (row1[i] - factor * row0[i]) * scale
        for k in range(j + 2, size):
            factor0, factor1 = row0[k], row1[k]
            rest, part0, part1 = a[k, k:size], row0[k:size], row1[k:size]
            for i in range(rest.shape[0]):
                rest[i] -= factor0 * part0[i] + factor1 * part1[i]
        j += 2
    if j == size - 2:
        if not a[j, j] > _RANK_TOLERANCE * whole[j]:
            return j
        a[j, j] = np.sqrt(a[j, j])
        a[j, j + 1] /= a[j, j]
        a[j + 1, j + 1] -= a[j, j + 1] * a[j, j + 1]
    return size


@njit(
    types.UniTuple(_f8, 2)(_matrix, _i8, _i8, _i8, _f8, _i8),
    cache=True,
    nogil=True,
)
def pick_lag(
    factor: np.ndarray, n_columns: int, n_trend: int, n: int, whole: float, criterion: int
) -> tuple[float, float]:
    """Return the best number of lags and its criterion from the factor of the widest regression.

    Ties go to the shorter regression. The criteria are −2 log L + penalty of the Gaussian
    likelihood, the whole constant kept, so that they can be compared with other programs.
    """
    target = n_columns
    if criterion == T_STAT:
        ssr = factor[target, target]
        for column in range(n_columns - 1, 0, -1):
            free = n - n_trend - column - 1
            t_last = abs(factor[column, target]) / np.sqrt(ssr / free)
            if t_last >= _LAST_LAG_T:
                return float(column), t_last
            ssr += factor[column, target] ** 2
        free = n - n_trend - 1
        return 0.0, abs(factor[0, target]) / np.sqrt(ssr / free)
    best, best_lag = np.inf, 0
    constant = n * (1.0 + np.log(2.0 * np.pi / n))
    penalty = 2.0 if criterion == AIC else np.log(n)
    ssr = whole
    for column in range(n_columns):
        ssr -= factor[column, target] ** 2
        value = n * np.log(ssr) + constant + penalty * (n_trend + column + 1)
        if value < best:
            best, best_lag = value, column
    return float(best_lag), best


_ADF_RESULT = types.UniTuple(_f8, 5)


@njit(_ADF_RESULT(_series, _i8, _i8, _i8), cache=True, nogil=True, fastmath=FAST)
def adf(
    levels: np.ndarray, n_trend: int, max_lag: int, criterion: int
) -> tuple[float, float, float, float, float]:
    """Return (t statistic, lags used, observations used, criterion, coefficient of the level).

    Parameters
    ----------
    levels : array of float, shape (n,)
        The series in time order, finite. With ``n_trend`` ≥ 1 best passed centred: sums of squares
        of a price of 60,000 that moves by 10 lose digits.
    n_trend : int
        0 nothing, 1 a constant, 2 with a linear, 3 with a quadratic trend.
    max_lag : int
        The longest lag tried, or the lag itself with ``criterion`` = ``FIXED``.
    criterion : int
        ``FIXED``, ``AIC``, ``BIC`` or ``T_STAT``.

    Notes
    -----
    A regression that has no residual, or columns that explain each other, gives t = NaN.
    """
    n_diffs = levels.shape[0] - 1
    diffs = np.empty(n_diffs)
    for t in range(n_diffs):
        diffs[t] = levels[t + 1] - levels[t]
    row = np.empty(max_lag + 1)
    gram = np.empty((max_lag + 1, max_lag + 1))
    cross = np.empty(max_lag + 1)
    system = np.empty((max_lag + 2, max_lag + 2))

    lag_products(diffs, max_lag, max_lag, row)
    level_target = level_sum = level_square = 0.0
    common, targets = levels[max_lag:n_diffs], diffs[max_lag:n_diffs]
    for t in range(common.shape[0]):
        level_target += common[t] * targets[t]
        level_sum += common[t]
        level_square += common[t] * common[t]

    lag, value = max_lag, np.nan
    if criterion != FIXED:
        fill_gram(levels, diffs, max_lag, max_lag, row, level_target, gram, cross)
        own = project_trend(
            levels, diffs, max_lag, max_lag, n_trend, level_sum, level_square, gram, cross
        )
        # Level first, then lag 1 … lag L, the target last.
        system[0, 0], system[0, max_lag + 1] = own, cross[0]
        for i in range(1, max_lag + 1):
            system[0, i] = cross[i]
            system[i, max_lag + 1] = gram[0, i]
            for j in range(i, max_lag + 1):
                system[i, j] = gram[i, j]
        system[max_lag + 1, max_lag + 1] = gram[0, 0]
        whole = gram[0, 0]
        rank = cholesky(system, max_lag + 2)
        if rank < max_lag + 2 or system[max_lag + 1, max_lag + 1] <= _RANK_TOLERANCE * whole:
            return np.nan, np.nan, float(n_diffs), np.nan, np.nan
        best, value = pick_lag(system, max_lag + 1, n_trend, n_diffs - max_lag, whole, criterion)
        lag = int(best)
        # The chosen lag leaves a longer sample: add the candles the widest one had to skip.
        for t in range(lag, max_lag):
            level_target += levels[t] * diffs[t]
            level_sum += levels[t]
            level_square += levels[t] * levels[t]
            for j in range(lag + 1):
                row[j] += diffs[t] * diffs[t - j]

    fill_gram(levels, diffs, lag, lag, row, level_target, gram, cross)
    own = project_trend(levels, diffs, lag, lag, n_trend, level_sum, level_square, gram, cross)
    # Now the level stands just before the target: its t is read off the factor.
    for i in range(1, lag + 1):
        for j in range(i, lag + 1):
            system[i - 1, j - 1] = gram[i, j]
        system[i - 1, lag] = cross[i]
        system[i - 1, lag + 1] = gram[0, i]
    system[lag, lag], system[lag, lag + 1] = own, cross[0]
    system[lag + 1, lag + 1] = gram[0, 0]
    whole = gram[0, 0]
    n = n_diffs - lag
    free = n - n_trend - lag - 1
    rank = cholesky(system, lag + 2)
    ssr = system[lag + 1, lag + 1]
    if rank < lag + 2 or free < 1 or ssr <= _RANK_TOLERANCE * whole:
        return np.nan, float(lag), float(n), value, np.nan
    t_statistic = system[lag, lag + 1] / np.sqrt(ssr / free)
    slope = system[lag, lag + 1] / system[lag, lag]
    return t_statistic, float(lag), float(n), value, slope
