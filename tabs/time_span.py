"""From and to: a stretch of time that the user chooses, in the zone of his charts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from tabs.context import Context
from views.text import zone_named

Span = tuple[int | None, int | None]
EVERYTHING: Span = (None, None)
_STEP = timedelta(minutes=1)


def choose(ctx: Context, key: str) -> Span:
    """Two fields; either may be empty. Returns epoch ms, from inclusive, to exclusive."""
    zone = zone_named(ctx.settings.zone_name) or UTC
    name = "UTC" if zone is UTC else str(zone)
    ends: list[int | None] = []
    for label, end in (("From", "from"), ("To, exclusive", "to")):
        chosen: datetime | None = st.datetime_input(
            f"{label} ({name})", value=None, key=f"{key}-{end}", step=_STEP, width=220,
            persist_state="session",
        )  # fmt: skip
        ends.append(None if chosen is None else _ms(chosen.replace(tzinfo=zone)))
    start, stop = ends
    if start is not None and stop is not None and stop <= start:
        st.caption(":orange[To is not after From, so nothing lies between.]")
    return start, stop


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
