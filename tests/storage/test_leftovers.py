"""What piles up beside the ticks goes after a while; what is the user's history stays."""

from __future__ import annotations

import pytest

from database import Database
from retention import Retention
from storage import alert_store, books
from storage.leftovers import DAY_MS

NOW_MS = 1_790_000_000_000 // 3_600_000 * 3_600_000
MINUTE_MS = 60_000


@pytest.fixture
def db(place):
    with Database(place) as opened:
        yield opened


def write(db, store):
    with db.transaction() as con:
        store(con)


def read(db, sql):
    with db.transaction() as con:
        return [tuple(row) for row in con.execute(sql).fetchall()]


def test_commands_stay_a_day_after_their_answer(db):
    def store(con):
        for number, (asked, answered) in enumerate(
            [(-3, -2), (-3, None), (-2, -0.5), (-0.5, None), (-0.2, -0.1)], start=1
        ):
            con.execute(
                "INSERT INTO commands (id, kind, body, asked_ms, answered_ms) "
                "VALUES (?, 'symbols', '[]', ?, ?)",
                (number, NOW_MS + int(asked * DAY_MS),
                 None if answered is None else NOW_MS + int(answered * DAY_MS)),
            )  # fmt: skip

    write(db, store)
    assert db.prune_leftovers(NOW_MS) == 2
    assert read(db, "SELECT id FROM commands ORDER BY id") == [(3,), (4,), (5,)]


def test_messages_go_after_thirty_days_with_their_attempts_and_alerts_stay(db):
    def store(con):
        body = {"sentence": "x", "value": 1.0, "note": "", "detail": {}, "quiet": False}
        for age_days in (40, 40, 10):
            at = NOW_MS - age_days * DAY_MS
            alert = alert_store.add_alert(con, "r", at, at, body)
            alert_store.add_delivery(con, alert, "webhook", {"text": "x"}, at)
        con.execute("UPDATE deliveries SET state = 'sent' WHERE id <> 2")
        for number in (1, 2, 3):
            con.execute("INSERT INTO attempts VALUES (?, 1, ?, 1, '')", (number, NOW_MS))

    write(db, store)
    assert db.prune_leftovers(NOW_MS) == 1
    assert read(db, "SELECT id FROM deliveries ORDER BY id") == [(2,), (3,)]
    assert read(db, "SELECT delivery_id FROM attempts ORDER BY delivery_id") == [(2,), (3,)]
    assert len(read(db, "SELECT id FROM alerts")) == 3


def test_old_equity_keeps_the_highest_and_lowest_of_each_hour(db):
    old, fresh = NOW_MS - 40 * DAY_MS, NOW_MS - DAY_MS

    def store(con):
        for begin in (old, fresh):
            for minute in range(180):
                equity = 10_000.0 + (minute * 37) % 101
                books.add_equity(con, "a", begin + minute * MINUTE_MS, equity, equity, 0.0)

    write(db, store)
    before = read(db, f"SELECT max(equity), min(equity) FROM equity WHERE time_ms < {fresh}")
    worker = Retention(db, hours=24, pause_s=0)
    assert worker.run_once(NOW_MS).finished
    assert read(db, f"SELECT count(*) FROM equity WHERE time_ms < {fresh}") == [(6,)]
    assert read(db, f"SELECT count(*) FROM equity WHERE time_ms >= {fresh}") == [(180,)]
    after = read(db, f"SELECT max(equity), min(equity) FROM equity WHERE time_ms < {fresh}")
    assert after == before
    assert db.prune_leftovers(NOW_MS) == 0
