"""The desk's books: accounts, orders, journal, positions, pairs, equity, decisions.

What the desk writes is keyed by what it is (an order's id, a funding time, a candle close), so
that doing something twice stores it once. Alerts and deliveries are in `storage.alert_store`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from storage.tape import text_ms, tick_columns

JOURNAL_COLUMNS = [
    "seq", "kind", "time_ms", "symbol", "pair_id", "quantity", "price", "fee", "slippage",
    "reference_price", "trade_id", "maker", "rate", "note", "key",
]  # fmt: skip

# More rows than there can be.
_ALL = 2**62


class AccountRow(NamedTuple):
    """An account as stored; ``settings`` is its terms, ``closed_ms`` None while it is in use."""

    id: str
    settings: dict[str, Any]
    created_ms: int
    closed_ms: int | None
    cash: float


class FillRow(NamedTuple):
    """A paper fill; ``quantity`` is signed base units."""

    account: str
    time_ms: int
    symbol: str
    quantity: float
    price: float
    is_maker: bool


class TapePrint(NamedTuple):
    """A stored tick with its row number."""

    row: int
    symbol: str
    time_ms: int
    price: float
    trade_id: int
    is_buyer_maker: bool | None


class TapePosition(NamedTuple):
    """How far the desk has read; ``symbol`` and ``trade_id`` are those of the row."""

    row: int
    symbol: str | None
    trade_id: int | None
    quotes: dict[str, Any]
    marks: dict[str, Any]


def _json(body: Any) -> str:
    return json.dumps(body, allow_nan=False)


# -- the tape --------------------------------------------------------------------------------


def tape_position(con: Any) -> TapePosition | None:
    """Where the desk stopped reading, or None before its first start."""
    row = con.execute("SELECT row, symbol, trade_id, quotes, marks FROM desk_tape").fetchone()
    if row is None:
        return None
    number, symbol, trade_id, quotes, marks = row
    return TapePosition(number, symbol, trade_id, json.loads(quotes), json.loads(marks))


def put_tape_position(con: Any, position: TapePosition) -> None:
    """Move the position; in the transaction of what was caused on the way."""
    con.execute(
        "INSERT INTO desk_tape VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "row = excluded.row, symbol = excluded.symbol, trade_id = excluded.trade_id, "
        "quotes = excluded.quotes, marks = excluded.marks",
        (*position[:3], _json(position.quotes), _json(position.marks)),
    )


def prints_after(con: Any, row: int, limit: int) -> list[TapePrint]:
    """The next stored ticks in the order they were written."""
    rows = con.execute(
        "SELECT id, symbol, timestamp, price, trade_id, is_buyer_maker FROM ticks "
        "WHERE id > ? ORDER BY id LIMIT ?",
        (row, limit),
    ).fetchall()
    return [
        TapePrint(i, s, text_ms(at), price, trade, None if maker is None else bool(maker))
        for i, s, at, price, trade, maker in rows
    ]


def prices_between(
    con: Any, symbol: str, start_ms: int, end_ms: int
) -> tuple[list[int], list[float]]:
    """Times and prices of a symbol's prints in ``[start_ms, end_ms)``, in order."""
    times, prices, _ = tick_columns(con, symbol, max(0, start_ms), end_ms)
    return times.tolist(), prices.tolist()


def is_same_tape(con: Any, position: TapePosition) -> bool:
    """Whether the position's row is still that print, or was pruned with all before it."""
    if position.row == 0:
        return True
    row = con.execute("SELECT symbol, trade_id FROM ticks WHERE id = ?", (position.row,)).fetchone()
    if row is not None:
        return tuple(row) == (position.symbol, position.trade_id)
    oldest = con.execute("SELECT min(id) FROM ticks").fetchone()[0]
    return oldest is not None and oldest > position.row


def newest_row(con: Any) -> int:
    """The newest row number of the tick table, 0 where it is empty."""
    return con.execute("SELECT coalesce(max(id), 0) FROM ticks").fetchone()[0]


def newest_gap(con: Any) -> int:
    """The newest number in the ledger of gaps, 0 where it is empty."""
    return con.execute("SELECT coalesce(max(id), 0) FROM gaps").fetchone()[0]


