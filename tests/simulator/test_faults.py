"""Each fault as a client feels it, and the tape that stays the truth."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
import requests
import websocket

from simulator.faults import (
    Burst,
    Close,
    Disorder,
    Drop,
    Duplicates,
    Garbage,
    HalfOpen,
    LifetimeEnd,
    OddValues,
    PartialFrame,
    Refuse,
    RestFault,
    SilentStream,
    Stall,
    Step,
)

ROUTE = "/market/ws/btcusdt@aggTrade"
CLOSE = websocket.ABNF.OPCODE_CLOSE


def until_the_end(caller) -> bytes | None:
    """Payload of the close frame; None where the connection ended without one."""
    try:
        while True:
            opcode, payload = caller.ws.recv_data()
            if opcode == CLOSE:
                return payload
    except (websocket.WebSocketConnectionClosedException, ConnectionError):
        return None


def until_nothing_comes(caller, seconds: float) -> None:
    """Read until the connection is silent for so long, in mid-frame or between frames."""
    caller.ws.settimeout(seconds)
    with contextlib.suppress(websocket.WebSocketTimeoutException):
        for _ in range(10_000):
            caller.ws.recv()


def test_drop_ends_the_connection_without_a_close_frame(start, call):
    exchange = start()
    caller = call(exchange, ROUTE)
    caller.events(1)
    exchange.inject(Drop())
    assert until_the_end(caller) is None


def test_half_open_answers_nothing_any_more_and_stays_connected(start, call):
    exchange = start()
    caller = call(exchange, ROUTE)
    caller.events(1)
    exchange.inject(HalfOpen())
    time.sleep(0.05)
    until_nothing_comes(caller, 0.1)
    caller.ws.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
    caller.ws.ping()
    assert caller.silent_for(0.3)
    assert call(exchange, ROUTE).events(1)  # others connect as before


@pytest.mark.parametrize("mid_frame", [False, True])
def test_a_stall_holds_everything_back_and_then_loses_nothing(start, call, mid_frame):
    exchange = start()
    caller = call(exchange, ROUTE)
    first = caller.events(1)[0]["a"]
    exchange.inject(Stall(seconds=0.5, mid_frame=mid_frame))
    began = time.monotonic()
    ids = [event["a"] for event in caller.events(200)]
    assert ids == list(range(first + 1, first + 201))
    assert time.monotonic() - began > 0.3


def test_a_stall_in_mid_frame_leaves_the_reader_in_the_middle_of_a_frame(start, call):
    exchange = start()
    caller = call(exchange, ROUTE)
    caller.events(1)
    exchange.inject(Stall(mid_frame=True))
    until_nothing_comes(caller, 0.4)
    assert caller.ws.frame_buffer.recv_buffer  # half a frame is waiting for its rest


@pytest.mark.parametrize("code", [1001, 1008, 1011])
def test_close_sends_its_code(start, call, code):
    exchange = start()
    caller = call(exchange, ROUTE)
    exchange.inject(Close(code, "going"))
    assert until_the_end(caller) == code.to_bytes(2, "big") + b"going"


def test_close_1006_is_an_end_without_a_frame(start, call):
    exchange = start()
    caller = call(exchange, ROUTE)
    exchange.inject(Close(1006))
    assert until_the_end(caller) is None


@pytest.mark.parametrize("status", [503, 451, 429, 418, 403])
def test_refuse_answers_so_many_handshakes_with_its_status(start, call, status):
    exchange = start()
    caller = call(exchange, ROUTE)
    exchange.inject(Refuse(status, count=2, retry_after_s=3))
    assert until_the_end(caller) is None
    for _ in range(2):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            call(exchange, ROUTE)
        assert refused.value.status_code == status
        assert refused.value.resp_headers["retry-after"] == "3"
    assert call(exchange, ROUTE).events(1)


def test_a_silent_stream_leaves_the_others_and_the_probe_alone(start, call):
    exchange = start()
    caller = call(exchange, ROUTE + "/ethusdt@aggTrade")
    caller.events(1)
    exchange.inject(SilentStream("btcusdt@aggTrade"))
    caller.ask("LIST_SUBSCRIPTIONS")
    assert {event["s"] for event in caller.events(60)} == {"ETHUSDT"}
    exchange.inject(SilentStream())
    assert len(caller.ask("LIST_SUBSCRIPTIONS", number=2)["result"]) == 2
    assert caller.silent_for(0.3)
    assert call(exchange, ROUTE).events(1)


def test_garbage_comes_between_events_that_are_all_there(start, call):
    exchange = start()
    caller = call(exchange, ROUTE)
    exchange.inject(Garbage(40))
    good, bad = [], 0
    while len(good) < 50:
        _, payload = caller.ws.recv_data()
        try:
            good.append(json.loads(payload)["a"])
        except (ValueError, KeyError, TypeError, RecursionError):
            bad += 1
        if good and not isinstance(good[-1], int):
            good.pop()
            bad += 1
    assert bad >= 30
    assert good == list(range(good[0], good[0] + 50))


@pytest.mark.parametrize("replace", [False, True])
def test_odd_values_come_before_or_instead_of_true_ones(start, call, replace):
    exchange = start()
    caller = call(exchange, ROUTE)
    first = caller.events(1)[0]["a"]
    exchange.inject(OddValues(20, replace=replace))
    messages = caller.events(70)
    truth = exchange.tape.trades("btcusdt", first, first + 100)
    true = {(i, p, t) for i, p, t in zip(truth.id, truth.price, truth.time_ms, strict=True)}

    def is_true(event) -> bool:
        odd = not isinstance(event["p"], str) or not isinstance(event["q"], str)
        if odd or event["e"] != "aggTrade" or event["s"] != "BTCUSDT" or "X" in event:
            return False
        try:
            price, size = float(event["p"]), float(event["q"])
        except ValueError:
            return False
        return size > 0 and (event["a"], price, event["T"]) in true

    false = [event for event in messages if not is_true(event)]
    seen = {event["a"] for event in messages if is_true(event)}
    assert len(false) == 20
    assert {event["a"] for event in false}.isdisjoint(seen) == replace
    assert "NaN" in {event["p"] for event in false if isinstance(event["p"], str)}


def test_duplicates_come_twice_at_once_and_again_as_a_block(start, call):
    exchange = start()
    caller = call(exchange, ROUTE)
    first = caller.events(1)[0]["a"]
    exchange.inject(Duplicates(10))
    ids = [event["a"] for event in caller.events(60)]
    counts = [ids.count(n) for n in sorted(set(ids))]
    assert counts.count(3) == 10
    assert sorted(set(ids)) == list(range(first + 1, first + 1 + len(set(ids))))


def test_disorder_changes_the_order_and_nothing_else(start, call):
    exchange = start()
    caller = call(exchange, ROUTE)
    first = caller.events(1)[0]["a"]
    exchange.inject(Disorder(20))
    ids = [event["a"] for event in caller.events(60)]
    assert ids != sorted(ids)
    assert sorted(ids) == list(range(first + 1, first + 61))


def test_disorder_does_not_wait_for_ever(start, call):
    exchange = start(speed=1.0)
    caller = call(exchange, ROUTE)
    exchange.inject(Disorder(10_000, seconds=0.3))
    assert caller.events(1)


def test_a_burst_is_nothing_and_then_everything_at_once(start, call):
    exchange = start()
    caller = call(exchange, ROUTE)
    first = caller.events(1)[0]["a"]
    exchange.inject(Burst(seconds=0.5, repeat=2))
    began = time.monotonic()
    ids = [event["a"] for event in caller.events(100)]
    assert time.monotonic() - began < 1.5
    assert sorted(set(ids))[0] == first + 1
    assert max(ids.count(n) for n in set(ids)) == 2


def test_a_partial_frame_ends_the_connection_in_its_middle(start, call):
    exchange = start()
    caller = call(exchange, ROUTE)
    caller.events(1)
    exchange.inject(PartialFrame())
    assert until_the_end(caller) is None


def test_the_end_of_a_lifetime_is_announced(start, call):
    exchange = start()
    raw, wrapped = call(exchange, "/market/ws"), call(exchange, "/market/stream")
    exchange.inject(LifetimeEnd(grace_s=0.2))
    assert raw.receive()["e"] == "serverShutdown"
    assert wrapped.receive()["data"]["e"] == "serverShutdown"
    assert until_the_end(raw)[:2] == (1001).to_bytes(2, "big")


def test_a_rest_fault_strikes_the_paths_it_names(start):
    exchange = start()
    base = exchange.rest_url + "/fapi/v1/"
    exchange.inject(RestFault(429, count=1, retry_after_s=7, path="aggTrades"))
    exchange.inject(RestFault(200, body=b"<html>", path="ping"))
    assert requests.get(base + "time", timeout=5).status_code == 200
    refused = requests.get(base + "aggTrades?symbol=BTCUSDT", timeout=5)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert requests.get(base + "aggTrades?symbol=BTCUSDT", timeout=5).status_code == 200
    assert requests.get(base + "ping", timeout=5).text == "<html>"


def test_a_script_strikes_after_exactly_so_many_events(start, call):
    script = [Step(25, Drop()), Step(40, Close(1008, "enough"))]
    exchange = start(script=script)
    first = call(exchange, ROUTE)
    ids = []
    with contextlib.suppress(websocket.WebSocketConnectionClosedException, ConnectionError):
        while len(ids) < 1000:
            ids.append(first.events(1)[0]["a"])
    second = call(exchange, ROUTE)
    assert until_the_end(second)[2:] == b"enough"
    assert exchange.events_sent >= 40
    assert [type(fault) for fault in exchange.faults.struck] == [Drop, Close]
    # A reset may overtake the last events on the way, never more than were sent.
    assert len(ids) <= 25


def test_rest_repairs_what_a_dropped_connection_missed(start, call):
    exchange = start()
    before = call(exchange, ROUTE)
    last = before.events(20)[-1]["a"]
    exchange.inject(Drop())
    time.sleep(0.3)
    after = call(exchange, ROUTE).events(1)[0]["a"]
    assert after > last + 1
    url = f"{exchange.rest_url}/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={last + 1}&limit=1000"
    rows = requests.get(url, timeout=5).json()
    missing = [row for row in rows if row["a"] < after]
    truth = exchange.tape.trades("btcusdt", last + 1, after)
    assert [row["a"] for row in missing] == truth.id.tolist()
    assert [float(row["p"]) for row in missing] == truth.price.tolist()


def test_nothing_can_go_wrong_with_an_exchange_that_is_not_running(start):
    exchange = start()
    exchange.stop()
    with pytest.raises(RuntimeError, match="not running"):
        exchange.inject(Drop())
