"""Has the relation changed? CUSUM of a spread's mean, and Chow's test at every candle.

The null of both is that nothing changed. A spread is autocorrelated, for which the textbook tables
do not allow: the CUSUM is scaled by a long-run variance, and Chow's largest F is compared with
those of simulated spreads of the same persistence on the very same price2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput
from quant.alignment import align_pair, clean_series, require_not_collinear, require_varying
from quant.results import TestResult
from quant.unitroot import LEVEL

Array = NDArray[np.float64]

MIN_ROWS = 60

# Kolmogorov's distribution of the largest excursion of a Brownian bridge.
_BRIDGE = {"1%": 1.6276236115189503, "5%": 1.3580986393225505, "10%": 1.2238478702170823}


@dataclass(frozen=True, kw_only=True)
class CusumResult(TestResult):
    """A :class:`TestResult` with the path behind it.

    Attributes
    ----------
    path : pandas.Series
        Running sum of deviations from the mean, in units of its long-run standard deviation.
    bound : float
        The path leaves ± `bound` with a probability of 5 % where nothing changed.
    break_at : Any
        Index label at which the path is farthest out: the likeliest time of a change.
    """

    path: pd.Series
    bound: float
    break_at: Any


@dataclass(frozen=True, kw_only=True)
class ChowResult(TestResult):
    """A :class:`TestResult` with the F of every candle.

    Attributes
    ----------
    path : pandas.Series
        F of a change in ratio and intercept from that candle on; the trimmed ends are left out.
    break_at : Any
        Index label of the largest F: the first candle of the likeliest new regime.
    ratio_before, ratio_after : float
        Hedge ratio on either side of it.
    draws : int
        Simulated spreads behind p-value and critical values.
    """

    path: pd.Series
    break_at: Any
    ratio_before: float
    ratio_after: float
    draws: int


def _prewhitened_variance(deviations: Array) -> float:
    """Long-run variance by an AR(1) filter: that of the shocks over (1 − ρ)².

    ρ is corrected for its bias and capped at 0.97, beyond which a sample's mean says nothing.

    References
    ----------
    Andrews, D. W. K., Monahan, J. C. (1992). An improved heteroskedasticity and autocorrelation
    consistent covariance matrix estimator. Econometrica 60(4), eq. 2.2.
    """
    n = len(deviations)
    before, after = deviations[:-1], deviations[1:]
    rho = float(before @ after / (before @ before))
    shocks = after - rho * before
    rho = min((n * rho + 1.0) / (n - 3.0), 0.97)
    return float(shocks @ shocks / (n - 1)) / (1.0 - rho) ** 2


def cusum_test(series: Any) -> CusumResult:
    """OLS-CUSUM test of a series' mean; the null is a constant mean.

    Parameters
    ----------
    series : Series or array, shape (n,)
        A spread, in time order. NaN are dropped. At least 60 values.

    References
    ----------
    Ploberger, W., Krämer, W. (1992). The CUSUM test with OLS residuals. Econometrica 60(2),
    eq. 9; the limit is the largest excursion of a Brownian bridge.
    """
    from scipy.special import kolmogorov

    what = "the CUSUM test"
    clean = clean_series(series, what, MIN_ROWS)
    require_varying(clean.values, what, "the series")
    deviations = clean.values - clean.values.mean()
    variance = _prewhitened_variance(deviations)
    if not variance > 1e-24 * (deviations @ deviations):
        raise BadInput(f"{what} found {len(deviations)} values without anything random in them.")
    n = len(deviations)
    path = np.cumsum(deviations) / math.sqrt(n * variance)
    farthest = int(np.argmax(np.abs(path)))
    statistic = float(abs(path[farthest]))
    p = float(kolmogorov(statistic))
    break_at = clean.index[farthest]
    return CusumResult(
        name="CUSUM",
        statistic=statistic,
        pvalue=p,
        critical_values=dict(_BRIDGE),
        used_lag=1,
        n_obs=n,
        null_hypothesis="The mean of the series did not change.",
        verdict=(
            f"The mean changed: stability is rejected at the 5 % level (p = {p:.3g}), "
            f"most likely around {break_at}."
            if p < LEVEL
            else f"No evidence of a change of the mean (p = {p:.3g})."
        ),
        path=pd.Series(path, index=clean.index, name="cusum"),
        bound=_BRIDGE["5%"],
        break_at=break_at,
    )


def chow_over_time(
    price1: Any, price2: Any, trim: float = 0.15, draws: int = 299, seed: int = 0
) -> ChowResult:
    """Chow's F for a change of hedge ratio or intercept at every candle; the null is no change.

    The largest F is compared with those of `draws` simulated spreads: an AR(1) with the
    bias-corrected persistence and resampled shocks of the fitted spread, around the same price2.

    Parameters
    ----------
    price1, price2 : Series or array
        y and x, joined on their common index. At least 60 rows.
    trim : float
        Share of the rows at either end where no break is looked for, 0.05 to 0.4.
    draws : int
        At least 99.
    seed : int
        Of the simulation; the same seed gives the same p-value.

    References
    ----------
    Chow, G. C. (1960). Tests of equality between sets of coefficients in two linear regressions.
    Econometrica 28(3). Andrews, D. W. K. (1993). Tests for parameter instability and structural
    change with unknown change point. Econometrica 61(4). Bootstrap: Diebold, F. X., Chen, C.
    (1996). Testing structural stability with endogenous breakpoint. Journal of Econometrics 70.
    """
    from kernels.breaks import ar1_path, chow_path

    what = "the Chow test"
    if not 0.05 <= trim <= 0.4:
        raise BadInput(f"trim is {trim}; allowed are 0.05 to 0.4.")
    if draws < 99:
        raise BadInput(f"draws is {draws}; a p-value needs at least 99.")
    pair = align_pair(price1, price2, what, MIN_ROWS)
    require_varying(pair.y, what, "price1")
    require_varying(pair.x, what, "price2")
    require_not_collinear(pair.y, pair.x, what)
    y, x, n = pair.y - pair.y.mean(), pair.x - pair.x.mean(), len(pair.y)
    first, last = max(int(trim * n), 3), n - max(int(trim * n), 3)
    path = np.empty(last - first)
    chow_path(y, x, first, last, path)
    position = first + int(np.argmax(path))
    statistic = float(path.max())
    residual = y - (x @ y / (x @ x)) * x
    rho, shocks = _persistence(residual)
    simulated, spread, largest = np.empty(len(path)), np.empty(n), np.empty(draws)
    rng = np.random.default_rng(seed)
    for draw in range(draws):
        ar1_path(rho, rng.choice(shocks, n), spread)
        chow_path(spread - spread.mean(), x, first, last, simulated)
        largest[draw] = simulated.max()
    p = float((1 + np.count_nonzero(largest >= statistic)) / (draws + 1))
    points = np.quantile(largest, (0.99, 0.95, 0.90)).tolist()
    before, after = (
        np.polyfit(x[part], y[part], 1)[0] for part in (np.s_[:position], np.s_[position:])
    )
    break_at = pair.index[position]
    return ChowResult(
        name="Chow over time",
        statistic=statistic,
        pvalue=p,
        critical_values=dict(zip(("1%", "5%", "10%"), points, strict=True)),
        used_lag=1,
        n_obs=n,
        null_hypothesis="Hedge ratio and intercept were the same over all candles.",
        verdict=(
            f"The relation changed: stability is rejected at the 5 % level (p = {p:.3g}); most "
            f"likely at {break_at}, from a ratio of {before:.4g} to {after:.4g}."
            if p < LEVEL
            else f"No evidence of a change of ratio or intercept (p = {p:.3g})."
        ),
        path=pd.Series(path, index=pair.index[first:last], name="F"),
        break_at=break_at,
        ratio_before=float(before),
        ratio_after=float(after),
        draws=draws,
    )


def _persistence(residual: Array) -> tuple[float, Array]:
    """(ρ with the bias of an estimated hedge ratio taken out, centred shocks)."""
    n = len(residual) - 1
    before, after = residual[:-1], residual[1:]
    rho = float(before @ after / (before @ before))
    shocks = after - rho * before
    corrected = (n * rho + 2.0) / (n - 4.0)
    return min(max(corrected, -0.99), 1.0 - 2.0 / n), shocks - shocks.mean()


def break_date_interval(
    price1: Any,
    price2: Any,
    found: ChowResult,
    confidence: float = 0.95,
    draws: int = 199,
    seed: int = 0,
) -> tuple[Any, Any]:
    """First and last candle between which the break lies, by a bootstrap under the break found.

    Samples are made with both fitted lines, the break where it was found and an AR(1) spread of
    the fitted persistence with resampled shocks; how far the largest F then lies from the break
    is taken for how far it lies now.

    Parameters
    ----------
    price1, price2 : Series or array
        As given to :func:`chow_over_time`.
    found : ChowResult
        What that found.
    confidence : float
        Coverage, below 1. It is that of one break, given that there was one.
    draws : int
        At least 99.

    Returns
    -------
    (first, last)
        Labels of the joined index, both inclusive.

    References
    ----------
    Bai, J. (1997). Estimation of a change point in multiple regression models. Review of Economics
    and Statistics 79(4), for the asymptotic interval that the bootstrap stands in for.
    """
    from kernels.breaks import ar1_path, chow_path

    if draws < 99 or not 0.5 <= confidence < 1.0:
        raise BadInput(
            f"An interval takes 99 draws and a confidence of 0.5 to below 1, found {draws} and "
            f"{confidence}."
        )
    pair = align_pair(price1, price2, "the break's interval", MIN_ROWS)
    n, x = len(pair.y), pair.x - pair.x.mean()
    position = int(pair.index.get_loc(found.break_at))
    first = int(pair.index.get_loc(found.path.index[0]))
    last = first + len(found.path)
    parts = (np.s_[:position], np.s_[position:])
    fitted = np.concatenate([np.polyval(np.polyfit(x[p], pair.y[p], 1), x[p]) for p in parts])
    rho, shocks = _persistence(pair.y - fitted)
    path, spread, errors = np.empty(last - first), np.empty(n), np.empty(draws)
    rng = np.random.default_rng(seed)
    for draw in range(draws):
        ar1_path(rho, rng.choice(shocks, n), spread)
        y = fitted + spread
        chow_path(y - y.mean(), x, first, last, path)
        errors[draw] = first + int(np.argmax(path)) - position
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(errors, (tail, 1.0 - tail))
    ends = (math.floor(position - high), math.ceil(position - low))
    return tuple(pair.index[min(max(end, 0), n - 1)] for end in ends)