def gaps_after(con: Any, gap_id: int) -> list[tuple[int, str, int]]:
    """(number, symbol, how many ids) of the gaps found since."""
    return con.execute(
        "SELECT id, symbol, last_id - first_id + 1 FROM gaps WHERE id > ? ORDER BY id", (gap_id,)
    ).fetchall()


# -- accounts --------------------------------------------------------------------------------


def put_account(
    con: Any, account: str, settings: Mapping[str, Any], now_ms: int, cash: float
) -> None:
    """Open an account."""
    con.execute(
        "INSERT INTO accounts VALUES (?, ?, ?, NULL, ?)",
        (account, _json(settings), now_ms, cash),
    )


def close_account(con: Any, account: str, now_ms: int) -> None:
    """Put an account away; its books stay."""
    con.execute("UPDATE accounts SET closed_ms = ? WHERE id = ?", (now_ms, account))


def put_cash(con: Any, account: str, cash: float) -> None:
    """Cash after the latest fill or funding."""
    con.execute("UPDATE accounts SET cash = ? WHERE id = ?", (cash, account))


def accounts(con: Any, *, closed: bool = False) -> list[AccountRow]:
    """Accounts in use, oldest first; with ``closed`` those put away as well."""
    where = "" if closed else "WHERE closed_ms IS NULL"
    rows = con.execute(
        f"SELECT id, settings, created_ms, closed_ms, cash FROM accounts {where} "
        "ORDER BY created_ms, id"
    )
    return [AccountRow(i, json.loads(s), at, closed_ms, cash) for i, s, at, closed_ms, cash in rows]


# -- orders, journal, positions, pairs -------------------------------------------------------


def put_order(con: Any, order: Mapping[str, Any]) -> None:
    """Store an order's latest state; its place in the order of acceptance stays."""
    con.execute(
        "INSERT INTO orders (account, id, state, body, created_ms) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (account, id) DO UPDATE SET state = excluded.state, body = excluded.body",
        (order["account"], order["id"], order["state"], _json(order), order["created_ms"]),
    )


def orders(
    con: Any, account: str, *, open_only: bool = False, limit: int = 100_000
) -> list[dict[str, Any]]:
    """Orders of an account, in order of acceptance, the newest ``limit`` of them."""
    where = "AND state IN ('held', 'working')" if open_only else ""
    rows = con.execute(
        f"SELECT body FROM orders WHERE account = ? {where} ORDER BY seq DESC LIMIT ?",
        (account, limit),
    ).fetchall()
    return [json.loads(row[0]) for row in reversed(rows)]


def known_ids(con: Any, account: str) -> set[str]:
    """Ids of every order and pair that the account ever took, and the funding times applied."""
    rows = con.execute(
        "SELECT id FROM orders WHERE account = ? UNION SELECT id FROM pairs WHERE account = ? "
        "UNION SELECT key FROM journal WHERE account = ? AND kind = 'funding'",
        (account, account, account),
    )
    return {row[0] for row in rows}


def add_fill(con: Any, account: str, fill: Mapping[str, Any]) -> None:
    """Append a fill; its order id is its key, an order fills once."""
    con.execute(
        "INSERT INTO journal (account, kind, key, time_ms, symbol, pair_id, quantity, price, fee, "
        "slippage, reference_price, trade_id, maker, note) "
        "VALUES (?, 'fill', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            account, fill["order_id"], fill["time_ms"], fill["symbol"], fill["pair_id"],
            fill["quantity"], fill["price"], fill["fee"], fill["slippage"],
            fill["reference_price"], fill["trade_id"], fill["maker"], fill["note"],
        ),
    )  # fmt: skip


def add_funding(
    con: Any, account: str, key: str, time_ms: int, symbol: str, rate: float, mark: float,
    source: str,
) -> None:  # fmt: skip
    """Append a funding time that was applied; ``key`` names symbol and time it was due."""
    con.execute(
        "INSERT INTO journal (account, kind, key, time_ms, symbol, pair_id, price, rate, note) "
        "VALUES (?, 'funding', ?, ?, ?, '', ?, ?, ?)",
        (account, key, time_ms, symbol, mark, rate, source),
    )


