"""What a worker is given before its first task."""

import os
import platform
import subprocess
import sys

import pytest
from clusters import ROOT

FAULTS = """
import resource, threading
import numpy as np
from computing.ready import keep_memory
{setup}
def work():
    for _ in range(1_000):
        np.ones(60_000).sum()
task = threading.Thread(target=work)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
task.start(); task.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(setup):
    """Pages that a thread of a process, started as Dask starts workers, has mapped anew."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(setup=setup)],
        env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"},
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only where the C library is glibc")
def test_a_worker_keeps_the_memory_of_arrays_that_come_and_go():
    assert page_faults("") > 50_000
    assert page_faults("assert keep_memory()") < 5_000


def test_where_the_c_library_is_another_nothing_is_asked_of_it(monkeypatch):
    from computing import ready

    monkeypatch.setattr(ready.platform, "libc_ver", lambda: ("", ""))
    assert not ready.keep_memory()
