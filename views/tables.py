"""Stored things as tables for the page and for download."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from candles import CandleColumns

_COLUMNS = ["symbol", "timestamp", "open", "high", "low", "close", "volume"]


def candle_table(candles: Mapping[str, CandleColumns]) -> pd.DataFrame:
    """Candles of several symbols, one below the other.

    Returns
    -------
    DataFrame
        Columns symbol, timestamp (UTC-aware open), open, high, low, close, volume.
    """
    parts = [
        pd.DataFrame(
            {
                "symbol": symbol,
                "timestamp": pd.to_datetime(columns.open_ms, unit="ms", utc=True),
                "open": columns.open,
                "high": columns.high,
                "low": columns.low,
                "close": columns.close,
                "volume": columns.volume,
            },
            columns=_COLUMNS,
        )
        for symbol, columns in candles.items()
        if len(columns)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS)
