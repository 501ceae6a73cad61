"""A saved run: plain data that says what was run, on what, by which code, and what came out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from errors import BadInput
from trading import filters
from trading.backtest import PairSettings
from trading.costs import Costs
from trading.pair_result import PairBacktest
from trading.signals import HedgePlan
from trading.sizing import Sizing, SymbolRules
from trading.strategy import Rules

FORMAT = 1


@dataclass(frozen=True)
class SavedRun:
    """A run by name.

    ``start_ms`` and ``end_ms`` are the half-open data span (UTC epoch ms), ``coverage`` the share
    of it that has candles, ``figures`` value or None by name and ``reasons`` why one is None.
    ``created_ms`` is given by the caller.
    """

    name: str
    symbol1: str
    symbol2: str
    timeframe_ms: int
    settings: dict[str, Any]
    start_ms: int
    end_ms: int
    candles: int
    coverage: float
    code_version: str
    created_ms: int
    trials: int
    figures: dict[str, float | None]
    reasons: dict[str, str]
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def to_json(self) -> str:
        """JSON text; infinities in settings are written as the word."""
        return json.dumps(_plain(self.to_dict()), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SavedRun:
        """Read what `to_json` wrote.

        Raises
        ------
        BadInput
            Not such a text, or of a later format.
        """
        try:
            data = json.loads(text)
            if not isinstance(data, dict) or data.get("format", 0) > FORMAT:
                raise BadInput("The run was saved by a later version of the platform.")
            known = {f.name for f in fields(cls)}
            return cls(**{k: v for k, v in data.items() if k in known})
        except (json.JSONDecodeError, TypeError) as error:
            raise BadInput(f"This is not a saved run: {error}.") from error

    def pair_settings(self) -> PairSettings:
        """The settings, to run it again."""
        return settings_from_dict(self.settings)


def save_run(
    name: str, result: PairBacktest, *, code_version: str, created_ms: int, trials: int = 1
) -> SavedRun:
    """Make a saved run of a finished one.

    ``trials`` is how many combinations were tried before this one was chosen.
    """
    if not name.strip():
        raise BadInput("A saved run needs a name.")
    c = result.candles
    start, end = int(c.time_ms[0]), int(c.time_ms[-1]) + c.timeframe_ms
    figures = result.all_figures()
    return SavedRun(
        name.strip(),
        c.symbol1,
        c.symbol2,
        c.timeframe_ms,
        _plain(asdict(result.settings)),
        start,
        end,
        len(c),
        len(c) * c.timeframe_ms / (end - start),
        code_version,
        created_ms,
        trials,
        {k: v.value for k, v in figures.items()},
        {k: v.reason for k, v in figures.items() if v.value is None},
    )


def settings_from_dict(data: Mapping[str, Any]) -> PairSettings:
    """Settings from the plain data of a saved run."""
    d = {k: _unplain(v) for k, v in data.items()}
    sizing = dict(d["sizing"])
    for leg in ("rules1", "rules2"):
        sizing[leg] = SymbolRules(**sizing[leg])
    d["rules"], d["hedge"] = Rules(**d["rules"]), HedgePlan(**d["hedge"])
    d["costs"], d["sizing"] = Costs(**d["costs"]), Sizing(**sizing)
    if d.get("session"):
        session = dict(d["session"])
        d["session"] = filters.Session(**session | {"weekdays": tuple(session["weekdays"])})
    if d.get("cointegration"):
        d["cointegration"] = filters.CointegrationFilter(**d["cointegration"])
    return PairSettings(**d)


def compare(runs: Iterable[SavedRun]) -> pd.DataFrame:
    """Runs side by side: a row a figure, setting or fact, a column a run (name first).

    Only settings that differ between the runs are shown.
    """
    runs = list(runs)
    if not runs:
        raise BadInput("There is no run to compare.")
    facts = [
        {
            "pair": f"{r.symbol1}/{r.symbol2}",
            "timeframe_ms": r.timeframe_ms,
            "start": str(pd.Timestamp(r.start_ms, unit="ms", tz="UTC")),
            "end": str(pd.Timestamp(r.end_ms, unit="ms", tz="UTC")),
            "candles": r.candles,
            "coverage": r.coverage,
            "code_version": r.code_version,
            "trials": r.trials,
        }
        for r in runs
    ]
    flat = [flat_settings(r.settings) for r in runs]
    differing = [k for k in flat[0] if len({str(f.get(k)) for f in flat}) > 1]
    columns = []
    for r, fact, setting in zip(runs, facts, flat, strict=True):
        chosen: dict[str, Any] = {**fact, **{k: setting.get(k) for k in differing}, **r.figures}
        columns.append(pd.Series(chosen, name=r.name, dtype=object))
    return pd.concat(columns, axis=1)


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    out: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            out |= flat_settings(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out


def _plain(value: Any) -> Any:
    """Plain JSON data: numbers that JSON has not become words."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (float, np.floating)) and not math.isfinite(value):
        return str(float(value))
    return value.item() if isinstance(value, np.generic) else value


def _unplain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _unplain(v) for k, v in value.items()}
    return float(value) if value in ("inf", "-inf", "nan") else value
