"""What a page may ask of the desk, and how each request is carried out on its state.

A request is a kind (``desk.…``) and a plain dictionary. Every request that makes something names
its id, so that asking twice makes it once. A refusal is a sentence; nothing is half done.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from desk.state import DeskState
from errors import BadInput
from storage import alert_store, books
from storage.books import AutoRow
from ticks import clean_symbols
from trading.alerts import AlertRule, Op, RuleState, check_rule
from trading.auto import AutoSettings, AutoState
from trading.orders import Kind, OrderRequest
from trading.paper import AccountSettings, PaperAccount
from trading.paper_pairs import PairRequest
from trading.signals import HedgePlan
from trading.strategy import Rules

PREFIX = "desk."
LONGEST_WAIT_MS = 60_000
"""A request that waited longer for the desk is refused: the market has moved on."""


def carry_out(
    state: DeskState, kind: str, body: dict[str, Any], now_ms: int, channels: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Do what is asked; what it changed is then in the state's `drain`.

    Returns
    -------
    dict
        ``done`` True with what was made, or False with ``why``.
    """
    handler = _HANDLERS.get(kind)
    if handler is None:
        return {"done": False, "why": f"The desk does not know {kind!r}."}
    try:
        if kind == "desk.alert.test":
            return _test_channels(state, now_ms, channels)
        return {"done": True, **handler(state, body, now_ms)}
    except BadInput as error:
        return {"done": False, "why": str(error)}
    except (KeyError, TypeError, AttributeError) as error:
        return {"done": False, "why": f"The request cannot be read: {error}."}


def _account(state: DeskState, body: dict[str, Any]) -> PaperAccount:
    account = state.accounts.get(body["account"])
    if account is None:
        raise BadInput(f"There is no account {body['account']!r} in use.")
    return account


