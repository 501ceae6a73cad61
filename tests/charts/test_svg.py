"""Figures drawn without a library: well-formed, at the right place, names as text."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from charts import pair, svg
from charts.style import USUAL

MINUTE = 60_000
TIMES = 1_700_000_040_000 + MINUTE * np.arange(200, dtype=np.int64)


def figure(name='BTC <b> & "co"', **more):
    spread = np.sin(np.arange(200) / 9.0)
    spread[50:60] = np.nan
    return pair.spread_and_zscore(
        TIMES, spread, spread * 2, USUAL, entry_th=2.0, exit_th=0.0,
        bands=(spread - 1, spread + 1), rebased=[(name, spread), ("ETH", -spread)],
        gaps=[(int(TIMES[20]), int(TIMES[30]))],
        signals=pair.Signals(TIMES[[5, 80]], np.array([2.0, 0.0]), np.array([1, 0], dtype=np.int8)),
        **more,
    )  # fmt: skip


def parsed(text):
    return ET.fromstring(text)


def test_the_drawing_is_well_formed_and_says_what_it_is():
    root = parsed(svg.render(figure(), 600, 'x "quoted" <alt>'))
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'x "quoted" <alt>'
    texts = [t.text for t in root.iter("text")]
    assert any('BTC <b> & "co"' in t for t in texts), "a name is shown as it is"
    assert {"Spread", "Z-score"} <= set(texts)
    assert any(":" in t for t in texts), "the time axis has times"


def test_a_hole_in_a_line_stays_a_hole():
    root = parsed(svg.render(figure(), 600, "x"))
    spread = [p for p in root.iter("polyline") if p.get("stroke") == USUAL.lines[0]]
    assert len(spread) == 4  # two lines of that colour, each cut once


def test_points_lie_where_their_values_are():
    x, y = np.array([0.0, 10.0]), np.array([0.0, 100.0])
    root = parsed(
        svg.render(pair.scatter_with_fit(x, y, np.array([0.0, 1.0]), (x, y), USUAL,
                                         x_title="X", y_title="Y"), 400, "x")
    )  # fmt: skip
    low, high = list(root.iter("circle"))
    assert float(low.get("cx")) < float(high.get("cx"))
    assert float(low.get("cy")) > float(high.get("cy"))
    assert low.get("fill") == "#33415f"
    assert high.get("fill") == USUAL.lines[0]


def test_everything_lies_within_the_drawing():
    root = parsed(
        svg.render(figure(forming=(int(TIMES[-1]), int(TIMES[-1]) + 10 * MINUTE)), 600, "x")
    )
    for rect in root.iter("rect"):
        assert float(rect.get("x")) >= 0
        assert float(rect.get("x")) + float(rect.get("width")) <= svg.WIDTH
    for polyline in root.iter("polyline"):
        for point in polyline.get("points").split():
            assert 0 <= float(point.split(",")[0]) <= svg.WIDTH
            assert 0 <= float(point.split(",")[1]) <= 600


@pytest.mark.parametrize("value", [np.zeros(3), np.full(3, np.nan)])
def test_flat_and_unknown_lines_are_drawn_without_an_error(value):
    at = TIMES[:3]
    drawn = svg.render(
        pair.spread_and_zscore(at, value, value, USUAL, entry_th=2.0, exit_th=0.0), 300, "x"
    )
    parsed(drawn)
    empty = pair.spread_and_zscore(at[:0], value[:0], value[:0], USUAL, entry_th=2.0, exit_th=0.0)
    assert "nothing to draw" in svg.render(empty, 300, "x")
