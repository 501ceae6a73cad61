"""A page on another host is told of what was written, and asks nobody in between."""

import asyncio
import threading
import time

import pytest
from starlette.requests import Request

from database import Database
from live import route
from live.feed import FEEDS, Made
from tests.live.messages import apply, read
from ticks import TickBatch

START_MS = 1_723_161_256_000
HOLD_S = 3.0


def one(trade_id):
    time_ms = START_MS + 60_000 * trade_id
    return TickBatch("aggTrade", ["btcusdt"], [time_ms], [float(trade_id)], [1.0], [trade_id],
                     [None])  # fmt: skip


class Dashboard:
    """The data side of a page: a feed on a database, asked as a browser asks."""

    def __init__(self, database):
        self.database, self.made = database, 0
        self.feed = FEEDS.follow(
            ("told", id(self)), self.make, 0.05, news=database.news, hold_s=HOLD_S
        )
        self.seq, self.has = 0, None

    def make(self):
        self.made += 1
        with self.database.snapshot() as snapshot:
            closes = snapshot.candle_columns("btcusdt", "1min").close.tolist()
        return Made(None, {"closes": {"words": str(closes)}}, ((), ()))

    def ask(self):
        """What the page shows after one question, and how long the answer took."""
        begun = time.monotonic()
        query = f"have={self.seq}".encode()
        scope = {"type": "http", "method": "GET", "path": route.PATH, "query_string": query,
                 "headers": [(b"host", b"localhost")],
                 "path_params": {"token": self.feed.token}}  # fmt: skip
        answer = asyncio.run(route.answer(Request(scope)))
        assert answer.status_code == 200
        took_s = time.monotonic() - begun
        self.has = apply(bytes(answer.body), self.has)
        self.seq = read(bytes(answer.body))[0]["seq"]
        return self.has["closes"]["fields"]["words"], took_s


@pytest.fixture
def hosts(postgres):
    """A collector's database, and a dashboard that reads the same server."""
    url = postgres.new_schema()
    with Database(url) as writer:
        writer.write(one(1))
        with Database(url, read_only=True) as reader:
            until(lambda: reader.news.is_listening)
            yield writer, Dashboard(reader)
    FEEDS.clear()


def until(said, seconds=20):
    deadline = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def statements(postgres):
    """What the server was asked last on each connection, and when."""
    return postgres.run(
        "SELECT pid, query_start, query FROM pg_stat_activity WHERE "
        "application_name = 'crypto-analytics' AND pid <> pg_backend_pid() ORDER BY pid"
    )


def test_a_candle_stored_elsewhere_is_shown_when_it_is_stored_and_nothing_is_asked(postgres, hosts):
    writer, page = hosts
    assert page.ask()[0] == "[1.0]"
    time.sleep(0.1)
    asked, written, made = [], [], page.made

    def collect():
        asked.append(statements(postgres))
        time.sleep(1.5)
        asked.append(statements(postgres))
        writer.write(one(2))
        written.append(time.monotonic())

    collector = threading.Thread(target=collect)
    collector.start()
    text, took_s = page.ask()
    answered = time.monotonic()
    collector.join()
    assert text == "[1.0, 2.0]"
    assert 1.4 < took_s < HOLD_S
    assert answered - written[0] < 0.5
    assert asked[0] == asked[1], "no connection ran a statement while the page waited"
    assert page.made == made + 1


def test_what_was_written_between_two_questions_is_answered_at_once(hosts):
    writer, page = hosts
    page.ask()
    heard = page.database.news.count
    writer.write(one(2))
    until(lambda: page.database.news.count > heard)
    time.sleep(0.1)  # the message is no longer shared
    text, took_s = page.ask()
    assert (text, took_s < HOLD_S / 2) == ("[1.0, 2.0]", True)


def test_where_nothing_is_written_the_page_is_answered_for_its_clocks(hosts):
    _, page = hosts
    page.ask()
    made = page.made
    assert HOLD_S - 0.1 < page.ask()[1] < HOLD_S + 2
    assert page.made == made + 1


def test_a_page_asks_again_while_the_listening_connection_is_cut(own_postgres):
    url = own_postgres.new_schema()
    with Database(url) as writer, Database(url, read_only=True) as reader:
        writer.write(one(1))
        page = Dashboard(reader)
        until(lambda: reader.news.is_listening)
        page.ask()
        own_postgres.kill()
        until(lambda: not reader.news.is_listening)
        own_postgres.start()
        # The line comes back by itself, and what was written without it is shown.
        heard = reader.news.count
        writer.write(one(2))
        until(lambda: reader.news.is_listening and reader.news.count > heard)
        assert page.ask()[0] == "[1.0, 2.0]"
        assert own_postgres.cut_connections() > 0
        until(lambda: reader.news.count > heard + 1)
        writer.write(one(3))
        until(lambda: page.ask()[0] == "[1.0, 2.0, 3.0]")
        reader.news.is_listening = False
        page.ask()
        assert page.ask()[1] < HOLD_S / 2, "nobody tells, so the page is not kept waiting"
    FEEDS.clear()


def test_a_file_has_no_news(tmp_path):
    with Database(tmp_path / "a.db") as database:
        assert database.news is None


def test_the_thread_that_listens_ends_with_the_database(hosts):
    _, page = hosts

    def listening():
        return [t for t in threading.enumerate() if t.name == "database-news"]

    before = len(listening())
    assert before >= 1
    page.database.close()
    until(lambda: len(listening()) == before - 1)
    assert page.database.news is None or not page.database.news.is_listening
