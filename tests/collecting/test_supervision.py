"""Waiting, watching and sharing out: decided without a clock, so a day passes in no time."""

from __future__ import annotations

import random
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from collecting.supervision import (
    FATAL_S,
    Deadlines,
    Pacer,
    Verdict,
    Watchdog,
    backoff,
    fell_silent,
    percentile,
    shards,
    wait_after,
)

DEADLINES = Deadlines()


@given(st.integers())
def test_backoff_grows_to_its_cap_with_jitter_and_never_ends(seed: int) -> None:
    waits = list(islice(backoff(random.Random(seed), first_s=0.5, cap_s=60.0), 200))
    ceilings = [min(60.0, 0.5 * 2**i) for i in range(200)]
    assert all(c / 2 <= w <= c for w, c in zip(waits, ceilings, strict=True))
    assert len(set(waits[20:])) > 100


def test_backoff_is_a_function_of_its_seed() -> None:
    one, two = (list(islice(backoff(random.Random(3)), 9)) for _ in range(2))
    assert one == two


def test_what_the_exchange_asks_for_is_waited_for() -> None:
    assert wait_after(iter([2.0]), retryable=True, retry_after_s=30.0) == 30.0
    assert wait_after(iter([2.0]), retryable=True, retry_after_s=1.0) == 2.0
    assert wait_after(iter([2.0]), retryable=True) == 2.0


def test_after_a_fatal_cause_the_wait_is_long() -> None:
    assert wait_after(iter([2.0]), retryable=False) == FATAL_S + 2.0


def test_a_dead_connection_is_found_within_thirty_seconds_and_after_a_question() -> None:
    dog = Watchdog(DEADLINES, 0.0, DEADLINES.quiet_s)
    dog.received(5.0, trades=True, in_frame=False)
    now, asked = 5.0, False
    while dog.verdict(now) is not Verdict.DEAD:
        if dog.verdict(now) is Verdict.PROBE:
            assert not asked
            dog.probed(now)
            asked = True
        now += 0.25
    assert asked
    assert now - 5.0 <= 30.0


def test_a_stall_in_a_frame_is_found_within_thirty_seconds_without_asking() -> None:
    dog = Watchdog(DEADLINES, 0.0, DEADLINES.quiet_s)
    dog.received(5.0, trades=True, in_frame=True)
    assert dog.verdict(5.0 + DEADLINES.mid_frame_s - 0.1) is not Verdict.STALLED
    assert dog.verdict(5.0 + DEADLINES.mid_frame_s) is Verdict.STALLED
    assert DEADLINES.mid_frame_s < 30


def test_a_quiet_market_that_answers_is_not_taken_for_dead() -> None:
    dog = Watchdog(DEADLINES, 0.0, 1e9)
    now = 0.0
    for _ in range(2000):
        now += 0.25
        verdict = dog.verdict(now)
        assert verdict in (Verdict.FINE, Verdict.PROBE)
        if verdict is Verdict.PROBE:
            dog.probed(now)
            dog.received(now + 0.1, trades=False, in_frame=False)


def test_answers_without_trades_ask_for_a_renewal_in_the_end() -> None:
    dog = Watchdog(DEADLINES, 0.0, 60.0)
    dog.received(59.0, trades=False, in_frame=False)
    assert dog.verdict(59.5) is Verdict.FINE
    assert dog.verdict(60.0) is Verdict.QUIET


def test_a_busy_stream_is_missed_sooner_than_a_rare_one() -> None:
    assert fell_silent(age_s=100.0, messages=1000, silent_s=60.0, quiet_s=60.0)
    assert not fell_silent(age_s=1000.0, messages=10, silent_s=60.0, quiet_s=60.0)
    assert fell_silent(age_s=1000.0, messages=10, silent_s=3000.0, quiet_s=60.0)


@given(st.lists(st.floats(0.0, 0.4), min_size=1, max_size=60))
def test_no_second_ever_holds_more_than_five_control_messages(pauses: list[float]) -> None:
    pacer, now, sent = Pacer(), 0.0, []
    for pause in pauses:
        now += pause
        now += pacer.wait_s(now)
        assert pacer.wait_s(now) <= 1e-9
        pacer.sent(now)
        sent.append(now)
    for at in sent:
        assert sum(at <= other < at + 0.999 for other in sent) <= 5


_names = st.lists(st.integers(0, 400).map("s{}".format), max_size=80, unique=True)


@given(_names, st.lists(_names, max_size=6), st.integers(1, 30))
def test_every_stream_has_one_place_and_keeps_the_one_it_had(
    streams: list[str], before: list[list[str]], limit: int
) -> None:
    seen: set[str] = set()
    places = []
    for names in before:
        places.append([n for n in names[:limit] if n not in seen])
        seen.update(names[:limit])
    after = shards(streams, places, limit)
    assert sorted(s for shard in after for s in shard) == sorted(streams)
    assert all(len(shard) <= limit for shard in after)
    assert len(after) >= len(places)
    for i, place in enumerate(places):
        assert [s for s in place if s in streams] == after[i][: sum(s in streams for s in place)]


def test_two_hundred_streams_share_one_connection_and_one_more_opens_another() -> None:
    names = [f"s{i}" for i in range(201)]
    assert [len(s) for s in shards(names[:200], [])] == [200]
    assert [len(s) for s in shards(names, [names[:200]])] == [200, 1]


def test_percentiles_of_nothing_are_nothing() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([1.0], 0.99) == 1.0
