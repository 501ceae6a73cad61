"""Candles: each symbol in a panel of its own, or all rebased to percent."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candles import CandleColumns
from charts.style import FORMING, GAP, Figure, Palette, Trace, axis, level, span, stacked

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overlay:
    """A line over the candles of one symbol, on their times."""

    name: str
    values: Floats
    colour: int = 0
    dash: str = "solid"


@dataclass(frozen=True, slots=True)
class CandlePanel:
    """What is drawn of one symbol.

    ``gaps`` are spans of time (epoch ms) in which ticks are missing; ``forming_ms`` is the open of
    the candle that is not closed yet, or None; ``rsi`` has the candles' length, or is None.
    """

    symbol: str
    candles: CandleColumns
    overlays: Sequence[Overlay] = ()
    rsi: Floats | None = None
    gaps: Sequence[tuple[int, int]] = ()
    forming_ms: int | None = None
    marks: Sequence[Mark] = field(default=())


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a time and price.

    ``side`` is +1 where the paper account bought, −1 where it sold, 0 for an alert. ``text`` is
    shown on hover as Plotly's small HTML: names in it are made harmless with `style.plain`.
    """

    at_ms: int
    price: float
    text: str
    side: int = 0


def panels(
    shown: Sequence[CandlePanel], colours: Palette, *, volume: bool = True, length_ms: int = 0
) -> Figure:
    """One panel of candles a symbol, each followed by its volume and RSI where asked for."""
    heights: list[float] = []
    titles: list[str] = []
    rows: list[tuple[CandlePanel, str]] = []
    for panel in shown:
        for kind, height in (("candles", 1.0), ("volume", 0.24), ("rsi", 0.3)):
            if (
                kind == "candles"
                or (kind == "volume" and volume)
                or (kind == "rsi" and panel.rsi is not None)
            ):
                rows.append((panel, kind))
                heights.append(height)
                titles.append({"candles": panel.symbol.upper(), "rsi": "RSI 14"}.get(kind, ""))
    layout = stacked(heights or [1.0], titles=titles, gap=min(0.045, 0.3 / max(len(rows), 1)))
    data: list[Trace] = []
    for number, (panel, kind) in enumerate(rows, start=1):
        if kind == "candles":
            data += _candle_traces(panel, number, colours)
        elif kind == "volume":
            data.append(_volume(panel, number, colours))
            layout[f"yaxis{axis(number)}"] |= {"rangemode": "tozero", "nticks": 3}
        else:
            data.append(_line("RSI 14", panel.candles.open_ms, panel.rsi, number, colours.lines[3]))
            layout[f"yaxis{axis(number)}"] |= {"range": [0, 100], "tickvals": [30, 50, 70]}
            layout["shapes"] += [level(30, number), level(70, number)]
        layout["shapes"] += _shades(panel, layout[f"yaxis{axis(number)}"]["domain"], length_ms)
    return {"data": _named(data), "layout": layout}


def _named(data: list[Trace]) -> list[Trace]:
    """Names that stay with a trace when others come and go, and one legend entry a group.

    Plotly keeps what the user has hidden by these names; by position it would hide another.
    """
    seen: dict[str, int] = {}
    groups: set[str] = set()
    for trace in data:
        name = f"{trace.get('yaxis', 'y')} {trace['name']}"
        seen[name] = seen.get(name, 0) + 1
        # Plotly makes a CSS class of it, so it holds no sign of the name itself.
        trace["uid"] = f"{zlib.crc32(f'{name} {seen[name]}'.encode()):08x}"
        group = trace.get("legendgroup")
        if group and trace["showlegend"]:
            trace["showlegend"] = group not in groups
            groups.add(group)
    return data


def rebased(
    shown: Sequence[CandlePanel], colours: Palette, *, percent: Mapping[str, Floats]
) -> Figure:
    """Closes of all symbols as percent of their first shown close, in one panel.

    Parameters
    ----------
    percent : mapping of symbol to array
        The closes rebased, on the candles' times; the marks' prices are rebased as well.
    """
    layout = stacked([1.0], titles=["Change since the first candle shown"])
    layout["yaxis"]["ticksuffix"] = " %"
    layout["shapes"].append(level(0.0, 1))
    data = []
    for n, panel in enumerate(shown):
        colour = colours.lines[n % len(colours.lines)]
        line = _line(
            panel.symbol.upper(), panel.candles.open_ms, percent[panel.symbol], 1, colour, width=1.8
        )
        data.append(line | {"hovertemplate": "%{y:.3f} %", "showlegend": True})
        data += mark_traces(panel.marks, 1, colours)
        layout["shapes"] += [span(a, b, colour=GAP) for a, b in panel.gaps]
    return {"data": _named(data), "layout": layout}


