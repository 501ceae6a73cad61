"""What is started before the first browser connects, and stopped after the last."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
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


def routes() -> list[Route]:
    """What this process serves beside the page; below ``server.baseUrlPath`` as well, where set.

    The page's addresses are relative to its own, which is below that path. The bare ones stay for
    a proxy that takes the path off.
    """
    bare = [*assets.routes(), route.route(), export_files.route(), Route(READY, _ready)]
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    below = [Route(f"/{base}{r.path}", r.endpoint, methods=list(r.methods or ())) for r in bare]
    return bare + below if base else bare


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
