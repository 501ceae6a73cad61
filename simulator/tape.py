"""Trades as columns, and what every market of the simulator can be asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.symbols import SymbolSpec

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Trades:
    """Aggregate trades of one symbol, ids ascending; every column has shape (n,).

    Parameters
    ----------
    spec : SymbolSpec
        How the symbol is quoted.
    id : int64
        Ids, contiguous.
    time_ms : int64
        Exchange time, UTC epoch ms; never decreases.
    price_ticks, quantity_steps : int64
        Price and quantity in whole ticks and steps, so that nothing is rounded.
    is_buyer_maker : bool
        True where the taker sold.
    first_id, last_id : int64
        Ids of the single trades inside; holes between rows are by design.
    lag_ms : int64
        How much later than `time_ms` the event was sent.
    """

    spec: SymbolSpec
    id: Ints
    time_ms: Ints
    price_ticks: Ints
    quantity_steps: Ints
    is_buyer_maker: NDArray[np.bool_]
    first_id: Ints
    last_id: Ints
    lag_ms: Ints

    def __len__(self) -> int:
        return len(self.id)

    @property
    def price(self) -> NDArray[np.float64]:
        """Prices, quote per base: the very floats that the wire's texts parse to."""
        return self.price_ticks / 10.0**self.spec.price_decimals

    @property
    def quantity(self) -> NDArray[np.float64]:
        """Sizes in base units: the very floats that the wire's texts parse to."""
        return self.quantity_steps / 10.0**self.spec.quantity_decimals

    def part(self, start: int, stop: int) -> Trades:
        """Rows `start` to `stop` (exclusive), as views."""
        columns = {name: getattr(self, name)[start:stop] for name in _COLUMNS}
        return Trades(spec=self.spec, **columns)

    @staticmethod
    def join(spec: SymbolSpec, parts: list[Trades]) -> Trades:
        """The parts one after another; no rows where there are no parts."""
        if len(parts) == 1:
            return parts[0]
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            if parts
            else np.empty(0, bool if name == "is_buyer_maker" else np.int64)
            for name in _COLUMNS
        }
        return Trades(spec=spec, **columns)


_COLUMNS = tuple(field.name for field in fields(Trades) if field.name != "spec")


class Event(NamedTuple):
    """One message of a stream: when it is sent, where, and the JSON of its ``data``."""

    time_ms: int
    stream: str
    data: bytes


class Tape(Protocol):
    """The truth, id by id."""

    @property
    def specs(self) -> Mapping[str, SymbolSpec]:
        """How each symbol is quoted."""

    def first_id(self, symbol: str) -> int:
        """Id of the symbol's first trade."""

    def id_at(self, symbol: str, time_ms: int) -> int:
        """Id of the first trade at or after `time_ms`."""

    def trades(self, symbol: str, from_id: int, to_id: int) -> Trades:
        """Trades with ``from_id <= id < to_id``."""


class Market(Protocol):
    """What the exchange plays."""

    @property
    def kind(self) -> str:
        """Event kind that carries the trades: ``aggTrade``, ``trade``, or ``both``."""

    @property
    def tape(self) -> Tape:
        """The truth, id by id."""

    def now_ms(self) -> int:
        """The market's clock, UTC epoch ms."""

    def due(self, streams: Collection[str]) -> list[Event]:
        """What happened on `streams` since the last call, in order of time."""

    def mid_prices(self, symbol: str, times_ms: Ints) -> NDArray[np.float64]:
        """Prices between bid and ask at `times_ms` (ascending)."""
