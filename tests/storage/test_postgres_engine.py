"""What PostgreSQL alone can do wrong: addresses, foreign tables, days, clocks, a lost answer."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

import database as database_module
from config import Config, read_settings
from database import Database, place_of
from errors import (
    ConfigError,
    DatabaseBusy,
    DatabaseError,
    NewerSchema,
    NotADatabase,
    ReadOnlyDatabase,
)
from storage import address
from storage.postgres_connection import parse_address
from tests.batches import START_MS, batch
from tests.postgres_server import PASSWORD

DAY_MS = 86_400_000
ROOT = Path(database_module.__file__).parent


@pytest.fixture
def url(postgres):
    return postgres.new_schema()


def schema_of(url):
    return address.without_schema(url)[1]


# -- addresses -------------------------------------------------------------------------------


def test_an_address_is_taken_apart_and_its_password_never_shown():
    found = parse_address("postgresql://u:p%40%2F@h:5433/d?sslmode=require&schema=my%20own")
    assert (found.schema, found.parameters["sslmode"]) == ("my own", "require")
    assert found.parameters["password"] == "p@/"
    assert found.name == "postgresql://u@h:5433/d?schema=my own"


@pytest.mark.parametrize("wrong", ["postgresql://u:secret@h/d?nonsense=1", "postgresql://[secret/"])
def test_an_address_that_is_none_is_said_without_its_password(wrong):
    with pytest.raises(NotADatabase, match="DATABASE_URL is not an address") as caught:
        Database(wrong)
    assert "secret" not in str(caught.value)


def test_the_setting_is_checked_and_never_shown():
    with pytest.raises(ConfigError, match="not shown") as caught:
        read_settings({"DATABASE_URL": "mysql://u:secret@h/d"})
    assert "secret" not in str(caught.value)


def test_what_the_server_refuses_is_a_sentence_without_the_password(postgres):
    wrong = postgres.url("public").replace("desk:", "desk:wrong")
    with pytest.raises(ReadOnlyDatabase, match="refuses the user or the password"):
        Database(wrong)
    with pytest.raises(DatabaseError, match="has no such database") as caught:
        Database(postgres.url("public") + "nowhere")
    assert PASSWORD not in str(caught.value)
    with pytest.raises(DatabaseBusy, match="does not answer"):
        Database("postgresql://u:secret@127.0.0.1:9/d")


def test_without_psycopg_the_sentence_says_what_to_install(tmp_path):
    (tmp_path / "psycopg.py").write_text("raise ImportError('no libpq')")
    code = "from database import Database; Database('postgresql://u:secret@h/d')"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 'pip install "psycopg[binary]"' in done.stderr
    assert "secret" not in done.stderr.splitlines()[-1]


def test_simulated_data_have_schemas_of_their_own(monkeypatch):
    monkeypatch.setattr(Config, "DATABASE_URL", "postgresql://h/d?sslmode=require")
    assert place_of("live") == "postgresql://h/d?sslmode=require"
    assert place_of("demo") == "postgresql://h/d?sslmode=require&schema=demo"
    monkeypatch.setattr(Config, "DATABASE_URL", "postgresql://h/d?schema=a%20b")
    assert place_of("replay") == "postgresql://h/d?schema=a%20b_replay"


# -- tables ----------------------------------------------------------------------------------


def test_tables_of_another_program_are_refused_untouched(postgres, url):
    name = schema_of(url)
    postgres.run(f'CREATE SCHEMA "{name}"')
    postgres.run(f'CREATE TABLE "{name}".ticks (url text)')
    for read_only in (False, True):
        with pytest.raises(NotADatabase, match="tables of another program"):
            Database(url, read_only=read_only)
    assert postgres.run(
        f"SELECT relname::text FROM pg_class WHERE relnamespace = '{name}'::regnamespace"
    ) == [("ticks",)]


def test_a_newer_schema_is_refused_and_an_empty_place_cannot_be_read(postgres, url):
    with pytest.raises(DatabaseError, match="nothing can be read"):
        Database(url, read_only=True)
    Database(url).close()
    postgres.run(f"UPDATE {schema_of(url)}.meta SET value = 99 WHERE key = 'schema_version'")
    with pytest.raises(NewerSchema, match="schema 99"):
        Database(url)


def test_tables_of_the_version_before_are_brought_up(postgres, url):
    Database(url).close()
    name = schema_of(url)
    postgres.run(f"DROP TABLE {name}.jobs, {name}.job_results, {name}.job_inputs")
    postgres.run(f"UPDATE {name}.meta SET value = 1 WHERE key = 'schema_version'")
    Database(url).close()
    assert postgres.run(f"SELECT count(*) FROM {name}.jobs") == [(0,)]


def test_many_programs_may_open_one_new_schema_at_once(url):
    opened, failed = [], []

    def open_it():
        try:
            opened.append(Database(url))
        except DatabaseError as error:
            failed.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in opened:
        one.close()
    assert (len(opened), failed) == (4, [])


# -- ticks -----------------------------------------------------------------------------------


def test_each_day_has_a_partition_and_goes_with_it(postgres, url):
    with Database(url) as db:
        db.write(batch(range(5), step_ms=DAY_MS))
        name = schema_of(url)
        tables = f"SELECT tablename::text FROM pg_tables WHERE schemaname = '{name}' "
        days = [row[0] for row in postgres.run(f"{tables} AND tablename ~ '^ticks_' ORDER BY 1")]
        assert days == [f"ticks_202408{day:02d}" for day in (8, 9, 10, 11, 12)]
        while db.prune(START_MS + 2 * DAY_MS):
            pass
        days = [row[0] for row in postgres.run(f"{tables} AND tablename ~ '^ticks_' ORDER BY 1")]
        # The third tick is of the boundary's own five minutes, and stays with its day.
        assert days == [f"ticks_202408{day:02d}" for day in (10, 11, 12)]
        assert db.write(batch([0])).below_low_water == 1


def test_retention_of_two_days_and_more_goes_by_whole_days(url):
    with Database(url) as db:
        now_ms = START_MS // DAY_MS * DAY_MS + 5_000_000
        assert db.retention_cut(now_ms, 47) == (now_ms - 47 * 3_600_000) // 300_000 * 300_000
        assert db.retention_cut(now_ms, 48) == now_ms // DAY_MS * DAY_MS - 2 * DAY_MS


def test_a_server_set_to_acknowledge_early_is_not_taken_at_that(postgres, url):
    name = "postgres"
    postgres.run(f"ALTER DATABASE {name} SET synchronous_commit = off")
    try:
        with Database(url) as db, db.transaction() as con:
            assert con.execute("SHOW synchronous_commit").fetchone() == ("on",)
    finally:
        postgres.run(f"ALTER DATABASE {name} RESET synchronous_commit")


def test_a_reader_cannot_write(url):
    refused = pytest.raises(ReadOnlyDatabase, match="cannot be written")
    with Database(url) as db, refused, db.snapshot() as snapshot:
        snapshot._con.execute("DELETE FROM meta")


def test_prints_of_a_program_that_does_not_wait_its_turn_are_tried_again(postgres, url):
    with Database(url) as db:
        db.write(batch([1]))
        # Written behind the lock: the writer's memory says that 2 cannot be there.
        postgres.run(
            f"INSERT INTO {schema_of(url)}.ticks SELECT id + 1, symbol, timestamp, price, size, "
            f"created_at, 2, is_buyer_maker FROM {schema_of(url)}.ticks"
        )
        with pytest.raises(DatabaseBusy, match="another program wrote the same"):
            db.write(batch([2]))
        assert db.write(batch([2])).duplicates == 1


# -- a commit whose answer is lost -----------------------------------------------------------


class Cut:
    """A connection that is cut right before or right after its commit."""

    def __init__(self, raw, *, after):
        self._raw, self._after = raw, after

    def __getattr__(self, name):
        return getattr(self._raw, name)

    def execute(self, statement, *rest):
        if not str(statement).endswith("COMMIT"):
            return self._raw.execute(statement, *rest)
        if self._after:
            self._raw.execute(statement, *rest)
        self._raw.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("after", [True, False])
def test_a_commit_whose_answer_is_lost_is_asked_after(url, after):
    with Database(url) as db:
        db.write(batch([1]))
        db._writer.raw = Cut(db._writer.raw, after=after)
        if after:
            assert db.write(batch([2, 3], start_ms=START_MS + 5_000)).inserted == 2
        else:
            with pytest.raises(DatabaseBusy, match="does not answer"):
                db.write(batch([2, 3], start_ms=START_MS + 5_000))
        again = db.write(batch([2, 3], start_ms=START_MS + 5_000))
        assert again.inserted == (0 if after else 2)
        with db.snapshot() as snapshot:
            assert snapshot.count("ticks") == 3
            assert snapshot.candle_columns("btcusdt", "5min").volume.sum() == 3


# -- leases and news -------------------------------------------------------------------------


def test_leases_go_by_the_servers_clock(postgres, url, monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(database_module, "_now_ms", lambda: 0)
    with Database(url) as db:
        assert db.acquire_lease("collector", "one", "a host whose clock is wrong")
        with db.snapshot() as snapshot:
            beat_ms = snapshot.lease("collector").beat_ms
            assert 0 <= snapshot.now_ms() - beat_ms < 5_000
        (server_ms,) = postgres.run("SELECT (extract(epoch FROM now()) * 1000)::bigint")[0]
        assert abs(server_ms - beat_ms) < 5_000


def test_statements_hold_no_sign_that_would_be_taken_for_a_parameter():
    for path in sorted((ROOT / "storage").glob("*.py")):
        for text in re.findall(r"LIKE '[^']*'", path.read_text(encoding="utf-8")):
            assert "?" not in text
