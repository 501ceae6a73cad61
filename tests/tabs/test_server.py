"""What the server says of itself, and what stands back for it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from starlette.requests import Request
from streamlit.url_util import make_url_path

from tabs import server
from views import warm


def ready() -> int:
    """The status with which the question is answered now."""
    route = next(r for r in server.routes() if r.path == server.READY)
    return int(asyncio.run(route.endpoint(Request({"type": "http", "headers": []}))).status_code)


@pytest.mark.parametrize(("warmed", "status"), [(False, 503), (True, 200)])
def test_ready_is_said_when_everything_is_loaded_and_not_before(warmed, status, monkeypatch):
    monkeypatch.setattr(warm, "is_complete", lambda: warmed)
    assert ready() == status


@pytest.mark.parametrize("base", ["desk", "/desk/", "a/b"])
def test_everything_is_served_below_the_base_path_as_well(base, monkeypatch):
    bare = {r.path: (r.methods, r.name) for r in server.routes()}
    monkeypatch.setattr(server.st, "get_option", {"server.baseUrlPath": base}.get)
    served = {r.path: (r.methods, r.name) for r in server.routes()}
    # By Streamlit's own rule, as its page is.
    assert served == bare | {make_url_path(base, path): what for path, what in bare.items()}
    assert len(served) == 2 * len(bare)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no nice(1)")
def test_a_process_that_compiles_stands_back():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        before = os.getpriority(os.PRIO_PROCESS, process.pid)
        warm._step_back(process.pid)
        after = os.getpriority(os.PRIO_PROCESS, process.pid)
        process.communicate(b"\n")
    assert after == max(before, warm._BEHIND_PAGES)
    warm._step_back(process.pid)  # that it has ended already is no fault
