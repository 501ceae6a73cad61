"""Parts as bytes: nothing is lost, nothing is sent twice, and changes add up to the whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live import assets
from live.payload import changes, pack, whole
from tests.live.messages import apply, read


@pytest.fixture
def figure() -> dict:
    times = np.array([1_700_000_000_123, 1_700_000_060_123], dtype=np.int64)
    prices = np.array([60_000.123456, np.nan])
    return {
        "data": [
            {"type": "candlestick", "x": times, "close": prices, "open": prices},
            {"type": "scatter", "x": times, "y": np.array([0.5, 1.5]), "name": "<b>"},
        ],
        "layout": {"shapes": [{"x0": np.int64(3)}], "height": 10},
    }


def sent(part: dict) -> dict:
    return apply(whole({"seq": 1}, {"p": pack(part)}))["p"]


def test_times_and_prices_arrive_exactly(figure):
    part = sent(figure)
    candles = part["fields"]["data"][0]
    close = part["columns"][candles["close"]["$"]]
    np.testing.assert_array_equal(close, figure["data"][0]["close"])
    np.testing.assert_array_equal(part["columns"][candles["x"]["$"]], figure["data"][0]["x"])


def test_a_column_used_twice_is_sent_once(figure):
    part = sent(figure)
    candles, line = part["fields"]["data"]
    assert len(part["columns"]) == 3
    assert candles["x"] == line["x"]
    assert candles["open"] == candles["close"]


def test_numbers_of_numpy_become_plain_and_what_json_has_no_word_for_is_null(figure):
    assert sent(figure)["fields"]["layout"] == {"shapes": [{"x0": 3}], "height": 10}
    assert sent({"y": [1.0, float("nan"), np.float64("inf")]})["fields"]["y"] == [1.0, None, None]


def test_a_part_that_is_the_same_is_not_sent_again(figure):
    packed = {"p": pack(figure), "text": pack({"words": "as before"})}
    head, floats = read(changes({"seq": 2, "from": 1}, packed, packed))
    assert (head["parts"], floats) == ({}, b"")


def test_a_moved_last_point_costs_a_point_and_not_the_chart():
    closes = np.linspace(1.0, 2.0, 300)
    moved = closes.copy()
    moved[-1] = 7.0
    before, now = pack({"y": closes, "layout": {}}), pack({"y": moved, "layout": {}})
    message = changes({"seq": 2, "from": 1}, {"p": now}, {"p": before})
    assert len(message) < 200 < 1_200 < len(whole({"seq": 2}, {"p": now}))
    has = apply(message, apply(whole({"seq": 1}, {"p": before})))
    np.testing.assert_array_equal(has["p"]["columns"][0], moved.astype("f4"))


def test_a_part_built_differently_is_sent_whole(figure):
    before, now = pack({"y": np.ones(3)}), pack({"y": np.ones(3), "close": np.zeros(3)})
    head, _ = read(changes({"seq": 2, "from": 1}, {"p": now}, {"p": before}))
    assert head["parts"]["p"]["since"] == 0


values = st.lists(st.sampled_from([0.0, -0.0, 1.5, 2.5, float("nan")]), max_size=40)


@given(before=values, added=values, replaced=st.dictionaries(st.integers(0, 39), st.floats()),
       gone=st.integers(0, 8))  # fmt: skip
def test_what_was_there_with_its_changes_is_what_is_there_now(before, added, replaced, gone):
    old = np.array(before)
    new = np.array([*before[gone:], *added])
    for place, value in replaced.items():
        if place < len(new):
            new[place] = value
    packed_old, packed_new = pack({"close": old, "n": 1}), pack({"close": new, "n": 2})
    had = apply(whole({"seq": 1}, {"p": packed_old}))
    has = apply(changes({"seq": 2, "from": 1}, {"p": packed_new}, {"p": packed_old}), had)["p"]
    # Bit by bit: a NaN is equal to itself, and minus zero is not zero.
    assert has["columns"][0].tobytes() == new.astype("<f8").tobytes()
    assert has["fields"]["n"] == 2


def test_names_with_quotes_and_markup_arrive_as_they_are():
    name = 'a"b<script>\\ü🙂'
    assert sent({name: name})["fields"] == {name: name}
    assert json.loads(pack({"t": name}).fields["t"]) == name


def test_the_chart_library_and_the_modules_are_served_from_here():
    paths = [route.path for route in assets.routes()]
    assert set(assets.plotly_paths()) <= set(paths)
    assert assets.module_path("hub") in paths
    assert all(path.startswith("/platform/") for path in paths)
