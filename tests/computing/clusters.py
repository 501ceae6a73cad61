"""A real Dask scheduler and workers, over TCP, as processes of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class DaskProcesses:
    """A scheduler and workers that can be killed and started again."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler, self.workers = None, []

    def _start(self, module, *arguments, path=()):
        number = len(list(self.folder.glob("*.log")))
        with (self.folder / f"{number}.log").open("wb") as log:
            places = [str(p) for p in (*path, ROOT, HERE)]
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"],
                env=os.environ
                | {
                    "PYTHONPATH": os.pathsep.join(places),
                    # A task that was on one worker that died is given up by Dask, and tried alone.
                    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
                },
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_scheduler(self):
        self.scheduler = self._start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port)
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError("the scheduler did not start")

    def start_worker(self, path=()):
        self.workers.append(
            self._start(
                "dask_worker", self.address, "--nthreads", "1", "--local-directory",
                str(self.folder), "--preload", "computing.ready", path=path,
            )
        )  # fmt: skip

    def ensure_two(self):
        """Two workers that run, whatever was done to those before."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < 2:
            self.start_worker()
        self.wait_for(2)

    def wait_for(self, workers, seconds=120):
        """Until so many workers are registered."""
        from distributed import Client

        with Client(self.address, timeout=20, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=seconds)

    def pid_of_worker(self, number):
        """The process that computes, below its nanny."""
        nanny = psutil.Process(self.workers[number].pid)
        return next(c.pid for c in nanny.children() if "spawn_main" in " ".join(c.cmdline()))

    def kill(self, process):
        """kill -9 of a process and what it has started."""
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait(10)

    def close(self):
        for process in (*self.workers, self.scheduler):
            if process is not None and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
