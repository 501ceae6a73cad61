"""The Streamlit side of live parts: components that are handed bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from live.assets import module_path, plotly_paths
from live.feed import Feed, Message
from live.payload import pack, whole
from live.preloads import every_chunk
from live.route import PATH

# These go into every message, so they only name the module that does the work.
_PLOTLY = f"{json.dumps(plotly_paths())}.map(at)"
_CHART = f"""
const host = load("{module_path("chart")}");
export default function (component) {{
  const mount = component.parentElement;
  host.then((module) => module.render(component, {_PLOTLY}));
  return () => host.then((module) => module.remove(mount));
}}
"""
_CARDS = f"""
const cards = load("{module_path("cards")}");
export default function (component) {{
  const mount = component.parentElement;
  cards.then((module) => module.render(component));
  return () => cards.then((module) => module.remove(mount));
}}
"""
_BEAT = f"""
const hub = load("{module_path("hub")}");
export default function (component) {{
  const data = {{ ...component.data, url: at("{PATH}") }};
  hub.then((module) => module.follow({{ ...component, data }}));
  return () => hub.then((module) => module.unfollow());
}}
"""
# Until then the page itself is being drawn.
_SHOWN_MS = 1000
_PRELOAD = f"""
const fetchAll = () => {{
  load("{module_path("cards")}");
  load("{module_path("chart")}").then((module) => module.loadPlotly({_PLOTLY}));
  for (const path of {json.dumps(every_chunk())}) {{
    const link = document.createElement("link");
    Object.assign(link, {{ rel: "modulepreload", crossOrigin: "", href: at(path) }});
    document.head.appendChild(link);
  }}
}};
setTimeout(() => (window.requestIdleCallback ?? setTimeout)(fetchAll), {_SHOWN_MS});
export default function () {{}}
"""

# A server that was started again may have other modules. Those of before would go on beside them,
# so the page begins anew; it does as well, once a minute, where a module could not be fetched.
_RELEASE = hashlib.sha256("".join((_CHART, _CARDS, _BEAT, _PRELOAD)).encode()).hexdigest()[:12]
_AT = f"""
const at = (path) => new URL("." + path, document.baseURI).href;
if ((window.platformRelease ??= "{_RELEASE}") !== "{_RELEASE}") location.reload();
const load = (path) => import(at(path)).catch(() => {{
  const wait = Number(sessionStorage.platformReload ?? 0) + 60000 - Date.now();
  const reload = () => {{
    sessionStorage.platformReload = Date.now();
    location.reload();
  }};
  window.platformReload ??= setTimeout(reload, Math.max(2000, Math.min(wait, 60000)));
  return new Promise(() => {{}});
}});
"""


def _component(name: str, js: str) -> Any:
    return st.components.v2.component(name, js=_AT + js, isolate_styles=False)


_chart = _component("platform_live_chart", _CHART)
_cards = _component("platform_live_cards", _CARDS)
_beat = _component("platform_live_beat", _BEAT)
_preload = _component("platform_preload", _PRELOAD)


def chart_part(
    figure: dict[str, Any],
    *,
    key: str,
    identity: str,
    height: int,
    alt: str,
    step_ms: int = 0,
    zone: str = "utc",
    earlier: bool = False,
) -> dict[str, Any]:
    """A chart as a part.

    Parameters
    ----------
    figure : dict
        ``data`` and ``layout``, with arrays in them.
    key : str
        Names the part, and the file a picture of it is saved in.
    identity : str
        Zoom and legend choices are kept while it is the same; change it with what is charted.
    height : int
        Pixels.
    alt : str
        What a screen reader says.
    step_ms : int
        Length of a candle: the space left free at the live edge.
    zone : str
        ``local`` draws times in the browser's zone, ``utc`` in UTC.
    earlier : bool
        Whether there may be more before the first point.
    """
    return {
        "data": figure["data"],
        "layout": figure["layout"],
        "id": identity,
        "height": height,
        "alt": alt,
        "step_ms": step_ms,
        "zone": zone,
        "file": key,
        "more": earlier,
    }


def live_chart(
    feed: Feed, message: Message, key: str, *, on_earlier: Callable[[], None] | None = None
) -> None:
    """Show a chart of a feed, or bring the one that is shown under this key up to date.

    ``on_earlier`` is called when the user scrolls back beyond the first point.
    """
    _chart(key=key, data=message.part(feed.token, key), on_earlier_change=on_earlier or _nothing)


def still(key: str, part: dict[str, Any]) -> bytes:
    """A part that changes with a run of the page alone, as bytes."""
    return whole({"feed": "", "seq": 0}, {key: pack(part)})


def still_chart(data: bytes, *, key: str) -> None:
    """A chart of no feed."""
    _chart(key=key, data=data, on_earlier_change=_nothing)


def live_cards(feed: Feed, message: Message, key: str) -> None:
    """Rows of cards of a feed, as `live.cards` makes them."""
    _cards(key=key, data=message.part(feed.token, key))


def still_cards(part: dict[str, Any], *, key: str) -> None:
    """Rows of cards of no feed."""
    _cards(key=key, data=still(key, part))


def beat(feed: Feed, structure: str, interval_ms: int, *, again: bool = False) -> None:
    """Have the browser ask for what changed, and for a run where the structure is another.

    With ``again`` it asks for a run in any case, when the page has been drawn.
    """
    _beat(
        key="beat",
        data={
            "feed": feed.token,
            "structure": structure,
            "interval": interval_ms,
            "again": again,
        },
        on_rerun_change=_nothing,
    )


def preload() -> None:
    """Let the browser fetch, while it is idle, what charts, tables and forms are drawn with.

    The first switch to a tab that has them does not wait for it then.
    """
    _preload(key="preload")


def _nothing() -> None:
    return None
