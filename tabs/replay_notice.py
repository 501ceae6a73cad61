"""How far a recording has been played, and that it has ended."""

from __future__ import annotations

import streamlit as st

from errors import PlatformError
from runtime import FeedStatus, Runtime
from tabs.context import forget_views
from views.text import duration, moment, percent


def show(runtime: Runtime, status: FeedStatus) -> None:
    """A progress bar while it plays, a sentence and a button once it is over."""
    replay = status.health.get("replay")
    if not replay:
        return
    if not replay["ended"]:
        left = duration(max(replay["end_ms"] - replay["at_ms"], 0))
        st.progress(
            min(max(replay["fraction"], 0.0), 1.0),
            text=f"Recording: {percent(replay['fraction'], 0)} of its frames played, "
            f"{moment(replay['at_ms'])} on its clock, {left} of it left",
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", key="replay-ended"):
        st.info(
            f"The recording has ended, at {moment(replay['end_ms'])} on its clock. Nothing more "
            "will come; what was played stays to be studied.",
            icon=":material/stop_circle:",
        )
        if status.role == "holder":
            st.button("Play it again", key="replay-again", on_click=_again, args=(runtime, status))


def _again(runtime: Runtime, status: FeedStatus) -> None:
    """From the first frame, on an empty file."""
    try:
        runtime.stop()
        runtime.start(list(status.symbols))
        forget_views()
    except PlatformError as problem:
        st.session_state.setdefault("notices", []).append(("error", str(problem)))
