"""`Desk`: follows the stored tape in a thread of its own, and alone gives the books the database.

The collector only wakes it: the desk reads the ticks that were committed, in the order in which
they were, from the row where it stopped. What a stretch of tape caused (fills, alerts, states of
rules) is stored in one transaction with the row it goes up to. So a process that dies anywhere
loses nothing and repeats nothing: the next one starts from the stored row with the stored books.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from candles import timeframe_ms
from config import Config
from database import Database, Snapshot
from desk import automatic, watch
from desk.commands import LONGEST_WAIT_MS, PREFIX, carry_out
from desk.courier import Courier
from desk.state import DeskState, Pending, answer, store, store_equity
from errors import BadInput, DatabaseBusy, DatabaseError, PlatformError
from notify import Channels, channels_of
from storage import books, state_store
from storage.state_store import Command
from ticks import TickBatch
from trading.market import STALE_MS

log = logging.getLogger(__name__)

_PRINTS_A_TURN = 2_000
_POLL_S = 0.1
_CLOCK_S = 1.0
_EQUITY_EVERY_MS = 60_000
_KEEP_POSITION_S = 2.0
_RELOAD_RULES_S = 60.0
_BUSY_WAIT_S = 0.2
_MARKS_KEPT = 4_096

FundingRates = Callable[[str], float | None]
"""The last published funding rate of a symbol as a fraction, None where it cannot be had."""


class Feed(Protocol):
    """What the desk uses of a collector."""

    def on_batch(self, hook: Callable[[Any], None]) -> None:
        """Have ``hook`` called after each commit."""

    def hurry_when(self, is_urgent: Callable[[TickBatch], bool]) -> None:
        """Have ticks for which this is true written without waiting for more."""

    def on_mark(self, hook: Callable[[Sequence[tuple[str, int, float]]], None]) -> None:
        """Have ``hook`` called with (symbol, time, mark price) as they arrive, where they do."""

    def health(self) -> dict[str, Any]:
        """The collector's account of itself."""


