"""The kinds of long computation: their tasks, by key, and how one task is done.

A task is a part of a job that is done by itself from the job's arrays and parameters. Its key says
which part; its result is named arrays. Who does it, and when, changes neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from computing.encoding import encoded
from computing.inputs import Inputs, Source, opened
from errors import BadInput, InsufficientData
from trading.ask import BacktestAsk, grid_of, settings_of

Array = NDArray[Any]
Parameters = Mapping[str, Any]

FOLDS = 5
# Core seconds on a machine of 2025; only their order matters, to choose where tasks are done.
_SCAN_S = (6e-6, 20e-9)  # a pair, and each candle of it
_SWEEP_S = (1e-3, 4e-9)  # a pair, and each combination and candle
_WALK_S = (3e-2, 4e-9)
# A task sent to a cluster costs some 12 ms of the cores, to processes 1 to 2 ms.
_TASK_S, _LEAST_TASK_S = 0.5, 0.1
_FEWEST_TASKS = 64
_LARGEST = 4096

SWEPT = (
    "entry_th", "exit_th", "z_window", "hedge", "sharpe", "peak_sharpe", "total_return",
    "max_drawdown", "trades", "win_rate", "deflated_sharpe", "candles",
)  # fmt: skip
WALKED = (
    "total_return", "max_drawdown", "trades", "train_sharpe", "test_sharpe", "efficiency",
    "probabilistic_sharpe", "candles",
)  # fmt: skip


class Kind(NamedTuple):
    """One kind of job.

    ``keys`` gives the tasks' keys of some parameters, ``work`` does one of them, ``units`` counts
    the pairs, ``each_s`` estimates the core seconds of one.
    """

    title: str
    keys: Callable[[Parameters], list[str]]
    work: Callable[[Inputs, str], dict[str, Array]]
    units: Callable[[Parameters], int]
    each_s: Callable[[Parameters], float]

    def seconds(self, parameters: Parameters) -> float:
        """Core seconds of the whole, about."""
        return self.units(parameters) * self.each_s(parameters)

    def size(self, parameters: Parameters) -> int:
        """Pairs a task; kept with the parameters, since the keys follow from it.

        So few that every worker has many tasks, so many that sending one costs little of it.
        """
        each_s = self.each_s(parameters)
        few = max(self.units(parameters) / _FEWEST_TASKS, _LEAST_TASK_S / each_s)
        return max(1, int(min(few, _TASK_S / each_s, _LARGEST)))


def do(source: Source, kind: str, key: str) -> str:
    """One task's result as text, the same wherever it is done."""
    return encoded(KINDS[kind].work(opened(source), key))


def _spans(total: int, size: int) -> list[str]:
    return [f"{at:09d}-{min(at + size, total):09d}" for at in range(0, total, size)]


# -- the scan of every pair, the lag of each by AIC ------------------------------------------


def _scan_keys(parameters: Parameters) -> list[str]:
    return _spans(_scan_units(parameters), parameters["size"])


def _scan_units(parameters: Parameters) -> int:
    symbols = len(parameters["symbols"])
    return symbols * (symbols - 1) // 2


def _scan_each_s(parameters: Parameters) -> float:
    return _SCAN_S[0] + _SCAN_S[1] * int(parameters["candles"])


def _scan_work(inputs: Inputs, key: str) -> dict[str, Array]:
    from quant.scan import ScanSettings, fixed_lag_rows
    from quant.scan_frame import aic_rows, pair_rows

    begin, end = (int(part) for part in key.split("-"))
    centred, squares = inputs.whole("centred"), inputs.whole("squares")
    first, second = (rows[begin:end] for rows in pair_rows(len(centred)))
    settings = ScanSettings(*inputs.parameters["settings"])
    prepared = (centred, squares, inputs.whole("peaks"))
    return {
        "fixed": fixed_lag_rows(prepared, settings, first, second),
        "aic": aic_rows(centred, squares, first, second),
    }


