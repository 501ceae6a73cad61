"""Rolling moments in one pass, anchored anew every other window, so that they stay exact.

A running sum of squares loses digits where the level is large beside the spread of the values.
Here sums are of deviations from the mean of a recent window; they are taken afresh every other
window, and any window whose variance is small beside what has passed through its sums is computed
on its own in two passes. A window in which all values are equal has variance 0 exactly, and its
z-score is NaN. A window that holds a NaN or an infinity gives NaN.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from kernels.types import F1, F1W, Floats, b1, f8, i8

# Below this share of the largest sum of squares in a block a window is computed on its own.
_SUSPICIOUS = 1e-3
_SHORTEST_BLOCK = 128

_Triple = types.UniTuple(f8, 3)


# Sums may be reordered (and so vectorised): all terms of a flat window are zero in any order.
@njit(_Triple(F1, i8, i8), cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def _anchored(x: Floats, start: int, window: int) -> tuple[float, float, float]:
    """The mean, rounded, and the sums of deviations from it and of their squares."""
    first = x[start]
    total = 0.0
    for k in range(start + 1, start + window):
        total += x[k] - first
    anchor = first + total / window
    rest = 0.0
    squares = 0.0
    for k in range(start, start + window):
        d = x[k] - anchor
        rest += d
        squares += d * d
    return anchor, rest, squares


@njit(f8(F1, i8, i8, i8, f8, F1W, F1W), cache=True, nogil=True, error_model="numpy")
def _slide(
    x: Floats,
    start: int,
    count: int,
    window: int,
    anchor: float,
    sums: Floats,
    squares: Floats,
) -> float:
    """Running sums about `anchor` for `count` windows, and the largest of squares.

    The first window ends at `start`, and its sums are in the first entries already.
    """
    left = start - window
    s1 = sums[0]
    s2 = squares[0]
    peak = s2
    for k in range(1, count):
        a = x[start + k] - anchor
        b = x[left + k] - anchor
        step = a - b
        s1 += step
        s2 += step * (a + b)
        sums[k] = s1
        squares[k] = s2
        peak = max(peak, s2)
    return peak


@njit(types.void(F1, i8, i8, i8, b1, F1W, F1W), cache=True, nogil=True, error_model="numpy")
def _moments_run(
    x: Floats, begin: int, end: int, window: int, as_z: bool, centre: Floats, scale: Floats
) -> None:
    """Over a run without NaN: x − mean into `centre`, the standard deviation into `scale`.

    With `as_z` their quotient goes into `centre` instead and `scale` is not touched.
    """
    block = max(2 * window, _SHORTEST_BLOCK)
    sums = np.empty(block)
    squares = np.empty(block)
    inverse = 1.0 / window
    freedom = 1.0 / (window - 1)
    for start in range(begin + window - 1, end, block):
        count = min(block, end - start)
        anchor, sums[0], squares[0] = _anchored(x, start - window + 1, window)
        peak = _slide(x, start, count, window, anchor, sums, squares)
        floor = _SUSPICIOUS * peak
        suspicious = 0
        for k in range(count):
            s = squares[k] - sums[k] * sums[k] * inverse
            suspicious += 1 if s < floor else 0
            sums[k] = (x[start + k] - anchor) - sums[k] * inverse
            squares[k] = s
        if suspicious:
            for k in range(count):
                if squares[k] < floor:
                    mean, rest, total = _anchored(x, start + k - window + 1, window)
                    squares[k] = total - rest * rest * inverse
                    sums[k] = (x[start + k] - mean) - rest * inverse
        if as_z:
            for k in range(count):
                # 0 / 0 and 0 divided out of nothing both have to be NaN
                s = squares[k] if squares[k] > 0.0 else np.nan
                centre[start + k] = sums[k] / np.sqrt(s * freedom)
        else:
            for k in range(count):
                centre[start + k] = sums[k]
                scale[start + k] = np.sqrt(max(squares[k], 0.0) * freedom)


@njit(types.void(F1, i8, b1, F1W, F1W), cache=True, nogil=True, error_model="numpy")
def _moments(x: Floats, window: int, as_z: bool, centre: Floats, scale: Floats) -> None:
    """Each run of finite values on its own; what is not filled is NaN."""
    n = len(x)
    begin = 0
    while begin < n:
        end = begin
        while end < n and np.isfinite(x[end]):
            end += 1
        for k in range(begin, min(begin + window - 1, end)):
            centre[k] = np.nan
        _moments_run(x, begin, end, window, as_z, centre, scale)
        if end < n:
            centre[end] = np.nan
        begin = end + 1


def rolling_zscore(x: Floats, window: int) -> Floats:
    """(x − rolling mean) / rolling sample standard deviation (ddof 1)."""
    z = np.empty(len(x))
    _moments(x, window, True, z, z[:0])
    return z


def rolling_mean_std(x: Floats, window: int) -> tuple[Floats, Floats]:
    """Rolling mean and rolling sample standard deviation (ddof 1)."""
    centre, std = np.empty(len(x)), np.full(len(x), np.nan)
    _moments(x, window, False, centre, std)
    return x - centre, std


@njit(F1W(F1, i8, f8), cache=True, nogil=True, error_model="numpy")
def ewm_zscore(x: Floats, minimum: int, alpha: float) -> Floats:
    """(x − EWMA) / EW standard deviation, weights (1 − alpha)^age, unbiased for those weights.

    A NaN takes part with weight zero; its own z is NaN and ages the others all the same.
    """
    n = len(x)
    z = np.full(n, np.nan)
    decay = 1.0 - alpha
    weight = 0.0
    weight_squares = 0.0
    mean = 0.0
    squares = 0.0
    seen = 0
    for i in range(n):
        weight *= decay
        weight_squares *= decay * decay
        squares *= decay
        if not np.isfinite(x[i]):
            continue
        seen += 1
        weight += 1.0
        weight_squares += 1.0
        delta = x[i] - mean
        mean += delta / weight
        squares += delta * (x[i] - mean)
        freedom = weight - weight_squares / weight
        variance = squares / freedom if freedom > 0.0 else 0.0
        # what is left of the spread after a long flat stretch is rounding, not a z-score
        if seen >= minimum and variance > (1e-13 * mean) * (1e-13 * mean):
            z[i] = (x[i] - mean) / np.sqrt(variance)
    return z


@njit(i8(F1, i8, f8), cache=True, nogil=True)
def _first_not_below(ordered: Floats, count: int, value: float) -> int:
    """Position of the first of `count` sorted values that is not below `value`."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(f8(F1, f8), cache=True, nogil=True)
