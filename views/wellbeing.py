"""The Health page: the collector's own account, as tables and figures."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

from storage.snapshot import Snapshot
from views.text import DASH, duration, moment, number

try:
    import resource
except ModuleNotFoundError:  # Windows has none
    resource = None  # type: ignore[assignment]


Fact = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class HealthView:
    """Figures and tables of one moment; ``facts`` are label, value and explanation."""

    version: int
    facts: tuple[tuple[str, str, str], ...]
    streams: pd.DataFrame
    drops: pd.DataFrame
    gaps: pd.DataFrame
    lag: pd.DataFrame
    last_ms: int | None
    desk: tuple[tuple[str, str, str], ...] = ()
    desk_state: str = ""


def read_health(
    snapshot: Snapshot, report: Mapping[str, Any], data_size: int, log_size: int | None
) -> HealthView:
    """What the collector reports and what the database says of itself."""
    lag = report.get("lag_ms") or {}
    last = [snapshot.last_print(s.symbol)[1] for s in snapshot.symbols()]
    desk, stored_ms = snapshot.get("health", "desk") or ({}, None)
    return HealthView(
        version=snapshot.version,
        facts=_explained(
            _facts(report, lag, data_size, log_size),
            "Not measured yet." if report else "Nothing is collected: press Start.",
        ),
        streams=_streams(report.get("streams") or {}),
        drops=pd.DataFrame(
            sorted((report.get("drops") or {}).items()), columns=["reason", "messages"]
        ),
        gaps=_gaps(snapshot),
        lag=_lag_table(lag),
        last_ms=max((t for t in last if t is not None), default=None),
        desk=_explained(
            _desk_facts(desk), "The desk has not reported: it works while the feed runs."
        ),
        desk_state=_desk_state(desk, stored_ms, running=bool(report)),
    )


def _explained(facts: tuple[Fact, ...], why: str) -> tuple[Fact, ...]:
    """The facts, those without a value with the reason before the explanation."""
    return tuple(
        (label, value, f"{why} {text}" if value == DASH else text) for label, value, text in facts
    )


def _desk_state(desk: Mapping[str, Any], stored_ms: int | None, *, running: bool) -> str:
    """What the desk does, in a sentence."""
    if not desk or stored_ms is None:
        return "The desk has not reported yet: it works while the feed runs."
    if not running:
        return f"At rest since the feed was stopped; last reported {moment(stored_ms)}."
    if desk.get("trouble"):
        return f"The desk has trouble: {desk['trouble']}"
    channels = "; ".join(desk.get("channels") or ()) or "the page alone"
    return f"Working beside the collector. Alerts go to {channels}."


def _desk_facts(desk: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """The desk's own account of itself; a dash where it has not reported."""

    def count(name: str) -> str:
        return f"{desk[name]:,}" if desk.get(name) is not None else DASH

    return (
        ("Prints seen", count("prints"), "Since Start, by paper orders and alert rules."),
        (
            "Late prints",
            count("late_prints"),
            "Filled in behind the live edge: they fill no order and fire no alert.",
        ),
        ("Accounts", count("accounts"), "Paper accounts in use."),
        ("Fills", count("fills"), "Since Start."),
        ("Rules", count("rules"), "Alert rules watched."),
        ("Alerts", count("alerts"), "Fired since Start."),
        ("Auto pairs", count("auto_pairs"), "Pairs in auto mode."),
        ("Turn, 99 %", duration(desk.get("turn_ms_p99")), "Time of one look at the tape."),
        (
            "Stored to done, 99 %",
            duration(desk.get("stored_to_done_ms_p99")),
            "From a print's storing to what it caused being stored.",
        ),
    )


def _facts(
    report: Mapping[str, Any], lag: Mapping[str, Any], data_size: int, log_size: int | None
) -> tuple[tuple[str, str, str], ...]:
    queue = report.get("queue") or {}
    writer = report.get("writer_ms") or {}
    running = bool(report)
    return (
        ("Rate", _per_second(report.get("ticks_per_s")), "Ticks stored a second."),
        ("Ticks", f"{report.get('ticks', 0):,}" if running else DASH, "Since Start."),
        ("Duplicates", f"{report.get('duplicates', 0):,}" if running else DASH, "Changed nothing."),
        ("Lag, median", duration(lag.get("p50")), "Receive time minus event time."),
        ("Lag, 95 %", duration(lag.get("p95")), "Receive time minus event time."),
        ("Reconnects", f"{report.get('reconnects', 0):,}" if running else DASH, "Since Start."),
        ("Connections", f"{report.get('connections', 0):,}" if running else DASH, "Sockets open."),
        (
            "Queue",
            f"{queue['depth']:,} of {queue['bound']:,}" if queue else DASH,
            "Ticks that wait between socket and writer.",
        ),
        ("Writer, median", duration(writer.get("p50")), "Time of one write."),
        ("Writer, 99 %", duration(writer.get("p99")), "Time of one write."),
        ("REST weight", f"{report.get('used_weight', 0):,}" if running else DASH, "Of the minute."),
        ("Database", f"{data_size / 1e6:,.1f} MB", "Tables and indexes."),
        (
            "Write-ahead log",
            DASH if log_size is None else f"{log_size / 1e6:,.1f} MB",
            "Beside the file; a PostgreSQL server has one for all its databases.",
        ),
        ("Memory", _memory(), "The most this process has held."),
    )


def _per_second(rate: float | None) -> str:
    return DASH if rate is None else f"{number(rate, 1)} /s"


def _lag_table(lag: Mapping[str, Any]) -> pd.DataFrame:
    """How many trades arrived how late: the histogram's bins in words, in order."""
    edges, counts = lag.get("edges_ms") or [], lag.get("counts") or []
    if not sum(counts):
        return pd.DataFrame(columns=["lag", "trades"])
    names = [f"below {duration(edges[0])}"]
    names += [f"{duration(a)} to {duration(b)}" for a, b in pairwise(edges)]
    names.append(f"above {duration(edges[-1])}")
    return pd.DataFrame({"lag": names, "trades": counts})


def _memory() -> str:
    if resource is None:
        return DASH
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in kilobytes, macOS in bytes.
    return f"{used / (1e6 if sys.platform == 'darwin' else 1e3):,.0f} MB"


def _streams(streams: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    rows = [{"symbol": name.upper(), **dict(body)} for name, body in streams.items()]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["symbol", "state"])


def _gaps(snapshot: Snapshot) -> pd.DataFrame:
    counts: dict[tuple[str, str], list[int]] = {}
    for gap in snapshot.gaps(limit=10_000):
        entry = counts.setdefault((gap.symbol.upper(), gap.state.replace("_", " ")), [0, 0])
        entry[0] += 1
        entry[1] += gap.size
    rows = [(*key, *value) for key, value in sorted(counts.items())]
    return pd.DataFrame(rows, columns=["symbol", "state", "gaps", "ids"])
