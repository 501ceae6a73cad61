"""The self-check judges by counts, and says how many misses chance alone leaves."""

from __future__ import annotations

import pytest

from simulator.prices import EPOCH_MS
from views import self_check as check
from views.self_check_parts import CONFIDENCE, best_thresholds, power

DAY_MS = 86_400_000


def tally(right, samples=20, expected=CONFIDENCE, what="Half-life"):
    return check.Tally(
        "A / B", what, "10", samples, right, expected, check.fewest_right(samples, expected)
    )


def test_the_fewest_right_are_the_binomials_points():
    # Of 100 trials of 0.95, 89 or more with probability 0.9885, 90 or more with 0.9718 (tables).
    assert check.fewest_right(100, 0.95) == 89
    assert check.fewest_right(1, 0.5) == 0


def test_a_miss_in_twenty_is_believed_and_the_expected_number_is_said():
    believed, text = check._verdict((tally(19), tally(19, what="Hedge ratio")))
    assert believed
    assert "2 of 40 intervals miss" in text
    assert "about 2 of 40 are to be expected" in text


def test_far_more_misses_than_chance_leaves_are_not_believed_and_named():
    believed, text = check._verdict((tally(12), tally(19, what="Hedge ratio")))
    assert believed is False
    assert "Half-life of A / B" in text


def test_a_test_of_low_power_is_judged_by_its_power_and_not_by_the_intervals():
    weak = tally(9, expected=0.5, what="Cointegrated")
    believed, text = check._verdict((tally(19), weak))
    assert believed
    assert "of 20 intervals" in text


def test_a_market_too_young_is_said_so():
    found = check.run_self_check(EPOCH_MS + 60_000, lambda *_: None, lambda: False)
    assert found.believed is None
    assert "too young" in found.verdict
    assert check.run_self_check(EPOCH_MS + DAY_MS, lambda *_: None, lambda: True).samples == 0


def test_power_falls_with_the_half_life_and_is_never_certain():
    assert power(4.0, 720) == 0.99
    assert 0.2 < power(30.0, 720) < 0.8


def test_the_best_thresholds_of_a_known_process_earn_more_than_their_distance_to_the_mean():
    entry, profit = best_thresholds(10.0, 280.0)
    assert 0.5 < entry < 1.0
    assert profit > entry * 280.0  # seen at closes, it enters beyond the threshold


@pytest.mark.nightly
def test_the_shipped_market_is_believed_within_two_minutes():
    told = []
    found = check.run_self_check(
        EPOCH_MS + 300 * DAY_MS, lambda share, note: told.append(note), lambda: False
    )
    assert found.samples == check.SAMPLES == 10
    assert found.believed, found.verdict
    assert found.seconds < 120
    whats = {c.what for c in found.newest}
    assert whats == {"Hedge ratio", "Half-life", "Profit a trade", "Cointegrated", "Break date"}
    assert told[0] == "sample 1 of 10"
