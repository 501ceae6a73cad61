"""Figures: what they are made of, and that every symbol in them can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from analytics import Analytics
from errors import BadInput
from visualizations import (
    create_backtest_chart,
    create_correlation_heatmap,
    create_ohlc_chart,
    create_spread_chart,
)

TIMES = pd.date_range("2026-01-01", periods=60, freq="1min", tz="UTC")


def candles_of(symbol: str, level: float) -> pd.DataFrame:
    steps = np.sin(np.arange(60) / 5) * level * 0.01
    close = level + steps
    return pd.DataFrame(
        {
            "symbol": symbol,
            "timestamp": TIMES,
            "open": level,
            "high": close + level * 0.02,
            "low": close - level * 0.02,
            "close": close,
            "volume": 1.0,
        }
    )


@pytest.fixture
def two_symbols() -> pd.DataFrame:
    return pd.concat([candles_of("btcusdt", 60_000.0), candles_of("dogeusdt", 0.2)])


def test_symbols_of_very_different_price_have_axes_of_their_own(two_symbols):
    figure = create_ohlc_chart(two_symbols, symbols=["btcusdt", "dogeusdt"])
    candles = [t for t in figure.data if t.type == "candlestick"]
    assert [t.name for t in candles] == ["BTCUSDT", "DOGEUSDT"]
    assert len({t.yaxis for t in candles}) == 2
    domains = [figure.layout[f"yaxis{t.yaxis[1:]}"].domain for t in candles]
    assert domains[0][0] > domains[1][1], "one panel lies above the other"


def test_rebased_symbols_start_at_zero_percent(two_symbols):
    figure = create_ohlc_chart(two_symbols, mode="rebased")
    assert [t.name for t in figure.data] == ["BTCUSDT", "DOGEUSDT"]
    for trace in figure.data:
        assert trace.y[0] == 0.0
        assert 0.5 < np.max(np.abs(trace.y)) < 2.5


def test_the_candles_drawn_are_the_candles_given(two_symbols):
    figure = create_ohlc_chart(two_symbols, symbols=["BTCUSDT "])
    (trace,) = (t for t in figure.data if t.type == "candlestick")
    own = two_symbols[two_symbols["symbol"] == "btcusdt"]
    np.testing.assert_array_equal(trace.close, own["close"])
    assert pd.Timestamp(trace.x[0], tz="UTC") == TIMES[0]


def test_symbols_without_candles_are_left_out_and_an_empty_frame_is_an_empty_figure(two_symbols):
    assert len(create_ohlc_chart(two_symbols, symbols=["nosuch"]).data) == 0
    assert len(create_ohlc_chart(two_symbols.iloc[:0]).data) == 0


@pytest.mark.parametrize(
    ("frame", "mode"), [(pd.DataFrame({"symbol": ["a"]}), "panels"), (None, "sideways")]
)
def test_what_cannot_be_drawn_is_a_sentence(two_symbols, frame, mode):
    with pytest.raises(BadInput):
        create_ohlc_chart(two_symbols if frame is None else frame, mode=mode)


def test_ticks_go_through_resampling_into_a_chart():
    ticks = pd.DataFrame(
        {
            "symbol": "btcusdt",
            "timestamp": pd.date_range("2026-01-01", periods=300, freq="1s", tz="UTC"),
            "price": 60_000 + np.arange(300.0),
            "size": 0.1,
        }
    )
    figure = create_ohlc_chart(Analytics.resample_ohlcv(ticks, "1min"), symbols=["btcusdt"])
    assert len(figure.data[0].x) == 5


def test_the_spread_chart_draws_both_thresholds_on_both_sides():
    spread = pd.Series(np.sin(np.arange(60.0)), TIMES)
    figure = create_spread_chart(spread, spread, entry_th=1.5, exit_th=0.5)
    assert isinstance(figure, go.Figure)
    assert sorted({s.y0 for s in figure.layout.shapes}) == [-1.5, -0.5, 0.5, 1.5]
    assert [t.name for t in figure.data] == ["Spread", "Z-score"]


def test_the_spread_chart_takes_a_plain_index_and_nan():
    spread = pd.Series([np.nan, 1.0, 2.0])
    figure = create_spread_chart(spread, spread)
    assert figure.layout.xaxis.type == "linear"
    with pytest.raises(BadInput, match="3 values"):
        create_spread_chart(spread, spread.iloc[:2])


def test_the_heat_map_leaves_unknown_cells_empty():
    matrix = pd.DataFrame([[1.0, np.nan], [np.nan, 1.0]], ["a", "b"], ["a", "b"])
    figure = create_correlation_heatmap(matrix)
    assert figure.data[0].z[0][1] is None
    assert list(figure.data[0].x) == ["A", "B"]


def test_names_with_markup_show_as_text():
    frame = candles_of("btcusdt", 1.0).assign(symbol="<b>x</b>")
    figure = create_ohlc_chart(frame, symbols=["<b>x</b>"])
    assert figure.layout.annotations[0].text == "&lt;B&gt;X&lt;/B&gt;"


def test_the_backtest_chart_marks_every_entry_and_exit():
    spread = pd.Series(3 * np.sin(np.arange(60) / 3), TIMES)
    zscore = Analytics.calculate_zscore(spread, 10)
    trades, _ = Analytics.backtest_mean_reversion(spread, zscore, entry_th=1.0)
    figure = create_backtest_chart(trades, spread, zscore, entry_th=1.0)
    marks = {t.name: len(t.x) for t in figure.data if t.mode == "markers"}
    assert len(trades) > 0
    assert marks["Long"] + marks["Short"] == len(trades)
    assert marks["Exit"] == int(trades["exit_time"].notna().sum())


def test_a_backtest_without_trades_is_a_chart_without_marks():
    spread = pd.Series(np.zeros(60), TIMES)
    trades, _ = Analytics.backtest_mean_reversion(spread, spread * np.nan)
    figure = create_backtest_chart(trades, spread)
    assert not any(len(t.x) for t in figure.data if t.mode == "markers")
