"""Alerts: rules watched beside the collector, what fired, and what became of the messages."""

from __future__ import annotations

from typing import Any

import streamlit as st

from candles import CHART_TIMEFRAMES
from tabs import alert_notices, desk_requests, widgets
from tabs.context import Context
from trading.alerts import METRICS, Op
from views.alerts import AlertsView, RuleLine, metric_choices, read_alerts
from views.text import moment

_HOUR_S = 3_600
_HINTS = {
    "move": "Level: a fraction, 0.02 is 2 %; negative for a fall.",
    "drawdown": "Level: a fraction, 0.05 is 5 % below the peak.",
    "liquidation": "Level: the mark's distance from the liquidation price, as a fraction.",
    "volume": "Level: times the mean of the window before.",
    "volatility": "Level: times the mean high–low range of the window before.",
    "silence": "Level: seconds without a trade.",
    "lag": "Level: seconds that trades arrive late.",
    "gaps": "Level: 1 fires on every new gap.",
}


def render(ctx: Context) -> None:
    """Show rules, history and deliveries."""
    alert_notices.read()
    running = desk_requests.is_running(ctx)
    view = ctx.view("alerts", lambda snapshot: read_alerts(snapshot, ctx.now_ms))
    if view.trouble:
        st.warning(widgets.escaped(view.trouble), icon=":material/warning:")
    _controls(ctx, view, running)
    st.markdown("##### Rules")
    if not view.rules:
        st.caption("No rule yet. Make one below; it is watched whether or not a page is open.")
    for rule in view.rules:
        _rule(ctx, rule, running)
    with st.expander("New rule", expanded=not view.rules):
        _rule_form(ctx, view, running)
    st.markdown("##### History")
    if view.history.empty:
        st.caption("Nothing has fired yet.")
    else:
        widgets.table(view.history, "alerts", key="alert-history", height=300)
    _deliveries(ctx, view, running)


def _controls(ctx: Context, view: AlertsView, running: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if view.muted_until_ms:
            st.badge(f"all muted until {moment(view.muted_until_ms)}", color="orange")
            if st.button("Unmute", key="unmute", disabled=not running):
                answer = desk_requests.ask(ctx, "desk.mute", {"seconds": 0})
                desk_requests.say(answer, "Alerts are sent again.")
        elif st.button("Mute all for an hour", key="mute", disabled=not running):
            answer = desk_requests.ask(ctx, "desk.mute", {"seconds": _HOUR_S})
            desk_requests.say(answer, "Alerts are recorded and not sent for an hour.")
        st.toggle("Sound in this browser", key="alert-sound")


def _rule(ctx: Context, rule: RuleLine, running: bool) -> None:
    with (
        st.container(border=True, key=f"rule-{rule.id}"),
        st.container(horizontal=True, vertical_alignment="center"),
    ):
        note = f"  \n{widgets.escaped(rule.note)}" if rule.note else ""
        st.markdown(f"**{widgets.escaped(rule.sentence)}**{note}  \n{widgets.escaped(rule.state)}")
        snooze: dict[str, Any] = {"rule": rule.id, "seconds": 0 if rule.snoozed else _HOUR_S}
        buttons = (
            ("Wake" if rule.snoozed else "Snooze 1 h", "desk.rule.snooze", snooze),
            (
                "Switch off" if rule.enabled else "Switch on",
                "desk.rule.enable",
                {"rule": rule.id, "enabled": not rule.enabled},
            ),
            ("Delete", "desk.rule.drop", {"rule": rule.id}),
        )
        for label, kind, body in buttons:
            if st.button(label, key=f"{kind}-{rule.id}", disabled=not running):
                desk_requests.say(desk_requests.ask(ctx, kind, body), "Done.")


def _rule_form(ctx: Context, view: AlertsView, running: bool) -> None:
    choices = metric_choices()
    metric = st.selectbox("Watch", list(choices), format_func=choices.__getitem__, key="metric")
    what = METRICS[metric]
    if metric in _HINTS:
        st.caption(_HINTS[metric])
    with st.form("rule-form"):
        left, middle, right = st.columns(3)
        body: dict[str, Any] = {"id": desk_requests.token("rule"), "metric": metric}
        _what(ctx, view, metric, body, (left, middle, right))
        body["op"] = left.selectbox("When it is", [op.value for op in Op])
        body["level"] = middle.number_input("Level", value=0.0, format="%0.8g")
        body["rearm"] = right.number_input("Re-arm level, optional", value=None, format="%0.8g")
        if what.needs_window:
            body["timeframe"] = left.selectbox("Candles", list(CHART_TIMEFRAMES), index=4)
            body["window"] = int(middle.number_input("Window, candles", 3, 5_000, 60))
        if metric == "move":
            body["window_s"] = int(middle.number_input("Window, seconds", 1, 86_400, 300))
        body["cooldown_s"] = int(left.number_input("Cool-down, seconds", 0, 604_800, 60))
        hours = middle.number_input("Expires in hours (0: never)", 0.0, 8_760.0, 0.0)
        body["note"] = right.text_input("Note", max_chars=200)
        if st.form_submit_button("Save rule", disabled=not running):
            body["expires_ms"] = ctx.now_ms + int(hours * 3_600_000) if hours else 0
            answer = desk_requests.ask(ctx, "desk.rule.save", body)
            desk_requests.say(answer, "The rule is watched.", renewing="rule")


def _what(
    ctx: Context, view: AlertsView, metric: str, body: dict[str, Any], places: tuple[Any, Any, Any]
) -> None:
    """Which symbols or which account the rule watches."""
    what, symbols = METRICS[metric], list(ctx.settings.symbols)
    if what.symbols:
        label = "price1" if what.symbols == 2 else "Symbol"
        body["symbol"] = places[0].selectbox(label, symbols, format_func=str.upper)
    if what.symbols == 2:
        second = min(1, len(symbols) - 1)
        body["symbol2"] = places[1].selectbox(
            "price2", symbols, index=second, format_func=str.upper
        )
    if what.needs_account:
        names = view.accounts
        body["account"] = places[0].selectbox("Account", list(names), format_func=names.__getitem__)


def _deliveries(ctx: Context, view: AlertsView, running: bool) -> None:
    st.markdown("##### Channels")
    if view.channels:
        st.caption(widgets.escaped("Sent to " + "; ".join(view.channels) + "."))
    else:
        st.caption(
            "Toasts and the badge in the page. For messages elsewhere set ALERT_WEBHOOK_URL "
            "(generic, Slack, Discord or Telegram), or SMTP_HOST with ALERT_EMAIL_TO, and start "
            "again."
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        disabled = not (running and view.channels)
        if st.button("Send a test", key="test-channels", disabled=disabled):
            answer = desk_requests.ask(ctx, "desk.alert.test", {})
            desk_requests.say(answer, "A test is on its way; its result appears below.")
        if view.waiting:
            st.caption(f"{view.waiting} waiting to be sent or tried again.")
    if len(view.attempts):
        widgets.table(view.attempts, "deliveries", key="attempts", height=220)
