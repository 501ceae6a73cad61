"""What happened on a symbol's candles: paper fills and alerts, as marks of a chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from candles import CandleColumns
from charts.ohlc import Mark
from charts.style import plain
from storage import alert_store, books
from storage.books import FillRow
from storage.snapshot import Snapshot
from views.sharing import Shared
from views.text import decimals_of, moment_ms

_MOST = 500
_LINES = 6
_KEPT = Shared(limit=64)

Events = Mapping[str, tuple[Mark, ...]]


def read_events(snapshot: Snapshot, symbols: Sequence[str], start_ms: int) -> Events:
    """Fills of every account in use and alerts since ``start_ms``, by symbol.

    At most the newest 500 of each are read; nothing is read again until there is another one.
    """
    newest = (snapshot.books(books.newest_entry), snapshot.books(alert_store.newest_stamp))
    if newest == (None, None):
        return {}
    key = (newest, tuple(symbols), start_ms)
    return _KEPT.get(key, lambda: _read(snapshot, symbols, start_ms))


def _read(snapshot: Snapshot, symbols: Sequence[str], start_ms: int) -> Events:
    out: dict[str, list[Mark]] = {s: [] for s in symbols}
    names = {a.id: str(a.settings["name"]) for a in snapshot.books(books.accounts)}
    ticks = snapshot.all_of("instrument")
    for fill in snapshot.books(books.fills_since, start_ms, limit=_MOST):
        if fill.symbol in out and fill.account in names:
            step = (ticks.get(fill.symbol) or {}).get("tick_size")
            out[fill.symbol].append(_fill_mark(fill, names[fill.account], step))
    rules = {row.body["id"]: row.body for row in snapshot.books(alert_store.rules)}
    for alert in snapshot.books(alert_store.alerts, limit=_MOST):
        if alert.fired_ms >= start_ms:
            for symbol, mark in _alert_marks(alert, rules):
                if symbol in out:
                    out[symbol].append(mark)
    return {s: tuple(marks) for s, marks in out.items()}


def _fill_mark(fill: FillRow, account: str, step: float | None) -> Mark:
    side = 1 if fill.quantity > 0 else -1
    price = f"{fill.price:,.{decimals_of(step, fill.price)}f}"
    word, role = ("Bought" if side > 0 else "Sold"), ("maker" if fill.is_maker else "taker")
    text = (
        f"{word} {abs(fill.quantity):.10g} {fill.symbol.upper()} at {price} ({role}), paper "
        f"account {account}, {moment_ms(fill.time_ms)}"
    )
    return Mark(fill.time_ms, fill.price, plain(text), side)


def _alert_marks(
    alert: alert_store.AlertRow, rules: Mapping[str, Mapping[str, Any]]
) -> Iterable[tuple[str, Mark]]:
    """One mark on each symbol that the rule watches; rules that were deleted left their symbols."""
    rule = rules.get(alert.rule_id, {})
    symbols = alert.body.get("symbols") or [rule.get("symbol"), rule.get("symbol2")]
    metric = alert.body.get("metric") or rule.get("metric")
    price = float(alert.body["value"]) if metric == "price" else float("nan")
    text = plain(f"Alert: {alert.body['sentence']}, {moment_ms(alert.fired_ms)}")
    return [(s, Mark(alert.fired_ms, price, text, 0)) for s in symbols if s]


def on_candles(marks: Sequence[Mark], candles: CandleColumns, length_ms: int) -> tuple[Mark, ...]:
    """The marks on the candles they happened in; those of no shown candle are left out.

    A mark without a price of its own (an alert on a pair, on a volume) lies on the candle's close.
    Marks of one candle and kind tell of each other, for a hover box shows one of them.
    """
    if not len(candles) or not marks:
        return ()
    placed: list[tuple[int, Mark]] = []
    for mark in marks:
        at = int(np.searchsorted(candles.open_ms, mark.at_ms, side="right")) - 1
        if at >= 0 and mark.at_ms < candles.open_ms[at] + length_ms:
            placed.append((at, mark))
    told: dict[tuple[int, bool], list[str]] = {}
    for at, mark in sorted(placed, key=lambda p: p[1].at_ms):
        told.setdefault((at, mark.side != 0), []).append(mark.text)
    return tuple(
        Mark(
            int(candles.open_ms[at]),
            mark.price if np.isfinite(mark.price) else float(candles.close[at]),
            _lines(told[at, mark.side != 0]),
            mark.side,
        )
        for at, mark in placed
    )


def _lines(texts: Sequence[str]) -> str:
    shown = list(texts[:_LINES])
    if len(texts) > _LINES:
        shown.append(f"and {len(texts) - _LINES} more in this candle")
    return "<br>".join(shown)
