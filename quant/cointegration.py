"""Do prices share a common path? Engle–Granger for two series, Johansen for several.

The null of both is *no* cointegration: the spread wanders until it is shown to come back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput
from quant import mackinnon
from quant.alignment import (
    AlignedPair,
    align_pair,
    clean_frame,
    require_not_collinear,
    require_varying,
)
from quant.results import ResultMapping, TestResult
from quant.unitroot import CRITERIA, LEVEL, MIN_OBSERVATIONS, TREND_TERMS, known, longest_lag

Array = NDArray[np.float64]

_EG = "the Engle–Granger test"
_JOHANSEN = "the Johansen test"


@dataclass(frozen=True, kw_only=True)
class EngleGrangerResult(TestResult):
    """A :class:`TestResult` of price1 on price2.

    Attributes
    ----------
    hedge_ratio, intercept : float
        First stage: price1 ≈ hedge_ratio · price2 + intercept (+ trends, where asked for).
        With a trend the intercept is the level at the sample's middle.
    spread : pandas.Series
        First-stage residual, on the common index.
    trend : str
    autolag : str or None
    dropped : int
        Rows left out: not in both series, or NaN.
    """

    hedge_ratio: float
    intercept: float
    spread: pd.Series
    trend: str = "c"
    autolag: str | None = "aic"
    dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class BothDirections(ResultMapping):
    """Engle–Granger of price1 on price2 and of price2 on price1.

    Attributes
    ----------
    forward, reverse : EngleGrangerResult
    pvalue : float
        min(1, twice the smaller p): choosing the better of two tests doubles the chance of a
        false find (Bonferroni).
    verdict : str
    """

    forward: EngleGrangerResult
    reverse: EngleGrangerResult
    pvalue: float
    verdict: str

    @property
    def best(self) -> EngleGrangerResult:
        """The direction with the smaller p-value, price1 on price2 in a tie."""
        return self.forward if self.forward.pvalue <= self.reverse.pvalue else self.reverse


def engle_granger(
    price1: Any,
    price2: Any,
    trend: str = "c",
    autolag: str | None = "aic",
    max_lag: int | None = None,
) -> EngleGrangerResult:
    """Engle–Granger test of price1 on price2; the null is no cointegration.

    Parameters
    ----------
    price1, price2 : Series or array
        y and x. Series are joined on their common index, rows with a NaN dropped; at least 20
        rows.
    trend : {"c", "n", "ct", "ctt"}
        Deterministic terms of the first stage. The test on the residual has none.
    autolag : {"aic", "bic", "t-stat", None}
    max_lag : int, optional
        Default ⌈12 (n / 100)^¼⌉.

    Returns
    -------
    EngleGrangerResult
        p-value of MacKinnon (1994) for two series, critical values of his 2010 paper (none are
        published for trend "n").

    Raises
    ------
    InsufficientData
        Below 20 common rows.
    BadInput
        A constant series, or one that is a linear function of the other.

    References
    ----------
    Engle, R. F., Granger, C. W. J. (1987). Co-integration and error correction: representation,
    estimation, and testing. Econometrica 55(2), section 5, the augmented Dickey–Fuller test.
    """
    trend, autolag = known(trend, TREND_TERMS, "trend"), known(autolag, CRITERIA, "autolag")
    pair = _usable_pair(price1, price2)
    return _engle_granger(pair, trend, autolag, max_lag, ("price1", "price2"))


def engle_granger_both(
    price1: Any,
    price2: Any,
    trend: str = "c",
    autolag: str | None = "aic",
    max_lag: int | None = None,
) -> BothDirections:
    """Engle–Granger in both directions, with one p-value that pays for the choice.

    Parameters and errors are those of :func:`engle_granger`.
    """
    trend, autolag = known(trend, TREND_TERMS, "trend"), known(autolag, CRITERIA, "autolag")
    pair = _usable_pair(price1, price2)
    swapped = AlignedPair(pair.x, pair.y, pair.index, pair.dropped)
    forward = _engle_granger(pair, trend, autolag, max_lag, ("price1", "price2"))
    reverse = _engle_granger(swapped, trend, autolag, max_lag, ("price2", "price1"))
    p = min(1.0, 2.0 * min(forward.pvalue, reverse.pvalue))
    verdict = (
        f"Cointegrated: in the better of two directions the null is rejected at 5 % (p = {p:.3g})."
        if p < LEVEL
        else f"No evidence of cointegration in either direction (p = {p:.3g})."
    )
    return BothDirections(forward=forward, reverse=reverse, pvalue=p, verdict=verdict)


def _usable_pair(price1: Any, price2: Any) -> AlignedPair:
    pair = align_pair(price1, price2, _EG, MIN_OBSERVATIONS)
    require_varying(pair.y, _EG, "price1")
    require_varying(pair.x, _EG, "price2")
    require_not_collinear(pair.y, pair.x, _EG)
    return pair


def _first_stage(y: Array, x: Array, trend: str) -> tuple[Array, float, float]:
    """(residual, hedge ratio, intercept) of y on x and the trend's terms."""
    if trend == "n":
        ratio = float(x @ y / (x @ x))
        return y - ratio * x, ratio, 0.0
    my, mx = y.mean(), x.mean()
    dy, dx = y - my, x - mx
    if len(trend) > 1:
        basis = _time_basis(len(y), len(trend) - 1)
        dy = dy - basis.T @ (basis @ dy)
        dx = dx - basis.T @ (basis @ dx)
    ratio = float(dx @ dy / (dx @ dx))
    return dy - ratio * dx, ratio, float(my - ratio * mx)


