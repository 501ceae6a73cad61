"""Two symbols as one thing: rebased prices, spread and z-score, ratio and correlation, scatter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charts.style import (
    FORMING,
    GAP,
    MUTED,
    ZERO,
    Figure,
    Palette,
    Trace,
    axis,
    level,
    single,
    span,
    stacked,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Signals:
    """Entries and exits of the mean-reversion rule: times, z-scores and what they are.

    ``side`` is +1 for a long entry, −1 for a short entry, 0 for an exit.
    """

    at_ms: Ints
    zscore: Floats
    side: NDArray[np.int8]


def line(
    name: str,
    x: Any,
    y: Any,
    panel: int,
    colour: str,
    *,
    width: float = 1.5,
    dash: str = "solid",
    legend: bool = True,
    hover: str = "",
) -> Trace:
    """A line in a panel."""
    trace: Trace = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": x,
        "y": y,
        "yaxis": f"y{axis(panel)}",
        "line": {"color": colour, "width": width, "dash": dash},
        "connectgaps": False,
        "showlegend": legend,
    }
    return trace | ({"hovertemplate": hover} if hover else {})


def band(x: Any, low: Any, high: Any, panel: int, colour: str, name: str) -> list[Trace]:
    """A shaded band between two lines."""
    edge = {"type": "scatter", "mode": "lines", "x": x, "yaxis": f"y{axis(panel)}"}
    thin = {"line": {"width": 0.8, "color": colour, "dash": "dot"}, "showlegend": False}
    fill = {"fill": "tonexty", "fillcolor": translucent(colour, 0.10)}
    return [
        edge | thin | {"y": low, "name": f"{name} low"},
        edge | thin | fill | {"y": high, "name": f"{name} high"},
    ]


def translucent(colour: str, alpha: float) -> str:
    """``#rrggbb`` as ``rgba(…)``."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def spread_and_zscore(
    times: Ints,
    spread: Floats,
    zscore: Floats,
    colours: Palette,
    *,
    entry_th: float,
    exit_th: float,
    bands: tuple[Floats, Floats] | None = None,
    rebased: Sequence[tuple[str, Floats]] = (),
    signals: Signals | None = None,
    gaps: Sequence[tuple[int, int]] = (),
    forming: tuple[int, int] | None = None,
) -> Figure:
    """Prices rebased to percent (where given), the spread with its bands, the z-score with signals.

    All arrays have the times' length n; NaN leaves a gap in a line.
    """
    titles = ["Spread", "Z-score"]
    heights = [1.0, 1.0]
    if rebased:
        titles, heights = ["Prices, percent since the first candle shown", *titles], [0.9, *heights]
    layout = stacked(heights, titles=titles, gap=0.065)
    data: list[Trace] = []
    panel = 1
    if rebased:
        layout["yaxis"]["ticksuffix"] = " %"
        for n, (name, percent) in enumerate(rebased):
            data.append(
                line(name, times, percent, 1, colours.lines[n], hover="%{y:.3f} %", width=1.6)
            )
        panel = 2
    if bands is not None:
        data += band(times, bands[0], bands[1], panel, colours.lines[4], "Band")
    data.append(line("Spread", times, spread, panel, colours.lines[0], legend=False))
    data += _zscore(times, zscore, panel + 1, colours, signals)
    layout["shapes"] += threshold_levels(panel + 1, entry_th, exit_th, colours)
    layout["shapes"] += [span(a, b, colour=GAP) for a, b in gaps]
    if forming is not None:
        layout["shapes"].append(span(*forming, colour=FORMING))
    return {"data": data, "layout": layout}


def threshold_levels(
    panel: int, entry_th: float, exit_th: float, colours: Palette
) -> list[dict[str, Any]]:
    """Lines at ±entry, ±exit."""
    lines = [
        level(entry_th, panel, colour=colours.down, dash="dash"),
        level(-entry_th, panel, colour=colours.up, dash="dash"),
        level(exit_th, panel, colour=ZERO),
    ]
    return [*lines, level(-exit_th, panel, colour=ZERO)] if exit_th else lines


def _zscore(
    times: Ints, zscore: Floats, panel: int, colours: Palette, signals: Signals | None
) -> list[Trace]:
    traces = [
        line("Z-score", times, zscore, panel, colours.lines[1], legend=False, hover="%{y:.2f}")
    ]
    if signals is None:
        return traces
    for side, name, symbol, colour in (
        (1, "Long entry", "triangle-up", colours.up),
        (-1, "Short entry", "triangle-down", colours.down),
        (0, "Exit", "circle-open", MUTED),
    ):
        chosen = signals.side == side
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": signals.at_ms[chosen],
                "y": signals.zscore[chosen],
                "yaxis": f"y{axis(panel)}",
                "marker": {"symbol": symbol, "size": 9, "color": colour},
                "showlegend": bool(chosen.any()),
                "hovertemplate": "%{y:.2f}",
            }
        )
    return traces


def ratio_and_correlation(
    times: Ints,
    ratio: Floats,
    ratio_band: tuple[Floats, Floats] | None,
    correlation: Floats,
    correlation_band: tuple[Floats, Floats] | None,
    colours: Palette,
    *,
    ratio_title: str = "Hedge ratio",
    fixed_ratio: float | None = None,
) -> Figure:
    """The hedge ratio and the correlation over time, each with its confidence band."""
    layout = stacked([1.0, 1.0], titles=[ratio_title, "Rolling correlation of returns"], gap=0.1)
    data: list[Trace] = []
    if ratio_band is not None:
        data += band(times, *ratio_band, 1, colours.lines[0], "95 %")
    data.append(line("Hedge ratio", times, ratio, 1, colours.lines[0], legend=False))
    if correlation_band is not None:
        data += band(times, *correlation_band, 2, colours.lines[2], "95 %")
    data.append(
        line("Correlation", times, correlation, 2, colours.lines[2], legend=False, hover="%{y:.3f}")
    )
    if fixed_ratio is not None:
        layout["shapes"].append(level(fixed_ratio, 1, colour=colours.warn, dash="dash"))
    layout["shapes"].append(level(0.0, 2))
    layout["yaxis2"] |= {"range": [-1.05, 1.05], "tickvals": [-1, -0.5, 0, 0.5, 1]}
    return {"data": data, "layout": layout}


def scatter_with_fit(
    x: Floats,
    y: Floats,
    age: Floats,
    fit: tuple[Floats, Floats] | None,
    colours: Palette,
    *,
    x_title: str,
    y_title: str,
) -> Figure:
    """price1 against price2, newer points brighter, and the fitted line."""
    layout = single(x_title, y_title)
    data: list[Trace] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "Closes",
            "x": x,
            "y": y,
            "marker": {
                "size": 5,
                "opacity": 0.75,
                "color": age,
                "colorscale": [[0, "#33415f"], [1, colours.lines[0]]],
            },
            "showlegend": False,
            "hovertemplate": "%{x:.7~r} · %{y:.7~r}<extra></extra>",
        }
    ]
    if fit is not None:
        data.append(line("Fit", *fit, 1, colours.warn, width=2))
    return {"data": data, "layout": layout}
