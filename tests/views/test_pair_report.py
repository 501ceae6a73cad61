"""A pair's report: everything on one page, nothing from elsewhere, names as text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from database import Database
from simulator.prices import EPOCH_MS, PlantedTape
from ticks import TickBatch
from views import pair_page, warm
from views.pair import PairOptions
from views.pair_report import pair_report

END_MS = EPOCH_MS + 20 * 86_400_000
OPTIONS = PairOptions("btcusdt", "ethusdt", "1min")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Two hours and a half of the demo market, as the page shows them."""
    warm.begin()
    warm.wait_until_complete()
    tape = PlantedTape()
    with Database(tmp_path_factory.mktemp("report") / "r.db") as database:
        for symbol in ("btcusdt", "ethusdt"):
            t = tape.trades_between(symbol, END_MS - 150 * 60_000, END_MS)
            columns = (t.time_ms, t.price, t.quantity, t.id, t.is_buyer_maker)
            database.write(TickBatch("aggTrade", [symbol] * len(t), *(c.tolist() for c in columns)))
        with database.snapshot() as snapshot:
            return pair_page.read_pair_page(snapshot, OPTIONS, END_MS)


@pytest.fixture(scope="module")
def text(shown):
    return pair_report(shown, pair_page.study_at_once(shown.state), "demo", END_MS)


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_it_needs_nothing_else_and_may_ask_for_nothing(text):
    tags = Tags(text).found
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    for _, attributes in tags:
        assert not {"src", "href"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in text
    assert "default-src 'none'" in text
    assert len(re.findall("<svg ", text)) == 3


def test_it_says_what_is_simulated_how_much_is_covered_and_what_was_chosen(text):
    assert "SIMULATED DATA: the demo market" in text
    assert "Coverage of BTCUSDT" in text
    assert re.search(r"(100\.00|99\.\d\d) % of the span is covered by stored trades", text)
    assert "in sample" in text
    assert "entry ±2, exit 0" in text


def test_every_test_has_its_null_hypothesis_and_every_estimate_an_interval(shown, text):
    study = pair_page.study_at_once(shown.state)
    for finding in study.findings:
        assert finding.null
        assert finding.name in text.replace("&#x27;", "'")
    assert text.count("95 % interval") >= 4
    assert "Fisher" in text


def test_names_are_text_whatever_they_hold(shown):
    hostile = '<img src=x onerror="alert(1)">'
    state = replace(shown.state, options=replace(OPTIONS, y=hostile))
    page = replace(shown, state=state, coverage={hostile: None}, signal_note=hostile)
    text = pair_report(page, None, "live", END_MS)
    assert "<img" not in text.lower()
    assert "&lt;img" in text.lower()
    assert "Binance USD-M futures" in text


def test_without_a_study_it_says_so_instead_of_showing_nothing(shown):
    text = pair_report(replace(shown, ratio=None), None, "replay", END_MS)
    assert "The tests were not made yet" in text
    assert "needs more closed candles" in text
