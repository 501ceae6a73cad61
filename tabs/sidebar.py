"""The sidebar: source, symbols, Start and Stop, the feed's state, settings, the database."""

from __future__ import annotations

from typing import Any

import streamlit as st

from candles import CHART_TIMEFRAMES, timeframe_ms
from config import Config
from errors import BadInput, PlatformError
from live.host import still_cards
from runtime import FeedStatus, Runtime, get_runtime
from tabs import page_parts
from tabs.context import Context, Settings, forget_views
from ticks import clean_symbols
from views.pair import METHODS, PairOptions

SOURCES = {
    "live": "Live market (Binance)",
    "demo": "Demo market (simulated)",
    "replay": "Replay (recording)",
}
_REMEMBERED = (
    "symbols", "timeframe", "window", "method", "entry", "exit", "colours", "zone", "y", "x",
)  # fmt: skip
_ZONES = {"local": "My time zone", "utc": "UTC"}


def render(runtime: Runtime) -> Any:
    """Draw the sidebar; returns the place where the fragment writes the feed's state."""
    _recall(runtime)
    with st.sidebar:
        st.markdown("### :material/candlestick_chart: Crypto Analytics")
        _feed(runtime)
        status_place = st.container(key="status-place")
        status_place.caption("Feed")
        _pair()
        _view_settings()
        _database(runtime)
    return status_place


# -- settings remembered ---------------------------------------------------------------------


def _recall(runtime: Runtime) -> None:
    """Fill the session with what was remembered, once a session and source."""
    # A run that was cut short before the widget was drawn loses the widget's value.
    if st.session_state.get("recalled") == runtime.source and "symbols" in st.session_state:
        return
    try:
        stored = runtime.load_settings()
    except PlatformError:
        stored = {}
    defaults: dict[str, Any] = {
        "symbols": list(Config.DEFAULT_SYMBOLS),
        "timeframe": Config.DEFAULT_TIMEFRAME,
        "window": Config.DEFAULT_ROLLING_WINDOW,
        "method": "ols",
        "entry": 2.0,
        "exit": 0.0,
        "colours": False,
        "zone": "local",
    }
    # What was remembered may not fit any more, such as no symbol at all.
    remembered = {k: v for k, v in stored.items() if k in _REMEMBERED and _acceptable(k, v)}
    values = defaults | remembered
    values |= _read_link(values["symbols"])
    for name, value in values.items():
        if name not in st.query_params:
            st.session_state[name] = value
    # Last: a run may be cut short at any call, and the next then begins here again.
    st.session_state["recalled"] = runtime.source


def _read_link(symbols: list[str]) -> dict[str, Any]:
    """What the address asks for by another name than it has here; says what there is not.

    What is asked for by its name is left to the widgets.
    """
    link, meant = st.query_params, {}
    for name in ("timeframe", "y", "x"):
        asked = link.get(name)
        if asked is None:
            continue
        if name == "timeframe":
            found = _timeframe_named(asked)
            instead = f"There are {', '.join(CHART_TIMEFRAMES)}."
        else:
            symbol = asked.strip().lower()
            found = symbol if symbol in symbols else None
            instead = "Add it to the symbols in the sidebar first."
        if found is None:
            notice("warning", f"The link asks for {name} = {asked}, which is not here. {instead}")
        if found != asked:
            del link[name]
        if found not in (None, asked):
            meant[name] = found
    return meant


def _timeframe_named(text: str) -> str | None:
    """What candles of that length are called here: 1m is 1min."""
    try:
        length = timeframe_ms(text)
    except BadInput:
        return None
    return next((name for name in CHART_TIMEFRAMES if timeframe_ms(name) == length), None)


def _acceptable(name: str, value: Any) -> bool:
    """Whether a remembered value still fits its widget."""
    checks = {
        "symbols": lambda: isinstance(value, list) and bool(clean_symbols(value)),
        "timeframe": lambda: value in CHART_TIMEFRAMES,
        "window": lambda: isinstance(value, int) and 2 <= value <= 500,
        "method": lambda: value in METHODS,
        "entry": lambda: isinstance(value, float) and 0.1 <= value <= 10,
        "exit": lambda: isinstance(value, float) and -5 <= value <= 5,
        "colours": lambda: isinstance(value, bool),
        "zone": lambda: value in _ZONES,
        "y": lambda: isinstance(value, str),
        "x": lambda: isinstance(value, str),
    }
    try:
        return bool(checks[name]())
    except PlatformError:
        return False


def _remember() -> None:
    """Keep the settings for the next start."""
    state = st.session_state
    kept = {name: state[name] for name in _REMEMBERED if state.get(name) is not None}
    try:
        get_runtime().save_settings(kept)
    except PlatformError as problem:
        notice("warning", f"The settings could not be remembered: {problem}")


def notice(kind: str, text: str) -> None:
    """Leave a sentence for the next drawing of the page."""
    st.session_state.setdefault("notices", []).append((kind, text))


# -- feed ------------------------------------------------------------------------------------


def _feed(runtime: Runtime) -> None:
    status = runtime.status()
    st.session_state["source"] = status.source
    st.session_state["sidebar-shows"] = _shows(status)
    st.selectbox(
        "Source",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        key="source",
        on_change=_source_chosen,
        help="The demo market and the replay are simulated; each has a database file of its own.",
    )
    known = list(dict.fromkeys([*runtime.available_symbols(), *st.session_state["symbols"]]))
    st.multiselect(
        "Symbols",
        known,
        format_func=str.upper,
        key="symbols",
        accept_new_options=True,
        max_selections=50,
        on_change=_symbols_chosen,
        placeholder="Choose or type, such as SOLUSDT",
    )
    start, stop = st.columns(2)
    start.button(
        "Start",
        type="primary",
        width="stretch",
        key="start",
        disabled=status.running and status.role == "holder",
        on_click=_start,
    )
    stop.button(
        "Stop",
        width="stretch",
        key="stop",
        disabled=not status.running or status.role == "viewer",
        on_click=_stop,
    )


