"""Auto mode as of one snapshot: what runs, what it decided, and how it compares."""

from __future__ import annotations

import pandas as pd

from desk.automatic import closed_pair_candles
from desk.recorder import symbol_rules
from storage import books
from storage.books import AccountRow, AutoRow
from storage.snapshot import Snapshot
from trading.auto import AutoSettings
from trading.comparison import Comparison, PaperRun, check_period, compare
from trading.paper import AccountSettings
from trading.sizing import SymbolRules
from views.text import moment

_LONGEST = 20_000


def auto_rows(snapshot: Snapshot, account: str) -> list[AutoRow]:
    """Pairs in auto mode of an account, the latest started first."""
    return [row for row in snapshot.books(books.autos) if row.account == account]


def title(row: AutoRow) -> str:
    """A pair in auto mode for a person."""
    s = row.settings
    hedge = s["hedge"]
    plan = hedge["method"] + (f" {hedge['window']}" if hedge["method"] == "rolling" else "")
    return (
        f"{s['symbol1'].upper()} / {s['symbol2'].upper()} on {s['timeframe']}, hedge {plan}, "
        f"z over {s['z_window']}, entry {s['rules']['entry_th']:g}, exit {s['rules']['exit_th']:g}"
    )


def decisions_frame(snapshot: Snapshot, auto_id: str, limit: int = 500) -> pd.DataFrame:
    """Logged decisions with their inputs, newest first."""
    names = [
        "close", "previous", "target", "reason", "zscore", "spread", "hedge_ratio", "price1",
        "price2", "outcome",
    ]  # fmt: skip
    rows = snapshot.books(books.decisions, auto_id, limit=limit)
    out = [{"close": moment(d["close_time_ms"]), **d} for d in reversed(rows)]
    return pd.DataFrame(out, columns=names)


def compare_run(snapshot: Snapshot, account: AccountRow, row: AutoRow, now_ms: int) -> Comparison:
    """The backtest-against-paper report of one run of auto mode."""
    settings = AutoSettings.from_dict(row.settings)
    stopped_ms = row.stopped_ms or now_ms
    length = settings.length_ms
    last_ms = stopped_ms // length * length
    limit = 2 * settings.candles_needed + min(_LONGEST, (last_ms - row.started_ms) // length + 1)
    candles = closed_pair_candles(snapshot, settings, limit, last_ms)
    pairs = [
        p for p in snapshot.books(books.pairs, account.id, open_only=False)
        if p["auto_id"] == row.id
    ]  # fmt: skip
    journal = snapshot.books(books.journal, account.id)
    mine = journal["pair_id"].isin([p["id"] for p in pairs]) & (journal["kind"] == "fill")
    curve = snapshot.books(books.equity, account.id)
    before = curve[curve["time_ms"] <= row.started_ms]["equity"]
    equity = float(before.iloc[-1]) if len(before) else account.settings["starting_equity"]
    run = PaperRun(
        snapshot.books(books.decisions, row.id), journal[mine], pairs, row.started_ms,
        last_ms, equity,
    )  # fmt: skip
    check_period(run)
    rules = symbol_rules(snapshot)
    legs = tuple(rules.get(s, SymbolRules()) for s in (settings.symbol1, settings.symbol2))
    return compare(run, candles, settings, AccountSettings(**account.settings), legs)  # type: ignore[arg-type]
