"""``python -m kernels [MODULE ...]``: compile kernels into the cache on disk, all by default.

Compiling holds a process up for seconds; done here, in a process of its own, it keeps nobody
waiting: whoever needs a kernel afterwards loads it from the cache in milliseconds. Kernels with
written signatures compile when their module is imported; the few without compile when they are
first called, which takes their callers and is left to them.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from collections.abc import Sequence

import kernels


def main(names: Sequence[str]) -> int:
    """Import the named modules of the package; 0."""
    every = [m.name for m in pkgutil.iter_modules(kernels.__path__) if m.name != "__main__"]
    for name in names or every:
        begin = time.perf_counter()
        importlib.import_module(f"kernels.{name}")
        print(f"{name}: {time.perf_counter() - begin:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
