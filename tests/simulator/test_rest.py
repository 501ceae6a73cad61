"""The REST side: rows, limits, weights and refusals."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import requests

from simulator import Clock, PlantedMarket, PlantedTape
from simulator.rest import HOUR_MS, KEPT_MS, Answer, Rest

NOW = 1_781_524_800_000


class Setting:
    """A REST side with a market clock and a budget clock that stand still."""

    def __init__(self, weight: int = 1_000_000, now: int = NOW) -> None:
        self.seconds = 1_000_000.0 * 60
        market = PlantedMarket(PlantedTape(), Clock(now=lambda: 0.0, start_ms=now))
        self.tape = market.tape
        self.rest = Rest(market, weight, lambda: self.seconds)

    def get(self, path: str) -> Answer:
        return self.rest.answer("/fapi/v1/" + path)

    def rows(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def error(self, path: str) -> int:
        answer = self.get(path)
        assert answer.status >= 400
        return json.loads(answer.body)["code"]


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_aggtrades_from_an_id_are_the_tape_inclusive_and_ascending(setting):
    first = setting.tape.id_at("btcusdt", NOW - HOUR_MS)
    rows = setting.rows(f"aggTrades?symbol=BTCUSDT&fromId={first}&limit=1000")
    truth = setting.tape.trades("btcusdt", first, first + 1000)
    assert [row["a"] for row in rows] == truth.id.tolist()
    assert [float(row["p"]) for row in rows] == truth.price.tolist()
    assert [row["T"] for row in rows] == truth.time_ms.tolist()
    assert set(rows[0]) == {"a", "p", "q", "nq", "f", "l", "T", "m"}


def test_aggtrades_without_bounds_are_the_latest_and_never_of_the_future(setting):
    rows = setting.rows("aggTrades?symbol=BTCUSDT")
    assert len(rows) == 500
    assert rows[-1]["a"] == setting.tape.id_at("btcusdt", NOW + 1) - 1
    assert rows[-1]["T"] <= NOW
    beyond = rows[-1]["a"] + 1
    assert setting.rows(f"aggTrades?symbol=BTCUSDT&fromId={beyond}") == []


def test_aggtrades_between_two_times_include_both_ends(setting):
    start = NOW - 600_000
    rows = setting.rows(f"aggTrades?symbol=BTCUSDT&startTime={start}&endTime={start + 9999}")
    truth = setting.tape.trades_between("btcusdt", start, start + 10_000)
    assert [row["a"] for row in rows] == truth.id.tolist()


def test_an_hour_or_more_is_refused_and_so_is_an_id_with_times(setting):
    path = f"aggTrades?symbol=BTCUSDT&startTime={NOW - 2 * HOUR_MS}&endTime="
    assert setting.error(path + str(NOW - HOUR_MS)) == -1127
    assert setting.get(path + str(NOW - HOUR_MS - 1)).status == 200
    assert setting.error(f"aggTrades?symbol=BTCUSDT&fromId=5&startTime={NOW}") == -1128


def test_aggtrades_older_than_48_hours_are_not_there(setting):
    rows = setting.rows("aggTrades?symbol=BTCUSDT&fromId=1&limit=5")
    assert rows[0]["a"] == setting.tape.id_at("btcusdt", NOW - KEPT_MS)
    old = NOW - KEPT_MS - HOUR_MS
    assert setting.rows(f"aggTrades?symbol=BTCUSDT&startTime={old}&endTime={old + 60_000}") == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("aggTrades", -1102),
        ("aggTrades?symbol=NOSUCHUSDT", -1121),
        ("aggTrades?symbol=btcusdt", -1121),
        ("aggTrades?symbol=BTCUSDT&limit=1001", -1130),
        ("aggTrades?symbol=BTCUSDT&limit=0", -1130),
        ("aggTrades?symbol=BTCUSDT&fromId=x", -1102),
        ("aggTrades?symbol=BTCUSDT&fromId=-1", -1102),
        ("klines?symbol=BTCUSDT&interval=7m", -1120),
        ("klines?symbol=BTCUSDT&interval=1m&limit=1501", -1130),
        ("historicalTrades?symbol=BTCUSDT", -2014),
        ("nothing", -5000),
    ],
)
def test_what_cannot_be_answered_has_the_exchange_s_error(setting, path, code):
    assert setting.error(path) == code


def test_klines_equal_the_trades_in_them(setting):
    rows = setting.rows(f"klines?symbol=ETHUSDT&interval=1m&startTime={NOW - 600_000}&limit=5")
    assert [row[0] for row in rows] == [NOW - 600_000 + 60_000 * k for k in range(5)]
    for row in rows:
        trades = setting.tape.trades_between("ethusdt", row[0], row[0] + 60_000)
        price, size = trades.price, trades.quantity
        assert [float(x) for x in row[1:5]] == [price[0], price.max(), price.min(), price[-1]]
        assert float(row[5]) == pytest.approx(size.sum(), rel=1e-12)
        assert float(row[7]) == pytest.approx((price * size).sum(), rel=1e-12)
        assert float(row[9]) == pytest.approx(size[~trades.is_buyer_maker].sum(), rel=1e-12)
        assert row[6] == row[0] + 59_999
        assert len(row) == 12


def test_klines_without_bounds_end_with_the_forming_candle():
    setting = Setting(now=NOW + 90_000)
    rows = setting.rows("klines?symbol=XRPUSDT&interval=5m&limit=3")
    assert np.diff([row[0] for row in rows]).tolist() == [300_000, 300_000]
    assert rows[-1][0] == NOW


def test_exchange_info_has_what_a_client_validates_against(setting):
    info = setting.rows("exchangeInfo")
    assert info["serverTime"] == NOW
    assert info["rateLimits"][0]["limit"] == 1_000_000
    symbols = {row["symbol"]: row for row in info["symbols"]}
    assert len(symbols) >= 20
    btc = symbols["BTCUSDT"]
    assert (btc["status"], btc["contractType"]) == ("TRADING", "PERPETUAL")
    filters = {row["filterType"]: row for row in btc["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.1"
    assert filters["LOT_SIZE"]["stepSize"] == "0.001"


def test_funding_comes_every_eight_hours(setting):
    rows = setting.rows("fundingRate?symbol=BTCUSDT&limit=4")
    assert np.diff([row["fundingTime"] for row in rows]).tolist() == [8 * HOUR_MS] * 3
    assert rows[-1]["fundingTime"] <= NOW
    symbols = {row["symbol"] for row in setting.rows("fundingRate?limit=24")}
    assert len(symbols) == len(setting.tape.specs)


def test_weights_add_up_in_the_header_and_a_minute_gives_them_back():
    setting = Setting(weight=100)
    used = [setting.get("aggTrades?symbol=BTCUSDT&limit=1").used_weight for _ in range(5)]
    assert used == [20, 40, 60, 80, 100]
    refused = setting.get("ping")
    assert (refused.status, refused.retry_after_s) == (429, 60)
    assert json.loads(refused.body)["code"] == -1003
    setting.seconds += 60
    assert setting.get("klines?symbol=BTCUSDT&interval=1m&limit=99").used_weight == 1
    assert setting.get("klines?symbol=BTCUSDT&interval=1m&limit=1500").used_weight == 11


def test_those_who_go_on_after_429_are_banned_with_418():
    setting = Setting(weight=1)
    answers = [setting.get("ping") for _ in range(30)]
    assert [a.status for a in answers[:3]] == [200, 429, 429]
    assert (answers[-1].status, answers[-1].retry_after_s) == (418, 120)
    setting.seconds += 60
    assert setting.get("ping").status == 418
    setting.seconds += 61
    assert setting.get("ping").status == 200


def test_rest_and_websocket_share_one_port(start):
    exchange = start(weight_a_minute=50)
    answer = requests.get(exchange.rest_url + "/fapi/v1/aggTrades?symbol=BTCUSDT", timeout=5)
    assert answer.status_code == 200
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "20"
    statuses = [
        requests.get(exchange.rest_url + "/fapi/v1/aggTrades?symbol=BTCUSDT", timeout=5)
        for _ in range(3)
    ]
    if statuses[-1].status_code == 429:  # unless a minute has just begun
        assert 1 <= int(statuses[-1].headers["Retry-After"]) <= 60
