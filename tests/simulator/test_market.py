"""The tape behind a clock that a test moves by hand."""

from __future__ import annotations

import json

import pytest

from simulator import Clock, PlantedMarket, PlantedTape

NOON = 1_781_524_800_000
STREAM = "btcusdt@aggTrade"


class Hand:
    """A clock's hand."""

    def __init__(self) -> None:
        self.ms = 0.0

    def __call__(self) -> float:
        return self.ms


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def market(hand: Hand) -> PlantedMarket:
    return PlantedMarket(PlantedTape(), Clock(now=hand, start_ms=NOON))


def test_steps_of_any_size_tell_every_trade_once(market, hand):
    told = []
    for step in (1, 20, 3, 0, 500, 7, 10_000, 25_000, 1, 1):
        hand.ms += step
        told += [json.loads(event.data)["a"] for event in market.due({STREAM})]
    assert told == list(range(told[0], told[0] + len(told)))
    assert len(told) > 100


def test_no_event_is_told_before_its_own_time(market, hand):
    for _ in range(500):
        hand.ms += 20
        for event in market.due({STREAM, "ethusdt@aggTrade", "btcusdt@markPrice@1s"}):
            assert json.loads(event.data)["E"] <= market.now_ms()


def test_events_of_several_streams_come_in_order_of_time(market, hand):
    hand.ms += 20_000
    times = [event.time_ms for event in market.due({STREAM, "ethusdt@aggTrade"})]
    assert times == sorted(times)
    assert len(times) > 100


def test_what_happened_while_the_machine_slept_is_not_told(market, hand):
    hand.ms += 8 * 3_600_000
    events = [json.loads(event.data) for event in market.due({STREAM})]
    assert events
    assert events[0]["T"] >= market.now_ms() - 31_000


def test_a_clock_that_steps_back_tells_nothing_twice(market, hand):
    hand.ms += 5_000
    assert market.due({STREAM})
    hand.ms -= 3_000
    assert market.due({STREAM}) == []


def test_a_clock_runs_at_its_speed(hand):
    clock = Clock(now=hand, speed=60.0, start_ms=NOON)
    hand.ms += 1_000
    assert clock.now_ms() == NOON + 60_000
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            Clock(speed=speed)
