"""Loads the numerics in the background, so that the first page never waits for them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[1]
# What spread, z-score and correlation of the first pages are made of.
_FIRST = ("rolling", "regression", "rolling_pair")

# How far compiling ahead stands back, as in nice(1).
_BEHIND_PAGES = 10

FIRST_START = (
    "The tests are being compiled for this computer.",
    "That happens once, on the first start, and takes less than a minute.",
)

_ready = threading.Event()
_complete = threading.Event()
_started = threading.Lock()


def begin() -> None:
    """Start loading; harmless when it has begun already."""
    if _started.acquire(blocking=False):
        threading.Thread(target=_load, name="warm-up", daemon=True).start()


def is_ready() -> bool:
    """Whether hedge ratio, spread and z-score answer at once."""
    return _ready.is_set()


def is_complete() -> bool:
    """Whether everything does: tests, scan and backtest too."""
    return _complete.is_set()


def wait_until_complete() -> None:
    """Wait for everything; for threads, never for a page."""
    begin()
    _complete.wait()


def wait(timeout_s: float) -> bool:
    """Wait until ready, at most so long."""
    return _ready.wait(timeout_s)


def _compile(package: str, *modules: str) -> None:
    """Fill the cache of compiled kernels from a process of its own: compiling holds a page up."""
    command = [sys.executable, "-m", package, *modules]
    with subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as compiling:
        _step_back(compiling.pid)
        _, complaint = compiling.communicate()
    if compiling.returncode:
        log.warning("compiling ahead failed, pages will do it themselves: %s", complaint)


def _step_back(process: int) -> None:
    """Let pages go first where they and this process share a core."""
    if sys.platform != "win32":
        with suppress(OSError):  # it may have ended already
            os.setpriority(os.PRIO_PROCESS, process, _BEHIND_PAGES)


def _load() -> None:
    """Run each analytic that the first pages use on a few made-up points."""
    try:
        _compile("kernels", *_FIRST)
        from analytics import Analytics

        steps = np.arange(120, dtype=float)
        x = pd.Series(100.0 + np.sin(steps) + 0.1 * steps)
        y = pd.Series(2.0 * x + np.cos(1.7 * steps))
        ratio, intercept = Analytics.calculate_hedge_ratio(y, x)
        spread = Analytics.calculate_spread(y, x, ratio, intercept)
        Analytics.calculate_zscore(spread, 20)
        Analytics.rolling_correlation(y, x, 20, returns=True)
    except Exception:
        log.exception("loading the analytics failed")
    finally:
        _ready.set()
    try:
        _compile("kernels")
        _rehearse()
        _compile("trading")
    except Exception:
        log.exception("rehearsing the tests failed")
    finally:
        _complete.set()


def _rehearse() -> None:
    """Run the tests of a pair once: what they import is loaded, their kernels are at hand."""
    # Of Statistics; three seconds on its first visit otherwise.
    import scipy.stats  # noqa: F401

    from analytics import Analytics

    steps = np.arange(200, dtype=float)
    noise = np.sin(steps * steps)
    x = pd.Series(100.0 + np.cumsum(np.cos(steps * 1.3)) + noise)
    y = pd.Series(2.0 * x + 5.0 * noise + np.cos(1.7 * steps))
    spread = y - 2.0 * x
    Analytics.engle_granger_both(y, x)
    for test in (
        Analytics.adf_test,
        Analytics.kpss_test,
        Analytics.phillips_perron,
        Analytics.variance_ratio,
        Analytics.hurst_exponent,
        Analytics.half_life,
        Analytics.ou_fit,
    ):
        test(spread)
    Analytics.fit_hedge(y, x, method="rolling_ols", window=30)
