"""p-values and critical values of the Dickey–Fuller and Engle–Granger t statistics.

The p-value is the normal distribution at a polynomial of the statistic, one polynomial for the
left tail and one for the rest (MacKinnon 1994, tables 3 and 4). The critical values are a
polynomial in 1 / observations (MacKinnon 2010, table 2; "n" from MacKinnon 1996).

References
----------
MacKinnon, J. G. (1994). Approximate asymptotic distribution functions for unit-root and
cointegration tests. Journal of Business & Economic Statistics 12(2), 167–176.
MacKinnon, J. G. (2010). Critical values for cointegration tests. Queen's University, Economics
Department Working Paper 1227.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class _Surface(NamedTuple):
    """Lowest and highest statistic covered, the tail's end, and the two polynomials."""

    low: float
    high: float
    star: float
    tail: tuple[float, ...]
    body: tuple[float, ...]


# By (trend, number of series), constant term first.
_SURFACES: dict[tuple[str, int], _Surface] = {
    ("n", 1): _Surface(
        -19.04, math.inf, -1.04, (0.6344, 1.2378, 0.032496), (0.4797, 0.93557, -0.06999, 0.033066)
    ),
    ("n", 2): _Surface(
        -19.62, 1.51, -1.53, (1.9129, 1.3857, 0.035322), (1.5578, 0.8558, -0.2083, -0.033549)
    ),
    ("c", 1): _Surface(
        -18.83, 2.74, -1.61, (2.1659, 1.4412, 0.038269), (1.7339, 0.93202, -0.12745, -0.010368)
    ),
    ("c", 2): _Surface(
        -18.86, 0.92, -2.62, (2.92, 1.5012, 0.039796), (2.1945, 0.64695, -0.29198, -0.042377)
    ),
    ("ct", 1): _Surface(
        -16.18, 0.7, -2.89, (3.2512, 1.6047, 0.049588), (2.5261, 0.61654, -0.37956, -0.060285)
    ),
    ("ct", 2): _Surface(
        -21.15, 0.63, -3.19, (3.6646, 1.5419, 0.036448), (2.85, 0.5272, -0.36622, -0.051695)
    ),
    ("ctt", 1): _Surface(
        -17.17, 0.54, -3.21, (4.0003, 1.658, 0.048288), (3.0778, 0.49529, -0.41477, -0.059359)
    ),
    ("ctt", 2): _Surface(
        -21.1, 0.79, -3.51, (4.3534, 1.6016, 0.037947), (3.4713, 0.5967, -0.32507, -0.042286)
    ),
}

_LEVELS = ("1%", "5%", "10%")
# Rows 1 %, 5 %, 10 %; columns are powers 0 … 3 of 1 / observations.
_CRITICAL: dict[tuple[str, int], tuple[tuple[float, float, float, float], ...]] = {
    ("n", 1): (
        (-2.56574, -2.2358, -3.627, 0.0),
        (-1.94100, -0.2686, -3.365, 31.223),
        (-1.61682, 0.2656, -2.714, 25.364),
    ),
    ("c", 1): (
        (-3.43035, -6.5393, -16.786, -79.433),
        (-2.86154, -2.8903, -4.234, -40.040),
        (-2.56677, -1.5384, -2.809, 0.0),
    ),
    ("c", 2): (
        (-3.89644, -10.9519, -33.527, 0.0),
        (-3.33613, -6.1101, -6.823, 0.0),
        (-3.04445, -4.2412, -2.720, 0.0),
    ),
    ("ct", 1): (
        (-3.95877, -9.0531, -28.428, -134.155),
        (-3.41049, -4.3904, -9.036, -45.374),
        (-3.12705, -2.5856, -3.925, -22.380),
    ),
    ("ct", 2): (
        (-4.32762, -15.4387, -35.679, 0.0),
        (-3.78057, -9.5106, -12.074, 0.0),
        (-3.49631, -7.0815, -7.538, 21.892),
    ),
    ("ctt", 1): (
        (-4.37113, -11.5882, -35.819, -334.047),
        (-3.83239, -5.9057, -12.490, -118.284),
        (-3.55326, -3.6596, -5.293, -63.559),
    ),
    ("ctt", 2): (
        (-4.69276, -20.2284, -64.919, 88.884),
        (-4.15387, -13.3114, -28.402, 72.741),
        (-3.87346, -10.4637, -17.408, 66.313),
    ),
}
_ROOT_HALF = math.sqrt(0.5)


def pvalue(statistic: float, trend: str = "c", n_series: int = 1) -> float:
    """Probability of a t at or below `statistic` under the unit root; asymptotic.

    Parameters
    ----------
    statistic : float
        The t of the lagged level. NaN gives NaN.
    trend : {"n", "c", "ct", "ctt"}
        Deterministic terms: of the regression (ADF) or of the first stage (Engle–Granger).
    n_series : {1, 2}
        1 for a unit-root test, 2 for the residual of a regression of two series.
    """
    if math.isnan(statistic):
        return math.nan
    surface = _SURFACES[trend, n_series]
    if statistic > surface.high:
        return 1.0
    if statistic < surface.low:
        return 0.0
    value = 0.0
    for coefficient in reversed(surface.tail if statistic <= surface.star else surface.body):
        value = value * statistic + coefficient
    return 0.5 * math.erfc(-value * _ROOT_HALF)


def pvalues(
    statistics: NDArray[np.float64], trend: str = "c", n_series: int = 1
) -> NDArray[np.float64]:
    """:func:`pvalue` of a whole array; NaN stays NaN."""
    from scipy.special import ndtr

    surface = _SURFACES[trend, n_series]
    tail = np.polynomial.polynomial.polyval(statistics, surface.tail)
    body = np.polynomial.polynomial.polyval(statistics, surface.body)
    p = ndtr(np.where(statistics <= surface.star, tail, body))
    p = np.where(statistics > surface.high, 1.0, p)
    return np.where(statistics < surface.low, 0.0, p)


def critical_values(
    trend: str = "c", n_series: int = 1, n_obs: float = math.inf
) -> dict[str, float]:
    """Critical values at 1, 5 and 10 % for `n_obs` observations; NaN where none are published."""
    if (trend, n_series) not in _CRITICAL:
        return dict.fromkeys(_LEVELS, math.nan)
    inverse = 1.0 / n_obs
    rows = _CRITICAL[trend, n_series]
    return {
        level: a + inverse * (b + inverse * (c + inverse * d))
        for level, (a, b, c, d) in zip(_LEVELS, rows, strict=True)
    }
