"""Pair Analytics."""

from __future__ import annotations

from tabs import widgets
from tabs.context import Context


def render(ctx: Context) -> None:
    """Show the tab."""
    widgets.no_candles(ctx)
