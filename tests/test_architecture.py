"""The house rules that a test can hold: who may import whom, and what stands where."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not {"tests", "benchmarks", ".venv", "venv", "docs"} & set(path.relative_to(ROOT).parts)
)
NAMES = [str(path.relative_to(ROOT)) for path in PRODUCT]
NOUNS = {"config", "errors", "ticks", "candles"}
PURE = ("analytics", "quant/", "kernels/", "trading/")


@cache
def imports_of(name: str) -> frozenset[str]:
    """Every module named in an import of the file, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def roots_of(name: str) -> set[str]:
    return {module.split(".")[0] for module in imports_of(name)}


def is_in(name: str, *places: str) -> bool:
    posix = Path(name).as_posix()
    return any(
        posix.startswith(place) if place.endswith("/") else posix == f"{place}.py"
        for place in places
    )


@pytest.mark.parametrize("name", NAMES)
def test_only_the_page_knows_streamlit(name):
    allowed = is_in(name, "app", "tabs/", "live/")
    assert allowed or not {m for m in roots_of(name) if m.startswith("streamlit")}


@pytest.mark.parametrize("name", NAMES)
def test_only_its_engine_knows_a_database_s_driver(name):
    assert is_in(name, "storage/sqlite_engine") or "sqlite3" not in roots_of(name)
    assert Path(name).name.startswith("postgres_") or "psycopg" not in roots_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_sockets_stay_where_the_wire_is(name):
    wire = {"socket", "websocket", "requests", "http", "urllib.request", "websockets", "smtplib"}
    found = wire & (imports_of(name) | roots_of(name))
    if name == "runtime.py":
        found -= {"socket"}  # asks for this machine's name, opens nothing
    allowed = is_in(name, "collecting/", "binance", "data_feed", "notify", "simulator/", "live/")
    assert allowed or not found


@pytest.mark.parametrize("name", NAMES)
def test_only_computing_deals_tasks_out(name):
    assert is_in(name, "computing/") or not {"joblib", "dask", "distributed"} & roots_of(name)


@pytest.mark.parametrize("name", [n for n in NAMES if is_in(n, *PURE)])
def test_the_numbers_do_no_input_or_output_and_read_no_clock(name):
    forbidden = {"database", "storage", "runtime", "collector", "binance", "requests", "threading"}
    assert not forbidden & roots_of(name)
    source = (ROOT / name).read_text(encoding="utf-8")
    for call in ("datetime.now(", "time.time(", "Timestamp.now(", "utcnow("):
        assert call not in source, f"{name} reads a clock: now is an argument"


@pytest.mark.parametrize("name", [f"{noun}.py" for noun in sorted(NOUNS)])
def test_the_nouns_know_only_one_another(name):
    ours = {Path(n).parts[0].removesuffix(".py") for n in NAMES}
    assert roots_of(name) & ours <= NOUNS


def test_the_simulator_shares_no_parsing_with_the_client():
    for name in NAMES:
        if is_in(name, "simulator/"):
            assert not {"binance", "collecting", "collector", "database"} & roots_of(name), name


def test_database_and_wire_do_not_know_each_other():
    assert not {"binance", "data_feed", "collector", "collecting"} & roots_of("database.py")
    for name in ("binance.py", "data_feed.py", "collecting/frames.py"):
        assert not {"database", "storage"} & roots_of(name), name


def test_figures_know_results_and_never_the_page():
    for name in NAMES:
        if is_in(name, "visualizations", "charts/"):
            assert not {"streamlit", "tabs", "database", "runtime"} & roots_of(name), name


@pytest.mark.parametrize("name", NAMES)
def test_modules_stay_small(name):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 600


@pytest.mark.parametrize("name", NAMES)
def test_every_module_and_public_thing_says_what_it_is(name):
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    if tree.body:
        assert ast.get_docstring(tree), f"{name} has no docstring"
    for node in tree.body:
        public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"
        if public:
            assert ast.get_docstring(node), f"{name}: {node.name} has no docstring"


def test_no_file_at_the_root_shadows_the_standard_library():
    tops = {Path(name).parts[0].removesuffix(".py") for name in NAMES}
    assert not tops & set(sys.stdlib_module_names)


def test_there_is_no_drawer_for_everything():
    assert not [n for n in NAMES if Path(n).stem in {"utils", "helpers", "misc", "common"}]
