"""A pair for others to keep: one HTML file with figures, estimates, intervals and tests."""

from __future__ import annotations

import math
from typing import Any

from candles import timeframe_ms
from charts import svg
from config import Config
from trading.report import page, rows, safe
from views.feed import source_sentence
from views.pair import METHODS
from views.pair_page import PairPage, Study
from views.text import DASH, moment, number, percent


def pair_report(shown: PairPage, study: Study | None, source: str, created_ms: int) -> str:
    """The page of a pair as of one snapshot, as a file that asks nobody for anything.

    Parameters
    ----------
    shown : PairPage
        With its figures.
    study : Study or None
        Tests and intervals of the closed candles; None where there is none yet.
    source : str
        ``live``, ``demo`` or ``replay``.
    created_ms : int
        When the report was made, by the source's clock.
    """
    state = shown.state
    title = f"{state.title}, {state.options.timeframe}"
    parts = [
        f"<h1>{safe(title)}</h1>",
        f'<p><span class="badge">{safe(source_sentence(source))}</span></p>',
        rows(_about(shown, created_ms)),
        "<h2>Now</h2>",
        _facts(_now(shown)),
        f"<h2>Prices, spread and z-score</h2>{_drawn(shown.main, 620, 'Prices, spread, z-score')}",
        f'<p class="why">{safe(shown.signal_note)}</p>',
        "<h2>Hedge ratio and correlation over time</h2>",
        _drawn(shown.ratio, 420, "Hedge ratio and correlation with 95 % bands"),
        f"<h2>Closes against each other</h2>{_drawn(shown.scatter, 420, 'Scatter with fit')}",
        _study(study),
        _limits(),
    ]
    return page(title, parts)


def _about(shown: PairPage, created_ms: int) -> dict[str, str]:
    """What it is made of: span, candles, coverage, settings."""
    state, o = shown.state, shown.state.options
    closes = state.closes
    end_ms = int(closes.at_ms[-1]) + timeframe_ms(o.timeframe) if len(closes) else None
    about = {
        "Made": moment(created_ms),
        "From": moment(int(closes.at_ms[0])) if len(closes) else DASH,
        "To": moment(end_ms),
        "Candles": f"{closes.closed:,} closed"
        + (", and one that is forming" if closes.closed < len(closes) else ""),
        "Price 1 (y), price 2 (x)": f"{(o.y or '').upper()}, {(o.x or '').upper()}",
        "Regression": METHODS.get(o.method, o.method),
        "Rolling window": f"{o.window} candles",
        "Thresholds": f"entry ±{o.entry_th:g}, exit {o.exit_th:g}",
        "Costs": f"taker {Config.TAKER_FEE_BPS:g} bps, slippage {Config.SLIPPAGE_BPS:g} bps a fill",
        "Data version": f"{shown.version:,}",
    }
    for symbol, share in (shown.coverage or {}).items():
        about[f"Coverage of {symbol.upper()}"] = (
            f"{percent(share, 2)} of the span is covered by stored trades"
            if share is not None
            else f"{DASH} (candles without trades: an import)"
        )
    return about


def _now(shown: PairPage) -> list[tuple[str, str, str]]:
    """The newest figures, with an interval or why there is none."""
    state, o = shown.state, shown.state.options
    seen = "its own past alone" if state.moving else "the same candles: in sample"
    ratio_note = f"Known from {seen}."
    if state.moving and state.ratio_se is not None and state.ratio_now is not None:
        half = 1.96 * float(state.ratio_se[-1])
        ratio_note += (
            f" 95 % interval {state.ratio_now - half:.5g} to {state.ratio_now + half:.5g}."
        )
    elif not state.moving:
        ratio_note += " Its 95 % interval is below."
    return [
        ("Z-score", number(state.zscore_now), state.explained + " A description, not an estimate."),
        ("Spread", state.spread_text, "Quote units of price 1; a description, not an estimate."),
        ("Hedge ratio", state.ratio_text, ratio_note),
        (
            "Correlation",
            number(state.correlation, 3),
            _correlation_note(state.correlation, o.window),
        ),
        ("Signal", state.signal, "On the last closed candle."),
    ]


def _correlation_note(value: float | None, n: int) -> str:
    """Its interval by Fisher's transform, as drawn."""
    if value is None or n <= 3 or abs(value) >= 1:
        return "No interval: too few returns."
    half = 1.96 / math.sqrt(n - 3)
    low, high = math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half)
    return (
        f"Of the returns of the last {n} candles; 95 % interval {low:.3f} to {high:.3f} (Fisher, "
        "independent normal returns)."
    )


def _facts(items: list[tuple[str, str, str]] | tuple[tuple[str, str, str], ...]) -> str:
    lines = "".join(
        f'<tr><td>{safe(label)}</td><td>{safe(value)}</td><td class="why">{safe(note)}</td></tr>'
        for label, value, note in items
    )
    return f"<table>{lines}</table>"


def _drawn(figure: dict[str, Any] | None, height: int, alt: str) -> str:
    if figure is None:
        return "<p>It needs more closed candles.</p>"
    drawn = svg.render(figure, height, alt)
    if figure["layout"]["xaxis"].get("type") != "date":
        return f'{drawn}<p class="why">Price 1 over price 2; the older, the darker.</p>'
    return f'{drawn}<p class="why">Times are UTC; orange: trades are missing.</p>'


def _study(study: Study | None) -> str:
    if study is None:
        return "<h2>Tests</h2><p>The tests were not made yet.</p>"
    head = "".join(
        f"<th>{name}</th>"
        for name in ("Test", "Statistic", "p", "Verdict at 5 %", "Null hypothesis", "Details")
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{safe(cell)}</td>"
            for cell in (
                f.name,
                number(f.statistic, 3),
                f.pvalue,
                f.verdict,
                f.null or DASH,
                f.detail,
            )
        )
        + "</tr>"
        for f in study.findings
    )
    return (
        f"<h2>What {study.candles:,} closed candles say</h2>{_facts(study.facts)}"
        f'<div class="wide"><table class="tests"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        '<p class="why">Tests of one pair on one stretch of time: looking at many and keeping the '
        "best makes p-values too small.</p>"
    )


def _limits() -> str:
    return (
        "<h2>Limits</h2><p>Research, not advice. In-sample figures have seen the candles that they "
        "describe. Intervals assume what their line says; none of them allows for the relation "
        "itself to change.</p>"
    )
