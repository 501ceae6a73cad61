"""Dashboard: price tiles, the pair's z-score as the headline, and a grid of small charts."""

from __future__ import annotations

from typing import Any

import streamlit as st

from candles import timeframe_ms
from charts.style import Palette, palette
from live import cards
from live.host import chart_part
from tabs import widgets
from tabs.context import Context, Settings
from views.dashboard import SMALL, DashboardView, read_dashboard
from views.glance import AccountGlance, Glance
from views.market import Tile
from views.text import DASH, compact, moment, number, percent, zone_named

_HEADLINE, _PAIR, _TILES, _OPEN, _WATCH = (
    "headline", "dashboard-pair", "tiles", "open", "watchlist",
)  # fmt: skip
_WIDE = 300
_MOST_ACCOUNTS = 3


def render(ctx: Context) -> None:
    """Show the market and the pair as of one snapshot, and as it goes on."""
    s = ctx.settings
    view, live = ctx.follow(
        ("dashboard", s),
        lambda snapshot, now_ms: read_dashboard(snapshot, s.symbols, s.pair, now_ms),
        lambda view: _parts(view, s),
        _structure,
    )
    if not _has_prices(view):
        widgets.no_candles(ctx)
        return
    st.markdown(f"##### Pair {view.pair.title}")
    live.cards(_HEADLINE)
    if view.pair_figure is None:
        widgets.empty("The pair cannot be charted yet.", view.pair.why or "")
    else:
        live.chart(_PAIR)
    st.markdown("##### Market")
    live.cards(_TILES)
    st.markdown("##### Open positions and alerts")
    live.cards(_OPEN)
    st.markdown(f"##### Watch list · last {SMALL} candles of {s.timeframe}")
    live.cards(_WATCH)


def _has_prices(view: DashboardView) -> bool:
    return any(tile.price is not None for tile in view.market.tiles)


def _structure(view: DashboardView) -> tuple[Any, ...]:
    """What `render` draws besides the parts."""
    return _has_prices(view), view.pair_figure is None, view.pair.why


def _parts(view: DashboardView, s: Settings) -> dict[str, dict[str, Any]]:
    """All that follows the data."""
    if not _has_prices(view):
        return {}
    colours, pair = palette(s.pair.colour_blind_safe), view.pair
    parts = {
        _HEADLINE: _headline(view),
        _TILES: cards.row(
            [_tile(tile, colours) for tile in view.market.tiles],
            up_down=(colours.up, colours.down),
        ),
        _OPEN: _open(view.glance, s),
        _WATCH: _watch_list(view, colours),
    }
    if view.pair_figure is not None:
        parts[_PAIR] = chart_part(
            view.pair_figure,
            key=_PAIR,
            identity=f"{pair.title}|{s.timeframe}|{s.pair.method}",
            height=360,
            alt=f"Spread and z-score of {pair.title}; z-score now {number(pair.zscore_now)}",
            step_ms=timeframe_ms(s.timeframe),
            zone=s.zone,
        )
    return parts


def _headline(view: DashboardView) -> dict[str, Any]:
    """The pair's z-score, and how it came to be."""
    pair = view.pair
    return cards.row(
        [
            widgets.metric("Z-score", number(pair.zscore_now), pair.zscore_now, pair.why_not_now,
                           explained=pair.explained),
            widgets.metric("Spread", pair.spread_text, pair.spread_now, pair.why_not_now),
            widgets.metric("Hedge ratio", pair.ratio_text, pair.ratio_now, pair.why),
            widgets.metric("Correlation", number(pair.correlation, 3), pair.correlation,
                           pair.correlation_why),
            widgets.signal_card(pair.signal, key="signal"),
        ]
    )  # fmt: skip


def _tile(tile: Tile, colours: Palette) -> dict[str, Any]:
    minute = tile.changes["1 min"]
    items = [
        cards.words("label", tile.symbol.upper()),
        cards.words("value", number(tile.price, tile.decimals)),
    ]
    text = f"{percent(minute, 3, sign=True)} in 1 min"
    items.append(cards.words("delta", text, tone=_tone(minute)))
    if len(tile.spark) > 1:
        rising = tile.spark[-1] >= tile.spark[0]
        items.append(
            cards.spark(
                tile.spark,
                height=44,
                colour=colours.up if rising else colours.down,
                alt=f"The last hour of {tile.symbol.upper()}",
            )
        )
    items.append(_changes(tile))
    items += [cards.line((text, "muted"), small=True) for text in _details(tile)]
    return cards.card(*items, width=300, key=f"tile-{tile.symbol}")


