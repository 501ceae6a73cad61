"""What a backtest is judged by: figures of an equity curve and of trades.

Quantities are defined as in empyrical (the tests compare): simple returns per candle, standard
deviations with ddof 1, a year of 365 × 24 hours. A figure that cannot be said honestly is a
`Figure` without a value and with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

YEAR_MS = 365 * 24 * 3_600_000
# Annualised figures of shorter samples say more about the year than about the sample.
MIN_ANNUAL_DAYS = 30.0
MIN_TRADES = 5


class Figure(NamedTuple):
    """A number, or None and the reason why there is none."""

    value: float | None
    reason: str = ""

    def __format__(self, spec: str) -> str:
        return "–" if self.value is None else format(self.value, spec)


def figure(value: float, reason: str) -> Figure:
    """The value where it is finite, else the reason."""
    return Figure(float(value)) if math.isfinite(value) else Figure(None, reason)


def returns_of(equity: Array, starting_equity: float) -> Array:
    """Simple return of each candle, the first against the starting equity."""
    before = np.empty_like(equity)
    before[0] = starting_equity
    before[1:] = equity[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0, equity / before - 1.0, 0.0)


def sharpe_ratio(returns: Array, periods_a_year: float) -> float:
    """mean / std(ddof 1) · √periods; NaN where nothing varies."""
    if returns.size < 2:
        return math.nan
    deviation = returns.std(ddof=1)
    return returns.mean() / deviation * math.sqrt(periods_a_year) if deviation > 0 else math.nan


def sortino_ratio(returns: Array, periods_a_year: float) -> float:
    """mean · periods over the downside risk √mean(min(r, 0)²) · √periods."""
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    if downside == 0:
        return math.nan
    return float(returns.mean()) * math.sqrt(periods_a_year) / downside


def omega_ratio(returns: Array) -> float:
    """Σ of gains over Σ of losses, about 0."""
    losses = -float(returns[returns < 0].sum())
    return float(returns[returns > 0].sum()) / losses if losses > 0 else math.nan


def annual_return(total_return: float, candles: int, periods_a_year: float) -> float:
    """Compound return a year; −1 where all was lost."""
    if total_return <= -1.0:
        return -1.0
    return float(math.exp(min(math.log1p(total_return) * periods_a_year / candles, 700.0)) - 1.0)


class Drawdown(NamedTuple):
    """Deepest fall from a peak (≤ 0, a fraction) and the longest time below one, in candles."""

    depth: float
    longest: int


def drawdown_curve(equity: Array, starting_equity: float) -> Array:
    """equity / highest equity so far − 1, the starting equity counting as a peak."""
    return equity / np.maximum(np.maximum.accumulate(equity), starting_equity) - 1.0


def drawdown(equity: Array, starting_equity: float) -> Drawdown:
    """Depth and longest duration."""
    curve = drawdown_curve(equity, starting_equity)
    at_peak = np.flatnonzero(curve >= 0.0)
    edges = np.concatenate(([-1], at_peak, [equity.size]))
    return Drawdown(float(min(curve.min(), 0.0)), int(max(np.diff(edges).max() - 1, 0)))


def tail_ratio(returns: Array) -> float:
    """|95th percentile| over |5th percentile|."""
    low, high = np.percentile(returns, [5.0, 95.0])
    return float(abs(high) / abs(low)) if low != 0 else math.nan


def value_at_risk(returns: Array, cutoff: float = 0.05) -> float:
    """The return that is undercut in ``cutoff`` of the candles."""
    return float(np.percentile(returns, 100 * cutoff))


def conditional_value_at_risk(returns: Array, cutoff: float = 0.05) -> float:
    """Mean of the worst ``cutoff`` of the returns."""
    k = int((returns.size - 1) * cutoff)
    return float(np.partition(returns, k)[: k + 1].mean())


def beta(returns: Array, market: Array) -> float:
    """Covariance with the market's returns over their variance; NaN pairs are left out."""
    both = np.isfinite(returns) & np.isfinite(market)
    if both.sum() < 3:
        return math.nan
    a, b = returns[both], market[both] - market[both].mean()
    variance = float(b @ b)
    return float(b @ (a - a.mean())) / variance if variance > 0 else math.nan


