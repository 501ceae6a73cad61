"""Everything goes from one database into another, and back, and nothing is lost on the way."""

import pytest

from database import Database, Gap
from errors import DatabaseError
from storage import alert_store, books, command_line, copying, schema
from ticks import TickBatch

START_MS = 1_723_161_256_000
DAY_MS = 86_400_000


def fill(database):
    """Something in every table that is copied and that has a writer of its own."""
    ids = range(1000, 1900)
    for symbol in ("btcusdt", "ethusdt"):
        batch = TickBatch(
            "aggTrade", [symbol] * len(ids), [START_MS + 200_000 * (i - 1000) for i in ids],
            [0.1 * i + 1e-9 for i in ids], [1 / i for i in ids], list(ids),
            [(None, True, False)[i % 3] for i in ids],
        )  # fmt: skip
        database.write(batch, [Gap(symbol, 7, 9, START_MS - 9, START_MS, "lost")])
    rows = [("gold", START_MS // 60_000 * 60_000, 1.0, 2.0, 0.5, 1.5, 9.0)]
    database.import_candles(rows, "1min", "upload")
    database.put("setting", "window", 30)
    database.put("run", "sweep", {"x": [0.1, None]})
    account = {"account": "a1", "id": "o1", "state": "filled", "created_ms": 5}
    with database.transaction() as con:
        books.put_account(con, "a1", {"name": "paper"}, 5, 100.5)
        books.put_order(con, account)
        books.add_funding(con, "a1", "k", 6, "btcusdt", 0.0001, 60_000.5, "exchange")
        books.add_equity(con, "a1", 7, 100.5, 100.5, 0.0)
        books.put_tape_position(con, books.TapePosition(900, "btcusdt", 1899, {"a": 1}, {}))
        alert_store.put_rule(con, {"id": "r1", "created_ms": 1}, {"armed": True})
        number = alert_store.add_alert(con, "r1", 8, 9, {"sentence": "up"})
        delivery = alert_store.add_delivery(con, number, "webhook", {"text": "up"}, 10)
        alert_store.add_attempt(con, delivery, 11, "200", ok=True, retry_ms=None)


def contents(database):
    """Every row of every table that is copied."""
    names = [t for t in schema.tables() if t.name not in ("meta", "lease", "commands")]
    with database.snapshot() as snapshot:
        return {
            t.name: sorted(
                map(
                    str,
                    snapshot._con.execute(
                        f"SELECT {', '.join(t.columns)} FROM {t.name}"
                    ).fetchall(),
                )
            )
            for t in names
        } | {"state": snapshot.all_of("setting") | snapshot.all_of("run")}


@pytest.fixture
def other_place(engine_name, postgres, tmp_path):
    """A place on the other engine."""
    return tmp_path / "other.db" if engine_name == "postgresql" else postgres.new_schema()


def test_a_copy_there_and_back_is_the_same_bit_for_bit(place, other_place, new_place):
    with Database(place) as first, Database(other_place) as second, Database(new_place()) as third:
        fill(first)
        counts = copying.copy(first, second)
        assert {c.table: c.target for c in counts}["ticks"] == 1800
        copying.copy(second, third)
        assert contents(first) == contents(second) == contents(third)
        # New rows are numbered after those that came.
        for database in (first, second, third):
            with database.transaction() as con:
                assert alert_store.add_alert(con, "r1", 12, 13, {}) == 2
        more = TickBatch("aggTrade", ["btcusdt"], [START_MS + DAY_MS], [1.0], [1.0], [9999], [True])
        assert {d.write(more).inserted for d in (first, second, third)} == {1}
        with first.snapshot() as one, second.snapshot() as two:
            assert one.highest_row() == two.highest_row() == 1801


def test_a_copy_that_was_broken_off_goes_on_where_it_was(place, other_place, monkeypatch):
    monkeypatch.setattr(copying, "CHUNK_ROWS", 100)
    with Database(place) as source, Database(other_place) as target:
        fill(source)
        seen = []

        def pull_the_plug(step):
            seen.append(step)
            if len(seen) == 5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copying.copy(source, target, pull_the_plug)
        assert (seen[-1].table, seen[-1].done) == ("ticks", 500)
        steps = []
        copying.copy(source, target, steps.append)
        assert (steps[0].table, steps[0].done, steps[0].total) == ("ticks", 600, 1800)
        assert steps[-1].all_done == steps[-1].all_total
        assert contents(source) == contents(target)


def broken_off(source, target, after=3):
    """Begin a copy and pull the plug after some chunks."""
    steps = []

    def plug(step):
        steps.append(step)
        if len(steps) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copying.copy(source, target, plug)


CHANGES = {
    "market data": lambda db: db.import_candles(
        [("gold", START_MS // 60_000 * 60_000, 1.0, 2.0, 0.5, 1.6, 9.0)], "1min", "upload"
    ),
    "a setting": lambda db: db.put("setting", "window", 31),
    "a gap": lambda db: db.explain_gap(1, "asked for in vain"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_source_that_was_written_to_in_between_is_refused_and_copied_afresh(
    place, other_place, monkeypatch, changed
):
    monkeypatch.setattr(copying, "CHUNK_ROWS", 500)
    with Database(place) as source, Database(other_place) as target:
        fill(source)
        broken_off(source, target)
        # No count is another by this, and all that is copied may lie behind the position.
        CHANGES[changed](source)
        with pytest.raises(DatabaseError, match="was written to since the copy .* --afresh"):
            copying.copy(source, target)
        copying.copy(source, target, afresh=True)
        assert contents(source) == contents(target)


def test_a_source_that_is_written_to_while_it_is_copied_is_noticed_at_the_end(place, other_place):
    with Database(place) as source, Database(other_place) as target:
        fill(source)
        touched = iter([True])

        def touch(step):
            if next(touched, False):
                source.put("setting", "window", 31)

        with pytest.raises(DatabaseError, match="was written to since the copy .* --afresh"):
            copying.copy(source, target, touch)


def test_a_collector_that_begins_while_it_is_copied_ends_the_copy(place, other_place, monkeypatch):
    monkeypatch.setattr(copying, "CHUNK_ROWS", 500)
    with Database(place) as source, Database(other_place) as target:
        fill(source)
        steps = []

        def start_collecting(step):
            steps.append(step)
            source.acquire_lease("collector", "x", "process 1 on host")

        with pytest.raises(DatabaseError, match="process 1 on host collects into"):
            copying.copy(source, target, start_collecting)
        assert len(steps) == 1


def test_afresh_deletes_nothing_but_an_unfinished_copy_of_the_same_source(
    place, other_place, new_place
):
    with Database(place) as source, Database(other_place) as target:
        fill(source)
        copying.copy(source, target, afresh=True)
        target.put("setting", "mine", 1)
        before = contents(target)
        with pytest.raises(
            DatabaseError, match="not hold an unfinished copy .* nothing was deleted"
        ):
            copying.copy(source, target, afresh=True)
        with pytest.raises(DatabaseError, match="holds a finished copy of .* not touched"):
            copying.copy(source, target)
        assert contents(target) == before
    with Database(place) as source, Database(new_place()) as target:
        target.put("setting", "mine", 1)
        with pytest.raises(DatabaseError, match=r"holds data already \(state\)"):
            copying.copy(source, target, afresh=True)


def test_a_place_with_other_data_is_refused_untouched(place, other_place):
    with Database(place) as source, Database(other_place) as target:
        fill(source)
        target.put("setting", "mine", 1)
        with pytest.raises(DatabaseError, match=r"holds data already \(state\)"):
            copying.copy(source, target)
        target.drop("setting", "mine")
        copying.copy(source, target)
        with pytest.raises(DatabaseError, match="is in use|holds data|holds a copy"):
            copying.copy(target, source)


def test_what_is_collected_into_is_not_copied(place, other_place):
    with Database(place) as source, Database(other_place) as target:
        source.acquire_lease("collector", "x", "process 1 on host")
        with pytest.raises(DatabaseError, match="process 1 on host collects into"):
            copying.copy(source, target)


def test_the_command_says_what_it_did(place, other_place, capsys):
    with Database(place) as source:
        fill(source)
    addresses = [p if "://" in str(p) else f"sqlite:///{p}" for p in (place, other_place)]
    assert command_line.main(["copy", "--from", addresses[0], "--to", addresses[1]]) == 0
    out = capsys.readouterr().out
    assert "1,800 = 1,800" in out
    assert "every count the same" in out
    assert "p%40ss" not in out
    assert command_line.main(["copy", "--from", addresses[1], "--to", addresses[0]]) == 2
    assert "holds data already" in capsys.readouterr().err
