"""Feeds from files and from REST, and users' own feeds, which must run unchanged."""

import gzip
import json
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import data_feed
from data_feed import CSVDataFeed, DataFeed, RESTDataFeed, Tick
from errors import BadInput

RECORDING = Path(__file__).parents[1] / "../shared/data/binance-usdm-2024-08-08"


class UsersFeed(DataFeed):
    """As a user writes it: no __init__, and the base class's attributes taken for granted."""

    def connect(self, symbols):
        assert self._connected is False
        self._connected = True
        for symbol in symbols:
            self._count += 1
            self._callback(Tick(symbol, 1, 1.0, 1.0))

    def disconnect(self):
        self._connected = False

    def set_callback(self, callback):
        self._callback = callback

    def is_connected(self):
        return self._connected

    def get_stats(self):
        return {"ticks": self._count}


def test_a_users_own_feed_runs_unchanged():
    class WithInit(UsersFeed):
        def __init__(self, key):
            self.key = key

    for feed in (UsersFeed(), WithInit("k")):
        got = []
        feed.set_callback(got.append)
        assert not feed.is_connected()
        feed.connect(["btcusdt", "ethusdt"])
        assert feed.is_connected()
        assert feed.get_stats() == {"ticks": 2}
        feed.disconnect()
        assert not feed.is_connected()


def test_a_feed_that_leaves_a_method_out_cannot_be_made():
    class Half(DataFeed):
        def connect(self, symbols): ...

    with pytest.raises(TypeError):
        Half()


def play(path, symbols=("btcusdt",), **options):
    feed, got = CSVDataFeed(path, **options), []
    feed.set_callback(got.append)
    feed.connect(list(symbols))
    return feed, got


CSV = """symbol,timestamp,price,size
btcusdt,2024-08-08T23:54:16.322Z,61800.3,0.006
ETHUSDT,2024-08-08T23:54:16.560Z,2681.62,1.0
btcusdt,1723161256344,61800.4,0.199
"""


def test_the_documented_file_plays_in_order_and_only_what_was_asked_for(tmp_path):
    path = tmp_path / "historical_data.csv"
    path.write_text(CSV)
    feed, got = play(path)
    assert [(t.symbol, t.time_ms, t.price, t.size) for t in got] == [
        ("btcusdt", 1723161256322, 61800.3, 0.006),
        ("btcusdt", 1723161256344, 61800.4, 0.199),
    ]
    assert not feed.is_connected()
    assert feed.get_stats()["ticks"] == 2
    assert len(play(path, ("btcusdt", "ethusdt"))[1]) == 3


AGG = "26129,61800.30,0.006,5266583935,5266583935,1723161256322,true"
TRADE = "5266583935,61800.30,0.006,370.80,1723161256322,true"
AGG_HEAD = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
TRADE_HEAD = "id,price,qty,quote_qty,time,is_buyer_maker"


