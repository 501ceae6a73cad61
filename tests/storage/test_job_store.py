"""Jobs as rows: claimed by one process, results written once, free when nobody beats."""

import sqlite3
from dataclasses import replace

import pytest

from database import Database
from storage import job_store, schema
from storage.job_store import EXPIRY_MS, JobRow, StoredResult

NOW_MS = 1_760_000_000_000
JOB = JobRow(
    "j1", "sweep", "Sweep", {"pairs": [["a", "b"]]}, "stopped", 3, "", None, None, NOW_MS, None,
    None,
)  # fmt: skip


@pytest.fixture
def database(db):
    with db.transaction() as con:
        job_store.create(con, JOB)
    return db


def result(key, state="done", body="x"):
    return StoredResult(key, state, body, 0.1, "w")


def read(database, what, *args):
    with database.snapshot() as snapshot:
        return snapshot.books(what, *args)


def test_a_job_comes_back_as_it_was_written(database):
    assert read(database, job_store.one, "j1") == JOB
    assert read(database, job_store.listed) == [JOB]
    assert read(database, job_store.one, "other") is None


def test_one_process_at_a_time_works_on_a_job(database):
    with database.transaction() as con:
        assert job_store.claim(con, "j1", "first", NOW_MS)
        assert not job_store.claim(con, "j1", "second", NOW_MS + 1)
        assert job_store.beat(con, "j1", "first", "half", NOW_MS + 1_000)
        assert not job_store.beat(con, "j1", "second", "", NOW_MS + 1_000)
        # The first is silent for too long: its job is stopped, and the second goes on with it.
        later = NOW_MS + 1_000 + EXPIRY_MS
        assert job_store.one(con, "j1").state_at(later) == "stopped"
        assert job_store.claim(con, "j1", "second", later)
        assert not job_store.beat(con, "j1", "first", "", later)
        job_store.end(con, "j1", "first", "done", "", "0", later)
        assert job_store.one(con, "j1").state == "running"


def test_a_job_told_to_stop_is_no_longer_its_runners(database):
    with database.transaction() as con:
        job_store.claim(con, "j1", "first", NOW_MS)
        job_store.ask_to_stop(con, "j1")
        assert not job_store.beat(con, "j1", "first", "", NOW_MS)


def test_a_result_is_written_once_and_a_failure_gives_way(database):
    with database.transaction() as con:
        job_store.store(con, "j1", [result("b"), result("a", "failed", "why")], NOW_MS)
        job_store.store(con, "j1", [result("b", body="other"), result("a")], NOW_MS)
        job_store.store(con, "j1", [result("a", "failed", "late")], NOW_MS)
    found = read(database, job_store.results, "j1")
    assert [(r.task_key, r.state, r.body) for r in found] == [
        ("a", "done", "x"),
        ("b", "done", "x"),
    ]
    assert read(database, job_store.finished_keys, "j1") == {"a", "b"}
    assert read(database, job_store.one, "j1") == replace(JOB, done=2)


def test_a_deleted_job_leaves_nothing_behind(database):
    with database.transaction() as con:
        job_store.store(con, "j1", [result("a")], NOW_MS)
        job_store.put_input(con, "j1", "close", 0, "AAAA")
        job_store.put_input(con, "j1", "close", 0, "BBBB")
        assert job_store.input_rows(con, "j1", "close") == ["AAAA"]
        assert job_store.input_rows(con, "j1", "close", 0) == ["AAAA"]
        job_store.delete(con, "j1")
        for table in ("jobs", "job_results", "job_inputs"):
            assert con.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


def test_a_database_of_the_version_before_is_brought_up_when_it_is_opened(tmp_path):
    path = tmp_path / "old.db"
    with Database(path) as database:
        database.put("setting", "kept", {"a": 1})
    con = sqlite3.connect(path)
    for table in ("jobs", "job_results", "job_inputs"):
        con.execute(f"DROP TABLE {table}")
    con.execute("PRAGMA user_version = 1")
    con.commit()
    con.close()
    for _ in range(2):
        with Database(path) as database:
            with database.transaction() as con:
                job_store.create(con, JOB)
                version = con.execute("PRAGMA user_version").fetchone()[0]
            assert version == schema.SCHEMA_VERSION == 2
            with database.snapshot() as snapshot:
                assert snapshot.get("setting", "kept")[0] == {"a": 1}
                assert snapshot.books(job_store.one, "j1") == JOB
