"""The writer waits for a batch or for its interval, and begins at once where that is urgent."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from binance import Parsed
from collecting.intake import Intake
from database import Database
from ticks import TickBatch


@pytest.fixture
def intake(db: Database) -> Iterator[Intake]:
    """A writer that would wait a minute for a thousand ticks."""
    made = Intake(db, "aggTrade", bound=10_000, batch_size=1_000, interval_s=60.0)
    made.start()
    yield made
    made.stop()


def one(trade_id: int, price: float) -> Parsed:
    row = (["btcusdt"], [1_790_000_000_000 + trade_id], [price], [1.0], [trade_id], [False])
    return Parsed(TickBatch("aggTrade", *row))


def test_an_urgent_print_has_everything_written_at_once(intake: Intake) -> None:
    stored: list[int] = []
    written = threading.Event()

    def note(batch: TickBatch) -> None:
        stored.extend(batch.trade_id)
        written.set()

    intake.on_stored.append(note)
    intake.is_urgent = lambda batch: max(batch.price) > 110.0
    assert intake.put(one(1, 100.0), 1.0)
    assert not written.wait(0.3)
    assert intake.put(one(2, 111.0), 1.0)
    assert written.wait(5.0)
    assert stored == [1, 2]
    written.clear()
    assert intake.put(one(3, 100.0), 1.0)
    assert not written.wait(0.3)  # the hurry was for that once
    assert intake.depth == 1


def test_what_is_no_trade_is_never_asked_about(intake: Intake) -> None:
    asked: list[int] = []

    def ask(batch: TickBatch) -> bool:
        asked.append(len(batch))
        return False

    intake.is_urgent = ask
    assert intake.put(Parsed(TickBatch("aggTrade")), 1.0)
    assert asked == []
