"""The protocol over a real socket, as a client that knows nothing of the simulator sees it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import websocket

from simulator import Exchange

ROOT = Path(__file__).parents[2]


def test_combined_routes_wrap_events_and_raw_routes_never_do(start, call):
    exchange = start()
    wrapped = call(exchange, "/market/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade")
    raw = call(exchange, "/market/ws/btcusdt@aggTrade/ethusdt@aggTrade")
    message = wrapped.receive()
    assert message["stream"] in ("btcusdt@aggTrade", "ethusdt@aggTrade")
    assert message["data"]["e"] == "aggTrade"
    names = {raw.receive()["s"] for _ in range(40)}
    assert names == {"BTCUSDT", "ETHUSDT"}


def test_what_comes_over_the_wire_is_the_tape_id_by_id(start, call):
    exchange = start()
    caller = call(exchange, "/market/ws/btcusdt@aggTrade")
    events = caller.events(300)
    ids = [event["a"] for event in events]
    assert ids == list(range(ids[0], ids[0] + 300))
    truth = exchange.tape.trades("btcusdt", ids[0], ids[-1] + 1)
    assert [float(event["p"]) for event in events] == truth.price.tolist()
    assert [float(event["q"]) for event in events] == truth.quantity.tolist()
    assert [event["T"] for event in events] == truth.time_ms.tolist()
    assert [event["m"] for event in events] == truth.is_buyer_maker.tolist()


def test_subscribe_list_and_unsubscribe_are_answered_and_take_effect(start, call):
    caller = call(start(), "/market/ws")
    assert caller.ask("SUBSCRIBE", ["btcusdt@aggTrade"]) == {"result": None, "id": 1}
    assert caller.events(5)
    listed = caller.ask("LIST_SUBSCRIPTIONS", number=3)
    assert listed == {"result": ["btcusdt@aggTrade"], "id": 3}
    assert caller.ask("UNSUBSCRIBE", ["btcusdt@aggTrade"], 312) == {"result": None, "id": 312}
    assert caller.ask("LIST_SUBSCRIPTIONS", number="x") == {"result": [], "id": "x"}
    assert caller.silent_for(0.3)


@pytest.mark.parametrize("path", ["/ws", "/stream"])
def test_the_legacy_route_acknowledges_aggtrade_and_stays_silent(start, call, path):
    caller = call(start(), path)
    assert caller.ask("SUBSCRIBE", ["btcusdt@aggTrade"])["result"] is None
    assert caller.silent_for(0.4)
    assert caller.ask("LIST_SUBSCRIPTIONS", number=2)["result"] == ["btcusdt@aggTrade"]
    assert caller.ask("SUBSCRIBE", ["btcusdt@trade"])["result"] is None
    assert caller.events(1)[0]["e"] == "trade"


def test_each_route_delivers_its_own_streams_alone(start, call):
    exchange = start()
    for path, stream in (("/market/ws", "btcusdt@trade"), ("/public/ws", "btcusdt@aggTrade")):
        caller = call(exchange, path)
        assert caller.ask("SUBSCRIBE", [stream])["result"] is None
        assert caller.silent_for(0.3)
    market = call(exchange, "/market/ws/btcusdt@markPrice@1s")
    assert market.events(1)[0]["e"] == "markPriceUpdate"
    public = call(exchange, "/public/stream?streams=btcusdt@bookTicker")
    book = public.events(1)[0]
    assert float(book["b"]) < float(book["a"])


@pytest.mark.parametrize("stream", ["BTCUSDT@aggTrade", "nosuchusdt@aggTrade", "nonsense"])
def test_an_unknown_stream_is_acknowledged_and_then_silent(start, call, stream):
    caller = call(start(), "/market/ws")
    assert caller.ask("SUBSCRIBE", [stream]) == {"result": None, "id": 1}
    assert caller.silent_for(0.3)


def test_messages_that_make_no_sense_get_an_error_and_not_a_close(start, call):
    caller = call(start(), "/market/ws")
    nothing = caller.ask("SUBSCRIBE", [])
    text = "Invalid request: streams must have non-zero length"
    assert nothing == {"error": {"code": 2, "msg": text}, "id": 1}
    assert caller.ask("SUBSCRIBE", ["x"] * 0 + [""])["error"]["code"] == 2
    assert "unknown variant" in caller.ask("DANCE")["error"]["msg"]
    for raw, code in (("{", 3), ("[1]", 2), ('{"method":"SUBSCRIBE","params":7,"id":1}', 2)):
        caller.ws.send(raw)
        assert caller.answer()["error"]["code"] == code
    many = [f"s{k}usdt@aggTrade" for k in range(1025)]
    assert "too many streams" in caller.ask("SUBSCRIBE", many)["error"]["msg"]


def test_more_than_ten_messages_a_second_end_with_1008(start, call):
    caller = call(start(), "/market/ws")
    for number in range(11):
        caller.ws.send(f'{{"method":"LIST_SUBSCRIPTIONS","id":{number}}}')
    while True:
        opcode, payload = caller.ws.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            break
    assert int.from_bytes(payload[:2], "big") == 1008


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nowhere", 404), ("/market/ws/btcusdt@aggTrade,ethusdt@aggTrade", 400), ("/market", 404)],
)
def test_wrong_addresses_fail_the_handshake(start, path, status):
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(start().ws_url + path, timeout=5)
    assert refused.value.status_code == status


def test_the_server_pings(start, call):
    caller = call(start(ping_interval_s=0.1), "/market/ws")
    opcode, _ = caller.ws.recv_data(control_frame=True)
    assert opcode == websocket.ABNF.OPCODE_PING


def test_a_connection_ends_with_its_lifetime_after_an_announcement(start, call):
    caller = call(start(lifetime_s=0.1), "/market/stream")
    assert caller.receive()["data"]["e"] == "serverShutdown"
    opcode, payload = caller.ws.recv_data()
    assert (opcode, payload[:2]) == (websocket.ABNF.OPCODE_CLOSE, (1001).to_bytes(2, "big"))


def test_the_trade_stream_carries_prints_that_are_no_trades(start, call):
    caller = call(start(speed=200.0), "/public/ws/btcusdt@trade")
    events = caller.events(2500)
    ids = [event["t"] for event in events]
    assert ids == list(range(ids[0], ids[0] + 2500))
    kinds = {event["X"] for event in events}
    assert kinds >= {"MARKET", "NA"}
    assert all(e["p"] == e["q"] == "0" for e in events if e["X"] == "NA")


def test_the_market_goes_on_after_a_restart_of_the_process(start, call):
    first = start(speed=1.0)
    before = call(first, "/market/ws/btcusdt@aggTrade").events(3)
    first.stop()
    second = start(speed=1.0)
    url = f"{second.rest_url}/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={before[0]['a']}&limit=3"
    import json

    time.sleep(max(0.0, (before[2]["T"] - second.market.now_ms() + 50) / 1000))
    rows = json.loads(urllib.request.urlopen(url).read())
    assert [row["a"] for row in rows] == [event["a"] for event in before]
    assert [row["p"] for row in rows] == [event["p"] for event in before]


def test_stop_hangs_up_at_once_and_start_after_stop_works(start, call):
    exchange = start()
    call(exchange, "/market/ws/btcusdt@aggTrade").events(1)
    began = time.monotonic()
    exchange.stop()
    assert time.monotonic() - began < 2.0
    assert not exchange.running
    exchange.start()
    assert call(exchange, "/market/ws/btcusdt@aggTrade").events(1)


def test_a_taken_port_is_an_error_of_the_caller():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        exchange = Exchange(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="address already in use|10048"):
            exchange.start()
        assert not exchange.running


def test_many_clients_see_the_same_ids(start, call):
    exchange = start()
    callers = [call(exchange, "/market/ws/btcusdt@aggTrade") for _ in range(8)]
    seen = [{event["a"] for event in caller.events(60)} for caller in callers]
    assert len(set.intersection(*seen)) > 20


def test_the_simulator_starts_alone_and_names_its_addresses():
    command = [sys.executable, "-m", "simulator", "--port", "0", "--rate", "2"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        assert process.wait(10) in (0, 1, -15)
    assert "BINANCE_WS_URL=ws://127.0.0.1:" in line
    assert "BINANCE_REST_URL=http://127.0.0.1:" in line


def test_senseless_options_end_with_a_sentence():
    command = [sys.executable, "-m", "simulator", "--replay", "/no/such/folder", "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "No recording at" in done.stderr
    assert "Traceback" not in done.stderr
