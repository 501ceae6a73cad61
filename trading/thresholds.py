"""Reference lines: optimal thresholds of a fitted OU process, and the z that pays its costs."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.optimize import minimize_scalar
from scipy.special import erfi

from errors import BadInput
from trading.costs import Costs
from trading.metrics import Figure

# Beyond this many standard deviations an OU process practically never goes.
_FARTHEST = 6.0


class OptimalThresholds(NamedTuple):
    """Best symmetric thresholds, in standard deviations of the process.

    ``entry_z`` enter at ±entry_z; ``exit_z`` leave there (0: the mean; −entry_z: the other side);
    ``profit_a_trade`` net, in the spread's unit; ``trades_a_time`` expected, and
    ``profit_a_time`` their product, in the unit of time of ``kappa``.
    """

    entry_z: float
    exit_z: float
    profit_a_trade: float
    trades_a_time: float
    profit_a_time: float


def _best(stationary_std: float, cost: float, kappa: float, width: float) -> OptimalThresholds:
    """Maximise (width · u · s − cost) over the expected cycle (width² · π / 2κ) erfi(u / √2)."""
    if not (stationary_std > 0 and kappa > 0 and math.isfinite(cost) and cost >= 0):
        raise BadInput(
            "Optimal thresholds need a process that reverts (κ and its deviation above 0) and a "
            f"cost of 0 or more; found {kappa}, {stationary_std}, {cost}."
        )

    def rate(u: float) -> float:
        cycle = width**2 * math.pi / (2.0 * kappa) * float(erfi(u / math.sqrt(2.0)))
        return (width * u * stationary_std - cost) / cycle

    found = minimize_scalar(
        lambda u: -rate(u), bounds=(1e-3, _FARTHEST), method="bounded", options={"xatol": 1e-8}
    )
    u = float(found.x)
    profit = width * u * stationary_std - cost
    return OptimalThresholds(u, 0.0 if width == 1 else -u, profit, rate(u) / profit, rate(u))


def bertram_thresholds(stationary_std: float, kappa: float, cost: float) -> OptimalThresholds:
    """Thresholds with the highest expected profit a unit of time, one side, exit across the mean.

    Parameters
    ----------
    stationary_std : float
        σ / √(2κ) of the process, in the spread's unit (`OUFit.stationary_std`).
    kappa : float
        Speed of reversion.
    cost : float
        Of a round trip of one unit of the spread, in its unit.

    References
    ----------
    Bertram, W. K. (2010). Analytic solutions for optimal statistical arbitrage trading. Physica A
    389(11), section 3: the optimum is symmetric, and the expected cycle is
    (2π / κ) erfi(u / √2), with u the threshold in deviations.
    """
    return _best(stationary_std, cost, kappa, 2.0)


def mean_exit_thresholds(stationary_std: float, kappa: float, cost: float) -> OptimalThresholds:
    """The same for this platform's rule: enter on either side, leave at the mean.

    The expected cycle, from the mean to ±u and back, is (π / 2κ) erfi(u / √2) by the passage
    times of Siegert (1951), eq. 3.23.
    """
    return _best(stationary_std, cost, kappa, 1.0)


def round_trip_cost(
    price1: float,
    price2: float,
    hedge_ratio: float,
    costs: Costs,
    funding_rate: float = 0.0,
    holding_fundings: float = 0.0,
) -> float:
    """Cost of one unit of the spread, in and out of both legs: four fills, slippage, funding.

    ``funding_rate`` is what the pair pays net at each funding time as a fraction of its gross
    notional, ``holding_fundings`` how many such times a position is held over. Quote currency.
    """
    gross = price1 + abs(hedge_ratio) * price2
    return gross * (costs.round_trip_rate() + funding_rate * holding_fundings)


def break_even_zscore(spread_std: float, cost: float, exit_th: float = 0.0) -> Figure:
    """The z at which the move to the exit just pays the round trip.

    A position opened at z earns (z − exit) deviations when it leaves at the exit.

    Parameters
    ----------
    spread_std : float
        Deviation that the z-score is measured in, in the spread's unit.
    cost : float
        From `round_trip_cost`.
    """
    if not spread_std > 0:
        return Figure(None, "The spread does not vary: no z pays the costs.")
    return Figure(exit_th + cost / spread_std)