def _known(kind: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The entries of a body that a dataclass takes; None means its default."""
    names = {f.name for f in fields(kind)}
    return {k: v for k, v in body.items() if k in names and v is not None}


# -- accounts --------------------------------------------------------------------------------


def _open_account(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    account_id = str(body["id"])
    if account_id in state.accounts:
        return {"account": account_id}
    settings = AccountSettings(**_known(AccountSettings, body))
    if any(a.settings.name == settings.name for a in state.accounts.values()):
        raise BadInput(f"There is an account named {settings.name!r} already.")
    _put_account(state, account_id, settings, now_ms)
    return {"account": account_id}


def _put_account(state: DeskState, account_id: str, settings: AccountSettings, now_ms: int) -> None:
    state.accounts[account_id] = PaperAccount(account_id, settings, state.market, state.rules)
    cash = settings.starting_equity
    state.also(lambda con: books.put_account(con, account_id, settings.to_dict(), now_ms, cash))
    state.also(lambda con: books.add_equity(con, account_id, now_ms, cash, cash, 0.0))


def _reset_account(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """Put the account's books away and begin anew under the same terms, or those given."""
    new_id = str(body["new_id"])
    if new_id in state.accounts:
        return {"account": new_id}
    old = _account(state, body)
    if body.get("confirm") != old.settings.name:
        raise BadInput(f"To reset, confirm with the account's name, {old.settings.name!r}.")
    terms = {**old.settings.to_dict(), **_known(AccountSettings, body)}
    settings = AccountSettings(**terms)
    for row in list(state.autos.values()):
        if row.account == old.id:
            state.put_auto(row._replace(running=False, stopped_ms=now_ms))
    for order_id in list(old.orders):
        old.cancel(order_id, now_ms, "the account was reset")
    state.also(_store_later(old))
    state.also(lambda con: books.close_account(con, old.id, now_ms))
    del state.accounts[old.id]
    _put_account(state, new_id, settings, now_ms)
    return {"account": new_id}


def _store_later(account: PaperAccount) -> Callable[[Any], None]:
    """A write of the account's last changes: it is no longer among those that are drained."""
    from desk.recorder import store_changes

    changes = account.drain()
    return lambda con: store_changes(con, account, changes)


# -- orders and pairs ------------------------------------------------------------------------


def _order(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    account = _account(state, body)
    values = _known(OrderRequest, body)
    values["kind"] = _one_of(Kind, values.get("kind", "market"), "order")
    values["symbol"] = clean_symbols(values["symbol"])[0]
    taken = account.submit(OrderRequest(**values), now_ms)
    if not taken:
        return {"orders": [], "note": "This order was taken already."}
    return {"orders": [o.id for o in taken], "note": taken[0].reason}


def _one_of(kind: Any, word: str, what: str) -> Any:
    try:
        return kind(word)
    except ValueError:
        raise BadInput(f"{word!r} is no {what}; {', '.join(kind)} are.") from None


def _cancel(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    gone = not _account(state, body).cancel(body["order"], now_ms)
    return {"note": "The order was filled or cancelled already." if gone else ""}


def _flatten(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    account = _account(state, body)
    account.flatten(body["symbol"], body["id"], now_ms)
    return {}


def _open_pair(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    account = _account(state, body)
    values = _known(PairRequest, body)
    for name in ("symbol1", "symbol2"):
        values[name] = clean_symbols(values[name])[0]
    pair = account.open_pair(PairRequest(**values), now_ms)
    if pair is None:
        return {"note": "This pair was taken already."}
    return {"pair": pair.id, "quantity1": pair.quantity1, "quantity2": pair.quantity2}


def _close_pair(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    gone = not _account(state, body).close_pair(body["pair"], now_ms)
    return {"note": "The pair is closed or closing already." if gone else ""}


# -- auto mode -------------------------------------------------------------------------------


def _start_auto(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    auto_id = str(body["id"])
    if auto_id in state.autos:
        return {"auto": auto_id}
    account = _account(state, body)
    values = _known(AutoSettings, body)
    values["hedge"] = HedgePlan(**_known(HedgePlan, body.get("hedge") or {}))
    values["rules"] = Rules(**_known(Rules, body.get("rules") or {}))
    for name in ("symbol1", "symbol2"):
        values[name] = clean_symbols(values[name])[0]
    settings = AutoSettings(**values)
    _no_twin(state, account.id, settings)
    start_ms = now_ms // settings.length_ms * settings.length_ms
    row = AutoRow(
        auto_id, account.id, settings.to_dict(), AutoState(last_close_ms=start_ms).to_dict(),
        True, now_ms, None,
    )  # fmt: skip
    state.put_auto(row)
    return {"auto": auto_id}


def _no_twin(state: DeskState, account: str, settings: AutoSettings) -> None:
    wanted = {settings.symbol1, settings.symbol2}
    for symbol in wanted:
        if symbol not in state.rules:
            raise BadInput(f"{symbol!r} is not a symbol this desk knows.")
    for row in state.autos.values():
        if row.account == account and {row.settings["symbol1"], row.settings["symbol2"]} == wanted:
            raise BadInput("This pair is in auto mode on this account already; stop it first.")


def _stop_auto(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """Stop deciding; ``close`` says whether the pair it holds is closed too."""
    row = state.autos.get(body["auto"])
    if row is None:
        return {"note": "It is stopped already."}
    held = AutoState.from_dict(row.state).pair_id
    account = state.accounts.get(row.account)
    if body.get("close") and held and account is not None:
        account.close_pair(held, now_ms, "auto mode was stopped")
    state.put_auto(row._replace(running=False, stopped_ms=now_ms))
    return {}


# -- alerts ----------------------------------------------------------------------------------


def _save_rule(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    values = _known(AlertRule, body)
    values["op"] = _one_of(Op, values["op"], "comparison")
    values["created_ms"] = now_ms
    rule = AlertRule(**values)
    before = state.engine.rules.get(rule.id)
    if before is not None and before == replace(rule, created_ms=before.created_ms):
        return {"rule": rule.id}
    check_rule(rule, frozenset(state.rules), now_ms)
    if rule.account and rule.account not in state.accounts:
        raise BadInput(f"There is no account {rule.account!r} in use.")
    state.engine.put(rule)
    if rule.metric == "price":
        # The last print tells on which side the price is: the next may be the transition.
        state.engine.on_value(rule.id, state.market.last(rule.symbol), now_ms)
    state.also(lambda con: alert_store.put_rule(con, rule.to_dict(), RuleState().to_dict()))
    return {"rule": rule.id, "sentence": rule.sentence()}


def _rule_id(state: DeskState, body: dict[str, Any]) -> str:
    if body["rule"] not in state.engine.rules:
        raise BadInput("There is no such rule any more.")
    return str(body["rule"])


def _drop_rule(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    rule_id = str(body["rule"])
    state.engine.remove(rule_id)
    state.also(lambda con: alert_store.drop_rule(con, rule_id))
    return {}


def _snooze(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    seconds = float(body["seconds"])
    if not (math.isfinite(seconds) and seconds >= 0):
        raise BadInput(f"A snooze lasts 0 seconds or more, found {seconds}.")
    state.engine.snooze(_rule_id(state, body), now_ms + int(seconds * 1000) if seconds else 0)
    return {}


def _enable(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    state.engine.enable(_rule_id(state, body), bool(body["enabled"]))
    return {}


def _mute(state: DeskState, body: dict[str, Any], now_ms: int) -> dict[str, Any]:
    seconds = float(body["seconds"])
    state.engine.muted_until_ms = now_ms + int(seconds * 1000) if seconds else 0
    state.also(lambda con: None)  # the position that is stored with it holds the time
    return {}


def _test_channels(state: DeskState, now_ms: int, channels: tuple[str, ...]) -> dict[str, Any]:
    if not channels:
        raise BadInput(
            "No channel is set up: set ALERT_WEBHOOK_URL, or SMTP_HOST with ALERT_EMAIL_TO."
        )
    message = {
        "subject": "Test of the alert channels",
        "text": "This is a test; no rule fired.",
        "values": {"test": True},
    }
    for channel in channels:
        state.also(lambda con, name=channel: alert_store.add_delivery(con, None, name, message, 0))
    return {"done": True, "channels": list(channels)}


Handler = Callable[[DeskState, dict[str, Any], int], dict[str, Any]]
_HANDLERS: dict[str, Handler] = {
    "desk.account.open": _open_account,
    "desk.account.reset": _reset_account,
    "desk.order": _order,
    "desk.cancel": _cancel,
    "desk.flatten": _flatten,
    "desk.pair.open": _open_pair,
    "desk.pair.close": _close_pair,
    "desk.auto.start": _start_auto,
    "desk.auto.stop": _stop_auto,
    "desk.rule.save": _save_rule,
    "desk.rule.drop": _drop_rule,
    "desk.rule.snooze": _snooze,
    "desk.rule.enable": _enable,
    "desk.mute": _mute,
    "desk.alert.test": lambda state, body, now_ms: {},
}

KINDS = frozenset(_HANDLERS)
__all__ = ["KINDS", "LONGEST_WAIT_MS", "PREFIX", "carry_out"]
