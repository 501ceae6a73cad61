"""Alert rules as state machines: values in, at most one alert out for each transition.

A rule watches one number (its metric) against one level. It is *armed* while the condition is not
met and fires on the transition to met; then it is spent until the number has come back to the
re-arm level. A rule whose condition is met already when it is made waits for that as well: it
fires on a transition, not on a state. What a rule remembers is a `RuleState`, which the desk
stores in the transaction that stores the alert, so that no restart repeats or loses one.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from candles import CHART_TIMEFRAMES
from errors import BadInput


class Op(enum.StrEnum):
    """How the metric is held against the level."""

    ABOVE = "above"
    BELOW = "below"
    CROSSES = "crosses"


class Source(enum.StrEnum):
    """When a metric has a new value."""

    PRINT = "print"
    CLOSE = "candle close"
    CLOCK = "clock"


class Metric(NamedTuple):
    """What can be watched; ``low`` and ``high`` bound what it can ever be, ends left out."""

    label: str
    source: Source
    symbols: int
    unit: str
    low: float = -math.inf
    high: float = math.inf
    needs_window: bool = False
    needs_account: bool = False


METRICS: dict[str, Metric] = {
    "price": Metric("Price", Source.PRINT, 1, "quote per base", low=0.0),
    "move": Metric("Percent move in a window", Source.PRINT, 1, "fraction", low=-1.0),
    "zscore": Metric(
        "z-score of a pair", Source.CLOSE, 2, "standard deviations", needs_window=True
    ),
    "spread": Metric("Spread of a pair", Source.CLOSE, 2, "quote", needs_window=True),
    "correlation": Metric(
        "Rolling correlation of returns", Source.CLOSE, 2, "", -1.0, 1.0, needs_window=True
    ),
    "volume": Metric(
        "Candle volume against its own mean", Source.CLOSE, 1, "times", low=0.0, needs_window=True
    ),
    "volatility": Metric(
        "Candle range against its own mean", Source.CLOSE, 1, "times", low=0.0, needs_window=True
    ),
    "cointegration": Metric(
        "Engle–Granger p-value of a pair", Source.CLOSE, 2, "", 0.0, 1.0, needs_window=True
    ),
    "silence": Metric("Feed silent", Source.CLOCK, 1, "seconds", low=0.0),
    "lag": Metric("Feed lagging", Source.CLOCK, 1, "seconds", low=0.0),
    "gaps": Metric("Gap found in the tape", Source.CLOCK, 1, "gaps", low=0.0),
    "pnl": Metric("Paper P&L", Source.CLOCK, 0, "quote", needs_account=True),
    "drawdown": Metric(
        "Paper drawdown from the peak", Source.CLOCK, 0, "fraction", 0.0, needs_account=True
    ),
    "liquidation": Metric(
        "Distance to the nearest liquidation", Source.CLOCK, 0, "fraction", needs_account=True
    ),
}


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A condition.

    Attributes
    ----------
    metric : str
        A key of `METRICS`.
    level, rearm : float
        Fires on reaching ``level``; may fire again after coming back to ``rearm`` (the level
        itself where None). Fractions are fractions: a 2 % move is 0.02.
    symbol, symbol2 : str
        What it watches; of a pair, price1 and price2. "" where the metric needs none.
    timeframe, window : str, int
        Candles of which the metric is made.
    window_s : int
        Seconds over which a percent move is measured.
    cooldown_s : int
        Transitions within so long after an alert are passed over.
    expires_ms : int
        From then on it is silent; 0: never.
    """

    id: str
    metric: str
    op: Op
    level: float
    rearm: float | None = None
    symbol: str = ""
    symbol2: str = ""
    timeframe: str = "1min"
    window: int = 60
    window_s: int = 300
    account: str = ""
    cooldown_s: int = 0
    expires_ms: int = 0
    note: str = ""
    created_ms: int = 0

    @property
    def source(self) -> Source:
        """When it has a new value."""
        return METRICS[self.metric].source

    @property
    def back(self) -> float:
        """The re-arm level in force."""
        return self.level if self.rearm is None else self.rearm

    def sentence(self) -> str:
        """The condition for a person."""
        what = METRICS[self.metric]
        place = "/".join(s.upper() for s in (self.symbol, self.symbol2) if s) or self.account
        span = f" over {self.window_s} s" if self.metric == "move" else ""
        if what.needs_window:
            span = f" ({self.window} × {self.timeframe})"
        return f"{what.label}{span} of {place} {self.op} {self.level:g} {what.unit}".rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the database."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AlertRule:
        """The rule that `to_dict` wrote."""
        return cls(**{**data, "op": Op(data["op"])})


