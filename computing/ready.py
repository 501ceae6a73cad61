"""Loads what tasks need: ``dask worker … --preload computing.ready``.

A worker that has it is ready when it joins. Without it the first task loads the numerics, some
seconds in which the worker cannot beat and may be taken for frozen on a busy host.
"""

from __future__ import annotations

import computing.tasks  # noqa: F401
import quant.scan  # noqa: F401
import trading.walk_forward  # noqa: F401
from kernels import cointegration, resample, sweep, unitroot  # noqa: F401
