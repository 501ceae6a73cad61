"""The page below a path of its own, as behind a proxy that leaves the path on."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import Server, start_server, stop_server


@pytest.fixture(scope="module")
def server_below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The demo market at /desk/."""
    server = start_server(
        tmp_path_factory.mktemp("below"), "demo",
        BACKFILL_MINUTES="60", STREAMLIT_SERVER_BASE_URL_PATH="desk",
    )  # fmt: skip
    yield server
    stop_server(server)


@pytest.mark.parametrize("address", ["/?tab=Dashboard", "?tab=Dashboard"])
def test_below_a_base_path_charts_are_drawn_and_follow(visit, server_below, address):
    seen, answers = visit(server_below), []
    seen.page.on("response", lambda answer: answers.append(answer))
    seen.page.goto(server_below.url + address)
    seen.start()
    seen.charts("dashboard-pair").first.wait_for(timeout=150_000)
    draws = int(seen.state("dashboard-pair")["draws"])
    while int(seen.state("dashboard-pair")["draws"]) < draws + 3:
        seen.page.wait_for_timeout(200)
    ours = [a for a in answers if "/platform/" in a.url]
    paths = {urlsplit(a.url).path for a in ours}
    assert all(path.startswith("/desk/platform/") for path in paths), paths
    wrong = [a.url for a in ours if "text/html" in a.headers.get("content-type", "")]
    assert wrong == []
    followed = [a.status for a in ours if "/platform/live/" in a.url]
    assert followed.count(200) >= 3, followed
