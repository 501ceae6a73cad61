"""Rolling moments of two series in one pass; anchored anew as in ``kernels.rolling``."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from kernels.types import F1, F1W, F2W, Floats, i8

# As in kernels.rolling: below this share of a block's peak a window is computed on its own.
_SUSPICIOUS = 1e-3
_SHORTEST_BLOCK = 64


@njit(types.void(F1, F1, i8, i8, F1W), cache=True, nogil=True, error_model="numpy")
def _anchored_pair(y: Floats, x: Floats, start: int, window: int, out: Floats) -> None:
    """Means and centred second moments of one window in two passes: my, mx, syy, sxx, sxy."""
    y0 = y[start]
    x0 = x[start]
    sy = 0.0
    sx = 0.0
    for k in range(start, start + window):
        sy += y[k] - y0
        sx += x[k] - x0
    sy /= window
    sx /= window
    syy = 0.0
    sxx = 0.0
    sxy = 0.0
    for k in range(start, start + window):
        b = (y[k] - y0) - sy
        a = (x[k] - x0) - sx
        syy += b * b
        sxx += a * a
        sxy += a * b
    out[0] = y0 + sy
    out[1] = x0 + sx
    out[2] = syy
    out[3] = sxx
    out[4] = sxy


@njit(types.void(F1, F1, i8, i8, i8, F2W), cache=True, nogil=True, error_model="numpy")
def _pair_run(y: Floats, x: Floats, begin: int, end: int, window: int, out: Floats) -> None:
    """The five moments of every full window of a run without NaN, into the rows of `out`."""
    block = max(window, _SHORTEST_BLOCK)
    exact = np.empty(5)
    inverse = 1.0 / window
    for start in range(begin + window - 1, end, block):
        stop = min(start + block, end)
        _anchored_pair(y, x, start - window + 1, window, exact)
        my = exact[0]
        mx = exact[1]
        sy = 0.0
        sx = 0.0
        syy = exact[2]
        sxx = exact[3]
        sxy = exact[4]
        peak_y = syy
        peak_x = sxx
        suspicious = False
        for i in range(start, stop):
            if i > start:
                b = y[i] - my
                a = x[i] - mx
                b_old = y[i - window] - my
                a_old = x[i - window] - mx
                sy += b - b_old
                sx += a - a_old
                syy += (b - b_old) * (b + b_old)
                sxx += (a - a_old) * (a + a_old)
                sxy += a * b - a_old * b_old
                peak_y = max(peak_y, syy)
                peak_x = max(peak_x, sxx)
            out[0, i] = my + sy * inverse
            out[1, i] = mx + sx * inverse
            out[2, i] = syy - sy * sy * inverse
            out[3, i] = sxx - sx * sx * inverse
            out[4, i] = sxy - sx * sy * inverse
            if out[2, i] < _SUSPICIOUS * peak_y or out[3, i] < _SUSPICIOUS * peak_x:
                suspicious = True
        if suspicious:
            for i in range(start, stop):
                if out[2, i] < _SUSPICIOUS * peak_y or out[3, i] < _SUSPICIOUS * peak_x:
                    _anchored_pair(y, x, i - window + 1, window, exact)
                    for k in range(5):
                        out[k, i] = exact[k]


@njit(F2W(F1, F1, i8), cache=True, nogil=True, error_model="numpy")
def rolling_pair_moments(y: Floats, x: Floats, window: int) -> Floats:
    """Rows mean y, mean x, Σdy², Σdx², Σdydx of every window; NaN where one holds a NaN."""
    n = len(y)
    out = np.full((5, n), np.nan)
    begin = 0
    while begin < n:
        end = begin
        while end < n and np.isfinite(y[end]) and np.isfinite(x[end]):
            end += 1
        _pair_run(y, x, begin, end, window, out)
        begin = end + 1
    return out