def _time_basis(n: int, order: int) -> Array:
    """Orthonormal polynomials in time of degree 1 … order, one a row."""
    from kernels.unitroot import trend_basis

    basis = np.empty((order, n))
    trend_basis(n, order, basis)
    return basis


def _engle_granger(
    pair: AlignedPair, trend: str, autolag: str | None, max_lag: int | None, names: tuple[str, str]
) -> EngleGrangerResult:
    from kernels import unitroot as kernel

    residual, ratio, intercept = _first_stage(pair.y, pair.x, trend)
    n = len(residual)
    t, used, n_obs, _, _ = kernel.adf(residual, 0, longest_lag(n, "n", max_lag), CRITERIA[autolag])
    if math.isnan(t):
        raise BadInput(
            f"{_EG} found a spread of {n} values that its own past explains without error; "
            "there is nothing random in it to test."
        )
    p = mackinnon.pvalue(t, trend, 2)
    which = f"{names[0]} on {names[1]}"
    return EngleGrangerResult(
        name="Engle–Granger",
        statistic=t,
        pvalue=p,
        # n − 1 as in Stata's egranger and statsmodels: the observations of the unlagged test
        critical_values=mackinnon.critical_values(trend, 2, n - 1),
        used_lag=int(used),
        n_obs=int(n_obs),
        null_hypothesis="The two prices are not cointegrated: their spread wanders.",
        verdict=(
            f"Cointegrated: for {which} the null is rejected at the 5 % level (p = {p:.3g})."
            if p < LEVEL
            else f"No evidence of cointegration for {which} (p = {p:.3g})."
        ),
        hedge_ratio=ratio,
        intercept=intercept,
        spread=pd.Series(residual, index=pair.index, name="spread"),
        trend=trend,
        autolag=autolag,
        dropped=pair.dropped,
    )


