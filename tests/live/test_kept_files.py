"""Streamlit's own files are read once, and only what may be kept is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from live.kept_files import KeptFiles

FOR_EVER = [(b"cache-control", b"public, immutable, max-age=31536000")]


class Files:
    """An application that answers in two pieces and counts how often it was asked."""

    def __init__(self, status: int = 200, headers: Any = FOR_EVER) -> None:
        self.asked = 0
        self.status, self.headers = status, headers
        self.pieces = 2

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        path = scope["path"].encode()
        headers = [*self.headers, (b"content-length", b"%d" % len(b"one " + path))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if self.pieces > 0:
            await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        if self.pieces > 1:
            await send({"type": "http.response.body", "body": path})


def ask(
    app: Any, path: str = "/static/js/a.hash.js", method: str = "GET", headers: Any = ()
) -> Any:
    """Status and body of an answer."""
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    asyncio.run(app(scope, None, send))
    return told[0]["status"], b"".join(message.get("body", b"") for message in told)


def test_a_file_that_never_changes_is_read_once_and_answered_the_same():
    files = Files()
    app = KeptFiles(files)
    first = ask(app)
    assert first == (200, b"one /static/js/a.hash.js")
    assert ask(app) == first
    assert files.asked == 1
    assert ask(app, "/base/static/js/b.hash.js")[1] == b"one /base/static/js/b.hash.js"


@pytest.mark.parametrize(
    "files",
    [
        Files(404),
        Files(206),
        Files(headers=[(b"cache-control", b"no-cache")]),
        Files(headers=[*FOR_EVER, (b"set-cookie", b"who=me")]),
        Files(headers=[*FOR_EVER, (b"vary", b"Accept-Encoding")]),
    ],
)
def test_what_may_be_another_answer_next_time_is_asked_for_again(files):
    app = KeptFiles(files)
    for _ in range(3):
        ask(app)
    assert files.asked == 3


@pytest.mark.parametrize("pieces", [0, 1])
def test_an_answer_that_a_visitor_left_before_its_end_is_not_given_to_the_next(pieces):
    files = Files()
    app = KeptFiles(files)
    files.pieces = pieces
    ask(app)
    files.pieces = 2
    assert ask(app) == (200, b"one /static/js/a.hash.js")


def test_what_is_written_into_an_answer_on_its_way_does_not_reach_the_next_one():
    app = KeptFiles(Files())
    ask(app)

    async def writing(message: Any) -> None:
        if "headers" in message:
            message["headers"].append((b"content-encoding", b"gzip"))
        message["body"] = b"?"

    scope = {"type": "http", "method": "GET", "path": "/static/js/a.hash.js", "headers": []}
    asyncio.run(app(scope, None, writing))  # type: ignore[arg-type]
    assert ask(app) == (200, b"one /static/js/a.hash.js")


@pytest.mark.parametrize(
    "how",
    [
        {"method": "HEAD"},
        {"path": "/platform/live/token"},
        {"headers": [(b"range", b"bytes=0-10")]},
        {"headers": [(b"if-none-match", b"etag")]},
    ],
)
def test_what_asks_for_something_else_than_the_whole_file_is_passed_on(how):
    files = Files()
    app = KeptFiles(files)
    ask(app)
    for _ in range(2):
        ask(app, **how)
    assert files.asked == 3


def test_no_more_is_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr("live.kept_files._MOST_BYTES", 30)
    files = Files()
    app = KeptFiles(files)
    for _ in range(2):
        for name in ("a", "b"):
            ask(app, f"/static/js/{name}.hash.js")
    assert files.asked == 3
