"""Is a pair that is held still a pair? A rolling cointegration test and the hedge ratio's drift."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import BadInput

Floats = NDArray[np.float64]
MINIMUM = 60
"""Candles below which the test says nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond what a pair is warned of: p-value, and drift as a fraction of the frozen ratio."""

    pvalue: float = 0.10
    drift: float = 0.25


@dataclass(frozen=True, slots=True)
class PairHealth:
    """What the last candles say of a held pair.

    ``pvalue`` of the Engle–Granger test (null: no cointegration) over ``candles`` candles;
    ``hedge_ratio`` of the same window, ``drift`` its distance from the frozen one as a fraction
    of that. NaN where there is too little to say, with ``why``.
    """

    pvalue: float
    hedge_ratio: float
    drift: float
    candles: int
    warnings: tuple[str, ...] = ()
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data: NaN as None."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in asdict(self).items()
        }


def pair_health(
    close1: Floats, close2: Floats, frozen_ratio: float, limits: Limits | None = None
) -> PairHealth:
    """Test the window of common closes that is given, oldest first.

    Parameters
    ----------
    close1, close2 : arrays of shape (n,)
    frozen_ratio : float
        The hedge ratio that is held.
    """
    from quant.cointegration import engle_granger

    limits = limits or Limits()
    n, nan = len(close1), math.nan
    if n < MINIMUM:
        return PairHealth(nan, nan, nan, n, why=f"{n} common candles, {MINIMUM} are needed")
    try:
        result = engle_granger(close1, close2)
    except BadInput as error:
        return PairHealth(nan, nan, nan, n, why=str(error))
    ratio, pvalue = float(result.hedge_ratio), float(result.pvalue)
    drift = abs(ratio - frozen_ratio) / abs(frozen_ratio)
    warnings = []
    if pvalue > limits.pvalue:
        warnings.append(
            f"Cointegration is not shown any more: p = {pvalue:.3f} over {n} candles "
            f"(warned above {limits.pvalue:g})."
        )
    if drift > limits.drift:
        warnings.append(
            f"The hedge ratio has drifted by {drift:.0%}: {frozen_ratio:.6g} is held, "
            f"the last {n} candles say {ratio:.6g}."
        )
    return PairHealth(pvalue, ratio, drift, n, tuple(warnings))
