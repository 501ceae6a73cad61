"""Files of trade prints → ticks: CSV, NDJSON, recorded frames and Binance's archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

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
)
from ticks import Occurrences, PrintKind, Tick, made_ids, refusal

_SYMBOL = ("symbol", "s", "pair", "instrument", "ticker")
_TIME = ("timestamp", "time", "transact_time", "time_ms", "datetime", "date", "t")
_PRICE = ("price", "p", "last")
_SIZE = ("size", "qty", "quantity", "q", "amount", "volume", "vol")
_ID = ("trade_id", "agg_trade_id", "tradeid", "id", "a")
_MAKER = ("is_buyer_maker", "isbuyermaker", "buyer_maker", "m")
_TRUE = frozenset(("true", "1", "1.0", "t", "yes"))
_FALSE = frozenset(("false", "0", "0.0", "f", "no"))
_HIGHEST_ID = 2**63 - 2
_LOWEST_MADE = -(2**62)
_KINDS: tuple[PrintKind, ...] = ("aggTrade", "trade", "made")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a file has what; None where it has not. ``kind`` is what its ids count."""

    time: int
    price: int
    size: int
    symbol: int | None = None
    trade_id: int | None = None
    is_buyer_maker: int | None = None
    kind: PrintKind = "made"
    kind_column: int | None = None


_ARCHIVE_AGG_TRADES = Columns(5, 1, 2, None, 0, 6, "aggTrade")
_ARCHIVE_TRADES = Columns(4, 1, 2, None, 0, 5, "trade")
_PLAIN = Columns(1, 2, 3, 0)


class TickReader:
    """Iterates over the ticks of an opened file, counting the rows it refuses.

    Every tick has an id when it leaves: the file's own, or one made from the print.

    Parameters
    ----------
    opened : OpenText
    symbol : str or None
        For rows that do not say; by default taken from the name of the file.
    kind : PrintKind or None
        What the file's ids count, where the file does not say.

    Raises
    ------
    BadInput
        The columns of the file are not those of prints.
    """

    def __init__(
        self,
        opened: OpenText,
        symbol: str | None = None,
        kind: PrintKind | None = None,
        table: Table | None = None,
    ) -> None:
        self.opened = opened
        self.refusals = Refusals()
        self.rows = self.taken = 0
        self._table = read_table(opened) if table is None else table
        self._symbol = symbol or symbol_of_name(opened.name)
        self._seen = Occurrences()
        self._kind_given = kind
        self._columns = None if self._table.json_rows else find_columns(self._table)
        if self._columns is not None and self._columns.symbol is None and self._symbol is None:
            raise BadInput(
                f"{opened.name} does not say which symbol it is of; name it, or keep the "
                "archive's file name, such as BTCUSDT-aggTrades-2024-08-08.zip."
            )

    def __iter__(self) -> Iterator[tuple[PrintKind, Tick]]:
        """What each tick's id counts, and the tick."""
        table = self._table
        if table.json_rows is not None:
            pairs: Iterator[tuple[int, Any]] = table.json_rows
            parse: Any = self._json_tick
        else:
            pairs, parse = iter(table.rows), self._csv_tick
        for line, row in pairs:
            self.rows += 1
            try:
                found = parse(row)
            except RefusedRow as reason:
                self.refusals.add(str(reason), line)
                self.refusals.give_up_if_hopeless(self.taken, self.opened.name)
                continue
            self.taken += 1
            yield found

    def _csv_tick(self, row: Sequence[str]) -> tuple[PrintKind, Tick]:
        columns = self._columns
        assert columns is not None
        try:
            symbol = self._symbol if columns.symbol is None else row[columns.symbol]
            trade_id = None if columns.trade_id is None else row[columns.trade_id]
            maker = None if columns.is_buyer_maker is None else row[columns.is_buyer_maker]
            kind = columns.kind if columns.kind_column is None else row[columns.kind_column]
            values = row[columns.time], row[columns.price], row[columns.size]
        except IndexError:
            raise RefusedRow("too few columns") from None
        return self._tick(symbol, *values, trade_id, maker, kind)

    def _json_tick(self, row: Mapping[str, Any] | None) -> tuple[PrintKind, Tick]:
        if row is None:
            raise RefusedRow("not a JSON object")
        event = row.get("e")
        if event in ("trade", "aggTrade"):
            if row.get("X", "MARKET") not in ("MARKET", "RPI"):
                raise RefusedRow("not a market trade")
            trade_id = row.get("t" if event == "trade" else "a")
            values = row.get("T"), row.get("p"), row.get("q")
            return self._tick(row.get("s"), *values, trade_id, row.get("m"), event)
        if event is not None:
            raise RefusedRow("another kind of event")
        lower = {str(key).lower(): value for key, value in row.items()}
        symbol, time, price, size, trade_id, maker = (
            next((lower[n] for n in names if n in lower), None)
            for names in (_SYMBOL, _TIME, _PRICE, _SIZE, _ID[:3], _MAKER)
        )
        kind = lower.get("print_kind") or ("made" if trade_id is None else _kind_of(lower))
        return self._tick(symbol or self._symbol, time, price, size, trade_id, maker, kind)

    def _tick(
        self, symbol: Any, time: Any, price: Any, size: Any, trade_id: Any, maker: Any, kind: Any
    ) -> tuple[PrintKind, Tick]:
        # An exported cell of text may carry the apostrophe that keeps it from being a formula.
        name = symbol.strip().removeprefix("'").lower() if isinstance(symbol, str) else symbol
        time_ms = parse_time_ms(time)
        price_number, size_number = parse_number(price, "price"), parse_number(size, "size")
        problem = refusal(name, time_ms, price_number, size_number)
        if problem is not None:
            raise RefusedRow(problem)
        tick = Tick(name, time_ms, price_number, size_number, None, _parse_maker(maker))
        counts = kind if kind == "made" else self._kind_given or kind
        if counts not in _KINDS:
            raise RefusedRow("another kind of print")
        number = _parse_id(trade_id)
        if counts == "made" and (number is None or number >= 0):
            (number,) = made_ids((tick,), self._seen)
        elif counts != "made" and (number is None or number < 0):
            raise RefusedRow("trade id is missing")
        return counts, msgspec.structs.replace(tick, trade_id=number)


