"""Hedge ratios that move in time: rolling least squares and the Kalman filter."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput, InsufficientData
from quant.alignment import AlignedPair
from quant.results import HedgePath

Floats = NDArray[np.float64]


def rolling_ols(pair: AlignedPair, log_prices: bool, window: int = 60) -> HedgePath:
    """Least squares over the last `window` candles.

    The posterior of a candle is of the window that ends with it, its prior of the one that ended
    before it. NaN in warm-up and where price2 does not vary in the window.

    Raises
    ------
    BadInput
        Where `window` is below 3.
    InsufficientData
        Where there are fewer pairs than one window.
    """
    from kernels import rolling_pair as kernel

    if window < 3:
        raise BadInput(f"rolling_ols needs a window of at least 3 candles, found {window}.")
    if len(pair.y) < window:
        raise InsufficientData(f"rolling_ols with a window of {window}", window, len(pair.y))
    my, mx, syy, sxx, sxy = kernel.rolling_pair_moments(pair.y, pair.x, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        sxx = np.where(sxx > 0, sxx, np.nan)
        slope = sxy / sxx
        intercept = my - slope * mx
        variance = np.maximum(syy - slope * sxy, 0.0) / (window - 2)
        slope_se = np.sqrt(variance / sxx)
        intercept_se = np.sqrt(variance * (1 / window + mx**2 / sxx))
    prior = np.vstack([_shifted(slope), _shifted(intercept)])
    return _path(
        pair,
        log_prices,
        "rolling_ols",
        shown=np.vstack([slope, intercept]),
        prior=prior,
        posterior=np.vstack([slope, intercept]),
        errors=np.vstack([slope_se, intercept_se]),
        residuals=pair.y - prior[0] * pair.x - prior[1],
        residual_variance=np.full(len(slope), np.nan),
        notes=("Standard errors take the residuals of a window for independent.",),
    )


def kalman(
    pair: AlignedPair,
    log_prices: bool,
    delta: float = 1e-6,
    observation_variance: float = 1e-3,
    initial_variance: float = 1e6,
    normalise: bool = True,
) -> HedgePath:
    """The filter of price1 = ratio·price2 + intercept, both of them random walks.

    Parameters
    ----------
    pair : AlignedPair
    log_prices : bool
        Recorded in the result.
    delta : float
        The state's variance per candle is delta / (1 − delta); 0 holds the state constant and
        makes the posterior that of recursive least squares.
    observation_variance : float
        Variance of price1 about the relation. Only its quotient with the state's variance moves
        the ratio; on its own it scales the errors.
    initial_variance : float
        Variance of ratio and intercept before the first candle, about 0: large, so as to say
        nothing.
    normalise : bool
        Measure each price in units of its own first value, so that the variances mean the same for
        every pair and nothing depends on the unit of a price. False takes them as they are.

    Notes
    -----
    The prior of a candle uses earlier candles alone and is NaN at the first. With log prices the
    unit is 1 in either case.

    References
    ----------
    Kalman (1960), A new approach to linear filtering and prediction problems; the model is that of
    Chan (2013), Algorithmic Trading, eqs. 3.5 to 3.12.
    """
    from kernels import regression as kernel

    if not 0 <= delta < 1:
        raise BadInput(f"kalman needs a delta from 0 to below 1, found {delta}.")
    if not (observation_variance > 0 and initial_variance > 0):
        raise BadInput(
            "kalman needs variances above 0, found observation_variance "
            f"{observation_variance} and initial_variance {initial_variance}."
        )
    plain = log_prices or not normalise
    uy = 1.0 if plain else abs(pair.y[0]) or 1.0
    ux = 1.0 if plain else abs(pair.x[0]) or 1.0
    noise = delta / (1 - delta)
    out = kernel.kalman(
        pair.y / uy, pair.x / ux, noise, noise, observation_variance, initial_variance
    )
    unit = np.array([[uy / ux], [uy]])
    prior = out[0:2] * unit
    prior[:, 0] = np.nan
    innovations, variance = out[4] * uy, out[5] * uy**2
    innovations[0] = variance[0] = np.nan
    return _path(
        pair,
        log_prices,
        "kalman",
        shown=prior,
        prior=prior,
        posterior=out[2:4] * unit,
        errors=np.sqrt(np.maximum(out[[6, 8]], 0.0)) * unit,
        residuals=innovations,
        residual_variance=variance,
        notes=("Errors are the filter's own: right if its two variances are.",),
    )


def _path(
    pair: AlignedPair,
    log_prices: bool,
    method: str,
    *,
    shown: Floats,
    prior: Floats,
    posterior: Floats,
    errors: Floats,
    residuals: Floats,
    residual_variance: Floats,
    notes: tuple[str, ...],
) -> HedgePath:
    def series(values: Floats, name: str) -> pd.Series:
        return pd.Series(values, index=pair.index, name=name)

    defined = ~np.isnan(residuals)
    r_squared = float("nan")
    if defined.any():
        y = pair.y[defined]
        total = float(((y - y.mean()) ** 2).sum())
        if total > 0:
            r_squared = 1.0 - float((residuals[defined] ** 2).sum()) / total
    return HedgePath(
        ratio=series(shown[0], "ratio"),
        intercept=series(shown[1], "intercept"),
        ratio_prior=series(prior[0], "ratio"),
        intercept_prior=series(prior[1], "intercept"),
        ratio_posterior=series(posterior[0], "ratio"),
        intercept_posterior=series(posterior[1], "intercept"),
        ratio_se=series(errors[0], "ratio_se"),
        intercept_se=series(errors[1], "intercept_se"),
        residuals=series(residuals, "residual"),
        residual_variance=series(residual_variance, "residual_variance"),
        r_squared=r_squared,
        method=method,
        n=len(pair.y),
        dropped=pair.dropped,
        log_prices=log_prices,
        notes=notes,
    )


def _shifted(values: Floats) -> Floats:
    out = np.empty_like(values)
    out[0], out[1:] = np.nan, values[:-1]
    return out
