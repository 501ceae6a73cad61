"""Parity with vectorbt and backtesting.py, and figures with empyrical."""

import numpy as np
import pandas as pd
import pytest

from kernels import columns as col
from tests.trading.markets import pair
from trading import metrics
from trading.backtest import Costs, HedgePlan, PairSettings, Rules, Sizing, run_pair
from trading.metrics import YEAR_MS
from trading.spread_trades import mean_reversion

# vectorbt and backtesting.py are imported with their own warnings, which are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore")


def vectorbt_portfolio(result):
    """The same fills, given to vectorbt as target amounts at our prices before fees."""
    import vectorbt as vbt

    c, same = result.candles, result.settings.fill == "same"
    size = np.full((len(c), 2), np.nan)
    for row in result.rows:
        size[int(row[2])] = row[5], row[6]
        if row[4] >= 0:
            size[int(row[4])] = 0.0
    close = pd.DataFrame({"y": c.close1, "x": c.close2}, index=c.index)
    price = close if same else pd.DataFrame({"y": c.open1, "x": c.open2}, index=c.index)
    return vbt.Portfolio.from_orders(
        close, size=size, size_type="targetamount", price=price, fees=5e-4, slippage=1e-4,
        init_cash=1e6, cash_sharing=True, group_by=True, freq="1min",
    )  # fmt: skip


@pytest.mark.parametrize("fill", ["next", "same"])
@pytest.mark.parametrize("seed", range(5))
def test_trades_and_equity_are_those_of_vectorbt(seed, fill):
    """Counts exact; P&L, equity, return and drawdown to 1e-12, Sharpe to 1e-9.

    P&L is the small difference of two notionals, which doubles hold to 1e-16 of themselves: its
    error is measured against the notional at entry (a trade that nets 0 has no scale of its own).
    Return and drawdown are differences of equity ratios and are compared as such.
    """
    setup = PairSettings(
        rules=Rules(1.5, 0.2), hedge=HedgePlan("rolling", 60), z_window=40, fill=fill,
        costs=Costs(), sizing=Sizing("percent", 0.5), starting_equity=1e6,
    )  # fmt: skip
    ours = run_pair(pair(3000, seed), setup)
    theirs = vectorbt_portfolio(ours)
    assert theirs.trades.count() == 2 * len(ours.trades) == 2 * ours.summary.trades > 200
    records = theirs.trades.records
    r = ours.rows.T
    fees = (r[col.C_FEES1], r[col.C_FEES] - r[col.C_FEES1])
    both = np.zeros(len(ours.trades))
    for leg, columns in enumerate(
        (
            (col.C_GROSS1, col.C_QTY1, col.C_IN1, col.C_OUT1),
            (col.C_GROSS2, col.C_QTY2, col.C_IN2, col.C_OUT2),
        )
    ):
        gross, quantity, price_in, price_out = (r[column] for column in columns)
        mine = records[records["col"] == leg]
        both += mine["pnl"].to_numpy()
        off = np.abs(mine["pnl"].to_numpy() - (gross - fees[leg]))
        assert (off <= 1e-12 * np.abs(quantity) * price_in).all()
        assert mine["entry_idx"].tolist() == r[col.C_FILL_IN].astype(int).tolist()
        closed = r[col.C_FILL_OUT] >= 0
        exits = mine["exit_idx"].to_numpy()[closed]
        assert exits.tolist() == r[col.C_FILL_OUT][closed].astype(int).tolist()
        near = {"rtol": 1e-12, "atol": 0}
        np.testing.assert_allclose(mine["entry_price"], price_in, **near)
        np.testing.assert_allclose(mine["exit_price"][closed], price_out[closed], **near)
    assert (np.abs(both - ours.trades["pnl"]) <= 1e-12 * r[col.C_EQUITY_IN]).all()
    equity = ours.equity["pair"].to_numpy()
    np.testing.assert_allclose(theirs.value().to_numpy(), equity, rtol=1e-12, atol=0)
    assert theirs.sharpe_ratio() == pytest.approx(ours.summary.sharpe, rel=1e-9, abs=0)
    assert theirs.max_drawdown() == pytest.approx(ours.summary.max_drawdown, rel=1e-12, abs=0)
    assert 1 + theirs.total_return() == pytest.approx(
        1 + ours.summary.total_return, rel=1e-12, abs=0
    )
    assert theirs.total_return() == pytest.approx(ours.summary.total_return, rel=0, abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_one_leg_is_that_of_backtesting_py(seed):
    from backtesting import Backtest, Strategy

    rng = np.random.default_rng(seed)
    price = 100 + np.cumsum(rng.normal(0, 0.1, 1500))
    spread = pd.Series(price, index=pd.date_range("2024", periods=1500, freq="1min"))
    z = (spread - spread.rolling(30).mean()) / spread.rolling(30).std()
    # backtesting.py fills at the next open; ours at the next candle's spread: open is close here.
    frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), price), index=spread.index)

    class Reversion(Strategy):
        def init(self):
            self.z = self.I(lambda: z.to_numpy())

        def next(self):
            now = self.z[-1]
            if self.position:
                long = self.position.is_long
                if (long and now >= 0) or (not long and now <= 0):
                    self.position.close()
            elif now > 2:
                self.sell(size=1)
            elif now < -2:
                self.buy(size=1)

    theirs = Backtest(frame, Reversion, cash=1e6).run()["_trades"].sort_values("EntryBar")
    ours = mean_reversion(spread, z).trades
    closed = ours[ours["status"] == "closed"]
    theirs = theirs.iloc[: len(closed)]
    bars = [spread.index.get_loc(t) for t in closed["entry_time"]]
    assert theirs["EntryBar"].tolist() == bars
    assert theirs["ExitBar"].tolist() == [spread.index.get_loc(t) for t in closed["exit_time"]]
    np.testing.assert_allclose(theirs["PnL"], closed["pnl"], rtol=1e-9, atol=1e-9)


def test_figures_are_those_of_empyrical():
    import empyrical

    rng = np.random.default_rng(0)
    r = rng.standard_t(4, 5000) * 1e-4 + 1e-6
    market = rng.normal(0, 1e-4, 5000) + 0.3 * r
    periods = YEAR_MS / 60_000
    equity = 1000 * np.cumprod(1 + r)
    figures = metrics.equity_figures(equity, 1000.0, 60_000, market, min_annual_days=0)
    near = {"rel": 1e-9}
    assert figures.sharpe.value == pytest.approx(
        empyrical.sharpe_ratio(r, annualization=periods), **near
    )
    assert figures.sortino.value == pytest.approx(
        empyrical.sortino_ratio(r, annualization=periods), **near
    )
    assert figures.annual_return.value == pytest.approx(
        empyrical.annual_return(r, annualization=periods), **near
    )
    assert figures.annual_volatility.value == pytest.approx(
        empyrical.annual_volatility(r, annualization=periods), **near
    )
    assert figures.calmar.value == pytest.approx(
        empyrical.calmar_ratio(r, annualization=periods), **near
    )
    assert figures.max_drawdown.value == pytest.approx(empyrical.max_drawdown(r), **near)
    assert figures.omega.value == pytest.approx(empyrical.omega_ratio(r), **near)
    assert figures.tail_ratio.value == pytest.approx(empyrical.tail_ratio(r), **near)
    assert figures.value_at_risk.value == pytest.approx(empyrical.value_at_risk(r), **near)
    assert figures.conditional_value_at_risk.value == pytest.approx(
        empyrical.conditional_value_at_risk(r), **near
    )
    assert figures.beta.value == pytest.approx(empyrical.beta(r, market), **near)