def _parse_id(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        number = int(value) if not isinstance(value, bool) else None
    except (ValueError, TypeError, OverflowError):
        number = None
    if number is None or not _LOWEST_MADE <= number <= _HIGHEST_ID:
        raise RefusedRow("trade id is not a whole number")
    return number


def _parse_maker(value: Any) -> bool | None:
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def _kind_of(names: Mapping[str, Any] | Sequence[str]) -> PrintKind:
    """What ids count, by the name of their column; only Binance's aggregates say so."""
    return "aggTrade" if "agg_trade_id" in names or "a" in names else "trade"


def find_columns(table: Table) -> Columns:
    """Where the file has what, by its header or by what its first row looks like.

    Raises
    ------
    BadInput
        Naming what is missing and what was found.
    """
    header = table.header
    if header is None:
        return _columns_of_row(table.first_row, table.name)
    time, price, size = (column_of(header, names) for names in (_TIME, _PRICE, _SIZE))
    missing = [n for n, at in (("timestamp", time), ("price", price), ("size", size)) if at is None]
    if time is None or price is None or size is None:
        raise BadInput(
            f"{table.name} has no column {' or '.join(missing)}; its columns are "
            f"{', '.join(header)[:200]}. Wanted are symbol, timestamp, price, size."
        )
    trade_id = column_of(header, _ID)
    # A plain running number is no trade id: only Binance's own files call theirs just `id`.
    if trade_id is not None and header[trade_id] == "id" and "quote_qty" not in header:
        trade_id = None
    return Columns(
        time, price, size, column_of(header, _SYMBOL), trade_id, column_of(header, _MAKER),
        "made" if trade_id is None else _kind_of(header), column_of(header, ("print_kind",)),
    )  # fmt: skip


def _columns_of_row(row: Sequence[str], name: str) -> Columns:
    numeric = [is_number(cell) for cell in row]
    boolean = [cell.strip().lower() in ("true", "false") for cell in row]
    if len(row) >= 7 and all(numeric[:6]) and boolean[6]:
        return _ARCHIVE_AGG_TRADES
    if len(row) >= 6 and all(numeric[:5]) and boolean[5]:
        return _ARCHIVE_TRADES
    if len(row) >= 4 and not numeric[0] and numeric[2] and numeric[3]:
        return _PLAIN
    raise BadInput(
        f"{name} has no header, and its first row is neither symbol,timestamp,price,size nor a "
        f"row of Binance's archive: {','.join(row)[:120]!r}."
    )