# -- sweep and walk-forward, of one pair by its axes or of many by pairs ---------------------


def pair_at(inputs: Inputs, y: str, x: str) -> Any:
    """Candles of a pair, where both symbols have one, as `trading.candle_pair.PairCandles`.

    Raises
    ------
    InsufficientData
        Fewer than three.
    """
    from trading.candle_pair import MINIMUM, PairCandles, frozen_array

    symbols = inputs.parameters["symbols"]
    places = [symbols.index(symbol) for symbol in (y, x)]
    names = ("open", "close", "volume")
    first, second = ({n: inputs.row(n, place) for n in names} for place in places)
    both = ~np.isnan([first["open"], first["close"], second["open"], second["close"]]).any(axis=0)
    if np.count_nonzero(both) < MINIMUM:
        raise InsufficientData("A pair backtest", MINIMUM, int(np.count_nonzero(both)))
    return PairCandles(
        time_ms=np.ascontiguousarray(inputs.whole("time_ms")[both]),
        open1=frozen_array(first["open"][both]),
        open2=frozen_array(second["open"][both]),
        close1=frozen_array(first["close"][both]),
        close2=frozen_array(second["close"][both]),
        volume1=frozen_array(first["volume"][both]),
        volume2=frozen_array(second["volume"][both]),
        timeframe_ms=int(inputs.parameters["timeframe_ms"]),
        symbol1=y,
        symbol2=x,
    )


class Asked(NamedTuple):
    """What a pair is swept with."""

    candles: Any
    grid: Any
    settings: Any
    gaps: list[tuple[int, int]]
    blocks: int


def asked_of(inputs: Inputs, y: str, x: str) -> Asked:
    """Candles, grid, settings, gaps and blocks of time of one pair of a job."""
    from trading.sizing import SymbolRules

    parameters = inputs.parameters
    ask = BacktestAsk(**{**parameters["ask"], "y": y, "x": x})
    rule1, rule2 = (SymbolRules(**parameters["rules"].get(symbol, {})) for symbol in (y, x))
    gaps = [tuple(span) for symbol in (y, x) for span in parameters["gaps"].get(symbol, ())]
    return Asked(
        pair_at(inputs, y, x), grid_of(ask), settings_of(ask, (rule1, rule2)), gaps,
        int(parameters.get("blocks", 0)),
    )  # fmt: skip


def _pair_keys(parameters: Parameters) -> list[str]:
    """The axes of the only pair, or so many pairs a task that sending it does not count."""
    total = len(parameters["pairs"])
    if total > 1:
        return _spans(total, parameters["size"])
    return [f"axis-{k:03d}" for k in range(len(grid_of(BacktestAsk(**parameters["ask"])).axes()))]


def _each_s(costs: tuple[float, float]) -> Callable[[Parameters], float]:
    """Seconds of one pair."""

    def seconds(parameters: Parameters) -> float:
        trials = len(grid_of(BacktestAsk(**parameters["ask"])))
        return costs[0] + costs[1] * trials * int(parameters["candles"])

    return seconds


def _of_pairs(
    columns: int,
    one: Callable[[Asked], list[float]],
    axis: Callable[[Asked, int], dict[str, Array]],
) -> Callable[[Inputs, str], dict[str, Array]]:
    """Work on a key: an axis of the only pair, or a row for each of some pairs."""

    def work(inputs: Inputs, key: str) -> dict[str, Array]:
        pairs, (begin, end) = inputs.parameters["pairs"], key.split("-")
        if begin == "axis":
            return axis(asked_of(inputs, *pairs[0]), int(end))
        rows, notes = [], []
        for y, x in pairs[int(begin) : int(end)]:
            try:
                rows.append(one(asked_of(inputs, y, x)))
                notes.append("")
            except BadInput as problem:
                # That a pair cannot be tried is an answer; the same on every try.
                rows.append([np.nan] * columns)
                notes.append(str(problem))
        text = json.dumps(notes).encode()
        return {"rows": np.array(rows, np.float64), "notes": np.frombuffer(text, np.uint8)}

    return work


