"""When a position may be opened: sessions, gaps, cointegration; and funding and finer candles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import BadInput
from trading.candle_pair import Array, PairCandles, epoch_ms, frozen_array

DAY_MS = 86_400_000
Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Session:
    """UTC hours and weekdays in which positions may be opened (they are closed at any time).

    ``start_hour`` to ``end_hour`` is half-open and may run over midnight; equal hours mean all
    day. Monday is 0.
    """

    start_hour: float = 0.0
    end_hour: float = 24.0
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)

    def __post_init__(self) -> None:
        for hour in (self.start_hour, self.end_hour):
            if not 0 <= hour <= 24:
                raise BadInput(f"Session hours are from 0 to 24 UTC, found {hour}.")
        if not self.weekdays or not set(self.weekdays) <= set(range(7)):
            raise BadInput(f"Weekdays are from 0 (Monday) to 6, found {self.weekdays}.")

    def allows(self, time_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each time is inside."""
        hour = (time_ms % DAY_MS) / 3_600_000
        # 1970-01-01 was a Thursday.
        day = np.isin((time_ms // DAY_MS + 3) % 7, self.weekdays)
        start, end = self.start_hour, self.end_hour
        if start < end:
            inside = (hour >= start) & (hour < end)
        else:
            inside = (hour >= start) | (hour < end) | (start == end)
        return np.asarray(inside & day)


@dataclass(frozen=True, slots=True)
class CointegrationFilter:
    """Open only while a rolling Engle–Granger test rejects "no cointegration".

    The test runs every ``every`` candles on the last ``window`` and holds until the next.
    """

    window: int = 500
    every: int = 60
    max_pvalue: float = 0.05

    def __post_init__(self) -> None:
        if self.window < 30 or self.every < 1:
            raise BadInput(
                f"The rolling test takes at least 30 candles, every 1 or more; found "
                f"{self.window}, {self.every}."
            )
        if not 0 < self.max_pvalue <= 1:
            raise BadInput(f"The p-value limit is between 0 and 1, found {self.max_pvalue}.")


def rolling_pvalues(candles: PairCandles, plan: CointegrationFilter) -> Array:
    """p-value known at each close; NaN before the first window is full or where it has none."""
    from quant.cointegration import engle_granger

    n = len(candles)
    out = np.full(n, np.nan)
    for end in range(plan.window, n + 1, plan.every):
        y, x = candles.close1[end - plan.window : end], candles.close2[end - plan.window : end]
        try:
            value = float(engle_granger(y, x, autolag=None, max_lag=1).pvalue)
        except BadInput:
            value = float("nan")
        out[end - 1 : end - 1 + plan.every] = value
    return out


def contiguous(candles: PairCandles) -> NDArray[np.bool_]:
    """Whether each candle opens right where the one before closed; the first does."""
    out = np.ones(len(candles), bool)
    out[1:] = np.diff(candles.time_ms) == candles.timeframe_ms
    return out


def gap_free(candles: PairCandles, gaps: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
    """Whether each candle is clear of the gap ledger's half-open spans (UTC epoch ms)."""
    clear = np.ones(len(candles), bool)
    ends = candles.time_ms + candles.timeframe_ms
    for start, end in gaps:
        clear &= (ends <= start) | (candles.time_ms >= end)
    return clear


class Funding(NamedTuple):
    """Rate charged at each candle's open, (n,) float64 a leg; 0 where none."""

    rate1: Array
    rate2: Array


def funding_at_opens(
    candles: PairCandles, funding1: pd.Series | float | None, funding2: pd.Series | float | None
) -> Funding:
    """Funding rates laid on the candles.

    A rate at time T is charged at the first open at or after T, to what was held before the
    fills of that open. A number is a set rate at 00:00, 08:00 and 16:00 UTC.
    """
    return Funding(_laid(candles, funding1), _laid(candles, funding2))


def _laid(candles: PairCandles, funding: pd.Series | float | None) -> Array:
    rates = np.zeros(len(candles))
    if funding is None:
        return frozen_array(rates)
    if isinstance(funding, pd.Series):
        times = epoch_ms(funding.index).to_numpy()
        values = funding.to_numpy(np.float64)
    else:
        first = -(-int(candles.time_ms[0]) // (DAY_MS // 3)) * (DAY_MS // 3)
        times = np.arange(first, int(candles.time_ms[-1]) + 1, DAY_MS // 3)
        values = np.full(times.size, float(funding))
    if not np.isfinite(values).all():
        raise BadInput("A funding rate is a finite fraction; found NaN or infinity.")
    inside = (times > candles.time_ms[0]) & (times <= candles.time_ms[-1])
    np.add.at(rates, np.searchsorted(candles.time_ms, times[inside]), values[inside])
    return frozen_array(rates)


class Finer(NamedTuple):
    """Finer candles of both legs: those of candle i are ``start[i] … start[i + 1] − 1``."""

    start: NDArray[np.int64]
    open1: Array
    open2: Array
    close1: Array
    close2: Array


def finer_of(candles: PairCandles, fine: PairCandles | None) -> Finer:
    """Finer candles sorted into the coarse ones; empty where there are none.

    Raises
    ------
    BadInput
        The finer candles are not finer.
    """
    n = len(candles)
    if fine is None:
        none = frozen_array(np.empty(0))
        return Finer(np.zeros(n + 1, np.int64), none, none, none, none)
    if fine.timeframe_ms >= candles.timeframe_ms:
        raise BadInput(
            f"Finer candles are shorter than {candles.timeframe_ms} ms, "
            f"found {fine.timeframe_ms} ms."
        )
    if len(fine) < 1:
        raise BadInput("Judging stops on finer candles takes at least one of them; there is none.")
    edges = np.append(candles.time_ms, candles.time_ms[-1] + candles.timeframe_ms)
    start = np.searchsorted(fine.time_ms, edges).astype(np.int64)
    return Finer(start, fine.open1, fine.open2, fine.close1, fine.close2)


def entry_mask(
    candles: PairCandles,
    session: Session | None,
    gaps: Sequence[tuple[int, int]],
    pvalues: Array | None,
    max_pvalue: float,
) -> Mask:
    """1 where a position may be opened on the candle's close."""
    mask = gap_free(candles, gaps)
    if session is not None:
        mask &= session.allows(candles.time_ms + candles.timeframe_ms)
    if pvalues is not None:
        mask &= pvalues <= max_pvalue
    return mask.astype(np.uint8)
