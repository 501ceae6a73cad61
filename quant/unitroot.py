"""Does a series wander or come back? ADF, KPSS, Phillips–Perron and the variance ratio.

ADF, Phillips–Perron and the variance ratio assume *no* mean reversion until it is shown; KPSS
assumes stationarity until it is refuted. A small p-value therefore means opposite things.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import BadInput
from quant import mackinnon
from quant.alignment import clean_series, require_varying
from quant.results import TestResult

Array = NDArray[np.float64]

MIN_OBSERVATIONS = 20
LEVEL = 0.05
# Two-sided points of the normal distribution.
NORMAL_POINTS = {"1%": 2.5758293035489004, "5%": 1.959963984540054, "10%": 1.6448536269514722}
TREND_TERMS = {"n": 0, "c": 1, "ct": 2, "ctt": 3}
CRITERIA = {None: 0, "aic": 1, "bic": 2, "t-stat": 3}
_TREND_WORDS = {
    "n": "around zero",
    "c": "around a constant mean",
    "ct": "around a linear trend",
    "ctt": "around a quadratic trend",
}


@dataclass(frozen=True, kw_only=True)
class UnitRootResult(TestResult):
    """A :class:`TestResult` of one series.

    Attributes
    ----------
    trend : str
        Deterministic terms allowed for: "n", "c", "ct" or "ctt".
    autolag : str or None
        How the lag was chosen.
    criterion : float
        Value of the information criterion at the lag used; NaN where there is none.
    coefficient : float
        Pull of the lagged level on the next change, per candle; NaN where not estimated.
    """

    trend: str = "c"
    autolag: str | None = None
    criterion: float = math.nan
    coefficient: float = math.nan


@dataclass(frozen=True, kw_only=True)
class VarianceRatioResult(TestResult):
    """A :class:`TestResult` with the ratio itself.

    Attributes
    ----------
    ratio : float
        Variance of `used_lag`-candle changes over `used_lag` times that of one-candle changes:
        below 1 the series reverts, above 1 it trends.
    """

    ratio: float


def schwert_lag(n: int) -> int:
    """Longest lag by Schwert's rule, ⌈12 (n / 100)^¼⌉."""
    return int(math.ceil(12.0 * math.pow(n / 100.0, 0.25)))


def known(value: Any, allowed: Any, name: str) -> Any:
    """`value`, lower case, where it is one of `allowed`; else a sentence that lists them."""
    chosen = value.lower() if isinstance(value, str) else value
    if chosen not in allowed:
        raise BadInput(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}.")
    return chosen


def longest_lag(n: int, trend: str, max_lag: int | None) -> int:
    """`max_lag`, checked against `n` observations, or Schwert's rule capped by them.

    Raises
    ------
    BadInput
        Where a lag was asked for that the data cannot carry.
    """
    allowed = n // 2 - TREND_TERMS[trend] - 1
    if max_lag is None:
        return min(allowed, schwert_lag(n))
    if not 0 <= max_lag <= allowed:
        raise BadInput(f"max_lag is {max_lag}; {n} observations allow 0 to {allowed}.")
    return int(max_lag)


