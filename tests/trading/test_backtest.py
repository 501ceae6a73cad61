"""The two-leg engine against a slow obvious loop of strategy, costs, sizing and ledger."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from errors import BadInput, InsufficientData
from tests.trading.markets import pair, pair_frames
from trading import filters
from trading.backtest import (
    FREE,
    Costs,
    HedgePlan,
    PairSettings,
    Rules,
    Sizing,
    blocked_reasons,
    pair_candles,
    run_pair,
)
from trading.costs import price_fill
from trading.ledger import Book, Fill, FundingEvent
from trading.signals import Signals, make_signals
from trading.sizing import SymbolRules, pair_quantities, spread_units
from trading.strategy import MeanReversion


def slow_loop(c, setup, signals, rates=None, blocked=None):
    """Candle by candle, with the desk's own parts."""
    book, machine = Book(setup.starting_equity), MeanReversion(setup.rules)
    same = setup.fill == "same"
    equity, pending, held = [], None, (0.0, 0.0)

    def trade(t, q, prices):
        nonlocal held
        out = []
        for s, (quantity, price, volume) in enumerate(
            zip(q, prices, (c.volume1[t], c.volume2[t]), strict=True)
        ):
            got = price_fill(price, quantity, setup.costs, volume)
            book.apply(Fill(t, "ab"[s], quantity, got.price, got.fee, pair_id="p"))
            out.append(got.price)
        held = (held[0] + q[0], held[1] + q[1])
        return out

    for t in range(len(c)):
        if rates is not None:
            for s, (rate, price) in enumerate(
                zip((rates[0][t], rates[1][t]), (c.open1[t], c.open2[t]), strict=True)
            ):
                book.apply(FundingEvent(t, "ab"[s], rate, price))
        if pending is not None:
            quantities, beta = pending
            prices = trade(t, quantities, (c.open1[t], c.open2[t]))
            if machine.side:
                machine.filled(*prices, beta)
            pending = None
        marks = {"a": c.close1[t], "b": c.close2[t]}
        z, beta = signals.zscore[t], signals.hedge_ratio[t]
        decision = machine.on_close(
            t, z, price1=c.close1[t], price2=c.close2[t], hedge_ratio=beta,
            blocked="" if blocked is None else blocked[t],
        )  # fmt: skip
        if decision.acts:
            if decision.target:
                units = spread_units(
                    setup.sizing, book.equity(marks), c.close1[t], c.close2[t], beta
                )
                legs = pair_quantities(
                    int(decision.target), units, beta, c.close1[t], c.close2[t], setup.sizing
                )
                order = None if legs.refused else ((legs.quantity1, legs.quantity2), beta)
            else:
                order = ((-held[0], -held[1]), beta)
            if order is None:
                machine.refused()
            elif same:
                prices = trade(t, order[0], (c.close1[t], c.close2[t]))
                if machine.side:
                    machine.filled(*prices, beta)
            else:
                pending = order
        equity.append(book.equity(marks))
    return np.array(equity), book


setups = st.builds(
    PairSettings,
    rules=st.builds(
        Rules,
        entry_th=st.floats(0.5, 2.5),
        exit_th=st.floats(-1.0, 0.4),
        z_stop=st.sampled_from([np.inf, 3.0]),
        spread_stop=st.sampled_from([np.inf, 0.0005, 0.002]),
        take_profit=st.sampled_from([np.inf, 0.0005, 0.002]),
        max_holding=st.sampled_from([0, 1, 7]),
        cooldown=st.sampled_from([0, 3]),
    ),
    costs=st.sampled_from([FREE, Costs(), Costs(maker=True), Costs(impact=0.001)]),
    sizing=st.builds(
        Sizing,
        by=st.sampled_from(["percent", "notional", "units"]),
        amount=st.floats(0.5, 30.0),
        rules1=st.sampled_from([SymbolRules(), SymbolRules(step_size=0.1, min_notional=20)]),
        rules2=st.sampled_from([SymbolRules(), SymbolRules(step_size=0.01, min_notional=20)]),
    ),
    fill=st.sampled_from(["next", "same"]),
)


