"""The way browsers ask: known tokens, this origin and this host alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.responses import Response

from errors import DatabaseError
from live import route
from live.feed import FEEDS, Made
from tests.live.messages import apply, read


def made() -> Made:
    return Made(None, {"text": {"words": "seen"}}, ((), ()))


def get(token: str, have: str | None = None, **headers: str) -> Response:
    """Ask as a browser on this machine does, some headers being others."""
    sent = {"host": "localhost:8501", "sec-fetch-site": "same-origin"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "method": "GET",
        "path": route.PATH + token,
        "path_params": {"token": token},
        "query_string": b"" if have is None else urlencode({"have": have}).encode(),
        "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
    }
    return asyncio.run(route.answer(Request(scope)))


@pytest.fixture(autouse=True)
def no_feeds() -> Iterator[None]:
    FEEDS.clear()
    yield
    FEEDS.clear()


def test_a_known_token_is_answered_and_nothing_of_it_is_stored():
    feed = FEEDS.follow("a", made, 1.0)
    answer = get(feed.token)
    assert answer.status_code == 200
    assert apply(answer.body)["text"]["fields"]["words"] == "seen"
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers


def test_what_is_known_already_is_not_sent_again():
    feed = FEEDS.follow("a", made, 100.0)
    seq = read(get(feed.token).body)[0]["seq"]
    again = read(get(feed.token, str(seq)).body)[0]
    assert again["parts"] == {}


@pytest.mark.parametrize("have", ["-1", "abc", "9" * 40, "1.5", ""])
def test_a_number_that_is_none_gets_the_whole(have):
    feed = FEEDS.follow("a", made, 1.0)
    answer = get(feed.token, have)
    assert read(answer.body)[0]["from"] == 0


def test_an_unknown_token_says_nothing_and_sends_the_browser_to_the_page():
    answer = get("guessed")
    assert (answer.status_code, answer.body) == (route.RUN_THE_PAGE, b"")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_origin_is_refused(site):
    feed = FEEDS.follow("a", made, 1.0)
    answer = get(feed.token, sec_fetch_site=site)
    assert (answer.status_code, answer.body) == (403, b"")


def test_another_host_is_refused(monkeypatch):
    monkeypatch.setattr(route.st, "get_option", lambda _: ["localhost", "*.desk.example"])
    feed = FEEDS.follow("a", made, 1.0)
    asked = {
        host: get(feed.token, host=host).status_code
        for host in ("localhost:8501", "evil.example", "a.desk.example", "desk.example.evil", "")
    }
    assert asked == {
        "localhost:8501": 200, "evil.example": 403, "a.desk.example": 200,
        "desk.example.evil": 403, "": 403,
    }  # fmt: skip


def test_data_that_cannot_be_read_send_the_browser_to_the_page():
    def broken() -> Made:
        raise DatabaseError("The disk is full.")

    feed = FEEDS.follow("a", broken, 1.0)
    assert get(feed.token).status_code == route.RUN_THE_PAGE
