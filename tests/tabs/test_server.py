"""What the server says of itself, and what stands back for it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest
from starlette.requests import Request

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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no nice(1)")
def test_a_process_that_compiles_stands_back():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        before = os.getpriority(os.PRIO_PROCESS, process.pid)
        warm._step_back(process.pid)
        after = os.getpriority(os.PRIO_PROCESS, process.pid)
        process.communicate(b"\n")
    assert after == max(before, warm._BEHIND_PAGES)
    warm._step_back(process.pid)  # that it has ended already is no fault
