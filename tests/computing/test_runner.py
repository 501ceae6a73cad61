"""The one function: what comes back, in threads and in processes, when tasks misbehave."""

import os
import signal
import threading
import time

import mischief
import numpy as np
import psutil
import pytest

from analytics import Analytics
from computing.runner import Here, Processes, gathered, outcomes
from errors import ComputeError
from trading.bootstrap import bootstrap_intervals

PLACES = [Here, Processes]


def ended(function, calls, place, **options):
    found = list(outcomes(function, {str(c[0]): c for c in calls}, place, **options))
    assert len({o.key for o in found}) == len(found)
    return {o.key: o for o in found}


@pytest.mark.parametrize("make", PLACES)
def test_every_task_comes_back_once_with_its_value(make):
    found = ended(mischief.square, [(k,) for k in range(20)], make(2))
    assert {k: o.value for k, o in found.items()} == {str(k): k * k for k in range(20)}
    assert all(o.reason is None and o.worker for o in found.values())


@pytest.mark.parametrize("make", PLACES)
def test_a_task_that_raises_has_failed_with_its_reason_and_the_rest_finish(make):
    found = ended(mischief.square_or_refuse, [(k, 3) for k in range(8)], make(2))
    assert found["3"].reason == "ValueError: no square of that"
    assert sum(o.reason is None for o in found.values()) == 7


def test_a_task_that_kills_its_process_has_failed_and_the_rest_finish():
    found = ended(mischief.square_or_die, [(k, 4) for k in range(12)], Processes(2))
    assert len(found) == 12
    assert "killed" in found["4"].reason
    assert [o.value for k, o in sorted(found.items()) if k != "4"].count(None) == 0


@pytest.mark.nightly
def test_a_frozen_process_is_given_up_after_the_deadline():
    begun = time.monotonic()
    calls = [(k, 2) for k in range(6)]
    found = ended(mischief.square_or_freeze, calls, Processes(2), deadline_s=10)
    assert "frozen" in found["2"].reason
    assert sum(o.reason is None for o in found.values()) == 5
    assert time.monotonic() - begun < 120
    me = psutil.Process()
    assert not [c for c in me.children(recursive=True) if c.status() == psutil.STATUS_STOPPED]


def test_a_process_killed_from_outside_costs_nothing_but_time():
    calls = [(k, 0.05) for k in range(40)]
    killed = []

    def kill_one():
        while not killed:
            for child in psutil.Process().children():
                if "loky" in " ".join(child.cmdline()) and "tracker" not in str(child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
                    return
            time.sleep(0.05)

    found, killer = {}, threading.Timer(0.0, kill_one)
    for outcome in outcomes(mischief.square, {str(c[0]): c for c in calls}, Processes(2)):
        found[outcome.key] = outcome.value
        if len(found) == 10:
            killer.start()
    killer.join()
    assert killed
    assert found == {str(k): k * k for k in range(40)}


@pytest.mark.parametrize("make", PLACES)
def test_a_cancel_lets_tasks_finish_and_sends_no_more(make):
    calls = {str(k): (k, 0.02) for k in range(200)}
    found = []
    for outcome in outcomes(mischief.square, calls, make(2), cancelled=lambda: len(found) >= 5):
        found.append(outcome)
    assert 5 <= len(found) < 30


def test_gathered_values_are_in_the_order_of_the_calls():
    assert gathered(mischief.square, [(3,), (1,), (2,)]) == [9, 1, 4]
    with pytest.raises(ComputeError, match="no square"):
        gathered(mischief.square_or_refuse, [(1, 1)])


@pytest.mark.parametrize("make", PLACES)
def test_bootstraps_are_the_same_whoever_does_their_tasks(make):
    def run(function, calls):
        return gathered(function, calls, make(2))

    rng = np.random.default_rng(5)
    returns = rng.normal(1e-4, 1e-3, 300)
    assert bootstrap_intervals(returns, 365.0, run=run) == bootstrap_intervals(returns, 365.0)
    x = 100 + rng.normal(0, 0.1, 200).cumsum()
    y = 2 * x + rng.normal(0, 0.2, 200)
    fits = [
        Analytics.fit_hedge(y, x, method="huber", draws=120, run=who).ratio_interval
        for who in (None, run)
    ]
    assert fits[0] == fits[1]