def adf_test(
    series: Any,
    trend: str = "c",
    autolag: str | None = "aic",
    max_lag: int | None = None,
) -> UnitRootResult:
    """Augmented Dickey–Fuller test; the null is a unit root (no stationarity).

    Parameters
    ----------
    series : Series or array, shape (n,)
        In time order, any unit. NaN are dropped. At least 20 values.
    trend : {"c", "n", "ct", "ctt"}
        Deterministic terms in the regression.
    autolag : {"aic", "bic", "t-stat", None}
        How the lag is chosen among 0 … `max_lag`, on their common sample; None takes `max_lag`.
    max_lag : int, optional
        Default ⌈12 (n / 100)^¼⌉ (Schwert 1989).

    Returns
    -------
    UnitRootResult
        The p-value is MacKinnon's (1994), the critical values those of his 2010 paper.

    Raises
    ------
    InsufficientData
        Below 20 values.
    BadInput
        A constant series, or one its own past explains without error.

    References
    ----------
    Said, S. E., Dickey, D. A. (1984). Testing for unit roots in ARMA models of unknown order.
    Biometrika 71(3), eq. 2.4.
    """
    from kernels import unitroot as kernel

    trend = known(trend, TREND_TERMS, "trend")
    autolag = known(autolag, CRITERIA, "autolag")
    values = clean_series(series, "the ADF test", MIN_OBSERVATIONS).values
    require_varying(values, "the ADF test", "the series")
    lag = longest_lag(len(values), trend, max_lag)
    n_trend = TREND_TERMS[trend]
    # A constant in the regression takes any shift; removing it first saves digits.
    centred = values - values.mean() if n_trend else values
    t, used, n_obs, criterion, slope = kernel.adf(centred, n_trend, lag, CRITERIA[autolag])
    if math.isnan(t):
        raise BadInput(
            f"the ADF test found a series of {len(values)} values that its own past explains "
            "without error; there is nothing random in it to test."
        )
    p = mackinnon.pvalue(t, trend)
    where = _TREND_WORDS[trend]
    verdict = (
        f"Stationary {where}: the unit root is rejected at the 5 % level (p = {p:.3g})."
        if p < LEVEL
        else f"No evidence of stationarity {where}: a unit root is not rejected (p = {p:.3g})."
    )
    return UnitRootResult(
        name="Augmented Dickey–Fuller",
        statistic=t,
        pvalue=p,
        critical_values=mackinnon.critical_values(trend, 1, n_obs),
        used_lag=int(used),
        n_obs=int(n_obs),
        null_hypothesis="The series has a unit root: it wanders and is not stationary.",
        verdict=verdict,
        trend=trend,
        autolag=autolag,
        criterion=criterion,
        coefficient=slope,
    )


# Kwiatkowski et al. (1992), table 1: p-values and the statistic at each.
_KPSS_P = (0.10, 0.05, 0.025, 0.01)
_KPSS_POINTS = {"c": (0.347, 0.463, 0.574, 0.739), "ct": (0.119, 0.146, 0.176, 0.216)}


def kpss_test(series: Any, trend: str = "c", lags: int | str = "auto") -> UnitRootResult:
    """KPSS test; the null is stationarity (the opposite of ADF's).

    Parameters
    ----------
    series : Series or array, shape (n,)
        In time order. NaN are dropped. At least 20 values.
    trend : {"c", "ct"}
        Stationary around a constant or a linear trend.
    lags : int or {"auto", "legacy"}
        Bandwidth of the Bartlett long-run variance: Hobijn et al.'s rule, or
        ⌈12 (n / 100)^¼⌉, or a number.

    Returns
    -------
    UnitRootResult
        The p-value is interpolated in the published table, which ends at 0.01 and 0.10: outside
        it is the table's end, and `notes` says so.

    References
    ----------
    Kwiatkowski, D., Phillips, P. C. B., Schmidt, P., Shin, Y. (1992). Testing the null hypothesis
    of stationarity against the alternative of a unit root. Journal of Econometrics 54, eq. 11.
    Hobijn, B., Franses, P. H., Ooms, M. (2004). Generalizations of the KPSS-test for
    stationarity. Statistica Neerlandica 58(4).
    """
    trend = known(trend, _KPSS_POINTS, "trend")
    values = clean_series(series, "the KPSS test", MIN_OBSERVATIONS).values
    require_varying(values, "the KPSS test", "the series")
    residuals = _detrended(values, trend)
    n = len(residuals)
    if residuals @ residuals <= 1e-24 * (values @ values):
        raise BadInput(f"the KPSS test found {n} values exactly on their trend; nothing is left.")
    bandwidth = _kpss_bandwidth(residuals, lags)
    variance = long_run_variance(residuals, bandwidth)
    statistic = float(np.sum(np.cumsum(residuals) ** 2) / (n * n * variance))
    points = _KPSS_POINTS[trend]
    p = float(np.interp(statistic, points, _KPSS_P))
    notes: tuple[str, ...] = ()
    if statistic > points[-1]:
        notes = ("The p-value is below 0.01, where the published table ends.",)
    elif statistic < points[0]:
        notes = ("The p-value is above 0.10, where the published table ends.",)
    where = _TREND_WORDS[trend]
    return UnitRootResult(
        name="KPSS",
        statistic=statistic,
        pvalue=p,
        critical_values=dict(zip(("10%", "5%", "2.5%", "1%"), points, strict=True)),
        used_lag=bandwidth,
        n_obs=n,
        null_hypothesis=f"The series is stationary {where}.",
        verdict=(
            f"Not stationary {where}: stationarity is rejected at the 5 % level (p = {p:.3g})."
            if p < LEVEL
            else f"Compatible with stationarity {where}: it is not rejected (p = {p:.3g})."
        ),
        notes=notes,
        trend=trend,
        autolag=lags if isinstance(lags, str) else None,
    )


