"""Holes: how they are found, fetched, closed, or left open with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collecting.intake import Follower, in_order
from collecting.repair import KEPT_MS, Page, Repairer, _absent
from collecting.rest import BinanceRest
from database import Database, Gap
from errors import FeedError
from simulator import EPOCH_MS
from ticks import TickBatch

NOW_MS = EPOCH_MS + 10 * 86_400_000
START_MS = NOW_MS - 3_600_000


def prints(ids: list[int], symbol: str = "btcusdt") -> TickBatch:
    """Prints with these ids, a second apart, sized by their id."""
    count = len(ids)
    times = [START_MS + 1000 * n for n in ids]
    sizes = [1.0 + n / 1000 for n in ids]
    return TickBatch(
        "aggTrade", [symbol] * count, times, [100.0] * count, sizes, ids, [True] * count
    )


class Exchange(BinanceRest):
    """A REST side that has some ids, and remembers what it was asked."""

    def __init__(self, ids: set[int]) -> None:
        super().__init__("http://127.0.0.1:9")
        self.ids, self.asked, self.error = sorted(ids), list[tuple[int, int]](), FeedError("")
        self.failing = False

    def agg_trades(self, symbol: str, *, from_id: int, limit: int = 1000) -> TickBatch:
        if self.failing:
            raise self.error
        self.asked.append((from_id, limit))
        return prints([n for n in self.ids if n >= from_id][:limit], symbol)

    def agg_trades_between(
        self, symbol: str, start_ms: int, end_ms: int, *, limit: int = 1000
    ) -> TickBatch:
        inside = [n for n in self.ids if start_ms <= START_MS + 1000 * n <= end_ms]
        return prints(inside[:limit], symbol)


@pytest.fixture
def database(db: Database) -> Database:
    return db


def repairer(database: Database, exchange: Exchange, kind: str = "aggTrade") -> Repairer:
    one = Repairer(
        database,
        exchange,
        kind,  # type: ignore[arg-type]
        backfill_minutes=30,
        clock=lambda: NOW_MS,
        on_instruments=lambda listed: None,
        on_stored=lambda batch: None,
    )
    one._list_due_s = None
    return one


def run(one: Repairer, most: int = 50) -> None:
    """Step until there is nothing to do."""
    for _ in range(most):
        if one._step() > 0:
            return
    raise AssertionError("the repair does not come to an end")


def hole(database: Database, first: int, last: int) -> None:
    times = START_MS + 1000 * (first - 1), START_MS + 1000 * (last + 1)
    database.record_gaps([Gap("btcusdt", first, last, *times, "missed while collecting")])


def gaps(database: Database, state: str | None = None) -> list[tuple[int, int, str]]:
    with database.snapshot() as snapshot:
        return sorted((g.first_id, g.last_id, g.state) for g in snapshot.gaps(state=state))


def stored(database: Database) -> list[int]:
    with database.snapshot() as snapshot:
        rows = snapshot._con.execute("SELECT trade_id FROM ticks ORDER BY 1").fetchall()
    return [row[0] for row in rows]


def test_a_hole_is_filled_newest_page_first_and_closed_with_its_whole_extent(
    database: Database,
) -> None:
    database.write(prints([10, 2511]))
    hole(database, 11, 2510)
    exchange = Exchange(set(range(1, 3000)))
    run(repairer(database, exchange))
    assert [a for a, _ in exchange.asked] == [1511, 511, 11]
    assert stored(database) == list(range(10, 2512))
    assert gaps(database) == [(11, 2510, "filled")]
    database.close()


def test_while_the_limit_is_waited_for_the_page_says_so_and_how_long(database: Database) -> None:
    database.write(prints([10, 2511]))
    hole(database, 11, 2510)
    exchange = Exchange(set(range(1, 3000)))
    one = repairer(database, exchange)
    one._step()
    assert "limits" not in one.progress.text()
    seen = []
    exchange.wait_s = lambda weight: 0.05
    exchange.held_up_s = lambda calls, weight: 50.0
    one._stopping.wait = lambda wait_s: seen.append(one.progress.text())
    one._step()
    assert len(seen) == 1
    assert "about 50 s left; waiting, for the exchange limits requests a minute." in seen[0]


def test_what_is_left_after_each_page_is_in_the_ledger(database: Database) -> None:
    database.write(prints([10, 2511]))
    hole(database, 11, 2510)
    one = repairer(database, Exchange(set(range(1, 3000))))
    one._step()
    assert gaps(database) == [(11, 1510, "open")]
    assert one.progress.fraction == pytest.approx(1000 / 2500)
    assert "newest first" in one.progress.text()
    assert one.health()["can_stop"]
    # Another life begins where this one ended.
    run(repairer(database, Exchange(set(range(1, 3000)))))
    assert stored(database) == list(range(10, 2512))
    assert gaps(database, "open") == []
    database.close()


def test_ids_the_exchange_lacks_are_confirmed_absent(database: Database) -> None:
    database.write(prints([10, 21]))
    hole(database, 11, 20)
    run(repairer(database, Exchange(set(range(1, 30)) - {13, 14, 17})))
    assert gaps(database) == [
        (11, 20, "filled"),
        (13, 14, "confirmed_absent"),
        (17, 17, "confirmed_absent"),
    ]
    database.close()


def test_a_hole_of_which_nothing_exists_is_confirmed_absent_as_a_whole(database: Database) -> None:
    database.write(prints([10, 21]))
    hole(database, 11, 20)
    run(repairer(database, Exchange({10, 21, 22})))
    assert gaps(database) == [(11, 20, "confirmed_absent")]
    database.close()


def test_a_hole_that_late_prints_filled_is_closed_without_asking(database: Database) -> None:
    database.write(prints(list(range(10, 22))))
    hole(database, 11, 20)
    exchange = Exchange(set())
    run(repairer(database, exchange))
    assert exchange.asked == []
    assert gaps(database) == [(11, 20, "filled")]
    database.close()


def test_single_trades_stay_open_with_the_reason(database: Database) -> None:
    hole(database, 11, 20)
    run(repairer(database, Exchange(set(range(100))), kind="trade"))
    with database.snapshot() as snapshot:
        (gap,) = snapshot.gaps(state="open")
    assert "aggTrade alone" in gap.reason
    database.close()


def test_what_is_older_than_the_exchange_keeps_stays_open_with_the_reason(
    database: Database,
) -> None:
    old_ms = NOW_MS - KEPT_MS - 60_000
    database.record_gaps([Gap("btcusdt", 1, 9, old_ms - 9_000, old_ms, "not collecting")])
    exchange = Exchange(set(range(100)))
    run(repairer(database, exchange))
    assert exchange.asked == []
    with database.snapshot() as snapshot:
        assert "48 hours" in snapshot.gaps(state="open")[0].reason
    database.close()


def test_the_past_on_start_is_a_hole_before_the_first_print(database: Database) -> None:
    database.write(prints([3000]))
    one = repairer(database, Exchange(set(range(1, 3001))))
    one.first_print("btcusdt", 3000, START_MS + 3_000_000)
    run(one)
    # Thirty minutes of a print a second.
    assert stored(database) == list(range(1200, 3001))
    assert gaps(database) == [(1200, 2999, "filled")]
    database.close()


def test_who_stops_the_repair_keeps_the_hole_open_and_later_ones_are_filled(
    database: Database,
) -> None:
    database.write(prints([10, 21]))
    hole(database, 11, 20)
    one = repairer(database, Exchange(set(range(1, 60))))
    one.skip()
    run(one)
    assert gaps(database) == [(11, 20, "open")]
    database.write(prints([31]))
    hole(database, 22, 30)
    run(one)
    assert gaps(database) == [(11, 20, "open"), (22, 30, "filled")]
    database.close()


def test_an_error_of_the_exchange_leaves_the_hole_as_it_was(database: Database) -> None:
    hole(database, 11, 20)
    exchange = Exchange(set(range(1, 60)))
    exchange.failing = True
    with pytest.raises(FeedError):
        repairer(database, exchange)._step()
    assert gaps(database) == [(11, 20, "open")]
    database.close()


@given(st.sets(st.integers(1, 60)), st.integers(1, 30), st.integers(0, 30))
def test_absent_runs_are_exactly_what_did_not_come(came: set[int], first: int, more: int) -> None:
    page = Page(Gap("s", first, first + more, 0, 1, ""), first, first + more)
    runs = _absent(page, came)
    covered = {n for a, b in runs for n in range(a, b + 1)}
    assert covered == set(range(first, first + more + 1)) - came
    assert all(b + 1 < c for (_, b), (c, _) in zip(runs, runs[1:], strict=False))


@given(
    st.sets(st.integers(1, 80), min_size=1),
    st.randoms(use_true_random=False),
    st.integers(1, 6),
)
def test_holes_found_are_the_ids_between_that_never_came(
    ids: set[int], rng: object, batches: int
) -> None:
    """Within a batch any order and any repetition; from batch to batch ids rise."""
    follower, found = Follower(), set[int]()
    ordered = sorted(ids)
    for part in np.array_split(ordered, batches):
        mixed = [int(n) for n in part] * 2
        rng.shuffle(mixed)  # type: ignore[attr-defined]
        if not mixed:
            continue
        out, gaps = in_order(prints(mixed), [], follower)
        assert out.batch.trade_id == sorted(set(mixed))
        assert out.repeats == len(mixed) // 2
        found |= {n for g in gaps for n in range(g.first_id, g.last_id + 1)}
        for symbol, newest in out.newest.items():
            follower.advance(symbol, *newest)
    assert found == set(range(ordered[0], ordered[-1] + 1)) - ids


def test_the_id_of_a_print_that_is_no_trade_is_no_hole() -> None:
    follower = Follower()
    seen = [("btcusdt", 12, START_MS + 12_000)]
    _, gaps = in_order(prints([11, 13]), seen, follower)
    assert gaps == []
    _, gaps = in_order(prints([11, 14]), seen, Follower())
    assert [(g.first_id, g.last_id) for g in gaps] == [(13, 13)]
