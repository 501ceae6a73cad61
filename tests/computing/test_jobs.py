"""Jobs end in the same results wherever they are done, however often they are interrupted."""

import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import mischief
import numpy as np
import pandas as pd
import pytest
from clusters import ROOT
from small_market import ASK, NOW_MS, market

from analytics import Analytics
from computing import inputs, jobs, requests, results, tasks
from computing.runner import Here, Processes, outcomes
from database import Database
from errors import ComputeError
from storage import job_store
from trading.ask import grid_of, settings_of
from trading.optimize import sweep
from trading.sizing import SymbolRules
from trading.walk_forward import walk_forward

KINDS = ("scan", "sweep", "walk_forward", "many", "many_walks")
RULES = (SymbolRules(), SymbolRules())


def here(workers=1):
    return nullcontext(Here(workers))


def candles_of(asked, name):
    held = inputs.Held(asked[name].parameters, asked[name].arrays)
    return tasks.pair_at(held, "aaa", "bbb")


@pytest.mark.parametrize("name", KINDS)
def test_threads_and_processes_give_what_one_thread_gives(database, begun, name):
    found = []
    for place in (Here(1), Here(2), Processes(2)):
        job = jobs.run(database, begun(name), place=nullcontext(place))
        assert job.state == "done", job.note
        found.append(job.result_hash)
    assert found[0] is not None
    assert len(set(found)) == 1


@pytest.mark.parametrize("name", ["scan", "many"])
def test_workers_that_read_postgresql_give_the_same(database, begun, asked, postgres, name):
    whole = jobs.run(database, begun(name), place=here())
    with Database(postgres.new_schema()) as served:
        job_id = jobs.new_job(served, asked[name], NOW_MS)
        assert isinstance(inputs.source_of(served, job_id), inputs.Rows)
        job = jobs.run(served, job_id, place=nullcontext(Processes(2)))
        assert (job.state, job.result_hash) == ("done", whole.result_hash), job.note
        jobs.delete(served, job_id)
        with served.snapshot() as snapshot:
            assert snapshot.books(job_store.input_rows, job_id, "time_ms") == []


def test_a_full_scan_is_the_scan_with_every_pair_tested_again(database, begun, frame):
    job_id = begun("scan")
    jobs.run(database, job_id, place=here())
    found = results.scanned(*jobs.results_of(database, job_id))
    prices = frame.pivot(index="timestamp", columns="symbol", values="close")
    plain = Analytics.scan_pairs(prices, retest=1000)
    assert found.frame["aic_p_value"].notna().all()
    pd.testing.assert_frame_equal(found.frame, plain.frame)
    assert found.verdict == plain.verdict


def test_a_sweep_is_that_of_the_function(database, begun, asked):
    job_id = begun("sweep")
    jobs.run(database, job_id, place=here())
    found = results.swept(*jobs.results_of(database, job_id))
    plain = sweep(candles_of(asked, "sweep"), grid_of(ASK), settings_of(ASK, RULES), blocks=12)
    pd.testing.assert_frame_equal(found.frame, plain.frame)
    np.testing.assert_array_equal(found.blocks, plain.blocks)
    assert found.complete


def test_a_walk_forward_is_that_of_the_function(database, begun, asked):
    job_id = begun("walk_forward")
    jobs.run(database, job_id, place=here())
    found = results.walked(*jobs.results_of(database, job_id))
    candles = candles_of(asked, "walk_forward")
    plain = walk_forward(candles, grid_of(ASK), settings_of(ASK, RULES), folds=tasks.FOLDS)
    pd.testing.assert_frame_equal(found.choices, plain.choices)
    pd.testing.assert_frame_equal(found.out_of_sample.equity, plain.out_of_sample.equity)


def test_many_pairs_are_each_what_one_alone_is(database, begun, asked):
    job_id = begun("many")
    jobs.run(database, job_id, place=here())
    table = results.pairs_table("sweep", *jobs.results_of(database, job_id))
    assert len(table) == 15
    row = table[(table["price1"] == "aaa") & (table["price2"] == "bbb")].iloc[0]
    plain = sweep(candles_of(asked, "many"), grid_of(ASK), settings_of(ASK, RULES))
    plateau = plain.plateau("sharpe")
    assert (row["entry_th"], row["exit_th"]) == (plateau.entry_th, plateau.exit_th)
    assert row["hedge"] == plateau.hedge.label
    assert row["peak_sharpe"] == plain.best("sharpe").score
    assert table["q_value"].is_monotonic_increasing


def test_a_pair_with_too_few_candles_has_its_reason(database):
    frame = market(300, ("aaa", "bbb", "ccc"))
    frame = frame[(frame["symbol"] != "ccc") | (frame.groupby("symbol").cumcount() < 30)]
    job_id = jobs.new_job(database, requests.many_pairs("sweep", ASK, frame, {}, {}), NOW_MS)
    job = jobs.run(database, job_id, place=here())
    table = results.pairs_table("sweep", *jobs.results_of(database, job_id))
    assert (job.state, job.failed) == ("done", 0)
    notes = dict(zip(table["price1"] + table["price2"], table["note"], strict=True))
    assert notes["aaabbb"] == ""
    assert "needs" in notes["aaaccc"]


def test_a_cancelled_job_is_resumed_and_ends_as_if_nothing_had_been(database, begun):
    whole = jobs.run(database, begun("sweep"), place=here())
    job_id, told = begun("sweep"), []
    job = jobs.run(
        database, job_id, place=here(), told=lambda *a: told.append(a), cancelled=lambda: told != []
    )
    assert (job.state, job.done) == ("stopped", 1)
    assert job.result_hash is None
    assert "of 6 tasks" in told[0][1]
    assert "a second" in told[0][1]
    again = jobs.run(database, job_id, place=here(), told=lambda *a: told.append(a))
    assert len(told) == 6  # each task once over both runs
    assert (again.state, again.result_hash) == ("done", whole.result_hash)