@dataclass(frozen=True, kw_only=True)
class JohansenResult(TestResult):
    """A :class:`TestResult` of the trace statistic at rank 0, with everything behind it.

    Attributes
    ----------
    trace_stat, max_eig_stat : array, shape (k,)
        Statistic of the null "at most r cointegrating relations", r = 0 … k − 1.
    trace_critical, max_eig_critical : array, shape (k, 3)
        At 10, 5 and 1 %.
    trace_pvalues, max_eig_pvalues : array, shape (k,)
        From the gamma distribution through the published 10 % and 1 % points: good near and
        beyond the critical values, rough where p is large.
    eigenvalues : array, shape (k,)
        Largest first.
    eigenvectors : array, shape (k, k)
        One relation a column, that of the largest eigenvalue first, scaled so that vᵀ S_kk v = 1.
    rank : int
        Relations found by the trace test at 5 %, one after the other.
    columns : tuple
        Names of the series, the rows of `eigenvectors`.
    """

    trace_stat: Array
    max_eig_stat: Array
    trace_critical: Array
    max_eig_critical: Array
    trace_pvalues: Array
    max_eig_pvalues: Array
    eigenvalues: Array
    eigenvectors: Array
    rank: int
    columns: tuple[Any, ...]

    def hedge_weights(self, relation: int = 0) -> Mapping[Any, float]:
        """Units of each series in the stationary combination, the first series at 1."""
        vector = self.eigenvectors[:, relation]
        return dict(zip(self.columns, (vector / vector[0]).tolist(), strict=True))


