"""The courier: a thread of its own that brings alerts to webhooks and mailboxes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from database import Database
from errors import PlatformError
from notify import RETRY_S, Channels, Message
from storage import alert_store
from storage.alert_store import DeliveryRow

log = logging.getLogger(__name__)

_POLL_S = 1.0


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Courier:
    """Sends what is due, records every attempt, and tries again what may succeed later.

    A delivery that was sent and whose record was lost with the process is sent again: every
    message carries its alert's number, by which a receiver can tell.
    """

    def __init__(
        self,
        database: Database,
        channels: Channels,
        *,
        retry_s: tuple[float, ...] = RETRY_S,
        timeout_s: float = 10.0,
        wall_ms: Callable[[], int] = _wall_ms,
    ) -> None:
        self._database, self._channels = database, channels
        self._retry_s, self._timeout_s, self._wall_ms = retry_s, timeout_s, wall_ms
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="desk-courier", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    def stop(self, patience_s: float = 1.0) -> None:
        """End; what is on its way may finish within the patience, the rest stays pending."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(patience_s)
            self._thread = None

    def _run(self) -> None:
        trouble = ""
        while not self._stop.is_set():
            try:
                while not self._stop.is_set() and self.send_due():
                    pass
                trouble = ""
            except PlatformError as error:
                if str(error) != trouble:
                    log.warning("deliveries wait: %s", error)
                trouble = str(error)
            except Exception:  # the top of a thread: one bad turn is not the last
                log.exception("a delivery failed unexpectedly")
            self._wake.wait(_POLL_S)
            self._wake.clear()

    def send_due(self) -> int:
        """One attempt at everything that is due; returns how many attempts were made."""
        with self._database.snapshot() as snapshot:
            due = snapshot.books(alert_store.due_deliveries, self._wall_ms())
        for delivery in due:
            if self._stop.is_set():
                break
            self._attempt(delivery)
        return len(due)

    def _attempt(self, delivery: DeliveryRow) -> None:
        body = delivery.body
        message = Message(body["subject"], body["text"], body["values"])
        outcome = self._channels.send(delivery.channel, message, timeout_s=self._timeout_s)
        now_ms = self._wall_ms()
        retry_ms = None
        if outcome.retry and delivery.attempts < len(self._retry_s):
            retry_ms = now_ms + int(self._retry_s[delivery.attempts] * 1000)
        with self._database.transaction() as con:
            alert_store.add_attempt(
                con, delivery.id, now_ms, outcome.detail, ok=outcome.ok, retry_ms=retry_ms
            )
        if not outcome.ok:
            log.warning("alert by %s: %s", delivery.channel, outcome.detail)
