"""The wire: addresses, frames to columns, what is refused and why, and the REST client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import binance
from binance import FrameParser, Parsed, refused
from collecting.rest import BinanceRest
from errors import (
    AccessRefused,
    CertificateRefused,
    FeedError,
    MalformedMessage,
    NoNetwork,
    RateLimited,
    RestrictedLocation,
)

# As captured; see the exchange's documentation of the streams.
AGGREGATE = (
    b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1790526539033,"a":3466782974,'
    b'"s":"BTCUSDT","p":"84551.10","q":"0.030","nq":"0.030","f":8123344783,"l":8123344783,'
    b'"T":1790526538883,"m":true,"st":1}}'
)
SINGLE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1790370834849,"T":1790370834848,'
    b'"s":"BTCUSDT","t":8121136411,"p":"83680.00","q":"0.001","X":"MARKET","m":true,"st":1}}'
)
NO_TRADE = (
    b'{"e":"trade","E":1790371725749,"T":1790371725748,"s":"DOGEUSDT","t":3488255295,"p":"0",'
    b'"q":"0","X":"NA","m":true,"st":1}'
)


def parse(*messages: bytes, kind: binance.StreamKind = "aggTrade") -> Parsed:
    return FrameParser(kind, ["btcusdt", "ethusdt", "dogeusdt"]).parse(messages)


def changed(**fields: Any) -> bytes:
    """The captured print with other values; None takes a key away."""
    body = json.loads(AGGREGATE)
    body["data"] |= fields
    body["data"] = {k: v for k, v in body["data"].items() if v is not None}
    return json.dumps(body).encode()


# -- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", "/", "/ws", "/stream", "/market/ws", "/public/stream/"])
def test_whatever_route_an_address_names_the_one_that_carries_the_stream_is_taken(
    ending: str,
) -> None:
    base = "wss://fstream.binance.com" + ending
    url = binance.stream_url(base, "aggTrade", ["btcusdt@aggTrade", "ethusdt@aggTrade"])
    assert url == (
        "wss://fstream.binance.com/market/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade"
    )
    assert "/public/stream?" in binance.stream_url(base, "trade", ["btcusdt@trade"])
    assert binance.names_a_route(base) == (len(ending) > 1)


def test_control_messages_are_as_documented() -> None:
    assert json.loads(binance.subscribe(["btcusdt@aggTrade"], 1)) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@aggTrade"],
        "id": 1,
    }
    assert json.loads(binance.unsubscribe(["x"], 312))["method"] == "UNSUBSCRIBE"
    assert json.loads(binance.list_subscriptions(3)) == {"method": "LIST_SUBSCRIPTIONS", "id": 3}


# -- frames ----------------------------------------------------------------------------------


def test_a_captured_aggregate_trade_becomes_a_tick() -> None:
    (tick,) = parse(AGGREGATE).batch.ticks()
    assert tick.symbol == "btcusdt"
    assert (tick.time_ms, tick.trade_id) == (1790526538883, 3466782974)
    assert (tick.price, tick.size, tick.is_buyer_maker) == (84551.10, 0.03, True)
    assert parse(AGGREGATE).event_ms == [1790526539033]


def test_the_bare_form_says_the_same_as_the_wrapped_one() -> None:
    bare = json.dumps(json.loads(AGGREGATE)["data"]).encode()
    assert parse(bare).batch == parse(AGGREGATE).batch


def test_a_captured_single_trade_becomes_a_tick() -> None:
    (tick,) = parse(SINGLE, kind="trade").batch.ticks()
    assert (tick.price, tick.size, tick.trade_id) == (83680.0, 0.001, 8121136411)


def test_a_print_that_is_no_trade_is_dropped_but_its_id_is_no_hole() -> None:
    parsed = parse(SINGLE, NO_TRADE, kind="trade")
    assert len(parsed.batch) == 1
    assert parsed.seen == [("dogeusdt", 3488255295, 1790371725748)]
    assert parsed.dropped == {"print of kind NA": 1}


MARK = (
    b'{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1790526539000,'
    b'"s":"BTCUSDT","p":"84550.12345678","ap":"84549.1","i":"84551.2","P":"84552.3",'
    b'"r":"0.00010000","T":1790553600000,"st":1}}'
)


def with_marks(*messages: bytes) -> Parsed:
    return FrameParser("aggTrade", ["btcusdt"], marks=True).parse(messages)


def test_mark_prices_are_set_apart_from_the_trades_among_which_they_come() -> None:
    parsed = with_marks(AGGREGATE, MARK, AGGREGATE)
    assert parsed.marks == [binance.Mark("btcusdt", 1790526539000, 84550.12345678)]
    assert parsed.batch == parse(AGGREGATE, AGGREGATE).batch
    assert parsed.event_ms == parse(AGGREGATE, AGGREGATE).event_ms
    assert not parsed.dropped
    assert with_marks(MARK).marks == parsed.marks
    assert len(with_marks(MARK).batch) == 0


def test_trades_stay_together_when_mark_prices_come_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(self: FrameParser, messages: list[bytes]) -> Parsed:
        raise AssertionError("the trades were taken one by one")

    monkeypatch.setattr(FrameParser, "_one_by_one", never)
    assert len(with_marks(AGGREGATE, MARK, AGGREGATE).batch) == 2


def test_who_asked_for_no_mark_prices_gets_none() -> None:
    parsed = parse(MARK, AGGREGATE)
    assert parsed.marks == []
    assert parsed.dropped == {"unknown event": 1}
    assert len(parsed.batch) == 1


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("p", "NaN", "mark: price not positive and finite"),
        ("p", "0", "mark: price not positive and finite"),
        ("p", "-1", "mark: price not positive and finite"),
        ("p", "1e999", "mark price that cannot be read"),
        ("p", None, "mark price that cannot be read"),
        ("p", "soon", "mark price that cannot be read"),
        ("E", 0, "mark price that cannot be read"),
        ("E", 10**14, "mark price that cannot be read"),
        ("s", "DOGEUSDT", "mark: symbol not asked for"),
    ],
)
def test_an_odd_mark_price_is_refused(field: str, value: Any, reason: str) -> None:
    body = json.loads(MARK)
    body["data"][field] = value
    parsed = with_marks(json.dumps(body).encode(), AGGREGATE)
    assert parsed.marks == []
    assert parsed.dropped == {reason: 1}
    assert len(parsed.batch) == 1


def test_mark_prices_come_beside_aggregate_trades_and_not_beside_single_ones() -> None:
    assert binance.mark_stream_name("BTCUSDT") == "btcusdt@markPrice@1s"
    assert binance.carries_marks("aggTrade")
    assert not binance.carries_marks("trade")


@pytest.mark.parametrize("kind", ["INSURANCE_FUND", "ADL", "NA"])
def test_prints_off_the_market_never_forge_a_candle(kind: str) -> None:
    forged = SINGLE.replace(b"MARKET", kind.encode()).replace(b"83680.00", b"1.00")
    parsed = parse(SINGLE, forged, kind="trade")
    assert parsed.batch.price == [83680.0]
    assert parsed.dropped == {f"print of kind {kind}": 1}


def test_retail_prints_are_trades() -> None:
    assert len(parse(SINGLE.replace(b"MARKET", b"RPI"), kind="trade").batch) == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (changed(p="0"), "price not positive and finite"),
        (changed(p="-1.5"), "price not positive and finite"),
        (changed(p="NaN"), "price not positive and finite"),
        (changed(p="Infinity"), "price not positive and finite"),
        (changed(q="0.000"), "size not positive and finite"),
        (changed(q="nan"), "size not positive and finite"),
        (changed(p="abc"), "price is not a number"),
        (changed(q=[1]), "size is not a number"),
        (changed(p=None), "price is not a number"),
        (changed(m="perhaps"), "wrong types"),
        (changed(T=-5), "wrong types"),
        (changed(a="x"), "wrong types"),
        (changed(a=-1), "wrong types"),
        (changed(s="NOSUCHUSDT"), "symbol not asked for"),
        (changed(s=7), "wrong types"),
        (changed(e="kline"), "unknown event"),
        (changed(e=None), "unknown message"),
        (b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTr', "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[1,2]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b"", "not JSON"),
        (b"{}", "unknown message"),
        (AGGREGATE + b"," + AGGREGATE, "not JSON"),
    ],
)
def test_a_bad_message_is_dropped_by_reason_and_its_neighbours_are_kept(
    message: bytes, reason: str
) -> None:
    after = changed(a=3466782975)
    parsed = parse(AGGREGATE, message, after)
    assert parsed.batch.trade_id == [3466782974, 3466782975]
    assert parsed.dropped == {reason: 1}


@pytest.mark.parametrize("together", [True, False])
def test_a_print_of_another_age_than_its_message_is_refused(together: bool) -> None:
    """A time of 2100 would stand at the right edge of every chart for ever."""
    good = [AGGREGATE] if together else []
    for time_ms in (4_102_444_800_000, 1):
        parsed = parse(*good, changed(T=time_ms))
        assert len(parsed.batch) == len(good)
        assert parsed.dropped == {"time far from its message's": 1}


def test_two_halves_of_a_message_do_not_become_one() -> None:
    middle = len(AGGREGATE) // 2
    parsed = parse(AGGREGATE[:middle], AGGREGATE[middle:])
    assert len(parsed.batch) == 0
    assert sum(parsed.dropped.values()) == 2


def test_unknown_keys_are_tolerated() -> None:
    assert len(parse(changed(brandnew={"a": [1, None]})).batch) == 1


def test_answers_are_told_apart_from_data() -> None:
    parsed = parse(
        b'{"result":null,"id":1}',
        AGGREGATE,
        b'{"result":["btcusdt@aggTrade"],"id":3}',
        b'{"error":{"code":2,"msg":"Invalid request: streams"},"id":1}',
        b'{"code":2,"msg":"Invalid request"}',
    )
    assert len(parsed.batch) == 1
    assert [r.id for r in parsed.replies] == [1, 3, 1, None]
    assert parsed.replies[1].result == ("btcusdt@aggTrade",)
    assert parsed.replies[2].error == "Invalid request: streams (code 2)"
    assert parsed.replies[3].error == "Invalid request (code 2)"
    assert not parsed.dropped


@pytest.mark.parametrize(
    "message", [b'{"e":"serverShutdown","E":1}', b'{"stream":"x","data":{"e":"serverShutdown"}}']
)
def test_an_announced_shutdown_is_heard(message: bytes) -> None:
    assert parse(AGGREGATE, message).shutdown


_prices = st.decimals("0.00001", "999999", places=5).map(lambda d: format(d, "f"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["btcusdt", "ethusdt"]),
            st.integers(1, 2**53),
            st.integers(1, 10**13 - 1),
            _prices,
            _prices,
            st.booleans(),
        ),
        max_size=20,
    ),
    st.sampled_from(["aggTrade", "trade"]),
    st.booleans(),
)
def test_parsing_undoes_encoding(
    prints: list[tuple[str, int, int, str, str, bool]], kind: Any, wrapped: bool
) -> None:
    key = "a" if kind == "aggTrade" else "t"
    messages = []
    for symbol, number, time_ms, price, size, maker in prints:
        body: Any = {
            "e": kind, "E": time_ms, "s": symbol.upper(), key: number,
            "p": price, "q": size, "T": time_ms, "m": maker,
        }  # fmt: skip
        body = {"stream": f"{symbol}@{kind}", "data": body} if wrapped else body
        messages.append(json.dumps(body).encode())
    batch = FrameParser(kind, ["btcusdt", "ethusdt"]).parse(messages).batch
    got = list(
        zip(batch.symbol, batch.trade_id, batch.time_ms, batch.price, batch.size,
            batch.is_buyer_maker, strict=True)
    )  # fmt: skip
    assert got == [(s, n, t, float(p), float(q), m) for s, n, t, p, q, m in prints]


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([AGGREGATE, SINGLE, NO_TRADE]), max_size=9)
)
def test_no_message_whatever_stops_the_parser(messages: list[bytes]) -> None:
    parsed = FrameParser("aggTrade", ["btcusdt"]).parse(messages)
    good = sum(m == AGGREGATE for m in messages)
    assert len(parsed.batch) == good


# -- causes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (451, RestrictedLocation, False),
        (403, AccessRefused, False),
        (429, RateLimited, True),
        (418, RateLimited, True),
        (500, FeedError, True),
        (404, FeedError, True),
    ],
)
def test_a_status_says_its_cause(status: int, error: type[FeedError], retryable: bool) -> None:
    problem = refused(status, {}, '{"code":-1,"msg":"Because."}', "https://fapi.binance.com/x")
    assert type(problem) is error
    assert str(status) in str(problem)
    assert "fapi.binance.com" in str(problem)
    assert binance.is_retryable(problem) == retryable


def test_retry_after_is_taken_from_any_spelling_and_rubbish_is_not() -> None:
    for headers, expected in (
        ({"retry-after": "17"}, 17.0),
        ({"Retry-After": "soon"}, 60.0),
        ({}, 60.0),
        ({"Retry-After": "-3"}, 0.0),
    ):
        problem = refused(429, headers, "", "wss://h/x")
        assert isinstance(problem, RateLimited)
        assert problem.retry_after_s == expected


def test_certificates_are_fatal_and_networks_are_not() -> None:
    assert not binance.is_retryable(CertificateRefused("x"))
    assert binance.is_retryable(NoNetwork("x"))


# -- REST ------------------------------------------------------------------------------------


class Desk:
    """What the little server answers next, and what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"[]", {"X-MBX-USED-WEIGHT-1M": "40"}
        self.asked: list[str] = []


