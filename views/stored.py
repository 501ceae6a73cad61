"""The Data page: stored ticks and candles by pages, and the ledger of gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from candles import CandleColumns
from storage.snapshot import Snapshot, SymbolSummary
from views.tables import candle_table
from views.text import moment, percent, price_decimals


@dataclass(frozen=True, slots=True)
class StoredView:
    """One page of rows, and what is stored of each symbol."""

    version: int
    summary: pd.DataFrame
    rows: pd.DataFrame
    next_key: int | None
    last_ms: int | None
    decimals: int | None = None


def read_ticks(
    snapshot: Snapshot,
    symbol: str | None,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
    before_row: int | None,
) -> StoredView:
    """A page of ticks, the latest written first."""
    rows = snapshot.ticks(
        symbol, start_ms=start_ms, end_ms=end_ms, limit=limit, before_row=before_row
    )
    next_key = int(rows["id"].iloc[-1]) if len(rows) == limit else None
    return _view(snapshot, rows, next_key, symbol)


def read_candles(
    snapshot: Snapshot,
    symbol: str | None,
    timeframe: str,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
    before_ms: int | None,
) -> StoredView:
    """A page of candles of one symbol that open in ``[start_ms, end_ms)``, the newest first."""
    if symbol is None:
        return _view(snapshot, candle_table({}), None)
    until = min((t for t in (end_ms, before_ms) if t is not None), default=None)
    columns = snapshot.candle_columns(symbol, timeframe, limit=limit, before_ms=until)
    first = int(np.searchsorted(columns.open_ms, start_ms)) if start_ms is not None else 0
    next_key = int(columns.open_ms[0]) if len(columns) == limit and first == 0 else None
    columns = CandleColumns(*(getattr(columns, n)[first:] for n in CandleColumns.__slots__))
    rows = candle_table({symbol: columns})[::-1].reset_index(drop=True)
    return _view(snapshot, rows, next_key, symbol)


def read_gaps(snapshot: Snapshot, symbol: str | None, state: str | None) -> StoredView:
    """The gap ledger, newest first."""
    gaps = snapshot.gaps(symbol=symbol, state=state, limit=1000)
    frame = pd.DataFrame(
        [
            {
                "symbol": g.symbol.upper(),
                "state": g.state.replace("_", " "),
                "missing ids": g.size,
                "from": moment(g.start_ms),
                "to": moment(g.end_ms),
                "reason": g.reason,
                "found": moment(g.found_ms),
                "closed": moment(g.closed_ms),
            }
            for g in gaps
        ],
        columns=["symbol", "state", "missing ids", "from", "to", "reason", "found", "closed"],
    )
    return _view(snapshot, frame, None)


def _view(
    snapshot: Snapshot, rows: pd.DataFrame, next_key: int | None, symbol: str | None = None
) -> StoredView:
    summaries = snapshot.symbols()
    table = []
    for s in summaries:
        share = None
        if s.first_ms is not None and s.last_ms is not None:
            share = snapshot.coverage(s.symbol, s.first_ms, s.last_ms)
        table.append(
            {
                "symbol": s.symbol.upper(),
                "prints": s.print_kind,
                "first": moment(s.first_ms),
                "last": moment(s.last_ms),
                "covered": percent(share, 2),
                "ticks deleted before": moment(s.low_water_ms),
            }
        )
    columns = ["symbol", "prints", "first", "last", "covered", "ticks deleted before"]
    return StoredView(
        version=snapshot.version,
        summary=pd.DataFrame(table, columns=columns),
        rows=rows,
        next_key=next_key,
        last_ms=max((s.last_ms for s in summaries if s.last_ms is not None), default=None),
        decimals=_decimals(snapshot, symbol, summaries),
    )


def _decimals(snapshot: Snapshot, symbol: str | None, summaries: list[SymbolSummary]) -> int | None:
    """Decimals of a symbol's prices; None where the exchange has not told its tick size."""
    last = next((s.last_price for s in summaries if s.symbol == symbol), None)
    listed = snapshot.all_of("instrument")
    return price_decimals(listed, symbol, last) if symbol in listed else None
