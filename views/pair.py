"""A pair of symbols: hedge ratio, spread and z-score, as of one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics import Analytics
from candles import timeframe_ms
from charts import pair as chart
from charts.style import palette
from errors import PlatformError
from storage.snapshot import Snapshot
from views import lacking, warm
from views.sharing import Shared
from views.text import moment, number, significant

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METHODS: dict[str, str] = {
    "ols": "OLS",
    "huber": "Huber",
    "theil_sen": "Theil–Sen",
    "tls": "Total least squares",
    "lad": "Least absolute deviations",
    "ransac": "RANSAC",
    "rolling_ols": "Rolling OLS (past only)",
    "kalman": "Kalman (past only)",
}
MOVING = frozenset({"rolling_ols", "kalman"})
_LEAST = 30
_SILENT_MS = 60_000
# Fits of closed candles: they change once a candle, however often the page is refreshed.
_FITS = Shared(limit=256)


@dataclass(frozen=True, slots=True)
class PairOptions:
    """What the user chose; hashable, so that sessions can share the answer."""

    y: str | None
    x: str | None
    timeframe: str
    window: int = 20
    method: str = "ols"
    entry_th: float = 2.0
    exit_th: float = 0.0
    limit: int = 300
    colour_blind_safe: bool = False

    @property
    def title(self) -> str:
        """The pair as people write it."""
        return f"{(self.y or '–').upper()} / {(self.x or '–').upper()}"

    def with_limit(self, limit: int) -> PairOptions:
        """The same over so many candles."""
        return replace(self, limit=limit)


@dataclass(frozen=True, slots=True)
class Closes:
    """Closes of both symbols on the candles they share, oldest first.

    ``closed`` of the ``len(at_ms)`` candles are closed; at most the last one is forming.
    """

    at_ms: Ints
    y: Floats
    x: Floats
    closed: int

    def __len__(self) -> int:
        return len(self.at_ms)

    def series(self, *, closed: bool = True) -> tuple[pd.Series, pd.Series]:
        """price1 and price2 on a UTC index, the forming candle left out or not."""
        end = self.closed if closed else len(self.at_ms)
        index = pd.DatetimeIndex(self.at_ms[:end].view("datetime64[ms]"), tz="UTC")
        return pd.Series(self.y[:end], index), pd.Series(self.x[:end], index)


@dataclass(frozen=True, slots=True)
class PairState:
    """The pair now. Arrays have the candles' length; ``why`` says why a number is missing.

    ``behind`` says which symbol stopped trading while the other goes on: the candles then end in
    the past, and there is no number of now.
    """

    options: PairOptions
    closes: Closes
    ratio: Floats
    ratio_se: Floats | None
    spread: Floats
    zscore_all: Floats
    correlation_all: Floats
    moving: bool
    why: str | None = None
    behind: str | None = None

    @property
    def title(self) -> str:
        """The pair as people write it."""
        return self.options.title

    @property
    def why_not_now(self) -> str | None:
        """Why there is no number of now, None where there is one."""
        if self.why is not None or self.behind is not None:
            return self.why or self.behind
        if last(self.zscore_all) is None:
            return (
                f"The spread did not vary over the last {self.options.window} candles, so its "
                "distance from the mean has no scale."
            )
        return None

    @property
    def correlation_why(self) -> str | None:
        """Why there is no correlation of now, None where there is one."""
        if self.why is not None or self.behind is not None or self.correlation is not None:
            return self.why or self.behind
        return f"A price did not vary over the last {self.options.window} candles."

    @property
    def zscore_now(self) -> float | None:
        """z of the newest candle, forming or not."""
        return self._now(self.zscore_all)

    def _now(self, values: Floats) -> float | None:
        return None if self.behind is not None else last(values)

    @property
    def spread_now(self) -> float | None:
        """Spread of the newest candle, quote units of price1."""
        return self._now(self.spread)

    @property
    def ratio_now(self) -> float | None:
        """Hedge ratio in force."""
        return last(self.ratio)

    @property
    def correlation(self) -> float | None:
        """Rolling correlation of returns, last closed candle."""
        return self._now(self.correlation_all)

    @property
    def ratio_text(self) -> str:
        """The ratio with five significant digits."""
        return significant(self.ratio_now, 5)

    @property
    def spread_text(self) -> str:
        """The spread with five significant digits."""
        return significant(self.spread_now, 5)

    @property
    def zscore_closed(self) -> float | None:
        """z of the last closed candle, on which signals are made."""
        return self._now(self.zscore_all[: self.closes.closed])

    @property
    def signal(self) -> str:
        """What the rule says on the last closed candle."""
        z, entry = self.zscore_closed, self.options.entry_th
        if z is None:
            return "– no z-score now" if self.behind else "– no z-score yet"
        if z > entry:
            return f"Short the spread: z {number(z)} above {number(entry, 1)}"
        if z < -entry:
            return f"Long the spread: z {number(z)} below −{number(entry, 1)}"
        return f"No entry: z {number(z)} within ±{number(entry, 1)}"

    @property
    def explained(self) -> str:
        """How the z-score came to be."""
        how = METHODS.get(self.options.method, self.options.method)
        seen = "each candle by its past alone" if self.moving else "in sample, closed candles"
        return (
            f"(spread − mean) / standard deviation over the last {self.options.window} candles of "
            f"{self.options.timeframe}. Hedge ratio: {how}, {seen} ({self.closes.closed})."
        )


def last(values: Floats) -> float | None:
    """The newest value, None where it is not a number."""
    return float(values[-1]) if len(values) and np.isfinite(values[-1]) else None


def read_closes(snapshot: Snapshot, options: PairOptions, now_ms: int) -> Closes:
    """Closes of the two symbols on the candles that both have."""
    if not options.y or not options.x or options.y == options.x:
        nothing = np.empty(0)
        return Closes(np.empty(0, dtype=np.int64), nothing, nothing, 0)
    y = snapshot.candle_columns(options.y, options.timeframe, limit=options.limit)
    x = snapshot.candle_columns(options.x, options.timeframe, limit=options.limit)
    at_ms, in_y, in_x = np.intersect1d(
        y.open_ms, x.open_ms, assume_unique=True, return_indices=True
    )
    forming = bool(len(at_ms)) and int(at_ms[-1]) + timeframe_ms(options.timeframe) > now_ms
    return Closes(at_ms, y.close[in_y], x.close[in_x], len(at_ms) - int(forming))


def read_pair(snapshot: Snapshot, options: PairOptions, now_ms: int) -> PairState:
    """The pair in one snapshot; a state without numbers carries the reason."""
    closes = read_closes(snapshot, options, now_ms)
    empty = _empty(options, closes)
    if not options.y or not options.x or options.y == options.x:
        return replace(empty, why="Choose two different symbols in the sidebar.")
    needed = max(options.window + 2, _LEAST)
    if closes.closed < needed:
        coming = lacking.read_coming(snapshot, now_ms)
        why = lacking.too_few(closes.closed, needed, options.timeframe, coming)
        return replace(empty, why=f"{why} A shorter timeframe or window is ready sooner.")
    if not warm.is_ready():
        return replace(empty, why="The analytics are being loaded; this takes a few seconds.")
    try:
        return replace(_state(options, closes), behind=_behind(snapshot, options))
    except PlatformError as problem:
        return replace(empty, why=str(problem))


def _empty(options: PairOptions, closes: Closes) -> PairState:
    nothing = np.full(len(closes), np.nan)
    return PairState(options, closes, nothing, None, nothing, nothing, nothing, False)


def _behind(snapshot: Snapshot, options: PairOptions) -> str | None:
    """Which symbol has not traded for more than two candles while the other did."""
    y, x = options.y or "", options.x or ""
    newest = {s: snapshot.last_print(s)[1] for s in (y, x)}
    slow, quick = sorted((y, x), key=lambda s: newest[s] or 0)
    slow_ms, quick_ms = newest[slow], newest[quick]
    if slow_ms is None or quick_ms is None:
        return None
    if quick_ms - slow_ms <= max(2 * timeframe_ms(options.timeframe), _SILENT_MS):
        return None
    return (
        f"{slow.upper()} has not traded since {moment(slow_ms)}, {quick.upper()} has: the newest "
        "candle that both have is of that time, so there is no number of now."
    )


def _state(options: PairOptions, closes: Closes) -> PairState:
    moving = options.method in MOVING
    if moving:
        ratio, intercept, ratio_se = _moving_fit(options, closes)
    else:
        fitted = _fixed_fit(options, closes)
        ratio = np.full(len(closes), fitted[0])
        intercept, ratio_se = np.full(len(closes), fitted[1]), None
    spread = closes.y - ratio * closes.x - intercept
    price1, price2 = closes.series(closed=False)
    zscore = Analytics.calculate_zscore(pd.Series(spread, price1.index), options.window)
    correlation = Analytics.rolling_correlation(price1, price2, options.window, returns=True)
    return PairState(
        options,
        closes,
        ratio,
        ratio_se,
        spread,
        zscore.reindex(price1.index).to_numpy(dtype=float),
        correlation.reindex(price1.index).to_numpy(dtype=float),
        moving,
    )


def _fixed_fit(options: PairOptions, closes: Closes) -> tuple[float, float]:
    """Ratio and intercept of the closed candles, fitted once a candle."""

    def fit() -> tuple[float, float]:
        price1, price2 = closes.series()
        ratio, intercept = Analytics.calculate_hedge_ratio(price1, price2, method=options.method)
        return float(ratio), float(intercept)

    return _FITS.get(("fixed", options.method, fingerprint(closes)), fit)


def _moving_fit(options: PairOptions, closes: Closes) -> tuple[Floats, Floats, Floats]:
    """Prior ratio and intercept of each candle: known before the candle's prices were."""
    price1, price2 = closes.series(closed=False)
    extra: dict[str, Any] = {}
    if options.method == "rolling_ols":
        extra["window"] = max(options.window, 10)
    path: Any = Analytics.fit_hedge(price1, price2, method=options.method, **extra)
    columns = (path.ratio_prior, path.intercept_prior, path.ratio_se)
    ratio, intercept, se = (
        c.reindex(price1.index).to_numpy(dtype=float, copy=True) for c in columns
    )
    return ratio, intercept, se


def fingerprint(closes: Closes) -> tuple[int, int, int, int]:
    """Tells closed candles from others: count, hashes of their times and prices."""
    end = closes.closed
    return (
        end,
        hash(closes.at_ms[:end].tobytes()),
        hash(closes.y[:end].tobytes()),
        hash(closes.x[:end].tobytes()),
    )


def pair_figure(state: PairState) -> dict[str, Any] | None:
    """Spread and z-score, as on the dashboard; None where there is nothing to draw."""
    if state.why is not None or not len(state.closes):
        return None
    o = state.options
    return chart.spread_and_zscore(
        state.closes.at_ms,
        state.spread,
        state.zscore_all,
        palette(o.colour_blind_safe),
        entry_th=o.entry_th,
        exit_th=o.exit_th,
    )
