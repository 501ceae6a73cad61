"""Databases written by the earlier version of the platform, brought to the present schema.

The earlier version stored each tick once or twice (by the collector and again by its callback),
under naive local times and without trade ids, and candles at times without their timeframe.

**Which prints are doubles.** Rows that agree in symbol, time, price and size are one group. Within
one minute of one symbol nearly all groups have an even number of rows where two writers were at
work, and few where one was: a market prints two equal trades in one millisecond at times, not as a
rule (6 to 7 % of the groups in each minute of a recording of BTCUSDT's single trades). So a minute
with at least 20 groups is *doubled* when more than half of its groups are even, and a thinner
minute is judged as the whole of its symbol is. In a doubled minute every group keeps half of its
rows, rounded up; in any other minute every row is a trade and stays.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from candles import canonical_timeframe, timeframe_ms
from errors import BadInput
from storage import candle_store, schema, state_store, tick_store
from storage.candle_store import CandleRow
from ticks import Occurrences, Tick, TickBatch, iso_utc, refusal

log = logging.getLogger(__name__)

_BATCH_ROWS = 10_000
_ENOUGH_GROUPS = 20
_EPOCH = datetime(1970, 1, 1)
_MILLISECOND = timedelta(milliseconds=1)
_GROUPED = """SELECT lower(trim(symbol)) AS name, timestamp, price, size, count(*) AS copies,
    min(id) AS first_id, min(created_at) AS written FROM earlier_ticks
    GROUP BY name, timestamp, price, size"""
_OHLC = ("open", "high", "low", "close", "volume")


@dataclass(slots=True)
class MigrationReport:
    """What was found and what became of it."""

    backup: str
    rows: int = 0
    ticks: int = 0
    doubles: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    candles: int = 0
    candles_kept: int = 0


def is_legacy(con: Any) -> bool:
    """Whether the file holds the earlier version's tables, which know no trade ids."""
    ticks, candles = _columns(con, "ticks"), _columns(con, "ohlc_data")
    if ticks:
        return {"symbol", "timestamp", "price", "size"} <= ticks and "trade_id" not in ticks
    return {"symbol", "timestamp", *_OHLC} <= candles and "source" not in candles


def _columns(con: Any, table: str) -> set[str]:
    return {row[1] for row in con.execute(f"PRAGMA table_info({table})")}


def migrate(con: Any, path: Path, now_ms: int) -> MigrationReport | None:
    """Bring the earlier version's tables to the present schema, after a copy beside the file.

    One transaction: whatever interrupts it leaves the file as it was. None where another process
    was faster.
    """
    report = MigrationReport(_back_up(con, path, now_ms))
    con.execute("BEGIN IMMEDIATE")
    try:
        if not is_legacy(con):
            con.execute("ROLLBACK")
            return None
        _set_aside(con)
        schema.create(con)
        _move_ticks(con, report, now_ms)
        _move_candles(con, report, now_ms)
        for table in ("earlier_ticks", "earlier_ohlc_data"):
            con.execute(f"DROP TABLE IF EXISTS {table}")
        state_store.put(con, "migration", "report", asdict(report), now_ms)
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:
            con.execute("ROLLBACK")
        raise
    log.warning(
        "%s was written by the earlier version: %d of %d rows are ticks, %d were doubles, %d were "
        "refused; %d of %d candles were kept; the file as it was is %s",
        path, report.ticks, report.rows, report.doubles, sum(report.refused.values()),
        report.candles_kept, report.candles, report.backup,
    )  # fmt: skip
    return report


def _back_up(con: Any, path: Path, now_ms: int) -> str:
    """A sound copy beside the file, under its final name only once it is whole."""
    stamp = iso_utc(now_ms).replace(":", "").replace("-", "").replace(".", "")
    copy = path.with_name(f"{path.name}.backup-{stamp}")
    partial = copy.with_name(copy.name + ".partial")
    partial.unlink(missing_ok=True)
    con.execute("VACUUM INTO ?", (str(partial),))
    with partial.open("r+b") as file:
        os.fsync(file.fileno())
    partial.replace(copy)
    return copy.name


