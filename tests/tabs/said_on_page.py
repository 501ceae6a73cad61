"""Kinds of data that a page may meet, and what it then says: figures, sentences, tables."""

from __future__ import annotations

import json
import math
import re
import struct

from ticks import TickBatch
from views.text import pasted_safely

NOW_MS = 1_760_000_400_000
MINUTE = 60_000
CASES = ("nothing", "one symbol", "five candles", "constant", "one is silent")
BAD = re.compile(r"\b(nan|none|inf|nat)\b", re.IGNORECASE)
BARE = re.compile(r"^\s*[–-]?\s*$")


def wave(level):
    """A price that is made of two waves alone: every test has to get by without noise."""
    return lambda i: level * (1 + 0.001 * math.sin(i / 7) + 0.0007 * math.sin(i / 3.1 + level))


def put(database, symbol, price, minutes, ago=0):
    """Ten trades a minute, the newest ``ago`` minutes before now."""
    n = minutes * 10
    times = [NOW_MS - (minutes + ago) * MINUTE + 6_000 * i for i in range(n)]
    prices = [price(i) for i in range(n)]
    makers = [i % 2 for i in range(n)]
    ids = list(range(1, n + 1))
    database.write(TickBatch("aggTrade", [symbol] * n, times, prices, [1.0] * n, ids, makers))


def fill(database, case):
    """The trades of a case."""
    if case == "one symbol":
        put(database, "btcusdt", wave(100), 130)
    elif case == "five candles":
        put(database, "btcusdt", wave(100), 5)
        put(database, "ethusdt", wave(10), 5)
    elif case == "constant":
        put(database, "btcusdt", lambda _: 100.0, 130)
        put(database, "ethusdt", lambda _: 10.0, 130)
    elif case == "one is silent":
        put(database, "btcusdt", wave(100), 190)
        put(database, "ethusdt", wave(10), 100, ago=90)


def cards_of(app):
    """Label, value and help of each figure that is a live card."""
    for component in app.get("bidi_component"):
        data = component.proto.bytes
        (length,) = struct.unpack_from("<I", data)
        for part in json.loads(data[4 : 4 + length])["parts"].values():
            for card in part["fields"].get("cards", ()):
                yield card["items"]


def figures(app):
    found = [(m.label, m.value, m.help or "") for m in app.metric]
    for items in cards_of(app):
        texts = [i for i in items if i["kind"] == "text"]
        if len(texts) > 1 and texts[0]["as"] == "label":
            lines = [run[0] for i in items if i["kind"] == "line" for run in i["runs"]]
            found.append((texts[0]["text"], texts[1]["text"], texts[0]["help"] or " ".join(lines)))
    return found


def sentences(app):
    shown = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info, *app.success]
    lines = [
        run[0] for items in cards_of(app) for i in items if i["kind"] == "line" for run in i["runs"]
    ]
    return [str(s.value) for s in shown] + lines


def assert_no_number_is_missing_without_a_reason(app, where):
    """No figure, cell or sentence is NaN or None, and each dash is explained."""
    assert not app.exception, app.exception
    for label, value, why in figures(app):
        assert not BAD.search(value), (where, label, value)
        assert not BAD.search(why), (where, label, why)
        if BARE.match(value):
            assert len(why) > 10, (where, label, why)
    text = "\n".join(sentences(app))
    assert not BAD.search(text.replace("half has none", "")), (where, text)
    for table in app.dataframe:
        frame = table.value
        empty = (frame.isna() | (frame == "–")).to_numpy().any()
        assert not empty or "– in the table:" in text, (where, list(frame.columns))
        for column in frame:
            for cell in frame[column]:
                assert pasted_safely(cell) is cell, (where, column, cell)
