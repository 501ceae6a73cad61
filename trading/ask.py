"""What the backtest's form asks for, as plain fields, and what is made of them.

Imports of the numerics wait until they are needed: the page shows the form before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from config import Config

if TYPE_CHECKING:
    from trading.backtest import PairSettings
    from trading.optimize import Grid


@dataclass(frozen=True, slots=True)
class BacktestAsk:
    """The form's fields; kept with a saved run."""

    y: str
    x: str
    timeframe: str
    limit: int = 3000
    entry_th: float = 2.0
    exit_th: float = 0.0
    z_window: int = 60
    hedge: str = "rolling"
    hedge_window: int = 240
    fill: str = "next"
    equity: float = 10_000.0
    size_by: str = "percent"
    amount: float = 1.0
    leverage: float = 3.0
    taker_bps: float = Config.TAKER_FEE_BPS
    maker_bps: float = Config.MAKER_FEE_BPS
    maker: bool = False
    slippage_bps: float = Config.SLIPPAGE_BPS
    funding_bps: float = 0.0
    z_stop: float = 0.0
    spread_stop_pct: float = 0.0
    take_profit_pct: float = 0.0
    max_holding: int = 0
    cooldown: int = 0


def settings_of(ask: BacktestAsk, rules: tuple[Any, Any]) -> PairSettings:
    """The form as the backtest's settings.

    Raises
    ------
    BadInput
        A value is not allowed.
    """
    from trading.backtest import PairSettings
    from trading.costs import Costs
    from trading.signals import HedgePlan
    from trading.sizing import Sizing
    from trading.strategy import Rules

    def stop(value: float, unit: float = 1.0) -> float:
        return value * unit if value > 0 else math.inf

    return PairSettings(
        rules=Rules(
            entry_th=ask.entry_th,
            exit_th=ask.exit_th,
            z_stop=stop(ask.z_stop),
            spread_stop=stop(ask.spread_stop_pct, 0.01),
            take_profit=stop(ask.take_profit_pct, 0.01),
            max_holding=ask.max_holding,
            cooldown=ask.cooldown,
        ),
        hedge=HedgePlan(method=ask.hedge, window=ask.hedge_window),  # type: ignore[arg-type]
        z_window=ask.z_window,
        costs=Costs(
            maker_bps=ask.maker_bps,
            taker_bps=ask.taker_bps,
            maker=ask.maker,
            slippage_bps=ask.slippage_bps,
        ),
        sizing=Sizing(
            by=ask.size_by,  # type: ignore[arg-type]
            amount=ask.amount,
            leverage_limit=ask.leverage,
            rules1=rules[0],
            rules2=rules[1],
        ),
        fill=ask.fill,  # type: ignore[arg-type]
        starting_equity=ask.equity,
    )


def grid_of(ask: BacktestAsk) -> Grid:
    """Thresholds, windows and hedge plans around what the form says."""
    from trading.optimize import Grid
    from trading.signals import HedgePlan

    windows = sorted({max(5, ask.z_window // 2), ask.z_window, ask.z_window * 2})
    hedges = tuple(HedgePlan(method=m, window=ask.hedge_window) for m in ("rolling", "kalman"))
    entries = tuple(float(v) for v in np.round(np.arange(0.8, 3.61, 0.2), 2))
    exits = tuple(float(v) for v in np.round(np.arange(-0.6, 1.01, 0.2), 2))
    return Grid(entries, exits, tuple(windows), hedges)
