"""Ticks of any number of symbols folded into candles."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candles import timeframe_ms
from errors import BadInput, InsufficientData

REQUIRED = ("symbol", "timestamp", "price", "size")
COLUMNS = ("symbol", "timestamp", "open", "high", "low", "close", "volume", "trades")

_MISSING = np.iinfo(np.int64).min
_PER_MS = {"s": 0, "ms": 1, "us": 1_000, "ns": 1_000_000}
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class _Candles(NamedTuple):
    """Candles by symbol number and open in ms; `prices` has rows open, high, low, close, volume."""

    codes: Ints
    opens_ms: Ints
    trades: Ints
    prices: Floats


class _Times(NamedTuple):
    """Times as integers, of which `per_ms` make a millisecond."""

    values: Ints
    per_ms: int


def resample_ohlcv(
    tick_df: pd.DataFrame, timeframe: str = "1min", *, fill: bool = False
) -> pd.DataFrame:
    """Candles of the ticks, sorted by symbol and open.

    Parameters
    ----------
    tick_df : DataFrame of n rows
        Columns ``symbol``, ``timestamp``, ``price`` (quote per base), ``size`` (base units), in any
        order of rows. Times are ISO-8601 strings, epoch milliseconds or datetimes; without a zone
        they are UTC. Of ticks with one time the first is the one that arrived first, or the one
        of the smallest ``trade_id`` where that column is there and complete.
    timeframe : str
        ``"1s"``, ``"5s"``, ``"1min"``, ``"15min"``, ``"1h"`` …; see :func:`candles.timeframe_ms`.
    fill : bool
        Fill candles without a trade between a symbol's first and last: flat at the last close,
        volume 0, trades 0. Left out otherwise.

    Returns
    -------
    DataFrame
        ``symbol`` (its case kept), ``timestamp`` (the candle's open, UTC), ``open``, ``high``,
        ``low``, ``close``, ``volume``, ``trades``. A candle is half-open. ``attrs["rejected"]``
        counts rows dropped for a missing symbol or time, or a price or size that is not a positive
        finite number.

    Raises
    ------
    BadInput
        Where a column is missing or the timeframe is none.
    InsufficientData
        Where no row is usable.
    """
    length_ms = timeframe_ms(timeframe)
    missing = [name for name in REQUIRED if name not in tick_df.columns]
    if missing:
        raise BadInput(
            f"Ticks need the columns {', '.join(REQUIRED)}; {', '.join(missing)} is missing."
        )
    codes, symbols = _symbol_codes(tick_df["symbol"])
    times = _integer_times(tick_df["timestamp"])
    price, size = _numbers(tick_df["price"]), _numbers(tick_df["size"])
    ids = _tie_breakers(tick_df)
    folded, rejected = _fold(codes, times, ids, price, size, symbols, length_ms)
    if not len(folded.opens_ms):
        raise InsufficientData(f"A candle ({rejected} of {len(tick_df)} ticks unusable)", 1, 0)
    frame = _frame(folded, symbols, length_ms, fill)
    frame.attrs["rejected"] = rejected
    return frame


def _fold(
    codes: Ints,
    times: _Times,
    ids: Ints,
    price: Floats,
    size: Floats,
    symbols: pd.Index,
    length_ms: int,
) -> tuple[_Candles, int]:
    from kernels import candles as kernel

    length = length_ms * times.per_ms
    stamps = times.values
    by_name = np.argsort(symbols.to_numpy(dtype=object)).astype(np.int64)
    folded = kernel.fold(codes, stamps, ids, price, size, by_name, length)
    if not folded[5]:
        order = np.lexsort((ids, stamps)) if len(ids) else np.argsort(stamps, kind="stable")
        ids = ids[order] if len(ids) else ids
        folded = kernel.fold(
            codes[order], stamps[order], ids, price[order], size[order], by_name, length
        )
    code, opens, trades, prices, rejected, _ = folded
    return _Candles(code, opens // times.per_ms, trades, prices), int(rejected)


def _frame(candles: _Candles, symbols: pd.Index, length_ms: int, fill: bool) -> pd.DataFrame:
    if fill:
        candles = _filled(candles, length_ms)
    opens = pd.DatetimeIndex(candles.opens_ms.view("datetime64[ms]")).tz_localize("UTC")
    columns: dict[str, Any] = {
        "symbol": symbols.take(candles.codes),
        "timestamp": opens,
    }
    columns.update(zip(COLUMNS[2:7], candles.prices, strict=True))
    columns["trades"] = candles.trades
    return pd.DataFrame(columns)


def _filled(candles: _Candles, length_ms: int) -> _Candles:
    """With flat candles of no volume wherever a symbol's next candle is not the next in time."""
    same = candles.codes[1:] == candles.codes[:-1]
    steps = np.where(same, np.diff(candles.opens_ms) // length_ms, 1)
    repeats = np.append(steps, 1)
    source = np.repeat(np.arange(len(repeats)), repeats)
    first = np.cumsum(repeats) - repeats
    offset = np.arange(len(source)) - first[source]
    made = offset > 0
    prices = candles.prices[:, source]
    prices[:3, made] = prices[3, made]
    prices[4, made] = 0.0
    return _Candles(
        candles.codes[source],
        candles.opens_ms[source] + offset * length_ms,
        np.where(made, 0, candles.trades[source]),
        prices,
    )


def _symbol_codes(symbols: pd.Series) -> tuple[Ints, pd.Index]:
    """A number for each symbol, −1 where it is missing or empty, and the names."""
    if isinstance(symbols.dtype, pd.CategoricalDtype):
        codes, names = symbols.cat.codes.to_numpy(), symbols.cat.categories
    else:
        codes, names = pd.factorize(symbols)
    codes = codes.astype(np.int64)
    names = pd.Index(names)
    blank = [k for k, name in enumerate(names) if not str(name).strip()]
    if blank:
        codes[np.isin(codes, blank)] = -1
    return codes, names.astype(str)


def _integer_times(times: pd.Series) -> _Times:
    """Times as int64 with the smallest int64 for what is no time."""
    if isinstance(times.dtype, pd.CategoricalDtype):
        times = times.astype(times.cat.categories.dtype)
    if pd.api.types.is_bool_dtype(times):
        raise BadInput("The column timestamp holds true and false, not times.")
    if pd.api.types.is_integer_dtype(times) and not times.hasnans:
        return _Times(np.ascontiguousarray(times.to_numpy(dtype=np.int64)), 1)
    if pd.api.types.is_numeric_dtype(times):
        values = times.to_numpy(dtype=np.float64, na_value=np.nan)
        usable = np.isfinite(values) & (np.abs(values) < 2.0**62)
        whole = np.where(usable, np.floor(np.where(usable, values, 0.0)), 0).astype(np.int64)
        return _Times(np.where(usable, whole, _MISSING), 1)
    if not pd.api.types.is_datetime64_any_dtype(times):
        times = _parsed(times)
    unit = times.dt.unit
    if _PER_MS[unit] == 0:
        times, unit = times.dt.as_unit("ms"), "ms"
    stamps = times.dt.tz_convert("UTC") if times.dt.tz is not None else times
    values = stamps.to_numpy(dtype=f"datetime64[{unit}]").view(np.int64)
    return _Times(np.ascontiguousarray(values), _PER_MS[unit])


def _parsed(times: pd.Series) -> pd.Series:
    """Text or objects as UTC datetimes, NaT where they are none; large numbers are epoch ms."""
    numbers = pd.to_numeric(times, errors="coerce")
    if numbers.notna().any():
        long_enough = numbers.abs() >= 1e11
        texts = pd.to_datetime(
            times.where(~long_enough), utc=True, errors="coerce", format="ISO8601"
        ).dt.as_unit("ms")
        whole = numbers.where(long_enough)
        return texts.where(~long_enough, pd.to_datetime(whole, unit="ms", utc=True))
    return pd.to_datetime(times, utc=True, errors="coerce", format="ISO8601")


def _numbers(values: pd.Series) -> Floats:
    """float64, NaN for what is no number."""
    if not pd.api.types.is_numeric_dtype(values):
        values = pd.to_numeric(values, errors="coerce")
    return np.ascontiguousarray(values.to_numpy(dtype=np.float64, na_value=np.nan))


def _tie_breakers(tick_df: pd.DataFrame) -> Ints:
    """The trade ids where every row has one, otherwise none."""
    if "trade_id" not in tick_df.columns:
        return np.empty(0, dtype=np.int64)
    ids = pd.to_numeric(tick_df["trade_id"], errors="coerce")
    if ids.isna().any():
        return np.empty(0, dtype=np.int64)
    return np.ascontiguousarray(ids.to_numpy(dtype=np.int64))
