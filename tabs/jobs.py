"""Long work beside the page: a thread with progress and cancel, polled by the tab."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from errors import PlatformError
from tabs import widgets
from views import warm

log = logging.getLogger(__name__)


@dataclass
class Job:
    """One piece of work; its thread never touches the page.

    ``result`` is set when it ends well, ``error`` is a sentence when it does not.
    """

    title: str
    fraction: float = 0.0
    note: str = ""
    result: Any = None
    error: str | None = None
    done: bool = False
    _cancel: threading.Event = field(default_factory=threading.Event)

    def progress(self, fraction: float, note: str = "") -> None:
        """Say how far it is, from 0 to 1."""
        self.fraction, self.note = min(max(fraction, 0.0), 1.0), note or self.note

    def cancelled(self) -> bool:
        """Whether the user asked to stop."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Ask it to stop; it does at its next step."""
        self._cancel.set()


def start(
    key: str, title: str, work: Callable[[Job], Any], *, compiled: bool = True, wait_s: float = 0.0
) -> Job:
    """Begin work under a key of this session; the one before under that key is cancelled.

    Parameters
    ----------
    compiled : bool
        Whether it needs the compiled analytics, which it waits for then.
    wait_s : float
        Wait so long for it, so that what is over at once is shown at once.
    """
    before = st.session_state.get(f"job-{key}")
    if before is not None and not before.done:
        before.cancel()
    job = Job(title)
    st.session_state[f"job-{key}"] = job
    thread = threading.Thread(
        target=_run, args=(job, work, compiled), name=f"job-{key}", daemon=True
    )
    thread.start()
    thread.join(wait_s)
    return job


def refuse(key: str, title: str, why: str) -> None:
    """Show a sentence in the place of work that cannot be begun; refreshes leave it there."""
    st.session_state[f"job-{key}"] = Job(title, error=why, done=True)


def forget_all() -> None:
    """Cancel and forget this session's jobs: they are of another market than the page."""
    for key in [k for k in st.session_state if str(k).startswith("job-")]:
        job = st.session_state.pop(key)
        if isinstance(job, Job):
            job.cancel()


def _run(job: Job, work: Callable[[Job], Any], compiled: bool) -> None:
    try:
        if compiled:
            warm.wait_until_complete()
        job.result = work(job)
    except PlatformError as problem:
        job.error = str(problem)
    except Exception:
        log.exception("%s failed", job.title)
        job.error = f"{job.title} failed; the reason is in the log."
    finally:
        job.done = True


def show(key: str) -> Job | None:
    """The job of a key, None where there is none; while it runs, its progress and a way out."""
    job: Job | None = st.session_state.get(f"job-{key}")
    if job is None:
        return None
    # The place is there in any case, so that what is below it does not move.
    with st.container(key=f"job-place-{key}"):
        if not job.done:
            with st.container(horizontal=True, vertical_alignment="center", key=f"running-{key}"):
                st.progress(job.fraction, text=widgets.escaped(f"{job.title} {job.note}".strip()))
                st.button("Cancel", key=f"cancel-{key}", on_click=job.cancel)
        elif job.error is not None:
            st.error(widgets.escaped(job.error), icon=":material/error:")
    return job
