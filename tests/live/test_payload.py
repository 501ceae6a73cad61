"""A figure as a message: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from live import assets
from live.payload import pack


def decoded(column: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(column["b"]), dtype=f"<{column['d']}")


@pytest.fixture
def figure() -> dict:
    times = np.array([1_700_000_000_123, 1_700_000_060_123], dtype=np.int64)
    prices = np.array([60_000.123456, np.nan])
    return {
        "data": [
            {"type": "candlestick", "x": times, "close": prices, "open": prices},
            {"type": "scatter", "x": times, "y": np.array([0.5, 1.5]), "name": "<b>"},
        ],
        "layout": {"shapes": [{"x0": np.int64(3)}], "height": 10},
    }


def test_times_and_prices_arrive_exactly(figure):
    message = json.loads(json.dumps(pack(figure)))
    columns = message["columns"]
    close = decoded(columns[message["data"][0]["close"]["$"]])
    np.testing.assert_array_equal(close, figure["data"][0]["close"])
    x = columns[message["data"][0]["x"]["$"]]
    assert x["t"] == 1
    np.testing.assert_array_equal(decoded(x), figure["data"][0]["x"])


def test_a_column_used_twice_is_sent_once(figure):
    message = pack(figure)
    assert len(message["columns"]) == 3
    assert message["data"][0]["x"] == message["data"][1]["x"]
    assert message["data"][0]["open"] == message["data"][0]["close"]


def test_numbers_of_numpy_become_plain(figure):
    assert json.dumps(pack(figure)["layout"]) == '{"shapes": [{"x0": 3}], "height": 10}'


def test_the_chart_library_and_its_host_are_served_from_here():
    paths = [route.path for route in assets.routes()]
    assert assets.plotly_path() in paths
    assert all(path.startswith("/platform/") for path in paths)
