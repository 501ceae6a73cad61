"""A real scheduler and two workers over TCP: the results of a serial run, whatever is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import mischief
import pytest
from clusters import ROOT, DaskProcesses, free_port
from small_market import ASK, NOW_MS, market

from computing import jobs, requests
from computing.cluster import Cluster
from computing.runner import Here, outcomes
from computing.versions import difference, stamp
from config import Config
from database import Database
from errors import ComputeError, SchedulerUnreachable, VersionsDiffer
from storage import job_store

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """A scheduler with two workers."""
    processes = DaskProcesses(tmp_path_factory.mktemp("dask"))
    try:
        processes.start_scheduler()
        processes.start_worker()
        processes.start_worker()
        processes.wait_for(2)
        yield processes
    finally:
        processes.close()


@pytest.fixture(scope="module")
def big():
    """Some hundreds of tasks of some milliseconds each."""
    frame = market(300, [f"s{k:02d}" for k in range(12)])
    request = requests.many_pairs("walk_forward", ASK, frame, {}, {})
    request.parameters["size"] = 1
    return request


@pytest.fixture(scope="module")
def serial_hash(big, tmp_path_factory):
    """What one thread makes of the big job."""
    with Database(tmp_path_factory.mktemp("serial") / "s.db") as database:
        job_id = jobs.new_job(database, big, NOW_MS)
        return jobs.run(database, job_id, place=nullcontext(Here(1))).result_hash


def run_while(database, job_id, dask, mischief_at, what, **options):
    """Run a job on the cluster and do something to it when so many tasks are done."""
    done = threading.Event()

    def act():
        while not done.wait(0.02):
            with database.snapshot() as snapshot:
                if len(snapshot.books(job_store.finished_keys, job_id)) >= mischief_at:
                    what()
                    return

    acting = threading.Thread(target=act)
    acting.start()
    try:
        place = Cluster(dask.address, **options)
        return jobs.run(database, job_id, place=place)
    finally:
        done.set()
        acting.join()


@pytest.mark.parametrize("name", ["scan", "sweep", "many_walks"])
def test_results_equal_those_of_a_serial_run(database, begun, dask, name):
    on_dask = jobs.run(database, begun(name), place=Cluster(dask.address))
    serial = jobs.run(database, begun(name), place=nullcontext(Here(1)))
    assert on_dask.state == serial.state == "done"
    assert on_dask.result_hash == serial.result_hash


def test_workers_that_read_postgresql_give_the_same(postgres, big, dask, serial_hash):
    with Database(postgres.new_schema()) as served:
        job_id = jobs.new_job(served, big, NOW_MS)
        job = jobs.run(served, job_id, place=Cluster(dask.address))
    assert (job.state, job.result_hash) == ("done", serial_hash), job.note


def test_a_worker_killed_in_the_middle_costs_nothing_but_time(database, big, dask, serial_hash):
    job_id = jobs.new_job(database, big, NOW_MS)
    pid = dask.pid_of_worker(0)
    job = run_while(database, job_id, dask, 12, lambda: os.kill(pid, signal.SIGKILL))
    assert (job.state, job.result_hash) == ("done", serial_hash), job.note


def test_a_frozen_worker_is_taken_off_and_its_tasks_are_done(database, big, dask, serial_hash):
    dask.ensure_two()
    job_id = jobs.new_job(database, big, NOW_MS)
    pid = dask.pid_of_worker(0)
    job = run_while(database, job_id, dask, 12, lambda: os.kill(pid, signal.SIGSTOP), frozen_s=10.0)
    os.kill(pid, signal.SIGKILL)
    assert (job.state, job.result_hash) == ("done", serial_hash), job.note


def test_both_workers_killed_and_others_join(database, big, dask, serial_hash):
    dask.ensure_two()
    job_id = jobs.new_job(database, big, NOW_MS)

    def both():
        for worker in dask.workers[:2]:
            dask.kill(worker)
        dask.workers = []
        dask.start_worker()
        dask.start_worker()

    job = run_while(database, job_id, dask, 12, both)
    assert (job.state, job.result_hash) == ("done", serial_hash), job.note


def test_values_that_went_with_their_worker_as_they_were_fetched_are_fetched_again(
    dask, monkeypatch
):
    from distributed import Client, KilledWorker

    fetch, refused = Client._gather, set()

    async def failing_once(client, futures, *args, **options):
        if (key := futures[0].key) not in refused:
            refused.add(key)
            raise KilledWorker(key, None, 0)
        return await fetch(client, futures, *args, **options)

    dask.ensure_two()
    with Cluster(dask.address) as cluster:
        monkeypatch.setattr(Client, "_gather", failing_once)
        calls = {str(k): (k,) for k in range(6)}
        found = {o.key: o.value for o in outcomes(mischief.square, calls, cluster, deadline_s=20)}
    assert len(refused) == 6
    assert found == {str(k): k * k for k in range(6)}


def test_a_task_that_kills_its_workers_has_failed_and_the_rest_finish(dask):
    dask.ensure_two()
    with Cluster(dask.address) as cluster:
        calls = {str(k): (k, 4) for k in range(12)}
        found = {o.key: o for o in outcomes(mischief.square_or_die, calls, cluster)}
    assert len(found) == 12
    assert "killed" in found["4"].reason
    assert sum(o.reason is None for o in found.values()) == 11


def test_the_client_killed_and_the_job_resumed_in_another_process(tmp_path, big, dask, serial_hash):
    dask.ensure_two()
    path = tmp_path / "t.db"
    with Database(path) as database:
        job_id = jobs.new_job(database, big, NOW_MS)
        command = [sys.executable, "-m", "computing", "run", job_id, "--database", str(path)]
        environment = os.environ | {"DASK_SCHEDULER": dask.address}
        # The job is small for a cluster; the setting is to count none the less.
        environment["PYTHONPATH"] = str(ROOT)
        code = (
            "import sys; from computing import jobs, __main__ as m; jobs.CLUSTER_PAYS_S = 0; "
            "sys.exit(m.main(sys.argv[1:]))"
        )
        command[1:3] = ["-c", code]
        client = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        finished = 0
        while finished < 12 and client.poll() is None:
            time.sleep(0.02)
            with database.snapshot() as snapshot:
                finished = len(snapshot.books(job_store.finished_keys, job_id))
        client.kill()
        client.wait()
        with database.snapshot() as snapshot:
            left = snapshot.books(job_store.one, job_id)
        assert 12 <= left.done < left.tasks
        later = left.beat_ms + job_store.EXPIRY_MS
        assert left.state_at(later) == "stopped"
        with database.transaction() as con:  # as fifteen seconds would have done
            con.execute("UPDATE jobs SET beat_ms = 0")
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with database.snapshot() as snapshot:
            job = snapshot.books(job_store.one, job_id)
        assert (job.state, job.result_hash) == ("done", serial_hash)


def test_workers_of_another_version_are_named(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skewed")
    (folder / "scipy-0.0.1.dist-info").mkdir()
    (folder / "scipy-0.0.1.dist-info" / "METADATA").write_text("Name: scipy\nVersion: 0.0.1\n")
    skewed = DaskProcesses(folder)
    try:
        skewed.start_scheduler()
        for _ in range(2):
            skewed.start_worker(path=[folder])
        skewed.wait_for(2)
        with pytest.raises(VersionsDiffer, match=r"scipy 0\.0\.1 \(here \d"):
            Cluster(skewed.address).__enter__()
        # One that is frozen never answers; the other is still heard.
        os.kill(skewed.pid_of_worker(0), signal.SIGSTOP)
        with pytest.raises(VersionsDiffer, match=r"scipy 0\.0\.1 \(here \d"):
            Cluster(skewed.address).__enter__()
    finally:
        skewed.close()


def test_what_differs_is_said_and_patches_of_python_do_not():
    ours = stamp()
    assert difference(ours, ours) == ""
    assert difference({"Python": "3.11.7"}, {"Python": "3.11.2"}) == ""
    assert difference({"Python": "3.11.7"}, {"Python": "3.12.7"}) == "Python 3.12.7 (here 3.11.7)"
    assert difference(ours, ours | {"numpy": "1.0"}).startswith("numpy 1.0 (here ")


def test_nobody_at_the_address_is_a_sentence_within_seconds(database, begun, monkeypatch):
    monkeypatch.setattr(Config, "DASK_SCHEDULER", f"tcp://127.0.0.1:{free_port()}")
    monkeypatch.setattr(jobs, "CLUSTER_PAYS_S", 0.0)
    job_id, began = begun("sweep"), time.monotonic()
    with pytest.raises(SchedulerUnreachable, match="Start it with `dask scheduler`"):
        jobs.run(database, job_id)
    assert time.monotonic() - began < 15
    with database.snapshot() as snapshot:
        job = snapshot.books(job_store.one, job_id)
    assert job.state == "stopped"
    assert "No Dask scheduler answered" in job.note


def test_small_work_does_not_go_to_the_cluster(database, begun, monkeypatch):
    monkeypatch.setattr(Config, "DASK_SCHEDULER", f"tcp://127.0.0.1:{free_port()}")
    assert jobs.run(database, begun("sweep")).state == "done"


def test_the_scheduler_killed_and_started_again(database, big, dask, serial_hash):
    dask.ensure_two()
    job_id = jobs.new_job(database, big, NOW_MS)

    def again():
        dask.kill(dask.scheduler)
        for worker in dask.workers:
            dask.kill(worker)
        dask.workers = []
        dask.start_scheduler()
        dask.start_worker()
        dask.start_worker()

    job = run_while(database, job_id, dask, 12, again)
    assert (job.state, job.result_hash) == ("done", serial_hash), job.note


@pytest.mark.nightly
def test_the_scheduler_gone_for_good_and_the_rest_is_done_here_and_said(
    database, big, dask, serial_hash
):
    dask.ensure_two()
    job_id = jobs.new_job(database, big, NOW_MS)
    job = run_while(database, job_id, dask, 12, lambda: dask.kill(dask.scheduler), back_s=1.0)
    assert (job.state, job.result_hash) == ("done", serial_hash), job.note
    assert "did not come back within 1 s. The rest is computed on this machine." in job.note


def test_without_dask_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ComputeError, match="pip install dask distributed"):
        Cluster("tcp://127.0.0.1:1").__enter__()
