"""What the browser needs for live parts, served by this process under ``/platform/``.

The chart library is the copy in plotly's own package: nothing is fetched from anywhere else, and
it is read once a browser, not once a message.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

import plotly
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_HERE = Path(__file__).parent
_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_MODULES = ("hub", "chart", "cards", "spark", "theme")
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
def plotly_path() -> str:
    """Where the chart library is served."""
    return f"/platform/plotly-{metadata.version('plotly')}.min.js"


def routes() -> list[Route]:
    """The routes to serve them."""
    served = {module_path(name): _HERE / f"{name}.js" for name in _MODULES}
    return [_route(path, file) for path, file in (served | {plotly_path(): _PLOTLY}).items()]


def pack() -> None:
    """Compress the chart library ahead; it would be done for every browser, at half a second."""
    _packed(_PLOTLY)


@cache
def _packed(file: Path) -> bytes:
    return gzip.compress(file.read_bytes(), compresslevel=6, mtime=0)


def _route(path: str, file: Path) -> Route:
    async def serve(request: Request) -> Response:
        headers = _FOR_EVER | {"Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return FileResponse(file, media_type="text/javascript", headers=headers)
        content = await asyncio.to_thread(_packed, file)
        headers["Content-Encoding"] = "gzip"
        return Response(content, media_type="text/javascript", headers=headers)

    return Route(path, serve)
