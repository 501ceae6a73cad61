"""What loopback without TLS and with a handful of streams does not show."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from collector import BatchTickCollector
from database import Database
from simulator import Clock, Exchange, PlantedMarket
from simulator.prices import PlantedTape
from simulator.symbols import Driver, Listing, SymbolSpec
from tests.feed_tools import QUICK, stored_rows, tape_rows, wait_until


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    return trustme.CA()


def secured(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def trust(authority: trustme.CA, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))


def feed_from(exchange: Exchange, database: Database) -> BatchTickCollector:
    return BatchTickCollector(
        database,
        ws_base=exchange.ws_url,
        rest_base=exchange.rest_url,
        backfill_minutes=0,
        clock=exchange.market.now_ms,
        deadlines=QUICK,
    )


def test_over_tls_every_print_arrives_and_holes_are_filled(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(authority, tmp_path, monkeypatch)
    market = PlantedMarket(PlantedTape(rate_factor=20.0), Clock(speed=10.0))
    served = secured(authority, "127.0.0.1")
    with Exchange(market, tls=served) as exchange, Database(tmp_path / "tls.db") as database:
        feed = feed_from(exchange, database)
        feed.start("btcusdt,ethusdt")
        wait_until(lambda: feed.health()["ticks"] > 5_000, 30, "ticks over TLS")
        for client in list(exchange.clients):
            client.socket.transport.abort()
        before = feed.health()["ticks"]
        wait_until(lambda: feed.health()["reconnects"] >= 1, 20, "connected again")
        wait_until(lambda: feed.health()["ticks"] > before + 1_000, 20, "ticks again")
        wait_until(lambda: states(database) == {"filled"}, 20, "the hole is filled over https")
        feed.stop()
        for symbol in ("btcusdt", "ethusdt"):
            rows = stored_rows(database, symbol)
            assert rows == tape_rows(exchange.tape.trades(symbol, rows[0][0], rows[-1][0] + 1))


def states(database: Database) -> set[str]:
    with database.snapshot() as snapshot:
        return {gap.state for gap in snapshot.gaps()}


@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [
        ("127.0.0.1", False, "unable to get local issuer certificate"),
        ("another.example", True, "IP address mismatch"),
    ],
)
def test_a_bad_certificate_is_named_and_not_hammered(
    name: str,
    trusted: bool,
    why: str,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if trusted:
        trust(authority, tmp_path, monkeypatch)
    with Exchange(tls=secured(authority, name)) as exchange, Database(tmp_path / "x.db") as stored:
        feed = feed_from(exchange, stored)
        feed._deadlines = replace(QUICK, fatal_s=600.0)
        feed.start("btcusdt")
        wait_until(lambda: feed.health()["state"] == "refused", 10, "the refusal is shown")
        health = feed.health()
        feed.stop()
        sentence = health["sentence"]
        assert "certificate of 127.0.0.1 could not be verified" in sentence
        assert why in sentence
        assert "check this computer's clock" in sentence
        assert exchange.handshakes == 0
        assert health["ticks"] == 0


def test_many_streams_are_spread_over_connections_and_none_is_silent(tmp_path: Path) -> None:
    names = [f"coin{i:03}usdt" for i in range(450)]
    listings = tuple(
        Listing(SymbolSpec(name, 2, 1), Driver(10.0 + i, 1.0, 0.5), 0.5, 400.0)
        for i, name in enumerate(names)
    )
    market = PlantedMarket(PlantedTape(listings=listings), Clock(speed=5.0))
    with Exchange(market) as exchange, Database(tmp_path / "many.db") as database:
        feed = feed_from(exchange, database)
        feed._deadlines = replace(
            QUICK, first_message_s=60.0, quiet_s=60.0, probe_after_s=20.0, probe_answer_s=10.0
        )
        feed.start(names)
        wait_until(
            lambda: (
                all(s["state"] == "live" for s in feed.health()["streams"].values())
                and len(feed.health()["streams"]) == 450
            ),
            60,
            "all 450 streams are live",
        )
        carried = [len(client.streams) for client in exchange.clients]
        wait_until(
            lambda: "open" not in states(database), 30, "what was missed at the start is filled"
        )
        feed.stop()
        assert max(carried) <= 200
        assert len(carried) >= 3
        with database.snapshot() as snapshot:
            assert len(snapshot.symbols()) == 450
        for symbol in names[::50]:
            rows = stored_rows(database, symbol)
            assert rows == tape_rows(exchange.tape.trades(symbol, rows[0][0], rows[-1][0] + 1))