@settings(max_examples=30, deadline=None)
@given(setups, st.integers(0, 1000), st.booleans(), st.booleans())
def test_the_fast_engine_is_the_slow_loop(setup, seed, with_funding, with_session):
    c = pair(300, seed, timeframe_ms=900_000)
    setup = replace(setup, session=filters.Session(6, 20) if with_session else None)
    signals = make_signals(c, HedgePlan("rolling", 30), 20)
    rate = 1e-3 if with_funding else None
    result = run_pair(c, setup, signals=signals, funding1=rate, funding2=rate)
    rates = filters.funding_at_opens(c, rate, rate) if with_funding else None
    equity, book = slow_loop(c, setup, signals, rates, blocked_reasons(c, setup))
    np.testing.assert_allclose(result.equity["pair"], equity, rtol=1e-11)
    assert sum(t.pnl for t in book.trades) == pytest.approx(
        result.trades.loc[result.trades["status"] == "closed", "pnl"].sum(), abs=1e-7
    )
    assert len(book.trades) == result.trade_figures.count


@settings(max_examples=15, deadline=None)
@given(setups, st.integers(0, 1000), st.sampled_from([None, 0.01]), st.booleans())
def test_the_books_balance_however_it_is_set_up(setup, seed, drift, close_at_end):
    c = pair(400, seed)
    drift = drift if setup.fill == "next" else None
    setup = replace(setup, rehedge_drift=drift, close_at_end=close_at_end)
    setup = replace(setup, hedge=HedgePlan("rolling", 30), z_window=20)
    result = run_pair(c, setup, funding1=1e-3)
    start = setup.starting_equity
    change = result.equity["pair"].iloc[-1] - start
    assert result.totals[0] - start == pytest.approx(change, abs=1e-9 * start)
    assert result.trades["gross_pnl"].sum() - result.costs.total == pytest.approx(
        change, abs=1e-9 * start
    )
    book = Book.replay(start, result.events())
    marks = {c.symbol1: c.close1[-1], c.symbol2: c.close2[-1]}
    assert book.equity(marks) == pytest.approx(start + change, abs=1e-9 * start)
    assert abs(book.imbalance(marks)) < 1e-9 * start
    curve = np.r_[start, result.equity["pair"]]
    depth = (curve / np.maximum.accumulate(curve) - 1).min()
    assert result.summary.max_drawdown == pytest.approx(depth, abs=1e-12)
    assert result.summary.exposure == (result.positions != 0).mean()
    assert not (close_at_end and (result.trades["status"] == "open").any())


def test_stops_are_judged_on_the_finest_candles_and_filled_at_the_next_finer_open():
    fine = pair(60 * 40, seed=3)
    at = np.arange(0, len(fine), 15)
    times = pd.to_datetime(fine.time_ms[at], unit="ms", utc=True)
    legs = [
        pd.DataFrame({"timestamp": times, "open": o[at], "close": cl[at + 14]})
        for o, cl in ((fine.open1, fine.close1), (fine.open2, fine.close2))
    ]
    coarse = pair_candles(*legs)
    setup = PairSettings(
        rules=Rules(1.0, -0.5, spread_stop=3e-4, take_profit=3e-4), z_window=10,
        hedge=HedgePlan("given", ratio=1.5), costs=FREE,
    )  # fmt: skip
    result = run_pair(coarse, setup, fine=fine)
    inside = result.rows[:, 20] >= 0
    assert inside.sum() > 5
    for row in result.rows[inside]:
        k = int(row[20])
        move = [
            row[0]
            * ((fine.close1[j] - row[7]) - 1.5 * (fine.close2[j] - row[8]))
            / (row[7] + 1.5 * row[8])
            for j in range(int(row[2]) * 15, k)
        ]
        assert abs(move[-1]) >= 3e-4
        assert max(map(abs, move[:-1]), default=0) < 3e-4
        assert (row[9], row[10]) == (fine.open1[k], fine.open2[k])
    with pytest.raises(BadInput, match="shorter"):
        run_pair(coarse, setup, fine=coarse)


