"""Reads live messages as a browser does, written apart from what makes them."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

Parts = dict[str, dict[str, Any]]


def read(message: bytes) -> tuple[dict[str, Any], bytes]:
    """Head and the columns' bytes."""
    (length,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + length]), message[4 + length :]


def apply(message: bytes, has: Parts | None = None) -> Parts:
    """What a browser has after the message: fields and columns of every part."""
    head, floats = read(message)
    has = dict(has or {})
    for key, told in head["parts"].items():
        before = has.get(key, {"fields": {}, "columns": []}) if told["since"] else None
        columns = [
            _column(c, before["columns"][i] if before else None, floats)
            for i, c in enumerate(told["columns"])
        ]
        fields = (before["fields"] if before else {}) | told["fields"]
        has[key] = {"fields": fields, "columns": columns}
    return has


def _column(told: dict[str, Any] | None, before: Any, floats: bytes) -> np.ndarray:
    if told is None:
        return before
    if "d" in told:
        return np.frombuffer(floats, f"<{told['d']}", told["n"], told["o"])
    count = len(told["at"]) + told["n"] - told["m"]
    news = np.frombuffer(floats, before.dtype, count, told["o"])
    values = np.concatenate([before[told["k"] : told["k"] + told["m"]], news[len(told["at"]) :]])
    values[told["at"]] = news[: len(told["at"])]
    return values
