"""Fault scripts, ready to be handed to an exchange."""

from __future__ import annotations

from simulator.faults import (
    Burst,
    Close,
    Disorder,
    Drop,
    Duplicates,
    Fault,
    Garbage,
    HalfOpen,
    LifetimeEnd,
    OddValues,
    PartialFrame,
    Refuse,
    RestFault,
    SilentStream,
    Stall,
    Step,
)

HARMLESS: tuple[Fault, ...] = (
    Garbage(),
    OddValues(),
    OddValues(replace=True),
    Duplicates(),
    Disorder(),
    Burst(seconds=1.0, repeat=3),
    Stall(seconds=1.0),
    Stall(seconds=1.0, mid_frame=True),
)
"""The connection survives these."""

FATAL: tuple[Fault, ...] = (
    Drop(),
    Close(1001),
    Close(1006),
    Close(1008, "Too many requests"),
    PartialFrame(),
    LifetimeEnd(grace_s=0.5),
    Refuse(503),
    Refuse(429, retry_after_s=1),
    RestFault(503, count=2, path="aggTrades"),
    RestFault(429, retry_after_s=1, path="aggTrades"),
)
"""The connection ends, or repairs are refused for a while."""

PATIENCE: tuple[Fault, ...] = (
    SilentStream(),
    HalfOpen(),
    Stall(),
    Stall(mid_frame=True),
    Refuse(451),
)
"""These are found only by waiting: by a deadline, a watchdog or a long back-off."""

ALL: tuple[Fault, ...] = HARMLESS + FATAL + PATIENCE
"""Every kind of fault, the quick ones first."""


def in_a_row(
    faults: tuple[Fault, ...] = ALL, first: int = 200, every: int = 300
) -> tuple[Step, ...]:
    """A script that lets `faults` happen one after another.

    Parameters
    ----------
    faults : tuple of Fault
        What happens.
    first, every : int
        Delivered events before the first one, and between two.
    """
    return tuple(Step(first + every * k, fault) for k, fault in enumerate(faults))
