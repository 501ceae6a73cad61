"""The look-ahead audit: the same run on data cut off at many points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from views.backtests import BacktestAsk, BacktestInput, settings_of

_CUTS = 40


@dataclass(frozen=True, slots=True)
class AuditView:
    """Whether any signal or fill changed when the future was taken away."""

    clean: bool
    sentence: str


def run_audit(
    ask: BacktestAsk, given: BacktestInput, told: Callable[[float, str], None]
) -> AuditView:
    """Compare every signal and fill with those of runs that end earlier."""
    from trading.backtest import run_pair

    settings = settings_of(ask, given.rules)
    full = run_pair(given.candles, settings, gaps=given.gaps)
    n = len(given.candles)
    least = ask.z_window + ask.hedge_window + 5
    cuts = np.unique(np.linspace(min(least, n - 1), n - 1, _CUTS).astype(int))
    for done, cut in enumerate(cuts):
        told(done / len(cuts), f"{done} of {len(cuts)} cuts")
        part = run_pair(given.candles.part(0, int(cut)), settings, gaps=given.gaps)
        found = _difference(full, part, int(cut))
        if found:
            return AuditView(False, found)
    return AuditView(
        True, f"No signal and no fill changed at any of {len(cuts)} cuts: nothing looks ahead."
    )


def _difference(full: Any, part: Any, cut: int) -> str:
    for name in ("hedge_ratio", "spread", "zscore"):
        a, b = (
            np.asarray(getattr(full.signals, name))[:cut],
            np.asarray(getattr(part.signals, name)),
        )
        same = np.isclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)
        if not same.all():
            first = int(np.flatnonzero(~same)[0])
            return f"{name} of candle {first} changes when the data end at candle {cut}."
    a, b = np.asarray(full.positions)[: cut - 1], np.asarray(part.positions)[: cut - 1]
    if not np.array_equal(a, b):
        first = int(np.flatnonzero(a != b)[0])
        return f"The position of candle {first} changes when the data end at candle {cut}."
    return ""
