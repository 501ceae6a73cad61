"""Too few candles: the sentence is true whether they come from the market, the past, or not."""

from __future__ import annotations

import pytest

from collecting.repair import Progress
from database import Database
from errors import BadInput, InsufficientData
from storage.lease import EXPIRY_MS, FEED
from views import lacking
from views.lacking import Coming, Source

# 2025-10-09 09:00:30 UTC, in the middle of a minute.
NOW_MS = 1_760_000_430_000


def collecting(database, repair):
    """As a process that collects and says what its repair does."""
    assert database.acquire_lease(FEED, "holder", "process 1")
    database.put("health", FEED, {"repair": repair})


def repair_of(done, left, planned=False):
    progress = Progress(lambda _: 0.0, done=done, left=left)
    return {"fraction": progress.fraction, "planned": planned}


def coming(database):
    with database.snapshot() as snapshot:
        return lacking.read_coming(snapshot, NOW_MS)


@pytest.mark.parametrize(
    ("repair", "source"),
    [
        (repair_of(0, 0), Source.MARKET),
        (repair_of(0, 0, planned=True), Source.PAST),
        (repair_of(0, 500), Source.PAST),
        (repair_of(300, 200), Source.PAST),
        (None, Source.MARKET),
    ],
)
def test_candles_come_from_the_past_only_while_it_is_fetched(tmp_path, repair, source):
    with Database(tmp_path / "t.db") as database:
        collecting(database, repair)
        assert coming(database) == Coming(NOW_MS, source)


def test_without_anybody_who_collects_they_come_from_nowhere(tmp_path, monkeypatch):
    with Database(tmp_path / "t.db") as database:
        assert coming(database).source is Source.NOBODY
        collecting(database, repair_of(300, 200))
        assert coming(database).source is Source.PAST
        with database.snapshot() as snapshot:
            later = snapshot.now_ms() + EXPIRY_MS + 1
            monkeypatch.setattr(snapshot, "_clock", lambda _: later)
            silent = lacking.read_coming(snapshot, NOW_MS)
        assert silent.source is Source.NOBODY, "its process was killed"
        database.release_lease(FEED, "holder")
        assert coming(database).source is Source.NOBODY


def test_the_candle_that_is_forming_is_the_first_of_those_that_are_missing():
    said = lacking.too_few(28, 30, "1min", Coming(NOW_MS, Source.MARKET))
    assert said == (
        "2 more closed candles of 1min are needed (28 of 30); with trades in each they will be "
        "there at 2025-10-09 09:02:00 UTC."
    )
    later = Coming(NOW_MS + 29_999, Source.MARKET)
    assert lacking.too_few(28, 30, "1min", later) == said, "it holds until the candle closes"


def test_while_the_past_is_fetched_the_time_is_not_said_to_be_the_only_way():
    said = lacking.too_few(29, 30, "1min", Coming(NOW_MS, Source.PAST))
    assert said.startswith("1 more closed candle of 1min is needed (29 of 30); the past is being")
    assert "may bring them sooner; otherwise, with trades in each," in said
    brief = lacking.too_few_briefly(5, 21, "1min", Coming(NOW_MS, Source.PAST))
    assert brief == "16 more closed candles of 1min are needed, the past is being fetched"


def test_with_the_feed_at_rest_it_has_to_be_started_first():
    said = lacking.too_few(5, 30, "1min", Coming(NOW_MS, Source.NOBODY))
    assert "the feed is at rest: started now, with trades in each, they will be there at" in said
    brief = lacking.too_few_briefly(5, 21, "1min", Coming(NOW_MS, Source.MARKET))
    assert brief.endswith("needed, there at 09:16:00 UTC")


def test_a_complaint_of_something_else_stays_as_it_is():
    other, few = BadInput("No."), InsufficientData("A test", 60, 40)
    at = lacking.after(1_760_000_400_000)
    assert lacking.why(other, "5min", at) == "No."
    said = lacking.why(few, "5min", at)
    assert said.startswith("A test needs at least 60 observations, found 40. 20 more closed candle")
    assert said.endswith("with trades in each they will be there by 2025-10-09 10:40:00 UTC.")
    assert str(lacking.with_time(few, "5min", at)) == said