def _set_aside(con: Any) -> None:
    """Give way to the present tables; what the earlier version kept beside them stays."""
    ours = schema.table_names()
    names = con.execute("SELECT name, type FROM sqlite_master WHERE sql NOT NULL").fetchall()
    for name, kind in names:
        if kind in ("view", "trigger"):
            con.execute(f'DROP {kind} "{name}"')
    for name, kind in names:
        if kind == "table" and name in ours:
            con.execute(f'ALTER TABLE "{name}" RENAME TO "earlier_{name}"')
    columns = _columns(con, "earlier_ticks")
    if columns:
        for missing in {"created_at", "id"} - columns:
            con.execute(f"ALTER TABLE earlier_ticks ADD COLUMN {missing}")


# -- ticks -----------------------------------------------------------------------------------


def _move_ticks(con: Any, report: MigrationReport, now_ms: int) -> None:
    if not _columns(con, "earlier_ticks"):
        return
    report.rows = con.execute("SELECT count(*) FROM earlier_ticks").fetchone()[0]
    state = tick_store.WriterState()
    batch: list[Tick] = []
    seen = Occurrences()
    for tick in _earlier_ticks(con, report):
        batch.append(tick)
        if len(batch) == _BATCH_ROWS:
            tick_store.write(con, state, TickBatch.from_ticks(batch, seen=seen), iso_utc(now_ms))
            report.ticks += len(batch)
            batch.clear()
    if batch:
        tick_store.write(con, state, TickBatch.from_ticks(batch, seen=seen), iso_utc(now_ms))
        report.ticks += len(batch)


def _earlier_ticks(con: Any, report: MigrationReport) -> Iterator[Tick]:
    """The trades of the earlier table, symbol by symbol in time, without the doubles."""
    doubled = _doubled_minutes(con)
    to_ms = LocalTimes()
    # The parentheses keep the order of arrival within one millisecond.
    rows = con.execute(f"SELECT * FROM ({_GROUPED}) ORDER BY name, timestamp, first_id")
    for name, timestamp, price, size, copies, _, written in rows:
        time_ms = to_ms(timestamp, written)
        problem = refusal(name, time_ms, price, size)
        if problem is not None:
            report.refused[problem] = report.refused.get(problem, 0) + copies
            continue
        kept = (copies + 1) // 2 if doubled(name, timestamp) else copies
        report.doubles += copies - kept
        tick = Tick(name, int(time_ms or 0), float(price), float(size))
        for _ in range(kept):
            yield tick


class _Doubled:
    """Answers whether a minute of a symbol was written twice."""

    def __init__(self) -> None:
        self.minutes: dict[tuple[str, str], bool] = {}
        self.groups: Counter[str] = Counter()
        self.even: Counter[str] = Counter()

    def __call__(self, symbol: str, timestamp: Any) -> bool:
        by_symbol = self.even[symbol] * 2 > self.groups[symbol]
        return self.minutes.get((symbol, str(timestamp)[:16]), by_symbol)


def _doubled_minutes(con: Any) -> _Doubled:
    """Judge each minute of each symbol by the rule at the head of this module."""
    doubled = _Doubled()
    rows = con.execute(
        "SELECT name, substr(timestamp, 1, 16) AS minute, count(*), sum(copies % 2 = 0) "
        f"FROM ({_GROUPED}) GROUP BY name, minute"
    )
    for symbol, minute, groups, even in rows:
        doubled.groups[symbol] += groups
        doubled.even[symbol] += even
        if groups >= _ENOUGH_GROUPS:
            doubled.minutes[symbol, str(minute)] = even * 2 > groups
    return doubled


