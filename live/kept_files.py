"""Streamlit's own files from memory: a fresh browser asks for a hundred before it draws anything.

Each is looked up on disk and read in pieces on another thread, a millisecond and a half of the core
that the first run of the page waits for as well. They carry a hash of their content in their name
and are declared immutable, so an answer that was given once is given again as it was.
"""

from __future__ import annotations

from live.asgi import Application, Message, Receive, Send

_MOST_BYTES = 32_000_000
# What makes an answer another one for the same address.
_PARTICULAR = frozenset({b"range", b"if-none-match", b"if-modified-since"})


class KeptFiles:
    """Keeps whole answers that are declared immutable, up to 32 MB of them."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._kept: dict[str, list[Message]] = {}
        self._bytes = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if not _is_plain(scope):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        answer = self._kept.get(path)
        if answer is not None:
            start, *pieces = answer
            # What stands around this application may write into the headers.
            await send({**start, "headers": list(start["headers"])})
            for piece in pieces:
                await send(dict(piece))
            return
        told: list[Message] = []

        async def noted(message: Message) -> None:
            told.append(message)
            await send(message)

        await self._app(scope, receive, noted)
        size = sum(len(message.get("body", b"")) for message in told)
        new = path not in self._kept  # two may have asked for it at once
        if new and _may_be_kept(told, size) and self._bytes + size <= _MOST_BYTES:
            self._bytes += size
            self._kept[path] = told


def _is_plain(scope: Message) -> bool:
    """Whether this asks for a whole file of Streamlit's."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and "/static/" in scope["path"]
        and not _PARTICULAR.intersection(name for name, _ in scope["headers"])
    )


def _may_be_kept(told: list[Message], size: int) -> bool:
    """Whether this is an answer for everybody and for ever, and the whole of it.

    A visitor who leaves ends the answer anywhere: after the headers, or between two pieces.
    """
    if not told or told[0].get("status") != 200:
        return False
    headers = dict(told[0]["headers"])
    of_one_visitor = {b"vary", b"set-cookie"} & headers.keys()
    return (
        b"immutable" in headers.get(b"cache-control", b"")
        and not of_one_visitor
        and headers.get(b"content-length") == b"%d" % size
    )