def _shows(status: FeedStatus) -> tuple[str, str, bool]:
    """What the widgets of the feed depend on: which market, who collects, whether it runs."""
    return (status.source, status.role, status.running)


def is_behind(status: FeedStatus) -> bool:
    """Whether the sidebar was drawn for another state of the feed than this one."""
    return bool(st.session_state.get("sidebar-shows") != _shows(status))


def _source_chosen() -> None:
    switch_to(get_runtime(), st.session_state["source"])


def switch_to(runtime: Runtime, source: str, *, start: bool = False) -> None:
    """Take another source, and start it where that was asked for."""
    try:
        runtime.switch(source)
        forget_views()
        if start:
            runtime.start(st.session_state.get("symbols") or Config.DEFAULT_SYMBOLS)
    except PlatformError as problem:
        notice("error", str(problem))


def _symbols_chosen() -> None:
    """Tidy what was typed; where the feed runs, it follows."""
    runtime = get_runtime()
    try:
        chosen = clean_symbols(st.session_state["symbols"])
    except PlatformError as problem:
        notice("error", str(problem))
        st.session_state["symbols"] = _only_possible(st.session_state["symbols"])
        return
    st.session_state["symbols"] = chosen
    _remember()
    if runtime.status().running:
        _start()


def _only_possible(symbols: list[str]) -> list[str]:
    kept = []
    for symbol in symbols:
        try:
            kept += clean_symbols([symbol])
        except PlatformError:
            continue
    return kept


def start_here() -> None:
    """Start from a button outside the sidebar, whose own buttons change with it."""
    _start()
    redraw_page()


def _start() -> None:
    try:
        get_runtime().start(st.session_state["symbols"])
    except PlatformError as problem:
        notice("error", str(problem))


def _stop() -> None:
    get_runtime().stop()


def show_status(ctx: Context, place: Any) -> None:
    """The feed's state; called by the fragment, it is refreshed with it."""
    with place.container(key="status"):
        if ctx.live is not None:
            ctx.live.cards(page_parts.STATUS)
        else:
            part = page_parts.status_part(ctx.database, ctx.status)
            still_cards(part, key=page_parts.STATUS)


# -- what is shown ---------------------------------------------------------------------------


def _pair() -> None:
    symbols = st.session_state["symbols"]
    st.caption("Pair: price 1 against price 2")
    first, second = st.columns(2)
    for column, key, position in ((first, "y", 0), (second, "x", 1)):
        if st.session_state.get(key) not in symbols:
            st.session_state[key] = symbols[min(position, len(symbols) - 1)] if symbols else None
        column.selectbox(
            "Price 1 (y)" if key == "y" else "Price 2 (x)",
            symbols,
            format_func=str.upper,
            key=key,
            on_change=_remember,
            bind="query-params",
        )


def _view_settings() -> None:
    st.selectbox(
        "Timeframe", CHART_TIMEFRAMES, key="timeframe", on_change=_remember, bind="query-params"
    )
    st.number_input("Rolling window (candles)", 2, 500, key="window", on_change=_remember, step=1)
    st.selectbox(
        "Regression", list(METHODS), format_func=METHODS.__getitem__, key="method",
        on_change=_remember,
        help="How the hedge ratio is estimated. Rolling and Kalman use each candle's past alone.",
    )  # fmt: skip
    with st.expander("More settings"):
        st.number_input("Entry z", 0.1, 10.0, step=0.1, key="entry", on_change=_remember)
        st.number_input("Exit z", -5.0, 5.0, step=0.1, key="exit", on_change=_remember)
        st.toggle("Colour-blind-safe colours", key="colours", on_change=_remember)
        st.radio(
            "Times in charts", list(_ZONES), format_func=_ZONES.__getitem__, key="zone",
            on_change=_remember, horizontal=True,
        )  # fmt: skip


def settings(runtime: Runtime) -> Settings:
    """The sidebar's settings as one value."""
    state = st.session_state
    symbols = tuple(_only_possible(state.get("symbols") or []))
    pair = PairOptions(
        y=state.get("y"),
        x=state.get("x"),
        timeframe=state.get("timeframe") or Config.DEFAULT_TIMEFRAME,
        window=int(state.get("window") or Config.DEFAULT_ROLLING_WINDOW),
        method=state.get("method") or "ols",
        entry_th=float(state.get("entry") or 2.0),
        exit_th=float(state.get("exit") or 0.0),
        colour_blind_safe=bool(state.get("colours")),
    )
    name = st.context.timezone if state.get("zone") == "local" else None
    return Settings(symbols, pair, state.get("zone") or "local", name)


# -- database --------------------------------------------------------------------------------


def _database(runtime: Runtime) -> None:
    with st.popover("Clear data", icon=":material/delete:", width="stretch"):
        st.markdown(
            f"Delete every trade, candle and gap of **{SOURCES[runtime.source]}**? Settings, paper "
            "accounts, alert rules, jobs and saved runs stay."
        )
        st.button(
            "Yes, delete them", key="clear", type="primary", on_click=_clear, args=(runtime.source,)
        )


def _clear(source: str) -> None:
    """Delete what the question named: another page may have switched the source since."""
    try:
        get_runtime().clear_data(source)
        forget_views()
        notice("info", f"The stored data of {SOURCES[source]} were deleted.")
    except PlatformError as problem:
        notice("error", str(problem))


def redraw_page() -> None:
    """Draw the whole page at the next opportunity: the sidebar's widgets have new values."""
    st.session_state["redraw"] = True
