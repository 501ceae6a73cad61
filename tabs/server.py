"""What is started before the first browser connects, and stopped after the last."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from live import assets, kept_files, preloads, route
from runtime import get_runtime
from tabs import export_files, log_tail
from views import warm

READY = "/platform/ready"
_FREEZE_AFTER_S = 20.0


def routes() -> list[Any]:
    """What this process serves beside the page."""
    return [*assets.routes(), route.route(), export_files.route(), Route(READY, _ready)]


async def _ready(_: Request) -> Response:
    """Whether everything answers at once, for who starts or measures this process."""
    warmed = warm.is_complete()
    return PlainTextResponse("ready" if warmed else "warming up", 200 if warmed else 503)


def middleware() -> list[Middleware]:
    """What every request passes through first."""
    return [Middleware(kept_files.KeptFiles), Middleware(preloads.Preloading)]


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[dict[str, Any]]:
    """The runtime lives as long as the server; on SIGTERM and SIGINT it writes all it has."""
    log_tail.keep()
    runtime = get_runtime()
    warm.begin()
    freezing = asyncio.create_task(_freeze_when_loaded())
    try:
        yield {}
    finally:
        freezing.cancel()
        await asyncio.to_thread(runtime.close)


async def _freeze_when_loaded() -> None:
    """Take what was loaded out of the garbage collector's sight, and again what came later.

    A collection that walks the libraries' hundred thousands of objects holds every page up.
    """
    await asyncio.to_thread(assets.pack)
    await asyncio.to_thread(warm.wait, _FREEZE_AFTER_S)
    _freeze()
    await asyncio.to_thread(warm.wait_until_complete)
    _freeze()


def _freeze() -> None:
    gc.collect()
    gc.freeze()