class Desk:
    """Paper trading and alerts of one database.

    Parameters
    ----------
    database : Database
        Open for writing; this process holds its lease.
    clock : callable
        The source's time in epoch ms: the recording's in a replay.
    channels : Channels, optional
        Where alerts go; None takes what the settings name.
    funding_rates : callable, optional
        Asked now and then in a thread of its own, never while a print is looked at.
    stale_ms : int
        A price older than this is not traded at.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        *,
        channels: Channels | None = None,
        funding_rates: FundingRates | None = None,
        stale_ms: int = STALE_MS,
    ) -> None:
        self._database, self._clock = database, clock
        self._stale_ms, self._funding_rates = stale_ms, funding_rates
        self._trouble = ""
        if channels is None:
            channels, self._trouble = _configured_channels()
        self.channels = channels
        self._courier = Courier(database, channels)
        self._state = DeskState(stale_ms)
        self._loaded = False
        self._wake, self._stop = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._feed: Feed | None = None
        self._arrived: deque[tuple[str, int, float]] = deque(maxlen=_MARKS_KEPT)
        self._latency_ms: deque[float] = deque(maxlen=512)
        self._turn_ms: deque[float] = deque(maxlen=512)
        self._due: dict[str, float] = {}
        self._peaks: dict[str, float] = {}
        self._equity_ms = 0
        self._stored_s = 0.0
        self._commits = 0
        self._ready, self._warming = threading.Event(), False

    # -- life --------------------------------------------------------------------------------

    def start(self, collector: Feed | None = None) -> None:
        """Catch up with the stored tape and follow it; ``collector`` wakes it at each commit."""
        if self._threads:
            return
        self._stop.clear()
        self._feed = collector
        if collector is not None:
            collector.on_batch(self._on_batch)
            collector.hurry_when(self.is_urgent)
            collector.on_mark(self.on_mark)
        self._spawn(self._run, "desk")
        if self._funding_rates is not None:
            self._spawn(self._fetch_funding, "desk-funding")
        self._courier.start()

    def _on_batch(self, batch: Any) -> None:
        """In the writer's thread: note that something was stored, and nothing else."""
        if not self._stored_s:
            self._stored_s = time.perf_counter()
        self._wake.set()

    def on_mark(self, marks: Sequence[tuple[str, int, float]]) -> None:
        """In the reader's thread: keep (symbol, time, mark price) for the desk's next round."""
        self._arrived.extend(marks)

    def is_urgent(self, batch: TickBatch) -> bool:
        """In the reader's thread: whether these prints may fire a rule, and should not wait."""
        return self._state.engine.may_change(batch.symbol, batch.price)

    def _spawn(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self, patience_s: float = 2.0) -> None:
        """End; everything that happened is stored. Harmless when stopped already."""
        self._stop.set()
        self._wake.set()
        threads, self._threads = self._threads, []
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(patience_s)
        self._courier.stop()
        self._feed = None
        self._loaded = False

    def health(self) -> dict[str, Any]:
        """Figures for the health panel."""
        state = self._state
        latency, turns = sorted(self._latency_ms), sorted(self._turn_ms)
        return {
            "running": bool(self._threads),
            "trouble": self._trouble,
            "row": state.row,
            "prints": state.counters.prints,
            "late_prints": state.counters.late,
            "fills": state.counters.fills,
            "alerts": state.counters.alerts,
            "accounts": len(state.accounts),
            "rules": len(state.engine.rules),
            "auto_pairs": len(state.autos),
            "channels": [self.channels.describe(name) for name in self.channels.names],
            "turn_ms_p99": turns[int(0.99 * (len(turns) - 1))] if turns else None,
            "stored_to_done_ms_p99": latency[int(0.99 * (len(latency) - 1))] if latency else None,
        }

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            more = False
            try:
                more = self.turn()
                self._trouble = ""
            except PlatformError as error:
                self._fail(str(error))
            except Exception as error:  # the top of a thread: it logs and goes on
                log.exception("the desk failed and starts again from its books")
                self._fail(
                    f"The desk failed ({type(error).__name__}) and starts again; see the log."
                )
            if not more:
                self._wake.wait(_POLL_S)
                self._wake.clear()

    def _fail(self, sentence: str) -> None:
        """What is in memory may be ahead of what is stored: forget it."""
        if sentence != self._trouble:
            log.warning("the desk: %s", sentence)
        self._trouble, self._loaded = sentence, False
        self._stop.wait(_BUSY_WAIT_S)

    def load(self) -> None:
        """Take state and position from the database; also used to begin without a thread."""
        state = DeskState(self._stale_ms)
        state.counters, state.funding_rates = self._state.counters, self._state.funding_rates
        with self._database.snapshot() as snapshot:
            state.load(snapshot, self._clock())
            for account_id in state.accounts:
                self._peaks[account_id] = snapshot.books(books.peak_equity, account_id) or 0.0
        self._state, self._loaded = state, True
        self._commits = int(state.marks["commits"])
        self._commit(state.drain())

    def turn(self) -> bool:
        """One round: the tape, requests, and what the clock brings; True where more is waiting."""
        begun = time.perf_counter()
        if not self._loaded:
            self.load()
        more = self._follow()
        self._obey()
        now_s = time.monotonic()
        if now_s >= self._due.get("clock", 0.0):
            self._due["clock"] = now_s + _CLOCK_S
            self._on_clock()
        self._turn_ms.append((time.perf_counter() - begun) * 1000)
        return more

    def _follow(self) -> bool:
        """Take in the prints that were stored since, and store what they caused."""
        state = self._state
        stored_s, self._stored_s = self._stored_s, 0.0
        # Before the tape is read, so that what was stored before a mark arrived is seen before it.
        marks = [self._arrived.popleft() for _ in range(len(self._arrived))]
        with self._database.snapshot() as snapshot:
            prints = snapshot.books(books.prints_after, state.row, _PRINTS_A_TURN)
            stale = not prints and self._tape_began_again(snapshot)
        if stale:
            self._loaded = False
            return True
        if prints or marks:
            now_ms = self._clock()
            state.expect_marks(marks, now_ms)
            state.take(prints, now_ms)
            if len(prints) < _PRINTS_A_TURN:
                state.take_marks(now_ms)
            pending = state.drain()
            now_s = time.monotonic()
            if pending or (prints and now_s >= self._due.get("position", 0.0)):
                self._due["position"] = now_s + _KEEP_POSITION_S
                self._commit(pending)
        if stored_s:
            self._latency_ms.append((time.perf_counter() - stored_s) * 1000)
        return len(prints) == _PRINTS_A_TURN

    def _tape_began_again(self, snapshot: Snapshot) -> bool:
        state = self._state
        position = books.TapePosition(state.row, state.row_symbol, state.row_trade_id, {}, {})
        return not snapshot.books(books.is_same_tape, position)

    def _commit(self, pending: Pending) -> None:
        """Store it, waiting while another program holds the file."""
        while True:
            try:
                with self._database.transaction() as con:
                    self._be_the_only_one(con, pending)
                    store(con, pending, _wall_ms(), self.channels.names, self._clock())
                self._commits += 1
                break
            except DatabaseBusy as error:
                self._trouble = str(error)
                if self._stop.wait(_BUSY_WAIT_S):
                    raise
        if pending.alerts or pending.extra:
            self._courier.wake()

    def _be_the_only_one(self, con: Any, pending: Pending) -> None:
        """Refuse to store where another desk has stored since: a process that slept and woke.

        Raises
        ------
        DatabaseError
            The memory is not of what is stored; it is loaded anew.
        """
        stored = books.tape_position(con)
        if stored is not None and stored.marks.get("commits", 0) != self._commits:
            raise DatabaseError("Another process's desk has written to these books meanwhile.")
        pending.position.marks["commits"] = self._commits + 1

    # -- requests ----------------------------------------------------------------------------

    def _obey(self) -> None:
        with self._database.snapshot() as snapshot:
            commands = [c for c in snapshot.commands() if c.kind.startswith(PREFIX)]
        for command in commands:
            result = self.handle_command(command)
            self._state.also(answer(command.id, result, _wall_ms()))
            self._commit(self._state.drain())

    def handle_command(self, command: Command) -> dict[str, Any]:
        """Carry out one request and give its answer; the caller stores both together."""
        waited_ms = _wall_ms() - command.asked_ms
        if waited_ms > LONGEST_WAIT_MS:
            why = f"This was asked {waited_ms // 1000} s ago, while the desk was not running."
            return {"done": False, "why": f"{why} Ask again."}
        if not isinstance(command.body, dict):
            return {"done": False, "why": "The request cannot be read."}
        return carry_out(
            self._state, command.kind, command.body, self._clock(), self.channels.names
        )

    # -- the clock ---------------------------------------------------------------------------

    def _on_clock(self) -> None:
        state, now_ms, now_s = self._state, self._clock(), time.monotonic()
        self._learn_symbols(now_s)
        lag_ms = self._lag_ms()
        with self._database.snapshot() as snapshot:
            watch.judge_clock(state, snapshot, now_ms, self._peaks, lag_ms)
            if self._numbers_are_ready():
                watch.judge_closes(state, snapshot, now_ms)
                automatic.run_autos(state, snapshot, now_ms)
                self._monitor_pairs(snapshot, now_ms)
        self._snapshot_equity(now_ms)
        pending = state.drain()
        if pending:
            self._commit(pending)

    def _numbers_are_ready(self) -> bool:
        """Whether what compiles on first use is compiled; it is begun beside, never waited for."""
        if self._ready.is_set() or not watch.needs_numbers(self._state):
            return True
        if not self._threads:
            watch.warm_up()
            self._ready.set()
        elif not self._warming:
            self._warming = True
            self._spawn(self._warm_up, "desk-warm")
        return self._ready.is_set()

    def _warm_up(self) -> None:
        try:
            watch.warm_up()
        except Exception:  # the top of a thread: who needs the numbers then meets the cause
            log.exception("warming up failed")
        self._ready.set()

    def _learn_symbols(self, now_s: float) -> None:
        """The collector learns the exchange's rules after its start; so do we, now and then."""
        if now_s < self._due.get("rules", 0.0):
            return
        # Often while nothing is known yet.
        self._due["rules"] = now_s + (_RELOAD_RULES_S if self._state.rules else _CLOCK_S)
        from desk.recorder import symbol_rules

        with self._database.snapshot() as snapshot:
            self._state.rules.update(symbol_rules(snapshot))

    def _lag_ms(self) -> float | None:
        feed = self._feed
        if feed is None or not any(r.metric == "lag" for r in self._state.engine.rules.values()):
            return None
        return (feed.health().get("lag_ms") or {}).get("p50")

    def _monitor_pairs(self, snapshot: Snapshot, now_ms: int) -> None:
        """Once a candle: are the held pairs still pairs?"""
        period = timeframe_ms(watch.MONITOR_TIMEFRAME)
        if now_ms < self._due.get("monitor", 0.0) or not watch.open_pairs(self._state):
            return
        self._due["monitor"] = now_ms + period
        health = watch.monitor(self._state, snapshot, now_ms)
        wall_ms = _wall_ms()
        for pair_id, body in health.items():
            self._state.also(_fact("pair_health", pair_id, body, wall_ms))
            for warning in body["warnings"]:
                log.warning("pair %s: %s", pair_id, warning)

    def _snapshot_equity(self, now_ms: int) -> None:
        """Once a minute what each account is worth, held positions or not."""
        if now_ms - self._equity_ms < _EQUITY_EVERY_MS:
            return
        self._equity_ms = now_ms
        for account in self._state.accounts.values():
            equity = account.equity()
            self._peaks[account.id] = max(self._peaks.get(account.id, 0.0), equity)
            self._state.also(lambda con, a=account: store_equity(con, a, now_ms))

    def _fetch_funding(self) -> None:
        """Ask for the funding rates of held symbols once a minute."""
        while not self._stop.is_set():
            for account in list(self._state.accounts.values()):
                for position in account.book.open_positions():
                    self._learn_rate(position.symbol)
            self._stop.wait(60.0)

    def _learn_rate(self, symbol: str) -> None:
        if self._funding_rates is None:
            return
        try:
            rate = self._funding_rates(symbol)
        except PlatformError as error:
            log.info("no funding rate of %s: %s", symbol, error)
            rate = None
        if rate is None:
            self._state.funding_rates.pop(symbol, None)
        else:
            self._state.funding_rates[symbol] = rate


def _fact(topic: str, key: str, body: Any, wall_ms: int) -> Callable[[Any], None]:
    return lambda con: state_store.put(con, topic, key, body, wall_ms)


def _configured_channels() -> tuple[Channels, str]:
    try:
        return channels_of(Config), ""
    except BadInput as error:
        log.error("%s", error)
        return Channels(), str(error)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
