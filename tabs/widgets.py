"""Pieces that several tabs show: charts, dashes with their reason, downloads, empty states."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from config import Config
from live import cards
from live.host import chart_part, still, still_chart
from tabs import sidebar
from tabs.context import Context
from views.text import DASH, duration, pasted_safely, safe_cell

_PRICES = frozenset({"price", "open", "high", "low", "close"})
_AMOUNTS = frozenset({"size", "volume", "quantity"})
# As many digits as a price needs, none of them a rounding of binary numbers.
_SHORT = "%.10g"
_UTC = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)")
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
            f"Start the feed here or in the sidebar.{_what_start_brings(ctx.status.source)}",
            icon=":material/play_circle:",
        )
        # The sidebar is closed on a phone.
        st.button("Start the feed", key="start-here", type="primary", on_click=sidebar.start_here)


def _what_start_brings(source: str) -> str:
    if source == "replay":
        return " The recording is played from its beginning."
    past = Config.BACKFILL_MINUTES * 60_000
    fetched = f" The last {duration(past)} of trades are fetched as well." if past else ""
    if source == "demo":
        return fetched
    return f"{fetched} The demo market, a source in the sidebar, needs no network."


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """A table as CSV, its text cells made harmless to spreadsheets."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([safe_cell(str(c)) for c in frame.columns])
    for row in frame.itertuples(index=False, name=None):
        writer.writerow([safe_cell(v) for v in row])
    return out.getvalue().encode("utf-8")


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """A table as Parquet; a column of several kinds of value is text there."""
    out = io.BytesIO()
    mixed = [c for c in frame if pd.api.types.infer_dtype(frame[c]).startswith("mixed")]
    frame.astype(dict.fromkeys(mixed, str)).to_parquet(out, index=False)
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


def table(
    frame: pd.DataFrame,
    name: str,
    *,
    key: str,
    height: int | None = None,
    whole: Callable[[], pd.DataFrame] | None = None,
    decimals: int | None = None,
    column_config: Mapping[str, Any] | None = None,
    dash: str = "not known, or not to be computed, for that row",
) -> None:
    """A table without its index, and its download as CSV and Parquet.

    Times are shown in the user's zone; in files they are UTC. Prices have ``decimals``, or as many
    as they need.

    Parameters
    ----------
    name : str
        What the file is called, and what a screen reader says.
    whole : callable, optional
        Makes all rows for the file where the table shows a part.
    dash : str
        Why a cell may have no value; said below the table where one has none.
    """
    shown, config = shown_times(frame)
    prices = _SHORT if decimals is None else f"%.{decimals}f"
    for column in _PRICES.intersection(frame.columns):
        config[column] = st.column_config.NumberColumn(format=prices)
    for column in _AMOUNTS.intersection(frame.columns):
        config[column] = st.column_config.NumberColumn(format=_SHORT)
    st.dataframe(
        harmless(shown),
        key=key,
        hide_index=True,
        width="stretch",
        height="auto" if height is None else height,
        column_config=config | dict(column_config or {}),
        placeholder=DASH,
        alt=f"Table: {name.replace('_', ' ')}, {len(frame):,} rows",
    )
    say_dash(frame, dash)
    downloads(whole or (lambda: frame), name, key=f"{key}-file")


def harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame for a grid, out of which cells can be copied into a spreadsheet."""
    texts = [c for c in frame if pd.api.types.is_string_dtype(frame[c]) or frame[c].dtype == object]
    safe = frame.assign(**{str(c): frame[c].map(pasted_safely) for c in texts})
    return safe.rename(columns=pasted_safely)


def say_dash(frame: pd.DataFrame, dash: str) -> None:
    """Why cells have no value, where some have none."""
    if bool((frame.isna() | (frame == DASH)).to_numpy().any()):
        st.caption(f"{DASH} in the table: {escaped(dash)}.")


def shown_times(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The frame with its times as times, and the columns that show them in the user's zone.

    The heading of such a column says on hover which zone that is, and what its first and last row
    are in UTC.
    """
    zone = st.context.timezone if st.session_state.get("zone", "local") == "local" else None
    times = {str(c): moments for c in frame if (moments := _times(frame[c])) is not None}
    config = {}
    for column, moments in times.items():
        known = moments.dropna()
        rows = " to ".join(f"{m:%Y-%m-%d %H:%M:%S}" for m in (known.iloc[0], known.iloc[-1]))
        parts = ".SSS" if (known.dt.microsecond != 0).any() else ""
        config[column] = st.column_config.DatetimeColumn(
            format=f"YYYY-MM-DD HH:mm:ss{parts}",
            timezone=zone or "UTC",
            help=f"Time in {escaped(zone or 'UTC')}. First and last row in UTC: {rows}.",
        )
    return frame.assign(**times), config


def _times(column: pd.Series) -> pd.Series | None:
    """A column of UTC times, as text or as times, or None where it is something else."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column if column.notna().any() else None
    if not pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        return None
    known = column[column != DASH].dropna()
    if not len(known) or not isinstance(known.iloc[0], str) or not _UTC.fullmatch(known.iloc[0]):
        return None
    text = column.where(column != DASH).str.removesuffix(" UTC")
    moments = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    return moments if moments.notna().any() else None
