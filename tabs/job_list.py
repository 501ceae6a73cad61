"""Jobs: every long computation with what was asked, how far it is, and what came of it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from config import Config
from storage.job_store import JobRow
from tabs import jobs, long_runs, scanner, sidebar, widgets
from tabs.context import Context
from tabs.jobs import Job
from tabs.long_runs import Ended
from views import long_runs as views


def render(ctx: Context) -> None:
    """Show the list, and the job that was chosen."""
    view = ctx.view("jobs", lambda snapshot: views.read_jobs(snapshot, ctx.now_ms))
    if not view.jobs:
        widgets.empty(
            "No long computation has been begun yet.",
            "A sweep or walk-forward in the tab Backtest, or a full scan in the tab Scanner, is "
            "kept here with its settings and results; it can be stopped, resumed, and outlives "
            "this program.",
            icon=":material/work_history:",
        )
        return
    for job in view.jobs:
        if job.state_at(ctx.now_ms) == "running":
            _running(ctx, job)
    bar = st.column_config.ProgressColumn("done", format="percent", min_value=0.0, max_value=1.0)
    widgets.table(
        view.table, "jobs", key="jobs-table", height=min(420, 40 + 36 * len(view.table)),
        column_config={"done": bar},
    )  # fmt: skip
    where = (
        f"the Dask scheduler {Config.DASK_SCHEDULER}"
        if Config.DASK_SCHEDULER
        else ("processes of this machine (a cluster: DASK_SCHEDULER)")
    )
    st.caption(
        widgets.escaped(f"Small jobs are done in this program at once, long ones by {where}.")
    )
    by_id = {job.id: job for job in view.jobs}
    chosen = st.selectbox(
        "Job", list(by_id), key="jobs-chosen", width=520,
        format_func=lambda job_id: views.label_of(by_id[job_id]),
    )  # fmt: skip
    if chosen in by_id:
        _chosen(ctx, by_id[chosen])
    # What a job ran on is said with what was asked; it is as old as the job, and not stale.
    ctx.shown = view


def _running(ctx: Context, job: JobRow) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"jobs-running-{job.id}"):
        share = (job.done + job.failed) / max(job.tasks, 1)
        st.progress(min(share, 1.0), text=widgets.escaped(f"{job.title}: {job.note}"))
        st.button("Cancel", key=f"jobs-stop-{job.id}", on_click=_stop, args=(ctx, job))


def _chosen(ctx: Context, job: JobRow) -> None:
    state = job.state_at(ctx.now_ms)
    with st.container(horizontal=True, gap="small", key="jobs-buttons"):
        st.button("Resume", key="jobs-resume", icon=":material/play_arrow:", type="primary",
                  disabled=state not in ("stopped", "failed"), on_click=_resume, args=(ctx, job),
                  )  # fmt: skip
        st.button("Cancel", key="jobs-stop", icon=":material/stop:",
                  disabled=state != "running", on_click=_stop, args=(ctx, job))  # fmt: skip
        st.button("Delete", key="jobs-delete", icon=":material/delete:",
                  disabled=state == "running", on_click=_delete, args=(ctx, job))  # fmt: skip
    jobs.show(f"resume-{job.id}")
    if job.note and state != "running":
        st.warning(widgets.escaped(job.note), icon=":material/info:")
    with st.expander("What was asked", expanded=False):
        for label, value in views.parameters_of(job):
            st.markdown(f"**{label}** {widgets.escaped(value)}")
    if job.failed:
        st.markdown("**Tasks that failed**")
        widgets.table(views.failures_of(ctx.database, job.id), "failed_tasks", key="jobs-failures")
    if job.done and state != "running":
        _result(ctx, job)


def _result(ctx: Context, job: JobRow) -> None:
    view = ctx.lasting(("job", job.id, job.done), lambda: views.view_of(ctx.database, job))
    if job.kind != "scan":
        long_runs.show_view(
            ctx, view, identity=job.id, key="jobs-result", step_ms=long_runs.step_of(job)
        )
    elif view is not None:
        scanner.show_result(ctx, view)
    else:
        st.caption("A scan has its table when every pair is done: the false-discovery rate is "
                   "only known over all of them.")  # fmt: skip


def _resume(ctx: Context, job: JobRow) -> None:
    database = ctx.database

    def work(page_job: Job) -> Any:
        return Ended(*views.work_on(database, job.id, page_job.progress, page_job.cancelled))

    jobs.start(f"resume-{job.id}", job.title, work)


def _stop(ctx: Context, job: JobRow) -> None:
    from computing import jobs as computing

    computing.stop(ctx.database, job.id)


def _delete(ctx: Context, job: JobRow) -> None:
    from computing import jobs as computing

    computing.delete(ctx.database, job.id)
    sidebar.notice("info", f"The job {job.title} was deleted.")
