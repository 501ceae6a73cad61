"""What stands around a tab: which changes need a run of the page, and which do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime import FeedStatus
from tabs import page_parts
from views.feed import age, age_of_result

LIVE = FeedStatus("demo", True, True, "holder", "live", "Receiving.", ticks=10, ticks_per_s=3.0)


def structure(status: FeedStatus, newest_alert: int = 3, fresh: bool = True):
    return page_parts.structure(status, newest_alert=newest_alert, fresh=fresh)


@pytest.mark.parametrize(
    "change",
    [{"ticks": 11}, {"ticks_per_s": 4.0}, {"lag_ms": 12.0}, {"sentence": "Receiving, 2 symbols."}],
)
def test_numbers_of_a_feed_that_is_live_need_no_run(change):
    assert structure(replace(LIVE, **change)) == structure(LIVE)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "silent"},
        {"running": False},
        {"role": "viewer"},
        {"source": "live"},
        {"error": "The disk is full."},
        {"unknown_symbols": ("nousdt",)},
        {"backfill_fraction": 0.5, "backfill_text": "Half is there."},
    ],
)
def test_what_is_said_around_the_tabs_needs_a_run(change):
    assert structure(replace(LIVE, **change)) != structure(LIVE)


def test_why_a_feed_is_not_live_needs_a_run_when_it_changes():
    silent = replace(LIVE, state="silent", sentence="Nothing for 10 s.")
    assert structure(replace(silent, sentence="Nothing for 20 s.")) != structure(silent)


def test_a_new_alert_and_data_gone_stale_need_a_run():
    assert structure(LIVE, newest_alert=4) != structure(LIVE)
    assert structure(LIVE, fresh=False) != structure(LIVE)


def test_the_version_and_the_age_are_shown_as_words():
    part = page_parts.age_part(1234, "stale: last trade 2 min ago", fresh=False)
    texts = [card["items"][0]["text"] for card in part["cards"]]
    assert texts == ["data version 1,234", "stale: last trade 2 min ago"]
    assert part["cards"][1]["items"][0]["tone"] == "warn"


def test_candles_without_a_trade_have_a_version_and_no_age():
    text, fresh = age(1_000, None, None)
    (card,) = page_parts.age_part(7, text, fresh=fresh)["cards"]
    assert card["items"][0]["text"] == "data version 7"
    assert fresh
    assert age_of_result(None, None) == ""


@pytest.mark.parametrize(
    ("behind_ms", "text", "fresh"),
    [
        (400, "400 ms old", True),
        (-5_000, "0 ms old", True),
        (-5_001, "clocks differ: last trade 5.0 s ahead, 2001-09-09 01:46:45 UTC", False),
        (-7_200_000, "clocks differ: last trade 2.0 h ahead, 2001-09-09 03:46:40 UTC", False),
    ],
)
def test_a_trade_from_ahead_of_this_clock_is_not_called_fresh(behind_ms, text, fresh):
    now_ms = 1_000_000_000_000  # 2001-09-09T01:46:40Z, the billennium
    assert age(now_ms, now_ms - behind_ms, None) == (text, fresh)


def test_the_feeds_state_is_shown_without_a_database_too():
    lines = page_parts.status_part(None, LIVE)["cards"][0]["items"]
    assert lines[0]["runs"] == [["Feed ", "muted"], ["live", "strong"]]
    assert "Receiving." in str(lines)
