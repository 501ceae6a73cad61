"""One computation for all who ask at once."""

from __future__ import annotations

import threading
import time

import pytest

from views.sharing import Shared


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
