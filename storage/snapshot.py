"""`Snapshot`: everything a page shows, read in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from candles import CandleColumns, base_timeframe, roll_up, timeframe_ms
from storage import candle_store, gap_ledger, lease, state_store, tape, tick_pages
from storage.candle_cache import CandleCache
from storage.gap_ledger import Gap
from storage.lease import Lease
from storage.state_store import Command
from storage.tick_pages import TICK_COLUMNS

T = TypeVar("T")
CANDLE_COLUMNS = ["symbol", "timestamp", "open", "high", "low", "close", "volume"]


@dataclass(frozen=True, slots=True)
class SymbolSummary:
    """What is stored of a symbol; times are epoch ms, counts are estimates where ids have holes."""

    symbol: str
    print_kind: str
    first_ms: int | None
    last_ms: int | None
    last_price: float | None
    low_water_ms: int | None


class Snapshot:
    """Reads of one moment; made by `database.Database.snapshot`."""

    def __init__(self, con: Any, cache: CandleCache, clock: Callable[[Any], int]) -> None:
        self._con, self._cache, self._clock = con, cache, clock
        self.version: int = con.execute(
            "SELECT value FROM meta WHERE key = 'data_version'"
        ).fetchone()[0]

    # -- candles -----------------------------------------------------------------------------

    def candle_columns(
        self, symbol: str, timeframe: str, *, limit: int = 500, before_ms: int | None = None
    ) -> CandleColumns:
        """The newest ``limit`` candles that open before ``before_ms``, oldest first, as arrays.

        Timeframes longer than the stored ones are rolled up from the longest that divides them.
        """
        base = base_timeframe(timeframe)
        length, base_length = timeframe_ms(timeframe), timeframe_ms(base)
        if length == base_length:
            return self._newest(symbol, base, limit, before_ms)
        many = (limit + 1) * (length // base_length)
        end_ms = None if before_ms is None else -(-before_ms // length) * length
        longer = roll_up(self._newest(symbol, base, many, end_ms), length)
        longer = candle_store.with_imported(self._con, symbol, timeframe, longer, limit, before_ms)
        keep = slice(max(0, len(longer) - limit), None)
        return CandleColumns(*(getattr(longer, name)[keep] for name in CandleColumns.__slots__))

    def _newest(
        self, symbol: str, timeframe: str, limit: int, before_ms: int | None
    ) -> CandleColumns:
        if before_ms is None:
            return self._cache.newest(self._con, self.version, symbol, timeframe, limit)
        return candle_store.newest_columns(self._con, symbol, timeframe, limit, before_ms)

    def candles(
        self,
        symbols: Sequence[str],
        timeframe: str,
        *,
        limit: int = 500,
        before_ms: int | None = None,
    ) -> pd.DataFrame:
        """The newest ``limit`` candles of each symbol, sorted by symbol as given, then time.

        Returns
        -------
        DataFrame
            Columns symbol, timestamp (UTC-aware open), open, high, low, close, volume.
        """
        parts = [
            self._frame(s, self.candle_columns(s, timeframe, limit=limit, before_ms=before_ms))
            for s in symbols
        ]
        filled = [p for p in parts if len(p)] or parts[:1]
        if not filled:
            return self._frame("", candle_store.as_columns([]))
        return pd.concat(filled, ignore_index=True)

    @staticmethod
    def _frame(symbol: str, columns: CandleColumns) -> pd.DataFrame:
        opens = pd.to_datetime(columns.open_ms.astype(np.int64), unit="ms", utc=True)
        return pd.DataFrame(
            {
                "symbol": pd.Series([symbol] * len(columns), dtype="str"),
                "timestamp": opens,
                "open": columns.open,
                "high": columns.high,
                "low": columns.low,
                "close": columns.close,
                "volume": columns.volume,
            },
            columns=CANDLE_COLUMNS,
        )

    # -- ticks -------------------------------------------------------------------------------

    def symbols(self) -> list[SymbolSummary]:
        """Every symbol with ticks, by name."""
        rows = self._con.execute("SELECT symbol, print_kind, low_water_ms FROM symbols").fetchall()
        return [self._summary(*row) for row in rows]

    def _summary(self, symbol: str, kind: str, low_water_ms: int | None) -> SymbolSummary:
        first_ms = tape.first_print(self._con, symbol)[1]
        last_id, last_ms = tape.last_print(self._con, symbol)
        price = None
        if last_id is not None:
            price = self._con.execute(
                "SELECT price FROM ticks WHERE symbol = ? AND trade_id = ?", (symbol, last_id)
            ).fetchone()[0]
        return SymbolSummary(symbol, kind, first_ms, last_ms, price, low_water_ms)

    def candle_symbols(self) -> list[str]:
        """Every symbol with candles, those imported without ticks included, by name."""
        # A loose index scan: one look-up a symbol, however many candles there are.
        rows = self._con.execute(
            "WITH RECURSIVE s(symbol) AS (SELECT min(symbol) FROM ohlc_data UNION ALL "
            "SELECT (SELECT min(symbol) FROM ohlc_data WHERE symbol > s.symbol) FROM s "
            "WHERE s.symbol IS NOT NULL) SELECT symbol FROM s WHERE symbol IS NOT NULL"
        )
        return [row[0] for row in rows]

    def ticks(
        self,
        symbol: str | None = None,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int = 1000,
        before_row: int | None = None,
    ) -> pd.DataFrame:
        """Stored ticks, the newest first; ``before_row`` pages on from an ``id``.

        Unfiltered they come in the order they were written, else in the order of time.

        Returns
        -------
        DataFrame
            Columns id, symbol, timestamp (text, UTC), price, size, trade_id, is_buyer_maker.
        """
        rows = tick_pages.page(self._con, symbol, start_ms, end_ms, limit, before_row)
        return pd.DataFrame(rows, columns=TICK_COLUMNS)

    def iter_ticks(
        self, symbol: str, start_ms: int | None, end_ms: int | None, *, chunk: int = 20_000
    ) -> Iterator[list[tuple[str, float, float, int, int | None]]]:
        """Every tick of ``[start_ms, end_ms)``, oldest first, in lists of at most ``chunk``.

        Rows are (timestamp text, price, size, trade_id, is_buyer_maker).
        """
        return tape.iterate(self._con, symbol, start_ms or 0, end_ms, chunk)

    def candle_ends(self, symbol: str, timeframe: str) -> tuple[int, int] | None:
        """Opens of the oldest and the newest candle of a timeframe; None where there is none."""
        return candle_store.ends(self._con, symbol, timeframe)

    def recent_ticks(self, symbol: str, start_ms: int, *, limit: int = 50_000) -> pd.DataFrame:
        """Ticks of a symbol since ``start_ms`` in tape order, the newest ``limit`` of them.

        Returns
        -------
        DataFrame
            Columns timestamp (UTC-aware), price, size, is_buyer_maker (float: 1, 0 or NaN).
        """
        return tape.recent_frame(self._con, symbol, start_ms, limit)

    def last_print(self, symbol: str) -> tuple[int | None, int | None]:
        """Id and time of the newest stored print."""
        return tape.last_print(self._con, symbol)

    def first_print(self, symbol: str) -> tuple[int | None, int | None]:
        """Id and time of the oldest stored print."""
        return tape.first_print(self._con, symbol)

    def missing_ranges(self, symbol: str, first_id: int, last_id: int) -> list[tuple[int, int]]:
        """Runs of ids within [first_id, last_id] that are not stored."""
        return tape.missing_ranges(self._con, symbol, first_id, last_id)

    def id_at(self, symbol: str, time_ms: int) -> int | None:
        """The lowest stored exchange id at or after a time."""
        return tape.id_at(self._con, symbol, time_ms)

    def count(self, table: str) -> int:
        """Rows of ``ticks`` or ``ohlc_data``: exact, but reads the whole index."""
        if table not in ("ticks", "ohlc_data", "gaps"):
            raise ValueError(f"{table!r} is not counted; ticks, ohlc_data and gaps are.")
        return self._con.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def highest_row(self) -> int:
        """The newest row id of ``ticks``: about how many were ever written, at once."""
        return self._con.execute("SELECT coalesce(max(id), 0) FROM ticks").fetchone()[0]

    # -- gaps, lease, facts ------------------------------------------------------------------

    def gaps(
        self, *, symbol: str | None = None, state: str | None = None, limit: int = 1000
    ) -> list[Gap]:
        """Holes in the tape, newest first."""
        return gap_ledger.listed(self._con, symbol=symbol, state=state, limit=limit)

    def open_spans(self, symbol: str, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
        """Times of open holes within a window, to be shaded."""
        return gap_ledger.open_spans(self._con, symbol, start_ms, end_ms)

    def coverage(self, symbol: str, start_ms: int, end_ms: int) -> float | None:
        """The share of a window that the stored ticks cover; None where there are none."""
        return gap_ledger.coverage(self._con, symbol, start_ms, end_ms)

    def now_ms(self) -> int:
        """The clock that leases and facts go by: the server's, or this machine's with a file."""
        return self._clock(self._con)

    def lease(self, name: str) -> Lease | None:
        """Who holds the lease, as last written."""
        return lease.current(self._con, name)

    def get(self, topic: str, key: str) -> tuple[Any, int] | None:
        """A fact and when it was stored."""
        return state_store.get(self._con, topic, key)

    def all_of(self, topic: str) -> dict[str, Any]:
        """Every fact of a topic."""
        return state_store.all_of(self._con, topic)

    def books(self, read: Callable[..., T], *args: Any, **options: Any) -> T:
        """Read books or jobs, with a function of `storage.books`, `alert_store` or `job_store`."""
        return read(self._con, *args, **options)

    def commands(self) -> list[Command]:
        """Commands that wait for an answer."""
        return state_store.asked(self._con)

    def answered(self, command_id: int) -> Any | None:
        """The answer to a command, or None."""
        return state_store.answered(self._con, command_id)
