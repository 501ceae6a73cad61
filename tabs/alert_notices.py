"""New alerts on whatever tab is open: a toast each, a badge, and a sound for those who want it."""

from __future__ import annotations

import io
import math
import struct
import wave
from functools import cache

import streamlit as st

from storage import alert_store
from tabs import widgets
from tabs.context import Context

_AT_ONCE = 5
_RATE = 16_000


def show(ctx: Context) -> None:
    """Called once a refresh, within the header."""
    seen = st.session_state.get("alerts-seen")
    with ctx.database.snapshot() as snapshot:
        newest = snapshot.books(alert_store.newest_alert)
        if seen is None or newest < seen:
            st.session_state["alerts-seen"] = newest
            return
        fresh = snapshot.books(alert_store.alerts, after_id=seen) if newest > seen else []
    st.session_state["alerts-seen"] = newest
    loud = [a for a in fresh if not a.body["quiet"]]
    for alert in loud[:_AT_ONCE]:
        st.toast(widgets.escaped(alert.body["sentence"]), icon=":material/notifications_active:")
    unread = st.session_state.get("alerts-unread", 0) + len(loud)
    st.session_state["alerts-unread"] = unread
    if unread:
        words = f"{unread} alert{'' if unread == 1 else 's'}"
        st.badge(words, icon=":material/notifications_active:", color="red")
    if loud and st.session_state.get("alert-sound"):
        st.html("<style>.st-key-alert-bell{height:0;overflow:hidden}</style>")
        with st.container(key="alert-bell"):
            st.audio(_bell(), format="audio/wav", autoplay=True)


def read() -> None:
    """The alerts were looked at."""
    st.session_state["alerts-unread"] = 0


@cache
def _bell() -> bytes:
    """Half a second of a fading tone."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        samples = (
            int(12_000 * math.exp(-6 * t / _RATE) * math.sin(2 * math.pi * 880 * t / _RATE))
            for t in range(_RATE // 2)
        )
        sound.writeframes(b"".join(struct.pack("<h", s) for s in samples))
    return out.getvalue()
