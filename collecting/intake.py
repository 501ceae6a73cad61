"""Between the sockets and the database: a bounded queue, and the one thread that writes.

Nothing is dropped in silence. A writer that is slow makes the readers wait, so that the network
holds the rest; one that cannot write at all keeps its batch and tries again. What a reader cannot
hand over within its patience is given up: the next id it hands over then reveals the hole, and the
ledger of gaps has it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat

import numpy as np

from binance import Parsed
from candles import Ints
from collecting.supervision import RETRY_WRITE_S, percentile
from database import Database, Gap
from errors import DatabaseBusy, DatabaseError, MixedPrints, ReadOnlyDatabase
from ticks import PrintKind, TickBatch

log = logging.getLogger(__name__)

BatchHook = Callable[[TickBatch], None]

_MISSED = "missed while collecting"
_NO_ID = -2


@dataclass(slots=True)
class Follower:
    """Follows the ids of every symbol and names the holes; what it knows is what is stored."""

    last_id: dict[str, int] = field(default_factory=dict)
    last_ms: dict[str, int] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)

    def knows(self, symbol: str) -> bool:
        """Whether a print of the symbol was followed or stored before."""
        return symbol in self.last_id

    def begin(self, symbol: str, last_id: int, last_ms: int, reason: str) -> None:
        """Start from the last stored print; a hole right after it has this reason."""
        self.last_id[symbol], self.last_ms[symbol] = last_id, last_ms
        self._reasons[symbol] = reason

    def holes(self, symbol: str, ids: Ints, times_ms: Ints) -> list[Gap]:
        """Holes that these prints of one symbol reveal; ``ids`` must ascend."""
        last = self.last_id.get(symbol)
        if last is not None:
            first = int(np.searchsorted(ids, last, side="right"))
            ids, times_ms = ids[first:], times_ms[first:]
        if not len(ids):
            return []
        found = []
        if last is not None and ids[0] > last + 1:
            times = (self.last_ms[symbol], int(times_ms[0]))
            reason = self._reasons.get(symbol, _MISSED)
            found.append(Gap(symbol, last + 1, int(ids[0]) - 1, *times, reason))
        if ids[-1] - ids[0] >= len(ids):
            for i in np.flatnonzero(np.diff(ids) > 1).tolist():
                ends = (int(ids[i]) + 1, int(ids[i + 1]) - 1)
                found.append(Gap(symbol, *ends, int(times_ms[i]), int(times_ms[i + 1]), _MISSED))
        return found

    def advance(self, symbol: str, last_id: int, last_ms: int) -> None:
        """Note that the prints up to here are stored."""
        if last_id > self.last_id.get(symbol, _NO_ID):
            self.last_id[symbol], self.last_ms[symbol] = last_id, last_ms
        self._reasons.pop(symbol, None)


@dataclass(slots=True)
class IntakeCounters:
    """Figures for the health panel; only the writer changes them, apart from ``given_up``."""

    ticks: int = 0
    duplicates: int = 0
    below_low_water: int = 0
    gaps_found: int = 0
    given_up: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    last_flush_ms: int | None = None
    write_ms: deque[float] = field(default_factory=lambda: deque(maxlen=512))
    trouble: str | None = None
    mixed: str | None = None

    def latency_ms(self, share: float) -> float | None:
        """A percentile of the time that a batch took to be written and committed."""
        return percentile(list(self.write_ms), share)


class Intake:
    """A bounded queue and its writer.

    Parameters
    ----------
    database : Database
    kind : {'aggTrade', 'trade'}
    bound : int
        Ticks that may wait, those of a batch that cannot be written now included. One read of a
        socket is taken whole, so that it may be passed by as much.
    batch_size, interval_s
        The writer begins at whichever comes first, and takes all that waits.
    """

    def __init__(
        self,
        database: Database,
        kind: PrintKind,
        *,
        bound: int,
        batch_size: int,
        interval_s: float,
    ) -> None:
        self.database, self.kind, self.bound = database, kind, bound
        self.follower = Follower()
        self.counters = IntakeCounters()
        self.on_stored: list[BatchHook] = []
        self.on_first: Callable[[str, int, int], None] = lambda symbol, trade_id, time_ms: None
        # Asked of what arrives, in the reader's thread: True has the writer begin at once.
        self.is_urgent: Callable[[TickBatch], bool] = lambda batch: False
        self._urgent = False
        self._batch_size, self._interval_s = batch_size, interval_s
        self._items: list[Parsed] = []
        self._waiting = self._writing = 0
        self._first_s = 0.0
        self._changed = threading.Condition()
        self._stopping = False
        self._give_up_s = 0.0
        self._thread: threading.Thread | None = None

    @property
    def depth(self) -> int:
        """Ticks that wait."""
        return self._waiting + self._writing

    @property
    def has_room(self) -> bool:
        """Whether at most half of the bound waits: the mark at which a paused feed goes on."""
        return self.depth <= self.bound // 2

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def stop(self, patience_s: float = 0.8) -> None:
        """Write what waits and end; gives up after ``patience_s`` where the disk says no."""
        with self._changed:
            self._stopping = True
            self._give_up_s = time.monotonic() + patience_s
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(patience_s)
            self._thread = None

    def put(self, parsed: Parsed, patience_s: float) -> bool:
        """Hand over what was read; waits while the queue is full.

        Returns
        -------
        bool
            False where there was no room within ``patience_s``: the prints are given up and the
            caller should pause its feed.
        """
        count = len(parsed.batch)
        if not count and not parsed.seen:
            return True
        deadline_s = time.monotonic() + patience_s
        urgent = self.is_urgent(parsed.batch)
        with self._changed:
            while self.depth and self.depth + count > self.bound and not self._stopping:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    self.counters.given_up += count
                    return False
                self._changed.wait(left_s)
            if not self._items:
                self._first_s = time.monotonic()
            self._items.append(parsed)
            self._waiting += count
            self._urgent = self._urgent or urgent
            if self._urgent or self._waiting >= self._batch_size or len(self._items) == 1:
                self._changed.notify_all()
        return True

    # -- the writer --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            items = self._take()
            if items is None:
                return
            try:
                self._store(items)
            except Exception:
                log.exception("a batch of %d ticks could not be stored", self._writing)
                self.counters.trouble = "A batch could not be stored; see the log."
                self.counters.refused["not stored"] += self._writing
            with self._changed:
                self._writing = 0
                self._changed.notify_all()

    def _take(self) -> list[Parsed] | None:
        """All that waits, once there is enough or it has waited long enough; None at the end."""
        with self._changed:
            while not self._stopping:
                if not self._items:
                    self._changed.wait(1.0)
                    continue
                left_s = self._first_s + self._interval_s - time.monotonic()
                if self._urgent or self._waiting >= self._batch_size or left_s <= 0:
                    break
                self._changed.wait(left_s)
            if not self._items:
                return None
            items, self._items = self._items, []
            self._urgent = False
            self._writing, self._waiting = self._waiting, 0
            self._changed.notify_all()
            return items

    def _store(self, items: Sequence[Parsed]) -> None:
        batch = TickBatch(self.kind)
        for item in items:
            batch.extend(item.batch)
        seen = [print_ for item in items for print_ in item.seen]
        self._begin_symbols(batch)
        ordered, gaps = in_order(batch, seen, self.follower)
        self._write(ordered.batch, gaps)
        for symbol, (last_id, last_ms) in ordered.newest.items():
            self.follower.advance(symbol, last_id, last_ms)
        self.counters.duplicates += ordered.repeats
        self.counters.gaps_found += len(gaps)

    def _begin_symbols(self, batch: TickBatch) -> None:
        """Symbols met for the first time: where their stored tape ends, and who must know."""
        new = {s for s in set(batch.symbol) if not self.follower.knows(s)}
        if not new:
            return
        for symbol in new:
            row = batch.symbol.index(symbol)
            last_id, last_ms = self._last_stored(symbol)
            if last_id is not None and last_ms is not None and last_id >= 0:
                self.follower.begin(symbol, last_id, last_ms, "not collecting")
            self.on_first(symbol, batch.trade_id[row], batch.time_ms[row])

    def _last_stored(self, symbol: str) -> tuple[int | None, int | None]:
        """Where the stored tape of a symbol ends; asked again until the database answers."""
        for wait_s in chain(RETRY_WRITE_S, repeat(RETRY_WRITE_S[-1])):
            try:
                with self.database.snapshot() as snapshot:
                    return snapshot.last_print(symbol)
            except (DatabaseBusy, ReadOnlyDatabase) as error:
                self._note_trouble(error)
                if not self._wait_to_retry(wait_s):
                    raise
        raise AssertionError("an endless loop ended")

    def _write(self, batch: TickBatch, gaps: Sequence[Gap]) -> None:
        """Write until it is written, or until the end where the disk still says no."""
        waits = iter(RETRY_WRITE_S)
        wait_s = next(waits)
        while True:
            begun = time.perf_counter()
            try:
                written = self.database.write(batch, gaps)
                break
            except (DatabaseBusy, ReadOnlyDatabase) as error:
                self._note_trouble(error)
                wait_s = next(waits, wait_s)
                if not self._wait_to_retry(wait_s):
                    self.counters.refused["not written before the end"] += len(batch)
                    return
            except MixedPrints as error:
                self._refuse_mixed(batch, gaps, error)
                return
        counters = self.counters
        counters.write_ms.append((time.perf_counter() - begun) * 1000)
        counters.ticks += written.inserted
        counters.duplicates += written.duplicates
        counters.below_low_water += written.below_low_water
        counters.last_flush_ms = time.time_ns() // 1_000_000
        if counters.trouble is not None:
            log.warning("writing works again")
            counters.trouble = None
        self._tell(written.fresh)

    def _refuse_mixed(self, batch: TickBatch, gaps: Sequence[Gap], error: MixedPrints) -> None:
        """Leave out the symbol whose prints are of another kind here; the others are stored."""
        columns = batch.arrays()
        if len(columns.names) > 1:
            for i, name in enumerate(columns.names):
                rows = np.flatnonzero(columns.group == i)
                self._write(batch.select(rows), [g for g in gaps if g.symbol == name])
            return
        if self.counters.mixed != str(error):
            log.error("%s", error)
        self.counters.mixed = str(error)
        self.counters.refused["another kind of print is stored"] += len(batch)

    def _note_trouble(self, error: DatabaseError) -> None:
        if self.counters.trouble != str(error):
            log.warning("cannot write: %s", error)
        self.counters.trouble = str(error)

    def _wait_to_retry(self, wait_s: float) -> bool:
        """Wait; False once stopping and out of patience."""
        with self._changed:
            if self._stopping:
                if time.monotonic() >= self._give_up_s:
                    return False
                wait_s = 0.05
            self._changed.wait(wait_s)
        return True

    def _tell(self, fresh: TickBatch | None) -> None:
        if fresh is None or not len(fresh):
            return
        for hook in self.on_stored:
            try:
                hook(fresh)
            except Exception:
                log.exception("a listener failed on a batch of %d ticks", len(fresh))


@dataclass(frozen=True, slots=True)
class Ordered:
    """A batch sorted by symbol and id without repeats, and the newest print of each symbol."""

    batch: TickBatch
    repeats: int
    newest: dict[str, tuple[int, int]]


def in_order(
    batch: TickBatch, seen: Sequence[tuple[str, int, int]], follower: Follower
) -> tuple[Ordered, list[Gap]]:
    """Sort what came together, and name the holes it reveals.

    Prints that arrived in disorder, or on two connections at once, are put right here, so that
    neither makes a hole; ``seen`` are (symbol, id, time) of prints that are no trades.
    """
    names, group, _, _, _, ids = batch.arrays()
    order, repeats = _order(group, ids)
    if order is not None:
        batch = batch.select(order)
    _, group, times_ms, _, _, ids = batch.arrays()
    gaps: list[Gap] = []
    newest: dict[str, tuple[int, int]] = {}
    ends = np.searchsorted(group, np.arange(len(names) + 1))
    for i, name in enumerate(names):
        rows = slice(int(ends[i]), int(ends[i + 1]))
        own_ids, own_times = _with_seen(name, ids[rows], times_ms[rows], seen)
        gaps += follower.holes(name, own_ids, own_times)
        newest[name] = int(own_ids[-1]), int(own_times[-1])
    for name in {s for s, _, _ in seen} - set(names):
        if follower.knows(name):
            own_ids, own_times = _with_seen(name, ids[:0], times_ms[:0], seen)
            gaps += follower.holes(name, own_ids, own_times)
            newest[name] = int(own_ids[-1]), int(own_times[-1])
    return Ordered(batch, repeats, newest), gaps


def _order(group: Ints, ids: Ints) -> tuple[Ints | None, int]:
    """Row order by (group, id) with each id once, or None where it is so already."""
    order = None
    if np.any(group[1:] < group[:-1]):
        order = np.argsort(group, kind="stable")
        group, ids = group[order], ids[order]
    same_group = group[1:] == group[:-1]
    if not np.any(same_group & (ids[1:] <= ids[:-1])):
        return order, 0
    again = np.lexsort((ids, group))
    order = again if order is None else order[again]
    group, ids = group[again], ids[again]
    repeat = (ids[1:] == ids[:-1]) & (group[1:] == group[:-1])
    return order[np.concatenate(([True], ~repeat))], int(repeat.sum())


def _with_seen(
    name: str, ids: Ints, times_ms: Ints, seen: Sequence[tuple[str, int, int]]
) -> tuple[Ints, Ints]:
    extra = [(i, t) for s, i, t in seen if s == name]
    if not extra:
        return ids, times_ms
    all_ids = np.concatenate((ids, [i for i, _ in extra]))
    all_times = np.concatenate((times_ms, [t for _, t in extra]))
    all_ids, first = np.unique(all_ids, return_index=True)
    return all_ids, all_times[first]