def _pair_kind(
    title: str,
    costs: tuple[float, float],
    columns: tuple[str, ...],
    one: Callable[[Asked], list[float]],
    axis: Callable[[Asked, int], dict[str, Array]],
) -> Kind:
    return Kind(
        title,
        _pair_keys,
        _of_pairs(len(columns), one, axis),
        lambda parameters: len(parameters["pairs"]),
        _each_s(costs),
    )


def _sweep_axis(asked: Asked, place: int) -> dict[str, Array]:
    from trading.optimize import sweep

    candles, grid, settings, gaps, _ = asked
    found = sweep(candles, grid.axes()[place], settings, gaps=gaps, blocks=asked.blocks, workers=1)
    parts: dict[str, Array] = {"totals": found.totals}
    return parts if found.blocks is None else parts | {"blocks": found.blocks}


def _sweep_pair(asked: Asked) -> list[float]:
    from trading.backtest import run_pair
    from trading.optimize import sweep
    from trading.overfitting import deflated_sharpe

    candles, grid, settings, gaps, _ = asked
    found = sweep(candles, grid, settings, gaps=gaps, workers=1)
    plateau, peak = found.plateau("sharpe"), found.best("sharpe")
    row = dict.fromkeys(SWEPT, np.nan) | {"candles": len(candles)}
    if plateau is not None and peak is not None:
        chosen = found.frame.iloc[plateau.row]
        returns = run_pair(candles, found.settings_of(plateau), gaps=gaps).returns
        deflated = deflated_sharpe(returns, found.sharpes_a_candle()).value
        row |= {name: chosen[name] for name in SWEPT if name in chosen and name != "hedge"}
        row |= {
            "hedge": [plan.label for plan in grid.hedges].index(plateau.hedge.label),
            "peak_sharpe": peak.score,
            "deflated_sharpe": np.nan if deflated is None else deflated,
        }
    return [float(row[name]) for name in SWEPT]


def _walk_axis(asked: Asked, place: int) -> dict[str, Array]:
    from trading.walk_forward import make_folds, train_totals

    candles, grid, settings, gaps, _ = asked
    spans = make_folds(len(candles), FOLDS)
    totals = train_totals(
        candles, grid.axes()[place], settings, spans, more=(None, (None, None), gaps), workers=1
    )
    return {"totals": np.empty(0) if totals is None else totals}


def _walk_pair(asked: Asked) -> list[float]:
    from trading.overfitting import probabilistic_sharpe
    from trading.walk_forward import walk_forward

    candles, grid, settings, gaps, _ = asked
    found = walk_forward(candles, grid, settings, folds=FOLDS, gaps=gaps, workers=1)
    row = dict.fromkeys(WALKED, np.nan) | {"candles": len(candles)}
    out = found.out_of_sample
    if out is not None:
        chance = probabilistic_sharpe(out.returns).value
        figures = out.all_figures()
        for name in ("total_return", "max_drawdown"):
            value = figures[name].value
            row[name] = np.nan if value is None else value
        row |= {
            "trades": len(out.trades),
            "train_sharpe": found.choices["train_sharpe"].mean(),
            "test_sharpe": found.choices["test_sharpe"].mean(),
            "efficiency": found.efficiency,
            "probabilistic_sharpe": np.nan if chance is None else chance,
        }
    return [float(row[name]) for name in WALKED]


KINDS: dict[str, Kind] = {
    "scan": Kind("Full scan", _scan_keys, _scan_work, _scan_units, _scan_each_s),
    "sweep": _pair_kind("Sweep", _SWEEP_S, SWEPT, _sweep_pair, _sweep_axis),
    "walk_forward": _pair_kind("Walk-forward", _WALK_S, WALKED, _walk_pair, _walk_axis),
}
