"""The stationary bootstrap's loop."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def resampled_moments(rng: Any, returns: Any, logs: Any, block: Any, out: Any) -> None:
    """Mean, mean of squares and Σ log(1 + r) of stationary-bootstrap samples.

    Parameters
    ----------
    rng : numpy.random.Generator
    returns, logs : (n,) float64
        Simple returns and log(1 + r).
    block : float
        Mean block length; a block goes on with probability 1 − 1 / block, around the end.
    out : (samples, 3) float64
        Written.
    """
    n = returns.size
    new = 1.0 / block
    for k in range(out.shape[0]):
        total = 0.0
        squares = 0.0
        growth = 0.0
        at = 0
        for j in range(n):
            if j == 0 or rng.random() < new:
                at = int(rng.random() * n)
            else:
                at += 1
                if at == n:
                    at = 0
            r = returns[at]
            total += r
            squares += r * r
            growth += logs[at]
        out[k, 0] = total / n
        out[k, 1] = squares / n
        out[k, 2] = growth