@pytest.fixture
def desk() -> Iterator[tuple[Desk, str]]:
    desk = Desk()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            desk.asked.append(self.path)
            self.send_response(desk.status)
            for name, value in desk.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(desk.body)))
            self.end_headers()
            self.wfile.write(desk.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield desk, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_aggregate_trades_come_as_columns(desk: tuple[Desk, str]) -> None:
    server, base = desk
    server.body = (
        b'[{"a":26129,"p":"0.01633102","q":"4.70443515","nq":"1","f":27781,"l":27781,'
        b'"T":1498793709153,"m":true}]'
    )
    rest = BinanceRest(base)
    batch = rest.agg_trades("btcusdt", from_id=26129, limit=1)
    rest.close()
    assert batch.trade_id == [26129]
    assert batch.price == [0.01633102]
    assert batch.symbol == ["btcusdt"]
    assert server.asked == ["/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=26129&limit=1"]
    assert rest.used_weight == 40


def test_calls_wait_for_the_next_minute_where_the_budget_is_spent(desk: tuple[Desk, str]) -> None:
    server, base = desk
    rest = BinanceRest(base, budget=0.5)
    assert rest.wait_s(20) == 0.0
    server.headers["X-MBX-USED-WEIGHT-1M"] = "1190"
    rest.agg_trades("btcusdt", from_id=1)
    rest.close()
    assert 0 < rest.wait_s(20) <= 60.0
    assert rest.wait_s(10) == 0.0


def test_how_long_the_limit_alone_keeps_calls_waiting(desk: tuple[Desk, str], monkeypatch) -> None:
    server, base = desk
    monkeypatch.setattr("collecting.rest.time.time", lambda: 60.0 * 1_000 + 15.0)
    rest = BinanceRest(base, budget=0.5)  # 1,200 a minute: 60 calls of 20
    server.headers["X-MBX-USED-WEIGHT-1M"] = "1000"
    rest.agg_trades("btcusdt", from_id=1)
    waits = [rest.held_up_s(calls, 20) for calls in (10, 11, 70, 71, 130, 131)]
    assert waits == [0.0, 45.0, 45.0, 105.0, 105.0, 165.0]
    # What others have used beyond our share is not paid for in the minutes after.
    server.headers["X-MBX-USED-WEIGHT-1M"] = "2300"
    rest.agg_trades("btcusdt", from_id=1)
    rest.close()
    assert [rest.held_up_s(calls, 20) for calls in (1, 60, 61)] == [45.0, 45.0, 105.0]


def test_the_limit_is_the_one_that_the_exchange_announces(desk: tuple[Desk, str]) -> None:
    server, base = desk
    limits = [
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 100},
    ]
    server.body = json.dumps({"rateLimits": limits, "symbols": []}).encode()
    server.headers["X-MBX-USED-WEIGHT-1M"] = "1"
    rest = BinanceRest(base, budget=0.5)
    rest.instruments()
    rest.close()
    assert [rest.held_up_s(calls, 20) > 0 for calls in (2, 3)] == [False, True]


