"""Names to the browser, with the page itself, what the desk is going to ask for.

Streamlit's page fetches the code of each kind of element when the first element of that kind
arrives, and ours comes after that again. React shows a placeholder in the meantime and then keeps
it for half a second wherever another piece is still on its way. A ``Link`` header starts all of it
together with the page: the pieces are there before the first element is.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs

import streamlit

from live.asgi import Application, Message, Receive, Send
from live.assets import module_paths

_CHUNKS = Path(streamlit.__file__).parent / "static" / "static" / "js"
# The kinds of elements that every page of the desk has.
_ELEMENTS = (
    "BidiComponent", "Selectbox", "Multiselect", "NumberInput", "Checkbox", "Radio", "Button",
    "ComponentInstance", "Html",
)  # fmt: skip
# Those that tables, forms and results add, fetched when the browser has nothing else to do.
_LATER = (
    "DataFrame", "DownloadButton", "ButtonGroup", "DateTimeInput", "Metric", "Progress",
    "TextInput", "FileUploader", "Slider",
)  # fmt: skip
_IMPORT = re.compile(r"""(?:from|import)\s*["'`]\./([\w.-]+\.js)["'`]""")


@cache
def every_chunk() -> tuple[str, ...]:
    """Addresses of what draws any element of the desk."""
    return chunks(_ELEMENTS + _LATER)


@cache
def chunks(elements: tuple[str, ...] = _ELEMENTS) -> tuple[str, ...]:
    """Addresses of Streamlit's own files that draw these elements, and of what they import.

    Those that its page names itself are left out; with another layout of files there are none.
    """
    index = _CHUNKS.parents[1] / "index.html"
    found = set(re.findall(r"static/js/([\w.-]+\.js)", index.read_text()) if index.exists() else ())
    named: list[str] = []
    waiting = [file.name for name in elements for file in _CHUNKS.glob(f"{name}.*.js")]
    while waiting:
        name = waiting.pop(0)
        file = _CHUNKS / name
        if name not in found and file.exists():
            found.add(name)
            named.append(name)
            waiting += _IMPORT.findall(file.read_text())
    return tuple(f"/static/js/{name}" for name in named)


@cache
def _links() -> bytes:
    # Low: what the page itself begins with comes first.
    how = "rel=modulepreload; crossorigin; fetchpriority=low"
    return ", ".join(f"<.{path}>; {how}" for path in (*module_paths(), *chunks())).encode()


class Preloading:
    """Adds the header to the page of whoever opens the desk directly."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not _opens_desk(scope):
            await self._app(scope, receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                message["headers"] = [*message["headers"], (b"link", _links())]
            await send(message)

        await self._app(scope, receive, named)


def _opens_desk(scope: Message) -> bool:
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return scope["path"].endswith("/") and bool({"tab", "desk"} & query.keys())