@pytest.mark.parametrize("packing", ["plain", "zip", "gz"])
@pytest.mark.parametrize("micros", [False, True])
@pytest.mark.parametrize(
    ("kind", "rows", "trade_id"),
    [
        ("aggTrades", [AGG_HEAD, AGG], 26129),
        ("aggTrades", [AGG], 26129),
        ("aggTrades", [AGG + ",true"], 26129),
        ("trades", [TRADE_HEAD, TRADE], 5266583935),
        ("trades", [TRADE], 5266583935),
        ("trades", [TRADE.replace("true", "True") + ",True"], 5266583935),
    ],
)
def test_the_archives_files_play_in_every_packing(tmp_path, packing, micros, kind, rows, trade_id):
    name = f"BTCUSDT-{kind}-2024-08-08.csv"
    text = "\n".join(rows)
    if micros:
        text = text.replace("1723161256322", "1723161256322987")
    path = tmp_path / name
    if packing == "plain":
        path.write_text(text)
    elif packing == "gz":
        path = tmp_path / (name + ".gz")
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path = tmp_path / name.replace("csv", "zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, text)
    _, got = play(path)
    assert got == [Tick("btcusdt", 1723161256322, 61800.3, 0.006, trade_id, True)]


def test_lines_of_json_play(tmp_path):
    path = tmp_path / "a.ndjson"
    rows = [
        {"symbol": "BTCUSDT", "timestamp": "2024-08-08T23:54:16.322Z", "price": 1.5, "size": 2},
        {"stream": "btcusdt@aggTrade", "data": {"e": "aggTrade", "a": 7, "s": "BTCUSDT",
         "p": "84551.10", "q": "0.030", "T": 1790526538883, "m": True}},
        {"e": "trade", "s": "BTCUSDT", "t": 1, "p": "0", "q": "0", "X": "NA", "T": 1, "m": True},
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n")
    feed, got = play(path)
    assert [t.price for t in got] == [1.5, 84551.1]
    assert feed.get_stats()["refused"] == {"not a market trade": 1, "not a JSON object": 1}
    assert feed.get_stats()["first_lines"] == {"not a market trade": [3], "not a JSON object": [4]}


def test_a_recording_plays_whole():
    path = RECORDING / "btcusdt-trade-frames.ndjson.gz"
    if not path.exists():
        pytest.skip("the recordings are not beside this checkout")
    feed, got = play(path)
    assert len(got) == 21_313
    assert [t.trade_id for t in got] == list(range(5266583935, 5266583935 + 21_313))
    assert feed.get_stats()["refused"] == {}


def test_a_file_without_a_symbol_is_the_one_symbol_asked_for(tmp_path):
    path = tmp_path / "prints.csv"
    path.write_text("time,price,qty\n1723161256322,1,2\n")
    assert play(path)[1][0].symbol == "btcusdt"
    with pytest.raises(BadInput, match="does not say which symbol"):
        play(path, ("btcusdt", "ethusdt"))


def test_bad_rows_are_counted_with_their_lines_and_the_good_ones_play(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        CSV + "btcusdt,yesterday,1,1\nbtcusdt,1723161256344,nan,1\nbtcusdt,1723161256344,1,-1\n"
        'btcusdt,1723161256344\n"btcusdt,1723161256344,1,1\nbtcusdt,1723161256345,7,1\n'
    )
    feed, got = play(path)
    assert [t.price for t in got] == [61800.3, 61800.4, 7.0]
    assert feed.get_stats()["first_lines"] == {
        "time is not readable": [5],
        "price not positive and finite": [6],
        "size not positive and finite": [7],
        "too few columns": [8, 9],
    }


def test_a_large_file_is_never_held_whole(tmp_path):
    import tracemalloc

    path = tmp_path / "BTCUSDT-trades-2024-08-08.csv"
    with path.open("w") as file:
        for k in range(60_000):
            file.write(f"{k},61800.30,0.006,370.80,{1723161256322 + k},true\n")
    feed, most = CSVDataFeed(path), [0]

    def watch(_tick):
        most[0] += 1

    feed.set_callback(watch)
    tracemalloc.start()
    feed.connect(["btcusdt"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most[0] == 60_000
    assert peak < path.stat().st_size / 2


def test_a_speed_plays_in_a_thread_by_the_prints_own_clock(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("symbol,timestamp,price,size\n" + "".join(
        f"btcusdt,{1723161256000 + 1000 * k},1,1\n" for k in range(4)
    ))  # fmt: skip
    begun = time.monotonic()
    feed, got = play(path, speed=10)
    assert feed.is_connected()
    while feed.is_connected():
        time.sleep(0.01)
    assert 0.25 < time.monotonic() - begun < 5
    assert len(got) == 4
    feed, got = play(path, speed=0.01)
    feed.disconnect()
    assert not feed.is_connected()
    assert len(got) <= 1


def test_the_callback_may_stop_the_feed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    feed, got = CSVDataFeed(path), []
    feed.set_callback(lambda tick: (got.append(tick), feed.disconnect()))
    feed.connect(["btcusdt", "ethusdt"])
    assert len(got) == 1


def test_wrong_use_is_said(tmp_path):
    with pytest.raises(BadInput, match="set_callback before connect"):
        CSVDataFeed(tmp_path / "a.csv").connect(["btcusdt"])
    with pytest.raises(BadInput, match="is not a file"):
        play(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="speed is 0"):
        CSVDataFeed("a.csv", speed=0)
    with pytest.raises(BadInput, match="is not an http"):
        RESTDataFeed("ftp://example.com")
    with pytest.raises(BadInput, match="poll_interval"):
        RESTDataFeed("http://example.com", poll_interval=0)


# -- REST ------------------------------------------------------------------------------------


class Exchange:
    """A small server whose answers a test puts in a list; the last is repeated."""

    def __init__(self, answers):
        self.answers, self.asked, self.connections = list(answers), [], set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked.append((time.monotonic(), self.path))
                outer.connections.add(self.client_address)
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                status, headers, body = answer if isinstance(answer, tuple) else (200, {}, answer)
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def ask(exchange, until, symbols=("btcusdt",), interval=0.02):
    feed, got = RESTDataFeed(exchange.url + "/", poll_interval=interval), []
    feed.set_callback(got.append)
    feed.connect(list(symbols))
    deadline = time.monotonic() + 20
    while not until(feed, got) and time.monotonic() < deadline:
        time.sleep(0.01)
    connected = feed.is_connected()
    feed.disconnect()
    assert not feed.is_connected()
    return feed, got, connected


def quote(price, timestamp, size=1.0, name="size"):
    return {"price": price, name: size, "timestamp": timestamp}


def test_rest_answers_become_ticks_once_each_over_one_connection():
    answers = [
        quote(10.0, "2024-08-08T23:54:16Z"),
        quote(10.0, "2024-08-08T23:54:16Z"),
        quote("10.5", 1723161256000, "2", "volume"),
        quote(10.0, 1723161256),
        quote(9.0, 1723161255000),
        quote(11.0, 1723161257000),
    ]
    with Exchange(answers) as exchange:
        feed, got, connected = ask(exchange, lambda f, _: f.get_stats()["repeats"] > 4)
    assert connected
    assert [(t.price, t.size, t.time_ms) for t in got] == [
        (10.0, 1.0, 1723161256000),
        (10.5, 2.0, 1723161256000),
        (11.0, 1.0, 1723161257000),
    ]
    assert exchange.asked[0][1] == "/btcusdt"
    assert len(exchange.connections) == 1


def test_rest_backs_off_while_the_source_fails_and_comes_back():
    answers = [(500, {}, b""), (200, {}, b"<html>"), (503, {"Retry-After": "0.4"}, b"")]
    with Exchange([*answers, quote(10.0, 1723161256000)]) as exchange:
        feed, got, connected = ask(exchange, lambda f, g: bool(g))
    assert connected
    assert len(got) == 1
    assert feed.get_stats()["failures"] == {
        "HTTP 500": 1, "the answer is not JSON": 1, "HTTP 503": 1,
    }  # fmt: skip
    times = [at for at, _ in exchange.asked]
    assert times[3] - times[2] >= 0.4


def test_rest_says_when_it_is_not_connected():
    with Exchange([quote(1.0, 1)]) as exchange:
        url = exchange.url
    exchange.url = url
    feed, got, connected = ask(exchange, lambda f, _: f.get_stats()["in_a_row"] >= 2)
    assert not connected
    assert got == []
    assert feed.get_stats()["failures"] == {"no connection": feed.get_stats()["in_a_row"]}


def test_rest_answers_that_make_no_tick_are_counted():
    answers = [
        [1, 2],
        {"price": 1.0, "size": 1.0},
        quote("x", 1723161256000),
        quote(-1, 1723161256000),
        quote(1, 1723161256000),
    ]
    with Exchange(answers) as exchange:
        feed, got, _ = ask(exchange, lambda _, g: bool(g))
    assert feed.get_stats()["failures"] == {
        "the answer is not an object": 1,
        "time is not readable": 1,
        "price is not a number": 1,
        "price not positive and finite": 1,
    }


def test_one_unknown_symbol_does_not_silence_the_others():
    with Exchange([(404, {}, b"{}"), quote(1, 1723161256000)]) as exchange:
        feed, got, connected = ask(exchange, lambda _, g: bool(g), ("nosuch", "btcusdt"))
    assert connected
    assert got[0].symbol == "btcusdt"


def test_pauses_double_with_jitter_up_to_the_longest():
    pauses = data_feed._pauses(1.0, 8.0)
    for middle in (1, 2, 4, 8, 8, 8):
        assert 0.75 * middle <= next(pauses) <= 1.25 * middle


@pytest.mark.parametrize(("text", "low", "high"), [("", 0, 0), ("3", 3, 3), ("-1", 0, 0),
    ("1e9", 3600, 3600), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0), ("soon", 0, 0)])  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text, low, high):
    response = data_feed.requests.Response()
    response.headers["Retry-After"] = text
    assert low <= data_feed._retry_after_s(response) <= high