class LocalTimes:
    """Naive local times → UTC epoch milliseconds, by the clock settings of this machine.

    The hour that a clock set back goes through twice is told by when the row was written, which
    SQLite noted in UTC; where that is not there, it is the first of the two.
    """

    def __init__(self) -> None:
        self._offsets: dict[str, tuple[int, int]] = {}

    def __call__(self, value: Any, written: Any = None) -> int | None:
        """None where the value is not a time; one with a zone is taken at its word."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return int(value * 1000) if 0 < value < 1e11 else int(value) if value < 1e14 else None
        try:
            moment = datetime.fromisoformat(str(value).strip())
            if moment.tzinfo is not None:
                return (moment.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // _MILLISECOND
            first, second = self._offsets_of(moment)
        except (ValueError, OverflowError, OSError):
            return None
        naive_ms = (moment - _EPOCH) // _MILLISECOND
        written_ms = _written_ms(written) if first != second else None
        if written_ms is None:
            return naive_ms - first
        return min(naive_ms - first, naive_ms - second, key=lambda ms: abs(ms - written_ms))

    def _offsets_of(self, moment: datetime) -> tuple[int, int]:
        """Milliseconds ahead of UTC at this minute, the first time and the second time it is."""
        minute = moment.replace(second=0, microsecond=0)
        key = minute.isoformat()
        if key not in self._offsets:
            if len(self._offsets) > 100_000:
                self._offsets.clear()
            both = (minute.replace(fold=fold).astimezone().utcoffset() for fold in (0, 1))
            first, second = ((offset or timedelta()) // _MILLISECOND for offset in both)
            self._offsets[key] = first, second
        return self._offsets[key]


def _written_ms(written: Any) -> int | None:
    """When SQLite's own CURRENT_TIMESTAMP, which is UTC, says that a row was written."""
    if not isinstance(written, str) or len(written) != 19 or written[10] != " ":
        return None
    try:
        return (datetime.fromisoformat(written) - _EPOCH) // _MILLISECOND
    except ValueError:
        return None


# -- candles ---------------------------------------------------------------------------------


def _move_candles(con: Any, report: MigrationReport, now_ms: int) -> None:
    """Keep as uploads the closed candles that make sense and that the ticks do not cover."""
    columns = _columns(con, "earlier_ohlc_data")
    if not {"symbol", "timestamp", *_OHLC} <= columns:
        return
    timeframe = "timeframe" if "timeframe" in columns else "NULL"
    to_ms = LocalTimes()
    by_kind: dict[tuple[str, str | None], list[CandleRow]] = {}
    for name, label, timestamp, *values in con.execute(
        f"SELECT lower(trim(symbol)), {timeframe}, timestamp, {', '.join(_OHLC)} "
        "FROM earlier_ohlc_data ORDER BY 1, 2, 3"
    ):
        report.candles += 1
        time_ms = to_ms(timestamp)
        if _makes_sense(name, time_ms, values):
            by_kind.setdefault((name, label), []).append((name, int(time_ms or 0), *values))
    for (_, label), rows in by_kind.items():
        told = _timeframe_of(label, rows)
        if told is not None:
            length = timeframe_ms(told)
            rows = [r for r in rows if r[1] % length == 0 and r[1] + length <= now_ms]
            before = _uploads(con)
            candle_store.import_candles(con, rows, told, "upload")
            report.candles_kept += _uploads(con) - before


def _uploads(con: Any) -> int:
    return con.execute("SELECT count(*) FROM ohlc_data WHERE source = 'upload'").fetchone()[0]


def _makes_sense(name: Any, time_ms: int | None, values: list[Any]) -> bool:
    if any(refusal(name, time_ms, price, 1.0) for price in values[:4]):
        return False
    open_, high, low, close, volume = values
    sized = isinstance(volume, (int, float)) and 0 <= volume < float("inf")
    return sized and low <= min(open_, close) <= max(open_, close) <= high


def _timeframe_of(label: str | None, rows: list[CandleRow]) -> str | None:
    """The timeframe that the rows say, or that all but a few of their distances say; or None.

    Where two candles of one symbol begin at one time, several timeframes lie on top of each
    other and none can be told.
    """
    try:
        if label is not None:
            return canonical_timeframe(str(label))
        times = sorted(row[1] for row in rows)
        steps = Counter(b - a for a, b in zip(times, times[1:], strict=False))
        if len(times) < 3 or 0 in steps:
            return None
        step = min(steps)
        whole = all(distance % step == 0 for distance in steps) and times[0] % step == 0
        return canonical_timeframe(f"{step}ms") if whole else None
    except BadInput:
        return None