def _detrended(values: Array, trend: str) -> Array:
    """`values` less their mean, or less their line in time."""
    centred = values - values.mean()
    if trend == "c":
        return centred
    time = np.arange(len(values), dtype=np.float64)
    time -= time.mean()
    return centred - time * (time @ centred / (time @ time))


def _kpss_bandwidth(residuals: Array, lags: int | str) -> int:
    n = len(residuals)
    if lags == "legacy":
        return min(schwert_lag(n), n - 1)
    if lags == "auto":
        pilot = int(n ** (2.0 / 9.0))
        s0, s1 = float(residuals @ residuals) / n, 0.0
        for lag in range(1, pilot + 1):
            covariance = 2.0 * float(residuals[lag:] @ residuals[:-lag]) / n
            s0 += covariance
            s1 += lag * covariance
        gamma = 1.1447 * ((s1 / s0) ** 2) ** (1.0 / 3.0)
        return min(int(gamma * n ** (1.0 / 3.0)), n - 1)
    if isinstance(lags, str) or not 0 <= lags < n:
        raise BadInput(f"lags is {lags!r}; allowed are 'auto', 'legacy' or 0 to {n - 1}.")
    return int(lags)


def long_run_variance(residuals: Array, bandwidth: int) -> float:
    """Newey–West long-run variance with Bartlett weights 1 − j / (bandwidth + 1).

    References
    ----------
    Newey, W. K., West, K. D. (1987). Econometrica 55(3), eq. 5.
    """
    n = len(residuals)
    total = float(residuals @ residuals)
    for lag in range(1, bandwidth + 1):
        weight = 1.0 - lag / (bandwidth + 1.0)
        total += 2.0 * weight * float(residuals[lag:] @ residuals[:-lag])
    return total / n


def phillips_perron(series: Any, trend: str = "c", lags: int | None = None) -> UnitRootResult:
    """Phillips–Perron Z-tau test; the null is a unit root (no stationarity).

    The Dickey–Fuller regression without lags, its t corrected for autocorrelation with a
    Newey–West long-run variance.

    Parameters
    ----------
    series : Series or array, shape (n,)
        In time order. NaN are dropped. At least 20 values.
    trend : {"c", "n", "ct"}
    lags : int, optional
        Bandwidth; default ⌈12 (n / 100)^¼⌉.

    References
    ----------
    Phillips, P. C. B., Perron, P. (1988). Testing for a unit root in time series regression.
    Biometrika 75(2), Z(t) of table 1. Hamilton, J. D. (1994). Time Series Analysis, eq. 17.6.12.
    """
    trend = known(trend, ("c", "n", "ct"), "trend")
    what = "the Phillips–Perron test"
    values = clean_series(series, what, MIN_OBSERVATIONS).values
    require_varying(values, what, "the series")
    n = len(values) - 1
    bandwidth = schwert_lag(len(values)) if lags is None else int(lags)
    if not 0 <= bandwidth < n:
        raise BadInput(f"lags is {bandwidth}; {len(values)} observations allow 0 to {n - 1}.")
    level = values - values.mean() if trend != "n" else values
    before, after = level[:-1], level[1:]
    if trend != "n":
        before, after = _detrended(before, trend), _detrended(after, trend)
    before_square = before @ before
    change = after - before
    slope = (before @ change) / before_square
    residuals = change - slope * before
    free = n - TREND_TERMS[trend] - 1
    ssr = residuals @ residuals
    if ssr <= 1e-24 * (level @ level):
        raise BadInput(f"{what} found {len(values)} values without anything random in them.")
    variance, short = ssr / free, ssr / n
    long = long_run_variance(residuals, bandwidth)
    slope_se = math.sqrt(variance / before_square)
    correction = 0.5 * (long - short) / math.sqrt(long) * n * slope_se / math.sqrt(variance)
    t = float(math.sqrt(short / long) * slope / slope_se - correction)
    p = mackinnon.pvalue(t, trend)
    where = _TREND_WORDS[trend]
    return UnitRootResult(
        name="Phillips–Perron",
        statistic=t,
        pvalue=p,
        critical_values=mackinnon.critical_values(trend, 1, n),
        used_lag=bandwidth,
        n_obs=n,
        null_hypothesis="The series has a unit root: it wanders and is not stationary.",
        verdict=(
            f"Stationary {where}: the unit root is rejected at the 5 % level (p = {p:.3g})."
            if p < LEVEL
            else f"No evidence of stationarity {where}: a unit root is not rejected (p = {p:.3g})."
        ),
        trend=trend,
        coefficient=float(slope),
    )


