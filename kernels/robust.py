"""Lines that outliers do not move: least absolute deviations, Theil–Sen, random consensus.

All take contiguous float64 arrays without NaN and of one length. Sorting is done here, since
NumPy's would cost seconds of compilation.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from kernels.regression import moments
from kernels.types import F1, F1W, I1, I1W, Floats, Ints, f8, i8

_Pair = types.UniTuple(f8, 2)
_Triple = types.UniTuple(f8, 3)


@njit(types.void(F1, I1W, I1W), cache=True, nogil=True)
def _order(values: Floats, order: Ints, buffer: Ints) -> None:
    """Fill `order` with the positions of the sorted values (merge sort, bottom up, stable)."""
    n = len(values)
    for i in range(n):
        order[i] = i
    source, target = order, buffer
    width = 1
    swapped = False
    while width < n:
        for low in range(0, n, 2 * width):
            middle = min(low + width, n)
            high = min(low + 2 * width, n)
            i, j = low, middle
            for k in range(low, high):
                if j >= high or (i < middle and values[source[i]] <= values[source[j]]):
                    target[k] = source[i]
                    i += 1
                else:
                    target[k] = source[j]
                    j += 1
        source, target = target, source
        swapped = not swapped
        width *= 2
    if swapped:
        for i in range(n):
            order[i] = buffer[i]


@njit(f8(F1, F1, f8, f8), cache=True, nogil=True)
def _absolute_loss(y: Floats, x: Floats, slope: float, intercept: float) -> float:
    total = 0.0
    for i in range(len(y)):
        total += abs(y[i] - slope * x[i] - intercept)
    return total


@njit(i8(F1, F1, i8, F1W, F1W, I1W, I1W), cache=True, nogil=True, error_model="numpy")
def _best_through(
    y: Floats, x: Floats, pivot: int, ratios: Floats, weights: Floats, order: Ints, buffer: Ints
) -> int:
    """The observation that with `pivot` makes the best line through it: a weighted median."""
    n = len(y)
    total = 0.0
    for i in range(n):
        d = x[i] - x[pivot]
        weights[i] = abs(d)
        ratios[i] = (y[i] - y[pivot]) / d if d != 0.0 else np.inf
        total += weights[i]
    _order(ratios, order, buffer)
    running = 0.0
    for k in range(n):
        running += weights[order[k]]
        if running >= 0.5 * total and weights[order[k]] > 0.0:
            return order[k]
    return -1


@njit(_Pair(F1, F1), cache=True, nogil=True, error_model="numpy")
def lad(y: Floats, x: Floats) -> tuple[float, float]:
    """Slope and intercept that minimise Σ|r|, exactly, walking from vertex to vertex.

    An optimal line goes through two observations. From a line through one, the best line through
    it is a weighted median of slopes; its second observation is the next pivot. Where that helps
    no longer, every observation on the line is tried: if none is better no edge descends, and the
    objective being convex and linear on cells the line is optimal (Bloomfield & Steiger 1980).
    `y` and `x` have to be centred and of unit scale.
    """
    n = len(y)
    ratios = np.empty(n)
    weights = np.empty(n)
    order = np.empty(n, dtype=np.int64)
    buffer = np.empty(n, dtype=np.int64)
    my, mx, _, sxx, sxy = moments(y, x)
    slope = sxy / sxx
    pivot = 0
    least = np.inf
    for i in range(n):
        size = abs(y[i] - my - slope * (x[i] - mx))
        if size < least:
            least, pivot = size, i
    intercept = y[pivot] - slope * x[pivot]
    best = np.inf
    while True:
        other = _best_through(y, x, pivot, ratios, weights, order, buffer)
        s = (y[other] - y[pivot]) / (x[other] - x[pivot])
        c = y[pivot] - s * x[pivot]
        loss = _absolute_loss(y, x, s, c)
        if loss < best * (1 - 1e-15):
            best, slope, intercept, pivot = loss, s, c, other
            continue
        found = False
        for k in range(n):
            if abs(y[k] - slope * x[k] - intercept) > 1e-13:
                continue
            other = _best_through(y, x, k, ratios, weights, order, buffer)
            s = (y[other] - y[k]) / (x[other] - x[k])
            c = y[k] - s * x[k]
            loss = _absolute_loss(y, x, s, c)
            if loss < best * (1 - 1e-15):
                best, slope, intercept, pivot = loss, s, c, other
                found = True
                break
        if not found:
            return slope, intercept


@njit(i8(F1W, F1W), cache=True, nogil=True)
def _inversions(r: Floats, buffer: Floats) -> int:
    """Pairs i < j with r[i] > r[j]; sorts `r` (merge sort, bottom up)."""
    n = len(r)
    count = 0
    width = 1
    source, target = r, buffer
    while width < n:
        for low in range(0, n, 2 * width):
            middle = min(low + width, n)
            high = min(low + 2 * width, n)
            i, j = low, middle
            for k in range(low, high):
                if j >= high or (i < middle and source[i] <= source[j]):
                    target[k] = source[i]
                    i += 1
                else:
                    target[k] = source[j]
                    count += middle - i
                    j += 1
        source, target = target, source
        width *= 2
    return count


@njit(i8(F1, F1, f8, F1W, F1W), cache=True, nogil=True)
def _slopes_below(y: Floats, x: Floats, slope: float, r: Floats, buffer: Floats) -> int:
    """How many pairwise slopes are below `slope`, the points being sorted by x and then y.

    Points of equal x stay in the order of y whatever the slope, so they make no inversion.
    """
    for i in range(len(y)):
        r[i] = y[i] - slope * x[i]
    return _inversions(r, buffer)


@njit(f8(F1, F1, f8), cache=True, nogil=True, error_model="numpy")
def theil_sen(y: Floats, x: Floats, tolerance: float) -> float:
    """Median of all pairwise slopes, in O(n log n) a step and O(n) memory.

    Counts the slopes below a candidate as inversions of y − slope·x (x being sorted) and bisects
    until `tolerance` (relative) or until no float lies between; so it needs no list of n²/2 slopes.
    With a tolerance above 1e-12 an even number of slopes gives the lower of the two in the middle.
    The points have to be sorted by x and then by y, x to take two values at least, and both to be
    centred and of unit scale.
    """
    n = len(y)
    pairs = n * (n - 1) // 2
    lowest, highest = np.inf, -np.inf
    begin = 0
    previous = -1
    r = np.empty(n)
    buffer = np.empty(n)
    # the extreme slopes are between neighbours of different x
    while begin < n:
        end = begin + 1
        while end < n and x[end] == x[begin]:
            end += 1
        pairs -= (end - begin) * (end - begin - 1) // 2
        if previous >= 0:
            d = x[begin] - x[previous]
            lowest = min(lowest, (y[begin] - y[begin - 1]) / d)
            highest = max(highest, (y[end - 1] - y[previous]) / d)
        previous = begin
        begin = end
    result = 0.0
    for rank in ((pairs - 1) // 2, pairs // 2):
        low, high = lowest, highest
        count_low, count_high = 0, pairs
        halve = True
        while True:
            middle = 0.5 * (low + high)
            if not halve and count_high > count_low:
                # by turns where the count would be met were it straight, a little inside
                share = (rank + 0.5 - count_low) / (count_high - count_low)
                middle = low + min(max(share, 0.02), 0.98) * (high - low)
            halve = not halve
            if middle <= low or middle >= high or high - low <= tolerance * (abs(low) + abs(high)):
                break
            count = _slopes_below(y, x, middle, r, buffer)
            if count <= rank:
                low, count_low = middle, count
            else:
                high, count_high = middle, count
        result += 0.5 * low
        if pairs % 2 or tolerance > 1e-12:
            return 2.0 * result
    return result


@njit(_Triple(F1, F1, f8, I1, I1), cache=True, nogil=True, error_model="numpy")
def consensus(
    y: Floats, x: Floats, threshold: float, first: Ints, second: Ints
) -> tuple[float, float, float]:
    """Slope and intercept of the best of the lines through the drawn pairs, and its cost.

    The cost is Σ min(r², threshold²) (MSAC; Torr & Zisserman 2000, eq. 15). Pairs of equal x are
    passed over; the cost is inf where all were.
    """
    best, slope, intercept = np.inf, np.nan, np.nan
    square = threshold * threshold
    for k in range(len(first)):
        i, j = first[k], second[k]
        if x[i] == x[j]:
            continue
        s = (y[i] - y[j]) / (x[i] - x[j])
        c = y[i] - s * x[i]
        cost = 0.0
        for m in range(len(y)):
            r = y[m] - s * x[m] - c
            cost += min(r * r, square)
        if cost < best:
            best, slope, intercept = cost, s, c
    return slope, intercept, best
