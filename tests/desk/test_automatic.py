"""Auto mode decides what the backtest decides, and every difference has its cause."""

import numpy as np
import pytest

from storage import books
from views.auto import auto_rows, compare_run

START_MS = 1_790_000_100_000
SECOND = 1_000
AUTO = {
    "id": "auto1",
    "account": "a1",
    "symbol1": "btcusdt",
    "symbol2": "ethusdt",
    "timeframe": "1s",
    "hedge": {"method": "given", "ratio": 2.0},
    "z_window": 10,
    "rules": {"entry_th": 1.2, "exit_th": 0.0},
    "by": "percent",
    "amount": 0.5,
}


def legs(seconds, seed=5):
    """A pair whose spread swings: price1 = 2 · price2 + a wave with noise."""
    rng = np.random.default_rng(seed)
    x = 50.0 + rng.normal(0, 0.02, seconds).cumsum()
    wave = 0.8 * np.sin(np.arange(seconds) / 4.0) + rng.normal(0, 0.1, seconds)
    return np.round(2 * x + wave, 1), np.round(x, 2)


def play(bench, y, x, *, begin=0, away=()):
    """One print of each leg at every second; the desk sees to each close in time."""
    for k in range(begin, len(y)):
        bench.now_ms = START_MS + 60_000 + k * SECOND
        bench.tape(("btcusdt", float(y[k])), ("ethusdt", float(x[k])), step_ms=10)
        if k not in away:
            bench.now_ms += 600
            # 600 ms into the second the candle before it has had its grace of 1.5 s.
            bench.step()


@pytest.fixture
def trading(bench):
    bench.account()
    y, x = legs(60)
    play(bench, y[:15], x[:15])
    assert bench.ask("desk.auto.start", **AUTO)["done"]
    return bench, y, x


def report(bench):
    with bench.database.snapshot() as snapshot:
        account = snapshot.books(books.accounts)[0]
        (row,) = auto_rows(snapshot, account.id)
        return compare_run(snapshot, account, row, bench.now_ms - 1_500)


def test_auto_mode_trades_and_logs_every_close_once(trading):
    bench, y, x = trading
    play(bench, y, x, begin=15)
    log = bench.read(books.decisions, "auto1")
    closes = [d["close_time_ms"] for d in log]
    assert closes == sorted(set(closes))
    assert len(closes) >= 40
    entries = [d for d in log if d["outcome"] == "both legs ordered at market"]
    assert len(entries) > 2
    assert all(d["zscore"] is not None and d["hedge_ratio"] == 2.0 for d in entries)
    fills = bench.journal().query("kind == 'fill'")
    assert set(fills["pair_id"].str.split("@").str[0]) == {"auto1"}
    assert len(bench.read(books.round_trips, "a1")) >= 2


def test_signals_agree_with_the_backtest_on_every_close_and_fills_have_their_cause(trading):
    bench, y, x = trading
    play(bench, y, x, begin=15)
    found = report(bench)
    assert found.closes >= 40
    assert found.same == found.closes
    assert set(found.differences["kind"]) <= {"fill", "cost"}
    assert found.differences["cause"].str.len().gt(0).all()
    assert "filled at a print" in " ".join(found.differences["cause"])
    totals = found.totals.set_index("what")
    assert totals.loc["fills", "paper"] > 4
    assert abs(totals.loc["fills", "difference"]) <= 2


def test_a_restart_in_the_middle_changes_no_decision(trading, tmp_path):
    bench, y, x = trading
    for begin, end in ((15, 30), (30, 45), (45, 60)):
        play(bench, y[:end], x[:end], begin=begin)
        bench.restart()
    found = report(bench)
    assert found.same == found.closes >= 40


def test_what_was_missed_while_away_is_logged_and_named(trading):
    bench, y, x = trading
    play(bench, y, x, begin=15, away=range(25, 40))
    log = {d["close_time_ms"]: d for d in bench.read(books.decisions, "auto1")}
    blocked = [d for d in log.values() if d.get("blocked")]
    assert all("not running" in d["blocked"] for d in blocked)
    found = report(bench)
    assert found.same < found.closes
    causes = " ".join(found.differences["cause"])
    assert "not running" in causes or "not entered" in causes


def test_late_prints_that_change_a_candle_are_named_as_the_cause(trading):
    bench, y, x = trading
    play(bench, y[:30], x[:30], begin=15)
    with bench.database.transaction() as con:
        con.execute(
            "UPDATE ohlc_data SET close = close * 1.001 WHERE symbol = 'btcusdt' "
            "AND timeframe = '1s' AND timestamp = ?",
            ((START_MS + 60_000 + 22_000) // 1000 * 1000,),
        )
    assert "prints came late" in " ".join(report(bench).differences["cause"])


def test_stopping_closes_the_pair_where_it_is_asked_to(trading):
    bench, y, x = trading
    for end in range(16, 60):
        play(bench, y[:end], x[:end], begin=end - 1)
        if any(p["state"] == "open" for p in bench.read(books.pairs, "a1")):
            break
    assert bench.ask("desk.auto.stop", auto="auto1", close=True)["done"]
    play(bench, y[: end + 2], x[: end + 2], begin=end)
    assert bench.read(books.pairs, "a1") == []
    assert bench.read(books.autos, running_only=True) == []


def test_auto_mode_refuses_with_a_sentence(bench):
    bench.account()
    for change, word in (
        ({"hedge": {"method": "kalman"}}, "rolling or given"),
        ({"symbol2": "btcusdt"}, "two symbols"),
        ({"timeframe": "7min"}, "not offered"),
        ({"rules": {"entry_th": 0.0, "exit_th": 1.0}}, "above the exit"),
        ({"amount": -1.0}, "above 0"),
        ({"account": "nobody"}, "no account"),
        ({"symbol1": "dogeusdt"}, "not a symbol"),
    ):
        answer = bench.ask("desk.auto.start", **{**AUTO, **change})
        assert word in answer["why"], answer
    assert bench.ask("desk.auto.start", **AUTO)["done"]
    assert bench.ask("desk.auto.start", **AUTO)["done"]
    assert "already" in bench.ask("desk.auto.start", **{**AUTO, "id": "auto2"})["why"]
