"""The files browsers keep: packed once, and unpacked the same."""

from __future__ import annotations

import asyncio
import gzip

from starlette.requests import Request
from starlette.responses import Response

from live import assets


def get(path: str, accepted: str) -> Response:
    """What a browser that accepts those encodings is answered."""
    route = next(route for route in assets.routes() if route.path == path)
    headers = [(b"accept-encoding", accepted.encode())]
    scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
    answer: Response = asyncio.run(route.endpoint(Request(scope)))
    return answer


def test_the_chart_library_travels_packed_and_is_packed_once():
    assets._packed.cache_clear()
    for _ in range(2):
        for path, content in zip(assets.plotly_paths(), contents(), strict=True):
            answer = get(path, "gzip, br")
            assert answer.headers["content-encoding"] == "gzip"
            assert "immutable" in answer.headers["cache-control"]
            assert gzip.decompress(answer.body) == content
    assert assets._packed.cache_info().misses == 2


def contents() -> tuple[bytes, bytes]:
    return assets._reduced(), assets._PLOTLY.read_bytes()


def test_who_does_not_unpack_gets_the_file_as_it_is():
    answer = get(assets.module_path("hub"), "identity")
    assert b"export function follow" in answer.body
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"


def test_packing_ahead_leaves_nothing_to_the_first_browser():
    assets._packed.cache_clear()
    assets.pack()
    get(assets.plotly_paths()[0], "gzip")
    assert assets._packed.cache_info().misses == 1