def check_rule(rule: AlertRule, known_symbols: frozenset[str], now_ms: int) -> None:
    """Refuse a rule that cannot work or can never fire, with a sentence.

    Raises
    ------
    BadInput
        What was found and what is allowed.
    """
    metric = METRICS.get(rule.metric)
    if metric is None:
        raise BadInput(f"{rule.metric!r} is not a metric; {', '.join(METRICS)} are.")
    if not math.isfinite(rule.level) or (rule.rearm is not None and not math.isfinite(rule.rearm)):
        raise BadInput(f"The levels are finite numbers, found {rule.level} and {rule.rearm}.")
    _check_symbols(rule, metric, known_symbols)
    _check_reach(rule, metric)
    _check_rearm(rule)
    if metric.needs_account and not rule.account:
        raise BadInput(f"{metric.label} needs an account to watch.")
    if metric.needs_window:
        if rule.timeframe not in CHART_TIMEFRAMES:
            raise BadInput(f"{rule.timeframe!r} is not offered; {', '.join(CHART_TIMEFRAMES)} are.")
        least = 30 if rule.metric == "cointegration" else 3
        if not least <= rule.window <= 5000:
            raise BadInput(f"The window is from {least} to 5000 candles, found {rule.window}.")
    if rule.metric == "move" and not 1 <= rule.window_s <= 86_400:
        raise BadInput(f"The window of a move is 1 to 86400 seconds, found {rule.window_s}.")
    if rule.cooldown_s < 0:
        raise BadInput(f"The cool-down is 0 seconds or more, found {rule.cooldown_s}.")
    if rule.expires_ms and rule.expires_ms <= now_ms:
        raise BadInput("The rule can never fire: it expires in the past.")


def _check_symbols(rule: AlertRule, metric: Metric, known: frozenset[str]) -> None:
    wanted = (rule.symbol, rule.symbol2)[: metric.symbols]
    for symbol in wanted:
        if symbol not in known:
            listed = ", ".join(sorted(known)[:8]) or "none yet"
            raise BadInput(f"{symbol!r} is not a symbol this desk knows; known are {listed}.")
    if metric.symbols == 2 and rule.symbol == rule.symbol2:
        raise BadInput(f"A pair has two symbols, found {rule.symbol} twice.")


def _check_reach(rule: AlertRule, metric: Metric) -> None:
    low, high = metric.low, metric.high
    if rule.metric == "move" and (
        rule.op is Op.CROSSES or (rule.level > 0) != (rule.op is Op.ABOVE)
    ):
        raise BadInput(
            "A percent move is above a positive level (a rise) or below a negative one (a fall), "
            f"found {rule.op} {rule.level:g}."
        )
    if rule.metric == "zscore":
        # A value is part of its own window, which bounds it: Shiffler (1988), (n − 1)/√n.
        high = (rule.window - 1) / math.sqrt(rule.window) if rule.window > 1 else 0.0
        low = -high
    reachable = {
        Op.ABOVE: rule.level < high,
        Op.BELOW: rule.level > low,
        Op.CROSSES: low < rule.level < high,
    }[rule.op]
    if not reachable:
        raise BadInput(
            f"The rule can never fire: {metric.label.lower()} stays between {low:g} and "
            f"{high:g}, the level is {rule.level:g}."
        )
    always = {Op.ABOVE: rule.level <= low, Op.BELOW: rule.level >= high}.get(rule.op, False)
    if always:
        raise BadInput(
            f"The rule can never fire: {metric.label.lower()} is always {rule.op} "
            f"{rule.level:g}, so it never comes to be."
        )


