"""Colours and the parts every figure shares: axes, panels one above the other, shaded spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Figure = dict[str, Any]
Trace = dict[str, Any]

GRID = "rgba(140,155,190,0.13)"
ZERO = "rgba(140,155,190,0.40)"
MUTED = "#8b96ad"
GAP = "rgba(240,162,58,0.16)"
FORMING = "rgba(108,140,255,0.10)"


@dataclass(frozen=True, slots=True)
class Palette:
    """What a chart paints with; ``lines`` are told apart by their order."""

    up: str
    down: str
    lines: tuple[str, ...]
    accent: str = "#6c8cff"
    warn: str = "#f0a23a"


USUAL = Palette(
    up="#2ebd9b",
    down="#f4586c",
    lines=("#6c8cff", "#f0a23a", "#2ebd9b", "#d57bff", "#4fc3f7", "#f4586c", "#c0ca33", "#ff8a65"),
)
# Okabe & Ito (2008), "Color Universal Design": blue against orange holds for the common forms of
# colour blindness, where red against green does not.
SAFE = Palette(
    up="#56b4e9",
    down="#e69f00",
    lines=("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "#bbbbbb"),
)


def palette(colour_blind_safe: bool) -> Palette:
    """Green and red, or blue and orange."""
    return SAFE if colour_blind_safe else USUAL


def axis(number: int) -> str:
    """Plotly's suffix of the n-th axis: the first has none."""
    return "" if number == 1 else str(number)


def stacked(
    heights: Sequence[float], *, titles: Sequence[str] = (), gap: float = 0.05
) -> dict[str, Any]:
    """A layout of panels one above the other that share their time axis.

    Parameters
    ----------
    heights : sequence of float
        Relative heights, top panel first.
    titles : sequence of str
        Shown at the top left of each panel.
    gap : float
        Space between two panels, a fraction of the whole.
    """
    usable = 1.0 - gap * (len(heights) - 1)
    layout: dict[str, Any] = {
        "xaxis": _time_axis(anchor=f"y{axis(len(heights))}"),
        "annotations": [],
        "shapes": [],
    }
    top = 1.0
    for number, height in enumerate(heights, start=1):
        bottom = top - usable * height / sum(heights)
        layout[f"yaxis{axis(number)}"] = _value_axis(max(bottom, 0.0), top)
        if number <= len(titles) and titles[number - 1]:
            layout["annotations"].append(_panel_title(titles[number - 1], top))
        top = bottom - gap
    return layout | _common()


def _time_axis(anchor: str) -> dict[str, Any]:
    return {
        "type": "date",
        "anchor": anchor,
        "gridcolor": GRID,
        "showspikes": True,
        "spikemode": "across",
        "spikesnap": "cursor",
        # A negative width leaves out the white halo that is drawn around the line otherwise.
        "spikethickness": -2,
        "spikedash": "dot",
        "spikecolor": MUTED,
        "rangeslider": {"visible": False},
        "zeroline": False,
        "nticks": 9,
    }


def _value_axis(bottom: float, top: float) -> dict[str, Any]:
    return {
        "domain": [bottom, top],
        "side": "right",
        "gridcolor": GRID,
        "zeroline": False,
        "automargin": True,
        "nticks": 6,
        "exponentformat": "none",
        "separatethousands": True,
    }


def _panel_title(text: str, top: float) -> dict[str, Any]:
    return {
        "text": plain(text),
        "xref": "paper",
        "yref": "paper",
        "x": 0.0,
        "y": top,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12, "color": MUTED},
    }


def _common() -> dict[str, Any]:
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12},
        "margin": {"l": 8, "r": 8, "t": 34, "b": 40},
        "hovermode": "x unified",
        "dragmode": "pan",
        "legend": {
            "orientation": "h",
            "x": 0.36,
            "xanchor": "left",
            "y": 1.0,
            "yanchor": "bottom",
            "bgcolor": "rgba(0,0,0,0)",
            "font": {"size": 11},
        },
    }


def single(x_title: str = "", y_title: str = "") -> dict[str, Any]:
    """A layout of one panel whose horizontal axis is a quantity, not a time."""
    layout = _common() | {
        "hovermode": "closest",
        "xaxis": {"gridcolor": GRID, "zeroline": False, "title": {"text": x_title}},
        "yaxis": {
            "gridcolor": GRID,
            "zeroline": False,
            "automargin": True,
            "title": {"text": y_title},
        },
    }
    layout["margin"] = {"l": 56, "r": 12, "t": 34, "b": 48}
    return layout


def plain(text: str) -> str:
    """Text that Plotly shows as it is: its labels understand a little HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def level(y: float, panel: int, *, colour: str = ZERO, dash: str = "dot") -> dict[str, Any]:
    """A horizontal line across a panel."""
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "yref": f"y{axis(panel)}",
        "y0": y,
        "y1": y,
        "line": {"color": colour, "width": 1, "dash": dash},
    }


def span(
    start_ms: int, end_ms: int, *, colour: str, bottom: float = 0.0, top: float = 1.0
) -> dict[str, Any]:
    """A shaded stretch of time, over the whole height or a part of it."""
    return {
        "type": "rect",
        "xref": "x",
        "x0": int(start_ms),
        "x1": int(end_ms),
        "yref": "paper",
        "y0": bottom,
        "y1": top,
        "fillcolor": colour,
        "line": {"width": 0},
        "layer": "below",
    }
