"""What is known of each symbol's price now: last print, both sides of the tape, mark price."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

STALE_MS = 5_000
"""A price older than this is not traded at."""


@dataclass(slots=True)
class Quote:
    """One symbol. Times are UTC epoch ms, prices quote per base, NaN where not known.

    ``bid`` and ``ask`` are the last prints of sellers and of buyers: the feed has no order book,
    and half of their distance is the estimate of half the spread.
    """

    price: float = math.nan
    time_ms: int = 0
    trade_id: int | None = None
    bid: float = math.nan
    ask: float = math.nan
    mark_price: float = math.nan
    mark_ms: int = 0


@dataclass(slots=True)
class Market:
    """Quotes by symbol, fed with prints in trade order."""

    stale_ms: int = STALE_MS
    quotes: dict[str, Quote] = field(default_factory=dict)

    def on_print(
        self,
        symbol: str,
        time_ms: int,
        price: float,
        trade_id: int | None = None,
        is_buyer_maker: bool | None = None,
    ) -> bool:
        """Take a print in; False where it is late (older than one seen already) and was left."""
        quote = self.quotes.get(symbol)
        if quote is None:
            quote = self.quotes[symbol] = Quote()
        elif is_late(quote, time_ms, trade_id):
            return False
        quote.price, quote.time_ms, quote.trade_id = price, time_ms, trade_id
        if is_buyer_maker is not None:
            if is_buyer_maker:
                quote.bid = price
            else:
                quote.ask = price
        return True

    def on_mark(self, symbol: str, time_ms: int, mark_price: float) -> None:
        """Take the exchange's mark price in."""
        quote = self.quotes.setdefault(symbol, Quote())
        if time_ms >= quote.mark_ms:
            quote.mark_price, quote.mark_ms = mark_price, time_ms

    def last(self, symbol: str) -> float:
        """Price of the last print; NaN where there was none."""
        quote = self.quotes.get(symbol)
        return math.nan if quote is None else quote.price

    def mark(self, symbol: str) -> float:
        """Mark price, or the last print's where there is no mark price as recent."""
        quote = self.quotes.get(symbol)
        if quote is None:
            return math.nan
        return quote.mark_price if self.has_mark(symbol) else quote.price

    def has_mark(self, symbol: str) -> bool:
        """Whether `mark` is the exchange's mark price and not the last print."""
        quote = self.quotes.get(symbol)
        return (
            quote is not None
            and not math.isnan(quote.mark_price)
            and quote.mark_ms >= quote.time_ms - self.stale_ms
        )

    def half_spread_bps(self, symbol: str) -> float | None:
        """Half the distance of the last prints of either side, in bps; None where not known."""
        quote = self.quotes.get(symbol)
        if quote is None or not quote.ask > 0 or not quote.bid > 0:
            return None
        return max(0.0, quote.ask - quote.bid) / (quote.ask + quote.bid) * 1e4

    def age_ms(self, symbol: str, now_ms: int) -> int | None:
        """How old the last print is; None where there was none."""
        quote = self.quotes.get(symbol)
        return None if quote is None or not quote.time_ms else now_ms - quote.time_ms

    def is_fresh(self, symbol: str, now_ms: int) -> bool:
        """Whether the last print is recent enough to trade at."""
        age = self.age_ms(symbol, now_ms)
        return age is not None and age <= self.stale_ms


def is_late(quote: Quote, time_ms: int, trade_id: int | None) -> bool:
    """Whether a print comes after one that was later on the tape (a hole being filled)."""
    if trade_id is not None and trade_id >= 0 and quote.trade_id is not None:
        return trade_id <= quote.trade_id
    return time_ms < quote.time_ms