def journal(con: Any, account: str, *, limit: int | None = None) -> pd.DataFrame:
    """Fills and fundings in order, the newest ``limit`` of them.

    Returns
    -------
    DataFrame
        Columns as in `JOURNAL_COLUMNS`.
    """
    rows = con.execute(
        f"SELECT {', '.join(JOURNAL_COLUMNS)} FROM journal WHERE account = ? "
        "ORDER BY seq DESC LIMIT ?",
        (account, _ALL if limit is None else limit),
    ).fetchall()
    return pd.DataFrame(rows[::-1], columns=JOURNAL_COLUMNS)


def newest_entry(con: Any) -> tuple[Any, ...] | None:
    """Tells one state of all journals from another: their newest entry, None where there is none.

    Accounts are part of it: a fill is shown while its account is in use.
    """
    newest = con.execute(
        "SELECT seq, account, key, time_ms FROM journal ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    if newest is None:
        return None
    in_use = con.execute("SELECT id FROM accounts WHERE closed_ms IS NULL ORDER BY id").fetchall()
    return (*newest, *(row[0] for row in in_use))


def fills_since(con: Any, start_ms: int, *, limit: int = 500) -> list[FillRow]:
    """Fills of all accounts from ``start_ms`` on, newest first.

    The newest ten times ``limit`` journal entries are looked at, so that a long journal costs no
    more than a short one.
    """
    rows = con.execute(
        "SELECT account, time_ms, symbol, quantity, price, maker FROM "
        "(SELECT * FROM journal ORDER BY seq DESC LIMIT ?) AS newest "
        "WHERE kind = 'fill' AND time_ms >= ? ORDER BY seq DESC LIMIT ?",
        (10 * limit, start_ms, limit),
    )
    return [FillRow(a, t, s, q, p, bool(maker)) for a, t, s, q, p, maker in rows]


def journal_rows(con: Any, account: str) -> list[tuple[Any, ...]]:
    """(kind, time, symbol, pair, quantity, price, fee, slippage, rate, key) in order."""
    return con.execute(
        "SELECT kind, time_ms, symbol, pair_id, quantity, price, fee, slippage, rate, key "
        "FROM journal WHERE account = ? ORDER BY seq",
        (account,),
    ).fetchall()


def put_position(con: Any, account: str, body: Mapping[str, Any]) -> None:
    """Store a position's latest state."""
    con.execute(
        "INSERT INTO positions VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, symbol, pair_id) "
        "DO UPDATE SET body = excluded.body, is_open = excluded.is_open",
        (account, body["symbol"], body["pair_id"], _json(body), body["quantity"] != 0),
    )


def positions(con: Any, account: str, *, open_only: bool = True) -> list[dict[str, Any]]:
    """Positions of an account by symbol."""
    where = "AND is_open = 1" if open_only else ""
    rows = con.execute(
        f"SELECT body FROM positions WHERE account = ? {where} ORDER BY symbol, pair_id",
        (account,),
    )
    return [json.loads(row[0]) for row in rows]


def put_pair(con: Any, pair: Mapping[str, Any]) -> None:
    """Store a pair's latest state."""
    con.execute(
        "INSERT INTO pairs VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, id) DO UPDATE SET "
        "state = excluded.state, body = excluded.body, asked_ms = excluded.asked_ms",
        (pair["account"], pair["id"], pair["state"], _json(pair), pair["asked_ms"]),
    )


def pairs(con: Any, account: str, *, open_only: bool = True) -> list[dict[str, Any]]:
    """Pairs of an account, oldest first."""
    where = "AND state != 'closed'" if open_only else ""
    rows = con.execute(
        f"SELECT body FROM pairs WHERE account = ? {where} ORDER BY asked_ms, id", (account,)
    )
    return [json.loads(row[0]) for row in rows]


def add_round_trips(con: Any, account: str, trips: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Append closed trades by their number; one that is there already stays."""
    con.executemany(
        "INSERT INTO round_trips (account, number, body, closed_ms) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (account, number) DO NOTHING",
        [(account, number, _json(body), body["closed_ms"]) for number, body in trips],
    )


def round_trip_count(con: Any, account: str) -> int:
    """How many closed trades are stored."""
    return con.execute("SELECT count(*) FROM round_trips WHERE account = ?", (account,)).fetchone()[
        0
    ]


def round_trips(con: Any, account: str, *, limit: int = 100_000) -> list[dict[str, Any]]:
    """Closed trades, oldest first, the newest ``limit`` of them."""
    rows = con.execute(
        "SELECT body FROM round_trips WHERE account = ? ORDER BY number DESC LIMIT ?",
        (account, limit),
    ).fetchall()
    return [json.loads(row[0]) for row in reversed(rows)]


# -- equity ----------------------------------------------------------------------------------


def add_equity(
    con: Any, account: str, time_ms: int, equity: float, cash: float, exposure: float
) -> None:
    """A snapshot of what the account is worth."""
    con.execute(
        "INSERT INTO equity VALUES (?, ?, ?, ?, ?) ON CONFLICT (account, time_ms) DO UPDATE SET "
        "equity = excluded.equity, cash = excluded.cash, exposure = excluded.exposure",
        (account, time_ms, equity, cash, exposure),
    )


def equity(con: Any, account: str, *, since_ms: int = 0, limit: int = 20_000) -> pd.DataFrame:
    """Equity snapshots, oldest first, the newest ``limit`` of them.

    Returns
    -------
    DataFrame
        Columns time_ms, equity, cash, exposure (quote currency).
    """
    rows = con.execute(
        "SELECT time_ms, equity, cash, exposure FROM equity WHERE account = ? AND time_ms >= ? "
        "ORDER BY time_ms DESC LIMIT ?",
        (account, since_ms, limit),
    ).fetchall()
    return pd.DataFrame(rows[::-1], columns=["time_ms", "equity", "cash", "exposure"])


def peak_equity(con: Any, account: str) -> float | None:
    """The highest snapshot."""
    return con.execute("SELECT max(equity) FROM equity WHERE account = ?", (account,)).fetchone()[0]


# -- auto mode -------------------------------------------------------------------------------


class AutoRow(NamedTuple):
    """A pair in auto mode as stored."""

    id: str
    account: str
    settings: dict[str, Any]
    state: dict[str, Any]
    running: bool
    started_ms: int
    stopped_ms: int | None


def put_auto(con: Any, row: AutoRow) -> None:
    """Store a pair in auto mode."""
    con.execute(
        "INSERT INTO auto_pairs VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "account = excluded.account, settings = excluded.settings, state = excluded.state, "
        "running = excluded.running, started_ms = excluded.started_ms, "
        "stopped_ms = excluded.stopped_ms",
        (row.id, row.account, _json(row.settings), _json(row.state), *row[4:]),
    )


def autos(con: Any, *, running_only: bool = False) -> list[AutoRow]:
    """Pairs in auto mode, the latest started first."""
    where = "WHERE running = 1" if running_only else ""
    rows = con.execute(f"SELECT * FROM auto_pairs {where} ORDER BY started_ms DESC, id")
    return [
        AutoRow(i, account, json.loads(settings), json.loads(state), bool(running), at, stopped)
        for i, account, settings, state, running, at, stopped in rows
    ]


def put_decision(con: Any, auto_id: str, close_ms: int, body: Mapping[str, Any]) -> None:
    """Log one decision; that of a close is made once."""
    con.execute(
        "INSERT INTO decisions VALUES (?, ?, ?) ON CONFLICT (auto_id, close_ms) DO UPDATE SET "
        "body = excluded.body",
        (auto_id, close_ms, _json(body)),
    )


def decisions(con: Any, auto_id: str, *, limit: int = 100_000) -> list[dict[str, Any]]:
    """Decisions of a pair in auto mode, oldest first, the newest ``limit`` of them."""
    rows = con.execute(
        "SELECT body FROM decisions WHERE auto_id = ? ORDER BY close_ms DESC LIMIT ?",
        (auto_id, limit),
    ).fetchall()
    return [json.loads(row[0]) for row in reversed(rows)]
