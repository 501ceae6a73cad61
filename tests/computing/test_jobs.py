"""Jobs end in the same results wherever they are done, however often they are interrupted."""

from contextlib import nullcontext

import pytest

from computing import jobs
from computing.runner import Here, Processes

KINDS = ("scan", "sweep", "walk_forward", "many", "many_walks")


@pytest.fixture(scope="module")
def hashes():
    """The hash that a serial run of each kind gave."""
    return {}


@pytest.mark.parametrize("name", KINDS)
def test_threads_and_processes_give_what_one_thread_gives(database, begun, hashes, name):
    found = []
    for place in (Here(1), Here(2), Processes(2)):
        job = jobs.run(database, begun(name), place=nullcontext(place))
        assert job.state == "done", job.note
        found.append(job.result_hash)
    assert found[0] is not None
    assert len(set(found)) == 1
