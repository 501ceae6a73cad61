"""The hedge ratio: how much of price2 offsets one of price1, and how sure that is."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput
from quant import hedge_paths
from quant.alignment import AlignedPair, align_pair, require_varying
from quant.estimators import ESTIMATORS, Line
from quant.results import HedgeFit, HedgePath, Interval, Run

Floats = NDArray[np.float64]

PATHS: dict[str, Callable[..., HedgePath]] = {
    "rolling_ols": hedge_paths.rolling_ols,
    "kalman": hedge_paths.kalman,
}
"""The methods that give a ratio for every candle."""

METHODS: tuple[str, ...] = (*ESTIMATORS, *PATHS)
ERRORS: tuple[str, ...] = ("auto", "long_run", "bootstrap", "iid", "none")

_MINIMUM = 3
_MINIMUM_FOR_ERRORS = 50
_UNKNOWN = Interval(math.nan, math.nan)


def calculate_hedge_ratio(
    price1: Any, price2: Any, method: str = "ols", *, log_prices: bool = False, **options: Any
) -> tuple[Any, Any]:
    """(ratio, intercept) with price1 ≈ ratio · price2 + intercept.

    Parameters
    ----------
    price1, price2 : Series (joined on their index) or arrays of one length
        Rows that are not in both, or NaN in one, are dropped.
    method : str
        ``ols``, ``huber`` (option `epsilon`), ``theil_sen``, ``tls``, ``lad``, ``ransac`` (`seed`,
        `trials`, `threshold`); ``rolling_ols`` (`window`), ``kalman`` (`delta`,
        `observation_variance`, `initial_variance`, `normalise`).
    log_prices : bool
        Regress the logarithms: the ratio is then an elasticity.

    Returns
    -------
    ratio, intercept : float, or Series on the common index
        Series for ``rolling_ols`` (the window that ends with the candle) and ``kalman`` (the prior
        state, known before the candle; NaN at the first).

    Raises
    ------
    BadInput
        For an unknown method or option, a constant or infinite price, a logarithm of none.
    InsufficientData
        Below 3 pairs, or below one window.
    """
    pair = _prepared(price1, price2, method, log_prices)
    _check_options(method, options)
    if method in PATHS:
        path = PATHS[method](pair, log_prices, **options)
        return path.ratio, path.intercept
    line = ESTIMATORS[method](pair.y, pair.x, **options)
    return float(line.slope), float(line.intercept)


def fit_hedge(
    price1: Any,
    price2: Any,
    method: str = "ols",
    *,
    log_prices: bool = False,
    errors: str = "auto",
    confidence: float = 0.95,
    draws: int = 399,
    seed: int = 0,
    run: Run | None = None,
    **options: Any,
) -> HedgeFit | HedgePath:
    """The hedge ratio with standard errors, intervals, R² and residuals.

    Parameters
    ----------
    price1, price2, method, log_prices, options
        As for :func:`calculate_hedge_ratio`.
    errors : str
        ``long_run`` (of ``ols``: the interval that holds for cointegrated prices; see
        :mod:`quant.long_run`), ``bootstrap`` (any method; see :mod:`quant.hedge_bootstrap`),
        ``iid`` (of ``ols``: the textbook's, right only where residuals are independent), ``none``,
        or ``auto``: ``long_run`` for ``ols``, ``bootstrap`` otherwise. Of no meaning for
        ``rolling_ols`` and ``kalman``, which bring their own.
    confidence : float
        Coverage of the intervals, above 0 and below 1.
    draws, seed : int
        Of the bootstrap (and `seed` of ``ransac``).
    run : callable, optional
        Who does the bootstrap's tasks; see :func:`quant.hedge_bootstrap.bootstrap`.

    Returns
    -------
    HedgeFit or HedgePath
        A path for ``rolling_ols`` and ``kalman``, with prior and posterior state. Errors are NaN,
        with a note that says why, below 50 pairs.

    Raises
    ------
    BadInput, InsufficientData
        As :func:`calculate_hedge_ratio`; and for unknown `errors` or a `confidence` out of range.
    """
    if errors not in ERRORS:
        raise BadInput(f"There are no errors {errors!r}; there are {', '.join(ERRORS)}.")
    if not 0 < confidence < 1:
        raise BadInput(f"A confidence is between 0 and 1, found {confidence}.")
    pair = _prepared(price1, price2, method, log_prices)
    if method == "ransac":
        options = {"seed": seed, **options}
    _check_options(method, options)
    if method in PATHS:
        return PATHS[method](pair, log_prices, **options)
    kind = _kind_of_errors(method, errors)
    estimate = partial(ESTIMATORS[method], **options)
    line = estimate(pair.y, pair.x)
    residuals = pair.y - line.slope * pair.x - line.intercept
    known = _uncertainty(pair, line, residuals, estimate, kind, confidence, (draws, seed, run))
    total = float(((pair.y - pair.y.mean()) ** 2).sum())
    return HedgeFit(
        ratio=float(line.slope),
        intercept=float(line.intercept),
        **known._asdict(),
        confidence=confidence,
        errors=kind,
        r_squared=1.0 - float(residuals @ residuals) / total,
        residuals=pd.Series(residuals, index=pair.index, name="spread"),
        method=method,
        n=len(pair.y),
        dropped=pair.dropped,
        log_prices=log_prices,
    )


class _Known(NamedTuple):
    """The fields of a HedgeFit about its uncertainty."""

    ratio_se: float
    ratio_interval: Interval
    intercept_se: float
    intercept_interval: Interval
    long_run_ratio: float
    long_run_intercept: float
    notes: tuple[str, ...] = ()


def _prepared(price1: Any, price2: Any, method: str, log_prices: bool) -> AlignedPair:
    if method not in METHODS:
        raise BadInput(f"There is no method {method!r}; there are {', '.join(METHODS)}.")
    what = f"A hedge ratio by {method}"
    pair = align_pair(price1, price2, what, _MINIMUM)
    require_varying(pair.y, what, "price1")
    require_varying(pair.x, what, "price2")
    if not log_prices:
        return pair
    for name, values in (("price1", pair.y), ("price2", pair.x)):
        if values.min() <= 0:
            raise BadInput(
                f"Log prices need positive prices; {name} has {int((values <= 0).sum())} that are "
                f"not, the lowest {values.min():g}."
            )
    return pair._replace(y=np.log(pair.y), x=np.log(pair.x))


def _check_options(method: str, options: dict[str, Any]) -> None:
    if not options:
        return
    function = PATHS.get(method) or ESTIMATORS[method]
    allowed = [
        name
        for name in inspect.signature(function).parameters
        if name not in ("y", "x", "pair", "log_prices")
    ]
    for name in options:
        if name not in allowed:
            known = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            raise BadInput(f"{method} has no option {name!r}; {known}.")


def _kind_of_errors(method: str, errors: str) -> str:
    if errors == "auto":
        return "long_run" if method == "ols" else "bootstrap"
    if errors in ("long_run", "iid") and method != "ols":
        raise BadInput(f"Errors {errors!r} are of ols; {method} has bootstrap or none.")
    return errors


def _uncertainty(
    pair: AlignedPair,
    line: Line,
    residuals: Floats,
    estimate: partial[Line],
    kind: str,
    confidence: float,
    how: tuple[int, int, Run | None],
) -> _Known:
    slope, level = float(line.slope), float(line.intercept)
    n = len(pair.y)
    if kind == "none":
        return _Known(math.nan, _UNKNOWN, math.nan, _UNKNOWN, slope, level)
    if kind == "iid":
        return _textbook(pair, line, residuals, confidence)
    if _is_exact(pair, residuals):
        note = "price1 is an exact linear function of price2; nothing is uncertain."
        return _Known(
            0.0, Interval(slope, slope), 0.0, Interval(level, level), slope, level, (note,)
        )
    if n < _MINIMUM_FOR_ERRORS:
        note = f"Errors need at least {_MINIMUM_FOR_ERRORS} observations, found {n}."
        return _Known(math.nan, _UNKNOWN, math.nan, _UNKNOWN, slope, level, (note,))
    if kind == "long_run":
        return _long_run(pair, confidence)
    return _bootstrapped(pair, line, estimate, confidence, how)


def _is_exact(pair: AlignedPair, residuals: Floats) -> bool:
    """Nothing is left but the rounding of the prices themselves."""
    return float(np.abs(residuals).max()) <= 1e-11 * float(np.abs(pair.y).max())


def _textbook(pair: AlignedPair, line: Line, residuals: Floats, confidence: float) -> _Known:
    from scipy import special

    n = len(pair.y)
    dx = pair.x - pair.x.mean()
    variance = float(residuals @ residuals) / (n - 2)
    ratio_se = math.sqrt(variance / float(dx @ dx))
    intercept_se = math.sqrt(variance * (1 / n + float(pair.x.mean()) ** 2 / float(dx @ dx)))
    quantile = float(special.stdtrit(n - 2, 0.5 + 0.5 * confidence))
    slope, level = float(line.slope), float(line.intercept)
    return _Known(
        ratio_se,
        Interval(slope - quantile * ratio_se, slope + quantile * ratio_se),
        intercept_se,
        Interval(level - quantile * intercept_se, level + quantile * intercept_se),
        slope,
        level,
        ("Residuals taken for independent; of cointegrated prices these errors are too small.",),
    )


def _long_run(pair: AlignedPair, confidence: float) -> _Known:
    from quant import long_run

    found = long_run.long_run(pair.y, pair.x, confidence)
    notes = ("The interval assumes that the pair is cointegrated.",)
    if not found.bounded:
        notes = ("The interval is unbounded: the data do not show that the pair reverts.",)
    return _Known(
        found.ratio_se,
        found.ratio_interval,
        found.intercept_se,
        found.intercept_interval,
        found.ratio,
        found.intercept,
        notes,
    )


def _bootstrapped(
    pair: AlignedPair,
    line: Line,
    estimate: partial[Line],
    confidence: float,
    how: tuple[int, int, Run | None],
) -> _Known:
    from quant import hedge_bootstrap

    if estimate.func is ESTIMATORS["theil_sen"]:
        # six digits of what a draw strays are plenty, and a quarter of the work
        estimate = partial(estimate, tolerance=1e-8)
    draws, seed, run = how
    found = hedge_bootstrap.bootstrap(
        pair.y, pair.x, estimate, line, confidence=confidence, draws=draws, seed=seed, run=run
    )
    notes = (f"Sieve bootstrap of {draws} draws; assumes that the pair is cointegrated.",)
    if not found.reverts:
        notes = ("The interval is unbounded: the data do not show that the pair reverts.",)
    return _Known(
        found.ratio_se,
        found.ratio_interval,
        found.intercept_se,
        found.intercept_interval,
        float(line.slope),
        float(line.intercept),
        notes,
    )
