"""``python -m database``: move everything between databases, archive old days, watch for news."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from database import Database
from errors import PlatformError
from storage import address
from storage.archive import ArchivedDay, archive_days
from storage.copying import Step, copy

_BAR = 24
_WATCH_S = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except PlatformError as problem:
        print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m database", description="Tools for what the platform has stored."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    one = commands.add_parser(
        "copy",
        help="everything from one database into an empty one, on any engine",
        description="Copies ticks, candles, gaps, books, alerts, settings and saved runs. Broken "
        "off, the same command goes on where it was, if nothing was written to the source "
        "meanwhile. What collects into either has to be stopped.",
    )
    one.add_argument("--from", dest="source", required=True, help="sqlite:///file or postgresql://")
    one.add_argument("--to", dest="target", required=True, help="the same, empty")
    one.add_argument(
        "--afresh", action="store_true",
        help="delete what an unfinished copy of the same source has left there, and begin anew",
    )  # fmt: skip
    one.set_defaults(run=_copy)
    one = commands.add_parser(
        "archive",
        help="old days of ticks into Parquet files",
        description="Writes each whole day of ticks to ticks_YYYY-MM-DD.parquet; deletes nothing.",
    )
    one.add_argument("--before", required=True, type=_day, help="first day not to be archived")
    one.add_argument("--to", dest="folder", required=True, type=Path, help="folder of the files")
    one.add_argument("--from", dest="source", help="database (default: that of the settings)")
    one.set_defaults(run=_archive)
    one = commands.add_parser("watch", help="a line whenever market data have been written")
    one.add_argument("--from", dest="source", help="database (default: that of the settings)")
    one.set_defaults(run=_watch)
    return parser


def _day(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day like 2026-01-31") from None


def place(text: str | None) -> str | Path | None:
    """``sqlite:///relative``, ``sqlite:////absolute``, a file name or ``postgresql://…``."""
    if text is None or address.is_address(text):
        return text
    return Path(text.removeprefix("sqlite:///"))


def _copy(arguments: argparse.Namespace) -> int:
    show = Progress()
    with (
        Database(place(arguments.source), read_only=True) as source,
        Database(place(arguments.target)) as target,
    ):
        counts = copy(source, target, show, afresh=arguments.afresh)
        show.end()
        for count in counts:
            if count.source:
                print(f"{count.table:<14}{count.source:>16,} = {count.target:,}")
        print(f"{source.name} is in {target.name}, every count the same.")
    return 0


class Progress:
    """One line that is written over on a terminal, and a line now and then in a log."""

    def __init__(self) -> None:
        self._begun_s = self._shown_s = time.monotonic()
        self._first: int | None = None
        self._live = sys.stderr.isatty()

    def __call__(self, step: Step) -> None:
        """Show a step."""
        now_s = time.monotonic()
        if self._first is None:
            self._first = step.all_done
        if now_s - self._shown_s < (0.1 if self._live else 5.0):
            return
        self._shown_s = now_s
        share = step.all_done / max(1, step.all_total)
        rate = (step.all_done - self._first) / max(1e-9, now_s - self._begun_s)
        left_s = (step.all_total - step.all_done) / rate if rate else 0.0
        bar = "#" * int(share * _BAR)
        line = (
            f"[{bar:.<{_BAR}}] {share:5.1%}  {step.table}: {step.done:,} of {step.total:,}  "
            f"{rate:,.0f} rows/s  {left_s:,.0f} s left"
        )
        print(f"\r{line:<110}" if self._live else line, end="" if self._live else "\n",
              file=sys.stderr, flush=True)  # fmt: skip

    def end(self) -> None:
        """Leave the line."""
        if self._live:
            print(file=sys.stderr)


def _archive(arguments: argparse.Namespace) -> int:
    def show(day: ArchivedDay) -> None:
        print(f"{day.path}: {day.ticks:,} ticks", flush=True)

    with Database(place(arguments.source), read_only=True) as database:
        # Today is not a whole day yet.
        before_ms = min(arguments.before, time.time_ns() // 1_000_000)
        days = archive_days(database, before_ms, arguments.folder, show)
    if not days:
        print("There is no whole day of ticks before that.")
    return 0


def _watch(arguments: argparse.Namespace) -> int:
    with Database(place(arguments.source), read_only=True) as database:
        seen = database.wait_for_change(-1, 0.0)
        while True:
            version = database.wait_for_change(seen, _WATCH_S)
            if version != seen:
                print(f"{datetime.now(UTC):%H:%M:%S.%f} data version {version:,}", flush=True)
                seen = version
