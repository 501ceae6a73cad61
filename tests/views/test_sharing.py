"""One computation for all who ask at once."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from views.sharing import Beside, Shared, forget_all


def test_the_same_key_is_made_once_while_it_is_fresh():
    now = [0.0]
    shared, made = Shared(4, max_age_s=1.0, clock=lambda: now[0]), []
    for _ in range(3):
        assert shared.get("a", lambda: made.append(1) or len(made)) == 1
    now[0] = 1.5
    assert shared.get("a", lambda: made.append(1) or len(made)) == 2


def test_sessions_that_ask_together_wait_for_one_computation():
    shared, made, got = Shared(4), [], []

    def slow() -> int:
        made.append(1)
        time.sleep(0.1)
        return 7

    threads = [threading.Thread(target=lambda: got.append(shared.get("k", slow))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (got, len(made)) == ([7] * 8, 1)


def test_the_least_recently_used_goes_first():
    shared, made = Shared(2), []
    for key in ("a", "b", "a", "c", "a"):
        shared.get(key, lambda key=key: made.append(key))
    assert made == ["a", "b", "c"]


def test_a_failure_is_not_kept():
    shared = Shared(2)
    with pytest.raises(ZeroDivisionError):
        shared.get("a", lambda: 1 / 0)
    assert shared.get("a", lambda: 5) == 5


def test_what_is_made_beside_is_made_once_and_nobody_waits_for_it():
    beside, made, go = Beside(4), [], threading.Event()

    def slow() -> str:
        made.append(1)
        go.wait(5)
        return "first"

    assert [beside.get("pair", 1, slow) for _ in range(5)] == [None] * 5
    go.set()
    assert until(lambda: beside.get("pair", 1, slow)) == "first"
    assert len(made) == 1


def test_the_value_before_is_shown_until_the_next_is_there_and_families_do_not_mix():
    beside = Beside(4)
    until(lambda: beside.get("a", 1, lambda: "a1"))
    assert beside.get("b", 1, lambda: "b1") is None
    assert beside.get("a", 2, lambda: "a2") == "a1"
    assert until(lambda: beside.get("a", 2, lambda: "a2") == "a2")
    assert until(lambda: beside.get("b", 1, lambda: "b1")) == "b1"


def until(ask):
    """The first truthy answer within two seconds."""
    deadline = time.monotonic() + 2
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return answer


def test_forgetting_empties_every_cache_and_what_is_being_made_is_not_kept():
    shared, beside, go = Shared(4), Beside(4), threading.Event()
    shared.get("a", lambda: "of the demo market")
    until(lambda: beside.get("a", 1, lambda: "of the demo market"))

    def slow() -> str:
        go.wait(5)
        return "of the demo market too"

    beside.get("a", 2, slow)
    forget_all()
    go.set()
    assert shared.get("a", lambda: "live") == "live"
    assert beside.get("a", 3, lambda: "live") is None
    assert until(lambda: beside.get("a", 3, lambda: "live")) == "live"


def test_no_module_keeps_what_it_made_of_a_market_in_a_cache_of_another_kind():
    root = Path(__file__).resolve().parents[2]
    kept = {}
    for folder in ("views", "tabs", "live"):
        for file in (root / folder).glob("*.py"):
            found = re.findall(
                r"^(_[A-Z_]+)[^=\n]*= (?:\{\}|dict\(|OrderedDict|\[\])", file.read_text(), re.M
            )
            if found:
                kept[file.name] = found
    assert kept == {}, "Shared and Beside are emptied when the source is another"
