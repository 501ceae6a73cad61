"""The scanner: every pair of the stored symbols, ranked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analytics import Analytics
from candles import timeframe_ms
from config import Config
from quant.universe import MIN_ROWS
from storage.snapshot import Snapshot
from views import lacking

SHOWN = (
    "rank", "price1", "price2", "screened", "found", "q_value", "p_value", "correlation",
    "hedge_ratio", "hedge_instability", "half_life", "hurst", "spread_vol_bps",
    "expected_reversion_bps", "cost_bps", "cost_to_edge", "net_edge_bps", "volume", "aic_p_value",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What is scanned: the newest ``limit`` closed candles, and the screen."""

    timeframe: str
    limit: int
    fdr: float
    min_turnover: float
    entry_z: float


@dataclass(frozen=True, slots=True)
class Universe:
    """Closes and turnover of every symbol with stored candles, on common times."""

    version: int
    prices: pd.DataFrame
    turnover: pd.DataFrame
    last_ms: int | None
    coming: lacking.Coming


def read_universe(snapshot: Snapshot, options: ScanOptions, now_ms: int) -> Universe:
    """Closed candles of every symbol there is."""
    symbols = snapshot.candle_symbols()
    frame = snapshot.candles(symbols, options.timeframe, limit=options.limit)
    length = pd.Timedelta(milliseconds=timeframe_ms(options.timeframe))
    closed = frame[frame["timestamp"] + length <= pd.Timestamp(now_ms, unit="ms", tz="UTC")]
    closed = closed.assign(turnover=closed["close"] * closed["volume"])
    wide = closed.pivot(index="timestamp", columns="symbol", values=["close", "turnover"])
    last = [snapshot.last_print(s)[1] for s in symbols]
    # A candle without a trade has the close of the one before it, and no turnover.
    prices = wide["close"].ffill() if len(closed) else pd.DataFrame()
    turnover = wide["turnover"].fillna(0.0) if len(closed) else pd.DataFrame()
    return Universe(
        snapshot.version,
        prices,
        turnover,
        max((t for t in last if t is not None), default=None),
        lacking.read_coming(snapshot, now_ms),
    )


def too_short(universe: Universe, options: ScanOptions) -> str | None:
    """Why no two symbols can be scanned yet, None where they can."""
    second_longest = int(universe.prices.count().nlargest(2).iloc[-1])
    if second_longest >= MIN_ROWS:
        return None
    return lacking.too_few(second_longest, MIN_ROWS, options.timeframe, universe.coming)


@dataclass(frozen=True)
class ScanView:
    """A scan's result (`Analytics.scan_pairs`), and the data that it was made on."""

    version: int
    last_ms: int | None
    result: Any


def run_scan(
    universe: Universe,
    options: ScanOptions,
    progress: Callable[[float, str], None],
    cancelled: Callable[[], bool],
) -> ScanView:
    """Test every pair of the universe.

    Raises
    ------
    BadInput, InsufficientData
        Fewer than two usable symbols or 100 common candles.
    """

    def told(done: int, total: int) -> None:
        progress(done / max(total, 1), f"{done:,} of {total:,} pairs")

    result = Analytics.scan_pairs(
        universe.prices,
        volumes=universe.turnover,
        min_volume=options.min_turnover,
        costs_bps=Config.TAKER_FEE_BPS + Config.SLIPPAGE_BPS,
        entry_z=options.entry_z,
        fdr=options.fdr,
        progress=told,
        cancel=cancelled,
    )
    return ScanView(universe.version, universe.last_ms, result)


def shown_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns for the page, symbols as people write them."""
    table = frame[[c for c in SHOWN if c in frame]].copy()
    for column in ("price1", "price2"):
        table[column] = table[column].astype(str).str.upper()
    return table
