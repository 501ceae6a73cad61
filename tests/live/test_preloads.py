"""What the page names ahead: files that exist, for who opens the desk, and nothing otherwise."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit

from live import preloads
from live.assets import module_paths

STATIC = Path(streamlit.__file__).parent / "static"


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    yield
    preloads.chunks.cache_clear()
    preloads._links.cache_clear()


def headers(path: str, query: bytes, status: int = 200, kind: str = "http") -> dict[bytes, bytes]:
    """The headers with which a page of that address is answered."""
    sent: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": status, "headers": [(b"etag", b"1")]}
        await send(start)

    async def keep(message: Any) -> None:
        sent.append(message)

    async def nothing() -> Any:
        return {}

    scope = {"type": kind, "path": path, "query_string": query}
    asyncio.run(preloads.Preloading(page)(scope, nothing, keep))
    return dict(sent[0]["headers"])


def named(header: bytes) -> list[str]:
    return re.findall(r"<\.(/[^>]+)>; rel=modulepreload", header.decode())


def test_who_opens_the_desk_is_told_of_our_modules_and_of_files_that_exist():
    paths = named(headers("/", b"tab=Pair+Analytics")[b"link"])
    assert set(module_paths()) <= set(paths)
    theirs = [path for path in paths if path.startswith("/static/")]
    assert all((STATIC / path.lstrip("/")).is_file() for path in theirs)
    assert any("BidiComponent" in path for path in theirs)
    assert len(paths) == len(set(paths))
    # Its page names these itself.
    assert not [path for path in theirs if path in (STATIC / "index.html").read_text()]


def test_what_a_named_file_imports_is_named_as_well():
    paths = preloads.every_chunk()
    known = {Path(path).name for path in paths} | set(
        re.findall(r"static/js/([\w.-]+\.js)", (STATIC / "index.html").read_text())
    )
    for path in paths:
        text = (STATIC / path.lstrip("/")).read_text()
        assert set(re.findall(r'from"\./([\w.-]+\.js)"', text)) <= known


@pytest.mark.parametrize(
    ("path", "query", "status", "kind"),
    [
        ("/", b"", 200, "http"),
        ("/_stcore/health", b"tab=Data", 200, "http"),
        ("/", b"tab=Data", 304, "http"),
        ("/", b"tab=Data", 200, "websocket"),
    ],
)
def test_nothing_else_is_touched(path, query, status, kind):
    assert headers(path, query, status, kind) == {b"etag": b"1"}


def test_a_streamlit_with_other_files_leaves_our_own(tmp_path, monkeypatch):
    monkeypatch.setattr(preloads, "_CHUNKS", tmp_path / "static" / "js")
    preloads.chunks.cache_clear()
    preloads._links.cache_clear()
    assert named(headers("/app/", b"desk=open")[b"link"]) == list(module_paths())
