"""How many of the finds are false: Benjamini–Hochberg control over a whole scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import BadInput

Array = NDArray[np.float64]


def benjamini_hochberg(pvalues: Any) -> Array:
    """q-value of each test: the smallest false-discovery rate at which it is still found.

    Rejecting every test with q ≤ α keeps the expected share of false finds at or below α, where
    the tests are independent or positively dependent.

    Parameters
    ----------
    pvalues : array, shape (m,)
        One p-value a test. NaN marks a test that could not be made: it does not count among the
        m, and its q-value is NaN.

    Raises
    ------
    BadInput
        A p-value outside 0 … 1.

    References
    ----------
    Benjamini, Y., Hochberg, Y. (1995). Controlling the false discovery rate. Journal of the Royal
    Statistical Society B 57(1), eq. 1. Benjamini, Y., Yekutieli, D. (2001). Annals of Statistics
    29(4), theorem 1.2, for positive dependence.
    """
    p = np.asarray(pvalues, dtype=np.float64).ravel()
    known = np.flatnonzero(~np.isnan(p))
    values = p[known]
    if len(values) and (values.min() < 0.0 or values.max() > 1.0):
        raise BadInput(f"p-values are 0 to 1, found {values.min():g} to {values.max():g}.")
    order = np.argsort(values, kind="stable")
    m = len(values)
    steps = values[order] * m / np.arange(1, m + 1)
    out = np.full(len(p), np.nan)
    # The smallest of this and every later step, so that q never falls as p rises.
    out[known[order]] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return out


def two_directions(first: Array, second: Array) -> Array:
    """One p-value of the better of two directions, min(1, 2 · the smaller)."""
    return np.minimum(1.0, 2.0 * np.minimum(first, second))
