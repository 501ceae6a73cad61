"""Paper fills and alerts on the candles they happened in."""

from __future__ import annotations

import re

import numpy as np
import pytest

from candles import CandleColumns
from charts.ohlc import CandlePanel, Mark, mark_traces, panels, rebased
from charts.style import SAFE, USUAL
from database import Database
from storage import alert_store, books
from ticks import TickBatch
from views.events import on_candles, read_events
from views.ohlc import OhlcOptions, read_ohlc

MINUTE = 60_000
BEGIN = 1_700_000_040_000


def candles(count=5, first=100.0):
    close = first + np.arange(count, dtype=float)
    at = BEGIN + MINUTE * np.arange(count, dtype=np.int64)
    zeros = np.zeros(count, dtype=np.int64)
    return CandleColumns(zeros, at, close, close + 1, close - 1, close, np.ones(count))


def test_a_mark_lies_on_the_candle_that_holds_it_at_its_own_price():
    (mark,) = on_candles([Mark(BEGIN + MINUTE + 45_000, 101.5, "a", 1)], candles(), MINUTE)
    assert (mark.at_ms, mark.price, mark.side) == (BEGIN + MINUTE, 101.5, 1)


def test_a_mark_at_the_open_belongs_to_that_candle_and_not_to_the_one_before():
    (mark,) = on_candles([Mark(BEGIN + MINUTE, 100.0, "a", -1)], candles(), MINUTE)
    assert mark.at_ms == BEGIN + MINUTE


def test_marks_outside_the_candles_or_in_a_hole_are_left_out():
    holed = candles()
    keep = np.array([0, 1, 3, 4])
    holed = CandleColumns(*(getattr(holed, n)[keep] for n in CandleColumns.__slots__))
    marks = [Mark(BEGIN - 1, 1, "before", 1), Mark(BEGIN + 2 * MINUTE + 5, 1, "hole", 1),
             Mark(BEGIN + 5 * MINUTE, 1, "after", 1)]  # fmt: skip
    assert on_candles(marks, holed, MINUTE) == ()
    assert on_candles(marks, candles(0), MINUTE) == ()


def test_an_alert_without_a_price_of_its_own_lies_on_the_close():
    (mark,) = on_candles([Mark(BEGIN + 2 * MINUTE + 7, float("nan"), "z", 0)], candles(), MINUTE)
    assert mark.price == 102.0


def test_marks_of_one_candle_tell_of_each_other_and_of_how_many_more():
    marks = [Mark(BEGIN + k, 100.0, f"fill {k}", 1) for k in range(9)]
    placed = on_candles(marks, candles(), MINUTE)
    assert placed[0].text.startswith("fill 0<br>fill 1<br>")
    assert placed[0].text.endswith("and 3 more in this candle")


@pytest.mark.parametrize("colours", [USUAL, SAFE])
def test_bought_sold_and_alert_differ_by_shape_and_by_colour(colours):
    marks = [Mark(1, 1.0, "b", 1), Mark(2, 1.0, "s", -1), Mark(3, 1.0, "a", 0)]
    traces = mark_traces(marks, 1, colours)
    assert [t["name"] for t in traces] == ["Bought (paper)", "Sold (paper)", "Alert"]
    assert len({t["marker"]["symbol"] for t in traces}) == 3
    assert len({t["marker"]["color"] for t in traces}) == 3
    assert traces[0]["marker"]["color"] == colours.up
    assert traces[1]["marker"]["color"] == colours.down


def test_a_trace_keeps_its_name_when_marks_come_and_a_group_is_in_the_legend_once():
    def shown(*marks):
        return [CandlePanel(s, candles(), marks=marks) for s in ("btcusdt", "ethusdt")]

    def uids(figure):
        return {t["uid"] for t in figure["data"]}

    before = panels(shown(), USUAL)
    after = panels(shown(Mark(BEGIN, 100.0, "b", 1)), USUAL)
    assert uids(before) < uids(after)
    assert all(re.fullmatch("[0-9a-f]+", uid) for uid in uids(after)), "Plotly makes a class of it"
    in_legend = [t["name"] for t in after["data"] if t["showlegend"]]
    assert in_legend == ["Bought (paper)"]
    percent = {s: np.zeros(5) for s in ("btcusdt", "ethusdt")}
    assert uids(rebased(shown(), USUAL, percent=percent))


@pytest.fixture
def database(tmp_path):
    with Database(tmp_path / "e.db") as opened:
        yield opened


