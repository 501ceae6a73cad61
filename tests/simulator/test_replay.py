"""Recordings come back frame by frame, on their own clock."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
import requests
import websocket

from errors import BadInput
from simulator import PlantedTape, Recording, Replay
from simulator.replay import SAMPLES
from simulator.samples import make_sample
from simulator.wire import combined, trade_events

SYMBOLS = ("btcusdt", "ethusdt")


def lines(folder: Path, symbol: str) -> list[bytes]:
    (path,) = folder.glob(f"{symbol}*.gz")
    return gzip.open(path).read().splitlines()


def played(caller, count: int) -> list[bytes]:
    return [caller.ws.recv_data()[1] for _ in range(count)]


def test_the_shipped_sample_comes_back_frame_by_frame(start, call):
    exchange = start(market=Replay(speed=None))
    assert exchange.market.kind == "aggTrade"
    caller = call(exchange, "/market/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade")
    recorded = {symbol: lines(SAMPLES, symbol) for symbol in SYMBOLS}
    frames = played(caller, sum(map(len, recorded.values())))
    for symbol in SYMBOLS:
        mine = [f for f in frames if f.startswith(b'{"stream":"' + symbol.encode())]
        assert mine == recorded[symbol]
    times = [json.loads(frame)["data"]["E"] for frame in frames]
    highest = 0
    for moment in times:  # merged: never behind by more than the jitter within one file
        assert moment > highest - 100
        highest = max(highest, moment)
    assert exchange.market.finished.wait(5)
    assert exchange.market.progress() == 1.0


def test_the_real_recording_comes_back_frame_by_frame(start, call, real_recording):
    exchange = start(market=Replay(real_recording, speed=None))
    assert exchange.market.kind == "trade"
    caller = call(exchange, "/public/stream?streams=btcusdt@trade/ethusdt@trade")
    recorded = {symbol: lines(real_recording, symbol) for symbol in SYMBOLS}
    assert [len(recorded[symbol]) for symbol in SYMBOLS] == [21_313, 14_076]
    frames = played(caller, 21_313 + 14_076)
    for symbol in SYMBOLS:
        mine = [f for f in frames if f.startswith(b'{"stream":"' + symbol.encode())]
        assert mine == recorded[symbol]
    clock = requests.get(exchange.rest_url + "/fapi/v1/time", timeout=5).json()
    assert clock["serverTime"] == exchange.tape.end_ms


def test_raw_routes_get_the_data_alone(start, call):
    exchange = start(market=Replay(speed=None))
    caller = call(exchange, "/market/ws/btcusdt@aggTrade")
    recorded = [json.loads(line)["data"] for line in lines(SAMPLES, "btcusdt")[:50]]
    assert [json.loads(frame) for frame in played(caller, 50)] == recorded


def test_the_recording_waits_for_its_first_subscriber_and_for_all_he_asks(start, call):
    exchange = start(market=Replay(speed=None))
    time.sleep(0.1)
    caller = call(exchange, "/market/stream")
    for symbol in SYMBOLS:
        caller.ask("SUBSCRIBE", [f"{symbol}@aggTrade"])
        time.sleep(0.1)
    firsts = {}
    while len(firsts) < 2:
        event = caller.events(1)[0]
        firsts.setdefault(event["s"], event["a"])
    truth = {symbol.upper(): exchange.tape.first_id(symbol) for symbol in SYMBOLS}
    assert firsts == truth


def test_speed_is_recorded_seconds_a_second(start, call):
    exchange = start(market=Replay(speed=60.0))
    caller = call(exchange, "/market/ws/btcusdt@aggTrade")
    first = caller.events(1)[0]["E"]
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        last = caller.events(1)[0]["E"]
    assert (last - first) / 1000 == pytest.approx(60.0, rel=0.25)
    assert first <= exchange.market.now_ms() <= exchange.tape.end_ms


def test_the_recording_s_clock_is_the_exchange_s_clock(start):
    exchange = start(market=Replay())
    base = exchange.rest_url + "/fapi/v1/"
    now = requests.get(base + "time", timeout=5).json()["serverTime"]
    assert now == exchange.tape.begin_ms
    info = requests.get(base + "exchangeInfo", timeout=5).json()
    assert [row["symbol"] for row in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    assert info["symbols"][0]["filters"][0]["tickSize"] == "0.1"


def test_rest_tells_what_has_been_played_and_not_what_is_to_come(start, call):
    exchange = start(market=Replay(speed=None))
    caller = call(exchange, "/market/ws/btcusdt@aggTrade/ethusdt@aggTrade")
    caller.events(len(exchange.tape.events))
    first = exchange.tape.first_id("btcusdt")
    url = f"{exchange.rest_url}/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={first}&limit=1000"
    rows = requests.get(url, timeout=5).json()
    recorded = [json.loads(line)["data"] for line in lines(SAMPLES, "btcusdt")[:1000]]
    assert [(r["a"], r["p"], r["q"], r["T"]) for r in rows] == [
        (e["a"], e["p"], e["q"], e["T"]) for e in recorded
    ]


def test_a_recording_of_single_trades_has_no_aggtrades_to_give(start, tmp_path):
    trades = PlantedTape().trades_between("xrpusdt", 1_781_524_800_000, 1_781_524_860_000)
    frames = [combined(event.stream, event.data) for event in trade_events(trades)]
    (tmp_path / "xrp.ndjson").write_bytes(b"\n".join(frames))
    exchange = start(market=Replay(tmp_path))
    assert exchange.market.kind == "trade"
    url = exchange.rest_url + "/fapi/v1/"
    answer = requests.get(url + "aggTrades?symbol=XRPUSDT", timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (400, -4000)
    answer = requests.get(url + "historicalTrades?symbol=XRPUSDT", timeout=5)
    assert answer.json()["code"] == -2014


def test_the_shipped_sample_is_what_its_script_makes():
    for symbol in SYMBOLS:
        made = [line.strip() for line in make_sample.lines(symbol)]
        assert lines(SAMPLES, symbol) == made
    assert sum(path.stat().st_size for path in SAMPLES.glob("*.gz")) < 300_000


def test_what_is_no_recording_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="No recording at"):
        Recording(tmp_path)
    (tmp_path / "a.ndjson").write_text('{"e":"aggTrade"}\n')
    with pytest.raises(BadInput, match="Line 1 of a.ndjson is not a frame"):
        Recording(tmp_path)
    (tmp_path / "a.ndjson").write_text("")
    with pytest.raises(BadInput, match="holds no frames"):
        Recording(tmp_path)
    (tmp_path / "a.ndjson.gz").write_bytes(b"this is not gzip")
    with pytest.raises(BadInput, match="a.ndjson.gz"):
        Recording(tmp_path / "a.ndjson.gz")
    with pytest.raises(BadInput, match="speed"):
        Replay(speed=0.0)


def test_a_recording_of_mixed_prints_is_refused(tmp_path):
    one = '{"e":"aggTrade","E":1,"T":1,"s":"BTCUSDT","a":1,"p":"1.0","q":"1","m":true}\n'
    (tmp_path / "a.ndjson").write_text(one + one.replace("aggTrade", "trade").replace('"a"', '"t"'))
    with pytest.raises(BadInput, match="aggTrade and trade"):
        Recording(tmp_path)


def test_a_dropped_replay_goes_on_where_it_was_once_somebody_is_back(start, call):
    exchange = start(market=Replay(speed=None))
    first = call(exchange, "/market/ws/btcusdt@aggTrade")
    first.events(10)
    first.ws.shutdown()
    time.sleep(0.3)
    stood = exchange.market.progress()
    time.sleep(0.2)
    if stood < 1.0:
        assert exchange.market.progress() == stood
        again = call(exchange, "/market/ws/btcusdt@aggTrade")
        assert again.events(1)
    assert isinstance(first.ws, websocket.WebSocket)
