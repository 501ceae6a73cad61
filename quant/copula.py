"""How two legs depend beyond correlation: four copulas, the best by AIC, a second signal.

The marginals are taken out by ranks. What is left is the dependence, and the conditional
probability of one leg's move given the other's says how unusual their relation is right now:
below 0.05 the leg moved much less than the other suggests, above 0.95 much more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput
from quant.alignment import align_pair, require_varying
from quant.copula_families import FAMILIES, Family
from quant.results import ResultMapping

Array = NDArray[np.float64]

MIN_ROWS = 60
_WHAT = "the copula fit"


@dataclass(frozen=True, kw_only=True)
class CopulaFit(ResultMapping):
    """The best of the families, with every one beside it.

    Attributes
    ----------
    family : str
        "gaussian", "t", "clayton" or "gumbel".
    parameters : Mapping
        By name: ρ (and ν), or θ.
    aic, log_likelihood : float
        Of the ranks, at the maximum.
    kendall_tau : float
        Rank correlation of the data.
    lower_tail, upper_tail : float
        Tail dependence: probability that one leg is extreme given that the other is.
    table : pandas.DataFrame
        One row a family, best first: parameters, log_likelihood, aic, lower_tail, upper_tail.
    probability1 : pandas.Series
        P(U₁ ≤ u₁ | U₂ = u₂) of each candle.
    probability2 : pandas.Series
        P(U₂ ≤ u₂ | U₁ = u₁).
    n : int
    verdict : str
    notes : tuple of str
        Families left out, with the reason.
    """

    family: str
    parameters: Mapping[str, float]
    aic: float
    log_likelihood: float
    kendall_tau: float
    lower_tail: float
    upper_tail: float
    table: pd.DataFrame
    probability1: pd.Series
    probability2: pd.Series
    n: int
    verdict: str
    notes: tuple[str, ...] = ()

    def conditional(self, u: Any, v: Any) -> Array:
        """P(U₁ ≤ u | U₂ = v) under the fitted copula, for u and v in 0 … 1."""
        family = FAMILIES[self.family]
        return family.conditional(_inside(u), _inside(v), np.array(list(self.parameters.values())))


def _inside(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.size and not ((array > 0) & (array < 1)).all():
        raise BadInput(
            f"probabilities are between 0 and 1, found {array.min():g} to {array.max():g}."
        )
    return array


def fit_copula(price1: Any, price2: Any, returns: bool = True) -> CopulaFit:
    """Gaussian, t, Clayton and Gumbel copulas by maximum likelihood of the ranks, best by AIC.

    Parameters
    ----------
    price1, price2 : Series or array
        Joined on their common index, rows with a NaN dropped. At least 60 rows.
    returns : bool
        Fit to log returns (prices above 0), as copulas want draws that do not wander; False takes
        the series as they are.

    Returns
    -------
    CopulaFit
        Where Kendall's τ is not positive, Clayton and Gumbel, which cannot bend that way, are left
        out and `notes` says so.

    References
    ----------
    Genest, C., Ghoudi, K., Rivest, L.-P. (1995). A semiparametric estimation procedure of
    dependence parameters in multivariate families of distributions. Biometrika 82(3). Conditional
    probabilities as a signal: Liew, R. Q., Wu, Y. (2013). Pairs trading: a copula approach.
    Journal of Derivatives & Hedge Funds 19(1).
    """
    from scipy.stats import kendalltau, rankdata

    pair = align_pair(price1, price2, _WHAT, MIN_ROWS + int(returns))
    require_varying(pair.y, _WHAT, "price1")
    require_varying(pair.x, _WHAT, "price2")
    y, x, index = pair.y, pair.x, pair.index
    if returns:
        if min(y.min(), x.min()) <= 0:
            raise BadInput(
                f"{_WHAT} of returns needs prices above 0, found {min(y.min(), x.min()):g}."
            )
        y, x, index = np.diff(np.log(y)), np.diff(np.log(x)), index[1:]
    u, v = rankdata(y) / (len(y) + 1), rankdata(x) / (len(x) + 1)
    tau = float(kendalltau(y, x).statistic)
    if not abs(tau) < 1.0 - 1e-9:
        raise BadInput(f"{_WHAT} needs two different series; these two rise and fall as one.")
    rows, notes = {}, []
    for name, family in FAMILIES.items():
        if family.positive_only and tau <= 0:
            notes.append(
                f"{name.capitalize()} left out: it needs positive dependence, τ = {tau:.3f}."
            )
            continue
        rows[name] = _maximise(family, u, v, tau)
    best = min(rows, key=lambda name: rows[name][2])
    parameters, log_likelihood, aic = rows[best]
    family = FAMILIES[best]
    lower, upper = family.tails(parameters)
    return CopulaFit(
        family=best,
        parameters=dict(zip(family.names, parameters.tolist(), strict=True)),
        aic=aic,
        log_likelihood=log_likelihood,
        kendall_tau=tau,
        lower_tail=lower,
        upper_tail=upper,
        table=_table(rows),
        probability1=pd.Series(family.conditional(u, v, parameters), index, name="probability1"),
        probability2=pd.Series(family.conditional(v, u, parameters), index, name="probability2"),
        n=len(u),
        verdict=_verdict(best, tau, lower, upper),
        notes=tuple(notes),
    )


def _maximise(family: Family, u: Array, v: Array, tau: float) -> tuple[Array, float, float]:
    """(parameters, log-likelihood, AIC) from a start at the family's own inversion of τ."""
    from scipy.optimize import minimize

    def loss(parameters: Array) -> float:
        value = float(np.sum(family.log_density(u, v, parameters)))
        return -value if math.isfinite(value) else 1e300

    # Two rounds: the second from where the first stopped, as the simplex may stall.
    at = np.array(family.start(tau))
    for _ in range(2):
        found = minimize(
            loss, at, method="Nelder-Mead", bounds=family.bounds,
            options={"xatol": 1e-8, "fatol": 1e-8, "maxiter": 600},
        )  # fmt: skip
        at = found.x
    return at, -float(found.fun), 2.0 * float(found.fun) + 2.0 * len(at)


def _table(rows: dict[str, tuple[Array, float, float]]) -> pd.DataFrame:
    records = []
    for name, (parameters, log_likelihood, aic) in rows.items():
        family = FAMILIES[name]
        lower, upper = family.tails(parameters)
        text = ", ".join(
            f"{label} = {value:.4g}" for label, value in zip(family.names, parameters, strict=True)
        )
        records.append((name, text, log_likelihood, aic, lower, upper))
    columns = ["family", "parameters", "log_likelihood", "aic", "lower_tail", "upper_tail"]
    return pd.DataFrame(records, columns=columns).sort_values("aic", ignore_index=True)


def _verdict(family: str, tau: float, lower: float, upper: float) -> str:
    if lower < 0.01 and upper < 0.01:
        tails = "without tail dependence"
    elif lower > upper + 0.01:
        tails = f"tied more closely in falls (tail dependence {lower:.2f})"
    elif upper > lower + 0.01:
        tails = f"tied more closely in rises (tail dependence {upper:.2f})"
    else:
        tails = f"tied in both tails (tail dependence {upper:.2f})"
    return f"The {family} copula fits best (Kendall's τ = {tau:.2f}), {tails}."
