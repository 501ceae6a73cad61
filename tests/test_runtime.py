"""The wiring: sources with files of their own, one holder across runtimes, takeover, clean ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

import runtime as runtime_module
from config import Config
from database import place_of
from errors import BadInput, DatabaseError
from runtime import Runtime
from storage import lease


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def files_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(Config, "DB_PATH", str(tmp_path / "market.db"))
    monkeypatch.setattr(Config, "DATA_SOURCE", "demo")
    monkeypatch.setattr(Config, "BACKFILL_MINUTES", 2)
    monkeypatch.setattr(Config, "BATCH_INTERVAL_MS", 50)


@pytest.fixture
def desk() -> Iterator[Callable[[], Runtime]]:
    made: list[Runtime] = []

    def make() -> Runtime:
        made.append(Runtime())
        return made[-1]

    yield make
    for one in made:
        one.close()


def stored(one: Runtime, symbol: str = "btcusdt") -> int:
    assert one.database is not None
    with one.database.snapshot() as snapshot:
        return len(snapshot.candles([symbol], "1s", limit=10_000))


def test_simulated_data_has_files_of_its_own():
    paths = {place_of(source) for source in runtime_module.SOURCES}
    assert len(paths) == 3
    assert str(place_of("live")) == Config.DB_PATH


def test_the_demo_market_fills_candles_of_two_symbols_within_seconds(desk):
    one = desk()
    one.start("btcusdt, ETHUSDT")
    wait_for(lambda: stored(one) > 60 and stored(one, "ethusdt") > 60)
    status = one.status()
    assert (status.role, status.running, status.simulated) == ("holder", True, True)
    assert status.symbols == ("btcusdt", "ethusdt")


def test_what_was_collected_is_there_after_a_new_start(desk):
    one = desk()
    one.start("btcusdt")
    wait_for(lambda: stored(one) > 10)
    one.close()
    before = stored_in_file(desk)
    assert before > 10


def stored_in_file(desk: Callable[[], Runtime]) -> int:
    return stored(desk())


def test_an_unknown_symbol_is_named_and_the_others_start(desk):
    one = desk()
    one.start("btcusdt,nosuchusdt")
    wait_for(lambda: one.status().unknown_symbols == ("nosuchusdt",))
    wait_for(lambda: stored(one) > 0)


def test_a_second_runtime_is_a_viewer_that_says_who_collects(desk):
    holder, viewer = desk(), desk()
    holder.start("btcusdt")
    wait_for(lambda: viewer.status().running)
    status = viewer.status()
    assert status.role == "viewer"
    assert holder.description in status.sentence
    with pytest.raises(BadInput, match="Another process collects"):
        viewer.clear_data()


def test_clearing_another_source_than_this_one_deletes_nothing(desk):
    one = desk()
    one.start("btcusdt")
    wait_for(lambda: stored(one) > 10)
    one.stop()
    with pytest.raises(BadInput, match="The source is demo by now, not live"):
        one.clear_data("live")
    assert stored(one) > 10
    one.clear_data("demo")
    assert stored(one) == 0


def test_a_viewer_s_symbols_are_taken_by_the_holder(desk):
    holder, viewer = desk(), desk()
    holder.start("btcusdt")
    viewer.start("btcusdt,ethusdt")
    wait_for(lambda: "ethusdt" in holder.status().symbols)
    assert holder.status().role == "holder"
    assert viewer.status().role == "viewer"


def test_a_standby_takes_over_when_the_holder_stops_beating(desk, monkeypatch):
    monkeypatch.setattr(lease, "EXPIRY_MS", 3_000)
    monkeypatch.setattr(runtime_module, "_RENEW_S", 0.2)
    holder, standby = desk(), desk()
    holder.start("btcusdt")
    standby.start("btcusdt")
    assert standby.status().role == "viewer"
    # As when its process is killed: no beat, no release.
    holder._stop.set()
    assert holder._thread is not None
    holder._thread.join()
    wait_for(lambda: standby.status().role == "holder" and standby.status().running)


def test_a_holder_that_slept_through_its_lease_becomes_a_viewer(desk, monkeypatch):
    monkeypatch.setattr(runtime_module, "_RENEW_S", 0.2)
    holder = desk()
    holder.start("btcusdt")
    assert holder.database is not None
    with holder.database.transaction() as con:
        con.execute("UPDATE lease SET holder = 'another', description = 'another process'")
    wait_for(lambda: holder.status().role == "viewer", 5)


def test_stopping_gives_the_lease_back_at_once(desk):
    one, other = desk(), desk()
    one.start("btcusdt")
    one.stop()
    assert one.status().state == "stopped"
    other.start("btcusdt")
    assert other.status().role == "holder"


def test_a_replay_begins_on_an_empty_file_with_the_recording_s_clock(desk):
    one = desk()
    one.switch("replay")
    one.start("btcusdt")
    wait_for(lambda: stored(one) > 0)
    assert one.now_ms() < time.time() * 1000 - 86_400_000
    one.stop()
    one.start("btcusdt")
    assert stored(one) <= 2


def test_switching_stops_the_old_source(desk):
    one = desk()
    one.start("btcusdt")
    one.switch("live")
    assert one.source == "live"
    assert not one.status().running
    with pytest.raises(BadInput, match="not a source"):
        one.switch("moon")


def test_an_unusable_file_is_a_sentence_and_untouched(desk, tmp_path):
    wrong = place_of("demo")
    wrong.write_bytes(b"this is a letter, not a database")
    one = desk()
    assert one.database is None
    assert "not a SQLite database" in (one.status().error or "")
    with pytest.raises(DatabaseError):
        one.start("btcusdt")
    assert wrong.read_bytes() == b"this is a letter, not a database"


def test_settings_are_remembered(desk):
    one = desk()
    one.save_settings({"timeframe": "5min", "window": 30})
    one.close()
    assert desk().load_settings() == {"timeframe": "5min", "window": 30}


def test_a_replay_says_how_far_it_is_and_that_it_has_ended(desk, monkeypatch):
    monkeypatch.setattr(Config, "REPLAY_SPEED", 1000.0)
    monkeypatch.setattr(Config, "DATA_SOURCE", "replay")
    one = desk()
    one.start("btcusdt")
    wait_for(lambda: one.status().state == "ended")
    status = one.status()
    assert status.running
    assert status.sentence == "The recording has ended."
    assert status.health["replay"]["fraction"] == 1.0
    assert status.health["replay"]["at_ms"] == status.health["replay"]["end_ms"]
    # Those who look on from another process are told as well.
    another = desk()
    wait_for(lambda: another.status().state == "ended")
    assert another.status().role == "viewer"