def test_a_stop_on_the_last_finer_close_is_filled_at_the_next_open_which_is_the_coarse_one():
    fine = pair(60 * 40, seed=3)
    at = np.arange(0, len(fine), 15)
    times = pd.to_datetime(fine.time_ms[at], unit="ms", utc=True)
    close1 = fine.close1.copy()
    close1[15 * 21 + 14] *= 0.99  # the stop is crossed on the last finer close of candle 21 alone
    fine = replace(fine, close1=close1)
    legs = [
        pd.DataFrame({"timestamp": times, "open": o[at], "close": cl[at + 14]})
        for o, cl in ((fine.open1, fine.close1), (fine.open2, fine.close2))
    ]
    coarse = pair_candles(*legs)
    z = np.full(len(coarse), -0.5)
    z[[19, 21]] = -3.0
    known = Signals(np.full(len(coarse), 1.5), np.zeros(len(coarse)), z)
    setup = PairSettings(rules=Rules(2.0, 0.0, spread_stop=3e-3), costs=FREE)
    result = run_pair(coarse, setup, signals=known, fine=fine)
    first = result.trades.iloc[0]
    assert first["reason"] == "spread stop"
    assert first["exit_time"] == times[22]
    assert first["exit_price1"] == coarse.open1[22] == fine.open1[15 * 22]
    # Decided on candle 21's close, which therefore opens nothing, whatever its z.
    assert len(result.trades) == 1


def test_the_table_of_trades_asked_for_later_is_that_of_the_totals():
    setup = PairSettings(rules=Rules(1.2, 0.1), hedge=HedgePlan("rolling", 60), z_window=30)
    for n, seed in ((200, 0), (3000, 1)):
        c = pair(n, seed)
        result = run_pair(c, setup)
        eager = run_pair(c, setup, funding1=pd.Series([0.0], index=[c.time_ms[0]]))
        assert callable(result.table)
        assert not callable(eager.table)
        np.testing.assert_allclose(result.rows, eager.rows, rtol=1e-12, atol=1e-9)
        assert len(result.rows) == result.summary.trades == eager.summary.trades
        assert result.rows[-1, 19] == result.totals[0]


def test_an_infinite_zscore_that_is_acted_on_is_named_by_its_candle():
    c = pair(100)
    z = np.zeros(100)
    z[40] = np.inf
    known = Signals(np.full(100, 1.5), np.zeros(100), z)
    at = pd.Timestamp(c.time_ms[40], unit="ms").strftime("%Y-%m-%d %H:%M:%S")
    with pytest.raises(BadInput, match=rf"{at} UTC \(number 40\) is infinite"):
        run_pair(c, signals=known)
    z[[39, 40]] = -3.0, np.inf
    with pytest.raises(BadInput, match="number 40"):
        run_pair(c, signals=known, funding1=1e-4)


def test_nothing_is_opened_in_gaps_or_across_missing_candles():
    c = pair(200)
    z = np.full(200, np.nan)
    z[[50, 100, 150]] = -3.0
    z[[55, 105, 155]] = 1.0
    known = Signals(np.full(200, 1.5), np.zeros(200), z)
    assert run_pair(c, signals=known).summary.trades == 3
    gap = (int(c.time_ms[99]), int(c.time_ms[102]))
    assert run_pair(c, signals=known, gaps=[gap]).summary.trades == 2
    frames = [f.drop(index=51) for f in pair_frames(200)]
    holed = pair_candles(*frames)
    cut = Signals(*(np.delete(v, 51) for v in known))
    assert run_pair(holed, signals=cut).rows[:, 2].tolist() == [100, 150]
    hours = filters.Session(0, 1)
    assert run_pair(c, PairSettings(session=hours), signals=known).summary.trades < 3


