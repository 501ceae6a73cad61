"""The files browsers keep: packed once, and unpacked the same."""

from __future__ import annotations

import asyncio
import gzip

from starlette.requests import Request
from starlette.responses import FileResponse, Response

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
        answer = get(assets.plotly_path(), "gzip, br")
        assert answer.headers["content-encoding"] == "gzip"
        assert "immutable" in answer.headers["cache-control"]
        assert gzip.decompress(answer.body) == assets._PLOTLY.read_bytes()
    assert assets._packed.cache_info().misses == 1


def test_who_does_not_unpack_gets_the_file_as_it_is():
    answer = get(assets.module_path("hub"), "identity")
    assert isinstance(answer, FileResponse)
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"


def test_packing_ahead_leaves_nothing_to_the_first_browser():
    assets._packed.cache_clear()
    assets.pack()
    get(assets.plotly_path(), "gzip")
    assert assets._packed.cache_info().misses == 1
