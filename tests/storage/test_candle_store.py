"""Candles and ticks cannot disagree, in whatever order, batches and doublings ticks arrive."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from candles import STORED_TIMEFRAMES
from errors import MixedPrints
from ticks import Tick, TickBatch, made_ids

START_MS = 1_723_161_256_000
# One database serves every example; each begins by clearing it.
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
MINUTE = 60_000


def batch_of(rows, kind="aggTrade"):
    """rows: (symbol, time_ms, price, size, id)"""
    return TickBatch(kind, *map(list, zip(*rows, strict=True)), [None] * len(rows))


@st.composite
def tapes(draw, symbols=("btcusdt", "ethusdt"), disorder=False):
    """A tape by symbol: ids grow, times never fall back (unless asked to), many share a ms."""
    rows = []
    for symbol in symbols:
        time_ms, trade_id = START_MS, draw(st.integers(0, 10**12))
        for _ in range(draw(st.integers(0, 25))):
            low = -4_000 if disorder else 0
            time_ms += draw(st.sampled_from([0, 0, 1, 130, 900, 5_000, 61_000, 400_000, low]))
            trade_id += draw(st.sampled_from([1, 1, 1, 2, 50]))
            price = draw(st.integers(1, 10**7)) / 100
            size = draw(st.integers(1, 10**6)) / 1000
            rows.append((symbol, time_ms, price, size, trade_id))
    return rows


def split(rows, draw_cuts):
    cuts = sorted({0, len(rows), *(c % (len(rows) + 1) for c in draw_cuts)})
    return [rows[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(
    tape=tapes(),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    seed=st.none() | st.integers(0, 2**32),
    repeats=st.integers(0, 10),
)
def test_any_split_order_and_doubling_gives_the_candles_of_the_ticks(
    db, tape, cuts, seed, repeats, assert_candles_equal_ticks, stored_ticks
):
    sent = list(tape)
    if seed is not None:
        shuffler = random.Random(seed)
        sent += shuffler.choices(tape, k=repeats) if tape else []
        shuffler.shuffle(sent)
    db.clear()
    inserted = sum(db.write(batch_of(part)).inserted for part in split(sent, cuts) if part)
    assert inserted == len(tape)
    with db.snapshot() as snapshot:
        stored = stored_ticks(snapshot)
    assert sorted(
        zip(stored.symbol, stored.time_ms, stored.price, stored["size"], stored.trade_id,
            strict=True)
    ) == sorted(tape)  # fmt: skip
    assert_candles_equal_ticks(db)


@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(
    tape=tapes(disorder=True),
    cuts=st.lists(st.integers(0, 200), max_size=8),
    seed=st.integers(0, 2**32),
)
def test_times_that_fall_back_along_the_ids_change_nothing(
    db, tape, cuts, seed, assert_candles_equal_ticks
):
    sent = list(tape)
    random.Random(seed).shuffle(sent)
    db.clear()
    for part in split(sent, cuts):
        if part:
            db.write(batch_of(part))
    assert_candles_equal_ticks(db)
    with db.snapshot() as snapshot:
        for symbol, time_ms, *_ in tape:
            at_or_after = [r[4] for r in tape if r[0] == symbol and r[1] >= time_ms]
            assert snapshot.id_at(symbol, time_ms) == min(at_or_after)


@settings(max_examples=12, deadline=None, suppress_health_check=SLOW)
@given(tape=tapes(), cuts=st.lists(st.integers(0, 200), max_size=6), seed=st.integers(0, 2**32))
def test_prints_without_ids_give_the_candles_of_the_ticks(
    db, tape, cuts, seed, assert_candles_equal_ticks
):
    ids = made_ids(Tick(*row[:4]) for row in tape)
    sent = [(*row[:4], made) for row, made in zip(tape, ids, strict=True)]
    random.Random(seed).shuffle(sent)
    db.clear()
    for _ in range(2):
        for part in split(sent, cuts):
            if part:
                db.write(batch_of(part, "made"))
    with db.snapshot() as snapshot:
        assert snapshot.count("ticks") == len(tape)
    assert_candles_equal_ticks(db)


@settings(max_examples=15, deadline=None, suppress_health_check=SLOW)
@given(
    tape=tapes(),
    cuts=st.lists(st.integers(0, 200), max_size=6),
    after_ms=st.integers(0, 3_000_000),
    limit=st.integers(1, 30),
    seed=st.integers(0, 2**32),
)
def test_retention_shrinks_no_candle_and_nothing_is_written_below_it(
    db, tape, cuts, after_ms, limit, seed, assert_candles_equal_ticks
):
    db.clear()
    for part in split(tape, cuts):
        if part:
            db.write(batch_of(part))
    before = all_candles(db)
    cut = START_MS + after_ms
    while db.prune(cut, limit=limit):
        pass
    assert all_candles(db) == before
    edge = cut // 300_000 * 300_000
    again = list(tape)
    random.Random(seed).shuffle(again)
    for part in split(again, cuts):
        if part:
            written = db.write(batch_of(part))
            assert written.inserted == 0
    assert all_candles(db) == before
    with db.snapshot() as snapshot:
        assert snapshot.count("ticks") == sum(row[1] >= edge for row in tape)
    assert_candles_equal_ticks(db, since_ms=edge)


def all_candles(db):
    with db.snapshot() as snapshot:
        return {
            (symbol, timeframe): [
                column.tolist() for column in (c.open_ms, c.open, c.high, c.low, c.close, c.volume)
            ]
            for symbol in snapshot.candle_symbols()
            for timeframe in STORED_TIMEFRAMES
            for c in [snapshot.candle_columns(symbol, timeframe, limit=10**6)]
        }


def test_a_hole_across_the_retention_edge_can_still_be_filled_above_it(db):
    edge = 1_723_161_300_000 // 300_000 * 300_000
    db.write(batch_of([("btcusdt", edge - 10, 1.0, 1.0, 1), ("btcusdt", edge + 10, 2.0, 1.0, 9)]))
    assert db.prune(edge) == 1
    late = [("btcusdt", edge - 5, 5.0, 1.0, 3), ("btcusdt", edge + 5, 3.0, 1.0, 5)]
    written = db.write(batch_of(late))
    assert (written.inserted, written.below_low_water) == (1, 1)


def test_kinds_of_print_never_meet_under_one_symbol(db):
    db.write(batch_of([("btcusdt", START_MS, 1.0, 1.0, 1)], "aggTrade"))
    with pytest.raises(MixedPrints, match="btcusdt holds prints of kind 'aggTrade'"):
        db.write(
            batch_of(
                [("ethusdt", START_MS, 1.0, 1.0, 7), ("btcusdt", START_MS, 1.0, 1.0, 2)],
                "trade",
            )
        )
    with db.snapshot() as snapshot:
        assert [s.symbol for s in snapshot.symbols()] == ["btcusdt"]
        assert snapshot.count("ticks") == 1


# -- imported candles ------------------------------------------------------------------------


def kline(minute, price=100.0, symbol="btcusdt", volume=1.0, length=MINUTE):
    open_ms = START_MS // 300_000 * 300_000 + minute * length
    return (symbol, open_ms, price, price + 1, price - 1, price + 0.5, volume)


def rows_of(db, timeframe, symbol="btcusdt"):
    with db.snapshot() as snapshot:
        c = snapshot.candle_columns(symbol, timeframe, limit=10**6)
    return list(zip(*(x.tolist() for x in (c.open_ms, c.open, c.high, c.low, c.close, c.volume)),
                    strict=True))  # fmt: skip


def test_an_import_done_twice_changes_nothing(db):
    rows = [kline(m, 100.0 + m) for m in range(10)]
    assert db.import_candles(rows, "1m", "klines") == 10
    before = all_candles(db)
    assert db.import_candles(rows, "1min", "klines") == 0
    assert all_candles(db) == before
    assert rows_of(db, "1min") == [row[1:] for row in rows]


def test_complete_longer_candles_are_rolled_up_from_imported_ones(db):
    rows = [kline(m, 100.0 + m) for m in range(13)]
    db.import_candles(rows[:7], "1min", "klines")
    assert [r[0] for r in rows_of(db, "5min")] == [rows[0][1]]
    db.import_candles(rows[7:], "1min", "klines")
    fives = rows_of(db, "5min")
    assert [r[0] for r in fives] == [rows[0][1], rows[5][1]]
    assert fives[1][1:] == (105.0, 110.0, 104.0, 109.5, 5.0)
    hours = rows_of(db, "1h")
    assert len(hours) == 1
    assert hours[0][-1] == 10.0


def test_imported_hours_are_shown_and_make_days(db):
    day = 86_400_000
    start = START_MS // day * day
    rows = [
        ("btcusdt", start + h * 3_600_000, 10.0 + h, 50.0, 5.0, 11.0 + h, 1.0) for h in range(24)
    ]
    db.import_candles(rows, "1h", "upload")
    assert len(rows_of(db, "1h")) == 24
    assert rows_of(db, "1d") == [(start, 10.0, 50.0, 5.0, 34.0, 24.0)]


def test_ticks_win_where_they_cover_and_give_way_before_the_first(db):
    minute = START_MS // 300_000 * 300_000
    ticks = [
        ("btcusdt", minute + 30_000, 7.0, 2.0, 10),
        ("btcusdt", minute + 70_000, 8.0, 3.0, 11),
    ]
    db.write(batch_of(ticks))
    db.import_candles([kline(m, 100.0) for m in range(3)], "1min", "klines")
    first, second, third = rows_of(db, "1min")
    assert first[1:] == (100.0, 101.0, 99.0, 100.5, 1.0)
    assert second[1:] == (8.0, 8.0, 8.0, 8.0, 3.0)
    assert third[1:] == (100.0, 101.0, 99.0, 100.5, 1.0)


def test_ticks_that_come_after_an_import_take_over_what_they_cover(db, assert_candles_equal_ticks):
    minute = START_MS // 300_000 * 300_000
    tape = [("btcusdt", minute + 1_000 * k, 50.0 + k, 1.0, 100 + k) for k in range(0, 900, 7)]
    db.import_candles([kline(m, 1000.0) for m in range(-5, 10)], "1min", "klines")
    for part in (tape[60:], tape[20:60], tape[:20]):
        db.write(batch_of(part))
    kept = [r for r in rows_of(db, "1min") if r[0] < minute]
    assert len(kept) == 5
    assert all(row[1] == 1000.0 for row in kept)
    assert_candles_equal_ticks(db, since_ms=minute)


def test_an_imported_candle_before_the_first_live_tick_stays(db):
    minute = START_MS // 300_000 * 300_000
    db.import_candles([kline(m, 1000.0) for m in range(5)], "1min", "klines")
    db.write(batch_of([("btcusdt", minute + 4 * MINUTE + 30_000, 7.0, 1.0, 1)]))
    assert rows_of(db, "1min")[-1][1] == 1000.0
    assert rows_of(db, "5min")[0][1] == 1000.0


def test_an_import_after_retention_leaves_the_candles_that_ticks_made(db):
    minute = START_MS // 300_000 * 300_000
    db.write(batch_of([("btcusdt", minute + 1_000 * k, 50.0, 1.0, 1 + k) for k in range(1200)]))
    while db.prune(minute + 900_000):
        pass
    before = all_candles(db)
    db.import_candles([kline(m, 1000.0) for m in range(1, 15)], "1min", "upload")
    assert all_candles(db) == before
