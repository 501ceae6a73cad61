"""The array types of the kernels' signatures.

pandas 3 hands out read-only views, and a kernel without a signature is compiled once more for
them; a signature that says read-only takes both kinds.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

F1 = types.Array(types.float64, 1, "C", readonly=True)
F2 = types.Array(types.float64, 2, "C", readonly=True)
I1 = types.Array(types.int64, 1, "C", readonly=True)
F1W = types.Array(types.float64, 1, "C")
F2W = types.Array(types.float64, 2, "C")
I1W = types.Array(types.int64, 1, "C")
f8 = types.float64
i8 = types.int64
b1 = types.boolean
