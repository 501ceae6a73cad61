"""Figures of a backtest: equity and drawdown, trades on the spread, folds of a walk-forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charts.pair import line, threshold_levels, translucent
from charts.style import MUTED, Figure, Palette, axis, level, span, stacked

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FOLD = "rgba(108,140,255,0.07)"


@dataclass(frozen=True, slots=True)
class TradeMarks:
    """Entries and exits: times and the value of the line they are drawn on.

    ``side`` is +1 for a long entry, −1 for a short one, 0 for an exit; ``text`` is shown on hover.
    """

    at_ms: Ints
    value: Floats
    side: NDArray[np.int8]
    text: Sequence[str]


def equity_and_drawdown(
    times: Ints,
    equity: Floats,
    drawdown: Floats,
    colours: Palette,
    *,
    legs: Sequence[tuple[str, Floats]] = (),
    starting_equity: float | None = None,
    folds: Sequence[tuple[int, int]] = (),
) -> Figure:
    """Equity, the P&L of each leg where given, and the drawdown in percent below.

    ``drawdown`` is a fraction at or below 0.
    """
    titles, heights = ["Equity"], [1.0]
    if legs:
        titles.append("P&L of each leg")
        heights.append(0.6)
    layout = stacked([*heights, 0.45], titles=[*titles, "Drawdown"], gap=0.08)
    data = [line("Equity", times, equity, 1, colours.lines[0], width=1.8, legend=False)]
    for n, (name, values) in enumerate(legs):
        data.append(line(name, times, values, 2, colours.lines[n + 1]))
    last = len(heights) + 1
    below = line("Drawdown", times, drawdown * 100, last, colours.down, legend=False)
    data.append(below | {"fill": "tozeroy", "fillcolor": translucent(colours.down, 0.18)})
    layout[f"yaxis{axis(last)}"] |= {"ticksuffix": " %", "rangemode": "normal"}
    if starting_equity is not None:
        layout["shapes"].append(level(starting_equity, 1))
    layout["shapes"] += [span(a, b, colour=_FOLD) for n, (a, b) in enumerate(folds) if n % 2 == 0]
    return {"data": data, "layout": layout}


def trades_on_spread(
    times: Ints,
    spread: Floats,
    zscore: Floats,
    marks: TradeMarks,
    colours: Palette,
    *,
    entry_th: float,
    exit_th: float,
    gaps: Sequence[tuple[int, int]] = (),
) -> Figure:
    """The spread and its z-score, with where the backtest went in and out."""
    layout = stacked([1.0, 0.8], titles=["Spread", "Z-score"], gap=0.1)
    data = [
        line("Spread", times, spread, 1, colours.lines[0], legend=False),
        line("Z-score", times, zscore, 2, colours.lines[1], legend=False, hover="%{y:.2f}"),
    ]
    for side, name, symbol, colour in (
        (1, "Long", "triangle-up", colours.up),
        (-1, "Short", "triangle-down", colours.down),
        (0, "Exit", "circle-open", MUTED),
    ):
        chosen = np.flatnonzero(marks.side == side)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": marks.at_ms[chosen],
                "y": marks.value[chosen],
                "text": [marks.text[int(i)] for i in chosen],
                "hovertemplate": "%{text}",
                "marker": {"symbol": symbol, "size": 9, "color": colour},
                "showlegend": bool(len(chosen)),
            }
        )
    layout["shapes"] += threshold_levels(2, entry_th, exit_th, colours)
    layout["shapes"] += [span(a, b, colour="rgba(240,162,58,0.16)") for a, b in gaps]
    return {"data": data, "layout": layout}


def as_marks(rows: Sequence[tuple[int, float, int, str]]) -> TradeMarks:
    """Marks from (time, value, side, text)."""
    columns: tuple[list[Any], ...] = tuple(list(c) for c in zip(*rows, strict=True)) or (
        [], [], [], [],
    )  # fmt: skip
    return TradeMarks(
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=float),
        np.array(columns[2], dtype=np.int8),
        columns[3],
    )