def test_a_job_is_stopped_from_elsewhere_by_its_row(database, begun, monkeypatch):
    monkeypatch.setattr(jobs, "_BEAT_S", 0.05)
    slow = tasks.KINDS["sweep"]

    def work(found, key):
        time.sleep(0.2)
        return slow.work(found, key)

    monkeypatch.setitem(tasks.KINDS, "sweep", slow._replace(work=work))
    job_id = begun("sweep")
    threading.Timer(0.3, jobs.stop, (database, job_id)).start()
    job = jobs.run(database, job_id, place=here())
    assert job.state == "stopped"
    assert 0 < job.done < job.tasks


def test_a_job_that_another_works_on_is_left_alone(database, begun):
    job_id = begun("sweep")
    with database.transaction() as con:
        job_store.claim(con, job_id, "another", time.time_ns() // 1_000_000)
    with pytest.raises(ComputeError, match="Another process works on this job"):
        jobs.run(database, job_id)
    with pytest.raises(ComputeError, match="There is no job"):
        jobs.run(database, "none")


def test_a_task_that_fails_is_kept_with_its_reason_and_tried_again_on_resume(
    database, begun, monkeypatch
):
    whole = jobs.run(database, begun("sweep"), place=here())
    plain = tasks.KINDS["sweep"]

    def work(found, key):
        if key == "axis-002":
            raise ZeroDivisionError("by nought")
        return plain.work(found, key)

    job_id = begun("sweep")
    with monkeypatch.context() as patched:
        patched.setitem(tasks.KINDS, "sweep", plain._replace(work=work))
        job = jobs.run(database, job_id, place=here())
    assert (job.state, job.done, job.failed) == ("failed", 5, 1)
    assert job.note == "1 of 6 tasks failed, first ZeroDivisionError: by nought"
    again = jobs.run(database, job_id, place=here())
    assert (again.state, again.result_hash) == ("done", whole.result_hash)


def test_a_deleted_job_leaves_no_rows_and_no_files(database, begun, tmp_path):
    job_id = begun("scan")
    assert (tmp_path / "t_jobs" / job_id / "centred.npy").exists()
    jobs.delete(database, job_id)
    assert not list((tmp_path / "t_jobs").iterdir())
    with pytest.raises(ComputeError, match="There is no job"):
        jobs.run(database, job_id)


def test_files_that_are_not_there_are_a_sentence(database, begun, tmp_path):
    job_id = begun("sweep")
    inputs.forget(database, job_id)
    job = jobs.run(database, job_id, place=here())
    assert job.state == "failed"
    assert "workers on other machines need DATABASE_URL" in job.note


@pytest.mark.parametrize("name", ["scan", "many"])
def test_rows_of_a_database_are_the_arrays_that_files_are(database, begun, asked, name):
    job_id = begun(name)
    inputs.keep_rows(database, job_id, asked[name].arrays)
    fetched = inputs.Fetched(database, job_id)
    assert fetched.parameters == asked[name].parameters
    for array_name, array in asked[name].arrays.items():
        np.testing.assert_array_equal(fetched.whole(array_name), array)
        if array.ndim == 2:
            np.testing.assert_array_equal(fetched.row(array_name, 1), array[1])
    kind = asked[name].kind
    key = tasks.KINDS[kind].keys(fetched.parameters)[0]
    held = inputs.Held(asked[name].parameters, asked[name].arrays)
    assert tasks.do(fetched, kind, key) == tasks.do(held, kind, key)


def test_workers_load_compiled_kernels_and_compile_nothing(database, begun, tmp_path):
    calls = {}
    for name in ("scan", "many", "many_walks"):
        job_id = begun(name)
        with database.snapshot() as snapshot:
            job = snapshot.books(job_store.one, job_id)
        key = tasks.KINDS[job.kind].keys(job.parameters)[0]
        folder = str(tmp_path / "t_jobs" / job_id)
        # Here first: what no process has compiled yet is on disk after this.
        mischief.compiled_while(job.kind, folder, key)
        calls[name] = (job.kind, folder, key)
    for ended in outcomes(mischief.compiled_while, calls, Processes(2)):
        assert ended.reason is None
        compiled, _ = ended.value
        assert compiled == 0, ended.key


def test_the_command_lists_and_runs(database, begun, tmp_path):
    job_id = begun("sweep")

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "computing", *arguments, "--database", str(tmp_path / "t.db")],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip

    assert job_id in command("list").stdout
    done = command("run", job_id)
    assert done.returncode == 0, done.stderr
    assert "done: 6 of 6 tasks." in done.stdout


@pytest.mark.parametrize(
    ("symbols", "candles", "fewest", "most"),
    [(6, 600, 1, 1), (400, 3000, 45, 60), (500, 525_600, 1000, 10_000)],
)
def test_a_job_has_tasks_enough_for_its_workers_and_none_too_small(symbols, candles, fewest, most):
    parameters = {"symbols": ["s"] * symbols, "candles": candles}
    kind = tasks.KINDS["scan"]
    parameters["size"] = kind.size(parameters)
    keys = kind.keys(parameters)
    assert fewest <= len(keys) <= most
    assert sum(int(b) - int(a) for a, b in (k.split("-") for k in keys)) == kind.units(parameters)
