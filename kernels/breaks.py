"""Chow's F at every candle, from running sums."""

from __future__ import annotations

import numpy as np
from numba import njit, types

_series = types.Array(types.float64, 1, "C", readonly=True)
_vector = types.float64[::1]
_f8, _i8 = types.float64, types.int64


@njit(
    _f8(_f8, _f8, _f8, _f8, _f8, _f8),
    cache=True,
    nogil=True,
)
def _ssr(n: float, sy: float, sx: float, syy: float, sxx: float, sxy: float) -> float:
    """Residual sum of squares of y on a constant and x, from their sums."""
    below = sxx - sx * sx / n
    cross = sxy - sx * sy / n
    whole = syy - sy * sy / n
    return whole - cross * cross / below if below > 0.0 else whole


@njit(types.void(_series, _series, _i8, _i8, _vector), cache=True, nogil=True)
def chow_path(y: np.ndarray, x: np.ndarray, first: int, last: int, out: np.ndarray) -> None:
    """Fill ``out[k − first]`` with the F of a break before candle k, k = first … last − 1.

    Both ratio and intercept may change. Series best passed centred.
    """
    n = y.shape[0]
    ty = tx = tyy = txx = txy = 0.0
    for t in range(n):
        ty += y[t]
        tx += x[t]
        tyy += y[t] * y[t]
        txx += x[t] * x[t]
        txy += x[t] * y[t]
    whole = _ssr(float(n), ty, tx, tyy, txx, txy)
    sy = sx = syy = sxx = sxy = 0.0
    for t in range(last - 1):
        sy += y[t]
        sx += x[t]
        syy += y[t] * y[t]
        sxx += x[t] * x[t]
        sxy += x[t] * y[t]
        k = t + 1
        if k >= first:
            parts = _ssr(float(k), sy, sx, syy, sxx, sxy) + _ssr(
                float(n - k), ty - sy, tx - sx, tyy - syy, txx - sxx, txy - sxy
            )
            out[k - first] = 0.5 * (whole - parts) / (parts / (n - 4))


@njit(types.void(_f8, _series, _vector), cache=True, nogil=True)
def ar1_path(rho: float, shocks: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` with the AR(1) that ``shocks`` make, the first scaled to the long run."""
    value = shocks[0] / np.sqrt(1.0 - rho * rho)
    out[0] = value
    for t in range(1, shocks.shape[0]):
        value = rho * value + shocks[t]
        out[t] = value
