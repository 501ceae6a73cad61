"""An independent view of the stored tape: candles by pandas from the tick table alone."""

import pandas as pd
import pytest

from candles import STORED_TIMEFRAMES, timeframe_ms

START_MS = 1_723_161_256_000


def _stored_ticks(snapshot):
    """Every stored tick in tape order, by pandas: time, then id (or order of arrival)."""
    frame = snapshot.ticks(limit=10_000_000)
    frame["time_ms"] = [
        int(pd.Timestamp(text).tz_localize(None).value // 1_000_000)
        for text in frame["timestamp"].str.removesuffix("Z")
    ]
    frame["order"] = frame["trade_id"].where(frame["trade_id"] >= 0, frame["id"])
    return frame.sort_values(["symbol", "time_ms", "order"], kind="stable")


def _pandas_candles(ticks, timeframe):
    length = timeframe_ms(timeframe)
    opens = ticks["time_ms"] // length * length
    return (
        ticks.groupby(["symbol", opens.rename("open_ms")])
        .agg(
            open=("price", "first"),
            high=("price", "max"),
            low=("price", "min"),
            close=("price", "last"),
            volume=("size", "sum"),
        )
        .reset_index()
    )


def _assert_candles_equal_ticks(db, since_ms=0):
    with db.snapshot() as snapshot:
        ticks = _stored_ticks(snapshot)
        for timeframe in STORED_TIMEFRAMES:
            expected = _pandas_candles(ticks, timeframe)
            expected = expected[expected["open_ms"] >= since_ms]
            symbols = sorted(ticks["symbol"].unique())
            parts = []
            for symbol in symbols:
                columns = snapshot.candle_columns(symbol, timeframe, limit=10_000_000)
                part = pd.DataFrame(
                    {
                        "symbol": symbol,
                        "open_ms": columns.open_ms,
                        "open": columns.open,
                        "high": columns.high,
                        "low": columns.low,
                        "close": columns.close,
                        "volume": columns.volume,
                    }
                )
                parts.append(part[part["open_ms"] >= since_ms])
            if not parts:
                continue
            stored = pd.concat(parts, ignore_index=True)
            expected = expected.reset_index(drop=True)
            exact = ["symbol", "open_ms", "open", "high", "low", "close"]
            pd.testing.assert_frame_equal(
                stored[exact], expected[exact], check_exact=True, check_dtype=False
            )
            pd.testing.assert_series_equal(
                stored["volume"], expected["volume"], rtol=1e-12, atol=0, check_exact=False
            )


@pytest.fixture(scope="session")
def assert_candles_equal_ticks():
    return _assert_candles_equal_ticks


@pytest.fixture(scope="session")
def stored_ticks():
    return _stored_ticks
