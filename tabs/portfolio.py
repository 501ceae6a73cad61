"""Portfolio: the paper account."""

from __future__ import annotations

from tabs import widgets
from tabs.context import Context


def render(ctx: Context) -> None:
    """Say that there is no account yet."""
    widgets.empty(
        "Paper trading is not yet part of this version.",
        "Test an idea in Backtest: it uses the same rules, costs and rounding.",
        icon=":material/account_balance_wallet:",
    )
