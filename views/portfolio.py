"""The paper account as of one snapshot: what is held, what it is worth, what was traded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from charts.backtest import equity_and_drawdown
from charts.style import palette
from storage import books
from storage.books import AccountRow
from storage.snapshot import Snapshot
from trading.ledger import Position
from trading.metrics import drawdown_curve, equity_figures, trade_figures
from trading.paper_pairs import Pair, leg_risk
from views.text import DASH, compact, duration, moment, number, percent
from views.valuation import Betas, Marks, mark_prices, position_of, read_betas, read_marks

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class PortfolioView:
    """Everything that the tab shows of one account; money in the account's currency.

    Equity and unrealised P&L are NaN where something is held of a symbol without a price.
    """

    version: int
    last_ms: int | None
    account: AccountRow
    equity: float
    unrealised: float
    facts: list[tuple[str, str, str]]
    positions: pd.DataFrame
    pairs: list[PairLine]
    exposure: pd.DataFrame
    orders: pd.DataFrame
    trades: pd.DataFrame
    trade_facts: list[tuple[str, str, str]]
    figure: dict[str, Any] | None
    marks: Marks
    betas: Betas


@dataclass(frozen=True, slots=True)
class PairLine:
    """One pair as one thing."""

    id: str
    title: str
    state: str
    pnl: float
    legs: str
    risk: str
    warnings: tuple[str, ...]
    health: str


def accounts(snapshot: Snapshot) -> list[AccountRow]:
    """Accounts in use."""
    return snapshot.books(books.accounts)


def read_portfolio(
    snapshot: Snapshot, account: AccountRow, now_ms: int, colour_blind_safe: bool = False
) -> PortfolioView:
    """Read one account."""
    rows = snapshot.books(books.positions, account.id, open_only=False)
    every = [position_of(row) for row in rows]
    held = [p for p in every if p.quantity]
    marks = read_marks(snapshot, held)
    unrealised = math.fsum(p.unrealised(marks.of(p.symbol)) for p in held)
    equity = account.cash + math.fsum(p.value(marks.of(p.symbol)) for p in held)
    betas = read_betas(snapshot, {p.symbol for p in held}, now_ms)
    curve = snapshot.books(books.equity, account.id)
    trades = snapshot.books(books.round_trips, account.id)
    exposure = _exposure(held, marks, betas)
    return PortfolioView(
        snapshot.version,
        marks.last_ms,
        account,
        equity,
        unrealised,
        [
            (label, text, marks.why if text == DASH and marks.why else explained)
            for label, text, explained in _facts(
                account, equity, unrealised, exposure, betas, every, curve
            )
        ],
        _positions_frame(rows, marks, mark_prices(snapshot)),
        _pair_lines(snapshot, account.id, every, marks),
        exposure,
        _orders_frame(snapshot.books(books.orders, account.id, limit=200)),
        _trades_frame(trades),
        _trade_facts(trades, curve, account),
        _figure(curve, account, colour_blind_safe),
        marks,
        betas,
    )


def _facts(
    account: AccountRow, equity: float, unrealised: float, exposure: pd.DataFrame, betas: Betas,
    positions: list[Position], curve: pd.DataFrame,
) -> list[tuple[str, str, str]]:  # fmt: skip
    start = account.settings["starting_equity"]
    peak = max([start, equity, *curve["equity"].tolist()])
    gross = math.fsum(exposure["value"].abs())
    beta, beta_explained = _net_beta(exposure, betas, equity)
    fees = math.fsum(p.fees for p in positions)
    funding = math.fsum(p.funding for p in positions)
    realised = math.fsum(p.realised for p in positions)
    times = f"{number(gross / equity)} × equity" if equity > 0 else "Equity is used up"
    return [
        ("Equity", number(equity), f"Cash plus positions at the last price, {_currency(account)}"),
        ("P&L", number(equity - start, sign=True), percent(equity / start - 1, sign=True)),
        ("Unrealised", number(unrealised, sign=True), "Gross, of what is held"),
        ("Realised", number(realised, sign=True), "Gross of fees and funding"),
        ("Fees", number(fees), "Paid so far"),
        ("Funding", number(funding, sign=True), "Paid so far; negative: received"),
        ("Exposure", compact(gross), times),
        ("Net beta", number(beta), beta_explained),
        ("Drawdown", percent(1 - equity / peak), "From the highest equity kept"),
    ]


def _net_beta(exposure: pd.DataFrame, betas: Betas, equity: float) -> tuple[float, str]:
    """Net beta and how it came to be, or NaN and why."""
    if betas.why:
        return math.nan, " ".join(betas.why.values())
    if equity <= 0:
        return math.nan, "Equity is used up, so there is nothing to hold the exposure against."
    explained = "Σ value · beta to BTC over equity, from one-minute closes"
    return math.fsum(exposure["beta value"]) / equity, explained


def _currency(account: AccountRow) -> str:
    return str(account.settings["currency"])


def _positions_frame(
    rows: list[dict[str, Any]], marks: Marks, judging: Mapping[str, float]
) -> pd.DataFrame:
    out = []
    for row in rows:
        if not row["quantity"]:
            continue
        position, mark = position_of(row), marks.of(row["symbol"])
        liquidation = row.get("liquidation_price")
        judged = judging.get(row["symbol"], mark)
        out.append(
            {
                "symbol": row["symbol"].upper(),
                "pair": row["pair_id"],
                "side": "LONG" if position.quantity > 0 else "SHORT",
                "quantity": position.quantity,
                "entry": position.entry_price,
                "price": mark,
                "value": position.value(mark),
                "P&L": position.unrealised(mark),
                "fees": position.fees,
                "funding": position.funding,
                "liquidation": liquidation,
                "distance": None if not liquidation else abs(judged - liquidation) / judged,
                "judged by": f"mark price {judged:.12g}"
                if row["symbol"] in judging
                else "last price",
            }
        )
    return pd.DataFrame(out)


def _exposure(held: list[Position], marks: Marks, betas: Betas) -> pd.DataFrame:
    """Net value of each symbol over its own positions and legs."""
    net: dict[str, float] = {}
    for p in held:
        net[p.symbol] = net.get(p.symbol, 0.0) + p.value(marks.of(p.symbol))
    rows = [
        {
            "symbol": s.upper(),
            "value": v,
            "beta to BTC": betas.known.get(s),
            "beta value": v * betas.known.get(s, math.nan),
        }
        for s, v in sorted(net.items())
    ]
    return pd.DataFrame(rows, columns=["symbol", "value", "beta to BTC", "beta value"])


def _pair_lines(
    snapshot: Snapshot, account: str, positions: list[Position], prices: Marks
) -> list[PairLine]:
    by_key = {(p.symbol, p.pair_id): p for p in positions}
    health = snapshot.all_of("pair_health")
    lines = []
    for row in snapshot.books(books.pairs, account):
        pair = Pair.from_dict(row)
        legs = [by_key.get((s, pair.id), Position(s, pair.id)) for s in pair.symbols]
        marks = [prices.of(leg.symbol) for leg in legs]
        pnl = math.fsum(
            leg.realised + leg.unrealised(mark) - leg.fees - leg.funding
            for leg, mark in zip(legs, marks, strict=True)
        )
        lines.append(
            PairLine(
                pair.id,
                f"{'LONG' if pair.side > 0 else 'SHORT'} {pair.symbol1.upper()} / "
                f"{pair.symbol2.upper()} · hedge ratio {pair.hedge_ratio:.6g}",
                pair.state.value,
                pnl,
                " · ".join(_leg_text(leg, m) for leg, m in zip(legs, marks, strict=True)),
                leg_risk(pair, legs[0], legs[1], marks[0], marks[1]),
                tuple(health.get(pair.id, {}).get("warnings", ())),
                _health_text(health.get(pair.id)),
            )
        )
    return lines


def _leg_text(leg: Position, mark: float) -> str:
    if not leg.quantity:
        return f"{leg.symbol.upper()} not held"
    return f"{leg.symbol.upper()} {leg.quantity:+g} @ {leg.entry_price:,.6g}, P&L " + number(
        leg.unrealised(mark), sign=True
    )


def _health_text(body: Mapping[str, Any] | None) -> str:
    if body is None:
        return "Not tested yet: the monitor looks once a minute."
    if body["pvalue"] is None:
        return f"Cointegration is not tested: {body['why']}."
    return (
        f"Engle–Granger p = {body['pvalue']:.3f} over {body['candles']} candles of "
        f"{body['timeframe']}; the hedge ratio has drifted by {body['drift']:.1%}."
    )


def _orders_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    names = ["created", "id", "symbol", "kind", "quantity", "price", "state", "reason"]
    out = [
        {
            "created": moment(row["created_ms"]),
            "symbol": row["symbol"].upper(),
            **{name: row[name] for name in ("id", "kind", "quantity", "price", "state", "reason")},
        }
        for row in reversed(rows)
    ]
    return pd.DataFrame(out, columns=names)


def _trades_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    names = ["closed", "what", "side", "held", "gross", "fees", "funding", "net"]
    out = [
        {
            "closed": moment(row["closed_ms"]),
            "what": row["symbol"].upper() or f"pair {row['pair_id']}",
            "side": "LONG" if row["side"] > 0 else "SHORT",
            "held": duration(row["closed_ms"] - row["opened_ms"]),
            "gross": row["realised"],
            "fees": row["fees"],
            "funding": row["funding"],
            "net": _net(row),
        }
        for row in reversed(rows)
    ]
    return pd.DataFrame(out, columns=names)


def _net(row: Mapping[str, Any]) -> float:
    return float(row["realised"] - row["fees"] - row["funding"])


def _trade_facts(
    rows: list[dict[str, Any]], curve: pd.DataFrame, account: AccountRow
) -> list[tuple[str, str, str]]:
    """Win rate, profit factor, holding time, Sharpe: a dash carries its reason."""
    pnl = np.array([_net(r) for r in rows])
    holding = np.array([r["closed_ms"] - r["opened_ms"] for r in rows], dtype=float)
    figures = trade_figures(pnl, holding)
    out = [("Closed trades", str(figures.count), "From flat to flat; a pair counts once")]
    for label, figure, show in (
        ("Win rate", figures.win_rate, lambda v: percent(v, 1)),
        ("Profit factor", figures.profit_factor, number),
        ("Average holding", figures.average_holding, duration),
    ):
        text = "–" if figure.value is None else show(figure.value)
        out.append((label, text, figure.reason or "Net of fees and funding"))
    minutes = _by_minute(curve)
    if len(minutes) < 3:
        return [*out, ("Sharpe", "–", "Fewer than three minutes of equity are kept.")]
    sharpe = equity_figures(
        minutes.to_numpy(), account.settings["starting_equity"], MINUTE_MS
    ).sharpe
    text = "–" if sharpe.value is None else number(sharpe.value)
    return [*out, ("Sharpe", text, sharpe.reason or "A year, of one-minute equity")]


def _by_minute(curve: pd.DataFrame) -> pd.Series:
    """Equity at the end of each minute, carried over minutes without a snapshot."""
    if curve.empty:
        return pd.Series(dtype=float)
    last = curve.groupby(curve["time_ms"] // MINUTE_MS)["equity"].last()
    return last.reindex(range(int(last.index[0]), int(last.index[-1]) + 1)).ffill()


def _figure(
    curve: pd.DataFrame, account: AccountRow, colour_blind_safe: bool
) -> dict[str, Any] | None:
    if len(curve) < 2:
        return None
    start = float(account.settings["starting_equity"])
    equity = curve["equity"].to_numpy(dtype=float)
    return equity_and_drawdown(
        curve["time_ms"].to_numpy(dtype=np.int64),
        equity,
        drawdown_curve(equity, start),
        palette(colour_blind_safe),
        starting_equity=start,
    )
