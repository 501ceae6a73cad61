"""What the first page shows, from one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storage.snapshot import Snapshot
from views.glance import Glance, read_glance
from views.market import Market, read_market
from views.pair import PairOptions, PairState, pair_figure, read_pair

SMALL = 60


@dataclass(frozen=True, slots=True)
class DashboardView:
    """Tiles, the pair and its chart, the newest closes of each symbol, what is open on the desk."""

    version: int
    market: Market
    pair: PairState
    pair_figure: dict[str, Any] | None
    small_charts: dict[str, tuple[float, ...]]
    glance: Glance

    @property
    def last_ms(self) -> int | None:
        """Time of the newest print of any symbol."""
        return max((t.at_ms for t in self.market.tiles if t.at_ms is not None), default=None)


def read_dashboard(
    snapshot: Snapshot, symbols: tuple[str, ...], options: PairOptions, now_ms: int
) -> DashboardView:
    """The dashboard of one snapshot."""
    instruments = snapshot.all_of("instrument")
    pair = read_pair(snapshot, options, now_ms)
    small: dict[str, tuple[float, ...]] = {}
    for symbol in symbols:
        candles = snapshot.candle_columns(symbol, options.timeframe, limit=SMALL)
        if len(candles) > 1:
            small[symbol] = tuple(candles.close.tolist())
    return DashboardView(
        version=snapshot.version,
        market=read_market(snapshot, symbols, now_ms, instruments),
        pair=pair,
        pair_figure=pair_figure(pair),
        small_charts=small,
        glance=read_glance(snapshot),
    )
