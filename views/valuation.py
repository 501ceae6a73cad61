"""What is held at the prices that are stored, and what its value has to do with Bitcoin's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from candles import CandleColumns
from desk.recorder import load_quotes
from storage import books
from storage.snapshot import Snapshot
from trading.ledger import Position
from trading.market import Market
from views import lacking
from views.lacking import Coming
from views.text import moment

_BETA_CANDLES = 240
_MIN_RETURNS = 30
_MINUTE_MS = 60_000
_SILENT_MS = 60_000
_BENCHMARK = "btcusdt"


@dataclass(frozen=True, slots=True)
class Marks:
    """Last prices by symbol; ``of`` is NaN where none is stored.

    ``why`` says which held symbols have none, ``silent`` since when others do not trade while the
    market goes on; both are empty where there is nothing to say.
    """

    prices: Mapping[str, float]
    why: str
    silent: str
    last_ms: int | None

    def of(self, symbol: str) -> float:
        """The price to value what is held of a symbol."""
        return self.prices.get(symbol, math.nan)


def read_marks(snapshot: Snapshot, held: Sequence[Position]) -> Marks:
    """Prices of one snapshot for what is held."""
    stored = {s.symbol: s for s in snapshot.symbols() if s.last_price is not None}
    prices = {s: v.last_price for s, v in stored.items() if v.last_price is not None}
    times = {s: v.last_ms for s, v in stored.items() if v.last_ms is not None}
    newest = max(times.values(), default=None)
    symbols = sorted({p.symbol for p in held})
    unknown = " and ".join(s.upper() for s in symbols if s not in prices)
    silent = [
        f"{s.upper()} has not traded since {moment(times[s])}: what is held of it is valued at "
        "the price of then."
        for s in symbols
        if newest is not None and s in times and newest - times[s] > _SILENT_MS
    ]
    why = f"There is no trade of {unknown} stored, so what is held has no value." if unknown else ""
    return Marks(prices, why, " ".join(silent), newest)


def position_of(row: Mapping[str, Any]) -> Position:
    """A stored position."""
    entry = row["entry_price"]
    return Position(
        row["symbol"], row["pair_id"], row["quantity"], math.nan if entry is None else entry,
        row["realised"], row["fees"], row["funding"], row["opened_ms"],
    )  # fmt: skip


def mark_prices(snapshot: Snapshot) -> dict[str, float]:
    """The exchange's mark prices that the desk goes by; symbols without a recent one are absent."""
    position, market = snapshot.books(books.tape_position), Market()
    load_quotes(market, {} if position is None else position.quotes)
    return {s: market.mark(s) for s in market.quotes if market.has_mark(s)}


@dataclass(frozen=True, slots=True)
class Betas:
    """Beta to Bitcoin by symbol, and of the others why they have none."""

    known: Mapping[str, float]
    why: Mapping[str, str]


def read_betas(snapshot: Snapshot, symbols: set[str], now_ms: int) -> Betas:
    """Beta of each symbol's one-minute log returns to Bitcoin's, over closed candles."""
    known: dict[str, float] = {}
    why: dict[str, str] = {}
    if not symbols:
        return Betas(known, why)
    coming, base = lacking.read_coming(snapshot, now_ms), _closed(snapshot, _BENCHMARK, now_ms)
    for symbol in sorted(symbols):
        own = _closed(snapshot, symbol, now_ms)
        _, i, j = np.intersect1d(own.open_ms, base.open_ms, return_indices=True)
        y, x = np.diff(np.log(own.close[i])), np.diff(np.log(base.close[j]))
        if len(x) < _MIN_RETURNS:
            why[symbol] = _too_few(symbol, len(i), coming)
        elif x.std() == 0:
            why[symbol] = f"{_BENCHMARK.upper()} did not vary over the last {len(i)} candles."
        else:
            known[symbol] = float(np.cov(y, x)[0, 1] / x.var(ddof=1))
    return Betas(known, why)


def _closed(snapshot: Snapshot, symbol: str, now_ms: int) -> CandleColumns:
    forming_ms = now_ms // _MINUTE_MS * _MINUTE_MS
    return snapshot.candle_columns(symbol, "1min", limit=_BETA_CANDLES, before_ms=forming_ms)


def _too_few(symbol: str, found: int, coming: Coming) -> str:
    both = symbol.upper()
    if symbol != _BENCHMARK:
        both += f" and {_BENCHMARK.upper()}"
    return f"{both}: {lacking.too_few(found, _MIN_RETURNS + 1, '1min', coming)}"