def _mad_of_sorted(ordered: Floats, median: float) -> float:
    """Median of |v − median|, merging outwards from the middle of sorted values."""
    n = len(ordered)
    right = _first_not_below(ordered, n, median)
    left = right - 1
    before = 0.0
    current = 0.0
    for _ in range(n // 2 + 1):
        before = current
        if left < 0 or (right < n and ordered[right] - median <= median - ordered[left]):
            current = ordered[right] - median
            right += 1
        else:
            current = median - ordered[left]
            left -= 1
    return current if n % 2 else 0.5 * (before + current)


@njit(F1W(F1, i8), cache=True, nogil=True, error_model="numpy")
def robust_zscore(x: Floats, window: int) -> Floats:
    """(x − rolling median) / (1.4826 · rolling median absolute deviation)."""
    n = len(x)
    z = np.full(n, np.nan)
    ordered = np.empty(window)
    filled = 0
    for i in range(n):
        if not np.isfinite(x[i]):
            filled = 0
            continue
        if filled == window:
            at = _first_not_below(ordered, window, x[i - window])
            for k in range(at, window - 1):
                ordered[k] = ordered[k + 1]
            filled -= 1
        at = filled
        while at > 0 and ordered[at - 1] > x[i]:
            ordered[at] = ordered[at - 1]
            at -= 1
        ordered[at] = x[i]
        filled += 1
        if filled == window:
            median = 0.5 * (ordered[(window - 1) // 2] + ordered[window // 2])
            mad = _mad_of_sorted(ordered, median)
            if mad > 0.0:
                z[i] = (x[i] - median) / (1.482602218505602 * mad)
    return z
