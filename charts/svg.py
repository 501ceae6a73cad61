"""A figure as SVG text: for reports that have to stand alone, without any script.

Understands what the pair's figures are made of: panels one above the other or one alone, lines,
bands between lines, markers, levels and shaded spans. Names are escaped here.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charts.style import Figure, Trace

Floats = NDArray[np.float64]
WIDTH = 960
_LEFT, _RIGHT, _TOP, _BOTTOM = 10, 76, 30, 34
_POINTS = 1500
_INK, _FAINT = "#93a1b3", "#2a3240"
_STEPS_MS = tuple(
    n * unit
    for unit, counts in ((1_000, (1, 5, 15, 30)), (60_000, (1, 5, 15, 30)),
                         (3_600_000, (1, 3, 6, 12)), (86_400_000, (1, 2, 7, 30, 90, 365)))
    for n in counts
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Panel:
    """Where a value axis lies, in pixels, and what it spans."""

    top: float
    bottom: float
    low: float
    high: float

    def y(self, value: float) -> float:
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)


@dataclass(frozen=True, slots=True)
class _Across:
    """The horizontal axis."""

    low: float
    high: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.low) / (self.high - self.low) * (WIDTH - _LEFT - _RIGHT)


def render(figure: Figure, height: int, alt: str) -> str:
    """The figure as one ``<svg>`` element; times in UTC."""
    layout, traces = figure["layout"], [t for t in figure["data"] if len(t.get("x", ()))]
    if not traces:
        return "<p>There is nothing to draw.</p>"
    every = np.concatenate([np.asarray(t["x"], dtype=float) for t in traces])
    across = _Across(*_wide(float(np.nanmin(every)), float(np.nanmax(every))))
    panels = {
        "y" + key[5:]: _panel(layout, key, traces, height)
        for key in layout
        if key.startswith("yaxis")
    }
    is_time = layout["xaxis"].get("type") == "date"
    parts = [_spans(layout, across, height)]
    parts += [_grid(across, panels, height, is_time)]
    parts += [
        _trace(t, n, traces, across, panels[t.get("yaxis", "y")]) for n, t in enumerate(traces)
    ]
    parts += [_levels(layout, panels), _titles(layout, height), _legend(traces)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{_safe(alt)}">'
        f"{''.join(parts)}</svg>"
    )


def _safe(text: object) -> str:
    return html.escape(html.unescape(str(text)))


def _wide(low: float, high: float) -> tuple[float, float]:
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _panel(layout: dict[str, Any], key: str, traces: list[Trace], height: int) -> _Panel:
    axis, name = layout[key], "y" + key[5:]
    bottom, top = axis.get("domain", (0.0, 1.0))
    inner = height - _TOP - _BOTTOM
    own = [np.asarray(t["y"], dtype=float) for t in traces if t.get("yaxis", "y") == name]
    levels = [s["y0"] for s in layout.get("shapes", ()) if s.get("yref") == name]
    values = np.concatenate([*own, np.asarray(levels, dtype=float)])
    values = values[np.isfinite(values)]
    low, high = _wide(float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if "range" in axis:
        low, high = axis["range"]
    else:
        low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    return _Panel(_TOP + (1 - top) * inner, _TOP + (1 - bottom) * inner, low, high)


def _grid(across: _Across, panels: dict[str, _Panel], height: int, is_time: bool) -> str:
    out = []
    for panel in panels.values():
        for value in _ticks(panel.low, panel.high, 4):
            y = panel.y(value)
            out.append(
                f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{_FAINT}"/><text x="{WIDTH - _RIGHT + 6}" y="{y + 4:.1f}" '
                f'fill="{_INK}" font-size="11">{_figure(value)}</text>'
            )
    ends = _time_ticks(across) if is_time else _ticks(across.low, across.high, 6)
    for value in ends:
        label = _moment(value, across) if is_time else _figure(value)
        out.append(
            f'<text x="{across.x(value):.1f}" y="{height - 12}" fill="{_INK}" font-size="11" '
            f'text-anchor="middle">{label}</text>'
        )
    return "".join(out)


def _ticks(low: float, high: float, count: int) -> list[float]:
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(n * power for n in (1, 2, 2.5, 5, 10) if n * power >= rough)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def _time_ticks(across: _Across) -> list[float]:
    rough = (across.high - across.low) / 6
    step = next((s for s in _STEPS_MS if s >= rough), _STEPS_MS[-1])
    first = math.ceil(across.low / step)
    return [float(n * step) for n in range(first, math.floor(across.high / step) + 1)]


def _moment(ms: float, across: _Across) -> str:
    span = across.high - across.low
    form = "%H:%M:%S" if span < 600_000 else "%b %d %H:%M" if span < 20 * 86_400_000 else "%Y-%m-%d"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime(form)


def _figure(value: float) -> str:
    return f"{value:,.6g}" if value else "0"


def _trace(trace: Trace, n: int, traces: list[Trace], across: _Across, panel: _Panel) -> str:
    x, y = (np.asarray(trace[k], dtype=float) for k in ("x", "y"))
    if trace.get("mode") == "markers":
        return _markers(trace, x, y, across, panel)
    style = trace.get("line", {})
    fill = ""
    if trace.get("fill") == "tonexty" and n:
        fill = _between(traces[n - 1], trace, across, panel)
    dash = ' stroke-dasharray="3 3"' if style.get("dash", "solid") != "solid" else ""
    lines = "".join(
        f'<polyline fill="none" stroke="{style.get("color", _INK)}" '
        f'stroke-width="{style.get("width", 1.5)}"{dash} points="{part}"/>'
        for part in _stretches(x, y, across, panel)
    )
    return fill + lines


def _stretches(x: Floats, y: Floats, across: _Across, panel: _Panel) -> list[str]:
    """Points of each stretch without a hole, the lowest and highest of many kept."""
    known = np.isfinite(y)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    out = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        at = np.arange(begin, end)
        if len(at) > _POINTS:
            parts = np.array_split(at, _POINTS // 2)
            at = np.unique([p[f(y[p])] for p in parts for f in (np.argmin, np.argmax)])
        out.append(" ".join(f"{across.x(x[k]):.1f},{panel.y(y[k]):.1f}" for k in at))
    return out


def _between(low: Trace, high: Trace, across: _Across, panel: _Panel) -> str:
    x = np.asarray(high["x"], dtype=float)
    below, above = (np.asarray(t["y"], dtype=float) for t in (low, high))
    at = np.flatnonzero(np.isfinite(below) & np.isfinite(above))
    if len(at) > _POINTS:
        at = at[:: len(at) // _POINTS + 1]
    points = [f"{across.x(x[k]):.1f},{panel.y(above[k]):.1f}" for k in at]
    points += [f"{across.x(x[k]):.1f},{panel.y(below[k]):.1f}" for k in at[::-1]]
    return f'<polygon fill="{high.get("fillcolor", "none")}" points="{" ".join(points)}"/>'


def _markers(trace: Trace, x: Floats, y: Floats, across: _Across, panel: _Panel) -> str:
    style = trace.get("marker", {})
    symbol, colour = str(style.get("symbol", "circle")), style.get("color", _INK)
    size = min(float(style.get("size", 6)), 9.0) / 2
    texts = trace.get("text")
    shades = _shades(colour, style.get("colorscale"), len(x))
    out = []
    for k in np.flatnonzero(np.isfinite(y)):
        at, height = across.x(x[k]), panel.y(y[k])
        note = f"<title>{_safe(texts[int(k)])}</title>" if texts is not None else ""
        if "triangle" in symbol:
            way = -1 if "up" in symbol else 1
            points = " ".join(
                f"{at + dx * size:.1f},{height + dy * way * size:.1f}"
                for dx, dy in ((-1, -0.8), (1, -0.8), (0, 1))
            )
            out.append(f'<polygon fill="{shades[int(k)]}" points="{points}">{note}</polygon>')
        else:
            paint = (
                f'fill="none" stroke="{shades[int(k)]}"'
                if "open" in symbol
                else (f'fill="{shades[int(k)]}"')
            )
            out.append(
                f'<circle cx="{at:.1f}" cy="{height:.1f}" r="{size:.1f}" {paint}>{note}</circle>'
            )
    return "".join(out)


def _shades(colour: Any, scale: Any, count: int) -> list[str]:
    """A colour a point: the same, or along a scale of two colours."""
    if isinstance(colour, str):
        return [colour] * count
    values = np.asarray(colour, dtype=float)
    span = float(np.ptp(values)) or 1.0
    ends = [[int(c[1][i : i + 2], 16) for i in (1, 3, 5)] for c in (scale[0], scale[-1])]
    mixed = np.outer(1 - (values - values.min()) / span, ends[0]) + np.outer(
        (values - values.min()) / span, ends[1]
    )
    return ["#" + "".join(f"{round(v):02x}" for v in row) for row in mixed]


def _spans(layout: dict[str, Any], across: _Across, height: int) -> str:
    out = []
    for shape in layout.get("shapes", ()):
        if shape["type"] == "rect" and shape["xref"] == "x":
            ends = (min(max(across.x(shape[k]), _LEFT), WIDTH - _RIGHT) for k in ("x0", "x1"))
            begin, end = ends
            out.append(
                f'<rect x="{begin:.1f}" width="{end - begin:.1f}" y="{_TOP}" '
                f'height="{height - _TOP - _BOTTOM}" fill="{shape["fillcolor"]}"/>'
            )
    return "".join(out)


def _levels(layout: dict[str, Any], panels: dict[str, _Panel]) -> str:
    out = []
    for shape in layout.get("shapes", ()):
        if shape["type"] == "line" and shape.get("yref") in panels:
            y = panels[shape["yref"]].y(shape["y0"])
            out.append(
                f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                f'stroke="{shape["line"]["color"]}" stroke-dasharray="5 4"/>'
            )
    return "".join(out)


def _titles(layout: dict[str, Any], height: int) -> str:
    inner = height - _TOP - _BOTTOM
    return "".join(
        f'<text x="{_LEFT}" y="{_TOP + (1 - note["y"]) * inner - 6:.1f}" fill="{_INK}" '
        f'font-size="12">{_safe(note["text"])}</text>'
        for note in layout.get("annotations", ())
    )


def _legend(traces: list[Trace]) -> str:
    """Names at the top right, each once."""
    named = {t["name"]: t for t in traces if t.get("showlegend")}
    out: list[str] = []
    right: float = WIDTH - _RIGHT
    for name, trace in reversed(named.items()):
        colour = trace.get("line", {}).get("color") or trace.get("marker", {}).get("color", _INK)
        out.append(
            f'<text x="{right}" y="16" fill="{colour}" font-size="11" text-anchor="end">'
            f"● {_safe(name)}</text>"
        )
        right -= 30 + 6.4 * len(name)
    return "".join(out)
