"""Figures of the statistics page: distributions, quantiles, lags, seasons, heat maps, cones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charts.pair import line
from charts.style import MUTED, Figure, Palette, level, plain, single

Floats = NDArray[np.float64]
# Ends dark enough for white figures on them, in both themes.
_DIVERGING = [[0.0, "#8f5400"], [0.5, "#141b2c"], [1.0, "#4259c9"]]


def distribution(
    edges: Floats, density: Floats, curves: Sequence[tuple[str, Floats]], colours: Palette
) -> Figure:
    """A histogram of returns with fitted densities over the bins' middles."""
    middles = (edges[:-1] + edges[1:]) / 2
    bars = _bars("Returns", middles, density, colours.lines[0], width=edges[1] - edges[0])
    layout = single("Log return, %", "Density")
    layout["legend"] |= {"x": 1.0, "xanchor": "right"}
    fits = [
        line(name, middles, values, 1, colours.lines[n + 1], width=2)
        for n, (name, values) in enumerate(curves)
    ]
    return {"data": [bars, *fits], "layout": layout}


def quantiles(theory: Floats, sample: Floats, name: str, colours: Palette) -> Figure:
    """Sample against theoretical quantiles, and the line on which they would agree."""
    ends = np.array([theory.min(), theory.max()])
    points = {
        "type": "scatter",
        "mode": "markers",
        "name": "Sample",
        "x": theory,
        "y": sample,
        "marker": {"size": 4, "color": colours.lines[0]},
        "showlegend": False,
    }
    same = line("Agreement", ends, ends, 1, colours.warn, dash="dash", legend=False)
    return {"data": [points, same], "layout": single(f"Quantile of {name}", "Sample quantile")}


def lags(
    lag: Any, values: Floats, bound: float | None, colours: Palette, *, x_title: str, y_title: str
) -> Figure:
    """Bars over lags, with the bounds of noise."""
    layout = single(x_title, y_title)
    if bound is not None:
        layout["shapes"] = [
            level(bound, 1, colour=colours.warn, dash="dash"),
            level(-bound, 1, colour=colours.warn, dash="dash"),
        ]
    at = np.asarray(lag, dtype=float)
    return {"data": [_bars(y_title, at, values, colours.lines[0])], "layout": layout}


def bars(
    labels: Sequence[str], values: Floats, colours: Palette, *, x_title: str, y_title: str
) -> Figure:
    """Bars over labels."""
    trace = _bars(y_title, np.arange(len(labels), dtype=float), values, colours.lines[2])
    return {
        "data": [trace | {"x": list(labels)}],
        "layout": single(x_title, y_title),
    }


def heat_map(
    labels_x: Sequence[str],
    labels_y: Sequence[str],
    values: NDArray[Any],
    *,
    low: float | None = -1.0,
    high: float | None = 1.0,
    text: Sequence[Sequence[str]] | None = None,
    x_title: str = "",
    y_title: str = "",
    scale: Any = None,
) -> Figure:
    """A matrix in colour; cells that are NaN stay empty."""
    cells = [[None if not np.isfinite(v) else float(v) for v in row] for row in values]
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": [plain(x) for x in labels_x],
        "y": [plain(y) for y in labels_y],
        "z": cells,
        "colorscale": scale or _DIVERGING,
        "colorbar": {"thickness": 10, "outlinewidth": 0},
        "hovertemplate": "%{y} · %{x}: %{z:.4g}<extra></extra>",
        "xgap": 1,
        "ygap": 1,
    }
    if low is not None:
        trace |= {"zmin": low, "zmax": high}
    if text is not None:
        trace |= {"text": [list(row) for row in text], "texttemplate": "%{text}"}
    layout = single(x_title, y_title)
    layout["xaxis"] |= {"type": "category", "showgrid": False}
    layout["yaxis"] |= {"type": "category", "showgrid": False, "autorange": "reversed"}
    return {"data": [trace], "layout": layout}


def cone(
    windows: Sequence[int], rows: Sequence[tuple[str, Floats]], now: Floats, colours: Palette
) -> Figure:
    """Quantiles of volatility by window, and where it is now."""
    at = np.asarray(windows, dtype=float)
    data = [
        line(name, at, values, 1, MUTED if n % 2 else colours.lines[4], dash="dot")
        for n, (name, values) in enumerate(rows)
    ]
    data.append(line("Now", at, now, 1, colours.lines[1], width=2.4))
    layout = single("Window, candles", "Volatility a year, %")
    layout["legend"] |= {"x": 1.0, "xanchor": "right"}
    return {"data": data, "layout": layout}


def _bars(name: str, x: Any, y: Floats, colour: str, width: float | None = None) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "bar",
        "name": name,
        "x": x,
        "y": y,
        "marker": {"color": colour, "line": {"width": 0}},
        "opacity": 0.8,
        "showlegend": False,
    }
    return trace | ({"width": float(width) * 0.95} if width else {})
