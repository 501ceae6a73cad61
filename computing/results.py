"""From the results of a job's tasks to the result of the job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from computing.inputs import Array, Inputs
from computing.tasks import FOLDS, KINDS, SWEPT, WALKED, asked_of
from errors import ComputeError

if TYPE_CHECKING:
    from quant.scan import ScanResult
    from trading.optimize import SweepResult
    from trading.walk_forward import WalkForward

Results = Mapping[str, Mapping[str, Array]]


def scanned(inputs: Inputs, results: Results) -> ScanResult:
    """The full scan, ranked.

    Raises
    ------
    ComputeError
        Pairs are missing: the false-discovery rate is known over the whole scan alone.
    """
    from quant.scan import ScanSettings, joined_scan
    from quant.universe import Universe

    parameters = inputs.parameters
    keys = KINDS["scan"].keys(parameters)
    missing = [key for key in keys if key not in results]
    if missing:
        raise ComputeError(
            f"{len(missing)} of {len(keys)} tasks have no result yet, and the false-discovery rate "
            "is only known over the whole scan: resume the job."
        )
    universe = Universe(
        tuple(parameters["symbols"]), inputs.whole("prices"), inputs.whole("levels"),
        inputs.whole("volumes"), parameters["dropped"], parameters["rows_dropped"],
    )  # fmt: skip
    fixed = np.concatenate([results[key]["fixed"] for key in keys])
    aic = np.concatenate([results[key]["aic"] for key in keys])
    return joined_scan(universe, ScanSettings(*parameters["settings"]), fixed, aic)


def swept(inputs: Inputs, results: Results) -> SweepResult:
    """The sweep of one pair; what is not done is NaN."""
    from trading.optimize import joined_sweep

    asked = asked_of(inputs, *inputs.parameters["pairs"][0])
    parts = [
        (results[key]["totals"], results[key].get("blocks")) if key in results else None
        for key in KINDS["sweep"].keys(inputs.parameters)
    ]
    return joined_sweep(asked.candles, asked.grid, asked.settings, parts)


def walked(inputs: Inputs, results: Results) -> WalkForward | None:
    """The walk-forward of one pair; None while an axis of its grid is missing."""
    from trading.walk_forward import make_folds, trade_folds

    keys = KINDS["walk_forward"].keys(inputs.parameters)
    if any(key not in results for key in keys):
        return None
    candles, grid, settings, gaps, _ = asked_of(inputs, *inputs.parameters["pairs"][0])
    totals = np.concatenate([results[key]["totals"] for key in keys], axis=1)
    spans = make_folds(len(candles), FOLDS)
    return trade_folds(
        candles, grid, settings, spans, totals, more=(None, (None, None), gaps)
    )  # fmt: skip


def pairs_table(kind: str, inputs: Inputs, results: Results) -> pd.DataFrame:
    """A row a pair, best first; `q_value` allows for the number of pairs tried.

    Pairs that could not be tried have NaN and the reason in ``note``; pairs not done are left out.
    """
    from quant.fdr import benjamini_hochberg

    names, chance = {
        "sweep": (SWEPT, "deflated_sharpe"),
        "walk_forward": (WALKED, "probabilistic_sharpe"),
    }[kind]
    rows, pairs, notes = [np.empty((0, len(names)))], [], []
    for key in KINDS[kind].keys(inputs.parameters):
        if key in results:
            begin, end = (int(part) for part in key.split("-"))
            pairs += inputs.parameters["pairs"][begin:end]
            rows.append(results[key]["rows"])
            notes += json.loads(bytes(results[key]["notes"]))
    frame = pd.DataFrame(np.concatenate(rows), columns=list(names))
    frame.insert(0, "price1", np.array([y for y, _ in pairs], dtype=object))
    frame.insert(1, "price2", np.array([x for _, x in pairs], dtype=object))
    if kind == "sweep" and len(frame):
        labels = [plan.label for plan in asked_grid(inputs).hedges]
        frame["hedge"] = [labels[int(h)] if h == h else "–" for h in frame["hedge"]]
    frame.insert(2, "q_value", benjamini_hochberg(1.0 - frame[chance].to_numpy(np.float64)))
    frame["note"] = notes
    return frame.sort_values(
        ["q_value", chance], ascending=[True, False], kind="stable", ignore_index=True
    )


def asked_grid(inputs: Inputs) -> Any:
    """The grid that every pair of a job is tried with."""
    from trading.ask import BacktestAsk, grid_of

    return grid_of(BacktestAsk(**inputs.parameters["ask"]))
