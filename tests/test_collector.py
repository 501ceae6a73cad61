"""The collector as its users see it: states, symbols, full disks, and an end within a second."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import collector as collector_module
from binance import Mark
from collecting.headless import StructuredFormatter, status_line
from collector import BatchTickCollector
from config import Config
from data_feed import DataFeed
from database import Database
from simulator import Clock, Exchange, PlantedMarket, faults
from tests.feed_tools import QUICK, stored_rows, tape_rows, wait_until
from ticks import Tick

ROOT = Path(__file__).parents[1]


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange(PlantedMarket(clock=Clock(speed=10.0))) as running:
        yield running


@pytest.fixture
def database(db: Database) -> Database:
    return db


def make(exchange: Exchange, database: Database | None = None, **how: Any) -> BatchTickCollector:
    how = {
        "ws_base": exchange.ws_url,
        "rest_base": exchange.rest_url,
        "backfill_minutes": 0,
        "clock": exchange.market.now_ms,
        "deadlines": QUICK,
    } | how
    return BatchTickCollector(database, **how)


def flowing(feed: BatchTickCollector, more: int = 20) -> None:
    before = feed.health()["ticks"]
    wait_until(lambda: feed.health()["ticks"] >= before + more, 20, f"{more} more ticks")


def nothing_is_missing(exchange: Exchange, database: Database, symbol: str) -> bool:
    rows = stored_rows(database, symbol)
    truth = exchange.tape.trades(symbol, rows[0][0], rows[-1][0] + 1)
    return rows == tape_rows(truth)


def test_the_example_of_the_readme_stores_and_calls_back(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Config, "DB_PATH", str(tmp_path / "own.db"))
    monkeypatch.setattr(Config, "BINANCE_WS_BASE", exchange.ws_url)
    monkeypatch.setattr(Config, "BINANCE_REST_BASE", exchange.rest_url)
    monkeypatch.setattr(Config, "BACKFILL_MINUTES", 1)
    seen: list[Tick] = []
    feed = BatchTickCollector()
    assert isinstance(feed, DataFeed)
    assert not feed.is_connected()
    feed.set_callback(seen.append)
    feed.start([" BTCUSDT", "ethusdt", "btcusdt"])
    wait_until(lambda: len(seen) > 100, 20, "the callback sees ticks")
    assert feed.is_connected()
    begun = time.monotonic()
    feed.stop()
    assert time.monotonic() - begun < 1.0
    assert not feed.is_connected()
    assert feed.health()["state"] == "stopped"
    with Database(tmp_path / "own.db") as database:
        rows = {(s, r[0]) for s in ("btcusdt", "ethusdt") for r in stored_rows(database, s)}
    assert rows == {(t.symbol, t.trade_id) for t in seen}
    assert len(seen) == len(rows)


def test_health_is_json_and_says_what_the_page_needs(
    exchange: Exchange, database: Database
) -> None:
    feed = make(exchange, database)
    assert feed.health()["state"] == "stopped"
    feed.start("btcusdt,nosuchusdt")
    flowing(feed)
    wait_until(lambda: feed.health()["unknown_symbols"] != [], 10, "the unknown symbol is named")
    health = json.loads(json.dumps(feed.health(), allow_nan=False))
    feed.stop()
    assert health["unknown_symbols"] == ["nosuchusdt"]
    assert health["state"] == "live"
    assert health["streams"]["btcusdt"]["state"] == "live"
    assert health["queue"]["bound"] == Config.BUFFER_SIZE
    assert health["lag_ms"]["p50"] is not None
    assert len(health["lag_ms"]["counts"]) == len(health["lag_ms"]["edges_ms"]) + 1
    assert health["writer_ms"]["p99"] > 0
    assert "state=live symbols=btcusdt,nosuchusdt ticks=" in status_line(health)
    with database.snapshot() as snapshot:
        stored = snapshot.all_of("instrument")
    assert stored["btcusdt"]["tick_size"] == 0.1


def test_symbols_come_and_go_while_it_runs(exchange: Exchange, database: Database) -> None:
    feed = make(exchange, database)
    feed.start(["btcusdt"])
    flowing(feed)
    feed.add_symbols(["ethusdt"])
    wait_until(lambda: len(stored_rows(database, "ethusdt")) > 5, 15, "the new symbol flows")
    feed.remove_symbols(["btcusdt"])
    time.sleep(0.7)
    before = len(stored_rows(database, "btcusdt"))
    flowing(feed)
    assert len(stored_rows(database, "btcusdt")) == before
    assert set(feed.health()["streams"]) == {"ethusdt"}
    feed.stop()


def test_single_trades_can_be_collected_instead(exchange: Exchange, database: Database) -> None:
    feed = make(exchange, database, stream="trade")
    feed.start(["btcusdt"])
    flowing(feed)
    feed.stop()
    with database.snapshot() as snapshot:
        assert snapshot.symbols()[0].print_kind == "trade"


def test_a_locked_database_loses_nothing(
    exchange: Exchange, database: Database, place: Path | str
) -> None:
    feed = make(exchange, database)
    feed.start(["btcusdt", "ethusdt"])
    flowing(feed)
    with Database(place) as other, other.transaction():
        time.sleep(1.5)
        assert feed.health()["queue"]["depth"] > 0
    flowing(feed)
    feed.stop()
    assert nothing_is_missing(exchange, database, "btcusdt")
    assert nothing_is_missing(exchange, database, "ethusdt")


@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
def test_a_full_disk_pauses_the_feed_and_room_brings_everything_back(
    exchange: Exchange, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Config, "BUFFER_SIZE", 100)
    monkeypatch.setattr(collector_module, "_PUT_PATIENCE_S", 0.2)
    feed = make(exchange, database)
    feed.start(["btcusdt", "ethusdt"])
    flowing(feed)
    with database._lock:
        assert database._writer is not None
        pages = database._writer.execute("PRAGMA page_count").fetchone()[0]
        database._writer.execute(f"PRAGMA max_page_count = {pages}")
    wait_until(lambda: feed.health()["state"] == "paused", 30, "the feed is paused")
    health = feed.health()
    assert "cannot grow" in health["sentence"]
    assert health["queue"]["depth"] <= 2 * health["queue"]["bound"]
    assert health["drops"]["no room in memory"] > 0
    with database._lock:
        database._writer.execute("PRAGMA max_page_count = 1000000000")
    wait_until(lambda: feed.health()["state"] == "live", 20, "the feed is live again")
    flowing(feed)

    def repaired() -> bool:
        with database.snapshot() as snapshot:
            return not snapshot.gaps(state="open")

    wait_until(repaired, 20, "what was given up is fetched")
    feed.stop()
    assert feed.health()["gaps"]["found"] > 0
    assert nothing_is_missing(exchange, database, "btcusdt")
    assert nothing_is_missing(exchange, database, "ethusdt")


def test_a_restricted_location_is_named_and_tried_again_later(
    exchange: Exchange, database: Database
) -> None:
    exchange.inject(faults.Refuse(451, count=1))
    feed = make(exchange, database, deadlines=replace(QUICK, fatal_s=1.0))
    feed.start(["btcusdt"])
    wait_until(lambda: feed.health()["state"] == "refused", 10, "the refusal is shown")
    assert "451" in feed.health()["sentence"]
    assert "refuses this location" in feed.health()["sentence"]
    wait_until(lambda: feed.health()["state"] == "live", 15, "it is tried again")
    feed.stop()


def test_nobody_at_the_address_is_said_in_a_sentence(database: Database) -> None:
    feed = BatchTickCollector(
        database, ws_base="ws://127.0.0.1:9", rest_base="http://127.0.0.1:9", deadlines=QUICK
    )
    feed.start(["btcusdt"])
    wait_until(lambda: feed.health()["state"] == "reconnecting", 10, "it tries again")
    assert "does not answer; check the network" in feed.health()["sentence"]
    begun = time.monotonic()
    feed.stop()
    assert time.monotonic() - begun < 1.0


def test_what_is_acknowledged_and_stays_silent_is_shown_as_silent(
    exchange: Exchange, database: Database
) -> None:
    # Without exchangeInfo nobody says that there is no such symbol.
    feed = make(
        exchange,
        database,
        rest_base="http://127.0.0.1:9",
        deadlines=replace(QUICK, first_message_s=0.8),
    )
    feed.start(["nosuchusdt"])
    wait_until(lambda: feed.health()["state"] == "silent", 10, "the silence is shown")
    assert "sends nothing" in feed.health()["sentence"]
    feed.stop()


def test_mark_prices_reach_who_asked_and_count_as_nothing_else(
    exchange: Exchange, database: Database
) -> None:
    feed, marks = make(exchange, database), list[Mark]()
    feed.on_mark(marks.extend)
    feed.start(["btcusdt"])
    flowing(feed)
    wait_until(lambda: len(marks) > 5, 20, "mark prices come")
    feed.add_symbols("ethusdt")
    wait_until(lambda: any(m.symbol == "ethusdt" for m in marks), 20, "the new symbol's too")
    flowing(feed)
    feed.stop()
    health = feed.health()
    assert health["mark_prices"]
    assert health["drops"] == {}
    assert health["gaps"]["found"] == 0
    assert health["ticks"] == sum(len(stored_rows(database, s)) for s in ("btcusdt", "ethusdt"))
    assert nothing_is_missing(exchange, database, "btcusdt")
    last = stored_rows(database, "btcusdt")[-1][2]
    assert all(abs(m.price / last - 1) < 0.1 for m in marks if m.symbol == "btcusdt")


def test_trades_that_fall_silent_are_missed_though_mark_prices_go_on(
    exchange: Exchange, database: Database
) -> None:
    feed, marks = make(exchange, database), list[Mark]()
    feed.on_mark(marks.extend)
    feed.start(["btcusdt"])
    flowing(feed)
    exchange.inject(faults.SilentStream("btcusdt@aggTrade"))
    before = len(marks)
    wait_until(lambda: feed.health()["reconnects"] >= 1, 20, "the connection is replaced")
    assert len(marks) > before
    flowing(feed)
    feed.stop()


def test_single_trades_come_without_mark_prices(exchange: Exchange, database: Database) -> None:
    feed, marks = make(exchange, database, stream="trade"), list[Mark]()
    feed.on_mark(marks.extend)
    feed.start(["btcusdt"])
    flowing(feed)
    feed.stop()
    assert marks == []
    assert not feed.health()["mark_prices"]


def test_a_mark_price_is_a_second_stream_of_its_connection(database: Database) -> None:
    for hooks, connections in ((0, 1), (1, 2)):
        nowhere = "http://127.0.0.1:9"
        feed = BatchTickCollector(database, ws_base="ws://127.0.0.1:9", rest_base=nowhere)
        for _ in range(hooks):
            feed.on_mark(lambda marks: None)
        feed.start([f"s{k}usdt" for k in range(101)])
        assert feed.health()["connections"] == connections
        feed.stop()


def test_a_connection_is_replaced_before_its_life_ends_without_a_hole(
    exchange: Exchange, database: Database
) -> None:
    short = replace(QUICK, lifetime_s=1.5, lifetime_jitter_s=0.0, overlap_s=0.3)
    feed = make(exchange, database, deadlines=short)
    feed.start(["btcusdt", "ethusdt"])
    wait_until(lambda: feed.health()["reconnects"] >= 2, 30, "two connections were replaced")
    feed.stop()
    health = feed.health()
    assert health["gaps"]["found"] == 0
    assert health["duplicates"] > 0
    assert nothing_is_missing(exchange, database, "btcusdt")


def test_starting_after_a_pause_fills_the_hole_that_it_left(
    exchange: Exchange, database: Database
) -> None:
    for _ in range(2):
        feed = make(exchange, database)
        feed.start(["btcusdt"])
        flowing(feed)
        feed.stop()
        time.sleep(0.5)
    feed = make(exchange, database)
    feed.start(["btcusdt"])
    flowing(feed)
    wait_until(lambda: feed.health()["gaps"]["open"] == 0, 15, "no hole is open")
    wait_until(lambda: nothing_is_missing(exchange, database, "btcusdt"), 10, "nothing is missing")
    feed.stop()


def test_log_lines_have_a_structure() -> None:
    import logging

    record = logging.LogRecord("link", logging.WARNING, "", 1, 'lost "%s"', ("it",), None)
    line = StructuredFormatter().format(record)
    assert line.startswith("time=")
    assert 'level=warning source=link message="lost \\"it\\""' in line


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGTERM; Ctrl-Break ends it there")
def test_headless_it_collects_and_ends_cleanly_on_sigterm(tmp_path: Path) -> None:
    environment = {**os.environ, "CRYPTO_DB_PATH": str(tmp_path / "h.db"), "BACKFILL_MINUTES": "1"}
    command = [sys.executable, "-m", "collector", "--source", "demo"]
    with subprocess.Popen(
        [*command, "--symbols", "btcusdt,ethusdt"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        file = tmp_path / "h_demo.db"

        def collected() -> bool:
            if not file.exists():
                return False
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as con:
                try:
                    found = con.execute("SELECT count(*) FROM ticks").fetchone()[0]
                except sqlite3.OperationalError:
                    found = 0
            con.close()
            return found > 100

        wait_until(collected, 60, "ticks are stored")
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "role=holder state=" in output
    assert 'message="stopped, everything written"' in errors
    status = subprocess.run(
        [*command, "--status"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "symbols=btcusdt,ethusdt" in status.stdout


def test_another_kind_of_print_under_the_same_symbol_is_refused_with_a_sentence(
    exchange: Exchange, database: Database
) -> None:
    feed = make(exchange, database)
    feed.start(["btcusdt"])
    flowing(feed)
    feed.stop()
    stored = len(stored_rows(database, "btcusdt"))
    other = make(exchange, database, stream="trade")
    other.start(["btcusdt", "ethusdt"])
    wait_until(lambda: len(stored_rows(database, "ethusdt")) > 5, 15, "the other symbol flows")
    wait_until(lambda: other.health()["state"] == "refused", 15, "the mix is refused")
    assert "database of their own" in other.health()["sentence"]
    other.stop()
    assert len(stored_rows(database, "btcusdt")) == stored
