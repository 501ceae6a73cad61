"""Filling the holes: the ledger's open gaps, fetched over REST page by page, newest first.

The past that is wanted on Start is written down as a hole like any other. Every step looks at the
ledger afresh, takes the newest missing page that may be fetched, and stores it together with what
the ledger then says; a crash at any moment therefore loses nothing and repeats nothing.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from binance import StreamKind, is_retryable
from collecting.rest import AGG_TRADES_LIMIT, AGG_TRADES_WEIGHT, BinanceRest, Instrument
from collecting.supervision import backoff, wait_after
from config import Config
from database import Database, Gap
from errors import DatabaseError, FeedError, RateLimited
from ticks import TickBatch

log = logging.getLogger(__name__)

KEPT_MS = 48 * 3_600_000
"""How long the exchange keeps aggregate trades."""

_HOUR_MS = 3_600_000 - 1000
# Trades this young may not have reached the REST side yet: their absence proves nothing.
_SETTLED_MS = 10_000
_AGAIN_S = 2.0
_LIST_AGAIN_S = 30.0
_BEFORE_START = "from before collecting began"
_TOO_OLD = "older than the 48 hours that the exchange keeps"
_NO_REST = "single trades cannot be fetched again; Binance offers aggTrade alone"


@dataclass(frozen=True, slots=True)
class Page:
    """What one step is to fetch: these ids of this hole."""

    gap: Gap
    first_id: int
    last_id: int


@dataclass(slots=True)
class Progress:
    """How far the repair has come since there was last nothing to do; ids and seconds.

    ``held_up_s`` says how long the exchange's limit alone keeps so many pages waiting.
    """

    held_up_s: Callable[[int], float]
    done: int = 0
    left: int = 0
    seconds_a_page: float = 1.0
    waits: bool = False
    trouble: str | None = None

    @property
    def fraction(self) -> float | None:
        """Share done; None where there is nothing to do."""
        return self.done / (self.done + self.left) if self.left else None

    @property
    def eta_s(self) -> float | None:
        """Seconds until done, at the pace so far and within the exchange's limit."""
        pages = -(-self.left // AGG_TRADES_LIMIT)
        return max(pages * self.seconds_a_page, self.held_up_s(pages)) if self.left else None

    def text(self) -> str:
        """For the page; empty where there is nothing to do."""
        if self.fraction is None or self.eta_s is None:
            return ""
        if self.trouble is not None:
            return f"Fetching past trades waits: {self.trouble}"
        minutes = self.eta_s / 60
        left = f"{self.eta_s:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
        why = "; waiting, for the exchange limits requests a minute" if self.waits else ""
        return f"Fetching past trades, newest first: {self.fraction:.0%}, about {left} left{why}."


@dataclass(slots=True)
class _Work:
    """What the steps remember of a hole: as it was found, and how many of its ids were filled."""

    found: Gap
    filled: int = 0


@dataclass(slots=True)
class RepairCounters:
    """Figures for the health panel."""

    open: int = 0
    filled: int = 0
    absent: int = 0
    ticks: int = 0
    unplanned: dict[str, tuple[int, int]] = field(default_factory=dict)


class Repairer:
    """A thread that asks for the list of symbols once, then fills holes for as long as it runs.

    Parameters
    ----------
    clock : callable
        The market's time, epoch ms.
    on_instruments : callable
        Receives what the exchange lists, once it answers.
    on_stored : callable
        Receives the ticks stored, after they are.
    """

    def __init__(
        self,
        database: Database,
        rest: BinanceRest,
        kind: StreamKind,
        *,
        backfill_minutes: int,
        clock: Callable[[], int],
        on_instruments: Callable[[dict[str, Instrument]], None],
        on_stored: Callable[[TickBatch], None],
    ) -> None:
        self._database, self._rest, self._kind = database, rest, kind
        self._backfill_ms = min(backfill_minutes * 60_000, Config.DATA_RETENTION_HOURS * 3_600_000)
        self._clock, self._on_instruments, self._on_stored = clock, on_instruments, on_stored
        self.progress = Progress(lambda pages: rest.held_up_s(pages, AGG_TRADES_WEIGHT))
        self.counters = RepairCounters()
        self._work: dict[int, _Work] = {}
        self._not_before_s: dict[int, float] = {}
        self._skipped: set[int] = set()
        self._skip_asked = False
        self._lock = threading.Lock()
        self._list_due_s: float | None = 0.0
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="repair", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience_s: float) -> None:
        """End; a request under way is left to itself after ``patience_s``."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(patience_s)

    def first_print(self, symbol: str, trade_id: int, time_ms: int) -> None:
        """The first live print of a symbol: the past is counted back from here."""
        with self._lock:
            self.counters.unplanned[symbol] = (trade_id, time_ms)
        self._wake.set()

    def look(self) -> None:
        """There may be new holes."""
        self._wake.set()

    def skip(self) -> None:
        """Leave what is open now as it is, until the next start; later holes are still filled."""
        with self._lock:
            self._skip_asked = True
            self.counters.unplanned.clear()
        self._wake.set()

    def health(self) -> dict[str, Any]:
        """Progress as the page and the status line show it."""
        progress = self.progress
        return {
            "fraction": progress.fraction,
            "text": progress.text(),
            "eta_s": progress.eta_s,
            "planned": bool(self.counters.unplanned),
            "can_stop": progress.left > 0,
            "left": progress.left,
            "trouble": progress.trouble,
        }

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        delays = backoff(random.Random(), first_s=1.0)
        while not self._stopping.is_set():
            try:
                wait_s = self._step()
                if self.progress.trouble is not None:
                    self.progress.trouble = None
                    delays = backoff(random.Random(), first_s=1.0)
            except FeedError as error:
                wait_s = self._note_trouble(error, delays)
            except DatabaseError as error:
                self._say(error)
                wait_s = next(delays)
            except Exception:
                log.exception("a step of the repair failed")
                wait_s = next(delays)
            if wait_s > 0:
                self._wake.wait(wait_s)
                self._wake.clear()

    def _note_trouble(self, error: FeedError, delays: Iterator[float]) -> float:
        self._say(error)
        retry_after_s = error.retry_after_s if isinstance(error, RateLimited) else None
        wait_s = wait_after(delays, retryable=is_retryable(error), retry_after_s=retry_after_s)
        # A wake-up by a new hole must not cut the wait that the exchange asked for.
        self._stopping.wait(wait_s)
        return 0.0

    def _say(self, error: Exception) -> None:
        """Log a trouble when it is new, not at every attempt."""
        if self.progress.trouble != str(error):
            log.warning("repair waits: %s", error)
        self.progress.trouble = str(error)

    def _step(self) -> float:
        """One request at most; returns how long to wait before the next step."""
        if self._list_due_s is not None and time.monotonic() >= self._list_due_s:
            self._list_instruments()
            return 0.0
        with self._lock:
            unplanned = next(iter(self.counters.unplanned.items()), None)
        if unplanned is not None:
            self._plan(unplanned[0], *unplanned[1])
            with self._lock:
                self.counters.unplanned.pop(unplanned[0], None)
            return 0.0
        page = self._next_page()
        if page is None:
            return 1.0
        if not self._wait_for_weight():
            return 0.0
        begun = time.monotonic()
        self._fetch(page)
        pace = self.progress.seconds_a_page
        self.progress.seconds_a_page = 0.8 * pace + 0.2 * (time.monotonic() - begun)
        return 0.0

    def _list_instruments(self) -> None:
        """Ask what is listed; not needed to collect, so a failure only means asking again later."""
        self._list_due_s = time.monotonic() + _LIST_AGAIN_S
        listed = self._rest.instruments()
        self._list_due_s = None
        self._on_instruments(listed)

    def _wait_for_weight(self) -> bool:
        wait_s = self._rest.wait_s(AGG_TRADES_WEIGHT)
        self.progress.waits = wait_s > 0
        stopped = self._stopping.wait(wait_s)
        self.progress.waits = False
        return not stopped

    # -- the past on Start -------------------------------------------------------------------

    def _plan(self, symbol: str, trade_id: int, time_ms: int) -> None:
        """Write down the last minutes before the first stored print as a hole."""
        if self._kind != "aggTrade" or not self._backfill_ms:
            return
        with self._database.snapshot() as snapshot:
            oldest_id, oldest_ms = snapshot.first_print(symbol)
        if oldest_id is None or oldest_ms is None or oldest_ms > time_ms:
            oldest_id, oldest_ms = trade_id, time_ms
        start_ms = time_ms - self._backfill_ms
        if oldest_id < 0 or oldest_ms <= start_ms:
            return
        while start_ms < oldest_ms and self._wait_for_weight():
            end_ms = min(start_ms + _HOUR_MS, oldest_ms)
            first = self._rest.agg_trades_between(symbol, start_ms, end_ms, limit=1)
            if len(first):
                if first.trade_id[0] < oldest_id:
                    ids = (first.trade_id[0], oldest_id - 1)
                    gap = Gap(symbol, *ids, first.time_ms[0], oldest_ms, _BEFORE_START)
                    self._database.record_gaps([gap])
                return
            start_ms = end_ms + 1

    # -- holes -------------------------------------------------------------------------------

    def _next_page(self) -> Page | None:
        """The newest page that is missing and may be fetched."""
        with self._database.snapshot() as snapshot:
            gaps = snapshot.gaps(state="open", limit=10_000)
        self.counters.open = len(gaps)
        self._obey_skip(gaps)
        now_ms, now_s = self._clock(), time.monotonic()
        able = [g for g in gaps if self._may_fetch(g, now_ms)]
        self.progress.left = sum(g.size for g in able)
        if not able:
            self.progress.done = 0
        due = [g for g in able if self._not_before_s.get(g.id, 0.0) <= now_s]
        for gap in sorted(due, key=lambda g: g.end_ms, reverse=True):
            page = self._page_of(gap)
            if page is not None:
                return page
        return None

    def _obey_skip(self, gaps: list[Gap]) -> None:
        with self._lock:
            asked, self._skip_asked = self._skip_asked, False
        if asked:
            self._skipped.update(g.id for g in gaps)
            log.info("%d holes left open by choice until the next start", len(gaps))

    def _may_fetch(self, gap: Gap, now_ms: int) -> bool:
        if gap.id in self._skipped:
            return False
        reason = None
        if self._kind != "aggTrade":
            reason = _NO_REST
        elif gap.end_ms < now_ms - KEPT_MS:
            reason = _TOO_OLD
        if reason is not None and gap.reason != reason:
            self._database.explain_gap(gap.id, reason)
        return reason is None

    def _page_of(self, gap: Gap) -> Page | None:
        """The newest missing ids of a hole, a page at most; closes a hole that has none."""
        low = max(gap.first_id, gap.last_id - AGG_TRADES_LIMIT + 1)
        with self._database.snapshot() as snapshot:
            missing = snapshot.missing_ranges(gap.symbol, low, gap.last_id)
        if not missing:
            self._settle(gap, low, gap.end_ms, TickBatch("aggTrade"), [])
            return self._page_of(self._shrunk(gap, low)) if low > gap.first_id else None
        first, last = missing[-1]
        return Page(gap, first, last)

    @staticmethod
    def _shrunk(gap: Gap, low: int) -> Gap:
        return replace(gap, last_id=low - 1)

    def _fetch(self, page: Page) -> None:
        gap, count = page.gap, page.last_id - page.first_id + 1
        rows = self._rest.agg_trades(gap.symbol, from_id=page.first_id, limit=count)
        if self._stopping.is_set():
            return
        inside = [i for i, n in enumerate(rows.trade_id) if page.first_id <= n <= page.last_id]
        rows = rows.select(inside)
        absent = _absent(page, set(rows.trade_id))
        now_ms = self._clock()
        if absent and now_ms - gap.end_ms < _SETTLED_MS:
            # The REST side is seconds behind the stream: keep what came, ask again for the rest.
            self._not_before_s[gap.id] = time.monotonic() + _AGAIN_S
            if len(rows):
                self._store(self._database.write(rows).fresh)
            return
        if not len(rows) and gap.start_ms < now_ms - KEPT_MS:
            self._database.explain_gap(gap.id, _TOO_OLD)
            self._skipped.add(gap.id)
            return
        end_ms = min(rows.time_ms) if len(rows) else gap.end_ms
        self._settle(gap, page.first_id, end_ms, rows, absent)

    def _settle(
        self, gap: Gap, low: int, end_ms: int, rows: TickBatch, absent: list[tuple[int, int]]
    ) -> None:
        """Store a page, and in the same transaction what is left of the hole, or how it closed."""
        work = self._work.setdefault(gap.id, _Work(gap))
        # No rows and nothing absent: the ids were stored already, so they exist.
        work.filled += len(rows) or not absent
        left = None
        if low > gap.first_id:
            left = replace(gap, last_id=low - 1, end_ms=max(end_ms, gap.start_ms))
        wholly_absent = left is None and not work.filled
        runs = [] if wholly_absent else [replace(gap, first_id=a, last_id=b) for a, b in absent]
        written = self._database.fill_gap(
            gap,
            rows,
            left=left,
            found=work.found,
            state="confirmed_absent" if wholly_absent else "filled",
            absent=runs,
        )
        self.progress.done += gap.last_id - low + 1
        self.progress.left = max(0, self.progress.left - (gap.last_id - low + 1))
        self.counters.absent += len(runs) + wholly_absent
        if left is None:
            self._work.pop(gap.id, None)
            self.counters.filled += not wholly_absent
            log.info("gap of %s closed: ids %d to %d", gap.symbol, gap.first_id, gap.last_id)
        self._store(written.fresh)

    def _store(self, fresh: TickBatch) -> None:
        self.counters.ticks += len(fresh)
        if len(fresh):
            self._on_stored(fresh)


def _absent(page: Page, came: set[int]) -> list[tuple[int, int]]:
    """Runs of ids of the page that did not come."""
    runs: list[tuple[int, int]] = []
    for number in range(page.first_id, page.last_id + 1):
        if number in came:
            continue
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
