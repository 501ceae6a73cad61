"""Ticks to candles."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import candles as incremental
from analytics import Analytics
from errors import BadInput, InsufficientData

T0 = 1_723_161_600_000  # 2024-08-09 00:00:00 UTC


def ticks(rows, **extra) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["symbol", "timestamp", "price", "size"])
    return frame.assign(**extra)


def random_ticks(n: int, seed: int = 0, symbols=("btcusdt", "ethusdt", "SOLUSDT")) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "symbol": np.array(symbols)[rng.integers(0, len(symbols), n)],
            "timestamp": T0 + np.sort(rng.integers(0, 600_000, n)),
            "price": 100 + rng.normal(size=n).cumsum(),
            "size": rng.exponential(size=n) + 1e-3,
        }
    ).query("price > 0")


def by_pandas(frame: pd.DataFrame, freq: str) -> pd.DataFrame:
    times = pd.to_datetime(frame["timestamp"], unit="ms", utc=True)
    groups = frame.groupby(["symbol", times.dt.floor(freq)])
    return groups.agg(
        open=("price", "first"),
        high=("price", "max"),
        low=("price", "min"),
        close=("price", "last"),
        volume=("size", "sum"),
        trades=("price", "size"),
    ).reset_index()


@pytest.mark.parametrize("timeframe", ["1s", "5s", "10s", "30s", "1min", "5min", "15min", "1h"])
def test_candles_equal_those_of_pandas(timeframe):
    frame = random_ticks(5_000)
    ours, theirs = Analytics.resample_ohlcv(frame, timeframe), by_pandas(frame, timeframe)
    assert list(ours.columns) == [
        "symbol", "timestamp", "open", "high", "low", "close", "volume", "trades",
    ]  # fmt: skip
    assert (ours["timestamp"] == theirs["timestamp"]).all()
    for column in ("symbol", "open", "high", "low", "close", "trades"):
        assert ours[column].tolist() == theirs[column].tolist(), column
    np.testing.assert_allclose(ours["volume"], theirs["volume"], rtol=1e-12)


def test_candles_equal_the_incremental_ones():
    frame = random_ticks(5_000, seed=3)
    names = sorted(frame["symbol"].unique())
    group = np.array([names.index(name) for name in frame["symbol"]], dtype=np.int64)
    columns = (frame[c].to_numpy() for c in ("timestamp", "price", "size"))
    seconds = incremental.fold_ticks(group, *columns, 1_000)
    theirs = incremental.roll_up(seconds, 60_000)
    ours = Analytics.resample_ohlcv(frame, "1min")
    assert ours["timestamp"].dt.as_unit("ms").astype("int64").tolist() == theirs.open_ms.tolist()
    for column in ("open", "high", "low", "close"):
        assert ours[column].tolist() == getattr(theirs, column).tolist()
    np.testing.assert_allclose(ours["volume"], theirs.volume, rtol=1e-12)


def test_iso_strings_epoch_ms_and_datetimes_give_the_same_candles():
    frame = random_ticks(500)
    moments = pd.to_datetime(frame["timestamp"], unit="ms", utc=True)
    expected = Analytics.resample_ohlcv(frame, "10s")
    text = moments.dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3] + "Z"
    versions = {
        "text": text,
        "objects": pd.Series(moments.dt.to_pydatetime(), index=frame.index, dtype=object),
        "utc": moments,
        "nanoseconds": moments.dt.as_unit("ns"),
        "naive": moments.dt.tz_localize(None),
        "elsewhere": moments.dt.tz_convert("Asia/Tokyo"),
        "floats": frame["timestamp"].astype(float),
        "nullable": frame["timestamp"].astype("Int64"),
        "digits": frame["timestamp"].astype(str),
    }
    for name, times in versions.items():
        ours = Analytics.resample_ohlcv(frame.assign(timestamp=times), "10s")
        pd.testing.assert_frame_equal(ours, expected, obj=name)


def test_symbols_keep_their_case_and_coded_ones_give_the_same():
    frame = random_ticks(500)
    plain = Analytics.resample_ohlcv(frame, "1min")
    coded = Analytics.resample_ohlcv(frame.assign(symbol=frame["symbol"].astype("category")))
    assert set(plain["symbol"]) == {"btcusdt", "ethusdt", "SOLUSDT"}
    assert coded["symbol"].tolist() == plain["symbol"].tolist()


@given(seed=st.integers(0, 10_000), timeframe=st.sampled_from(["1s", "30s", "5min"]))
@settings(max_examples=25, deadline=None)
def test_the_order_of_rows_does_not_matter_where_ids_order_equal_times(seed, timeframe):
    frame = random_ticks(200, seed).assign(trade_id=lambda f: np.arange(len(f)))
    shuffled = frame.sample(frac=1, random_state=seed)
    expected = Analytics.resample_ohlcv(frame, timeframe)
    ours = Analytics.resample_ohlcv(shuffled, timeframe)
    pd.testing.assert_frame_equal(ours, expected, rtol=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_volume_and_trades_are_conserved(seed):
    frame = random_ticks(200, seed)
    ours = Analytics.resample_ohlcv(frame, "5s")
    assert math.isclose(ours["volume"].sum(), frame["size"].sum(), rel_tol=1e-12)
    assert ours["trades"].sum() == len(frame)
    assert (ours["low"] <= ours[["open", "close"]].min(axis=1)).all()
    assert (ours["high"] >= ours[["open", "close"]].max(axis=1)).all()


def test_of_equal_times_the_first_to_arrive_opens_and_the_last_closes():
    frame = ticks([("a", T0, 1.0, 1), ("a", T0, 2.0, 1), ("a", T0, 3.0, 1)])
    candle = Analytics.resample_ohlcv(frame).iloc[0]
    assert (candle["open"], candle["close"]) == (1.0, 3.0)
    by_id = Analytics.resample_ohlcv(frame.assign(trade_id=[30, 20, 10])).iloc[0]
    assert (by_id["open"], by_id["close"]) == (3.0, 1.0)


def test_a_candle_is_half_open():
    frame = ticks([("a", T0 + 59_999, 1.0, 1), ("a", T0 + 60_000, 2.0, 1)])
    opens = Analytics.resample_ohlcv(frame, "1min")["timestamp"]
    assert opens.tolist() == [
        pd.Timestamp("2024-08-09 00:00", tz="UTC"),
        pd.Timestamp("2024-08-09 00:01", tz="UTC"),
    ]


def test_bad_rows_are_dropped_and_counted():
    good = ("a", T0, 1.0, 1.0)
    bad = [
        ("a", T0, np.nan, 1.0),
        ("a", T0, 0.0, 1.0),
        ("a", T0, -1.0, 1.0),
        ("a", T0, np.inf, 1.0),
        ("a", T0, 1.0, np.nan),
        ("a", T0, 1.0, 0.0),
        ("a", T0, 1.0, -2.0),
        (None, T0, 1.0, 1.0),
        (" ", T0, 1.0, 1.0),
        ("a", None, 1.0, 1.0),
        ("a", T0, "no", 1.0),
    ]
    frame = Analytics.resample_ohlcv(ticks([good, *bad]))
    assert frame.attrs["rejected"] == len(bad)
    assert frame["trades"].tolist() == [1]
    text = ticks([("a", "2024-08-09T00:00:00.000Z", 1.0, 1.0), ("a", "yesterday", 1.0, 1.0)])
    assert Analytics.resample_ohlcv(text).attrs["rejected"] == 1


def test_empty_candles_are_left_out_or_filled_flat():
    frame = ticks(
        [("b", T0, 5.0, 1.0), ("b", T0 + 1_500, 7.0, 2.0), ("b", T0 + 4_000, 6.0, 1.0),
         ("a", T0 + 9_000, 1.0, 1.0)]
    )  # fmt: skip
    assert len(Analytics.resample_ohlcv(frame, "1s")) == 4
    filled = Analytics.resample_ohlcv(frame, "1s", fill=True)
    assert filled["symbol"].tolist() == ["a"] + ["b"] * 5
    made = filled.iloc[3]
    assert made[["open", "high", "low", "close"]].tolist() == [7.0] * 4
    assert (made["volume"], made["trades"]) == (0.0, 0)
    assert filled["timestamp"].diff().dropna()[2:].eq(pd.Timedelta("1s")).all()
    again = filled[filled["trades"] > 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, Analytics.resample_ohlcv(frame, "1s"))


def test_what_cannot_be_resampled_says_why():
    with pytest.raises(BadInput, match="size is missing"):
        Analytics.resample_ohlcv(pd.DataFrame({"symbol": [], "timestamp": [], "price": []}))
    with pytest.raises(BadInput, match="not a timeframe"):
        Analytics.resample_ohlcv(random_ticks(10), "1 fortnight")
    with pytest.raises(InsufficientData, match="1 of 1 ticks unusable"):
        Analytics.resample_ohlcv(ticks([("a", T0, -1.0, 1.0)]))
    with pytest.raises(InsufficientData):
        Analytics.resample_ohlcv(ticks([]))


def test_truncating_the_future_changes_no_closed_candle():
    frame = random_ticks(2_000)
    cut = frame[frame["timestamp"] < T0 + 300_000]
    whole = Analytics.resample_ohlcv(frame, "1min")
    before = whole[whole["timestamp"] < pd.Timestamp(T0 + 300_000, unit="ms", tz="UTC")]
    part = Analytics.resample_ohlcv(cut, "1min")
    pd.testing.assert_frame_equal(before.reset_index(drop=True), part)


def test_the_input_is_not_changed():
    frame = random_ticks(100)
    copy = frame.copy(deep=True)
    Analytics.resample_ohlcv(frame)
    pd.testing.assert_frame_equal(frame, copy)
