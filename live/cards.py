"""Cards of numbers and words, as parts that a browser updates in place.

Everything is text: what comes from outside is shown as it is, never read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Item = dict[str, Any]
Run = tuple[str, str] | tuple[str]


def row(
    cards: Sequence[dict[str, Any]],
    style: str = "boxes",
    *,
    up_down: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """A part: cards side by side.

    ``style`` is ``boxes``, ``plain`` or ``pills``; ``up_down`` are the colours of those tones
    where they are not the page's own.
    """
    return {"style": style, "cards": list(cards), "colours": up_down}


def card(*items: Item, width: int | None = None, key: str = "") -> dict[str, Any]:
    """One card; ``width`` in pixels, ``key`` its name on the page."""
    return {"items": list(items), "width": width, "key": key}


def metric(
    label: str, text: str, *, help_text: str = "", width: int = 168, key: str = ""
) -> dict[str, Any]:
    """A card with a label, a value and what explains it."""
    return card(words("label", label, help_text=help_text), words("value", text), width=width,
                key=key)  # fmt: skip


def words(kind: str, text: str, *, tone: str = "", help_text: str = "") -> Item:
    """A ``label``, ``value``, ``delta`` or ``strong`` text; ``tone`` up, down, muted or warn."""
    return {"kind": "text", "as": kind, "text": text, "tone": tone, "help": help_text}


def line(*runs: Run, small: bool = False) -> Item:
    """A line of text in runs of (text, tone); tones as in `words`, or ``strong``."""
    return {"kind": "line", "runs": [list(run) for run in runs], "small": small}


def spark(values: Sequence[float], *, height: int, colour: str, alt: str) -> Item:
    """A small line of at least two values."""
    return {"kind": "spark", "values": list(values), "height": height, "colour": colour,
            "alt": alt}  # fmt: skip
