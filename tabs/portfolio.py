"""Portfolio: paper accounts, orders, pairs, auto mode, and what came of them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from config import Config
from storage import books
from tabs import auto_mode, desk_requests, order_forms, widgets
from tabs.context import Context
from views.portfolio import PairLine, PortfolioView, accounts, read_portfolio
from views.text import number

_EXITS = {"exposure": "Exposure", "orders": "Orders", "trades": "Closed trades"}


def render(ctx: Context) -> None:
    """Show one account as of one snapshot."""
    running = desk_requests.is_running(ctx)
    with ctx.database.snapshot() as snapshot:
        found = accounts(snapshot)
    if not found:
        widgets.empty(
            "There is no paper account yet.",
            "Open one below: it trades on the prices that are collected, with fees, slippage, "
            "funding and liquidation, and no key is ever asked for.",
            icon=":material/account_balance_wallet:",
        )
        _open_form(ctx, running)
        return
    names = {a.id: a.settings["name"] for a in found}
    chosen = st.selectbox(
        "Account", list(names), format_func=names.__getitem__, key="account", width=320
    )
    account = next(a for a in found if a.id == chosen)
    view = ctx.view(
        ("portfolio", account.id, ctx.colour_blind_safe),
        lambda snapshot: read_portfolio(snapshot, account, ctx.now_ms, ctx.colour_blind_safe),
    )
    _facts(view.facts, "portfolio-facts")
    for sentence in filter(None, (view.marks.why, view.marks.silent)):
        st.warning(widgets.escaped(sentence), icon=":material/schedule:")
    _pairs(ctx, view.pairs, account.id)
    _positions(ctx, view)
    left, right = st.columns(2, gap="small")
    with left, st.expander("New order", expanded=False):
        order_forms.order_form(ctx, account.id, running)
    with right, st.expander("New pair: buy or sell the spread", expanded=False):
        order_forms.pair_form(ctx, account.id, running)
    with st.expander("Auto mode", expanded=False):
        auto_mode.render(ctx, account, running)
    _curve(ctx, view)
    _tables(ctx, view)
    _terms(ctx, view, running)
    ctx.shown = view  # the header states this version, not that of the pair's hedge ratio


def _facts(facts: list[tuple[str, str, str]], key: str) -> None:
    with st.container(horizontal=True, gap="small", key=key):
        for label, value, explained in facts:
            st.metric(label, value, help=widgets.escaped(explained), border=True, width=150)


def _pairs(ctx: Context, pairs: list[PairLine], account: str) -> None:
    if not pairs:
        return
    st.markdown("##### Pairs")
    for pair in pairs:
        with st.container(border=True, key=f"pair-{pair.id}"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{pair.title}** · {pair.state} · P&L {number(pair.pnl, sign=True)}")
                if pair.state != "closing" and st.button("Close pair", key=f"close-{pair.id}"):
                    body = {"account": account, "pair": pair.id}
                    answer = desk_requests.ask(ctx, "desk.pair.close", body)
                    desk_requests.say(answer, "Both legs are being closed.")
            st.caption(f"{pair.legs}  \n{pair.health}")
            if pair.risk:
                st.warning(widgets.escaped(pair.risk), icon=":material/balance:")
            for warning in pair.warnings:
                st.warning(widgets.escaped(warning), icon=":material/heart_broken:")


def _positions(ctx: Context, view: PortfolioView) -> None:
    st.markdown("##### Positions")
    if view.positions.empty:
        st.caption("Nothing is held.")
        return
    widgets.table(
        view.positions,
        "positions",
        key="positions",
        dash=" ".join([view.marks.why, "No price liquidates what its margin covers wholly."]).strip(
            " ."
        ),
        column_config={
            "distance": st.column_config.NumberColumn("to liquidation", format="percent"),
            "liquidation": st.column_config.NumberColumn(
                "liquidation price",
                help="Estimate; it is held against the price in the column “judged by”.",
            ),
            "judged by": st.column_config.TextColumn(
                "judged by",
                help="Liquidation looks at the exchange's mark price where the feed brings it and "
                "it is recent, otherwise at the last price.",
            ),
        },
    )
    own = view.positions[view.positions["pair"] == ""]["symbol"].tolist()
    with st.container(horizontal=True, gap="small"):
        for symbol in own:
            if st.button(f"Close {symbol}", key=f"flatten-{symbol}"):
                name = f"flatten-{view.account.id}-{symbol}"
                body = {
                    "account": view.account.id,
                    "symbol": symbol.lower(),
                    "id": desk_requests.token(name),
                }
                answer = desk_requests.ask(ctx, "desk.flatten", body)
                desk_requests.say(answer, f"{symbol} is being closed.", renewing=name)


def _curve(ctx: Context, view: PortfolioView) -> None:
    if view.figure is None:
        st.caption("The equity curve begins with the second minute.")
        return
    widgets.chart(
        ctx,
        view.figure,
        key="portfolio-equity",
        identity=view.account.id,
        height=380,
        alt=f"Equity and drawdown; equity now {number(view.equity)}",
    )


def _tables(ctx: Context, view: PortfolioView) -> None:
    _facts(view.trade_facts, "portfolio-trades")
    for (name, title), frame in zip(
        _EXITS.items(), (view.exposure, view.orders, view.trades), strict=True
    ):
        with st.expander(title, expanded=False):
            if frame.empty:
                st.caption("Nothing yet.")
                continue
            widgets.table(frame, name, key=f"portfolio-{name}", dash=_lacks(view, name))
            if name == "orders":
                _cancel(ctx, view)
    st.caption("Journal: every fill and funding of this account, in order.")
    widgets.downloads(lambda: _journal(ctx, view.account.id), "journal", key="journal")


def _lacks(view: PortfolioView, name: str) -> str:
    """Why cells of a table are empty."""
    if name == "exposure":
        return " ".join([view.marks.why, *view.betas.why.values()]).strip(" .")
    return "a market order names no price" if name == "orders" else "it was not traded"


def _cancel(ctx: Context, view: PortfolioView) -> None:
    states = view.orders["state"]
    open_ids = view.orders[states.isin(["held", "working"])]["id"].tolist()
    if not open_ids:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Open order", open_ids, key="cancel-order", width=320)
        if st.button("Cancel order", key="cancel-order-go"):
            body = {"account": view.account.id, "order": chosen}
            desk_requests.say(desk_requests.ask(ctx, "desk.cancel", body), "Cancelled.")


def _journal(ctx: Context, account: str) -> pd.DataFrame:
    with ctx.database.snapshot() as snapshot:
        return snapshot.books(books.journal, account)


def _open_form(ctx: Context, running: bool) -> None:
    with st.form("open-account"):
        left, middle, right = st.columns(3)
        name = left.text_input("Name", value="Paper", max_chars=40)
        equity = middle.number_input("Starting equity", 10.0, 1e9, 10_000.0)
        currency = right.text_input("Currency", value="USDT", max_chars=10)
        maker = left.number_input("Maker fee, bps", -10.0, 100.0, Config.MAKER_FEE_BPS)
        taker = middle.number_input("Taker fee, bps", -10.0, 100.0, Config.TAKER_FEE_BPS)
        slippage = right.number_input("Slippage, bps", 0.0, 100.0, Config.SLIPPAGE_BPS)
        by = left.selectbox(
            "Slippage by",
            ["bps", "half_spread"],
            format_func={
                "bps": "fixed bps",
                "half_spread": "half the spread of the prints",
            }.__getitem__,
        )
        leverage = middle.number_input("Leverage limit", 1.0, 125.0, 3.0)
        if st.form_submit_button("Open account", disabled=not running):
            body = {
                "id": desk_requests.token("account"),
                "name": name,
                "starting_equity": equity,
                "currency": currency,
                "maker_bps": maker,
                "taker_bps": taker,
                "slippage_bps": slippage,
                "slippage_by": by,
                "leverage_limit": leverage,
                "maintenance_rate": Config.MAINTENANCE_MARGIN_PCT / 100,
                "funding_rate": Config.FUNDING_RATE_BPS / 10_000,
            }
            answer = desk_requests.ask(ctx, "desk.account.open", body)
            desk_requests.say(answer, "The account is open.", renewing="account")


def _terms(ctx: Context, view: PortfolioView, running: bool) -> None:
    with st.expander("Terms, reset, another account", expanded=False):
        terms = view.account.settings
        st.caption(
            f"Maker {terms['maker_bps']:g} bps, taker {terms['taker_bps']:g} bps, slippage "
            f"{terms['slippage_bps']:g} bps by {terms['slippage_by'].replace('_', ' ')}, leverage "
            f"limit {terms['leverage_limit']:g}, maintenance margin "
            f"{terms['maintenance_rate']:.2%}, funding {terms['funding_rate']:.4%} per 8 hours "
            "while the exchange's own is not known. Isolated margin, in "
            f"{widgets.escaped(terms['currency'])}."
        )
        with st.form("reset-account"):
            typed = st.text_input(
                f"To begin anew, type the account's name: {widgets.escaped(terms['name'])}"
            )
            if st.form_submit_button("Reset account", disabled=not running):
                body = {
                    "account": view.account.id,
                    "new_id": desk_requests.token("reset"),
                    "confirm": typed,
                }
                answer = desk_requests.ask(ctx, "desk.account.reset", body)
                desk_requests.say(answer, "The account begins anew.", renewing="reset")
        _open_form(ctx, running)