def johansen(frame: pd.DataFrame, det_order: int = 0, k_ar_diff: int = 1) -> JohansenResult:
    """Johansen's trace and maximum-eigenvalue tests; the null is at most r relations.

    Parameters
    ----------
    frame : DataFrame, shape (n, k)
        Prices, one column a series, 2 to 12 of them. Rows with a NaN are dropped.
    det_order : {-1, 0, 1}
        No deterministic terms, a constant, or a linear trend.
    k_ar_diff : int
        Lagged differences in the model.

    Raises
    ------
    InsufficientData
        Fewer rows than 20 or than ten times the parameters of one equation.
    BadInput
        A constant column, or columns that explain each other exactly.

    References
    ----------
    Johansen, S. (1991). Estimation and hypothesis testing of cointegration vectors in Gaussian
    vector autoregressive models. Econometrica 59(6), eqs. 2.12–2.15. Critical values: MacKinnon,
    J. G., Haug, A. A., Michelis, L. (1999). Journal of Applied Econometrics 14(5). Gamma form of
    the p-values: Doornik, J. A. (1998). Journal of Economic Surveys 12(5).
    """
    det_order = known(det_order, (-1, 0, 1), "det_order")
    if k_ar_diff < 0:
        raise BadInput(f"k_ar_diff is {k_ar_diff}; allowed are 0 and more.")
    k = frame.shape[1] if isinstance(frame, pd.DataFrame) else 0
    needed = max(MIN_OBSERVATIONS, 10 * (k * k_ar_diff + 2) // 2 + k_ar_diff)
    clean = clean_frame(frame, _JOHANSEN, needed)
    if k > 12:
        raise BadInput(f"{_JOHANSEN} has published critical values for 2 to 12 series, found {k}.")
    for position, column in enumerate(clean.columns):
        require_varying(clean.values[:, position], _JOHANSEN, str(column))
    eigenvalues, vectors, n = _reduced_rank(clean.values, det_order, k_ar_diff)
    return _johansen_result(eigenvalues, vectors, n, det_order, k_ar_diff, tuple(clean.columns))


def _polynomial_residual(values: Array, order: int) -> Array:
    if order < 0:
        return values
    time = np.linspace(-1.0, 1.0, len(values))
    basis, _ = np.linalg.qr(np.vander(time, order + 1))
    return values - basis @ (basis.T @ values)


def _reduced_rank(values: Array, det_order: int, k_ar_diff: int) -> tuple[Array, Array, int]:
    """Eigenvalues, largest first, the vectors, and the observations used."""
    levels = _polynomial_residual(values, det_order)
    # The constant of a differenced line: differences are only centred.
    inner = 0 if det_order > -1 else -1
    changes = np.diff(levels, axis=0)
    n = len(changes) - k_ar_diff
    lagged = [changes[k_ar_diff - j : len(changes) - j] for j in range(1, k_ar_diff + 1)]
    now = _polynomial_residual(changes[k_ar_diff:], inner)
    before = _polynomial_residual(levels[1 : len(levels) - k_ar_diff], inner)
    if lagged:
        basis, _ = np.linalg.qr(_polynomial_residual(np.hstack(lagged), inner))
        now = now - basis @ (basis.T @ now)
        before = before - basis @ (basis.T @ before)
    scale = np.linalg.norm(values - values.mean(axis=0), axis=0)
    q_before, r_before = np.linalg.qr(before / scale)
    if np.abs(np.diag(r_before)).min() <= 1e-10 or np.linalg.norm(now, axis=0).min() == 0:
        raise BadInput(
            f"{_JOHANSEN} needs different series; one of the {values.shape[1]} columns is a linear "
            f"function of the others over all {len(values)} rows."
        )
    q_now, _ = np.linalg.qr(now)
    # Canonical correlations of changes and levels; their squares are the eigenvalues.
    _, singular, right = np.linalg.svd(q_now.T @ q_before)
    vectors = np.linalg.solve(r_before, right.T) * math.sqrt(n) / scale[:, None]
    first = vectors[0, 0]
    return singular**2, vectors * (np.sign(first) if first else 1.0), n


def _johansen_result(
    eigenvalues: Array, vectors: Array, n: int, det_order: int, k_ar_diff: int, columns: Any
) -> JohansenResult:
    from statsmodels.tsa.coint_tables import c_sja, c_sjt

    k = len(eigenvalues)
    losses = -n * np.log1p(-eigenvalues)
    trace = np.cumsum(losses[::-1])[::-1]
    trace_critical = np.array([c_sjt(k - r, det_order) for r in range(k)])
    eig_critical = np.array([c_sja(k - r, det_order) for r in range(k)])
    trace_p = np.array([_gamma_tail(trace[r], trace_critical[r]) for r in range(k)])
    eig_p = np.array([_gamma_tail(losses[r], eig_critical[r]) for r in range(k)])
    accepted = np.flatnonzero(trace <= trace_critical[:, 1])
    rank = int(accepted[0]) if len(accepted) else k
    notes = ("Every combination looks stationary: so do the series themselves.",) * (rank == k)
    return JohansenResult(
        name="Johansen",
        statistic=float(trace[0]),
        pvalue=float(trace_p[0]),
        critical_values=dict(zip(("10%", "5%", "1%"), trace_critical[0].tolist(), strict=True)),
        used_lag=k_ar_diff,
        n_obs=n,
        null_hypothesis=f"No combination of the {k} series is stationary: none are cointegrated.",
        verdict=(
            f"Cointegrated: the trace test finds {rank} of at most {k} relations at the 5 % level."
            if rank
            else f"No evidence of cointegration among the {k} series (p = {trace_p[0]:.3g})."
        ),
        notes=notes,
        trace_stat=trace,
        max_eig_stat=losses,
        trace_critical=trace_critical,
        max_eig_critical=eig_critical,
        trace_pvalues=trace_p,
        max_eig_pvalues=eig_p,
        eigenvalues=eigenvalues,
        eigenvectors=vectors,
        rank=rank,
        columns=columns,
    )


@lru_cache(maxsize=128)
def _gamma_through(q90: float, q99: float) -> tuple[float, float]:
    """(shape, scale) of the gamma distribution with these 90 % and 99 % points."""
    from scipy.optimize import brentq
    from scipy.special import gammaincinv

    def excess(log_shape: float) -> float:
        shape = math.exp(log_shape)
        return float(gammaincinv(shape, 0.99) / gammaincinv(shape, 0.90)) - q99 / q90

    shape = math.exp(brentq(excess, -3.0, 9.0, xtol=1e-12))
    return shape, q90 / float(gammaincinv(shape, 0.90))


def _gamma_tail(statistic: float, critical: Array) -> float:
    from scipy.special import gammaincc

    shape, scale = _gamma_through(float(critical[0]), float(critical[2]))
    return float(gammaincc(shape, max(statistic, 0.0) / scale))
