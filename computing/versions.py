"""What a process computes with: two that differ need not give the same results."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = ("numpy", "scipy", "pandas", "numba", "joblib", "cloudpickle", "dask", "distributed")
_ROOT = Path(__file__).resolve().parents[1]
# Where the numbers are made, and how they travel.
_CODE = ("kernels", "quant", "trading", "computing", "errors.py", "candles.py")


@cache
def stamp() -> dict[str, str]:
    """Python, the packages that matter, and a fingerprint of the platform's own code."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found | {"the platform's code": _fingerprint()}


def difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """What differs, in words; empty where nothing does that matters."""
    parts = []
    for name, version in ours.items():
        other = theirs.get(name, "none")
        if name == "Python":
            if version.split(".")[:2] != other.split(".")[:2]:
                parts.append(f"Python {other} (here {version})")
        elif other != version:
            parts.append(f"{name} {other} (here {version})")
    return ", ".join(parts)


def _fingerprint() -> str:
    """The first digits of a hash over the code that makes the numbers."""
    digest = hashlib.sha256()
    for name in _CODE:
        place = _ROOT / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(_ROOT).as_posix().encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:8]
