"""Loads what tasks need: ``dask worker … --preload computing.ready``.

A worker that has it is ready when it joins. Without it the first task loads the numerics, some
seconds in which the worker cannot beat and may be taken for frozen on a busy host.
"""

from __future__ import annotations

import importlib
from typing import Any

_NEEDED = (
    "computing.tasks", "quant.scan", "trading.walk_forward", "kernels.cointegration",
    "kernels.resample", "kernels.sweep",
)  # fmt: skip


def dask_setup(server: Any) -> None:
    """Called by Dask before the worker joins; the nanny, which computes nothing, loads nothing."""
    if type(server).__name__ != "Nanny":
        for name in _NEEDED:
            importlib.import_module(name)
