"""The self-check: what the platform estimates on the demo market, against what was planted.

One sample proves little: an interval of 95 % misses once in twenty by design. So the same is done
on many samples of the market's past, and the misses are counted and held against the number that
is to be expected.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from candles import fold_ticks
from views import self_check_parts as parts
from views.self_check_parts import MINUTE_MS, Check
from views.text import percent

SAMPLES = 10
_HOURS = 12
_RARE = 0.01
Told = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Tally:
    """One planted fact over all samples.

    ``expected`` is the share that is right where everything is as it should be: 0.95 of intervals,
    the power of a test; ``fewest`` how many chance leaves right, 99 times of 100.
    """

    pair: str
    what: str
    planted: str
    samples: int
    right: int
    expected: float
    fewest: int

    @property
    def is_usual(self) -> bool:
        """Whether chance alone explains the count."""
        return self.right >= self.fewest


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The newest sample in full, the counts over all, and what follows from them."""

    newest: tuple[Check, ...]
    tallies: tuple[Tally, ...]
    samples: int
    believed: bool | None
    verdict: str
    seconds: float


def run_self_check(
    now_ms: int, told: Told, cancelled: Callable[[], bool], samples: int = SAMPLES, seed: int = 4
) -> SelfCheck:
    """Estimate everything planted on the newest twelve hours of the demo market, and on the
    twelve hours before, and so on; ``seed`` 4 is the market that is shipped."""
    from simulator.prices import EPOCH_MS, PlantedTape

    began = time.perf_counter()
    tape, span = PlantedTape(seed), _HOURS * 60 * MINUTE_MS
    end = now_ms // MINUTE_MS * MINUTE_MS
    count = min(samples, (end - EPOCH_MS) // span)
    done: list[list[Check]] = []
    for n in range(count):
        if cancelled():
            break
        told(n / count, f"sample {n + 1} of {count}")
        done.append(_sample(tape, end - (n + 1) * span, end - n * span))
    told(0.98, "counting")
    tallies = _tallies(check for checks in done for check in checks)
    believed, verdict = _verdict(tallies)
    return SelfCheck(
        tuple(done[0]) if done else (),
        tallies,
        len(done),
        believed,
        verdict,
        time.perf_counter() - began,
    )


def _sample(tape: Any, start: int, end: int) -> list[Check]:
    closes: dict[str, pd.Series] = {}

    def of(symbol: str, begin: int, until: int) -> pd.Series:
        if (begin, until) != (start, end):
            return minute_closes(tape, symbol, begin, until)
        if symbol not in closes:
            closes[symbol] = minute_closes(tape, symbol, start, end)
        return closes[symbol]

    checks: list[Check] = []
    for y, x in tape.truth.pairs:
        if tape.truth.breaks(y, x, 0, end):
            checks += parts.break_checks(tape.truth, y, x, of, end)
        else:
            planted = tape.truth.pair(y, x, end - 1)
            checks += parts.pair_checks(planted, of(y, start, end), of(x, start, end))
    return checks


def minute_closes(tape: Any, symbol: str, start_ms: int, end_ms: int) -> pd.Series:
    """Closes of one-minute candles made of the market's own trades, on their opens."""
    trades = tape.trades_between(symbol, start_ms, end_ms)
    candles = fold_ticks(
        np.zeros(len(trades), dtype=np.int64),
        trades.time_ms,
        trades.price,
        trades.quantity,
        MINUTE_MS,
    )
    return pd.Series(candles.close, pd.to_datetime(candles.open_ms, unit="ms", utc=True))


def _tallies(checks: Iterable[Check]) -> tuple[Tally, ...]:
    groups: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        if check.covered is not None:
            groups.setdefault((check.pair, check.what), []).append(check)
    return tuple(_tally(found) for found in groups.values())


def _tally(found: list[Check]) -> Tally:
    first, n = found[0], len(found)
    texts = {c.planted for c in found}
    planted = first.planted if len(texts) == 1 else "one a sample"
    right = sum(bool(c.covered) for c in found)
    expected = first.expected
    return Tally(first.pair, first.what, planted, n, right, expected, fewest_right(n, expected))


def fewest_right(n: int, expected: float) -> int:
    """At least so many of n are right, 99 times of 100."""
    from scipy.stats import binom

    return int(binom.ppf(_RARE, n, expected))


def _verdict(tallies: tuple[Tally, ...]) -> tuple[bool | None, str]:
    """Judged by all intervals together: how many miss, and how many should."""
    intervals = [t for t in tallies if t.expected == parts.CONFIDENCE]
    n = sum(t.samples for t in intervals)
    if not n:
        return None, "Nothing could be checked: the demo market is too young."
    misses = n - sum(t.right for t in intervals)
    most = n - fewest_right(n, parts.CONFIDENCE)
    wrong = [f"{t.what} of {t.pair}" for t in tallies if not t.is_usual]
    believed = misses <= most and not wrong
    text = (
        f"{misses} of {n} intervals miss what was planted ({percent(misses / n, 1)}). Intervals "
        f"of 95 % miss one in twenty by design: about {n * (1 - parts.CONFIDENCE):.0f} of {n} are "
        f"to be expected, and more than {most} once in a hundred times."
    )
    if believed:
        return True, f"{text} The estimates can be believed."
    if wrong:
        text += f" More often wrong than chance explains: {', '.join(wrong)}."
    return False, f"{text} Something is wrong: please report it."
