"""From frames and forms to jobs: a job's parameters, and the arrays it runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from candles import timeframe_ms
from computing.encoding import Arrays
from computing.inputs import Array
from computing.tasks import KINDS
from errors import BadInput
from trading.ask import BacktestAsk

Rules = Mapping[str, Mapping[str, float]]
Spans = Mapping[str, Sequence[tuple[int, int]]]


class Request(NamedTuple):
    """What a job is made of; see `computing.jobs.new_job`."""

    kind: str
    title: str
    parameters: dict[str, Any]
    arrays: Arrays


def full_scan(prices: pd.DataFrame, shown: Mapping[str, Any], **options: Any) -> Request:
    """Every pair tested at the fixed lag and again at a lag by AIC.

    Parameters
    ----------
    prices : DataFrame, shape (n, symbols)
    shown : mapping
        What was chosen, for the list of jobs.
    options
        Those of `quant.scan.ScanOptions`.

    Raises
    ------
    BadInput, InsufficientData
        As `quant.scan.scan_pairs`.
    """
    from quant.scan import ScanOptions, prepare
    from quant.scan_frame import centred_of

    universe, settings = prepare(prices, ScanOptions(**options))
    centred, squares = centred_of(universe.prices)
    parameters = {
        "shown": dict(shown),
        "symbols": [str(symbol) for symbol in universe.symbols],
        "candles": universe.prices.shape[1],
        "settings": list(settings),
        "dropped": {str(symbol): why for symbol, why in universe.dropped.items()},
        "rows_dropped": universe.rows_dropped,
    }
    arrays = {
        "prices": universe.prices,
        "centred": centred,
        "squares": squares,
        "peaks": np.abs(universe.prices).max(axis=1),
        "levels": universe.levels,
        "volumes": universe.volumes,
    }
    title = f"Full scan of {len(universe.symbols)} symbols"
    return Request("scan", title, _sized("scan", parameters), arrays)


def one_pair(
    kind: str, ask: BacktestAsk, candles: Any, gaps: Sequence[Any], rules: Rules, blocks: int
) -> Request:
    """A sweep or a walk-forward of one pair on its candles (`trading.candle_pair.PairCandles`)."""
    arrays = {
        "time_ms": candles.time_ms,
        "open": np.stack([candles.open1, candles.open2]),
        "close": np.stack([candles.close1, candles.close2]),
        "volume": np.stack([candles.volume1, candles.volume2]),
    }
    # The gaps of both legs are one list by now.
    spans = {ask.y: [(int(start), int(end)) for start, end in gaps]}
    title = f"{ask.y.upper()} / {ask.x.upper()}, {ask.timeframe}, last {len(candles):,}"
    parameters = _of_pairs(ask, [(ask.y, ask.x)], [ask.y, ask.x], len(candles), spans, rules)
    return Request(kind, title, parameters | {"blocks": blocks}, arrays)


def many_pairs(
    kind: str, ask: BacktestAsk, frame: pd.DataFrame, gaps: Spans, rules: Rules
) -> Request:
    """A sweep or a walk-forward of every pair of the symbols in a frame of closed candles.

    Parameters
    ----------
    frame : DataFrame
        Columns symbol, timestamp, open, close, volume.

    Raises
    ------
    BadInput
        Candles of fewer than two symbols.
    """
    wide = frame.pivot(index="timestamp", columns="symbol", values=["open", "close", "volume"])
    symbols = [str(symbol) for symbol in wide["close"].columns] if len(frame) else []
    if len(symbols) < 2:
        found = f"{symbols[0].upper()} alone has some" if symbols else "none has any"
        raise BadInput(f"A job over pairs needs two symbols with closed candles; {found}.")
    arrays: dict[str, Array] = {
        name: np.ascontiguousarray(wide[name].to_numpy(np.float64).T)
        for name in ("open", "close", "volume")
    }
    arrays["volume"] = np.nan_to_num(arrays["volume"])
    arrays["time_ms"] = wide.index.as_unit("ms").asi8
    pairs = [(y, x) for k, y in enumerate(symbols) for x in symbols[k + 1 :]]
    title = f"{len(pairs):,} pairs of {len(symbols)} symbols, {ask.timeframe}"
    spans = {s: [(int(a), int(b)) for a, b in gaps.get(s, ())] for s in symbols}
    parameters = _of_pairs(ask, pairs, symbols, len(wide), spans, rules)
    return Request(kind, title, _sized(kind, parameters), arrays)


def _sized(kind: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """With how many pairs make a task: the keys are to be the same whenever they are asked."""
    return parameters | {"size": KINDS[kind].size(parameters)}


def _of_pairs(
    ask: BacktestAsk,
    pairs: Sequence[tuple[str, str]],
    symbols: Sequence[str],
    candles: int,
    gaps: Spans,
    rules: Rules,
) -> dict[str, Any]:
    return {
        "ask": asdict(ask),
        "pairs": [list(pair) for pair in pairs],
        "symbols": list(symbols),
        "candles": candles,
        "timeframe_ms": timeframe_ms(ask.timeframe),
        "gaps": {symbol: [list(span) for span in spans] for symbol, spans in gaps.items()},
        "rules": {symbol: dict(rule) for symbol, rule in rules.items()},
    }
