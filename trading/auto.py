"""Auto mode: the backtest's strategy, fed with each candle close of a pair, trading on paper.

Signals come from `trading.signals.make_signals` and decisions from `MeanReversion`, which the
backtest uses too; what differs is that here orders meet the tape.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from candles import CHART_TIMEFRAMES, timeframe_ms
from errors import BadInput
from trading.candle_pair import PairCandles
from trading.orders import SizeBy
from trading.signals import HedgePlan, Signals, make_signals
from trading.strategy import Decision, MachineState, MeanReversion, Rules


@dataclass(frozen=True, slots=True)
class AutoSettings:
    """What is traded automatically and how; ``amount`` by ``by`` as in `PairRequest`.

    The hedge plan is ``rolling`` or ``given``: those two depend on the last candles alone, so
    that a restart, which forgets what came before, changes no signal.
    """

    symbol1: str
    symbol2: str
    timeframe: str = "1min"
    hedge: HedgePlan = field(default_factory=HedgePlan)
    z_window: int = 60
    rules: Rules = field(default_factory=Rules)
    by: SizeBy = "percent"
    amount: float = 0.5

    def __post_init__(self) -> None:
        if self.symbol1 == self.symbol2:
            raise BadInput(f"A pair has two symbols, found {self.symbol1} twice.")
        if self.timeframe not in CHART_TIMEFRAMES:
            raise BadInput(f"{self.timeframe!r} is not offered; {', '.join(CHART_TIMEFRAMES)} are.")
        if self.hedge.method not in ("rolling", "given"):
            raise BadInput(
                f"Auto mode hedges by rolling or given, found {self.hedge.method!r}: the others "
                "depend on candles that a restart no longer sees."
            )
        if not 2 <= self.z_window <= 2_000 or self.hedge.window > 5_000:
            raise BadInput("The z-score's window is 2 to 2000 candles, the hedge's up to 5000.")
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise BadInput(f"The amount to trade is above 0, found {self.amount}.")

    @property
    def length_ms(self) -> int:
        """Length of a candle."""
        return timeframe_ms(self.timeframe)

    @property
    def candles_needed(self) -> int:
        """Closed candles of both legs that one signal is made of, with one to spare."""
        hedge = 0 if self.hedge.method == "given" else self.hedge.window
        return hedge + self.z_window + 2

    def to_dict(self) -> dict[str, Any]:
        """Plain data: infinities as None."""
        out = asdict(self)
        for part in (out["rules"], out["hedge"]):
            for key, value in part.items():
                if isinstance(value, float) and not math.isfinite(value):
                    part[key] = None
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AutoSettings:
        """The settings that `to_dict` wrote."""
        return cls(**{**data, "rules": _filled(Rules, data["rules"]),
                      "hedge": _filled(HedgePlan, data["hedge"])})  # fmt: skip


def _filled(kind: Any, data: dict[str, Any]) -> Any:
    """A dataclass from plain data, its own defaults where that says None."""
    known = {f.name for f in fields(kind)}
    return kind(**{k: v for k, v in data.items() if k in known and v is not None})


@dataclass(frozen=True, slots=True)
class AutoState:
    """What auto mode remembers of a pair, for the database."""

    machine: MachineState = field(default_factory=MachineState)
    last_close_ms: int = 0
    pair_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data: NaN as None."""
        out = asdict(self)
        out["machine"] = {
            k: None if isinstance(v, float) and math.isnan(v) else v
            for k, v in out["machine"].items()
        }
        return out

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AutoState:
        """The state that `to_dict` wrote."""
        machine = _filled(MachineState, data["machine"])
        return cls(machine, data["last_close_ms"], data["pair_id"])


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision on one close with the prices it was made at."""

    decision: Decision
    price1: float
    price2: float

    def to_dict(self, outcome: str) -> dict[str, Any]:
        """A line of the log: the decision, its inputs, and what came of it. NaN as None."""
        out = {**self.decision.to_dict(), "price1": self.price1, "price2": self.price2}
        out = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in out.items()
        }
        return {**out, "outcome": outcome}


def signals_of(candles: PairCandles, settings: AutoSettings) -> Signals:
    """Hedge ratio, spread and z-score of the closed candles, by the backtest's own code."""
    return make_signals(candles, settings.hedge, settings.z_window)


def judge(
    machine: MeanReversion,
    candles: PairCandles,
    signals: Signals,
    index: int,
    blocked: str = "",
) -> Judged:
    """Let the machine decide on the close of candle ``index``."""
    price1, price2 = float(candles.close1[index]), float(candles.close2[index])
    decision = machine.on_close(
        int(candles.time_ms[index]) + candles.timeframe_ms,
        float(signals.zscore[index]),
        spread=float(signals.spread[index]),
        price1=price1,
        price2=price2,
        hedge_ratio=float(signals.hedge_ratio[index]),
        blocked=blocked,
    )
    return Judged(decision, price1, price2)
