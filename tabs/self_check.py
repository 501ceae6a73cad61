"""Self-check: estimates on the demo market beside what was planted in it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from tabs import jobs, widgets
from tabs.context import Context
from tabs.jobs import Job
from views.self_check import SAMPLES, SelfCheck, run_self_check
from views.text import duration

_WORDS = {True: "✓ holds the truth", False: "✗ misses it", None: "–"}


def render(ctx: Context) -> None:
    """Offer the check, and show what it found."""
    st.markdown("##### Can the tool be believed? The demo market's truth is known.")
    st.caption(
        f"The newest twelve hours of its trades are made into candles and estimated like any "
        f"market, then the twelve hours before them, {SAMPLES} times in all. What was planted "
        "stands beside each estimate. One interval in twenty misses by design, so the misses are "
        "counted and held against that. It takes about a minute."
    )
    if st.button(
        "Run the self-check", key="self-check", type="primary", icon=":material/verified:"
    ):
        now_ms = ctx.now_ms

        def work(job: Job) -> SelfCheck:
            return run_self_check(now_ms, job.progress, job.cancelled)

        jobs.start("self-check", "Checking", work)
    job = jobs.show("self-check")
    if job is not None and job.result is not None:
        _show(job.result)


def _show(check: SelfCheck) -> None:
    say = {True: st.success, False: st.error, None: st.info}[check.believed]
    icon = {True: ":material/verified:", False: ":material/error:", None: ":material/info:"}
    say(widgets.escaped(check.verdict), icon=icon[check.believed])
    st.caption(
        f"{check.samples} samples of twelve hours, checked in {duration(check.seconds * 1e3)}."
    )
    st.markdown("##### Over all samples")
    counts = pd.DataFrame(
        [
            {
                "Pair": t.pair,
                "What": t.what,
                "Planted": t.planted,
                "Right": f"{t.right} of {t.samples}",
                "To be expected": f"{t.expected * t.samples:.1f}",
                "Chance explains it": "✓ yes" if t.is_usual else "✗ no",
                "At least, 99 times of 100": str(t.fewest),
            }
            for t in check.tallies
        ]
    )
    widgets.table(counts, "self_check_counts", key="self-check-counts")
    st.markdown("##### The newest sample")
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
            for c in check.newest
        ]
    )
    widgets.table(frame, "self_check", key="self-check-table")