def test_a_pair_without_cointegration_is_not_opened():
    c = pair(400, phi=0.2)
    strict = filters.CointegrationFilter(window=100, every=20, max_pvalue=0.05)
    p = filters.rolling_pvalues(c, strict)
    assert np.isnan(p[:99]).all()
    assert (p[99:] < 0.05).mean() > 0.9
    rng = np.random.default_rng(0)
    frames = pair_frames(400)
    frames[0]["close"] = 100 * np.exp(rng.normal(0, 1e-3, 400).cumsum())
    apart = pair_candles(*frames)
    setup = PairSettings(
        cointegration=replace(strict, max_pvalue=1e-9), hedge=HedgePlan("rolling", 60), z_window=20
    )
    assert run_pair(apart, setup).summary.trades == 0


def test_funding_is_charged_at_the_first_open_at_or_after_its_time():
    c = pair(100, timeframe_ms=3_600_000)
    set_rate = filters.funding_at_opens(c, 1e-4, None)
    hours = (c.time_ms[np.flatnonzero(set_rate.rate1)] // 3_600_000) % 24
    assert set(hours.tolist()) == {0, 8, 16}
    late = pd.Series([2e-4], index=pd.to_datetime([c.time_ms[10] + 1], unit="ms", utc=True))
    assert np.flatnonzero(filters.funding_at_opens(c, late, None).rate1).tolist() == [11]


def test_no_trade_at_all_is_an_honest_empty_result():
    c = pair(300)
    result = run_pair(c, PairSettings(rules=Rules(entry_th=50.0)))
    assert result.trades.empty
    assert "pnl" in result.trades
    assert result.figures.sharpe.value is None
    assert result.trade_figures.win_rate.reason == "There was no closed trade."
    assert (result.equity["pair"] == 10_000.0).all()


def test_annualised_figures_of_short_samples_are_withheld_with_the_reason():
    result = run_pair(pair(2000))
    assert result.figures.annual_return.value is None
    assert "days" in result.figures.annual_return.reason
    assert result.figures.total_return.value is not None
    assert f"{result.figures.sharpe:.2f}" == "–"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: run_pair(pair(100)), "at least"),
        (lambda: make_signals(pair(100), HedgePlan("rolling", 20), 1), "at least 2"),
        (lambda: HedgePlan("best"), "one of"),
        (lambda: HedgePlan("given"), "finite"),
        (lambda: HedgePlan("rolling", 2), "at least 3"),
        (lambda: PairSettings(starting_equity=0), "above 0"),
        (lambda: PairSettings(rehedge_drift=-1), "above 0"),
        (lambda: PairSettings(rehedge_drift=0.1, fill="same"), "next candle"),
        (lambda: filters.Session(25), "0 to 24"),
        (lambda: filters.Session(weekdays=(9,)), "Monday"),
        (lambda: filters.CointegrationFilter(window=3), "at least 30"),
        (lambda: filters.CointegrationFilter(max_pvalue=0), "between 0 and 1"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(call, words):
    with pytest.raises(BadInput, match=words):
        call()


def test_bad_candles_are_a_sentence():
    y, x = pair_frames(50)
    with pytest.raises(BadInput, match="above 0"):
        pair_candles(y.assign(close=-1.0), x)
    with pytest.raises(BadInput, match="in common"):
        pair_candles(y, x.assign(timestamp=x["timestamp"] + pd.Timedelta("100D")))
    with pytest.raises(BadInput, match="column close"):
        pair_candles(y.drop(columns="close"), x)
    with pytest.raises(BadInput, match="two candles"):
        pair_candles(y.assign(timestamp=y["timestamp"].iloc[0]), x)
    with pytest.raises(InsufficientData):
        pair_candles(y.iloc[:2], x)
    assert pair_candles(y.assign(close=y["close"].where(y.index > 4)), x).dropped == 5


def test_on_independent_random_walks_the_mean_net_result_is_minus_the_costs():
    """Gross P&L has mean 0; what is left is the costs (t-test over seeds at 4 sigma)."""
    gross, costs, net = [], [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frames = pair_frames(1500)
        for f in frames:
            f["close"] = 100 * np.exp(rng.normal(0, 5e-4, 1500).cumsum())
            f["open"] = f["close"].shift(1).fillna(100.0)
        result = run_pair(
            pair_candles(*frames),
            PairSettings(hedge=HedgePlan("given", ratio=1.0), sizing=Sizing("units", 1.0)),
        )
        gross.append(result.trades["gross_pnl"].sum())
        costs.append(result.costs.total)
        net.append(result.totals[0] - 10_000.0)
    error = np.std(gross, ddof=1) / np.sqrt(30)
    assert abs(np.mean(gross)) < 4 * error
    assert abs(np.mean(net) + np.mean(costs)) < 4 * error
    assert np.mean(net) < -np.mean(costs) / 2


def theory(rho, deviation, entry, points=501):
    """Expected gross P&L a candle and entries a candle of the rule on an AR(1), by a Markov chain.

    States are (side ordered, X); a side ordered on X earns from the next candle to the one after.
    """
    grid = np.linspace(-6, 6, points) * deviation
    step = grid[1] - grid[0]
    noise = deviation * np.sqrt(1 - rho**2)
    move = np.exp(-((grid[None, :] - rho * grid[:, None]) ** 2) / (2 * noise**2))
    move *= step / (noise * np.sqrt(2 * np.pi))
    low, high = grid < -entry * deviation, grid > entry * deviation
    flat, long, short = np.ones(points) / points, np.zeros(points), np.zeros(points)
    for _ in range(1500):
        f, lo, sh = flat @ move, long @ move, short @ move
        opened = f[low].sum() + f[high].sum()
        flat = np.where(low | high, 0, f) + np.where(grid >= 0, lo, 0) + np.where(grid <= 0, sh, 0)
        long = np.where(low, f, 0) + np.where(grid < 0, lo, 0)
        short = np.where(high, f, 0) + np.where(grid > 0, sh, 0)
    total = flat.sum() + long.sum() + short.sum()
    gross = ((long - short) * (rho - 1) * rho * grid).sum()
    return gross / total, opened / total


def test_on_a_planted_market_the_result_is_what_theory_says():
    """Half-life of 20 candles, z known, costs on: P&L a candle within 4 standard errors."""
    rho, deviation, n = 0.5 ** (1 / 20), 0.5, 60_000
    expected_gross, rate = theory(rho, deviation, 1.5)
    nets, predicted, trades = [], [], 0
    for seed in range(4):
        rng = np.random.default_rng(100 + seed)
        shocks = rng.normal(0, deviation * np.sqrt(1 - rho**2), n)
        e = lfilter([1.0], [1.0, -rho], shocks)
        x = np.full(n, 100.0)
        times = pd.RangeIndex(0, 60_000 * n, 60_000)
        y = x + e
        legs = [
            pd.DataFrame({"open": p, "close": p}, index=times) for p in (y, x)
        ]  # open equals close: a fill on the next candle is at its spread
        c = pair_candles(*legs)
        known = Signals(np.ones(n), e, e / deviation)
        result = run_pair(
            c,
            PairSettings(
                rules=Rules(1.5, 0.0), sizing=Sizing("units", 1.0), costs=Costs(),
                starting_equity=1e6,
            ),
            signals=known,
        )  # fmt: skip
        trades += result.summary.trades
        nets += list(np.diff(np.r_[1e6, result.equity["pair"]]).reshape(60, -1).sum(axis=1))
        cost = 200.0 * Costs().round_trip_rate()
        predicted.append((expected_gross - rate * cost) * n / 60)
    error = np.std(nets, ddof=1) / np.sqrt(len(nets))
    assert abs(np.mean(nets) - predicted[0]) < 4 * error
    assert error < 0.2 * abs(expected_gross * n / 60)
    assert trades / (4 * n) == pytest.approx(rate, rel=0.06)