def write(database, store):
    with database.transaction() as con:
        store(con)


def fill(account_price, time_ms, quantity, order="o1", symbol="btcusdt"):
    return {
        "order_id": order, "time_ms": time_ms, "symbol": symbol, "pair_id": "",
        "quantity": quantity, "price": account_price, "fee": 0.1, "slippage": 0.0,
        "reference_price": account_price, "trade_id": 1, "maker": False, "note": "",
    }  # fmt: skip


def settings(name):
    return {"name": name, "starting_equity": 1e4, "currency": "USDT"}


def test_fills_and_alerts_are_read_with_names_shown_as_text(database):
    def store(con):
        books.put_account(con, "a1", settings("<b>me</b>"), BEGIN, 1e4)
        books.add_fill(con, "a1", fill(101.25, BEGIN + MINUTE + 5, 0.5))
        books.add_fill(con, "a1", fill(102.0, BEGIN + MINUTE + 9, -0.5, "o2"))
        body = {"sentence": "Price of BTCUSDT above 101", "value": 101.5, "note": "", "detail": {},
                "quiet": False, "metric": "price", "symbols": ["btcusdt"]}  # fmt: skip
        alert_store.add_alert(con, "gone", BEGIN + MINUTE, BEGIN + MINUTE, body)
        pair = body | {"metric": "zscore", "symbols": ["btcusdt", "ethusdt"], "value": 2.5}
        alert_store.add_alert(con, "gone", BEGIN + 2 * MINUTE, BEGIN + 2 * MINUTE, pair)

    write(database, store)
    with database.snapshot() as snapshot:
        found = read_events(snapshot, ("btcusdt", "ethusdt"), BEGIN)
        later = read_events(snapshot, ("btcusdt", "ethusdt"), BEGIN + MINUTE + 7)
    btc = found["btcusdt"]
    assert [m.side for m in btc] == [-1, 1, 0, 0]
    assert "Bought 0.5 BTCUSDT at 101.25 (taker), paper account &lt;b&gt;me" in btc[1].text
    assert "2023-11-14 22:15:00.005 UTC" in btc[1].text
    assert [m.price for m in btc if m.side == 0 and m.price == m.price] == [101.5]
    assert [m.side for m in found["ethusdt"]] == [0]
    assert [m.side for m in later["btcusdt"]] == [-1, 0]


def test_a_closed_accounts_fills_are_drawn_no_longer(database):
    write(database, lambda con: books.put_account(con, "a1", settings("me"), BEGIN, 1e4))
    write(database, lambda con: books.add_fill(con, "a1", fill(1.0, BEGIN, 1.0)))
    with database.snapshot() as snapshot:
        assert len(read_events(snapshot, ("btcusdt",), BEGIN)["btcusdt"]) == 1
    write(database, lambda con: books.close_account(con, "a1", BEGIN + 1))
    with database.snapshot() as snapshot:
        assert read_events(snapshot, ("btcusdt",), BEGIN)["btcusdt"] == ()


@pytest.mark.parametrize("mode", ["panels", "rebased"])
def test_the_chart_holds_the_fill_within_its_candle(database, mode):
    batch = TickBatch("aggTrade")
    for k in range(300):
        row = ("btcusdt", BEGIN + 1_000 * k, 100 + k % 7, 1.0, k + 1, False)
        for column, value in zip(
            ("symbol", "time_ms", "price", "size", "trade_id", "is_buyer_maker"), row, strict=True
        ):
            getattr(batch, column).append(value)
    database.write(batch)
    write(database, lambda con: books.put_account(con, "a1", settings("me"), BEGIN, 1e4))
    at = BEGIN + 90_000
    write(database, lambda con: books.add_fill(con, "a1", fill(103.0, at, 1.0)))
    with database.snapshot() as snapshot:
        view = read_ohlc(snapshot, OhlcOptions(("btcusdt",), "1min", mode=mode), BEGIN + 300_000)
    trace = next(t for t in view.figure["data"] if t["name"] == "Bought (paper)")
    assert trace["x"].tolist() == [BEGIN + MINUTE]
    c = view.candles["btcusdt"]
    k = int(np.searchsorted(c.open_ms, trace["x"][0]))
    if mode == "panels":
        assert c.low[k] <= trace["y"][0] <= c.high[k]
    else:
        assert trace["y"][0] == pytest.approx((103.0 / c.close[0] - 1) * 100)
