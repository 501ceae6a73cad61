"""Forms of the Portfolio tab: one symbol's order, and the order of a pair."""

from __future__ import annotations

from typing import Any

import streamlit as st

from candles import timeframe_ms
from tabs import desk_requests
from tabs.context import Context
from trading.orders import Kind
from views.pair import read_pair

_BY = {"notional": "notional", "quantity": "quantity", "percent": "percent of equity"}


def order_form(ctx: Context, account: str, running: bool) -> None:
    """LONG or SHORT in one symbol."""
    with st.form("order-form"):
        left, right = st.columns(2)
        symbol = left.selectbox("Symbol", ctx.settings.symbols, format_func=str.upper)
        side = right.segmented_control("Side", ["LONG", "SHORT"], default="LONG", required=True)
        by = left.selectbox("Size by", list(_BY), format_func=_BY.__getitem__)
        amount = right.number_input("Amount", 0.0, value=1_000.0, format="%0.6g")
        kind = left.selectbox("Kind", [k.value for k in Kind], format_func=_words)
        price = right.number_input("Price (not for market)", 0.0, value=None, format="%0.8g")
        stop = left.number_input("Stop-loss, optional", 0.0, value=None, format="%0.8g")
        target = right.number_input("Take-profit, optional", 0.0, value=None, format="%0.8g")
        if st.form_submit_button("Send order", disabled=not running):
            body: dict[str, Any] = {
                "id": desk_requests.token("order"),
                "account": account,
                "symbol": symbol,
                "side": side,
                "amount": amount / 100 if by == "percent" else amount,
                "by": by,
                "kind": kind,
                "price": None if kind == Kind.MARKET else price,
                "stop_loss": stop,
                "take_profit": target,
            }
            answer = desk_requests.ask(ctx, "desk.order", body)
            desk_requests.say(answer, "The order is with the desk.", renewing="order")


def _words(kind: str) -> str:
    return kind.replace("_", "-")


def pair_form(ctx: Context, account: str, running: bool) -> None:
    """Buy or sell the spread of the sidebar's pair at its present hedge ratio."""
    options = ctx.settings.pair
    if options.y is None or options.x is None:
        st.caption("Choose two symbols in the sidebar.")
        return
    state = ctx.view(
        ("pair-order", options), lambda snapshot: read_pair(snapshot, options, ctx.now_ms)
    )
    ratio = state.ratio_now
    if ratio is None:
        st.caption(f"There is no hedge ratio of {options.title} yet. {state.why or ''}")
        return
    st.caption(
        f"{options.title}: hedge ratio {ratio:.6g} now, frozen into two legs with the order; "
        "both follow the pair chosen in the sidebar."
    )
    if ratio < 0:
        st.warning(
            "The hedge ratio is negative: both legs are bought, or both are sold. That hedges "
            "nothing that the two have in common.",
            icon=":material/balance:",
        )
    with st.form("pair-form"):
        left, right = st.columns(2)
        side = left.segmented_control(
            "Side of the spread", ["LONG", "SHORT"], default="LONG", required=True
        )
        by = right.selectbox("Size by", list(_BY), format_func=_BY.__getitem__, key="pair-by")
        amount = left.number_input("Amount (both legs)", 0.0, value=2_000.0, format="%0.6g")
        hours = right.number_input("Time stop, hours (0: none)", 0.0, value=0.0)
        stop = left.number_input("Spread stop, % of notional (0: none)", 0.0, value=0.0)
        target = right.number_input("Take-profit, % of notional (0: none)", 0.0, value=0.0)
        rest = left.selectbox("Leg that rests", [0, 1, 2], format_func=_leg_name(options))
        price = right.number_input("Its limit price", 0.0, value=None, format="%0.8g")
        if st.form_submit_button("Send pair", disabled=not running):
            body: dict[str, Any] = {
                "id": desk_requests.token("pair"),
                "account": account,
                "symbol1": options.y,
                "symbol2": options.x,
                "side": side,
                "hedge_ratio": ratio,
                "by": by,
                "amount": amount / 100 if by == "percent" else amount,
                "spread_stop": stop / 100 or None,
                "take_profit": target / 100 or None,
                "max_holding_ms": int(hours * timeframe_ms("1h")),
                "rest_leg": rest,
                "rest_price": price if rest else None,
            }
            answer = desk_requests.ask(ctx, "desk.pair.open", body)
            desk_requests.say(answer, "Both legs are with the desk.", renewing="pair")


def _leg_name(options: Any) -> Any:
    names = {0: "none: both at market", 1: options.y.upper(), 2: options.x.upper()}
    return names.__getitem__
