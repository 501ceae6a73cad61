"""A desk with something on it, for the pictures of the docs."""

from __future__ import annotations

import time
from typing import Any

from database import Database
from tests.browser.conftest import Server

_PAIR = {"symbol1": "ethusdt", "symbol2": "btcusdt", "hedge_ratio": 0.05}


def asked(database: Database, request: str, /, **body: Any) -> None:
    """What the desk of the server is asked, and does."""
    number, answer = database.ask(request, body), None
    for _ in range(600):
        with database.snapshot() as snapshot:
            answer = snapshot.answered(number)
        if answer is not None:
            break
        time.sleep(0.1)
    assert answer is not None, "no answer"
    assert answer["done"], answer


def data_of(server: Server) -> Database:
    """The data of the demo market's server, as another process has them."""
    return Database(server.log.with_name("ticks_demo.db"))


def furnish(server: Server) -> None:
    """An account with a position, a pair and orders; rules, some of which fire soon."""
    pair = _PAIR | {"account": "p", "side": "SHORT", "amount": 4_000.0}
    with data_of(server) as database:
        asked(database, "desk.account.open", id="p", name="Paper", starting_equity=10_000.0)
        order = {"account": "p", "side": "LONG", "by": "notional", "amount": 1_500.0}
        asked(database, "desk.order", id="o1", symbol="solusdt", **order)
        asked(database, "desk.order", id="o2", symbol="linkusdt", **order)
        with database.snapshot() as snapshot:
            low = round(0.97 * float(snapshot.candle_columns("btcusdt", "1s").close[-1]), 1)
        order |= {"kind": "limit", "price": low}
        asked(database, "desk.order", id="o3", symbol="btcusdt", **order)
        asked(database, "desk.pair.open", id="e", **pair)
        rules: dict[str, dict[str, Any]] = {
            "m": {"metric": "move", "level": 0.00002, "symbol": "btcusdt", "window_s": 20},
            "n": {"metric": "move", "level": 0.00002, "symbol": "solusdt", "window_s": 30},
            "z": {"metric": "zscore", "level": 2.0, "symbol": "ethusdt", "symbol2": "btcusdt"},
            "d": {"metric": "drawdown", "level": 0.05, "account": "p"},
        }
        for name, rule in rules.items():
            asked(database, "desk.rule.save", id=name, op="above", cooldown_s=60, **rule)
