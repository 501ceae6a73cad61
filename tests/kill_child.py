"""A process that starts collectors to be killed, without importing everything for each anew.

It reads ``go`` lines; for each it starts a process that collects and says what it was told is
stored, prints that process's ``pid``, and says ``gone`` once it has ended. Where there is no
``fork`` (Windows) each is started from scratch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from collector import BatchTickCollector
from database import Database
from tests.feed_tools import QUICK
from ticks import TickBatch


def collect(path: str, ws_base: str, rest_base: str, symbols: str) -> None:
    """Collect until killed."""

    def acknowledge(batch: TickBatch) -> None:
        for symbol, number in dict(zip(batch.symbol, batch.trade_id, strict=True)).items():
            os.write(1, f"{symbol} {number}\n".encode())

    collector = BatchTickCollector(
        Database(path),
        ws_base=ws_base,
        rest_base=rest_base,
        backfill_minutes=1,
        deadlines=QUICK,
    )
    collector.on_batch(acknowledge)
    collector.start(symbols)
    time.sleep(60)


def serve(arguments: list[str]) -> None:
    """Start a collector for each line until there are no more."""
    os.write(1, b"ready\n")
    for _ in sys.stdin:
        if hasattr(os, "fork"):
            pid = os.fork()
            if pid == 0:
                collect(*arguments)
                os._exit(0)
            os.write(1, f"pid {pid}\n".encode())
            os.waitpid(pid, 0)
        else:
            command = [sys.executable, "-m", "tests.kill_child", *arguments, "--one"]
            with subprocess.Popen(command) as child:
                os.write(1, f"pid {child.pid}\n".encode())
        os.write(1, b"gone\n")


if __name__ == "__main__":
    if sys.argv[-1] == "--one":
        collect(*sys.argv[1:-1])
    else:
        serve(sys.argv[1:])
