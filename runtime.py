"""What is wired together: source, database, collector and what runs beside it.

Both entry points, the page (`app.py`) and ``python -m collector``, go through one `Runtime` a
process. Across processes a lease in the database says who collects: the holder beats every few
seconds, everyone else is a viewer and takes over when the holder is gone.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import Config
from database import Database, place_of
from errors import BadInput, DatabaseBusy, DatabaseError, PlatformError
from retention import Retention
from storage.lease import EXPIRY_MS, FEED
from ticks import clean_symbols

if TYPE_CHECKING:
    from collector import BatchTickCollector
    from desk import Desk
    from simulator.server import Exchange
    from simulator.truth import Truth

log = logging.getLogger(__name__)

SOURCES = ("live", "demo", "replay")
LEASE = FEED
_BEAT_S = 1.0
_RENEW_S = 3.0
_HEALTH_STALE_MS = 10_000
# What this process asks itself for need not wait for the next minute, as at the exchange.
_OWN_WEIGHT = 1_000_000


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """Everything the page says about the feed, of one moment.

    Attributes
    ----------
    role : str
        ``holder`` where this process collects or may, ``viewer`` where another does.
    state : str
        ``stopped``, ``connecting``, ``live``, ``silent``, ``reconnecting``, ``refused`` or
        ``paused``.
    sentence : str
        The state for a person, with its cause where there is one.
    lag_ms : float or None
        Median of receive time minus event time; may be negative where clocks differ.
    health : dict
        The collector's own account, as in its ``health()``.
    error : str or None
        Why the database of this source cannot be used.
    """

    source: str
    simulated: bool
    running: bool
    role: str
    state: str
    sentence: str
    symbols: tuple[str, ...] = ()
    unknown_symbols: tuple[str, ...] = ()
    ticks: int = 0
    ticks_per_s: float = 0.0
    lag_ms: float | None = None
    reconnects: int = 0
    backfill_fraction: float | None = None
    backfill_text: str = ""
    health: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    @property
    def backfilling(self) -> bool:
        """Whether past trades are being fetched."""
        return self.backfill_fraction is not None and self.backfill_fraction < 1


class Runtime:
    """One source at a time, its database, and the collector if this process holds the lease.

    Safe to call from any thread.
    """

    def __init__(self) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.description = f"process {os.getpid()} on {socket.gethostname()}"
        self._lock = threading.RLock()
        self._source = Config.DATA_SOURCE
        self._database: Database | None = None
        self._error: str | None = None
        self._open_again_s = float("inf")
        self._troubles: dict[str, str] = {}
        self._exchange: Exchange | None = None
        self._collector: BatchTickCollector | None = None
        self._desk: Desk | None = None
        self._retention: Retention | None = None
        self._wanted: list[str] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._open(self._source)

    # -- source ------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """``live``, ``demo`` or ``replay``."""
        return self._source

    @property
    def database(self) -> Database | None:
        """The database of the source, or None where it cannot be used (see ``status().error``)."""
        return self._database

    def switch(self, source: str) -> None:
        """Stop what runs and take another source, with a database of its own.

        Raises
        ------
        BadInput
            There is no such source.
        """
        if source not in SOURCES:
            raise BadInput(f"{source!r} is not a source; {', '.join(SOURCES)} are.")
        with self._lock:
            if source == self._source and self._database is not None:
                return
            self.stop()
            self._close()
            self._open(source)

    def _open(self, source: str) -> None:
        self._source, self._error = source, None
        self._open_again_s = float("inf")
        try:
            self._database = Database(place_of(source))
        except DatabaseError as error:
            self._error = str(error)
            if isinstance(error, DatabaseBusy):
                # A server that does not answer now may do so later; a wrong file stays wrong.
                self._open_again_s = time.monotonic() + _RENEW_S
            log.error("%s", error)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._exchange is not None:
            self._exchange.stop()
            self._exchange = None

    def now_ms(self) -> int:
        """The source's clock: the recording's in a replay, otherwise this machine's."""
        exchange = self._exchange
        return _wall_ms() if exchange is None else exchange.market.now_ms()

    def truth(self) -> Truth | None:
        """What was planted in the demo market; None for any other source."""
        if self._source != "demo":
            return None
        from simulator.prices import PlantedTape

        return PlantedTape().truth

    # -- start and stop ----------------------------------------------------------------------

    def start(self, symbols: Sequence[str] | str) -> None:
        """Collect these symbols, or, as a viewer, ask the holder to.

        Raises
        ------
        BadInput
            A symbol cannot be one.
        PlatformError
            The database or the source cannot be used.
        """
        wanted = clean_symbols(symbols)
        with self._lock:
            database = self._usable()
            self._wanted = wanted
            if self._collector is not None:
                self._follow(wanted)
            elif database.acquire_lease(LEASE, self.holder, self.description):
                self._collect(database, wanted)
            else:
                database.ask("symbols", wanted)
            self._beat_in_background()

    def _usable(self) -> Database:
        if self._database is None:
            self._open(self._source)
        if self._database is None:
            raise DatabaseError(self._error or "The database cannot be used.")
        return self._database

    def _collect(self, database: Database, symbols: list[str]) -> None:
        from collecting.rest import BinanceRest
        from collector import BatchTickCollector
        from desk import Desk

        if self._source == "replay":
            database = self._fresh_replay()
        exchange = self._exchange = self._exchange or self._make_exchange()
        options: dict[str, Any] = {}
        if exchange is not None:
            options = {"ws_base": exchange.ws_url, "rest_base": exchange.rest_url}
            if self._source == "replay":
                options |= {"stream": exchange.market.kind, "backfill_minutes": 0}
        self._collector = BatchTickCollector(database, clock=self.now_ms, **options)
        if self._source != "replay":  # a recording is old by its own clock
            archive = Path(Config.ARCHIVE_PATH) if Config.ARCHIVE_PATH else None
            if archive is not None and self._source != "live":
                archive /= self._source
            self._retention = Retention(database, Config.DATA_RETENTION_HOURS, archive=archive)
            self._retention.start(self.now_ms)
        rest = BinanceRest(options.get("rest_base", Config.BINANCE_REST_BASE))
        self._desk = Desk(database, self.now_ms, funding_rates=rest.last_funding_rate)
        self._desk.start(self._collector)
        self._collector.start(symbols)
        log.info("collecting %s from %s", ",".join(symbols), self._source)

    def _make_exchange(self) -> Exchange | None:
        """The exchange look-alike of a simulated source, started; None for the live one."""
        if self._source == "live":
            return None
        from simulator.replay import Replay
        from simulator.server import Exchange

        if self._source == "demo":
            return Exchange(weight_a_minute=_OWN_WEIGHT).start()
        recording = Replay(Config.REPLAY_PATH or None, Config.REPLAY_SPEED)
        return Exchange(recording, weight_a_minute=_OWN_WEIGHT).start()

    def _fresh_replay(self) -> Database:
        """A replay begins on an empty file: its clock begins again as well."""
        database = self._usable()
        database.clear()
        if self._exchange is not None:
            self._exchange.stop()
            self._exchange = None
        return database

    def _follow(self, wanted: list[str]) -> None:
        collector = self._collector
        if collector is None:
            return
        now = set(collector.health().get("symbols", ()))
        collector.add_symbols([s for s in wanted if s not in now])
        collector.remove_symbols([s for s in now if s not in wanted])

    def add_symbols(self, symbols: Sequence[str] | str) -> None:
        """Collect these as well."""
        self.start([*self._wanted, *clean_symbols(symbols)])

    def remove_symbols(self, symbols: Sequence[str] | str) -> None:
        """Collect these no longer; what is stored of them stays."""
        gone = set(clean_symbols(symbols))
        rest = [s for s in self._wanted if s not in gone]
        if rest:
            self.start(rest)
        else:
            self.stop()

    def stop(self) -> None:
        """Stop collecting with everything written, and give the lease back."""
        with self._lock:
            self._stop.set()
            thread, self._thread = self._thread, None
            self._halt_collector()
            if self._database is not None:
                try:
                    self._database.release_lease(LEASE, self.holder)
                except DatabaseError as error:
                    log.warning("the lease could not be given back: %s", error)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def _halt_collector(self) -> None:
        collector, self._collector = self._collector, None
        if collector is not None:
            collector.stop()
        retention, self._retention = self._retention, None
        if retention is not None:
            retention.stop()
        desk, self._desk = self._desk, None
        if desk is not None:
            # After the collector: what was stored last is looked at on the next start at latest.
            desk.stop()

    def close(self) -> None:
        """Stop, and close the database and the simulated exchange."""
        self.stop()
        with self._lock:
            self._close()

    def skip_backfill(self) -> None:
        """Give up fetching the past; what is missing stays in the ledger as open."""
        if self._collector is not None:
            self._collector.skip_backfill()

    def clear_data(self, source: str | None = None) -> None:
        """Delete every tick, candle and gap of this source.

        Parameters
        ----------
        source : str, optional
            Which one is meant; another page may have switched since the question was put.

        Raises
        ------
        BadInput
            Another process collects into the file, or the source is not the one that is meant.
        """
        with self._lock:  # no switch comes between the look at the source and the deletion
            if source not in (None, self._source):
                raise BadInput(
                    f"The source is {self._source} by now, not {source}; nothing was deleted."
                )
            database = self._usable()
            if self.status().role == "viewer":
                raise BadInput("Another process collects into this file; clear it there.")
            database.clear()

    # -- the beat ----------------------------------------------------------------------------

    def _beat_in_background(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, args=(self._stop,), name="runtime-beat", daemon=True
        )
        self._thread.start()

    def _beat(self, stop: threading.Event) -> None:
        """Until stopped: renew or seek the lease, publish health, obey commands, prune."""
        _load_what_collecting_takes()
        due: dict[Callable[[Database], None], list[float]] = {
            self._renew: [0.0, _RENEW_S],
            self._publish: [0.0, _BEAT_S],
            self._obey: [0.0, _BEAT_S],
        }
        while not stop.wait(_BEAT_S / 4):
            now = time.monotonic()
            for task, when in due.items():
                if now >= when[0] and not stop.is_set():
                    when[0] = now + when[1]
                    if task == self._renew and self._collector is None:
                        # Who stands by asks more often than who holds: the seam is shorter so.
                        when[0] = now + min(when[1], _BEAT_S)
                    self._attempt(task)

    def _attempt(self, task: Callable[[Database], None]) -> None:
        database = self._database
        if database is None:
            return
        name = task.__name__.strip("_")
        try:
            task(database)
        except PlatformError as error:
            # Once for as long as it lasts: a server may be away for hours.
            if self._troubles.get(name) != str(error):
                log.warning("%s: %s", name, error)
            self._troubles[name] = str(error)
        except Exception:
            log.exception("%s failed", name)
        else:
            if self._troubles.pop(name, None):
                log.info("%s works again", name)

    def _renew(self, database: Database) -> None:
        held = database.acquire_lease(LEASE, self.holder, self.description)
        with self._lock:
            if self._stop.is_set():
                return
            if held and self._collector is None and self._wanted:
                log.info("the lease is free: taking over")
                self._collect(database, self._wanted)
            elif not held and self._collector is not None:
                log.warning("another process took the lease while this one was asleep; viewing")
                self._halt_collector()

    def _publish(self, database: Database) -> None:
        collector = self._collector
        if collector is not None:
            database.put("health", LEASE, self._account(collector))
        desk = self._desk
        if desk is not None:
            database.put("health", "desk", desk.health())

    def _account(self, collector: BatchTickCollector) -> dict[str, Any]:
        """The collector's own account, and in a replay how far the recording has been played."""
        health, exchange = collector.health(), self._exchange
        if self._source == "replay" and exchange is not None:
            from simulator.replay import Replay

            if isinstance(exchange.market, Replay):
                health["replay"] = exchange.market.account()
                if health["replay"]["ended"]:
                    health |= {"state": "ended", "sentence": "The recording has ended."}
        return health

    def _obey(self, database: Database) -> None:
        if self._collector is None:
            return
        with database.snapshot() as snapshot:
            commands = snapshot.commands()
        for command in commands:
            if command.kind == "symbols":
                try:
                    self._wanted = clean_symbols(command.body)
                    self._follow(self._wanted)
                    database.answer(command.id, {"done": True})
                except BadInput as error:
                    database.answer(command.id, {"done": False, "why": str(error)})

    # -- what the page asks ------------------------------------------------------------------

    def status(self) -> FeedStatus:
        """The feed's state, of this process or of whoever holds the lease."""
        if self._database is None and time.monotonic() > self._open_again_s:
            with self._lock:
                self._open(self._source)
        collector, database = self._collector, self._database
        if collector is not None:
            return self._status_of(self._account(collector), running=True, role="holder")
        if database is None:
            return self._idle("holder", self._error or "", error=self._error)
        try:
            with database.snapshot() as snapshot:
                held = snapshot.lease(LEASE)
                stored = snapshot.get("health", LEASE)
                now = snapshot.now_ms()
        except DatabaseError as error:
            return self._idle("holder", str(error), error=str(error))
        elsewhere = held is not None and held.holder != self.holder
        if held is None or not elsewhere or now - held.beat_ms > EXPIRY_MS:
            return self._idle("holder", "Press Start to collect.")
        if stored is None or now - stored[1] > _HEALTH_STALE_MS:
            return self._idle("viewer", f"{held.description} holds the feed but reports nothing.")
        return self._status_of(
            stored[0], running=True, role="viewer", suffix=f" Collected by {held.description}."
        )

    def _idle(self, role: str, sentence: str, error: str | None = None) -> FeedStatus:
        return FeedStatus(
            self._source, self._source != "live", False, role, "stopped", sentence, error=error
        )

    def _status_of(
        self, health: dict[str, Any], *, running: bool, role: str, suffix: str = ""
    ) -> FeedStatus:
        repair = health.get("repair") or {}
        lag = health.get("lag_ms") or {}
        return FeedStatus(
            source=self._source,
            simulated=self._source != "live",
            running=running,
            role=role,
            state=health.get("state", "stopped"),
            sentence=health.get("sentence", "") + suffix,
            symbols=tuple(health.get("symbols", ())),
            unknown_symbols=tuple(health.get("unknown_symbols", ())),
            ticks=health.get("ticks", 0),
            ticks_per_s=health.get("ticks_per_s", 0.0),
            lag_ms=lag.get("p50"),
            reconnects=health.get("reconnects", 0),
            backfill_fraction=repair.get("fraction"),
            backfill_text=repair.get("text", ""),
            health=health,
        )

    def available_symbols(self) -> list[str]:
        """Symbols that can be chosen: those the exchange listed, and those with stored candles."""
        if self._database is None:
            return list(Config.DEFAULT_SYMBOLS)
        try:
            with self._database.snapshot() as snapshot:
                listed = snapshot.all_of("instrument")
                stored = snapshot.candle_symbols()
        except DatabaseBusy as error:
            log.warning("%s", error)
            return list(Config.DEFAULT_SYMBOLS)
        return list(dict.fromkeys([*Config.DEFAULT_SYMBOLS, *stored, *sorted(listed)]))

    def load_settings(self) -> dict[str, Any]:
        """What the page remembered last, by name."""
        if self._database is None:
            return {}
        with self._database.snapshot() as snapshot:
            return snapshot.all_of("setting")

    def save_settings(self, settings: dict[str, Any]) -> None:
        """Remember these for the next start."""
        if self._database is not None:
            self._database.put_all("setting", settings)


def _load_what_collecting_takes() -> None:
    """Import it before it is needed: who stands by should not begin with that at a takeover."""
    for name in ("collector", "desk", "collecting.rest", "simulator.server", "simulator.replay"):
        importlib.import_module(name)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


_runtime: Runtime | None = None
_runtime_lock = threading.Lock()


def get_runtime() -> Runtime:
    """The one runtime of this process, made on the first call and closed at exit."""
    global _runtime
    with _runtime_lock:
        if _runtime is None:
            _runtime = Runtime()
            atexit.register(_runtime.close)
        return _runtime
