"""What a tab asks of the desk: a request left in the database, and the answer to it."""

from __future__ import annotations

import time
import uuid
from typing import Any

import streamlit as st

from tabs import widgets
from tabs.context import Context

_PATIENCE_S = 3.0
_LOOK_S = 0.05
_DOUBLE_CLICK_S = 1.5


def token(name: str) -> str:
    """The id of the next thing: two clicks on one button, in quick succession, ask for one."""
    made, until_s = st.session_state.get(f"token-{name}", ("", 0.0))
    if not made or time.monotonic() > until_s:
        made, until_s = uuid.uuid4().hex[:12], float("inf")
        st.session_state[f"token-{name}"] = (made, until_s)
    return str(made)


def renew(name: str) -> None:
    """What is asked for from now on is another thing, but for the rest of a double click."""
    until_s = time.monotonic() + _DOUBLE_CLICK_S
    st.session_state[f"token-{name}"] = (token(name), until_s)


def ask(ctx: Context, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask the desk of whichever process holds the feed, and wait a moment for its answer."""
    number = ctx.database.ask(kind, body)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with ctx.database.snapshot() as snapshot:
            answer = snapshot.answered(number)
        if answer is not None:
            return dict(answer)
        time.sleep(_LOOK_S)
    return {
        "done": False,
        "why": "The desk has not answered yet; what you asked is carried out when it does, and "
        "not at all after a minute.",
    }


def say(answer: dict[str, Any], done: str, *, renewing: str = "") -> bool:
    """Show what came of a request; True where it was done."""
    if not answer.get("done"):
        why = widgets.escaped(answer.get("why", "It was refused."))
        st.error(why, icon=":material/block:")
        # The next refresh draws the page without the sentence; a toast outlives it.
        st.toast(why, icon=":material/block:", duration=15)
        return False
    if renewing:
        renew(renewing)
    note = answer.get("note", "")
    st.toast(widgets.escaped(f"{done} {note}".strip()), icon=":material/check:")
    return True


def is_running(ctx: Context) -> bool:
    """Whether a desk works on this data; says what to do where none does."""
    if ctx.status.running:
        return True
    st.info(
        "The desk works beside the collector, whether or not a page is open. It is at rest now: "
        "press Start in the sidebar, then it follows orders and rules again.",
        icon=":material/bedtime:",
    )
    return False
