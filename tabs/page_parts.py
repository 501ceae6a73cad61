"""What stands around every tab and follows the data: the feed's state, version and age."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from database import Database
from errors import DatabaseError
from live import cards
from runtime import FeedStatus
from storage import alert_store
from storage.snapshot import Snapshot
from views.feed import age, status_lines
from views.text import file_size, zone_named

AGE, STATUS = "page-age", "page-status"


@dataclass(frozen=True, slots=True)
class Frame:
    """The parts, and what the page draws around a tab besides them."""

    parts: dict[str, dict[str, Any]]
    structure: Hashable


def read(
    database: Database,
    snapshot: Snapshot,
    status: FeedStatus,
    now_ms: int,
    view: Any,
    zone_name: str | None,
) -> Frame:
    """The frame of a view that was read from the snapshot."""
    parts = {STATUS: status_part(database, status)}
    fresh = True
    version = getattr(view, "version", None)
    if version is not None:
        text, fresh = age(now_ms, getattr(view, "last_ms", None), zone_named(zone_name))
        parts[AGE] = age_part(version, text, fresh=fresh)
    newest = snapshot.books(alert_store.newest_alert)
    return Frame(parts, structure(status, newest_alert=newest, fresh=fresh))


def structure(status: FeedStatus, *, newest_alert: int, fresh: bool) -> Hashable:
    """What sentences and badges there are around a tab; another one needs a run of the page."""
    return (
        status.source,
        status.role,
        status.running,
        status.state,
        status.error,
        status.unknown_symbols,
        "" if status.state == "live" else status.sentence,
        status.backfill_text if status.backfilling else "",
        newest_alert,
        fresh,
    )


def age_part(version: int, age_text: str, *, fresh: bool) -> dict[str, Any]:
    """Which version of the data is shown, and how old the newest print is, where there is one."""
    pills = [(f"data version {version:,}", "muted"), (age_text, "muted" if fresh else "warn")]
    return cards.row(
        [cards.card(cards.words("pill", text, tone=tone)) for text, tone in pills if text], "pills"
    )


def status_part(database: Database | None, status: FeedStatus) -> dict[str, Any]:
    """The feed's state in lines."""
    items = [
        cards.line((f"{label} ", "muted"), (text, "strong")) for label, text in status_lines(status)
    ]
    if status.sentence:
        items.append(cards.line((status.sentence, "muted"), small=True))
    if database is not None:
        text = _room(database)
        items.append(cards.line((text, "muted"), small=True))
    return cards.row([cards.card(*items)])


def _room(database: Database) -> str:
    try:
        data, log = database.sizes()
    except DatabaseError:
        return "Database: no answer"
    beside = "" if log is None else f" + {file_size(log)} log"
    return f"Database {file_size(data)}{beside}"
