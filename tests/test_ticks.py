"""Times, symbols, ids: what a tick is made of."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import BadInput
from ticks import (
    IsoClock,
    Occurrences,
    Tick,
    TickBatch,
    clean_symbols,
    epoch_ms,
    iso_utc,
    made_ids,
    refusal,
)

times = st.integers(1, 10**13 - 1)


@given(times)
def test_a_time_written_and_read_is_the_same(time_ms):
    text = iso_utc(time_ms)
    assert len(text) == 24
    assert epoch_ms(text) == time_ms


@given(times, times)
def test_text_order_is_time_order(a, b):
    assert (iso_utc(a) < iso_utc(b)) == (a < b)


@given(st.lists(times))
def test_a_column_of_times_is_each_time(column):
    clock = IsoClock()
    assert clock.column(column) == [iso_utc(t) for t in column]
    assert clock.column(column[::-1]) == [iso_utc(t) for t in column[::-1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-08-08T23:54:16.322Z", 1723161256322),
        ("2024-08-08 23:54:16.322", 1723161256322),
        ("2024-08-09T01:54:16.322+02:00", 1723161256322),
        ("2024-08-08T23:54:16.322999Z", 1723161256322),
        ("1969-12-31T23:59:59.9995Z", -1),
    ],
)
def test_times_without_a_zone_are_utc_and_fractions_are_rounded_down(text, expected):
    assert epoch_ms(text) == expected


def test_what_is_no_time_is_said():
    with pytest.raises(BadInput, match="'yesterday' is not an ISO-8601 time"):
        epoch_ms("yesterday")


def test_symbols_are_trimmed_lower_cased_and_named_once():
    assert clean_symbols(" BTCusdt, ethusdt,,btcusdt ") == ["btcusdt", "ethusdt"]
    assert clean_symbols(["X", " x "]) == ["x"]


@pytest.mark.parametrize(
    "given_symbols", ["", [], "btc usdt", "a/b", ["é"], ["'; drop"], ["a" * 41]]
)
def test_what_cannot_be_a_symbol_is_named(given_symbols):
    with pytest.raises(BadInput):
        clean_symbols(given_symbols)


def test_a_tick_shows_its_time_as_the_table_does():
    stamp = datetime(2024, 8, 8, 23, 54, 16, 322000, UTC)
    tick = Tick("btcusdt", int(stamp.timestamp() * 1000), 1.0, 2.0)
    assert tick.timestamp == "2024-08-08T23:54:16.322Z"
    assert tick.trade_id is None


ticks = st.builds(
    Tick,
    symbol=st.sampled_from(["a", "b"]),
    time_ms=st.integers(1, 3000),
    price=st.sampled_from([1.0, 2.0]),
    size=st.sampled_from([1.0, 0.5]),
)


@given(st.lists(ticks, max_size=60), st.integers(0, 60))
def test_made_ids_are_unique_and_do_not_depend_on_the_cut(prints, cut):
    whole = made_ids(prints)
    assert len(set(whole)) == len(whole)
    assert all(-(2**62) <= i <= -1 for i in whole)
    seen = Occurrences()
    assert made_ids(prints[:cut], seen) + made_ids(prints[cut:], seen) == whole


@given(st.lists(ticks, max_size=200), st.integers(1, 5))
def test_memory_of_occurrences_is_bounded_and_repeatable(prints, limit):
    seen = Occurrences(limit)
    first = made_ids(prints, seen)
    assert len(seen._seconds) <= max(1, limit)
    assert made_ids(prints, Occurrences(limit)) == first


def test_batches_convert_to_ticks_and_back():
    rows = [Tick("a", 5, 1.0, 2.0, 7, True), Tick("b", 6, 1.5, 2.5, 8, None)]
    batch = TickBatch.from_ticks(rows, "trade")
    assert (batch.kind, list(batch.ticks())) == ("trade", rows)
    assert list(batch.select([1]).ticks()) == rows[1:]
    batch.extend(TickBatch.from_ticks(rows[:1], "trade"))
    assert len(batch) == 3


def test_ids_are_given_to_all_or_to_none():
    with pytest.raises(BadInput, match="1 of 2 ticks have a trade id"):
        TickBatch.from_ticks([Tick("a", 5, 1.0, 2.0, 7), Tick("a", 5, 1.0, 2.0)])
    assert TickBatch.from_ticks([Tick("a", 5, 1.0, 2.0)]).kind == "made"
    assert len(TickBatch.from_ticks([])) == 0


@pytest.mark.parametrize(
    ("print_", "reason"),
    [
        (("btcusdt", 1, 1.0, 1.0), None),
        (("BTC", 1, 1.0, 1.0), "symbol"),
        ((7, 1, 1.0, 1.0), "symbol"),
        (("a", 0, 1.0, 1.0), "time"),
        (("a", 10**13, 1.0, 1.0), "time"),
        (("a", True, 1.0, 1.0), "time"),
        (("a", 1.5, 1.0, 1.0), "time"),
        (("a", 1, float("nan"), 1.0), "price not positive and finite"),
        (("a", 1, -1.0, 1.0), "price not positive and finite"),
        (("a", 1, 1.0, 0.0), "size not positive and finite"),
        (("a", 1, 1.0, float("inf")), "size not positive and finite"),
        (("a", 1, "1", 1.0), "price is not a number"),
        (("a", 1, 1.0, None), "size is not a number"),
    ],
)
def test_each_reason_to_refuse_a_print_has_words(print_, reason):
    assert refusal(*print_) == reason
