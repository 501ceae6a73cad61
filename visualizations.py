"""Results as Plotly figures, in one dark template.

The same figures that the page updates in place, for notebooks and scripts: frames and Series in,
`plotly.graph_objects.Figure` out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from candles import CandleColumns
from charts import backtest as backtest_chart
from charts import ohlc as ohlc_chart
from charts import pair as pair_chart
from charts.statistics import heat_map
from charts.style import palette
from errors import BadInput

__all__ = [
    "create_backtest_chart",
    "create_correlation_heatmap",
    "create_ohlc_chart",
    "create_spread_chart",
]

_OHLC = ("timestamp", "open", "high", "low", "close")
_BACKGROUND, _TEXT = "#0b0f19", "#e7ebf4"


def create_ohlc_chart(
    ohlc_df: pd.DataFrame,
    symbols: Sequence[str] | None = None,
    *,
    mode: str = "panels",
    volume: bool = True,
    colour_blind_safe: bool = False,
) -> go.Figure:
    """Candles of one symbol or several, each readable whatever its price.

    Parameters
    ----------
    ohlc_df : DataFrame
        Columns symbol, timestamp (a candle's open), open, high, low, close, and volume where there
        is one, as `Analytics.resample_ohlcv` returns it. Without ``symbol`` it is one symbol's.
    symbols : sequence of str, optional
        Which to show, in this order, in any case; all of them by default. Symbols without candles
        are left out.
    mode : {"panels", "rebased"}
        Each symbol in a panel of its own, or all as percent since the first common candle.
    volume : bool
        Volume bars below each panel.
    colour_blind_safe : bool
        Blue and orange in place of green and red.

    Raises
    ------
    BadInput
        A column is missing, or the mode is another.
    """
    if mode not in ("panels", "rebased"):
        raise BadInput(f"mode is 'panels' or 'rebased', found {mode!r}.")
    missing = [c for c in _OHLC if c not in ohlc_df]
    if missing:
        raise BadInput(f"The candles have no column {', '.join(missing)}.")
    colours = palette(colour_blind_safe)
    panels = [ohlc_chart.CandlePanel(s, c) for s, c in _by_symbol(ohlc_df, symbols).items()]
    if mode == "rebased":
        figure = ohlc_chart.rebased(panels, colours, percent=_percent(panels))
    else:
        shown = volume and "volume" in ohlc_df
        figure = ohlc_chart.panels(panels, colours, volume=shown)
    return _figure(figure, height=480 if mode == "rebased" else 120 + 380 * max(len(panels), 1))


def create_spread_chart(
    spread: pd.Series,
    zscore: pd.Series,
    entry_th: float = 2.0,
    exit_th: float = 0.0,
    *,
    colour_blind_safe: bool = False,
) -> go.Figure:
    """The spread above, its z-score with the thresholds below.

    Parameters
    ----------
    spread, zscore : Series
        On the same index; NaN leave gaps.
    entry_th, exit_th : float
        Drawn at ± their value.

    Raises
    ------
    BadInput
        The two have different lengths.
    """
    if len(spread) != len(zscore):
        raise BadInput(f"The spread has {len(spread)} values and the z-score {len(zscore)}.")
    spread, zscore = pd.Series(spread), pd.Series(zscore)
    figure = pair_chart.spread_and_zscore(
        _times(spread.index),
        spread.to_numpy(dtype=float),
        zscore.to_numpy(dtype=float),
        palette(colour_blind_safe),
        entry_th=entry_th,
        exit_th=exit_th,
    )
    return _figure(figure, height=520, as_time=isinstance(spread.index, pd.DatetimeIndex))


def create_correlation_heatmap(
    correlation: pd.DataFrame, *, title: str = "Correlation"
) -> go.Figure:
    """A correlation matrix, its numbers in its cells.

    Parameters
    ----------
    correlation : DataFrame
        Square, −1 to 1; NaN cells stay empty.
    """
    values = correlation.to_numpy(dtype=float)
    text = [["" if not np.isfinite(v) else f"{v:.2f}" for v in row] for row in values]
    figure = heat_map(
        [str(c).upper() for c in correlation.columns],
        [str(i).upper() for i in correlation.index],
        values,
        text=text,
    )
    figure["layout"]["title"] = {"text": title}
    return _figure(figure, height=140 + 42 * max(len(values), 4))


def create_backtest_chart(
    trades: pd.DataFrame,
    spread: pd.Series,
    zscore: pd.Series | None = None,
    entry_th: float = 2.0,
    exit_th: float = 0.0,
    *,
    colour_blind_safe: bool = False,
) -> go.Figure:
    """Where a backtest went in and out, on the spread and its z-score.

    Parameters
    ----------
    trades : DataFrame
        As `Analytics.backtest_mean_reversion` returns it: side, entry_time, exit_time, pnl; an
        open trade has no exit. May be empty.
    spread : Series
        On the index that was backtested.
    zscore : Series, optional
        On the same index.
    """
    spread = pd.Series(spread)
    z = np.full(len(spread), np.nan) if zscore is None else pd.Series(zscore).to_numpy(dtype=float)
    times = _times(spread.index)
    figure = backtest_chart.trades_on_spread(
        times,
        spread.to_numpy(dtype=float),
        z,
        _trade_marks(trades, spread),
        palette(colour_blind_safe),
        entry_th=entry_th,
        exit_th=exit_th,
    )
    return _figure(figure, height=560, as_time=isinstance(spread.index, pd.DatetimeIndex))


# -- from frames -----------------------------------------------------------------------------


def _by_symbol(frame: pd.DataFrame, symbols: Sequence[str] | None) -> dict[str, CandleColumns]:
    if "symbol" not in frame:
        only = symbols[0] if symbols else "candles"
        return {only: _columns(frame)}
    known = {str(s).lower(): s for s in frame["symbol"].unique()}
    wanted = list(known) if symbols is None else [s.strip().lower() for s in symbols]
    return {s: _columns(frame[frame["symbol"] == known[s]]) for s in wanted if s in known}


def _columns(frame: pd.DataFrame) -> CandleColumns:
    frame = frame.sort_values("timestamp", kind="stable")
    size = frame["volume"] if "volume" in frame else pd.Series(0.0, frame.index)
    return CandleColumns(
        group=np.zeros(len(frame), dtype=np.int64),
        open_ms=_times(pd.Index(frame["timestamp"])),
        open=frame["open"].to_numpy(dtype=float),
        high=frame["high"].to_numpy(dtype=float),
        low=frame["low"].to_numpy(dtype=float),
        close=frame["close"].to_numpy(dtype=float),
        volume=size.to_numpy(dtype=float),
    )


def _times(index: pd.Index) -> NDArray[np.int64]:
    """Times as epoch ms; an index that is no time is taken as it is."""
    if isinstance(index, pd.DatetimeIndex):
        aware = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
        return np.asarray(aware.as_unit("ms").asi8, dtype=np.int64)
    if pd.api.types.is_numeric_dtype(index.dtype):
        return index.to_numpy(dtype=np.int64)
    return _times(pd.DatetimeIndex(pd.to_datetime(index, utc=True)))


def _percent(panels: Sequence[ohlc_chart.CandlePanel]) -> Mapping[str, NDArray[np.float64]]:
    filled = [p for p in panels if len(p.candles)]
    start = max((int(p.candles.open_ms[0]) for p in filled), default=0)
    out = {}
    for p in panels:
        at = min(int(np.searchsorted(p.candles.open_ms, start)), len(p.candles) - 1)
        close = p.candles.close
        out[p.symbol] = (close / close[at] - 1.0) * 100.0 if len(close) else close
    return out


def _trade_marks(trades: pd.DataFrame, spread: pd.Series) -> backtest_chart.TradeMarks:
    rows: list[tuple[int, float, int, str]] = []
    at = dict(zip(spread.index, _times(spread.index), strict=True))
    for trade in trades.itertuples(index=False):
        side = 1 if str(trade.side).upper() == "LONG" else -1
        if trade.entry_time in at:
            value = float(spread.loc[trade.entry_time])
            rows.append((int(at[trade.entry_time]), value, side, str(trade.side)))
        if not pd.isna(trade.exit_time) and trade.exit_time in at:
            value = float(spread.loc[trade.exit_time])
            rows.append((int(at[trade.exit_time]), value, 0, f"P&L {trade.pnl:,.4g}"))
    return backtest_chart.as_marks(rows)


# -- to Plotly -------------------------------------------------------------------------------


def _figure(figure: dict[str, Any], *, height: int, as_time: bool = True) -> go.Figure:
    """A Plotly figure of a plain one; epoch ms become datetimes, which Plotly draws in UTC."""
    data = [dict(trace) for trace in figure["data"]]
    layout = dict(figure["layout"])
    if not as_time and layout.get("xaxis", {}).get("type") == "date":
        layout["xaxis"] = layout["xaxis"] | {"type": "linear"}
    for trace in data:
        x = trace.get("x")
        if as_time and isinstance(x, np.ndarray) and x.dtype.kind == "i":
            trace["x"] = x.view("datetime64[ms]")
    layout["shapes"] = [_shape(s, as_time) for s in layout.get("shapes", [])]
    layout |= {"template": "plotly_dark", "height": height, "paper_bgcolor": _BACKGROUND}
    layout |= {"plot_bgcolor": _BACKGROUND, "font": {"size": 12, "color": _TEXT}}
    return go.Figure({"data": data, "layout": layout})


def _shape(shape: dict[str, Any], as_time: bool) -> dict[str, Any]:
    if not as_time or shape.get("xref") != "x":
        return shape
    return shape | {k: np.datetime64(int(shape[k]), "ms").item() for k in ("x0", "x1")}
