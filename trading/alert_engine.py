"""`AlertEngine`: every rule, found quickly for each print, and what fired. No clock, no I/O."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trading.alerts import METRICS, Alert, AlertRule, Op, RuleState, Source, advance, guards


class MoveWindow:
    """Largest rise and fall of a price against any print of the last seconds, in O(1) each."""

    def __init__(self, window_s: int) -> None:
        self._window_ms = window_s * 1000
        self._lows: deque[tuple[int, float]] = deque()
        self._highs: deque[tuple[int, float]] = deque()

    def push(self, time_ms: int, price: float) -> None:
        """Take a print in; times do not fall."""
        lows, highs, oldest = self._lows, self._highs, time_ms - self._window_ms
        while lows and lows[-1][1] >= price:
            lows.pop()
        while highs and highs[-1][1] <= price:
            highs.pop()
        lows.append((time_ms, price))
        highs.append((time_ms, price))
        while lows[0][0] < oldest:
            lows.popleft()
        while highs[0][0] < oldest:
            highs.popleft()

    @property
    def low(self) -> float:
        """Lowest price of the window."""
        return self._lows[0][1]

    @property
    def high(self) -> float:
        """Highest price of the window."""
        return self._highs[0][1]

    def rise(self, price: float) -> float:
        """Fraction above the lowest print of the window."""
        return price / self._lows[0][1] - 1.0

    def fall(self, price: float) -> float:
        """Fraction below the highest print of the window: at most 0."""
        return price / self._highs[0][1] - 1.0


@dataclass(slots=True)
class _OfSymbol:
    """What is watched on the prints of one symbol."""

    price_rules: list[str] = field(default_factory=list)
    move_rules: list[str] = field(default_factory=list)
    windows: dict[int, MoveWindow] = field(default_factory=dict)
    low: float = math.inf
    high: float = -math.inf
    calm_low: float = 0.0
    calm_high: float = math.inf


class AlertEngine:
    """Rules with their states.

    `on_print` is called for every print of the market. Price rules of a symbol share one interval
    within which no print changes any of them, so that hundreds of rules cost one comparison.
    """

    def __init__(
        self, rules: Iterable[AlertRule] = (), states: Mapping[str, RuleState] | None = None
    ) -> None:
        self.rules: dict[str, AlertRule] = {}
        self.states: dict[str, RuleState] = {}
        self.muted_until_ms = 0
        self._of: dict[str, _OfSymbol] = {}
        self._changed: set[str] = set()
        self._alerts: list[Alert] = []
        for rule in rules:
            self.put(rule, (states or {}).get(rule.id))
        self._changed.clear()

    # -- rules -------------------------------------------------------------------------------

    def put(self, rule: AlertRule, state: RuleState | None = None) -> None:
        """Add a rule, or replace it: a changed condition begins anew."""
        self.rules[rule.id] = rule
        self._set(rule.id, state or RuleState())
        self._index()

    def remove(self, rule_id: str) -> bool:
        """Forget a rule; False where there is none."""
        if self.rules.pop(rule_id, None) is None:
            return False
        self.states.pop(rule_id)
        self._changed.discard(rule_id)
        self._index()
        return True

    def snooze(self, rule_id: str, until_ms: int) -> None:
        """Keep a rule's alerts quiet until then: recorded, not delivered."""
        self._set(rule_id, replace(self.states[rule_id], snoozed_until_ms=until_ms))

    def enable(self, rule_id: str, enabled: bool) -> None:
        """Switch a rule on or off; on, it begins anew."""
        state = self.states[rule_id]
        self._set(rule_id, replace(state, enabled=enabled, armed=None, side=0))
        self._index()

    def drain(self) -> tuple[list[Alert], dict[str, RuleState]]:
        """Alerts and changed states since the last call."""
        alerts, self._alerts = self._alerts, []
        changed = {i: self.states[i] for i in self._changed}
        self._changed = set()
        return alerts, changed

    def _set(self, rule_id: str, state: RuleState) -> None:
        self.states[rule_id] = state
        self._changed.add(rule_id)

    def _index(self) -> None:
        old, self._of = self._of, {}
        for rule in self.rules.values():
            if rule.source is not Source.PRINT:
                continue
            mine = self._of.setdefault(rule.symbol, _OfSymbol())
            if rule.metric == "price":
                mine.price_rules.append(rule.id)
                continue
            mine.move_rules.append(rule.id)
            if rule.window_s not in mine.windows:
                before = old.get(rule.symbol)
                window = before.windows.get(rule.window_s) if before else None
                mine.windows[rule.window_s] = window or MoveWindow(rule.window_s)

    # -- values ------------------------------------------------------------------------------

    def longest_window_s(self, symbol: str) -> int:
        """Seconds of prints that the move rules of a symbol look back on."""
        mine = self._of.get(symbol)
        return max(mine.windows, default=0) if mine else 0

    def warm(self, symbol: str, time_ms: int, price: float) -> None:
        """A print from before the position of the tape: remembered, judged by no rule."""
        mine = self._of.get(symbol)
        for window in mine.windows.values() if mine else ():
            window.push(time_ms, price)

    def on_print(self, symbol: str, time_ms: int, price: float) -> None:
        """Judge the rules that watch a symbol's prints."""
        mine = self._of.get(symbol)
        if mine is None:
            return
        if mine.price_rules and not mine.low < price < mine.high:
            low, high = -math.inf, math.inf
            for rule_id in mine.price_rules:
                self._feed(self.rules[rule_id], price, time_ms, {})
                bounds = guards(self.rules[rule_id], self.states[rule_id])
                low, high = max(low, bounds[0]), min(high, bounds[1])
            mine.low, mine.high = low, high
        if mine.move_rules:
            self._on_move(mine, time_ms, price)

    def may_change(self, symbols: Sequence[str], prices: Sequence[float]) -> bool:
        """Whether any of these prints could change a rule on prices or is far out of a window.

        For another thread that wants to know what is urgent: it reads, and may be wrong by a
        print or two, which costs nothing but a batch written early or late.
        """
        of = self._of
        for symbol, price in zip(symbols, prices, strict=True):
            mine = of.get(symbol)
            if mine is None:
                continue
            if mine.price_rules and not mine.low < price < mine.high:
                return True
            if mine.move_rules and not mine.calm_low < price < mine.calm_high:
                return True
        return False

    def _on_move(self, mine: _OfSymbol, time_ms: int, price: float) -> None:
        for window in mine.windows.values():
            window.push(time_ms, price)
        calm_low, calm_high = 0.0, math.inf
        for rule_id in mine.move_rules:
            rule = self.rules[rule_id]
            window = mine.windows[rule.window_s]
            value = window.rise(price) if rule.op is Op.ABOVE else window.fall(price)
            low, high = guards(rule, self.states[rule_id])
            if not low < value < high:
                self._feed(rule, value, time_ms, {"price": price})
                low, high = guards(rule, self.states[rule_id])
            base = window.low if rule.op is Op.ABOVE else window.high
            calm_low = max(calm_low, base * (1.0 + low))
            calm_high = min(calm_high, base * (1.0 + high))
        mine.calm_low, mine.calm_high = calm_low, calm_high

    def on_value(
        self, rule_id: str, value: float, time_ms: int, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Judge one rule that is not on prints: its metric's value at a time."""
        self._feed(self.rules[rule_id], value, time_ms, detail or {})

    def _feed(self, rule: AlertRule, value: float, time_ms: int, detail: Mapping[str, Any]) -> None:
        before = self.states[rule.id]
        state, fires = advance(rule, before, value, time_ms)
        if state is not before:
            self._set(rule.id, state)
        if fires:
            quiet = time_ms < max(state.snoozed_until_ms, self.muted_until_ms)
            self._alerts.append(
                Alert(
                    rule.id,
                    time_ms,
                    value,
                    _told(rule, value),
                    rule.note,
                    dict(detail),
                    quiet,
                    rule.metric,
                    tuple(s for s in (rule.symbol, rule.symbol2) if s),
                )
            )


def _told(rule: AlertRule, value: float) -> str:
    unit = METRICS[rule.metric].unit
    return f"{rule.sentence()}: now {value:.6g} {unit}".rstrip()
