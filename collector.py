"""`BatchTickCollector`: the live feed, from the sockets into the database.

One supervised connection a route (more past 200 streams) → a bounded queue → one writer, and a
repairer beside it. ``python -m collector`` runs it without a browser.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from binance import (
    Mark,
    Parsed,
    StreamKind,
    carries_marks,
    names_a_route,
)
from collecting.intake import BatchHook, Intake
from collecting.link import SILENT, ConnectGate, Link
from collecting.meters import LagMeter, RateMeter
from collecting.repair import Repairer
from collecting.rest import BinanceRest, Instrument
from collecting.supervision import STREAMS_A_CONNECTION, Deadlines, shards
from config import Config
from data_feed import DataFeed, TickCallback
from database import Database
from ticks import TickBatch, clean_symbols

log = logging.getLogger(__name__)

_BEAT_S = 0.25
_PUT_PATIENCE_S = 5.0
_MOST_PATIENCE = 64.0

MarkHook = Callable[[Sequence[Mark]], None]
"""Sees mark prices as they arrive, in a reader's thread."""

# The worst state of several connections is the one shown.
_GRAVITY = ("live", "connecting", "silent", "reconnecting", "refused", "paused")


@dataclass(slots=True)
class _Place:
    """One connection's place: the link that holds it, and the one that is to follow it."""

    link: Link
    heir: Link | None = None
    heir_s: float = 0.0
    ready_s: float | None = None
    patience: float = 1.0


