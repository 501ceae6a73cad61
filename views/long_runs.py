"""Long computations for the page: what is asked as a job, what came of one, and the list of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from candles import timeframe_ms
from config import Config
from database import Database
from storage import job_store
from storage.job_store import JobRow
from storage.snapshot import Snapshot
from trading.ask import BacktestAsk
from views import luck
from views.backtests import BacktestInput, sweep_view, walk_view
from views.scan import ScanOptions, ScanView, Universe
from views.text import moment

Told = Callable[[float, str], None]

_STATES = {
    "running": "running",
    "stopped": "stopped, can be resumed",
    "done": "done",
    "failed": "done but for tasks that failed",
}
_KINDS = {"scan": "Full scan", "sweep": "Sweep", "walk_forward": "Walk-forward"}
_FORM = {
    "timeframe": "Candles", "limit": "How many", "entry_th": "Entry z", "exit_th": "Exit z",
    "z_window": "z window", "hedge": "Hedge", "hedge_window": "Hedge window", "fill": "Fills",
    "equity": "Equity", "size_by": "Size by", "amount": "Amount", "leverage": "Leverage limit",
    "taker_bps": "Taker fee, bps", "slippage_bps": "Slippage, bps",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PairsView:
    """A row a pair, best first, and what to think of it."""

    version: int
    last_ms: int | None
    table: pd.DataFrame
    sentences: tuple[str, ...]


# -- asking ----------------------------------------------------------------------------------


def ask_scan(database: Database, universe: Universe, options: ScanOptions, now_ms: int) -> str:
    """Write a full scan down as a job; returns its id.

    Raises
    ------
    BadInput, InsufficientData
        As `quant.scan.scan_pairs`.
    """
    from computing import jobs, requests

    request = requests.full_scan(
        universe.prices,
        asdict(options),
        volumes=universe.turnover,
        min_volume=options.min_turnover,
        costs_bps=Config.TAKER_FEE_BPS + Config.SLIPPAGE_BPS,
        entry_z=options.entry_z,
        fdr=options.fdr,
    )
    return jobs.new_job(database, _seen(request, universe.version, universe.last_ms), now_ms)


def ask_pair(
    database: Database, kind: str, ask: BacktestAsk, given: BacktestInput, now_ms: int
) -> str:
    """Write a sweep or walk-forward of the form's pair down as a job; returns its id."""
    from computing import jobs, requests

    blocks = luck.blocks_for(len(given.candles)) if kind == "sweep" else 0
    rules = {ask.y: asdict(given.rules[0]), ask.x: asdict(given.rules[1])}
    request = requests.one_pair(kind, ask, given.candles, given.gaps, rules, blocks)
    return jobs.new_job(database, _seen(request, given.version, given.last_ms), now_ms)


def ask_pairs(
    database: Database, kind: str, ask: BacktestAsk, symbols: Sequence[str], now_ms: int
) -> str:
    """Write a sweep or walk-forward of every pair of some symbols down as a job.

    Raises
    ------
    BadInput
        Fewer than two of them have closed candles.
    """
    from computing import jobs, requests
    from views.backtests import rules_of

    length = pd.Timedelta(milliseconds=timeframe_ms(ask.timeframe))
    with database.snapshot() as snapshot:
        frame = snapshot.candles(symbols, ask.timeframe, limit=ask.limit)
        closed = frame["timestamp"] + length <= pd.Timestamp(now_ms, unit="ms", tz="UTC")
        frame = frame[closed]
        gaps = _gaps_of(snapshot, symbols, frame)
        instruments = snapshot.all_of("instrument")
        version = snapshot.version
    rules = {symbol: asdict(rules_of(instruments.get(symbol))) for symbol in symbols}
    request = requests.many_pairs(kind, ask, frame, gaps, rules)
    last = frame["timestamp"].max() + length
    last_ms = int(last.timestamp() * 1000)
    return jobs.new_job(database, _seen(request, version, last_ms), now_ms)


def _gaps_of(
    snapshot: Snapshot, symbols: Sequence[str], frame: pd.DataFrame
) -> Mapping[str, Sequence[tuple[int, int]]]:
    if not len(frame):
        return {}
    begin, end = (int(at.timestamp() * 1000) for at in frame["timestamp"].agg(["min", "max"]))
    return {symbol: snapshot.open_spans(symbol, begin, end) for symbol in symbols}


def _seen(request: Any, version: int, last_ms: int | None) -> Any:
    """The request, which remembers what data it was made of."""
    parameters = request.parameters | {"version": version, "last_ms": last_ms}
    return request._replace(parameters=parameters)


