"""The market at a glance: a tile a symbol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from candles import CandleColumns, timeframe_ms
from storage.snapshot import Snapshot
from views import lacking
from views.lacking import Coming
from views.text import duration, moment, price_decimals

_YEAR_MS = 365 * 86_400_000
_RATE_WINDOW_MS = 60_000
_MOST_PRINTS = 2_000
_MIN_RETURNS = 20
# Change over so long is read from candles of that length.
CHANGES: tuple[tuple[str, int, str], ...] = (
    ("1 min", 60_000, "1s"),
    ("15 min", 900_000, "30s"),
    ("1 h", 3_600_000, "1min"),
    ("24 h", 86_400_000, "5min"),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """What is known of a symbol now; None where it cannot be computed, and ``why`` says why.

    Attributes
    ----------
    price : float or None
        Close of the newest candle.
    at_ms : int or None
        Time of the newest stored print.
    changes : mapping of label to float or None
        Fractions.
    volume_24h, turnover_24h : float or None
        Base units, quote units, over the stored part of the last 24 hours.
    volatility : float or None
        Standard deviation of one-minute log returns of the last hour, annualised over 365 × 24 h.
    trades_per_s : float or None
        Prints of the last minute by the second.
    imbalance : float or None
        (bought − sold) / (bought + sold) volume of the last minute, by the aggressor's side.
    spark : tuple of float
        The last hour's closes.
    """

    symbol: str
    price: float | None
    decimals: int
    at_ms: int | None
    changes: Mapping[str, float | None]
    volume_24h: float | None
    turnover_24h: float | None
    stored_h: float
    volatility: float | None
    trades_per_s: float | None
    imbalance: float | None
    spark: tuple[float, ...]
    why: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Market:
    """The tiles of one snapshot."""

    version: int
    tiles: tuple[Tile, ...]


def read_market(
    snapshot: Snapshot, symbols: Sequence[str], now_ms: int, instruments: Mapping[str, Any]
) -> Market:
    """A tile for each symbol, in the order given.

    All are as of the newest print of any of them: one that is silent meanwhile says so.
    """
    prints = [snapshot.last_print(s)[1] for s in symbols]
    newest_ms = max((t for t in prints if t is not None), default=None)
    as_of_ms, coming = min(newest_ms or now_ms, now_ms), lacking.read_coming(snapshot, now_ms)
    tiles = tuple(_tile(snapshot, symbol, as_of_ms, instruments, coming) for symbol in symbols)
    return Market(snapshot.version, tiles)


def _tile(
    snapshot: Snapshot,
    symbol: str,
    newest_ms: int,
    instruments: Mapping[str, Any],
    coming: Coming,
) -> Tile:
    by_length = {
        name: snapshot.candle_columns(symbol, name, limit=length // timeframe_ms(name) + 2)
        for _, length, name in CHANGES
    }
    newest = by_length["1s"]
    price = float(newest.close[-1]) if len(newest) else None
    if price is None and len(by_length["5min"]):
        price = float(by_length["5min"].close[-1])
    last_ms = snapshot.last_print(symbol)[1]
    why: dict[str, str] = {}
    changes = {
        label: _change(by_length[name], length, price, last_ms, newest_ms, label, why)
        for label, length, name in CHANGES
    }
    day = _since(by_length["5min"], newest_ms - 86_400_000)
    rate, imbalance = _flow(snapshot, symbol, last_ms, newest_ms, why)
    hour = _since(by_length["1min"], newest_ms - 3_720_000)
    return Tile(
        symbol=symbol,
        price=price,
        decimals=price_decimals(instruments, symbol, price),
        at_ms=last_ms,
        changes=changes,
        volume_24h=float(day.volume.sum()) if len(day) else None,
        turnover_24h=float((day.volume * day.close).sum()) if len(day) else None,
        stored_h=(len(day) * 5) / 60,
        volatility=_volatility(hour, coming, why),
        trades_per_s=rate,
        imbalance=imbalance,
        spark=tuple(float(c) for c in hour.close[-60:]),
        why=why,
    )


def _since(candles: CandleColumns, start_ms: int) -> CandleColumns:
    first = int(np.searchsorted(candles.open_ms, start_ms, side="left"))
    return CandleColumns(*(getattr(candles, name)[first:] for name in CandleColumns.__slots__))


def _change(
    candles: CandleColumns,
    length_ms: int,
    price: float | None,
    last_ms: int | None,
    newest_ms: int,
    label: str,
    why: dict[str, str],
) -> float | None:
    """Price against the close in force ``length_ms`` before the newest print of the market."""
    if price is None or last_ms is None or not len(candles):
        why[label] = "no trade stored yet"
        return None
    if newest_ms - last_ms >= length_ms:
        why[label] = f"no trade since {moment(last_ms)}"
        return None
    step = int(candles.open_ms[1] - candles.open_ms[0]) if len(candles) > 1 else 0
    target = newest_ms - length_ms
    # A candle's close is known at its end; the last one that ended by then is the price then.
    found = int(np.searchsorted(candles.open_ms, target - step, side="right")) - 1
    if found < 0:
        missing_ms = max(float(candles.open_ms[0] - target), 1_000.0)
        why[label] = f"{duration(missing_ms)} more of data is needed"
        return None
    return price / float(candles.close[found]) - 1.0


def _volatility(minutes: CandleColumns, coming: Coming, why: dict[str, str]) -> float | None:
    closes = minutes.close[-62:-1]
    if len(closes) < _MIN_RETURNS + 1:
        why["volatility"] = lacking.too_few_briefly(len(closes), _MIN_RETURNS + 1, "1min", coming)
        return None
    returns = np.diff(np.log(closes))
    return float(returns.std(ddof=1) * math.sqrt(_YEAR_MS / 60_000))


def _flow(
    snapshot: Snapshot, symbol: str, last_ms: int | None, newest_ms: int, why: dict[str, str]
) -> tuple[float | None, float | None]:
    """Prints a second, and the imbalance of the aggressors, over the last minute."""
    if last_ms is None:
        why["trades/s"] = "no trade stored yet"
        return None, None
    prints = snapshot.recent_ticks(symbol, newest_ms - _RATE_WINDOW_MS, limit=_MOST_PRINTS)
    if not len(prints):
        why["buy − sell"] = f"no trade since {moment(last_ms)}"
        return 0.0, None
    span_ms = _RATE_WINDOW_MS
    if len(prints) == _MOST_PRINTS:
        first_ms = prints["timestamp"].iloc[0].timestamp() * 1000
        span_ms = max(int(last_ms - first_ms), 1)
    maker = prints["is_buyer_maker"].to_numpy()
    size = prints["size"].to_numpy()
    bought, sold = float(size[maker == 0].sum()), float(size[maker == 1].sum())
    if bought + sold == 0:
        why["buy − sell"] = "the source does not say who was the aggressor"
        return len(prints) / span_ms * 1000, None
    return len(prints) / span_ms * 1000, (bought - sold) / (bought + sold)
