"""The feed's state in words."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from views.text import DASH, duration, moment, number

if TYPE_CHECKING:
    from runtime import FeedStatus

_FRESH_MS = 15_000
# Clocks that are set by the network are within a second of the exchange's.
_AHEAD_MS = 5_000
_SOURCES = {
    "demo": "SIMULATED DATA: the demo market. No price here was ever traded.",
    "replay": "SIMULATED DATA: the replay of a recording. It says nothing of the market now.",
    "live": "Binance USD-M futures, trades as the exchange published them.",
}


def source_sentence(source: str) -> str:
    """Where the prices come from, for files that leave the page."""
    return _SOURCES[source]


def status_lines(status: FeedStatus) -> list[tuple[str, str]]:
    """Label and value of each line of the sidebar's panel."""
    running = status.running
    state = f"{status.state} (viewer)" if status.role == "viewer" else status.state
    return [
        ("Feed", state),
        ("Ticks", f"{status.ticks:,}" if running else DASH),
        ("Rate", f"{number(status.ticks_per_s, 1)} /s" if running else DASH),
        ("Lag", duration(status.lag_ms) if running else DASH),
        ("Reconnects", f"{status.reconnects:,}" if running else DASH),
    ]


def age(now_ms: int, last_ms: int | None, zone: ZoneInfo | None) -> tuple[str, bool]:
    """How long ago the newest print was, and whether that counts as fresh; "" where none was.

    A print from well ahead of this machine's clock is of no known age, so it is not fresh.
    """
    if last_ms is None:
        return "", True
    if last_ms - now_ms > _AHEAD_MS:
        ahead = duration(last_ms - now_ms)
        return f"clocks differ: last trade {ahead} ahead, {moment(last_ms, zone)}", False
    behind = max(now_ms - last_ms, 0)
    if behind <= _FRESH_MS:
        return f"{duration(behind)} old", True
    return f"stale: last trade {duration(behind)} ago, {moment(last_ms, zone)}", False


def age_of_result(last_ms: int | None, zone: ZoneInfo | None) -> str:
    """Until when the data go that something asked for was computed on; "" without a print."""
    return "" if last_ms is None else f"computed on data until {moment(last_ms, zone)}"
