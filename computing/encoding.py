"""Results as text for the database, the same bytes for the same numbers on every machine."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def encoded(arrays: Arrays) -> str:
    """Named arrays of numbers as text: little-endian, C order, by name, one kind of NaN."""
    parts, shapes = [], {}
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        kind = array.dtype.newbyteorder("<")
        array = array.astype(kind, copy=False)
        if array.dtype.kind == "f" and np.isnan(array).any():
            array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
        shapes[name] = [kind.str, list(arrays[name].shape)]
        parts.append(array.tobytes())
    head = json.dumps(shapes, sort_keys=True, separators=(",", ":"))
    return f"{head}\n{base64.b64encode(b''.join(parts)).decode('ascii')}"


def decoded(text: str) -> dict[str, NDArray[Any]]:
    """The arrays of `encoded`."""
    head, _, body = text.partition("\n")
    raw, at, arrays = base64.b64decode(body), 0, {}
    for name, (kind, shape) in sorted(json.loads(head).items()):
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(raw, np.dtype(kind), count, at)
        arrays[name] = array.reshape(shape)
        at += array.nbytes
    return arrays


def result_hash(results: Iterable[tuple[str, str]]) -> str:
    """One hash of (key, encoded result), in the order of the keys: whoever computed them."""
    digest = hashlib.sha256()
    for key, body in sorted(results):
        digest.update(f"{key}\0{len(body)}\0{body}".encode())
    return digest.hexdigest()
