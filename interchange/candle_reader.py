"""Files of candles → rows for the database: Binance's klines, and any OHLC table."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from candles import canonical_timeframe, timeframe_ms
from errors import BadInput
from interchange.source import OpenText
from interchange.tables import (
    Refusals,
    RefusedRow,
    Table,
    column_of,
    is_number,
    parse_number,
    parse_time_ms,
    read_table,
    symbol_of_name,
    timeframe_of_name,
)
from ticks import refusal

_TIME = ("open_time", "timestamp", "time", "datetime", "date", "open_ms", "t")
_PRICES = (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c"))
_VOLUME = ("volume", "vol", "v", "volume_base")
_SYMBOL = ("symbol", "s", "pair", "ticker")
_TIMEFRAME = ("timeframe", "interval")
_KLINE_COLUMNS = 12
# So many rows are looked at to tell the timeframe where nothing says it.
_SAMPLE = 500

CandleRow = tuple[str, int, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Columns:
    time: int
    prices: tuple[int, int, int, int]
    volume: int
    symbol: int | None = None
    timeframe: int | None = None


class CandleReader:
    """Iterates over (timeframe, row) of an opened file, counting the rows it refuses.

    A row is taken when its candle is closed at ``now_ms``, begins on a boundary of its timeframe
    and holds together: low ≤ open, close ≤ high, all positive, volume not negative.

    Parameters
    ----------
    opened : OpenText
    now_ms : int
    symbol, timeframe : str or None
        For rows that do not say; by default taken from the name of the file, and the timeframe
        from the commonest distance between rows.

    Raises
    ------
    BadInput
        The columns are not those of candles, or symbol or timeframe cannot be told.
    """

    def __init__(
        self,
        opened: OpenText,
        now_ms: int,
        symbol: str | None = None,
        timeframe: str | None = None,
        table: Table | None = None,
    ) -> None:
        self.opened, self._now_ms = opened, now_ms
        self.refusals = Refusals()
        self.rows = self.taken = 0
        self._table = read_table(opened) if table is None else table
        if self._table.json_rows is not None:
            raise BadInput(f"{opened.name} is NDJSON; candles are read from CSV.")
        self._columns, self.source = _find_columns(self._table)
        self._symbol = symbol or symbol_of_name(opened.name)
        if self._columns.symbol is None and self._symbol is None:
            raise BadInput(f"{opened.name} does not say which symbol its candles are of; name it.")
        self._rows = iter(self._table.rows)
        self.timeframe = None
        if self._columns.timeframe is None:
            told = timeframe or timeframe_of_name(opened.name) or self._infer_timeframe()
            self.timeframe = canonical_timeframe(told)

    def _infer_timeframe(self) -> str:
        head = list(islice(self._rows, _SAMPLE))
        self._rows = chain(head, self._rows)
        times = []
        for _, row in head:
            try:
                times.append(parse_time_ms(row[self._columns.time]))
            except (RefusedRow, IndexError):
                continue
        steps = [b - a for a, b in zip(times, times[1:], strict=False) if b > a]
        if not steps:
            raise BadInput(
                f"{self.opened.name} does not say the timeframe of its candles, and it has too "
                "few rows to tell; name it."
            )
        return f"{statistics.mode(steps)}ms"

    def __iter__(self) -> Iterator[tuple[str, CandleRow]]:
        for line, row in self._rows:
            self.rows += 1
            try:
                found = self._candle(row)
            except RefusedRow as reason:
                self.refusals.add(str(reason), line)
                self.refusals.give_up_if_hopeless(self.taken, self.opened.name)
                continue
            self.taken += 1
            yield found

    def _candle(self, row: Sequence[str]) -> tuple[str, CandleRow]:
        columns = self._columns
        try:
            symbol = self._symbol if columns.symbol is None else row[columns.symbol]
            frame = self.timeframe or row[columns.timeframe or 0]
            time_ms = parse_time_ms(row[columns.time])
            open_, high, low, close = (parse_number(row[i], "price") for i in columns.prices)
            volume = parse_number(row[columns.volume], "volume")
        except IndexError:
            raise RefusedRow("too few columns") from None
        name = (symbol or "").strip().removeprefix("'").lower()
        for price in (open_, high, low, close):
            problem = refusal(name, time_ms, price, 1.0)
            if problem is not None:
                raise RefusedRow(problem)
        if not low <= min(open_, close) <= max(open_, close) <= high:
            raise RefusedRow("open or close outside of low and high")
        if not 0 <= volume < float("inf"):
            raise RefusedRow("volume is negative or not finite")
        timeframe = self._checked(frame, time_ms)
        return timeframe, (name, time_ms, open_, high, low, close, volume)

    def _checked(self, frame: str, time_ms: int) -> str:
        try:
            timeframe = canonical_timeframe(frame)
        except BadInput:
            raise RefusedRow("timeframe is not known") from None
        length = timeframe_ms(timeframe)
        if time_ms % length:
            raise RefusedRow(f"time is not a boundary of {timeframe}")
        if time_ms + length > self._now_ms:
            raise RefusedRow("candle is not closed yet")
        return timeframe


def holds_candles(table: Table) -> bool:
    """Whether the table has the columns of candles."""
    try:
        return table.json_rows is None and bool(_find_columns(table))
    except BadInput:
        return False


def _find_columns(table: Table) -> tuple[_Columns, str]:
    """Where the columns are, and the source that the candles are stored under."""
    header = table.header
    if header is None:
        row = table.first_row
        if len(row) == _KLINE_COLUMNS and all(is_number(cell) for cell in row[:11]):
            return _Columns(0, (1, 2, 3, 4), 5), "klines"
        raise BadInput(
            f"{table.name} has no header; candles need one with timestamp, open, high, low, "
            "close, volume, or the twelve columns of Binance's klines."
        )
    prices = [column_of(header, names) for names in _PRICES]
    wanted: Mapping[str, int | None] = {
        "timestamp": column_of(header, _TIME),
        **dict(zip(("open", "high", "low", "close"), prices, strict=True)),
        "volume": column_of(header, _VOLUME),
    }
    missing = [name for name, at in wanted.items() if at is None]
    if missing:
        raise BadInput(
            f"{table.name} has no column {' or '.join(missing)}; its columns are "
            f"{', '.join(header)[:200]}. Wanted are timestamp, open, high, low, close, volume."
        )
    at: dict[str, Any] = dict(wanted)
    source = "klines" if "open_time" in header and "close_time" in header else "upload"
    columns = _Columns(
        at["timestamp"], (at["open"], at["high"], at["low"], at["close"]), at["volume"],
        column_of(header, _SYMBOL), column_of(header, _TIMEFRAME),
    )  # fmt: skip
    return columns, source