def variance_ratio(series: Any, lag: int = 2, robust: bool = True) -> VarianceRatioResult:
    """Lo–MacKinlay variance ratio test; the null is a random walk with drift.

    Overlapping changes, both variances unbiased.

    Parameters
    ----------
    series : Series or array, shape (n,)
        Levels (a spread or log prices), in time order. NaN are dropped.
    lag : int
        Candles of the longer change, at least 2.
    robust : bool
        Allow for changing volatility (Lo & MacKinlay's z*), otherwise assume it constant.

    Returns
    -------
    VarianceRatioResult
        Two-sided p-value. `used_lag` is `lag`.

    References
    ----------
    Lo, A. W., MacKinlay, A. C. (1988). Stock market prices do not follow random walks. Review of
    Financial Studies 1(1), eqs. 12–20.
    """
    if lag < 2:
        raise BadInput(f"lag is {lag}; the variance ratio compares 2 or more candles with one.")
    what = "the variance ratio test"
    values = clean_series(series, what, max(MIN_OBSERVATIONS, 2 * lag + 2)).values
    require_varying(values, what, "the series")
    n = len(values) - 1
    drift = (values[-1] - values[0]) / n
    changes = np.diff(values) - drift
    long_changes = values[lag:] - values[:-lag] - lag * drift
    squares = changes * changes
    total = squares.sum()
    if total <= 1e-24 * (values @ values):
        raise BadInput(f"{what} found {len(values)} values on a straight line; nothing varies.")
    one = total / (n - 1)
    many = (long_changes @ long_changes) / (lag * (n - lag + 1) * (1 - lag / n))
    if robust:
        variance = 0.0
        for j in range(1, lag):
            delta = n * (squares[j:] @ squares[:-j]) / (total * total)
            variance += 4.0 * (1.0 - j / lag) ** 2 * delta
    else:
        variance = 2.0 * (2 * lag - 1) * (lag - 1) / (3.0 * lag)
    ratio = float(many / one)
    z = math.sqrt(n) * (ratio - 1.0) / math.sqrt(variance)
    p = math.erfc(abs(z) / math.sqrt(2.0))
    if p >= LEVEL:
        verdict = f"Compatible with a random walk (ratio {ratio:.3f}, p = {p:.3g})."
    else:
        kind = "Mean-reverting" if ratio < 1 else "Trending"
        verdict = (
            f"{kind}: the random walk is rejected at the 5 % level "
            f"(ratio {ratio:.3f}, p = {p:.3g})."
        )
    return VarianceRatioResult(
        name="Variance ratio",
        statistic=z,
        pvalue=p,
        critical_values=dict(NORMAL_POINTS),
        used_lag=lag,
        n_obs=n,
        null_hypothesis="The series is a random walk: its changes are uncorrelated.",
        verdict=verdict,
        ratio=ratio,
    )
