"""Too few candles: how many are missing, and when they will be there."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from candles import timeframe_ms
from errors import BadInput, InsufficientData, PlatformError
from storage.lease import EXPIRY_MS, FEED
from storage.snapshot import Snapshot
from views.text import moment


class Source(Enum):
    """Where the next candles come from."""

    MARKET = "with trades in each they will be there at {at}."
    PAST = (
        "the past is being fetched and may bring them sooner; otherwise, with trades in each, "
        "they will be there at {at}."
    )
    NOBODY = (
        "the feed is at rest: started now, with trades in each, they will be there at {at}, or as "
        "soon as the past is fetched."
    )
    UNKNOWN = "with trades in each they will be there by {at}."


_BRIEFLY = {
    Source.MARKET: "there at {at}",
    Source.PAST: "the past is being fetched",
    Source.NOBODY: "the feed is at rest",
    Source.UNKNOWN: "there by {at}",
}


class Coming(NamedTuple):
    """How candles come at this time of the source's clock."""

    now_ms: int
    source: Source


def read_coming(snapshot: Snapshot, now_ms: int) -> Coming:
    """Whether candles come from the market, from the past that is fetched, or not at all."""
    lease, stored = snapshot.lease(FEED), snapshot.get("health", FEED)
    # Who collects says so every second.
    if lease is None or stored is None or snapshot.now_ms() - stored[1] > EXPIRY_MS:
        return Coming(now_ms, Source.NOBODY)
    repair = stored[0].get("repair") or {}
    fraction = repair.get("fraction")
    fetching = repair.get("planned", False) or (fraction is not None and fraction < 1)
    return Coming(now_ms, Source.PAST if fetching else Source.MARKET)


def after(candle_end_ms: int) -> Coming:
    """For what is computed once a candle: it cannot know what is fetched meanwhile."""
    return Coming(candle_end_ms, Source.UNKNOWN)


def too_few(found: int, needed: int, timeframe: str, coming: Coming) -> str:
    """How many closed candles are missing, and when they will be there.

    The same until the next candle closes, however often it is asked.
    """
    when = coming.source.value.format(at=moment(_ready_ms(found, needed, timeframe, coming)))
    return f"{_missing(found, needed, timeframe)} ({found:,} of {needed:,}); {when}"


def too_few_briefly(found: int, needed: int, timeframe: str, coming: Coming) -> str:
    """The same in half a line."""
    date_and_time = moment(_ready_ms(found, needed, timeframe, coming))
    when = _BRIEFLY[coming.source].format(at=date_and_time.partition(" ")[2])
    return f"{_missing(found, needed, timeframe)}, {when}"


def why(problem: PlatformError, timeframe: str, coming: Coming) -> str:
    """The complaint; of too few observations, with the candles that are missing and their time."""
    if not isinstance(problem, InsufficientData):
        return str(problem)
    return f"{problem} {too_few(problem.found, problem.needed, timeframe, coming)}"


def with_time(problem: InsufficientData, timeframe: str, coming: Coming) -> BadInput:
    """The same complaint as an error."""
    return BadInput(why(problem, timeframe, coming))


def _missing(found: int, needed: int, timeframe: str) -> str:
    missing = needed - found
    words = "closed candle of {} is" if missing == 1 else "closed candles of {} are"
    return f"{missing:,} more {words.format(timeframe)} needed"


def _ready_ms(found: int, needed: int, timeframe: str, coming: Coming) -> int:
    """Close of the last candle that is missing; the one that is forming now is the first."""
    length = timeframe_ms(timeframe)
    return coming.now_ms // length * length + (needed - found) * length
