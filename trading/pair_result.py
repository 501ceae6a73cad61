"""What a pair backtest found; everything beyond the totals is worked out when asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kernels import columns as col
from trading import metrics
from trading.candle_pair import Array, PairCandles, epoch_ms
from trading.filters import Funding
from trading.ledger import Fill, FundingEvent
from trading.metrics import YEAR_MS, EquityFigures, Figure, TradeFigures
from trading.signals import Signals
from trading.strategy import Reason

if TYPE_CHECKING:
    from trading.backtest import PairSettings


class SixFigures(NamedTuple):
    """The figures that a sweep compares; Sharpe is annualised and NaN where nothing varied."""

    total_return: float
    sharpe: float
    max_drawdown: float
    trades: int
    win_rate: float
    exposure: float


class CostTotals(NamedTuple):
    """By kind, quote currency, positive when paid. ``total`` is their sum."""

    fees: float
    slippage: float
    funding: float
    total: float


def six_figures(
    totals: Array, starting_equity: float, candles: int, timeframe_ms: int
) -> SixFigures:
    """Read the six figures out of a row of totals (the last axis of ``totals``)."""
    mean = totals[col.T_SUM] / candles
    variance = (totals[col.T_SQUARES] - candles * mean * mean) / max(candles - 1, 1)
    sharpe = mean / math.sqrt(variance) if variance > 0 else math.nan
    closed = totals[col.T_TRADES] - totals[col.T_OPEN]
    return SixFigures(
        float(totals[col.T_EQUITY] / starting_equity - 1.0),
        float(sharpe * math.sqrt(YEAR_MS / timeframe_ms)),
        float(totals[col.T_DRAWDOWN]),
        int(totals[col.T_TRADES]),
        float(totals[col.T_WINS] / closed) if closed > 0 else math.nan,
        float(totals[col.T_EXPOSED] / candles),
    )


@dataclass(frozen=True, eq=False)
class PairBacktest:
    """A finished run.

    ``table`` is `rows` or a function that gives it when first asked for, ``totals`` the kernel's
    sums, ``rehedges`` (k, 4) candle, quantity, price and fee of each re-hedge of the second leg.
    """

    candles: PairCandles
    settings: PairSettings
    signals: Signals
    table: Array | Callable[[], Array]
    totals: Array
    rehedges: Array
    funding: Funding | None = None
    fine: PairCandles | None = None
    market: pd.Series | None = None

    @cached_property
    def rows(self) -> Array:
        """The trades as the kernel writes them, (k, N_TRADE), see `kernels.columns`."""
        return self.table() if callable(self.table) else self.table

    @cached_property
    def summary(self) -> SixFigures:
        """Return, Sharpe, drawdown, trades, win rate, exposure: summed up during the run."""
        return six_figures(
            self.totals,
            self.settings.starting_equity,
            len(self.candles),
            self.candles.timeframe_ms,
        )

    @property
    def costs(self) -> CostTotals:
        """Costs by kind."""
        t = self.totals
        parts = (float(t[col.T_FEES]), float(t[col.T_SLIPPAGE]), float(t[col.T_FUNDING]))
        return CostTotals(*parts, math.fsum(parts))

    @property
    def turnover(self) -> float:
        """Traded notional of both legs over the starting equity."""
        return float(self.totals[col.T_TURNOVER] / self.settings.starting_equity)

    @property
    def refused(self) -> int:
        """Entries that rounding or the exchange's minima did not let through."""
        return int(self.totals[col.T_REFUSED])

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Equity at every close: columns leg1, leg2 (net P&L of each) and pair (equity)."""
        legs = np.empty((2, len(self.candles)))
        for number, out in enumerate(legs, start=1):
            self._leg(number, out)
        pair = self.settings.starting_equity + legs[0] + legs[1]
        index = pd.DatetimeIndex(
            (self.candles.time_ms + self.candles.timeframe_ms).view("datetime64[ms]"),
            tz="UTC",
            name="close_time",
        )
        return pd.DataFrame({"leg1": legs[0], "leg2": legs[1], "pair": pair}, index=index)

    @cached_property
    def returns(self) -> Array:
        """Simple return of the pair's equity at each candle, (n,)."""
        return metrics.returns_of(
            self.equity["pair"].to_numpy(np.float64), self.settings.starting_equity
        )

    @cached_property
    def positions(self) -> NDArray[np.int8]:
        """Side held at each close, −1, 0, 1, (n,)."""
        out = np.zeros(len(self.candles), np.int8)
        for row in self.rows:
            stop = int(row[col.C_FILL_OUT]) if row[col.C_FILL_OUT] >= 0 else len(out)
            out[int(row[col.C_FILL_IN]) : stop] = int(row[col.C_SIDE])
        return out

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row a trade; its columns are there even when there is none.

        ``gross_pnl`` is at the prices before slippage, ``pnl`` is net of fees, slippage and
        funding; an open trade is marked at the last close. Entry and exit spread are
        price1 − hedge_ratio · price2 at the fills, with the ratio frozen at entry.
        """
        r = self.rows.T
        closed = r[col.C_FILL_OUT] >= 0
        gross = r[col.C_GROSS1] + r[col.C_GROSS2]
        z = self.signals.zscore
        at = np.where(closed, r[col.C_SIGNAL_OUT], 0).astype(np.int64)
        fill_out = np.where(closed, r[col.C_FILL_OUT], len(self.candles) - 1)
        last = fill_out - r[col.C_FILL_IN]
        reasons = [Reason(int(code)).text for code in r[col.C_REASON]]
        hedge = r[col.C_HEDGE]
        return pd.DataFrame(
            {
                "side": np.where(r[col.C_SIDE] > 0, "LONG", "SHORT").astype(object),
                "entry_time": self._times(r[col.C_FILL_IN], None),
                "exit_time": self._times(r[col.C_FILL_OUT], r[col.C_FINE_OUT]),
                "entry_zscore": z[r[col.C_SIGNAL_IN].astype(np.int64)],
                "exit_zscore": np.where(closed, z[at], math.nan),
                "hedge_ratio": hedge,
                "quantity1": r[col.C_QTY1],
                "quantity2": r[col.C_QTY2_IN],
                "entry_price1": r[col.C_IN1],
                "entry_price2": r[col.C_IN2],
                "exit_price1": r[col.C_OUT1],
                "exit_price2": r[col.C_OUT2],
                "entry_spread": r[col.C_IN1] - hedge * r[col.C_IN2],
                "exit_spread": r[col.C_OUT1] - hedge * r[col.C_OUT2],
                "holding_candles": last.astype(np.int64),
                "gross_pnl": gross + r[col.C_SLIPPAGE],
                "fees": r[col.C_FEES],
                "slippage": r[col.C_SLIPPAGE],
                "funding": r[col.C_FUNDING],
                "pnl": gross - r[col.C_FEES] - r[col.C_FUNDING],
                "return": (gross - r[col.C_FEES] - r[col.C_FUNDING]) / r[col.C_EQUITY_IN],
                "reason": pd.Series(reasons, dtype=object).where(closed, "open at the end"),
                "status": np.where(closed, "closed", "open").astype(object),
            }
        ).astype({"side": "str", "reason": "str", "status": "str"})

    @cached_property
    def figures(self) -> EquityFigures:
        """Figures of the equity curve."""
        return metrics.equity_figures(
            self.equity["pair"].to_numpy(np.float64),
            self.settings.starting_equity,
            self.candles.timeframe_ms,
            self._market_returns(),
        )

    @cached_property
    def trade_figures(self) -> TradeFigures:
        """Figures of the closed trades, net."""
        closed = self.rows[self.rows[:, col.C_FILL_OUT] >= 0].T
        net = closed[col.C_EQUITY_OUT] - closed[col.C_EQUITY_IN]
        return metrics.trade_figures(net, closed[col.C_FILL_OUT] - closed[col.C_FILL_IN])

    def all_figures(self) -> dict[str, Figure]:
        """Every figure by name, for tables and comparison."""
        out = {k: _as_figure(v) for k, v in vars(self.figures).items()}
        out |= {k: _as_figure(v) for k, v in vars(self.trade_figures).items()}
        out["trades"] = out.pop("count")
        out["exposure"] = Figure(self.summary.exposure)
        out["turnover"] = Figure(self.turnover)
        out |= {f"cost_{k}": Figure(v) for k, v in self.costs._asdict().items()}
        out["refused_entries"] = Figure(float(self.refused))
        return out

    def events(self) -> list[Fill | FundingEvent]:
        """The run as ledger events in time order: `Book.replay` gives the same equity."""
        pair_id = f"{self.candles.symbol1}/{self.candles.symbol2}"
        out: list[tuple[int, int, Fill | FundingEvent]] = []
        for number, symbol in ((1, self.candles.symbol1), (2, self.candles.symbol2)):
            candle, quantity, price, fee, time = self._fills(number)
            for k in range(candle.size):
                fill = Fill(
                    int(time[k]), symbol, float(quantity[k]), float(price[k]), float(fee[k]),
                    pair_id=pair_id,
                )  # fmt: skip
                out.append((int(time[k]), 1, fill))
        out += self._funding_events(pair_id)
        out.sort(key=lambda item: (item[0], item[1]))
        return [event for _, _, event in out]

    def _funding_events(self, pair_id: str) -> Iterator[tuple[int, int, FundingEvent]]:
        if self.funding is None:
            return
        c = self.candles
        for symbol, rates, opens in (
            (c.symbol1, self.funding.rate1, c.open1),
            (c.symbol2, self.funding.rate2, c.open2),
        ):
            for t in np.flatnonzero(rates):
                time = int(c.time_ms[t])
                yield time, 0, FundingEvent(time, symbol, float(rates[t]), float(opens[t]), pair_id)

    def _fills(self, leg: int) -> tuple[Any, ...]:
        """Candle, quantity, price, fee and time of each fill of a leg, in order."""
        r = self.rows.T
        closed = r[col.C_FILL_OUT] >= 0
        entry, final, price_in, price_out = (
            (col.C_QTY1, col.C_QTY1, col.C_IN1, col.C_OUT1)
            if leg == 1
            else (col.C_QTY2_IN, col.C_QTY2, col.C_IN2, col.C_OUT2)
        )
        more = self.rehedges if leg == 2 else self.rehedges[:0]
        candle = np.concatenate([r[col.C_FILL_IN], more[:, 0], r[col.C_FILL_OUT][closed]])
        quantity = np.concatenate([r[entry], more[:, 1], -r[final][closed]])
        price = np.concatenate([r[price_in], more[:, 2], r[price_out][closed]])
        fee = np.abs(quantity) * price * self.settings.costs.fee_rate
        time = np.concatenate(
            [
                self._time_ms(r[col.C_FILL_IN], None),
                self._time_ms(more[:, 0], None),
                self._time_ms(
                    r[col.C_FILL_OUT][closed],
                    r[col.C_FINE_OUT][closed],
                    r[col.C_REASON][closed] == Reason.FORCED,
                ),
            ]
        )
        order = np.argsort(candle, kind="stable")
        return (
            candle[order].astype(np.int64),
            quantity[order],
            price[order],
            fee[order],
            time[order],
        )

    def _leg(self, leg: int, out: Array) -> None:
        from kernels.legs import leg_equity

        c = self.candles
        candle, quantity, price, fee, _ = self._fills(leg)
        opens, closes = (c.open1, c.close1) if leg == 1 else (c.open2, c.close2)
        rates = np.zeros(len(c)) if self.funding is None else self.funding[leg - 1]
        leg_equity(candle, quantity, price, fee, opens, closes, rates, out)

    def _time_ms(self, candle: Array, fine: Array | None, forced: Any = False) -> NDArray[np.int64]:
        """Time of fills: the open for next-candle fills, the close for same-close ones."""
        c = self.candles
        at = np.maximum(candle, 0).astype(np.int64)
        shift = c.timeframe_ms if self.settings.fill == "same" else 0
        times = c.time_ms[at] + shift
        if fine is None:
            return times
        if shift == 0:
            # A forced exit at an edge is filled at the close.
            times = np.where(forced, times + c.timeframe_ms, times)
        if self.fine is not None:
            inside = fine >= 0
            times[inside] = self.fine.time_ms[fine[inside].astype(np.int64)]
        return times

    def _times(self, candle: Array, fine: Array | None) -> pd.DatetimeIndex:
        forced = self.rows[:, col.C_REASON] == Reason.FORCED
        times = self._time_ms(candle, fine, forced).view("datetime64[ms]").copy()
        times[candle < 0] = np.datetime64("NaT")
        return pd.DatetimeIndex(times, tz="UTC")

    def _market_returns(self) -> Array | None:
        if self.market is None:
            return None
        prices = self.market.to_numpy(np.float64)
        known = pd.Series(prices, index=epoch_ms(self.market.index)).sort_index()
        known = known[~known.index.duplicated(keep="last")]
        return np.asarray(known.reindex(self.candles.time_ms).pct_change(fill_method=None))


def _as_figure(value: Any) -> Figure:
    return value if isinstance(value, Figure) else Figure(float(value))
