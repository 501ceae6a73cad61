"""The way on which browsers ask for what changed: ``GET /platform/live/<token>?have=<number>``.

The token is a secret of the page that was drawn, as its session is; the answer is for this origin
alone. Whatever else is asked is refused, and the page then runs as it would without this way.

Where the database tells of writes, a browser that has everything is answered when something new
has been written, by whatever host, or after a part of its interval.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import streamlit as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from errors import PlatformError
from live.feed import FEEDS

PATH = "/platform/live/"
# "Reset content": the feed is not known, or not any more, or its data cannot be read.
RUN_THE_PAGE = 205
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    # Floats hardly get shorter; compressing them costs more than sending them.
    "Content-Encoding": "identity",
}


def route() -> Route:
    """The route."""
    return Route(PATH + "{token}", answer, methods=["GET"])


async def answer(request: Request) -> Response:
    """What changed since the message the browser has, or all of it."""
    if not (_is_own_host(request) and _is_own_page(request)):
        return Response(status_code=403)
    feed = FEEDS.find(request.path_params["token"])
    if feed is None:
        return Response(status_code=RUN_THE_PAGE)
    asked = request.query_params.get("have", "0")
    have = int(asked) if asked.isdecimal() else 0
    await feed.until_news(have)
    message = feed.at_hand()
    try:
        if message is None:
            message = await asyncio.to_thread(feed.latest)
    except PlatformError:
        # The page's own run says what is wrong, in a sentence.
        return Response(status_code=RUN_THE_PAGE)
    content = feed.answer(message, have)
    return Response(content, media_type="application/octet-stream", headers=_HEADERS)


def _is_own_host(request: Request) -> bool:
    """Whether the Host is one this server answers to, as for the page's own connection."""
    allowed = st.get_option("server.allowedHosts") or ["*"]
    name = (urlsplit(f"//{request.headers.get('host', '')}").hostname or "").rstrip(".")
    return any(
        pattern == "*"
        or name == pattern.lower().rstrip(".")
        or (pattern.startswith("*.") and name.endswith(pattern[1:].lower()))
        for pattern in allowed
    )


def _is_own_page(request: Request) -> bool:
    """Whether the request comes from a page of this origin, as browsers say of themselves."""
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
