"""The straight lines of price1 on price2, one function a method, on arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from errors import BadInput

Floats = NDArray[np.float64]


class Line(NamedTuple):
    """y ≈ slope · x + intercept."""

    slope: float
    intercept: float


class _Standard(NamedTuple):
    """Two arrays of mean 0 and variance 1, and the way back."""

    y: Floats
    x: Floats
    my: float
    mx: float
    sy: float
    sx: float

    def back(self, slope: float, intercept: float) -> Line:
        ratio = slope * self.sy / self.sx
        return Line(ratio, self.my + intercept * self.sy - ratio * self.mx)


def ols(y: Floats, x: Floats) -> Line:
    """Least squares, in closed form with both variables centred.

    References
    ----------
    Draper & Smith (1998), Applied Regression Analysis, eqs. 1.2.9 and 1.2.10.
    """
    from kernels import regression as kernel

    my, mx, _, sxx, sxy = kernel.moments(y, x)
    slope = sxy / sxx
    return Line(float(slope), float(my - slope * mx))


def huber(y: Floats, x: Floats, epsilon: float = 1.35) -> Line:
    """Huber's M-estimate with its scale estimated along.

    The objective is scikit-learn's ``HuberRegressor`` without penalty; it is minimised on
    standardised data, since on raw prices its optimiser stops far from the optimum.

    References
    ----------
    Huber (1981), Robust Statistics, eq. 7.7; Owen (2007), A robust hybrid of lasso and ridge.
    """
    from kernels import regression as kernel

    if not epsilon > 1.0:
        raise BadInput(f"huber needs an epsilon above 1, found {epsilon}.")
    data = _standardised(y, x)
    slope, intercept, _, iterations = kernel.huber(data.y, data.x, epsilon, 200)
    if iterations < 0:
        raise BadInput(
            f"huber did not converge in 200 steps on {len(y)} observations; more than half of them "
            "may lie on one line exactly. lad and theil_sen have no such limit."
        )
    return data.back(slope, intercept)


def theil_sen(y: Floats, x: Floats, tolerance: float = 1e-15) -> Line:
    """Median of the slopes through all pairs, and median y − slope · median x.

    References
    ----------
    Sen (1968), Estimates of the regression coefficient based on Kendall's tau; the search is that
    of Cole, Salowe, Steiger & Szemerédi (1989), by bisection.
    """
    from kernels import robust as kernel

    data = _standardised(y, x)
    order = np.lexsort((data.y, data.x))
    slope = kernel.theil_sen(data.y[order], data.x[order], tolerance) * data.sy / data.sx
    return Line(float(slope), float(np.median(y) - slope * np.median(x)))


def tls(y: Floats, x: Floats) -> Line:
    """Total least squares: the squared distances at right angles to the line are least.

    Symmetric: the ratio of the swapped legs is the reciprocal. It has no scale equivariance in one
    leg alone, so use log prices where the legs' levels differ much.

    References
    ----------
    Golub & Van Loan (1980), An analysis of the total least squares problem.
    """
    from kernels import regression as kernel

    my, mx, syy, sxx, sxy = kernel.moments(y, x)
    if sxy == 0.0:
        raise BadInput("tls needs correlated prices; the covariance of price1 and price2 is 0.")
    difference = syy - sxx
    length = math.hypot(difference, 2 * sxy)
    # of the two forms of the root the one without cancellation
    slope = (
        (difference + length) / (2 * sxy) if difference >= 0 else 2 * sxy / (length - difference)
    )
    return Line(float(slope), float(my - slope * mx))


def lad(y: Floats, x: Floats) -> Line:
    """Least absolute deviations, exact; of several optimal lines, one.

    References
    ----------
    Bloomfield & Steiger (1980), Least absolute deviations curve-fitting.
    """
    from kernels import robust as kernel

    data = _standardised(y, x)
    return data.back(*kernel.lad(data.y, data.x))


def ransac(
    y: Floats, x: Floats, seed: int = 0, trials: int = 500, threshold: float | None = None
) -> Line:
    """Least squares of the observations that agree with the best of many lines through two.

    Parameters
    ----------
    y, x : arrays of shape (n,)
    seed : int
        Of the draws; the same seed gives the same line.
    trials : int
        Lines tried.
    threshold : float, optional
        Largest residual of an observation that agrees, in the unit of y; 2.5 robust standard
        deviations (1.4826 · median absolute) about the least-absolute-deviations line if not given.

    References
    ----------
    Fischler & Bolles (1981), Random sample consensus; Torr & Zisserman (2000), eq. 15, for the
    cost that is compared.
    """
    from kernels import robust as kernel

    if trials < 1:
        raise BadInput(f"ransac needs at least one trial, found {trials}.")
    if threshold is None:
        guess = lad(y, x)
        spread = np.abs(y - guess.slope * x - guess.intercept)
        threshold = max(2.5 * 1.4826 * float(np.median(spread)), 1e-12 * float(np.abs(y).max()))
    if not threshold > 0:
        raise BadInput(f"ransac needs a threshold above 0, found {threshold}.")
    draws = np.random.default_rng(seed).integers(0, len(y), size=(2, trials))
    slope, intercept, cost = kernel.consensus(y, x, threshold, draws[0], draws[1])
    if not math.isfinite(cost):
        raise BadInput(f"ransac drew no two different values of price2 in {trials} trials.")
    line = Line(float(slope), float(intercept))
    for _ in range(20):
        inside = np.abs(y - line.slope * x - line.intercept) <= threshold
        if inside.sum() < 2 or x[inside].min() == x[inside].max():
            return line
        better = ols(np.ascontiguousarray(y[inside]), np.ascontiguousarray(x[inside]))
        if better == line:
            break
        line = better
    return line


ESTIMATORS: dict[str, Callable[..., Line]] = {
    "ols": ols,
    "huber": huber,
    "theil_sen": theil_sen,
    "tls": tls,
    "lad": lad,
    "ransac": ransac,
}
"""The methods that give one ratio."""


def _standardised(y: Floats, x: Floats) -> _Standard:
    from kernels import regression as kernel

    my, mx, syy, sxx, _ = kernel.moments(y, x)
    sy, sx = math.sqrt(syy / len(y)) or 1.0, math.sqrt(sxx / len(x))
    return _Standard((y - my) / sy, (x - mx) / sx, my, mx, sy, sx)
