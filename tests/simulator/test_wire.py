"""Frames and rows against the documented ones, key by key."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import PlantedTape, wire
from simulator.connection import Address, carries
from simulator.symbols import SymbolSpec

NOON = 1_781_524_800_000
TRADES = PlantedTape().trades_between("btcusdt", NOON, NOON + 600_000)


def test_aggtrade_frames_have_the_documented_keys_in_their_order():
    event = json.loads(wire.agg_trade_events(TRADES)[0].data)
    assert list(event) == ["e", "E", "a", "s", "p", "q", "nq", "f", "l", "T", "m", "st"]
    assert (event["e"], event["s"], event["st"]) == ("aggTrade", "BTCUSDT", 1)
    assert event["E"] >= event["T"]


def test_trade_frames_have_the_documented_keys_and_conserve_quantity():
    events = [json.loads(event.data) for event in wire.trade_events(TRADES)]
    assert list(events[0]) == ["e", "E", "T", "s", "t", "p", "q", "X", "m", "st"]
    assert [e["t"] for e in events] == list(range(events[0]["t"], events[0]["t"] + len(events)))
    real = sum(round(float(e["q"]) * 1000) for e in events if e["X"] == "MARKET")
    assert real == TRADES.quantity_steps.sum()
    forged = [e for e in events if e["X"] == "INSURANCE_FUND"]
    assert forged
    assert all(float(e["p"]) > 1.05 * TRADES.price.max() for e in forged)


def test_a_print_that_is_no_trade_looks_as_documented():
    events = [json.loads(event.data) for event in wire.trade_events(TRADES)]
    nothing = next(e for e in events if e["X"] == "NA")
    assert (nothing["p"], nothing["q"]) == ("0", "0")


@given(st.integers(-(10**15), 10**15), st.integers(0, 8))
def test_decimal_texts_are_exact_and_have_fixed_places(units, places):
    from decimal import Decimal

    text = wire.decimal(units, places)
    assert Decimal(text) == Decimal(units).scaleb(-places)
    assert len(text.partition(".")[2]) == places


@given(st.integers(0, 70_000))
def test_frame_lengths_take_the_short_the_16_bit_and_the_64_bit_form(size):
    frame = wire.text_frame(b"x" * size)
    head = 2 if size < 126 else 4 if size < 65_536 else 10
    assert len(frame) == head + size
    assert frame[0] == 0x81
    if head > 2:
        assert int.from_bytes(frame[2:head], "big") == size
    else:
        assert frame[1] == size


@pytest.mark.parametrize(
    ("path", "route", "combined", "streams"),
    [
        ("/market/ws/a@aggTrade/b@aggTrade", "market", False, ("a@aggTrade", "b@aggTrade")),
        ("/market/stream?streams=a@kline_1m/b@aggTrade", "market", True, None),
        ("/public/ws", "public", False, ()),
        ("/ws/a@trade", "legacy", False, ("a@trade",)),
        ("/stream", "legacy", True, ()),
        ("/stream/a@trade", None, True, None),
        ("/elsewhere", None, False, None),
    ],
)
def test_addresses_are_taken_apart(path, route, combined, streams):
    address = Address(path)
    assert (address.route, address.combined) == (route, combined)
    if streams is not None:
        assert address.streams == streams


def test_streams_belong_to_routes():
    assert carries("market", "btcusdt@kline_1m")
    assert carries("market", "btcusdt@markPrice@1s")
    assert carries("public", "btcusdt@depth5@100ms")
    assert not carries("public", "btcusdt@aggTrade")
    assert not carries("legacy", "btcusdt@aggTrade")
    assert carries("legacy", "btcusdt@bookTicker")


def test_a_mark_price_has_the_documented_keys():
    spec = SymbolSpec("btcusdt", 1, 3)
    event = json.loads(wire.mark_price_event("btcusdt@markPrice", spec, NOON, 11794.15).data)
    assert list(event) == ["e", "E", "s", "p", "ap", "i", "P", "r", "T", "st"]
    assert event["p"] == "11794.15000000"
    assert event["T"] > NOON