class BatchTickCollector(DataFeed):
    """Collects trades of the live market, or of whatever speaks its protocol.

    Parameters
    ----------
    database : Database, optional
        Where the ticks go; without one `Config.DB_PATH` is opened, and closed by `stop`.
    ws_base, rest_base, stream, backfill_minutes
        In place of the settings of the same meaning.
    clock : callable, optional
        The market's time in epoch ms, where it is not this machine's.
    deadlines : Deadlines, optional
        How long to wait for what.
    """

    def __init__(
        self,
        database: Database | None = None,
        *,
        ws_base: str | None = None,
        rest_base: str | None = None,
        stream: StreamKind | None = None,
        backfill_minutes: int | None = None,
        clock: Callable[[], int] | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._given = database
        self._asked_base = ws_base
        self._ws_base = ws_base or Config.BINANCE_WS_BASE
        self._rest_base = rest_base or Config.BINANCE_REST_BASE
        self._kind: StreamKind = stream or Config.BINANCE_STREAM  # type: ignore[assignment]
        self._backfill = Config.BACKFILL_MINUTES if backfill_minutes is None else backfill_minutes
        self._clock = clock or _wall_ms
        self._deadlines = deadlines or Deadlines()
        self._lock = threading.RLock()
        self._running = False
        self._hooks: list[BatchHook] = []
        self._mark_hooks: list[MarkHook] = []
        self._takes_marks = False
        self._is_urgent: Callable[[TickBatch], bool] = lambda batch: False
        self._symbols: list[str] = []
        self._unknown: list[str] = []
        self._places: list[_Place] = []
        self._retired: list[Link] = []
        self._retired_dropped: dict[str, int] = {}
        self._retired_reconnects = 0
        self._database: Database | None = None
        self._intake: Intake | None = None
        self._rest: BinanceRest | None = None
        self._repairer: Repairer | None = None
        self._lag, self._rate = LagMeter(), RateMeter()
        self._listed: dict[str, Instrument] | None = None
        self._callback_lock = threading.Lock()

    # -- DataFeed ----------------------------------------------------------------------------

    def set_callback(self, callback: TickCallback) -> None:
        """Name a function that sees each tick once it is stored, one call at a time.

        Ticks fetched to fill a hole come too, late: their ``time_ms`` says when they were traded.
        """
        self._callback = callback

    def connect(self, symbols: Sequence[str]) -> None:
        """Same as `start`."""
        self.start(symbols)

    def disconnect(self) -> None:
        """Same as `stop`."""
        self.stop()

    def is_connected(self) -> bool:
        """Whether every connection stands now."""
        places = list(self._places)
        return self._running and bool(places) and all(p.link.connected for p in places)

    def get_stats(self) -> dict[str, Any]:
        """The health report."""
        return self.health()

    # -- life --------------------------------------------------------------------------------

    def on_batch(self, hook: BatchHook) -> None:
        """Have ``hook`` called in the writer's thread with the live ticks just committed."""
        self._hooks.append(hook)
        if self._intake is not None:
            self._intake.on_stored.append(hook)

    def hurry_when(self, is_urgent: Callable[[TickBatch], bool]) -> None:
        """Have ticks written at once where ``is_urgent`` says so; it is asked of what arrives."""
        self._is_urgent = is_urgent
        if self._intake is not None:
            self._intake.is_urgent = is_urgent

    def on_mark(self, hook: MarkHook) -> None:
        """Have ``hook`` called with mark prices as they arrive; takes effect at the next `start`.

        Called in a reader's thread, it must return at once. Single trades come on a route that
        carries no mark prices: with ``stream='trade'`` it is never called.
        """
        self._mark_hooks.append(hook)

    def start(self, symbols: Sequence[str] | str) -> None:
        """Begin to collect; returns at once. Called again, the symbols are added.

        Raises
        ------
        BadInput
            A symbol cannot be one.
        DatabaseError
            The database cannot be used.
        """
        wanted = clean_symbols(symbols)
        with self._lock:
            if self._running:
                self.add_symbols(wanted)
                return
            self._symbols, self._unknown, self._listed = wanted, [], None
            self._takes_marks = bool(self._mark_hooks) and carries_marks(self._kind)
            self._database = self._given or Database()
            self._build(self._database)
            self._running = True
            self._ended = threading.Event()
            self._thread = threading.Thread(
                target=self._supervise, args=(self._ended,), name="supervisor", daemon=True
            )
            self._arrange()
            self._thread.start()
        # The setting has lost its route by now; only the environment still tells.
        address = self._asked_base or os.environ.get("BINANCE_WS_URL", "")
        if names_a_route(address):
            log.warning(
                "%s names a route that may carry no trades; the one that does is used", address
            )

    def _build(self, database: Database) -> None:
        intake = self._intake = Intake(
            database,
            self._kind,
            bound=Config.BUFFER_SIZE,
            batch_size=Config.BATCH_SIZE,
            interval_s=Config.BATCH_INTERVAL_MS / 1000,
        )
        self._rest = BinanceRest(self._rest_base)
        self._repairer = Repairer(
            database,
            self._rest,
            self._kind,
            backfill_minutes=self._backfill,
            clock=self._clock,
            on_instruments=self._learn_instruments,
            on_stored=self._call_back,
        )
        intake.on_stored += [*self._hooks, self._call_back]
        intake.is_urgent = self._is_urgent
        intake.on_first = self._repairer.first_print
        self._gate = ConnectGate(min(1.0, self._deadlines.connect_s / 10))
        intake.start()
        self._repairer.start()

    def stop(self) -> None:
        """End within a second, with everything that arrived written; harmless when stopped."""
        with self._lock:
            if not self._running:
                return
            self._running = False
            self._ended.set()
            links = self._links()
            for link in links:
                link.stop()
            for link in links:
                link.join(0.2)
            if self._intake is not None:
                self._intake.stop()
            if self._repairer is not None:
                self._repairer.stop(0.1)
            if self._rest is not None:
                self._rest.close()
            self._places.clear()
            if self._given is None and self._database is not None:
                self._database.close()

    def add_symbols(self, symbols: Sequence[str] | str) -> None:
        """Collect these as well, from now on."""
        if symbols:
            self._set_symbols([*self._symbols, *clean_symbols(symbols)])

    def remove_symbols(self, symbols: Sequence[str] | str) -> None:
        """Collect these no longer."""
        if symbols:
            gone = set(clean_symbols(symbols))
            self._set_symbols([s for s in self._symbols if s not in gone])

    def _set_symbols(self, symbols: Sequence[str]) -> None:
        with self._lock:
            wanted = list(dict.fromkeys(symbols))
            if self._listed is not None:
                self._unknown = [s for s in wanted if not self._is_listed(s)]
            self._symbols = wanted
            if self._running:
                self._arrange()

    def skip_backfill(self) -> None:
        """Leave the past that is still missing open, until the next start."""
        if self._repairer is not None:
            self._repairer.skip()

    # -- what arrives ------------------------------------------------------------------------

    def _deliver(self, parsed: Parsed) -> bool:
        self._lag.note(self._clock(), parsed.event_ms)
        intake = self._intake
        return intake is not None and intake.put(parsed, _PUT_PATIENCE_S)

    def _tell_marks(self, marks: list[Mark]) -> None:
        for hook in self._mark_hooks:
            hook(marks)

    def _may_resume(self) -> bool:
        return self._intake is not None and self._intake.has_room

    def _call_back(self, fresh: TickBatch) -> None:
        callback = self._callback
        if callback is None:
            return
        with self._callback_lock:
            for tick in fresh.ticks():
                callback(tick)

    def _is_listed(self, symbol: str) -> bool:
        return self._listed is None or symbol in self._listed

    def _learn_instruments(self, listed: dict[str, Instrument]) -> None:
        """The exchange said what it lists: drop what it does not, keep the step sizes."""
        facts = {
            i.symbol: {
                "trading": i.trading,
                "contract": i.contract,
                "tick_size": i.tick_size,
                "step_size": i.step_size,
                "min_notional": i.min_notional,
            }
            for i in listed.values()
            if i.trading
        }
        with self._lock:
            self._listed = {symbol: listed[symbol] for symbol in facts}
            self._set_symbols(self._symbols)
            if self._unknown:
                log.warning("not listed by the exchange: %s", ", ".join(self._unknown))
        if self._database is not None:
            self._database.put_all("instrument", facts)

    # -- connections -------------------------------------------------------------------------

    def _links(self) -> list[Link]:
        heirs = [p.heir for p in self._places if p.heir is not None]
        return [p.link for p in self._places] + heirs + self._retired

    def _make_link(self, symbols: Sequence[str], patience: float, state: str | None) -> Link:
        link = Link(
            self._ws_base,
            self._kind,
            symbols,
            self._deliver,
            self._may_resume,
            self._gate,
            self._deadlines,
            patience,
            self._tell_marks if self._takes_marks else None,
        )
        if state is not None:
            link.state = state
        link.start()
        return link

    def _arrange(self) -> None:
        """Spread the symbols over connections; those that have a place keep it."""
        wanted = [s for s in self._symbols if s not in self._unknown]
        # A symbol's mark price is a second stream.
        limit = STREAMS_A_CONNECTION // 2 if self._takes_marks else STREAMS_A_CONNECTION
        spread = shards(wanted, [p.link.symbols for p in self._places], limit)
        for place, symbols in zip(self._places, spread, strict=False):
            if symbols != place.link.symbols and symbols:
                place.link.set_symbols(symbols)
                if place.heir is not None:
                    place.heir.set_symbols(symbols)
        for symbols in spread[len(self._places) :]:
            self._places.append(_Place(self._make_link(symbols, 1.0, None)))
        for place, symbols in list(zip(self._places, spread, strict=True)):
            if not symbols:
                self._retire(place.link)
                if place.heir is not None:
                    self._retire(place.heir)
                self._places.remove(place)

    def _retire(self, link: Link) -> None:
        link.stop()
        self._retired.append(link)

    def _supervise(self, ended: threading.Event) -> None:
        while not ended.wait(_BEAT_S):
            try:
                now = time.monotonic()
                with self._lock:
                    if self._running:
                        for place in self._places:
                            self._renew(place, now)
                        self._bury()
                    if self._intake is not None:
                        self._rate.note(now, self._intake.counters.ticks)
            except Exception:
                log.exception("supervision stumbled")

    def _renew(self, place: _Place, now_s: float) -> None:
        """Make before break: the heir must show what the old link shows before it takes over."""
        reason = place.link.renewal
        if place.heir is None:
            if reason is not None and place.link.connected:
                log.info("renewing a connection: %s", reason)
                if reason.startswith(SILENT):
                    place.patience = min(_MOST_PATIENCE, place.patience * 2)
                state = "silent" if place.link.state == "silent" else None
                place.heir = self._make_link(place.link.symbols, place.patience, state)
                place.heir_s, place.ready_s = now_s, None
            return
        if reason is None:
            # The old link broke and came back by itself; it needs no heir any more.
            self._retire(place.heir)
            place.heir = None
            return
        if place.ready_s is None:
            waited_s = now_s - place.heir_s
            late = place.heir.connected and waited_s >= self._deadlines.handover_s
            if place.heir.ready or late:
                place.ready_s = now_s
        elif now_s - place.ready_s >= self._deadlines.overlap_s:
            old, place.link, place.heir = place.link, place.heir, None
            self._retire(old)
            self._retired_reconnects += 1

    def _bury(self) -> None:
        """Let go of links whose threads have ended, keeping their counts."""
        for link in [r for r in self._retired if r.state == "stopped"]:
            self._retired.remove(link)
            self._retired_reconnects += link.reconnects
            for reason, count in link.dropped.items():
                self._retired_dropped[reason] = self._retired_dropped.get(reason, 0) + count

    # -- health ------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """Everything about the feed, as plain values that JSON can carry."""
        intake, repairer, rest = self._intake, self._repairer, self._rest
        state, sentence = self._state()
        report: dict[str, Any] = {
            "state": state,
            "sentence": sentence,
            "symbols": list(self._symbols),
            "unknown_symbols": list(self._unknown),
            "stream": self._kind,
            "mark_prices": self._takes_marks,
            "connected": self.is_connected(),
            "connections": len(self._places),
            "streams": self._stream_report(),
            "ticks_per_s": round(self._rate.per_s(), 2) if self._running else 0.0,
            "lag_ms": self._lag.summary(),
            "reconnects": self._retired_reconnects + sum(k.reconnects for k in self._links()),
            "drops": self._drops(),
            "used_weight": rest.used_weight if rest is not None else 0,
            "repair": repairer.health() if repairer is not None else {},
            "ticks": 0,
        }
        if intake is not None:
            report |= _intake_report(intake)
        if repairer is not None:
            report["gaps"] = {
                "found": intake.counters.gaps_found if intake is not None else 0,
                "open": repairer.counters.open,
                "filled": repairer.counters.filled,
                "confirmed_absent": repairer.counters.absent,
                "ticks_fetched": repairer.counters.ticks,
            }
        return report

    def _state(self) -> tuple[str, str]:
        if not self._running:
            return "stopped", "Not collecting."
        shown = [self._shown(place) for place in list(self._places)]
        if not shown:
            unknown = ", ".join(s.upper() for s in self._unknown)
            return "refused", f"None of the symbols is listed by the exchange: {unknown}."
        worst = max(shown, key=lambda link: _GRAVITY.index(_known(link.state)))
        state, sentence = _known(worst.state), worst.sentence
        counters = self._intake.counters if self._intake is not None else None
        if counters is not None and counters.mixed is not None:
            return "refused", counters.mixed
        trouble = counters.trouble if counters is not None else None
        if trouble is not None and state in ("live", "paused"):
            sentence = f"{sentence} Ticks wait in memory: {trouble}"
        return state, sentence

    @staticmethod
    def _shown(place: _Place) -> Link:
        heir = place.heir
        return heir if heir is not None and heir.state == "live" else place.link

    def _stream_report(self) -> dict[str, dict[str, Any]]:
        now, report = time.monotonic(), {}
        for place in list(self._places):
            link = self._shown(place)
            for symbol, stream in list(link.streams.items()):
                age_s = None if stream.last_s is None else round(now - stream.last_s, 2)
                state = "live" if stream.last_s is not None else "waiting"
                if not link.connected:
                    state = "disconnected"
                elif stream.silent:
                    state = "silent"
                report[symbol] = {"state": state, "age_s": age_s}
        return report

    def _drops(self) -> dict[str, int]:
        drops = dict(self._retired_dropped)
        counters = [dict(link.dropped) for link in self._links()]
        if self._intake is not None:
            counters.append(dict(self._intake.counters.refused))
            if self._intake.counters.given_up:
                counters.append({"no room in memory": self._intake.counters.given_up})
        for counter in counters:
            for reason, count in counter.items():
                drops[reason] = drops.get(reason, 0) + count
        return drops


def _known(state: str) -> str:
    return state if state in _GRAVITY else "connecting"


def _intake_report(intake: Intake) -> dict[str, Any]:
    counters = intake.counters
    return {
        "ticks": counters.ticks,
        "duplicates": counters.duplicates,
        "below_low_water": counters.below_low_water,
        "queue": {"depth": intake.depth, "bound": intake.bound},
        "writer_ms": {"p50": counters.latency_ms(0.50), "p99": counters.latency_ms(0.99)},
        "last_flush_ms": counters.last_flush_ms,
        "trouble": counters.trouble,
    }


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    from collecting.headless import main

    raise SystemExit(main())
