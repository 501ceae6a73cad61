"""Rows of a text table, CSV or NDJSON, with line numbers, and the ledger of rows refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec

from errors import BadInput
from interchange.source import OpenText, last_part
from ticks import epoch_ms

_FIRST_LINES = 5
# Where so many rows at the head of a file are all refused, the rest will be no better.
_HOPELESS = 2_000
_ARCHIVE_NAME = re.compile(r"([A-Za-z0-9_]+)-(aggTrades|trades|\d+[smhdwM])-\d{4}-\d{2}(-\d{2})?\b")
_SHORT_NAME = re.compile(r"([A-Za-z0-9_]+)-(aggTrades|trades|\d+[smhdwM])\.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows refused for one reason, and the numbers of the first lines it met."""

    reason: str
    count: int
    first_lines: tuple[int, ...]


@dataclass(slots=True)
class Refusals:
    """Rows refused so far, by reason."""

    counts: dict[str, int] = field(default_factory=dict)
    first_lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, line: int) -> None:
        """Count a refused row."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        lines = self.first_lines.setdefault(reason, [])
        if len(lines) < _FIRST_LINES:
            lines.append(line)

    @property
    def total(self) -> int:
        """How many rows were refused."""
        return sum(self.counts.values())

    def listed(self) -> tuple[Refusal, ...]:
        """The reasons, the most frequent first."""
        by_count = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Refusal(r, n, tuple(self.first_lines[r])) for r, n in by_count)

    def give_up_if_hopeless(self, taken: int, name: str) -> None:
        """Raise `BadInput` where a file's first rows are refused one and all."""
        if taken == 0 and self.total >= _HOPELESS:
            worst = self.listed()[0]
            raise BadInput(
                f"None of the first {self.total:,} rows of {name} could be used; "
                f"{worst.count:,} were refused for: {worst.reason}, "
                f"the first in line {worst.first_lines[0]:,}."
            )


class RefusedRow(Exception):
    """Why one row cannot be used, in a few words; never leaves this package."""


@dataclass(slots=True)
class Table:
    """A text table: the names of its columns where it says them, and its rows with line numbers.

    ``json_rows`` yields mappings in place of the sequences of ``rows``.
    """

    name: str
    header: list[str] | None
    rows: Iterator[tuple[int, Sequence[str]]]
    json_rows: Iterator[tuple[int, Mapping[str, Any] | None]] | None
    first_row: Sequence[str]


def read_table(opened: OpenText) -> Table:
    """Look at the first line that says something and take the rest apart accordingly.

    Raises
    ------
    BadInput
        No line at all, or too many columns.
    """
    numbered = enumerate(opened.lines, 1)
    found = next((pair for pair in numbered if pair[1].strip()), None)
    if found is None:
        raise BadInput(f"{opened.name} holds no line of text.")
    line = found[1]
    every_line: Iterator[tuple[int, str]] = chain([found], numbered)
    if line.lstrip().startswith("{"):
        return Table(opened.name, None, iter(()), _json_rows(every_line), ())
    delimiter = max(",;\t", key=line.count)
    limit = opened.limits.max_columns
    first = split_line(line, delimiter)
    if len(first) > limit:
        raise BadInput(f"{opened.name} has {len(first):,} columns; {limit} are allowed.")
    header = None
    if _is_header(first):
        header = [cell.strip().lower().replace(" ", "_") for cell in first]
        every_line = numbered
    return Table(opened.name, header, _csv_rows(every_line, delimiter), None, first)


def _is_header(cells: Sequence[str]) -> bool:
    return not any(is_number(cell) for cell in cells)


def is_number(cell: str) -> bool:
    """Whether a cell reads as a number; ``nan`` and ``inf`` do not count as one."""
    try:
        value = float(cell)
    except ValueError:
        return False
    return value - value == 0


def split_line(line: str, delimiter: str) -> list[str]:
    """The cells of one line. A quote never reaches over its end, so line numbers stay true."""
    line = line.rstrip("\r\n")
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except (csv.Error, StopIteration):
        return []


def _csv_rows(lines: Iterator[tuple[int, str]], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines:
        if line.strip():
            yield number, split_line(line, delimiter)


def _json_rows(
    lines: Iterator[tuple[int, str]],
) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    decode = msgspec.json.Decoder().decode
    for number, line in lines:
        if not line.strip():
            continue
        try:
            row = decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            row = None
        # A recorded frame may stand in the envelope of a combined stream.
        if isinstance(row, dict) and isinstance(row.get("data"), dict):
            row = row["data"]
        yield number, row if isinstance(row, dict) else None


def column_of(header: Sequence[str], names: Sequence[str]) -> int | None:
    """Where the first of these names stands in the header."""
    for name in names:
        if name in header:
            return list(header).index(name)
    return None


def parse_number(value: Any, what: str) -> float:
    """A cell as a number; raises `RefusedRow` naming the column."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise RefusedRow(f"{what} is not a number")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise RefusedRow(f"{what} is not a number") from None


def parse_time_ms(value: Any) -> int:
    """A cell as epoch milliseconds: a number of s, ms, µs or ns, or an ISO-8601 text.

    The unit is told by the magnitude; they do not overlap between the years 1973 and 5138.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            number: float = int(text)
        except ValueError:
            try:
                number = float(text)
            except ValueError:
                return _iso_ms(text)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = value
    else:
        raise RefusedRow("time is not readable")
    if not 0 < number < 1e19:
        raise RefusedRow("time")
    if number < 1e11:
        return int(round(number * 1000, 3))
    for scale in (1, 1_000, 1_000_000):
        if number < 1e14 * scale:
            return int(number // scale)
    raise RefusedRow("time")


def _iso_ms(text: str) -> int:
    try:
        return epoch_ms(text)
    except (BadInput, OverflowError):
        raise RefusedRow("time is not readable") from None


def symbol_of_name(name: str) -> str | None:
    """The symbol in the name of a file of Binance's archive, such as BTCUSDT-trades-2024-08-08."""
    match = _name_match(name)
    return match.group(1).lower() if match else None


def timeframe_of_name(name: str) -> str | None:
    """The timeframe in the name of a file of klines in Binance's archive."""
    match = _name_match(name)
    kind = match.group(2) if match else ""
    return kind if kind[:1].isdigit() else None


def _name_match(name: str) -> re.Match[str] | None:
    label = last_part(name)
    return _ARCHIVE_NAME.match(label) or _SHORT_NAME.match(label)
