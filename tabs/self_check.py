"""Self-check: estimates on the demo market beside what was planted in it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from tabs import jobs, widgets
from tabs.context import Context
from tabs.jobs import Job
from views.self_check import Check, run_self_check

_WORDS = {True: "✓ covers the truth", False: "✗ misses it", None: "–"}


def render(ctx: Context) -> None:
    """Offer the check, and show what it found."""
    st.markdown("##### Can the tool be believed? The demo market's truth is known.")
    st.caption(
        "The last twelve hours of its trades are made into candles and estimated like any market; "
        "beside each estimate stands what was planted. A 95 % interval misses one time in twenty."
    )
    if st.button(
        "Run the self-check", key="self-check", type="primary", icon=":material/verified:"
    ):
        now_ms = ctx.now_ms

        def work(job: Job) -> list[Check]:
            return run_self_check(now_ms, job.progress, job.cancelled)

        jobs.start("self-check", "Checking", work)
    job = jobs.show("self-check")
    if job is None or job.result is None:
        return
    checks: list[Check] = job.result
    judged = [c for c in checks if c.covered is not None]
    right = sum(bool(c.covered) for c in judged)
    st.markdown(f"**{right} of {len(judged)} estimates agree with what was planted.**")
    frame = pd.DataFrame(
        [
            {
                "Pair": c.pair,
                "What": c.what,
                "Planted": c.planted,
                "Estimated": c.estimated,
                "95 % interval or p": c.interval,
                "Verdict": _WORDS[c.covered],
                "Note": c.note,
            }
            for c in checks
        ]
    )
    widgets.table(frame, key="self-check-table")
    widgets.downloads(lambda: frame, "self_check", key="self-check-file")
