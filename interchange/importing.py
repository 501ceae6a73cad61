"""A file into the database: in batches, with progress, to be cancelled, and with a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from candles import timeframe_ms
from database import Database
from interchange.candle_reader import CandleReader, CandleRow, holds_candles
from interchange.source import FILE_LIMITS, Limits, Source, open_text
from interchange.tables import Refusal, read_table
from interchange.tick_reader import TickReader
from ticks import PrintKind, Tick, TickBatch

_BATCH_ROWS = 10_000
_BELOW_LOW_WATER = "older than the ticks that are retained"

Progress = Callable[[float], None]
"""Told the share of the file that is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a file.

    Attributes
    ----------
    what : str
        ``ticks`` or ``candles``.
    rows : int
        Rows read, the good and the bad.
    taken : int
        Rows stored.
    duplicates : int
        Rows that changed nothing: stored already, or a candle that the ticks have covered.
    refused : tuple of Refusal
        By reason, the most frequent first, with the first line numbers.
    symbols : tuple of str
    start_ms, end_ms : int or None
        Times of the first and last good row.
    stopped : str
        Why the end of the file was not reached; empty where it was.
    """

    what: Literal["ticks", "candles"]
    name: str
    rows: int
    taken: int
    duplicates: int
    refused: tuple[Refusal, ...]
    symbols: tuple[str, ...]
    start_ms: int | None
    end_ms: int | None
    stopped: str

    @property
    def refused_rows(self) -> int:
        """How many rows were refused."""
        return sum(r.count for r in self.refused)

    @property
    def sentence(self) -> str:
        """The report in one sentence for a person."""
        parts = [f"{self.taken:,} of {self.rows:,} {self.what} taken"]
        if self.duplicates:
            parts.append(f"{self.duplicates:,} changed nothing")
        parts += [
            f"{r.count:,} refused for {r.reason}"
            + (f" (first in line {r.first_lines[0]:,})" if r.first_lines else "")
            for r in self.refused
        ]
        end = f"; {self.stopped}" if self.stopped else ""
        return f"{self.name}: {', '.join(parts)}{end}."


class _Tally:
    """What an import counts while it runs."""

    def __init__(self) -> None:
        self.taken = self.duplicates = self.below = 0
        self.symbols: dict[str, None] = {}
        self.start_ms: int | None = None
        self.end_ms: int | None = None
        self.stopped = ""

    def saw(self, symbols: list[str], times_ms: list[int]) -> None:
        self.symbols.update(dict.fromkeys(symbols))
        low, high = min(times_ms), max(times_ms)
        self.start_ms = low if self.start_ms is None else min(self.start_ms, low)
        self.end_ms = high if self.end_ms is None else max(self.end_ms, high)


def import_file(
    db: Database,
    source: Source,
    *,
    name: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
    kind: PrintKind | None = None,
    limits: Limits = FILE_LIMITS,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    now_ms: int | None = None,
) -> ImportReport:
    """Read a file of ticks or of candles, whichever it holds, into the database.

    What is stored when it is cancelled or fails stays; doing it again continues, because a row
    that is there already changes nothing.

    Parameters
    ----------
    source : path or binary file
        CSV, NDJSON or Binance's archive; plain, gzipped or zipped.
    name : str or None
        What the user calls the file; archive names tell symbol and timeframe.
    symbol, timeframe, kind : str or None
        For files that do not say.
    progress : callable or None
        Called after each batch with the share of the file done.
    cancelled : callable or None
        Asked after each batch whether to stop.
    now_ms : int or None
        A candle that closes after it is refused; the present by default.

    Raises
    ------
    BadInput
        The file cannot be used; nothing of what is wrong was stored.
    MixedPrints
        A symbol's prints are of another kind in this database.
    DatabaseBusy, ReadOnlyDatabase
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    with open_text(source, name, limits) as opened:
        table = read_table(opened)
        tally = _Tally()
        reader: TickReader | CandleReader
        if holds_candles(table):
            reader = CandleReader(opened, now_ms, symbol, timeframe, table)
            batches = _candle_batches(db, reader, tally)
        else:
            reader = TickReader(opened, symbol, kind, table)
            batches = _tick_batches(db, reader, tally)
        for _ in batches:
            if progress is not None:
                progress(opened.fraction)
            if cancelled is not None and cancelled():
                tally.stopped = "it was cancelled, what was read stays"
                break
            if reader.rows >= limits.max_rows:
                tally.stopped = f"only {limits.max_rows:,} rows are read at once"
                break
        if progress is not None and not tally.stopped:
            progress(1.0)
    return _report(opened.name, reader, tally)


def _tick_batches(db: Database, reader: TickReader, tally: _Tally) -> Iterator[None]:
    prints = iter(reader)
    while rows := list(islice(prints, _BATCH_ROWS)):
        by_kind: dict[PrintKind, list[Tick]] = {}
        for kind, tick in rows:
            by_kind.setdefault(kind, []).append(tick)
        for kind, ticks in by_kind.items():
            batch = TickBatch.from_ticks(ticks, kind)
            written = db.write(batch)
            tally.taken += written.inserted
            tally.duplicates += written.duplicates
            tally.below += written.below_low_water
            tally.saw(batch.symbol, batch.time_ms)
        yield


def _candle_batches(db: Database, reader: CandleReader, tally: _Tally) -> Iterator[None]:
    candles = iter(reader)
    while rows := list(islice(candles, _BATCH_ROWS)):
        by_timeframe: dict[str, list[CandleRow]] = {}
        for timeframe, row in rows:
            by_timeframe.setdefault(timeframe, []).append(row)
        # The shortest first, so that what the file itself says of longer ones is written last.
        for timeframe in sorted(by_timeframe, key=timeframe_ms):
            own = by_timeframe[timeframe]
            changed = db.import_candles(own, timeframe, reader.source)
            tally.taken += changed
            tally.duplicates += len(own) - changed
            tally.saw([row[0] for row in own], [row[1] for row in own])
        yield


def _report(name: str, reader: TickReader | CandleReader, tally: _Tally) -> ImportReport:
    refused = reader.refusals.listed()
    if tally.below:
        refused += (Refusal(_BELOW_LOW_WATER, tally.below, ()),)
    return ImportReport(
        "ticks" if isinstance(reader, TickReader) else "candles",
        name, reader.rows, tally.taken, tally.duplicates, refused, tuple(tally.symbols),
        tally.start_ms, tally.end_ms, tally.stopped,
    )  # fmt: skip
