"""Two legs' candles on common times: what a pair backtest eats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput, InsufficientData

Array = NDArray[np.float64]
MINIMUM = 3


def frozen_array(values: Any) -> Array:
    """``values`` as contiguous, read-only float64: kernels are compiled once, for these."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False)
class PairCandles:
    """Closed candles of price1 and price2 on the same open times.

    ``time_ms`` (n,) int64 are open times in UTC epoch milliseconds, ascending; prices and volumes
    (n,) float64, prices above 0. ``timeframe_ms`` is the candle's length.
    """

    time_ms: NDArray[np.int64]
    open1: Array
    open2: Array
    close1: Array
    close2: Array
    volume1: Array
    volume2: Array
    timeframe_ms: int
    symbol1: str = "price1"
    symbol2: str = "price2"
    dropped: int = 0

    def __len__(self) -> int:
        return int(self.time_ms.size)

    @property
    def index(self) -> pd.DatetimeIndex:
        """Open times as UTC timestamps."""
        return pd.DatetimeIndex(self.time_ms.view("datetime64[ms]"), tz="UTC")

    def head(self, count: int) -> PairCandles:
        """The first ``count`` candles, as if nothing had come after."""
        return self.part(0, count)

    def part(self, begin: int, end: int) -> PairCandles:
        """Candles ``begin … end − 1``."""
        names = ("open1", "open2", "close1", "close2", "volume1", "volume2")
        cut = {name: getattr(self, name)[begin:end] for name in names}
        return replace(self, time_ms=self.time_ms[begin:end], **cut)


def pair_candles(
    candles1: pd.DataFrame,
    candles2: pd.DataFrame,
    *,
    timeframe_ms: int | None = None,
    symbol1: str = "",
    symbol2: str = "",
) -> PairCandles:
    """Join two candle frames on their common open times.

    Parameters
    ----------
    candles1, candles2 : DataFrame
        Columns open, close, and volume where there is one; times in a column ``timestamp`` or in
        the index. A frame with ``close`` alone opens at the close before. Rows with a NaN price
        in either leg are dropped and counted.
    timeframe_ms : int, optional
        Candle length; else the most frequent distance of the times.

    Raises
    ------
    BadInput
        A column is missing, times repeat, a price is 0 or below, or no time is common.
    InsufficientData
        Fewer than three common candles.
    """
    first, second = _leg(candles1, "first"), _leg(candles2, "second")
    common = first.index.intersection(second.index)
    if common.empty:
        raise BadInput("The two legs have no candle time in common.")
    common = common.sort_values()
    first, second = first.loc[common], second.loc[common]
    good = (first[["open", "close"]].notna() & second[["open", "close"]].notna()).all(axis=1)
    first, second = first[good.to_numpy()], second[good.to_numpy()]
    if len(first) < MINIMUM:
        raise InsufficientData("A pair backtest", MINIMUM, len(first))
    for name, leg in (("first", first), ("second", second)):
        _check_prices(name, leg)
    times = first.index.to_numpy().astype(np.int64)
    steps = np.diff(times)
    if timeframe_ms is None:
        lengths, counts = np.unique(steps, return_counts=True)
        timeframe_ms = int(lengths[counts.argmax()])
    return PairCandles(
        time_ms=times,
        open1=frozen_array(first["open"]),
        open2=frozen_array(second["open"]),
        close1=frozen_array(first["close"]),
        close2=frozen_array(second["close"]),
        volume1=frozen_array(first["volume"].fillna(0.0)),
        volume2=frozen_array(second["volume"].fillna(0.0)),
        timeframe_ms=int(timeframe_ms),
        symbol1=symbol1 or _symbol(candles1, "price1"),
        symbol2=symbol2 or _symbol(candles2, "price2"),
        dropped=len(common) - len(first),
    )


def _leg(candles: pd.DataFrame, name: str) -> pd.DataFrame:
    if not isinstance(candles, pd.DataFrame) or "close" not in candles:
        raise BadInput(f"The {name} leg needs a frame of candles with a column close.")
    times = pd.Index(candles["timestamp"]) if "timestamp" in candles else candles.index
    leg = pd.DataFrame({"close": candles["close"].to_numpy(np.float64)}, index=epoch_ms(times))
    if not leg.index.is_unique:
        raise BadInput(f"The {name} leg has two candles at one time.")
    leg["open"] = (
        candles["open"].to_numpy(np.float64) if "open" in candles else leg["close"].shift(1)
    )
    leg["volume"] = candles["volume"].to_numpy(np.float64) if "volume" in candles else 0.0
    return leg


def epoch_ms(times: pd.Index) -> pd.Index:
    """Times as UTC epoch milliseconds; naive timestamps are UTC, integers are taken as they are."""
    if not isinstance(times, pd.DatetimeIndex):
        if pd.api.types.is_integer_dtype(times.dtype):
            return pd.Index(times.astype(np.int64))
        try:
            times = pd.DatetimeIndex(pd.to_datetime(times, utc=True))
        except (ValueError, TypeError) as error:
            raise BadInput(f"Candle times cannot be read: {error}.") from error
    if times.tz is not None:
        times = times.tz_convert("UTC").tz_localize(None)
    return pd.Index(times.as_unit("ms").asi8)


def _check_prices(name: str, leg: pd.DataFrame) -> None:
    prices = leg[["open", "close"]].to_numpy()
    if not np.isfinite(prices).all():
        raise BadInput(f"The {name} leg holds an infinite price.")
    if (prices <= 0).any():
        raise BadInput(f"Prices are above 0; the {name} leg holds {prices.min():g}.")


def _symbol(candles: pd.DataFrame, default: str) -> str:
    if "symbol" in candles and len(candles):
        return str(candles["symbol"].iloc[0])
    return default