def _candle_traces(panel: CandlePanel, number: int, colours: Palette) -> list[Trace]:
    c = panel.candles
    traces: list[Trace] = [
        {
            "type": "candlestick",
            "name": panel.symbol.upper(),
            "x": c.open_ms,
            "open": c.open,
            "high": c.high,
            "low": c.low,
            "close": c.close,
            "yaxis": f"y{axis(number)}",
            "increasing": {"line": {"color": colours.up, "width": 1}, "fillcolor": colours.up},
            "decreasing": {"line": {"color": colours.down, "width": 1}, "fillcolor": colours.down},
            "showlegend": False,
        }
    ]
    for overlay in panel.overlays:
        colour = colours.lines[overlay.colour % len(colours.lines)]
        line = _line(overlay.name, c.open_ms, overlay.values, number, colour, dash=overlay.dash)
        traces.append(line | {"showlegend": number == 1, "legendgroup": overlay.name})
    return traces + mark_traces(panel.marks, number, colours)


def mark_traces(marks: Sequence[Mark], number: int, colours: Palette) -> list[Trace]:
    """Fills as triangles, up for bought and down for sold, and alerts as stars, where there are.

    Shape tells them apart as well as colour, and so does the legend.
    """
    kinds = (
        (1, "Bought (paper)", "triangle-up", colours.up, 13),
        (-1, "Sold (paper)", "triangle-down", colours.down, 13),
        (0, "Alert", "star-diamond", colours.lines[3], 13),
    )
    return [
        _mark_trace(chosen, number, name, symbol, colour, size)
        for side, name, symbol, colour, size in kinds
        if (chosen := [m for m in marks if m.side == side])
    ]


def _mark_trace(
    marks: Sequence[Mark], number: int, name: str, symbol: str, colour: str, size: int
) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": np.array([m.at_ms for m in marks], dtype=np.int64),
        "y": np.array([m.price for m in marks]),
        "text": [m.text for m in marks],
        "hovertemplate": "%{text}<extra></extra>",
        "yaxis": f"y{axis(number)}",
        # Candles have the same colours: the edge sets the mark off from them.
        "marker": {
            "size": size,
            "symbol": symbol,
            "color": colour,
            "line": {"width": 1.5, "color": "#ffffff"},
        },
        "showlegend": True,
        "legendgroup": name,
    }


def _volume(panel: CandlePanel, number: int, colours: Palette) -> Trace:
    c = panel.candles
    return {
        "type": "bar",
        "name": f"Volume {panel.symbol.upper()}",
        "x": c.open_ms,
        "y": c.volume,
        "yaxis": f"y{axis(number)}",
        "marker": {
            "color": np.where(c.close >= c.open, 1.0, 0.0),
            "colorscale": [[0, colours.down], [1, colours.up]],
            "cmin": 0,
            "cmax": 1,
            "line": {"width": 0},
        },
        "opacity": 0.55,
        "showlegend": False,
    }


def _line(
    name: str,
    times: Any,
    values: Any,
    number: int,
    colour: str,
    *,
    width: float = 1.3,
    dash: str = "solid",
) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": values,
        "yaxis": f"y{axis(number)}",
        "line": {"color": colour, "width": width, "dash": dash},
        "connectgaps": False,
        "showlegend": False,
    }


def _shades(panel: CandlePanel, domain: Sequence[float], length_ms: int) -> list[dict[str, Any]]:
    shades = [span(a, b, colour=GAP, bottom=domain[0], top=domain[1]) for a, b in panel.gaps]
    if panel.forming_ms is not None and length_ms:
        half = length_ms // 2
        shades.append(
            span(
                panel.forming_ms - half,
                panel.forming_ms + half,
                colour=FORMING,
                bottom=domain[0],
                top=domain[1],
            )
        )
    return shades
