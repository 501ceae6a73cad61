"""Backtest against paper: the same period through both, and every difference with its cause.

Signals are compared close by close: what auto mode logged, and what the same strategy decides on
the candles as they are stored now. Fills are compared leg by leg: the print that filled the paper
order, and the open of the candle after the signal, which is what the backtest takes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from errors import BadInput
from trading.auto import AutoSettings, judge, signals_of
from trading.backtest import PairSettings, run_pair
from trading.candle_pair import PairCandles, frozen_array
from trading.ledger import Fill
from trading.paper import AccountSettings
from trading.signals import Signals
from trading.sizing import Sizing, SymbolRules
from trading.strategy import MeanReversion

COLUMNS = ["close_ms", "kind", "what", "backtest", "paper", "difference", "cause"]
_SAME = 1e-9


class PaperRun(NamedTuple):
    """What paper trading did in auto mode.

    ``decisions`` are logged decisions in order, ``fills`` the journal's rows of its pairs
    (columns time_ms, symbol, pair_id, quantity, price, fee, slippage, reference_price, key),
    ``pairs`` the stored pairs; ``equity`` is the account's when auto mode began.
    """

    decisions: Sequence[Mapping[str, Any]]
    fills: pd.DataFrame
    pairs: Sequence[Mapping[str, Any]]
    started_ms: int
    stopped_ms: int
    equity: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """``differences`` has `COLUMNS`; ``totals`` one row a quantity: backtest, paper, difference.

    ``closes`` is how many closes were compared, ``same`` on how many of them the signals agree.
    """

    differences: pd.DataFrame
    totals: pd.DataFrame
    closes: int
    same: int

    @property
    def sentence(self) -> str:
        """The result for a person."""
        if not self.closes:
            return "No candle closed in the period: there is nothing to compare."
        found = len(self.differences)
        return (
            f"{self.same} of {self.closes} closes gave the same signal; "
            f"{found} difference{'' if found == 1 else 's'} in signals, fills and costs, "
            "each with its cause."
        )


def compare(
    run: PaperRun,
    candles: PairCandles,
    settings: AutoSettings,
    terms: AccountSettings,
    rules: tuple[SymbolRules, SymbolRules],
) -> Comparison:
    """Hold a paper run against the backtest of its period.

    Parameters
    ----------
    candles : PairCandles
        Closed candles of both legs from before the start (`AutoSettings.candles_needed` of them)
        to the end of the period.

    Raises
    ------
    BadInput
        Too few candles for the strategy's windows.
    """
    signals = signals_of(candles, settings)
    closes = candles.time_ms + candles.timeframe_ms
    inside = (closes > run.started_ms) & (closes <= run.stopped_ms)
    if not inside.any():
        return Comparison(pd.DataFrame(columns=COLUMNS), _totals([], run.fills), 0, 0)
    expected = _expected(candles, signals, settings, np.flatnonzero(inside))
    rows = _signal_differences(expected, run)
    differing = {row["close_ms"] for row in rows}
    replayed = _backtest_fills(candles, signals, settings, terms, rules, run, inside)
    rows += _fill_differences(replayed, run, settings)
    frame = pd.DataFrame(rows, columns=COLUMNS).sort_values("close_ms", kind="stable")
    count = int(inside.sum())
    return Comparison(
        frame.reset_index(drop=True), _totals(replayed, run.fills), count, count - len(differing)
    )


def _expected(
    candles: PairCandles, signals: Signals, settings: AutoSettings, indices: Any
) -> dict[int, dict[str, Any]]:
    """Decisions that the strategy makes on the stored candles, filled at the next opens."""
    machine, out = MeanReversion(settings.rules), {}
    for index in indices.tolist():
        decision = judge(machine, candles, signals, index).decision
        if decision.acts and decision.target and index + 1 < len(candles):
            opens = float(candles.open1[index + 1]), float(candles.open2[index + 1])
            machine.filled(*opens, decision.hedge_ratio)
        out[decision.close_time_ms] = decision.to_dict()
    return out


def _signal_differences(
    expected: Mapping[int, Mapping[str, Any]], run: PaperRun
) -> list[dict[str, Any]]:
    logged = {int(d["close_time_ms"]): d for d in run.decisions}
    closed_by = {p["id"]: p["reason"] for p in run.pairs}
    rows: list[dict[str, Any]] = []
    first = ""
    for close_ms, wanted in expected.items():
        got = logged.get(close_ms)
        cause = _signal_cause(wanted, got, closed_by, first)
        if not cause:
            continue
        first = first or f"follows from the difference at close {close_ms}"
        rows.append(
            {
                "close_ms": close_ms,
                "kind": "signal",
                "what": "target side",
                "backtest": f"{wanted['target']} ({wanted['reason']}, z {_z(wanted)})",
                "paper": "nothing logged"
                if got is None
                else f"{got.get('target', '–')} ({got.get('reason')}, z {_z(got)})",
                "difference": None,
                "cause": cause,
            }
        )
    return rows


def _z(decision: Mapping[str, Any]) -> str:
    z = decision.get("zscore")
    return "–" if z is None or math.isnan(z) else f"{z:.4f}"


def _signal_cause(
    wanted: Mapping[str, Any],
    got: Mapping[str, Any] | None,
    closed_by: Mapping[str, str],
    first: str,
) -> str:
    """Why a close was decided otherwise; empty where it was not."""
    if got is None:
        return "the desk was not running, or the candle was stored later"
    outcome = str(got.get("outcome", ""))
    if "target" not in got:
        return outcome
    if not _equal(wanted["zscore"], got["zscore"]):
        return "the candles changed after the decision: prints came late"
    if outcome.startswith(("refused", "not entered")):
        return outcome
    if wanted["target"] == got["target"] and wanted["previous"] == got["previous"]:
        return ""
    reason = closed_by.get(str(got.get("pair_id", "")), "")
    if wanted["previous"] != got["previous"] and reason and "auto mode:" not in reason:
        return f"the paper pair was left between closes: {reason}"
    return first or "the strategy's states differ: the position before was another"


def _equal(first: float | None, second: float | None) -> bool:
    a = math.nan if first is None else first
    b = math.nan if second is None else second
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return abs(a - b) <= _SAME * max(1.0, abs(a))


def _backtest_fills(
    candles: PairCandles, signals: Signals, settings: AutoSettings, terms: AccountSettings,
    rules: tuple[SymbolRules, SymbolRules], run: PaperRun, inside: Any,
) -> list[Fill]:  # fmt: skip
    """The backtest of the period; a NaN z before it opens nothing."""
    zscore = frozen_array(np.where(inside, signals.zscore, np.nan))
    sizing = Sizing(
        "units" if settings.by == "quantity" else settings.by,
        settings.amount, terms.leverage_limit, *rules,
    )  # fmt: skip
    pair = PairSettings(
        settings.rules, settings.hedge, settings.z_window, terms.costs(), sizing,
        starting_equity=run.equity,
    )  # fmt: skip
    result = run_pair(candles, pair, signals=signals._replace(zscore=zscore))
    return [e for e in result.events() if isinstance(e, Fill)]


def _fill_differences(
    replayed: Sequence[Fill], run: PaperRun, settings: AutoSettings
) -> list[dict[str, Any]]:
    paper = _paper_fills(run, settings)
    backtest = {(f.time_ms, f.symbol): f for f in replayed}
    rows: list[dict[str, Any]] = []
    for key in sorted(paper.keys() | backtest.keys()):
        close_ms, symbol = key
        mine, theirs = paper.get(key), backtest.get(key)
        if mine is None or theirs is None:
            rows.append(_missing_fill(close_ms, symbol, theirs, mine))
            continue
        late_s = (mine["time_ms"] - close_ms) / 1000
        first_print = f"filled at a print {late_s:.1f} s after the close, not at the candle's open"
        pairs = (
            ("price", theirs.price, mine["price"], "fill", first_print),
            ("quantity", theirs.quantity, mine["quantity"], "fill",
             "sized on the equity and prices of the moment of the order"),
            ("fee", theirs.fee, mine["fee"], "cost", "follows from price and quantity"),
        )  # fmt: skip
        for what, a, b, kind, cause in pairs:
            if not _equal(a, b):
                rows.append(_row(close_ms, kind, f"{symbol} {what}", a, b, b - a, cause))
    return rows


def _paper_fills(run: PaperRun, settings: AutoSettings) -> dict[tuple[int, str], dict[str, Any]]:
    """Paper fills by the close that decided them and the symbol.

    An entry's pair is named after its close; an exit belongs to the last close before it.
    """
    out: dict[tuple[int, str], dict[str, Any]] = {}
    for fill in run.fills.to_dict("records"):
        close_ms = int(fill["time_ms"]) // settings.length_ms * settings.length_ms
        is_exit = str(fill["key"]).startswith(f"{fill['pair_id']}:x")
        if not is_exit and "@" in str(fill["pair_id"]):
            close_ms = int(str(fill["pair_id"]).rsplit("@", 1)[1])
        out[close_ms, str(fill["symbol"])] = {str(k): v for k, v in fill.items()}
    return out


def _missing_fill(
    close_ms: int, symbol: str, backtest: Fill | None, paper: Mapping[str, Any] | None
) -> dict[str, Any]:
    side = "backtest" if paper is None else "paper"
    cause = f"only the {side} traded here: see the signals at and before this close"
    return _row(
        close_ms, "fill", f"{symbol} fill",
        None if backtest is None else backtest.quantity,
        None if paper is None else paper["quantity"], None, cause,
    )  # fmt: skip


def _row(
    close_ms: int, kind: str, what: str, backtest: float | None, paper: float | None,
    difference: float | None, cause: str,
) -> dict[str, Any]:  # fmt: skip
    return {
        "close_ms": close_ms,
        "kind": kind,
        "what": what,
        "backtest": "–" if backtest is None else f"{backtest:.10g}",
        "paper": "–" if paper is None else f"{paper:.10g}",
        "difference": difference,
        "cause": cause,
    }


def _totals(replayed: Sequence[Fill], fills: pd.DataFrame) -> pd.DataFrame:
    """Fills, turnover, fees and net cash flow of both."""

    def cash(rows: Sequence[tuple[float, float, float]]) -> float:
        return -math.fsum(q * p + fee for q, p, fee in rows)

    ours = [(f.quantity, f.price, f.fee) for f in replayed]
    theirs = list(zip(fills["quantity"], fills["price"], fills["fee"], strict=True))
    out = []
    for what, value in (
        ("fills", len),
        ("turnover", lambda rows: math.fsum(abs(q) * p for q, p, _ in rows)),
        ("fees", lambda rows: math.fsum(fee for *_, fee in rows)),
        ("net cash", cash),
    ):
        a, b = float(value(ours)), float(value(theirs))
        out.append({"what": what, "backtest": a, "paper": b, "difference": b - a})
    return pd.DataFrame(out)


def check_period(run: PaperRun) -> None:
    """Refuse a run that has not logged anything.

    Raises
    ------
    BadInput
        There is no decision to compare.
    """
    if not run.decisions:
        raise BadInput("Auto mode has not seen a candle close yet: there is nothing to compare.")
