"""A run for others to keep: CSV, Parquet, and one HTML file that needs nothing else.

Nothing is written to disk here: each function returns text or bytes.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
import pandas as pd

from errors import BadInput
from kernels import columns as col
from trading import metrics
from trading.candle_pair import Array
from trading.pair_result import PairBacktest
from trading.runs import SavedRun, flat_settings

Table = Literal["trades", "equity"]
_WIDTH, _HEIGHT, _MARGIN = 960, 220, 46
_POINTS = 1200
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;
background:#11151c;color:#dde3ea}h1,h2{font-weight:600}table{border-collapse:collapse;width:100%;
margin:1rem 0}td,th{padding:.25rem .6rem;border-bottom:1px solid #2a3240;text-align:right}
td:first-child,th:first-child{text-align:left}.why{color:#93a1b3;font-size:.85em}
.wide{overflow-x:auto}.badge{background:#5a3b00;color:#ffd591;padding:.2rem .6rem;border-radius:6px}
svg{width:100%;height:auto;background:#161c26;border-radius:6px;margin:.5rem 0}
"""


def table_of(result: PairBacktest, table: Table) -> pd.DataFrame:
    """Trades or equity as a flat frame with times in a column."""
    if table == "trades":
        return result.trades
    if table == "equity":
        return result.equity.reset_index()
    raise BadInput(f"A run has the tables trades and equity, found {table!r}.")


def to_csv(result: PairBacktest, table: Table = "trades") -> str:
    """The table as CSV; numbers in full precision, times in ISO 8601."""
    return str(table_of(result, table).to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ"))


def to_parquet(result: PairBacktest, table: Table = "trades") -> bytes:
    """The table as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    table_of(result, table).to_parquet(buffer, index=False)
    return buffer.getvalue()


def spread_of(result: PairBacktest) -> pd.DataFrame:
    """For the chart of trades on the spread: columns spread, zscore, hedge_ratio, position.

    Indexed by close time; the trades' entry_time and exit_time lie on it or between.
    """
    return pd.DataFrame(
        {
            "spread": result.signals.spread,
            "zscore": result.signals.zscore,
            "hedge_ratio": result.signals.hedge_ratio,
            "position": result.positions,
        },
        index=result.equity.index,
    )


def page(title: str, parts: Iterable[str]) -> str:
    """One HTML page that needs nothing else; its policy forbids it to ask for anything.

    Parameters
    ----------
    title : str
        Made harmless here.
    parts : iterable of str
        HTML whose names were made harmless with `safe`.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{safe(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def to_html(result: PairBacktest, run: SavedRun, source: str = "") -> str:
    """One self-contained page: figures with reasons, settings, charts as SVG, all trades.

    ``source`` says where the prices come from, and whether they are simulated.
    """
    equity = result.equity["pair"].to_numpy(np.float64)
    start = result.settings.starting_equity
    drawdown = metrics.drawdown_curve(equity, start)
    facts = {
        "Pair": f"{run.symbol1.upper()} / {run.symbol2.upper()}",
        "From": pd.Timestamp(run.start_ms, unit="ms", tz="UTC").isoformat(),
        "To": pd.Timestamp(run.end_ms, unit="ms", tz="UTC").isoformat(),
        "Candles": f"{run.candles} of {run.timeframe_ms / 1000:g} s, coverage {run.coverage:.2%}",
        "Code version": run.code_version,
        "Trials before this run": str(run.trials),
    }
    parts = [
        f"<h1>{safe(run.name)}</h1>",
        f"<p><strong>{safe(source)}</strong></p>" if source else "",
        rows(facts),
        "<h2>Figures</h2>",
        _figures(run),
        "<h2>Equity</h2>",
        _chart(equity, "#5ad1a4"),
        "<h2>Drawdown</h2>",
        _chart(drawdown, "#f08a8a"),
        "<h2>z-score and trades</h2>",
        _chart(result.signals.zscore, "#8ab4f8", result),
        "<h2>Settings</h2>",
        rows({k: str(v) for k, v in flat_settings(run.settings).items()}),
        "<h2>Trades</h2>",
        _trades(result.trades),
    ]
    return page(run.name, parts)


def safe(value: object) -> str:
    """Text as HTML that shows it as it is."""
    return html.escape(str(value))


def rows(items: dict[str, str]) -> str:
    """A table of two columns."""
    body = "".join(f"<tr><td>{safe(k)}</td><td>{safe(v)}</td></tr>" for k, v in items.items())
    return f"<table>{body}</table>"


def _figures(run: SavedRun) -> str:
    lines = []
    for name, value in run.figures.items():
        shown = "–" if value is None else f"{value:,.6g}"
        why = safe(run.reasons.get(name, ""))
        label = safe(name.replace("_", " "))
        lines.append(f'<tr><td>{label}</td><td>{shown}</td><td class="why">{why}</td></tr>')
    return f"<table>{''.join(lines)}</table>"


def _trades(trades: pd.DataFrame) -> str:
    if trades.empty:
        return "<p>There was no trade.</p>"
    head = "".join(f"<th>{safe(c.replace('_', ' '))}</th>" for c in trades.columns)
    body = []
    for row in trades.itertuples(index=False):
        cells = (f"{v:,.6g}" if isinstance(v, float) else safe(v) for v in row)
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return (
        '<div style="overflow-x:auto"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _chart(values: Array, colour: str, marked: PairBacktest | None = None) -> str:
    """A line as SVG; long series keep the lowest and highest of each stretch."""
    known = np.isfinite(values)
    if known.sum() < 2:
        return "<p>There is nothing to draw.</p>"
    low, high = float(values[known].min()), float(values[known].max())
    span = (high - low) or 1.0
    at = _thinned(values)

    def x(k: float) -> float:
        return _MARGIN + (_WIDTH - _MARGIN - 8) * k / max(values.size - 1, 1)

    def y(v: float) -> float:
        return 8 + (_HEIGHT - 16) * (high - v) / span

    line = " ".join(f"{x(k):.1f},{y(float(values[k])):.1f}" for k in at)
    labels = "".join(
        f'<text x="2" y="{y(v) + 4:.1f}" fill="#93a1b3" font-size="11">{v:.4g}</text>'
        for v in (low, high)
    )
    dots = ""
    if marked is not None:
        dots = _markers(marked, values, x, y)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"><polyline fill="none" '
        f'stroke="{colour}" stroke-width="1.2" points="{line}"/>{labels}{dots}</svg>'
    )


def _markers(
    result: PairBacktest,
    values: Array,
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    """Triangles of entries: up for long, down for short."""
    out = []
    for row in result.rows:
        k = int(row[col.C_SIGNAL_IN])
        up = row[col.C_SIDE] > 0
        sign, colour = ("▲", "#5ad1a4") if up else ("▼", "#f08a8a")
        out.append(
            f'<text x="{x(k):.1f}" y="{y(float(values[k])):.1f}" fill="{colour}" '
            f'font-size="9" text-anchor="middle">{sign}</text>'
        )
    return "".join(out)


def _thinned(values: Array) -> list[int]:
    """Indices to draw: all of a short series, else each stretch's lowest and highest."""
    known = np.flatnonzero(np.isfinite(values))
    if known.size <= _POINTS:
        return [int(k) for k in known]
    out: set[int] = {int(known[0]), int(known[-1])}
    for part in np.array_split(known, _POINTS // 2):
        out |= {int(part[values[part].argmin()]), int(part[values[part].argmax()])}
    return sorted(out)