@dataclass(frozen=True)
class TradeFigures:
    """Of closed trades, net of costs. P&L in quote currency, holding in candles."""

    count: int
    win_rate: Figure
    profit_factor: Figure
    expectancy: Figure
    average_win: Figure
    average_loss: Figure
    average_holding: Figure


def trade_figures(pnl: Array, holding: Array) -> TradeFigures:
    """Figures of closed trades; with none of them each says so."""
    none = "There was no closed trade."
    wins, losses = pnl[pnl > 0], pnl[pnl <= 0]
    lost = -float(losses.sum())
    if pnl.size == 0:
        missing = Figure(None, none)
        return TradeFigures(0, missing, missing, missing, missing, missing, missing)
    return TradeFigures(
        int(pnl.size),
        Figure(wins.size / pnl.size),
        Figure(float(wins.sum()) / lost) if lost > 0 else Figure(None, "No trade lost."),
        Figure(float(pnl.mean())),
        Figure(float(wins.mean())) if wins.size else Figure(None, "No trade won."),
        Figure(float(losses.mean())) if losses.size else Figure(None, "No trade lost."),
        Figure(float(holding.mean())),
    )


@dataclass(frozen=True)
class EquityFigures:
    """Of the equity curve. Fractions; drawdown ≤ 0; durations in candles."""

    total_return: Figure
    annual_return: Figure
    annual_volatility: Figure
    sharpe: Figure
    sortino: Figure
    calmar: Figure
    omega: Figure
    max_drawdown: Figure
    max_drawdown_candles: int
    tail_ratio: Figure
    value_at_risk: Figure
    conditional_value_at_risk: Figure
    beta: Figure


def equity_figures(
    equity: Array,
    starting_equity: float,
    timeframe_ms: int,
    market_returns: Array | None = None,
    *,
    min_annual_days: float = MIN_ANNUAL_DAYS,
) -> EquityFigures:
    """All figures of an equity curve.

    Parameters
    ----------
    equity : (n,) float64
        At every close.
    starting_equity : float
    timeframe_ms : int
        Candle length; a year holds `YEAR_MS` / ``timeframe_ms`` of them.
    market_returns : (n,) float64, optional
        Returns per candle to take beta to, NaN where unknown.
    min_annual_days : float
        Annualised figures of shorter samples are withheld.
    """
    periods = YEAR_MS / timeframe_ms
    r = returns_of(equity, starting_equity)
    total = float(equity[-1] / starting_equity - 1.0)
    fall = drawdown(equity, starting_equity)
    yearly = annual_return(total, equity.size, periods)
    flat = "Equity never changed."
    days = equity.size * timeframe_ms / 86_400_000
    short = (
        f"The sample is {days:.1f} days; annualised figures need {min_annual_days:g}."
        if days < min_annual_days
        else ""
    )

    def annualised(value: float, reason: str = flat) -> Figure:
        return Figure(None, short) if short else figure(value, reason)

    moving = bool(np.any(r))
    return EquityFigures(
        total_return=figure(total, "Equity is not a number."),
        annual_return=annualised(yearly),
        annual_volatility=annualised(float(r.std(ddof=1)) * math.sqrt(periods)),
        sharpe=annualised(sharpe_ratio(r, periods)),
        sortino=annualised(sortino_ratio(r, periods), "No candle lost."),
        calmar=annualised(yearly / -fall.depth if fall.depth < 0 else math.nan, "No drawdown."),
        omega=figure(omega_ratio(r), "No candle lost."),
        max_drawdown=Figure(fall.depth) if moving else Figure(None, flat),
        max_drawdown_candles=fall.longest,
        tail_ratio=figure(tail_ratio(r), "The 5th percentile of returns is 0."),
        value_at_risk=Figure(value_at_risk(r)) if moving else Figure(None, flat),
        conditional_value_at_risk=(
            Figure(conditional_value_at_risk(r)) if moving else Figure(None, flat)
        ),
        beta=(
            figure(beta(r, market_returns), "The market's returns do not vary here.")
            if market_returns is not None
            else Figure(None, "No market series was given.")
        ),
    )
