"""Candles of several symbols, with the lines asked for, as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from candles import CandleColumns, timeframe_ms
from charts import ohlc as chart
from charts.style import palette
from storage.snapshot import Snapshot
from views import events, indicators


@dataclass(frozen=True, slots=True)
class OhlcOptions:
    """What the user asked to see; hashable, so that sessions can share the answer."""

    symbols: tuple[str, ...]
    timeframe: str
    limit: int = 300
    mode: str = "panels"
    averages: tuple[int, ...] = ()
    bands: bool = False
    vwap: bool = False
    rsi: bool = False
    volume: bool = True
    colour_blind_safe: bool = False
    window: int = 20


@dataclass(frozen=True, slots=True)
class OhlcView:
    """A figure and what there is to say about it.

    ``counts`` are candles by symbol, ``open_gaps`` spans by symbol in which ticks are missing.
    """

    version: int
    figure: dict[str, Any]
    counts: dict[str, int]
    open_gaps: dict[str, int]
    first_ms: int | None
    last_ms: int | None
    candles: dict[str, CandleColumns]


def read_ohlc(snapshot: Snapshot, options: OhlcOptions, now_ms: int) -> OhlcView:
    """The candles of one snapshot."""
    length_ms = timeframe_ms(options.timeframe)
    shown = [_panel(snapshot, s, options, now_ms, length_ms) for s in options.symbols]
    shown = _with_events(snapshot, shown, length_ms)
    filled = [p for p in shown if len(p.candles)]
    prints = [snapshot.last_print(p.symbol)[1] for p in filled]
    colours = palette(options.colour_blind_safe)
    if options.mode == "rebased":
        filled, percent = _rebased(filled)
        figure = chart.rebased(filled, colours, percent=percent)
    else:
        figure = chart.panels(filled, colours, volume=options.volume, length_ms=length_ms)
    return OhlcView(
        version=snapshot.version,
        figure=figure,
        counts={p.symbol: len(p.candles) for p in shown},
        open_gaps={p.symbol: len(p.gaps) for p in shown if p.gaps},
        first_ms=min((int(p.candles.open_ms[0]) for p in filled), default=None),
        last_ms=max((t for t in prints if t is not None), default=None),
        candles={p.symbol: p.candles for p in shown},
    )


def _panel(
    snapshot: Snapshot, symbol: str, options: OhlcOptions, now_ms: int, length_ms: int
) -> chart.CandlePanel:
    candles = snapshot.candle_columns(symbol, options.timeframe, limit=options.limit)
    if not len(candles):
        return chart.CandlePanel(symbol, candles)
    first, last = int(candles.open_ms[0]), int(candles.open_ms[-1])
    return chart.CandlePanel(
        symbol,
        candles,
        overlays=_overlays(candles, options),
        rsi=indicators.rsi(candles.close) if options.rsi else None,
        gaps=tuple(snapshot.open_spans(symbol, first, last + length_ms)),
        forming_ms=last if last + length_ms > now_ms else None,
    )


def _overlays(candles: CandleColumns, options: OhlcOptions) -> tuple[chart.Overlay, ...]:
    lines = [
        chart.Overlay(f"MA {window}", indicators.moving_average(candles.close, window), n)
        for n, window in enumerate(options.averages)
    ]
    if options.bands:
        upper, lower = indicators.bollinger(candles.close, options.window, 2.0)
        name = f"Bollinger {options.window}, 2"
        lines += [chart.Overlay(name, upper, 4, "dot"), chart.Overlay(name, lower, 4, "dot")]
    if options.vwap:
        lines.append(chart.Overlay("VWAP", indicators.vwap(candles), 3, "dash"))
    return tuple(lines)


def _with_events(
    snapshot: Snapshot, shown: list[chart.CandlePanel], length_ms: int
) -> list[chart.CandlePanel]:
    """The panels with paper fills and alerts on their candles."""
    start = min((int(p.candles.open_ms[0]) for p in shown if len(p.candles)), default=None)
    if start is None:
        return shown
    found = events.read_events(snapshot, tuple(p.symbol for p in shown), start)
    return [
        replace(p, marks=events.on_candles(found.get(p.symbol, ()), p.candles, length_ms))
        for p in shown
    ]


def _rebased(
    shown: Sequence[chart.CandlePanel],
) -> tuple[list[chart.CandlePanel], dict[str, Any]]:
    """Percent since the first moment at which every symbol has a candle, marks as well."""
    start = max((int(p.candles.open_ms[0]) for p in shown), default=0)
    panels, out = [], {}
    for p in shown:
        at = int(np.searchsorted(p.candles.open_ms, start))
        base = float(p.candles.close[min(at, len(p.candles) - 1)])
        out[p.symbol] = indicators.rebased_percent(p.candles.close, base)
        marks = tuple(replace(m, price=(m.price / base - 1.0) * 100.0) for m in p.marks)
        panels.append(replace(p, marks=marks))
    return panels, out