@pytest.mark.parametrize("body", [b"{}", b'[{"a":1}]', b"<html>", b'[{"a":1,"p":"x"}]'])
def test_rows_that_do_not_parse_are_said_to_be(desk: tuple[Desk, str], body: bytes) -> None:
    server, base = desk
    server.body = body
    rest = BinanceRest(base)
    with pytest.raises(MalformedMessage):
        rest.agg_trades("btcusdt", from_id=1)
    rest.close()


def test_statuses_become_errors(desk: tuple[Desk, str]) -> None:
    server, base = desk
    rest = BinanceRest(base)
    server.status, server.headers = 429, {"Retry-After": "7"}
    with pytest.raises(RateLimited) as caught:
        rest.agg_trades("btcusdt", from_id=1)
    assert caught.value.retry_after_s == 7.0
    server.status, server.headers = 451, {}
    with pytest.raises(RestrictedLocation):
        rest.instruments()
    rest.close()


def test_instruments_bring_their_steps(desk: tuple[Desk, str]) -> None:
    server, base = desk
    entry = {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "contractType": "PERPETUAL",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
    }
    broken = {"symbol": "LUNAUSDT", "status": "BREAK", "contractType": "", "filters": []}
    server.body = json.dumps({"symbols": [entry, broken]}).encode()
    rest = BinanceRest(base)
    listed = rest.instruments()
    assert listed["btcusdt"].tick_size == 0.1
    assert listed["btcusdt"].min_notional == 100.0
    assert not listed["lunausdt"].trading
    server.body = b'{"nothing":1}'
    with pytest.raises(MalformedMessage):
        rest.instruments()
    rest.close()


def test_nobody_there_is_a_sentence() -> None:
    rest = BinanceRest("http://127.0.0.1:9")
    with pytest.raises(NoNetwork, match=r"127\.0\.0\.1 does not answer"):
        rest.server_time_ms()
    rest.close()
