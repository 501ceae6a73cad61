"""What the browser needs for live parts, served by this process under ``/platform/``.

The chart library is made of the copy in plotly's own package: nothing is fetched from anywhere
else, and it is read once a browser, not once a message.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import plotly
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from live import chart_library

_HERE = Path(__file__).parent
_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_MODULES = ("hub", "chart", "cards", "spark", "theme", "watch")
# The address changes with the content, so a browser may keep a file for ever.
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@cache
def _digest() -> str:
    """Of all modules: they import one another by relative addresses."""
    content = b"".join((_HERE / f"{name}.js").read_bytes() for name in _MODULES)
    return hashlib.sha256(content).hexdigest()[:12]


def module_paths() -> tuple[str, ...]:
    """Where all modules of ours are served."""
    return tuple(module_path(name) for name in _MODULES)


def module_path(name: str) -> str:
    """Where a module of ours is served."""
    return f"/platform/{_digest()}/{name}.js"


@cache
def plotly_paths() -> tuple[str, str]:
    """Where the chart library is served: what the desk needs of it, and the whole."""
    version = metadata.version("plotly")
    kinds = hashlib.sha256((_HERE / "chart_library.py").read_bytes()).hexdigest()[:12]
    return f"/platform/plotly-{version}-{kinds}.js", f"/platform/plotly-{version}.min.js"


def routes() -> list[Route]:
    """The routes to serve them."""
    served: dict[str, Callable[[], bytes]] = {
        module_path(name): (_HERE / f"{name}.js").read_bytes for name in _MODULES
    }
    served |= dict(zip(plotly_paths(), (_reduced, _PLOTLY.read_bytes), strict=True))
    return [_route(path, content) for path, content in served.items()]


def pack() -> None:
    """Make and compress the chart library ahead; it takes more than a second."""
    _packed(_reduced)


@cache
def _reduced() -> bytes:
    library = _PLOTLY.read_text(encoding="utf-8")
    return (chart_library.reduced(library) or library).encode()


@cache
def _packed(content: Callable[[], bytes]) -> bytes:
    return gzip.compress(content(), compresslevel=6, mtime=0)


def _route(path: str, content: Callable[[], bytes]) -> Route:
    async def serve(request: Request) -> Response:
        headers = _FOR_EVER | {"Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = await asyncio.to_thread(_packed, content)
        else:
            body = await asyncio.to_thread(content)
        return Response(body, media_type="text/javascript", headers=headers)

    return Route(path, serve)
