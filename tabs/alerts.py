"""Alerts: rules that are watched beside the collector."""

from __future__ import annotations

from tabs import widgets
from tabs.context import Context


def render(ctx: Context) -> None:
    """Say that there are no rules yet."""
    widgets.empty(
        "Alerts are not yet part of this version.",
        "Until then the Dashboard shows the pair's z-score and its signal as they change.",
        icon=":material/notifications:",
    )
