"""Least squares, Huber's estimate, and the Kalman filter of a line.

All take contiguous float64 arrays without NaN and of one length. Slices are copied by loops: one
assignment of a slice costs five seconds of compilation.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from kernels.types import F1, F1W, F2W, Floats, f8, i8


@njit(types.UniTuple(f8, 5)(F1, F1), cache=True, nogil=True, fastmath={"reassoc"})
def moments(y: Floats, x: Floats) -> tuple[float, float, float, float, float]:
    """Means and centred second moments in two passes: my, mx, syy, sxx, sxy."""
    n = len(y)
    y0 = y[0]
    x0 = x[0]
    sy = 0.0
    sx = 0.0
    for i in range(n):
        sy += y[i] - y0
        sx += x[i] - x0
    sy /= n
    sx /= n
    syy = 0.0
    sxx = 0.0
    sxy = 0.0
    for i in range(n):
        b = (y[i] - y0) - sy
        a = (x[i] - x0) - sx
        syy += b * b
        sxx += a * a
        sxy += a * b
    return y0 + sy, x0 + sx, syy, sxx, sxy


# Sums may be reordered, which lets the loop run over vectors.
@njit(
    types.void(F1, F1, f8, f8, f8, f8, F1W),
    cache=True,
    nogil=True,
    error_model="numpy",
    fastmath={"reassoc", "contract", "nsz"},
)
def _huber_sums(
    y: Floats, x: Floats, w: float, c: float, sigma: float, epsilon: float, out: Floats
) -> None:
    """Objective, gradient (3) and Hessian (6) of the Huber objective with its own scale.

    The mask multiplies instead of branching, so that the loop runs over vectors.
    """
    n = len(y)
    f = g_w = g_c = h_ww = h_wc = h_cc = rr = rx = r1 = 0.0
    outside = 0.0
    limit = epsilon * sigma
    for i in range(n):
        r = y[i] - w * x[i] - c
        size = abs(r)
        inside = 1.0 if size < limit else 0.0
        sign = (1.0 - inside) * (1.0 if r > 0 else -1.0)
        outside += 1.0 - inside
        ri = r * inside
        xi = x[i] * inside
        f += (1.0 - inside) * size
        rr += ri * r
        rx += ri * x[i]
        r1 += ri
        g_w += sign * x[i]
        g_c += sign
        h_ww += xi * x[i]
        h_wc += xi
        h_cc += inside
    out[0] = n * sigma + rr / sigma + 2 * epsilon * f - sigma * epsilon * epsilon * outside
    out[1] = -2 * rx / sigma - 2 * epsilon * g_w
    out[2] = -2 * r1 / sigma - 2 * epsilon * g_c
    out[3] = n - rr / (sigma * sigma) - epsilon * epsilon * outside
    out[4] = 2 * h_ww / sigma
    out[5] = 2 * h_wc / sigma
    out[6] = 2 * h_cc / sigma
    out[7] = 2 * rx / (sigma * sigma)
    out[8] = 2 * r1 / (sigma * sigma)
    out[9] = 2 * rr / (sigma * sigma * sigma)


@njit(types.void(F1, F1W), cache=True, nogil=True, error_model="numpy")
def _newton_step(s: Floats, step: Floats) -> None:
    """Solve the 3 × 3 system of the sums by Cramer's rule, after a touch of ridge."""
    ridge = 1e-13 * (s[4] + s[6] + s[9]) + 1e-300
    a, b, c = s[4] + ridge, s[5], s[7]
    d, e, f = s[6] + ridge, s[8], s[9] + ridge
    k00 = d * f - e * e
    k01 = c * e - b * f
    k02 = b * e - c * d
    det = a * k00 + b * k01 + c * k02
    k11 = a * f - c * c
    k12 = b * c - a * e
    k22 = a * d - b * b
    step[0] = -(k00 * s[1] + k01 * s[2] + k02 * s[3]) / det
    step[1] = -(k01 * s[1] + k11 * s[2] + k12 * s[3]) / det
    step[2] = -(k02 * s[1] + k12 * s[2] + k22 * s[3]) / det


