"""One making for all who follow, and each browser gets what it needs of it."""

from __future__ import annotations

import threading
import time
import traceback

import numpy as np
import pytest

from errors import DatabaseError, RateLimited
from live.feed import Feed, Feeds, Made, name_of
from tests.live.messages import apply, read


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Market:
    """Makes a chart whose last point moves, and a text."""

    def __init__(self) -> None:
        self.made = 0
        self.structure = "as it was"

    def __call__(self) -> Made:
        self.made += 1
        y = np.arange(100.0)
        y[-1] = 1000 + self.made
        parts = {"chart": {"y": y, "layout": {"title": "t"}}, "text": {"words": str(self.made)}}
        return Made(self.made, parts, ("around", self.structure))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def at_once(count, ask, go):
    """Ask in so many threads, all of which are waiting when it begins."""
    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()


def test_all_who_ask_at_once_get_one_making(clock):
    made, go = [], threading.Event()

    def slow() -> Made:
        go.wait(5)
        made.append(1)
        time.sleep(0.05)
        return Made(None, {"a": {"words": "x"}}, ((), ()))

    feed, got = Feed(slow, 1.0, clock), []
    at_once(50, lambda: got.append(feed.latest()), go)
    assert len(made) == 1
    assert {id(message) for message in got} == {id(got[0])}
    answers = {id(feed.answer(message, 0)) for message in got}
    assert len(answers) == 1, "and the bytes are made once as well"


def test_a_message_is_made_anew_when_it_is_no_longer_fresh(clock):
    market = Market()
    feed = Feed(market, 0.25, clock)
    assert [feed.latest().seq, feed.latest().seq] == [1, 1]
    clock.now_s = 0.3
    assert (feed.latest().seq, market.made) == (2, 2)


def test_a_browser_that_has_the_message_before_gets_what_changed(clock):
    feed = Feed(Market(), 0.25, clock)
    first = feed.latest()
    has = apply(feed.answer(first, 0))
    clock.now_s = 1.0
    second = feed.latest()
    news = feed.answer(second, first.seq)
    assert read(news)[0]["from"] == first.seq
    assert len(news) < len(feed.answer(second, 0)) / 2
    has = apply(news, has)
    assert has["text"]["fields"]["words"] == "2"
    assert has["chart"]["columns"][0][-1] == 1002


@pytest.mark.parametrize("have", [0, 1, 999])
def test_a_browser_that_missed_a_message_gets_the_whole(clock, have):
    feed = Feed(Market(), 0.25, clock)
    for n in range(20):  # so many that the first is not kept any more
        clock.now_s = n * 1.0
        message = feed.latest()
    answer = feed.answer(message, have)
    assert read(answer)[0]["from"] == 0
    assert apply(answer)["chart"]["columns"][0][-1] == 1020


def test_each_of_several_behind_catches_up_by_its_own_changes(clock):
    feed, had = Feed(Market(), 0.25, clock), {}
    for n in range(5):
        clock.now_s = n * 1.0
        message = feed.latest()
        had[message.seq] = apply(feed.answer(message, 0))
    for seq, has in had.items():
        caught_up = apply(feed.answer(message, seq), has)
        np.testing.assert_array_equal(
            caught_up["chart"]["columns"][0], had[5]["chart"]["columns"][0]
        )
        assert caught_up["text"] == had[5]["text"]


def test_the_structure_travels_with_every_message(clock):
    market = Market()
    feed = Feed(market, 0.25, clock)
    before = read(feed.answer(feed.latest(), 0))[0]["structure"]
    market.structure, clock.now_s = "another", 1.0
    after = read(feed.answer(feed.latest(), 1))[0]["structure"]
    assert before == name_of(("around", "as it was"))
    assert after == name_of(("around", "another"))


def test_a_making_that_fails_is_tried_again(clock):
    market, broken = Market(), [True]

    def make() -> Made:
        if broken:
            raise DatabaseError("The disk is full.")
        return market()

    feed = Feed(make, 0.25, clock)
    with pytest.raises(DatabaseError):
        feed.latest()
    broken.clear()
    clock.now_s = 0.3
    assert feed.latest().seq == 1


def test_who_waited_for_a_making_that_fails_does_not_repeat_it(clock):
    asked, failed, go = [], [], threading.Event()

    def slow() -> Made:
        asked.append(1)
        go.wait(5)
        time.sleep(0.1)
        raise RateLimited("The exchange asks to wait.", 7.0)

    feed = Feed(slow, 0.25, clock)

    def ask() -> None:
        try:
            feed.latest()
        except RateLimited as error:
            failed.append(error)

    at_once(12, ask, go)
    assert len(asked) == 1
    assert [(str(e), e.retry_after_s) for e in failed] == [("The exchange asks to wait.", 7.0)] * 12
    depths = [len(traceback.extract_tb(error.__traceback__)) for error in failed]
    assert max(depths) <= 4, "from ask to slow: each has a traceback of its own"
    clock.now_s = 0.3
    ask()
    assert len(asked) == 2, "later it is tried again"


def test_sessions_with_the_same_settings_share_a_feed_and_others_do_not():
    feeds = Feeds(8)
    first = feeds.follow(("pair", "ols"), Market(), 1.0)
    assert feeds.follow(("pair", "ols"), Market(), 1.0) is first
    other = feeds.follow(("pair", "kalman"), Market(), 1.0)
    assert other is not first
    assert feeds.find(first.token) is first
    assert feeds.find(other.token) is other
    assert feeds.find("guessed") is None


def test_the_feed_asked_for_least_recently_goes_first_and_its_token_with_it():
    feeds = Feeds(2)
    a, b = (feeds.follow(name, Market(), 1.0) for name in "ab")
    feeds.find(a.token)
    feeds.follow("c", Market(), 1.0)
    assert feeds.find(a.token) is a
    assert feeds.find(b.token) is None
    feeds.clear()
    assert feeds.find(a.token) is None


def test_a_feed_that_nobody_asks_for_any_more_goes(clock):
    feeds = Feeds(8, clock)
    left, kept = (feeds.follow(name, Market(), 1.0) for name in ("left", "kept"))
    for minute in range(1, 6):
        clock.now_s = minute * 60.0
        feeds.find(kept.token)
        kept.latest()
    feeds.follow("new", Market(), 1.0)
    assert feeds.find(left.token) is None
    assert feeds.find(kept.token) is kept


def test_what_did_not_change_is_kept_once_however_many_messages_there_are(clock):
    still = np.arange(1000.0)
    feed = Feed(lambda: Made(None, {"c": {"y": still.copy()}}, ((), ())), 0.25, clock)
    first = feed.latest()
    clock.now_s = 1.0
    assert feed.latest().parts["c"].columns[0] is first.parts["c"].columns[0]
