"""Loads the numerics in the background, so that the first page never waits for them."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pandas as pd

log = logging.getLogger(__name__)

_ready = threading.Event()
_started = threading.Lock()


def begin() -> None:
    """Start loading; harmless when it has begun already."""
    if _started.acquire(blocking=False):
        threading.Thread(target=_load, name="warm-up", daemon=True).start()


def is_ready() -> bool:
    """Whether an analytic answers at once."""
    return _ready.is_set()


def wait(timeout_s: float) -> bool:
    """Wait until ready, at most so long."""
    return _ready.wait(timeout_s)


def _load() -> None:
    """Run each analytic that the first pages use on a few made-up points."""
    from analytics import Analytics

    try:
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