def work_on(
    database: Database, job_id: str, told: Told, cancelled: Callable[[], bool]
) -> tuple[JobRow, Any]:
    """Run a job, or what is left of it; the job as it is then, and its view.

    Raises
    ------
    ComputeError
        It cannot be run here and now.
    """
    from computing import jobs

    job = jobs.run(database, job_id, told=told, cancelled=cancelled)
    return job, view_of(database, job)


# -- what came of it -------------------------------------------------------------------------


def view_of(database: Database, job: JobRow) -> Any:
    """What a job has come to: of a sweep, walk-forward, many pairs, or a scan's result.

    None for a scan that is not whole.

    Raises
    ------
    ComputeError
        What it ran on is no longer there.
    """
    from computing import jobs, results

    inputs, found = jobs.results_of(database, job.id)
    seen = job.parameters.get("version", 0), job.parameters.get("last_ms")
    if job.kind == "scan":
        whole = len(found) == job.tasks
        return ScanView(*seen, results.scanned(inputs, found)) if whole else None
    if len(job.parameters["pairs"]) > 1:
        return _pairs_view(job, results.pairs_table(job.kind, inputs, found), *seen)
    from computing.tasks import asked_of

    asked = asked_of(inputs, *job.parameters["pairs"][0])
    if job.kind == "sweep":
        return sweep_view(results.swept(inputs, found), asked.candles, asked.gaps, *seen)
    walked = results.walked(inputs, found)
    return walk_view(walked, asked.candles.time_ms, asked.settings.starting_equity, *seen)


def _pairs_view(job: JobRow, table: pd.DataFrame, version: int, last_ms: int | None) -> PairsView:
    """The verdict over many pairs: how many stand out once their number is allowed for."""
    tried = int(table["q_value"].notna().sum())
    found = int((table["q_value"] <= 0.05).sum())
    what = "deflated for its trials" if job.kind == "sweep" else "out of sample"
    sentences = [
        "No pair is done yet."
        if table.empty
        else f"{found:,} of {tried:,} pairs have a Sharpe ratio, {what}, that stands out at a "
        "false-discovery rate of 5 % over all pairs.",
    ]
    mute = len(table) - tried
    if mute:
        sentences.append(f"{mute:,} pairs never traded or could not be tried, and have none.")
    missing = len(job.parameters["pairs"]) - len(table)
    if missing:
        sentences.append(f"{missing:,} pairs are not done yet.")
    shown = table.copy()
    for column in ("price1", "price2"):
        shown[column] = shown[column].str.upper()
    return PairsView(version, last_ms, shown, tuple(sentences))


# -- the list --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class JobsView:
    """Every job, the newest first, as rows and as a table."""

    version: int
    jobs: tuple[JobRow, ...]
    table: pd.DataFrame


def read_jobs(snapshot: Snapshot, now_ms: int) -> JobsView:
    """The list of jobs, each with its state as it is now."""
    jobs = tuple(snapshot.books(job_store.listed))
    rows = [
        {
            "begun": moment(job.created_ms),
            "kind": _KINDS.get(job.kind, job.kind),
            "what": job.title,
            "state": _STATES[job.state_at(now_ms)],
            "done": (job.done + job.failed) / max(job.tasks, 1),
            "tasks": job.tasks,
            "failed": job.failed,
            "note": job.note,
        }
        for job in jobs
    ]
    columns = ["begun", "kind", "what", "state", "done", "tasks", "failed", "note"]
    return JobsView(snapshot.version, jobs, pd.DataFrame(rows, columns=columns))


def label_of(job: JobRow) -> str:
    """A job in one line, to choose it by."""
    return f"{_KINDS.get(job.kind, job.kind)} · {job.title} · {moment(job.created_ms)}"


def parameters_of(job: JobRow) -> list[tuple[str, str]]:
    """What a job was asked, as label and value."""
    given = job.parameters
    rows = [("Symbols", ", ".join(s.upper() for s in given.get("symbols", ())))]
    rows.append(("Candles of each", f"{given.get('candles', 0):,}"))
    form = given.get("ask") or given.get("shown") or {}
    names = {**_FORM, "fdr": "False-discovery rate", "min_turnover": "Least turnover"}
    rows += [(label, str(form[name])) for name, label in names.items() if name in form]
    if given.get("last_ms") is not None:
        until = moment(given["last_ms"])
        rows.append(("Data", f"version {given.get('version', 0):,}, until {until}"))
    if job.result_hash:
        rows.append(("Hash of the results", job.result_hash[:16]))
    return rows


def failures_of(database: Database, job_id: str) -> pd.DataFrame:
    """Tasks that failed, with the reason."""
    with database.snapshot() as snapshot:
        found = snapshot.books(job_store.results, job_id)
    rows = [(r.task_key, r.body) for r in found if r.state == "failed"]
    return pd.DataFrame(rows, columns=["task", "reason"])
