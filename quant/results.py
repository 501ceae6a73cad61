"""What the analytics return: frozen results with named fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

import pandas as pd

# Calls a function with each tuple of arguments, wherever it likes; results in the order of these.
Run = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Sequence[Any]]


class Interval(NamedTuple):
    """A closed interval; an unbounded side is ``inf``, an unknown one NaN."""

    low: float
    high: float

    def covers(self, value: float) -> bool:
        """True where `value` lies in the interval, its ends included."""
        return self.low <= value <= self.high


class ResultMapping(Mapping[str, Any]):
    """Lets a dataclass be read as a mapping of its fields too: ``result["statistic"]``."""

    def __getitem__(self, key: str) -> Any:
        if key not in self._names():
            raise KeyError(f"no field {key!r}; there are {', '.join(self._names())}")
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> tuple[str, ...]:
        return tuple(item.name for item in fields(self))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class TestResult(ResultMapping):
    """The outcome of one statistical test.

    Attributes
    ----------
    statistic : float
        The test's statistic.
    pvalue : float
        Probability of a statistic at least as extreme under the null; NaN where none is known.
    critical_values : Mapping[str, float]
        By level, ``{"1%": …, "5%": …, "10%": …}``.
    used_lag : int
        Lags in the regression, or the bandwidth of the long-run variance.
    n_obs : int
        Observations that entered the regression, after lags were taken off.
    null_hypothesis : str
        What is assumed true until rejected.
    verdict : str
        The conclusion as a sentence, at the 5 % level.
    name : str
        The test's name.
    notes : tuple of str
        What a reader should know besides, one sentence each.
    """

    # pytest collects classes whose names begin with Test unless told otherwise
    __test__: ClassVar[bool] = False

    statistic: float
    pvalue: float
    critical_values: Mapping[str, float]
    used_lag: int
    n_obs: int
    null_hypothesis: str
    verdict: str
    name: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HedgeFit(ResultMapping):
    """A constant hedge ratio of price1 on price2 and how sure it is.

    Attributes
    ----------
    ratio, intercept : float
        price1 ≈ ratio · price2 + intercept; with `log_prices` the same of the logarithms.
    ratio_se, intercept_se : float
        Standard errors, of the kind `errors` names; NaN where too little data (see `notes`).
    ratio_interval, intercept_interval : Interval
        Intervals at `confidence`.
    long_run_ratio, long_run_intercept : float
        What the standard errors and intervals are about. For ``errors="long_run"`` the estimate
        freed of the regression's endogeneity, otherwise the same as `ratio` and `intercept`.
    confidence : float
        Coverage of the intervals, a fraction.
    errors : str
        ``"long_run"``, ``"bootstrap"`` or ``"iid"``.
    r_squared : float
        1 − residual / total sum of squares, of price1 (or its logarithm).
    residuals : pandas.Series
        The spread in sample, on the common index.
    method : str
        The estimator.
    n : int
        Pairs of observations used.
    dropped : int
        Rows left out: not in both series, or NaN.
    log_prices : bool
        Whether logarithms were regressed.
    notes : tuple of str
        What a reader should know besides.
    """

    ratio: float
    intercept: float
    ratio_se: float
    intercept_se: float
    ratio_interval: Interval
    intercept_interval: Interval
    long_run_ratio: float
    long_run_intercept: float
    confidence: float
    errors: str
    r_squared: float
    residuals: pd.Series
    method: str
    n: int
    dropped: int = 0
    log_prices: bool = False
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class HedgePath(ResultMapping):
    """A hedge ratio that moves in time (``rolling_ols`` or ``kalman``).

    Attributes
    ----------
    ratio, intercept : pandas.Series
        What :meth:`Analytics.calculate_hedge_ratio` returns: for ``kalman`` the prior state,
        for ``rolling_ols`` the window that ends with the candle.
    ratio_prior, intercept_prior : pandas.Series
        Known before the candle's prices were: trade on these. NaN where nothing is known yet.
    ratio_posterior, intercept_posterior : pandas.Series
        With the candle's own prices taken into account.
    ratio_se, intercept_se : pandas.Series
        Standard errors of the posterior.
    residuals : pandas.Series
        Innovations: price1 less what the prior state says of it.
    residual_variance : pandas.Series
        Variance of the innovations according to the filter; NaN for ``rolling_ols``.
    r_squared : float
        1 − sum of squared innovations / total sum of squares, where both are defined.
    method : str
    n : int
        Pairs of observations used.
    dropped : int
        Rows left out: not in both series, or NaN.
    log_prices : bool
    notes : tuple of str
    """

    ratio: pd.Series
    intercept: pd.Series
    ratio_prior: pd.Series
    intercept_prior: pd.Series
    ratio_posterior: pd.Series
    intercept_posterior: pd.Series
    ratio_se: pd.Series
    intercept_se: pd.Series
    residuals: pd.Series
    residual_variance: pd.Series
    r_squared: float
    method: str
    n: int
    dropped: int = 0
    log_prices: bool = False
    notes: tuple[str, ...] = ()


class Bands(NamedTuple):
    """Bollinger bands, on the prices' index and in their unit."""

    upper: pd.Series
    middle: pd.Series
    lower: pd.Series
