"""An exchange look-alike on loopback, for a plane, a restricted country, and tests.

``Exchange`` speaks the very protocol of the futures exchange, WebSocket and REST on one port. It
plays a planted market whose truth is known, or a recording. Everything is documented in
``docs/simulator.md``; ``python -m simulator --help`` starts it alone.
"""

from __future__ import annotations

from simulator.market import Clock, PlantedMarket
from simulator.prices import EPOCH_MS, PlantedTape
from simulator.replay import Recording, Replay
from simulator.server import Exchange
from simulator.truth import PairTruth, Truth

__all__ = [
    "EPOCH_MS",
    "Clock",
    "Exchange",
    "PairTruth",
    "PlantedMarket",
    "PlantedTape",
    "Recording",
    "Replay",
    "Truth",
]
