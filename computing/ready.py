"""Makes a worker fit for tasks: ``dask worker … --preload computing.ready``.

A worker that has it has loaded the numerics when it joins. Without it the first task does, some
seconds in which the worker cannot beat and may be taken for frozen on a busy host.

Dask also has the C library hand memory back to the system at every opportunity. Arrays of some
hundred kilobytes that come and go by the thousand are then mapped and cleared anew each time, which
took a third of a sweep's time; the thresholds are put where the library moves them by itself.
"""

from __future__ import annotations

import ctypes
import importlib
import platform
from typing import Any

_NEEDED = (
    "computing.tasks", "quant.scan", "trading.walk_forward", "kernels.cointegration",
    "kernels.resample", "kernels.sweep",
)  # fmt: skip
# Of malloc.h, and the largest mapping threshold that glibc accepts.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MAPPED_FROM = 32 * 2**20


def dask_setup(server: Any) -> None:
    """Called by Dask before the worker joins; the nanny, which computes nothing, loads nothing."""
    if type(server).__name__ != "Nanny":
        for name in _NEEDED:
            importlib.import_module(name)
        keep_memory()


def keep_memory() -> bool:
    """Have freed memory kept for the next arrays; False where the C library is another."""
    if platform.libc_ver()[0] != "glibc":
        return False
    set_option = ctypes.CDLL(None).mallopt
    mapped = set_option(_M_MMAP_THRESHOLD, _MAPPED_FROM)
    kept = set_option(_M_TRIM_THRESHOLD, 2 * _MAPPED_FROM)
    return bool(mapped and kept)
