"""The Streamlit side of the live chart: a component that is handed columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from live.assets import module_path, plotly_path

# Goes into every message, so it only names the module that does the work.
_SHIM = f"""
const at = (path) => new URL("." + path, document.baseURI).href;
const host = import(at("{module_path("host")}"));
export default function (component) {{
  const mount = component.parentElement;
  host.then((module) => module.render(component, at("{plotly_path()}")));
  return () => host.then((module) => module.remove(mount));
}}
"""

_PRELOAD = f"""
const at = (path) => new URL("." + path, document.baseURI).href;
import(at("{module_path("host")}")).then((module) => module.loadPlotly(at("{plotly_path()}")));
export default function () {{}}
"""

_SPARK = f"""
const spark = import(new URL(".{module_path("spark")}", document.baseURI).href);
export default function (component) {{
  spark.then((module) => module.render(component));
}}
"""

_chart = st.components.v2.component("platform_live_chart", js=_SHIM, isolate_styles=False)
_spark = st.components.v2.component("platform_spark", js=_SPARK, isolate_styles=False)
_preload = st.components.v2.component("platform_preload", js=_PRELOAD, isolate_styles=False)


def live_chart(
    packed: dict[str, Any],
    *,
    key: str,
    identity: str,
    height: int,
    alt: str,
    version: int = 0,
    step_ms: int = 0,
    zone: str = "utc",
    on_earlier: Callable[[], None] | None = None,
) -> None:
    """Show a chart, or bring the one that is shown under this key up to date.

    Parameters
    ----------
    packed : dict
        As `live.payload.pack` returns it.
    identity : str
        Zoom and legend choices are kept while it is the same; change it with what is charted.
    height : int
        Pixels.
    alt : str
        What a screen reader says.
    version : int
        The data version drawn, for the page's own account of itself.
    step_ms : int
        Length of a candle: the space left free at the live edge.
    zone : str
        ``local`` draws times in the browser's zone, ``utc`` in UTC.
    on_earlier : callable, optional
        Called when the user scrolls back beyond the first point.
    """
    _chart(
        key=key,
        data=packed
        | {
            "id": identity,
            "height": height,
            "alt": alt,
            "version": version,
            "step_ms": step_ms,
            "zone": zone,
            "file": key,
            "more": on_earlier is not None,
        },
        on_earlier_change=on_earlier or _nothing,
    )


def spark(values: Sequence[float], *, key: str, height: int, colour: str, alt: str) -> None:
    """A small line of at least two values, updated in place."""
    _spark(
        key=key,
        data={"values": list(values), "height": height, "colour": colour, "alt": alt},
    )


def preload() -> None:
    """Let the browser fetch the chart library before the first chart needs it."""
    _preload(key="preload")


def _nothing() -> None:
    return None
