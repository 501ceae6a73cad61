"""Density, conditional probability and tails of the four copulas.

References
----------
Joe, H. (2014). Dependence Modeling with Copulas. Chapman & Hall, sections 4.3 (Gaussian), 4.13
(t), 4.6 (Clayton), 4.8 (Gumbel). Inversions of Kendall's τ: Nelsen, R. B. (2006). An Introduction
to Copulas, example 5.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Family(NamedTuple):
    """One copula: functions of (u, v, parameters), arrays of one length.

    Attributes
    ----------
    conditional : callable
        P(U ≤ u | V = v).
    tails : callable
        (lower, upper) tail dependence of the parameters.
    start : callable
        Parameters from Kendall's τ.
    """

    names: tuple[str, ...]
    log_density: Callable[[Array, Array, Array], Array]
    conditional: Callable[[Array, Array, Array], Array]
    tails: Callable[[Array], tuple[float, float]]
    start: Callable[[float], tuple[float, ...]]
    bounds: tuple[tuple[float, float], ...]
    positive_only: bool


def _gaussian_density(u: Array, v: Array, parameters: Array) -> Array:
    from scipy.special import ndtri

    rho = parameters[0]
    x, y, rest = ndtri(u), ndtri(v), 1.0 - rho * rho
    return -0.5 * math.log(rest) - (rho * rho * (x * x + y * y) - 2.0 * rho * x * y) / (2.0 * rest)


def _gaussian_conditional(u: Array, v: Array, parameters: Array) -> Array:
    from scipy.special import ndtr, ndtri

    rho = parameters[0]
    return ndtr((ndtri(u) - rho * ndtri(v)) / math.sqrt(1.0 - rho * rho))


def _t_density(u: Array, v: Array, parameters: Array) -> Array:
    from scipy.special import gammaln, stdtrit

    rho, nu = parameters
    x, y, rest = stdtrit(nu, u), stdtrit(nu, v), 1.0 - rho * rho
    quadratic = (x * x + y * y - 2.0 * rho * x * y) / rest
    constant = gammaln(nu / 2 + 1) + gammaln(nu / 2) - 2.0 * gammaln((nu + 1) / 2)
    return (
        constant
        - 0.5 * math.log(rest)
        - (nu / 2 + 1) * np.log1p(quadratic / nu)
        + (nu + 1) / 2 * (np.log1p(x * x / nu) + np.log1p(y * y / nu))
    )


def _t_conditional(u: Array, v: Array, parameters: Array) -> Array:
    from scipy.special import stdtr, stdtrit

    rho, nu = parameters
    x, y = stdtrit(nu, u), stdtrit(nu, v)
    scale = np.sqrt((nu + y * y) * (1.0 - rho * rho) / (nu + 1.0))
    return stdtr(nu + 1.0, (x - rho * y) / scale)


def _t_tails(parameters: Array) -> tuple[float, float]:
    from scipy.special import stdtr

    rho, nu = parameters
    tail = 2.0 * float(stdtr(nu + 1, -math.sqrt((nu + 1) * (1 - rho) / (1 + rho))))
    return tail, tail


def _clayton_log_sum(u: Array, v: Array, theta: float) -> Array:
    """ln(u^−θ + v^−θ − 1), without overflow."""
    a, b = -theta * np.log(u), -theta * np.log(v)
    top = np.maximum(a, b)
    return top + np.log(np.exp(a - top) + np.exp(b - top) - np.exp(-top))


def _clayton_density(u: Array, v: Array, parameters: Array) -> Array:
    theta = parameters[0]
    log_sum = _clayton_log_sum(u, v, theta)
    return math.log1p(theta) - (theta + 1) * (np.log(u) + np.log(v)) - (2 + 1 / theta) * log_sum


def _clayton_conditional(u: Array, v: Array, parameters: Array) -> Array:
    theta = parameters[0]
    return np.exp(-(theta + 1) * np.log(v) - (1 + 1 / theta) * _clayton_log_sum(u, v, theta))


def _gumbel_parts(u: Array, v: Array, theta: float) -> tuple[Array, Array, Array]:
    """(ln(−ln u), ln(−ln v), ln of the sum of the θ-th powers of −ln u and −ln v)."""
    a, b = np.log(-np.log(u)), np.log(-np.log(v))
    return a, b, np.logaddexp(theta * a, theta * b)


def _gumbel_density(u: Array, v: Array, parameters: Array) -> Array:
    theta = parameters[0]
    a, b, log_sum = _gumbel_parts(u, v, theta)
    root = np.exp(log_sum / theta)
    return (
        -root
        - np.log(u)
        - np.log(v)
        + (theta - 1) * (a + b)
        + (1 / theta - 2) * log_sum
        + np.log(root + theta - 1)
    )


def _gumbel_conditional(u: Array, v: Array, parameters: Array) -> Array:
    theta = parameters[0]
    _, b, log_sum = _gumbel_parts(u, v, theta)
    return np.exp(
        -np.exp(log_sum / theta) - np.log(v) + (theta - 1) * b + (1 / theta - 1) * log_sum
    )


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


FAMILIES: dict[str, Family] = {
    "gaussian": Family(
        names=("rho",),
        log_density=_gaussian_density,
        conditional=_gaussian_conditional,
        tails=lambda _: (0.0, 0.0),
        start=lambda tau: (_within(math.sin(math.pi * tau / 2), -0.99, 0.99),),
        bounds=((-0.9999, 0.9999),),
        positive_only=False,
    ),
    "t": Family(
        names=("rho", "nu"),
        log_density=_t_density,
        conditional=_t_conditional,
        tails=_t_tails,
        start=lambda tau: (_within(math.sin(math.pi * tau / 2), -0.99, 0.99), 6.0),
        bounds=((-0.9999, 0.9999), (1.0, 100.0)),
        positive_only=False,
    ),
    "clayton": Family(
        names=("theta",),
        log_density=_clayton_density,
        conditional=_clayton_conditional,
        tails=lambda p: (2.0 ** (-1.0 / float(p[0])), 0.0),
        start=lambda tau: (_within(2 * tau / (1 - tau), 0.05, 40.0),),
        bounds=((1e-4, 100.0),),
        positive_only=True,
    ),
    "gumbel": Family(
        names=("theta",),
        log_density=_gumbel_density,
        conditional=_gumbel_conditional,
        tails=lambda p: (0.0, 2.0 - 2.0 ** (1.0 / float(p[0]))),
        start=lambda tau: (_within(1 / (1 - tau), 1.02, 20.0),),
        bounds=((1.0 + 1e-6, 60.0),),
        positive_only=True,
    ),
}