@njit(types.UniTuple(f8, 4)(F1, F1, f8, i8), cache=True, nogil=True, error_model="numpy")
def huber(
    y: Floats, x: Floats, epsilon: float, max_iterations: int
) -> tuple[float, float, float, float]:
    """Slope, intercept, scale and iterations of Huber's joint estimate, by damped Newton.

    Minimises n·σ + Σ σ·H(r/σ), H(z) = z² inside ±epsilon and 2·epsilon·|z| − epsilon² outside, over
    slope, intercept and σ (Huber 1981, eq. 7.7; convex). `y` and `x` have to be centred and of unit
    scale. The iterations are −1 where it did not converge.
    """
    n = len(y)
    my, mx, syy, sxx, sxy = moments(y, x)
    w = sxy / sxx
    c = my - w * mx
    ssr = 0.0
    for i in range(n):
        r = y[i] - w * x[i] - c
        ssr += r * r
    if ssr <= 1e-26 * syy:
        return w, c, np.sqrt(ssr / n), 0.0
    sigma = np.sqrt(ssr / n)
    sums = np.empty(10)
    trial = np.empty(10)
    step = np.empty(3)
    _huber_sums(y, x, w, c, sigma, epsilon, sums)
    for iteration in range(max_iterations):
        _newton_step(sums, step)
        slope = step[0] * sums[1] + step[1] * sums[2] + step[2] * sums[3]
        size = 1.0
        if step[2] < 0.0:
            size = min(1.0, -0.9 * sigma / step[2])
        improved = False
        for _ in range(60):
            w1, c1, s1 = w + size * step[0], c + size * step[1], sigma + size * step[2]
            _huber_sums(y, x, w1, c1, s1, epsilon, trial)
            if trial[0] <= sums[0] + 1e-4 * size * slope:
                improved = True
                break
            size *= 0.5
        # near the optimum the objective is flat to rounding; there the full step is right
        if not improved and -slope < 1e-9 * abs(sums[0]):
            return w + step[0], c + step[1], sigma + step[2], iteration + 1.0
        if not improved:
            return w, c, sigma, -1.0
        moved = size * max(abs(step[0]), abs(step[1]), abs(step[2]) / sigma)
        w, c, sigma = w1, c1, s1
        for k in range(10):
            sums[k] = trial[k]
        if moved < 1e-11:
            return w, c, sigma, iteration + 1.0
        if sigma < 1e-14:
            return w, c, sigma, iteration + 1.0
    return w, c, sigma, -1.0


@njit(F2W(F1, F1, f8, f8, f8, f8), cache=True, nogil=True, error_model="numpy")
def kalman(
    y: Floats,
    x: Floats,
    state_noise: float,
    intercept_noise: float,
    observation_variance: float,
    initial_variance: float,
) -> Floats:
    """The filter of y = slope·x + intercept, both random walks.

    Returns
    -------
    array of shape (9, n)
        Prior slope and intercept, posterior slope and intercept, innovation and its variance, and
        the posterior covariance: slope, both, intercept.
    """
    n = len(y)
    out = np.empty((9, n))
    b = 0.0
    a = 0.0
    p00 = initial_variance
    p01 = 0.0
    p11 = initial_variance
    for i in range(n):
        if i > 0:
            p00 += state_noise
            p11 += intercept_noise
        out[0, i] = b
        out[1, i] = a
        innovation = y[i] - b * x[i] - a
        c0 = p00 * x[i] + p01
        c1 = p01 * x[i] + p11
        variance = x[i] * c0 + c1 + observation_variance
        k0 = c0 / variance
        k1 = c1 / variance
        b += k0 * innovation
        a += k1 * innovation
        p00, p01, p11 = p00 - k0 * c0, p01 - k0 * c1, p11 - k1 * c1
        out[2, i] = b
        out[3, i] = a
        out[4, i] = innovation
        out[5, i] = variance
        out[6, i] = p00
        out[7, i] = p01
        out[8, i] = p11
    return out
