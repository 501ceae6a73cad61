"""What workers are made to do in the tests."""

import os
import signal
import time


def square(number, slow_s=0.0):
    """The square, after a while."""
    time.sleep(slow_s)
    return number * number


def square_or_die(number, killer):
    """The square; the killer ends its process at once, as a crash would."""
    time.sleep(0.02)
    if number == killer:
        os._exit(3)
    return number * number


def square_or_freeze(number, frozen):
    """The square; one freezes its process."""
    if number == frozen:
        os.kill(os.getpid(), signal.SIGSTOP)
    return number * number


def square_or_refuse(number, bad):
    """The square; one is refused."""
    if number == bad:
        raise ValueError("no square of that")
    return number * number


def whole_file(path):
    """Reads a file that may not be there."""
    return open(path).read()


def compiled_while(kind, folder, key):
    """How many numba functions a task compiled in this process, with its result."""
    from numba.core import event

    from computing.inputs import Files
    from computing.tasks import do

    with event.install_recorder("numba:compile") as recorder:
        body = do(Files(folder), kind, key)
    return sum(1 for _, e in recorder.buffer if e.is_start), body
