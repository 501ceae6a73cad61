"""Databases for tests: the same test on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# A test names its database; none may write into the one that the settings name.
os.environ.pop("DATABASE_URL", None)

from database import Database
from tests.postgres_server import PostgresServer, programs

ROOT = Path(__file__).resolve().parents[1]
Place = str | Path
ENGINES = ("sqlite", "postgresql")


def pytest_configure(config: pytest.Config) -> None:
    """Compile the kernels before workers begin: each would do it, and the servers they start."""
    if getattr(config.option, "numprocesses", None):
        compiling = [
            subprocess.Popen([sys.executable, "-m", package], cwd=ROOT, stdout=subprocess.DEVNULL)
            for package in ("kernels", "trading")
        ]
        assert [one.wait() for one in compiling] == [0, 0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file of tests is one worker's; so are all that drive a browser, for they share a server."""
    from xdist.scheduler import LoadFileScheduling

    class ByFileOneBrowser(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            browser = "tests/browser/"
            return browser if nodeid.startswith(browser) else super()._split_scope(nodeid)

    return ByFileOneBrowser(config, log)


def start_server(certificate: bytes | None = None) -> PostgresServer:
    """A server of PostgreSQL's own programs; the test is skipped where they are missing."""
    if programs() is None or pytest.importorskip("psycopg") is None:
        if os.environ.get("REQUIRE_POSTGRES") == "1":
            pytest.fail("PostgreSQL is to be tested here, and its programs are not installed")
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    return PostgresServer(certificate)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the whole run."""
    server = start_server()
    yield server
    server.close()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server for one test that does it harm."""
    server = start_server()
    yield server
    server.close()


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return request.param


@pytest.fixture
def new_place(
    engine_name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], Place]:
    """Makes places for databases that nobody has used."""
    if engine_name == "postgresql":
        return request.getfixturevalue("postgres").new_schema
    made = iter(range(1_000))
    return lambda: tmp_path / f"db{next(made)}.db"


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    """One such place."""
    return new_place()


@pytest.fixture
def db(place: Place) -> Iterator[Database]:
    """An empty database on each engine."""
    with Database(place) as opened:
        yield opened
