"""Pieces that several tabs show: charts, dashes with their reason, downloads, empty states."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from live import cards
from live.host import chart_part, still, still_chart
from tabs.context import Context
from views.text import DASH, safe_cell

_MARKDOWN = str.maketrans({c: "\\" + c for c in "\\`*_{}[]()#+-.!|<>~$:"})


def escaped(text: str) -> str:
    """Text from outside as Markdown that shows it as it is."""
    return text.translate(_MARKDOWN)


def chart(
    ctx: Context,
    figure: dict[str, Any],
    *,
    key: str,
    identity: str,
    height: int,
    alt: str,
    step_ms: int = 0,
) -> None:
    """A chart that is updated in place when the page is run."""
    asked = (key, identity, height, alt, step_ms, ctx.settings.zone)
    made = figure.get("made")
    if made is None or made[0] != asked:
        part = chart_part(
            figure, key=key, identity=identity, height=height, alt=alt, step_ms=step_ms,
            zone=ctx.settings.zone,
        )  # fmt: skip
        # Views are shared by sessions and runs, and so is the message made of one.
        made = figure["made"] = (asked, still(key, part))
    still_chart(made[1], key=key)


def figure_of(value: float | None, text: str, why: str | None) -> dict[str, Any]:
    """Keyword arguments of a metric: the number, or a dash and the reason as its help."""
    if value is None:
        return {"value": DASH, "help": why or "It cannot be computed yet."}
    return {"value": text}


def metric(
    label: str, text: str, value: float | None, why: str | None, *, explained: str | None = None
) -> dict[str, Any]:
    """A card with a number that follows the data, or a dash and the reason as its help."""
    shown = figure_of(value, text, why)
    return cards.metric(label, shown["value"], help_text=shown.get("help") or explained or "")


def signal_card(signal: str, *, key: str) -> dict[str, Any]:
    """A card with what the rule says."""
    return cards.card(
        cards.words("label", "Signal on the last closed candle"),
        cards.words("strong", signal),
        width=260,
        key=key,
    )


def empty(title: str, next_step: str, *, icon: str = ":material/hourglass_empty:") -> None:
    """An empty state: what is missing, and what to do next."""
    with st.container(border=True):
        st.markdown(f"**{icon} {title}**")
        st.caption(next_step)


def no_candles(ctx: Context) -> None:
    """The empty state of a page that needs candles."""
    if ctx.status.running:
        empty("Waiting for the first trades.", ctx.status.sentence or "They come with the feed.")
    else:
        empty(
            "There is nothing stored for these symbols yet.",
            "Press Start in the sidebar; or choose the demo market as the source, whose history "
            "is there at once.",
            icon=":material/play_circle:",
        )


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """A table as CSV, its text cells made harmless to spreadsheets."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([safe_cell(str(c)) for c in frame.columns])
    for row in frame.itertuples(index=False, name=None):
        writer.writerow([safe_cell(v) for v in row])
    return out.getvalue().encode("utf-8")


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """A table as Parquet."""
    out = io.BytesIO()
    frame.to_parquet(out, index=False)
    return out.getvalue()


def downloads(frame: Callable[[], pd.DataFrame], name: str, *, key: str) -> None:
    """CSV and Parquet of a table, made when they are asked for."""
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "CSV",
            lambda: csv_bytes(frame()),
            file_name=f"{name}.csv",
            mime="text/csv",
            key=f"{key}-csv",
            on_click="ignore",
            icon=":material/download:",
        )
        st.download_button(
            "Parquet",
            lambda: parquet_bytes(frame()),
            file_name=f"{name}.parquet",
            mime="application/vnd.apache.parquet",
            key=f"{key}-parquet",
            on_click="ignore",
            icon=":material/download:",
        )


def table(frame: pd.DataFrame, *, key: str, height: int | None = None, **options: Any) -> Any:
    """A table without its index."""
    sizes: dict[str, Any] = {} if height is None else {"height": height}
    return st.dataframe(frame, key=key, hide_index=True, width="stretch", **sizes, **options)