def _tone(value: float | None) -> str:
    return "muted" if value is None or value != value else ("up" if value >= 0 else "down")


def _changes(tile: Tile) -> cards.Item:
    """Changes over the longer spans, one line; a dash carries its reason below."""
    runs: list[cards.Run] = []
    for n, label in enumerate(("15 min", "1 h", "24 h")):
        value = tile.changes[label]
        runs += [(f"{' · ' if n else ''}{label} ",), (percent(value, sign=True), _tone(value))]
    return cards.line(*runs)


def _details(tile: Tile) -> list[str]:
    day = "24 h" if tile.stored_h >= 23.9 else f"{tile.stored_h:.1f} h stored"
    lines = [
        f"Volume {day} {compact(tile.turnover_24h)} · "
        f"volatility {percent(tile.volatility, 1)} a year",
        f"{number(tile.trades_per_s, 1)} trades/s · "
        f"buy − sell {percent(tile.imbalance, 0, sign=True)}",
    ]
    missing = [f"{what}: {why}" for what, why in tile.why.items()]
    return lines + ([f"{DASH} " + "; ".join(missing)] if missing else [])


def _open(glance: Glance, s: Settings) -> dict[str, Any]:
    """What the paper accounts hold, which rules are met, and what fired last."""
    shown = [_account(account) for account in glance.accounts[:_MOST_ACCOUNTS]]
    if not shown:
        shown.append(
            _nothing("Positions", "No paper account is open: the tab Portfolio opens one.")
        )
    if not glance.rules and not glance.fired:
        shown.append(_nothing("Alerts", "No rule is watched: the tab Alerts makes one."))
        return cards.row(shown)
    items = [
        cards.words("label", "Alerts"),
        cards.words("value", f"{len(glance.met)} open"),
        cards.line((f"Rules watched: {glance.rules:,}", "muted"), small=True),
    ]
    items += [cards.line((sentence, "warn"), small=True) for sentence in glance.met]
    zone = zone_named(s.zone_name)
    for at_ms, sentence in glance.fired:
        fired = cards.line((f"{moment(at_ms, zone)} ", "muted"), (sentence,), small=True)
        items.append(fired)
    return cards.row([*shown, cards.card(*items, width=_WIDE, key="open-alerts")])


def _nothing(label: str, next_step: str) -> dict[str, Any]:
    return cards.card(
        cards.words("label", label), cards.line((next_step, "muted"), small=True), width=_WIDE
    )


def _account(account: AccountGlance) -> dict[str, Any]:
    """Equity of an account and what it holds."""
    equity = number(account.equity)
    items = [
        cards.words("label", f"Positions · {account.name}", help_text=account.why),
        cards.words("value", equity if account.why else f"{equity} {account.currency}"),
        cards.words("delta", f"P&L {number(account.pnl, sign=True)}", tone=_tone(account.pnl)),
    ]
    lines = account.positions or ("Nothing is held.",)
    items += [cards.line((text, "muted"), small=True) for text in lines]
    return cards.card(*items, width=_WIDE)


def _watch_list(view: DashboardView, colours: Palette) -> dict[str, Any]:
    """Every symbol's closes on the chosen timeframe, side by side."""
    return cards.row(
        [
            cards.card(
                cards.line(
                    (f"{symbol.upper()} ", "strong"),
                    (percent(closes[-1] / closes[0] - 1, sign=True), "muted"),
                    small=True,
                ),
                cards.spark(
                    closes,
                    height=72,
                    colour=colours.lines[n % len(colours.lines)],
                    alt=f"Closes of {symbol.upper()}",
                ),
                width=220,
                key=f"watch-{symbol}",
            )
            for n, (symbol, closes) in enumerate(view.small_charts.items())
        ]
    )
