"""What the desk looks at by the clock: rules on candle closes, on the feed and on accounts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from candles import CandleColumns, timeframe_ms
from database import Snapshot
from desk.state import DeskState
from storage import books
from trading.alert_metrics import candles_needed, reading
from trading.alerts import METRICS, AlertRule, Source
from trading.auto import AutoSettings, signals_of
from trading.candle_pair import PairCandles, frozen_array
from trading.monitor import pair_health
from trading.paper import PaperAccount
from trading.paper_pairs import Pair
from trading.signals import HedgePlan

GRACE_MS = 1_500
"""How long after a candle's end its last prints may still come."""
MONITOR_TIMEFRAME = "1min"
MONITOR_CANDLES = 240


class Closes:
    """Closed candles of one moment, each read once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._read: dict[tuple[str, str, int, int], CandleColumns] = {}

    def of(self, symbol: str, timeframe: str, limit: int, close_ms: int) -> CandleColumns:
        """The newest ``limit`` candles that ended at ``close_ms`` or before."""
        key = (symbol, timeframe, limit, close_ms)
        if key not in self._read:
            self._read[key] = self._snapshot.candle_columns(
                symbol, timeframe, limit=limit, before_ms=close_ms
            )
        return self._read[key]


def last_close_ms(timeframe: str, now_ms: int) -> int:
    """End of the newest candle that can be taken as closed."""
    length = timeframe_ms(timeframe)
    return (now_ms - GRACE_MS) // length * length


def due_rules(state: DeskState, now_ms: int) -> list[tuple[AlertRule, int]]:
    """Rules on candle closes with a close that they have not seen, and that close."""
    closed: dict[str, int] = state.marks["closed"]
    due = []
    for rule in state.engine.rules.values():
        if rule.source is not Source.CLOSE or not state.engine.states[rule.id].enabled:
            continue
        close_ms = last_close_ms(rule.timeframe, now_ms)
        if close_ms > closed.get(rule.id, 0):
            due.append((rule, close_ms))
    return due


def judge_closes(state: DeskState, snapshot: Snapshot, now_ms: int) -> None:
    """Give every due rule the value of its metric at the newest close."""
    closes = Closes(snapshot)
    for rule, close_ms in due_rules(state, now_ms):
        state.marks["closed"][rule.id] = close_ms
        limit = candles_needed(rule)
        first = closes.of(rule.symbol, rule.timeframe, limit, close_ms)
        pair = METRICS[rule.metric].symbols == 2
        second = closes.of(rule.symbol2, rule.timeframe, limit, close_ms) if pair else None
        newest = close_ms - timeframe_ms(rule.timeframe)
        if not len(first) or int(first.open_ms[-1]) != newest:
            continue  # nothing was traded in the candle: there is no new value
        value = reading(rule, first, second)
        state.engine.on_value(rule.id, value.value, close_ms, value.detail)


def judge_clock(
    state: DeskState,
    snapshot: Snapshot,
    now_ms: int,
    peaks: Mapping[str, float],
    lag_ms: float | None,
) -> None:
    """Give every rule on feed, gaps and accounts its value of now."""
    rules = [r for r in state.engine.rules.values() if r.source is Source.CLOCK]
    new_gaps: dict[str, int] = {}
    if any(r.metric == "gaps" for r in rules):
        for gap_id, symbol, _ in snapshot.books(books.gaps_after, state.marks["gap"]):
            state.marks["gap"] = gap_id
            new_gaps[symbol] = new_gaps.get(symbol, 0) + 1
    for rule in rules:
        value = _clock_value(state, rule, now_ms, peaks, lag_ms, new_gaps)
        state.engine.on_value(rule.id, value, now_ms)


def _clock_value(
    state: DeskState, rule: AlertRule, now_ms: int, peaks: Mapping[str, float],
    lag_ms: float | None, new_gaps: Mapping[str, int],
) -> float:  # fmt: skip
    if rule.metric == "silence":
        age = state.market.age_ms(rule.symbol, now_ms)
        return math.nan if age is None else age / 1000
    if rule.metric == "lag":
        return math.nan if lag_ms is None else lag_ms / 1000
    if rule.metric == "gaps":
        return float(new_gaps.get(rule.symbol, 0))
    account = state.accounts.get(rule.account)
    if account is None:
        return math.nan
    if rule.metric == "pnl":
        return account.equity() - account.settings.starting_equity
    if rule.metric == "drawdown":
        equity = account.equity()
        peak = max(peaks.get(account.id, 0.0), account.settings.starting_equity, equity)
        return 1.0 - equity / peak
    return nearest_liquidation(account)


def nearest_liquidation(account: PaperAccount) -> float:
    """The least distance of a mark price to a liquidation price, as a fraction; NaN for none."""
    distances = [account.margin(p).distance for p in account.book.open_positions()]
    known = [d for d in distances if not math.isnan(d)]
    return min(known, default=math.nan)


def needs_numbers(state: DeskState) -> bool:
    """Whether anything is to be computed that compiles on first use."""
    tests = any(r.metric == "cointegration" for r in state.engine.rules.values())
    return tests or bool(state.autos) or bool(open_pairs(state))


def warm_up() -> None:
    """Compile what auto mode and the pair monitor use, on a few made-up candles."""
    from quant.cointegration import engle_granger

    steps = np.random.default_rng(1).normal(size=(2, 120)).cumsum(axis=1) + 100.0
    engle_granger(steps[0], steps[1])
    settings = AutoSettings("a", "b", hedge=HedgePlan("rolling", 20), z_window=20)
    y, x = frozen_array(steps[0]), frozen_array(steps[1])
    times = np.arange(120, dtype=np.int64) * settings.length_ms
    signals_of(PairCandles(times, y, x, y, x, y, x, settings.length_ms), settings)


def open_pairs(state: DeskState) -> list[Pair]:
    """Every pair that is held, over all accounts."""
    return [p for a in state.accounts.values() for p in a.pairs.values()]


def monitor(state: DeskState, snapshot: Snapshot, now_ms: int) -> dict[str, dict[str, Any]]:
    """Cointegration and hedge drift of every held pair over the last candles, by pair."""
    closes, out = Closes(snapshot), {}
    close_ms = last_close_ms(MONITOR_TIMEFRAME, now_ms)
    for pair in open_pairs(state):
        first, second = (
            closes.of(s, MONITOR_TIMEFRAME, MONITOR_CANDLES, close_ms) for s in pair.symbols
        )
        _, i, j = np.intersect1d(first.open_ms, second.open_ms, return_indices=True)
        health = pair_health(first.close[i], second.close[j], pair.hedge_ratio)
        out[pair.id] = {**health.to_dict(), "at_ms": now_ms, "timeframe": MONITOR_TIMEFRAME}
    return out