def _check_rearm(rule: AlertRule) -> None:
    if rule.rearm is None:
        return
    if rule.op is Op.CROSSES:
        raise BadInput("A rule on crossing has no re-arm level; it fires on every crossing.")
    wrong = rule.rearm > rule.level if rule.op is Op.ABOVE else rule.rearm < rule.level
    if wrong:
        where = "at or below" if rule.op is Op.ABOVE else "at or above"
        raise BadInput(
            f"The re-arm level of a rule {rule.op} {rule.level:g} lies {where} it, "
            f"found {rule.rearm:g}."
        )


@dataclass(frozen=True, slots=True)
class RuleState:
    """All that a rule remembers.

    ``armed`` None before the first value; ``side`` of a crossing rule is −1 below, +1 above its
    level, 0 before the first value. ``value`` and ``value_ms`` are the latest seen when the state
    last changed.
    """

    armed: bool | None = None
    side: int = 0
    fired_ms: int = 0
    fires: int = 0
    snoozed_until_ms: int = 0
    enabled: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the database."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Alert:
    """The event: which rule, when by the market's or the machine's clock, and the value."""

    rule_id: str
    fired_ms: int
    value: float
    sentence: str
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    is_quiet: bool = False
    metric: str = ""
    symbols: tuple[str, ...] = ()


class Step(NamedTuple):
    """What one value did to a rule."""

    state: RuleState
    fires: bool


def advance(rule: AlertRule, state: RuleState, value: float, time_ms: int) -> Step:
    """Feed one value; a NaN changes nothing.

    Cool-down passes transitions over; a snoozed rule still fires, quietly: the history is kept.
    """
    if math.isnan(value) or not state.enabled:
        return Step(state, False)
    if rule.expires_ms and time_ms >= rule.expires_ms:
        return Step(replace(state, enabled=False), False)
    fires, state = (
        _cross(rule, state, value) if rule.op is Op.CROSSES else _reach(rule, state, value)
    )
    if not fires:
        return Step(state, False)
    if state.fired_ms and time_ms - state.fired_ms < rule.cooldown_s * 1000:
        return Step(state, False)
    return Step(replace(state, fired_ms=time_ms, fires=state.fires + 1), True)


def _reach(rule: AlertRule, state: RuleState, value: float) -> tuple[bool, RuleState]:
    sign = 1.0 if rule.op is Op.ABOVE else -1.0
    met = sign * value >= sign * rule.level
    if state.armed is None:
        return False, replace(state, armed=not met)
    if state.armed:
        return (True, replace(state, armed=False)) if met else (False, state)
    back = sign * value <= sign * rule.back and not met
    return False, replace(state, armed=True) if back else state


def _cross(rule: AlertRule, state: RuleState, value: float) -> tuple[bool, RuleState]:
    side = 1 if value > rule.level else -1 if value < rule.level else 0
    if side == 0 or side == state.side:
        return False, state  # at the level is not across it yet
    return state.side != 0, replace(state, side=side)


def guards(rule: AlertRule, state: RuleState) -> tuple[float, float]:
    """Open interval of values that change nothing: the engine skips a rule while inside it.

    (−inf, inf) for a rule that is off, an empty interval before its first value.
    """
    if not state.enabled:
        return -math.inf, math.inf
    if rule.op is Op.CROSSES:
        if state.side == 0:
            return math.inf, -math.inf
        return (rule.level, math.inf) if state.side > 0 else (-math.inf, rule.level)
    if state.armed is None:
        return math.inf, -math.inf
    if rule.op is Op.ABOVE:
        return (-math.inf, rule.level) if state.armed else (rule.back, math.inf)
    return (rule.level, math.inf) if state.armed else (-math.inf, rule.back)
