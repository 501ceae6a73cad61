"""The Statistics page: how returns are distributed, and what they have to do with one another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analytics import Analytics
from candles import timeframe_ms
from charts import statistics as chart
from charts.style import palette
from errors import BadInput, InsufficientData, PlatformError
from storage.snapshot import Snapshot
from views import lacking
from views.text import number, percent, significant

Floats = NDArray[np.float64]

_LEAST = 60
_MAX_LAG = 40
_DAY_MS = 86_400_000
_CONE = (10, 20, 40, 80, 160)


@dataclass(frozen=True, slots=True)
class StatsOptions:
    """What the user chose."""

    symbol: str
    symbols: tuple[str, ...]
    y: str | None
    x: str | None
    timeframe: str
    limit: int = 1500
    colour_blind_safe: bool = False


@dataclass(frozen=True, slots=True)
class StatsInput:
    """Closed candles as read in one snapshot: closes by symbol on their own times."""

    version: int
    last_ms: int | None
    candles: pd.DataFrame
    closes: pd.DataFrame
    coming: lacking.Coming


@dataclass(frozen=True, slots=True)
class StatsView:
    """Figures by name, facts as label, value, explanation, and what could not be made and why."""

    facts: tuple[tuple[str, str, str], ...]
    figures: dict[str, dict[str, Any]]
    missing: dict[str, str]
    minutes: pd.DataFrame


def read_stats_input(snapshot: Snapshot, options: StatsOptions, now_ms: int) -> StatsInput:
    """Closed candles of every symbol that a figure of the page needs."""
    names = tuple(dict.fromkeys((options.symbol, *options.symbols)))
    frame = snapshot.candles(names, options.timeframe, limit=options.limit)
    length = pd.Timedelta(milliseconds=timeframe_ms(options.timeframe))
    closed = frame[frame["timestamp"] + length <= pd.Timestamp(now_ms, unit="ms", tz="UTC")]
    closes = closed.pivot(index="timestamp", columns="symbol", values="close")
    own = closed[closed["symbol"] == options.symbol].set_index("timestamp")
    last = snapshot.last_print(options.symbol)[1]
    coming = lacking.read_coming(snapshot, now_ms)
    return StatsInput(snapshot.version, last, own, closes.reindex(columns=list(names)), coming)


def input_key(options: StatsOptions, given: StatsInput) -> tuple[Any, ...]:
    """Changes when another candle closes."""
    closes = np.ascontiguousarray(given.closes.to_numpy(dtype=float))
    # As numbers: of times with a zone NumPy would hold the addresses, which are others every time.
    times = given.closes.index.astype("int64").to_numpy()
    return (options, given.closes.shape, hash(times.tobytes()), hash(closes.tobytes()))


def make_stats(options: StatsOptions, given: StatsInput) -> StatsView:
    """Every figure of the page from the closed candles.

    Raises
    ------
    InsufficientData
        Fewer than 60 returns of the symbol.
    """
    close = given.candles["close"].to_numpy(dtype=float)
    if len(close) < _LEAST + 1:
        raise InsufficientData("The statistics page", _LEAST + 1, len(close))
    returns = np.diff(np.log(close))
    colours = palette(options.colour_blind_safe)
    figures: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    newest = round(given.candles.index[-1].timestamp() * 1000)
    ended = lacking.after(newest + timeframe_ms(options.timeframe))
    makers = {
        "distribution": lambda: _distribution(returns, colours),
        "quantiles": lambda: _quantiles(returns, colours),
        "autocorrelation": lambda: _autocorrelation(returns, colours, "returns"),
        "clustering": lambda: _autocorrelation(np.abs(returns), colours, "absolute returns"),
        "seasonality": lambda: _seasonality(given.candles, colours),
        "correlation": lambda: _correlation(given.closes),
        "cross": lambda: _cross(given.closes, options, colours),
        "cone": lambda: _cone(given.candles, options, colours),
    }
    for name, make in makers.items():
        try:
            figures[name] = make()
        except PlatformError as problem:
            missing[name] = lacking.why(problem, options.timeframe, ended)
    minutes = minute_table(given.candles)
    return StatsView(_facts(returns, options), figures, missing, minutes)


def _facts(returns: Floats, options: StatsOptions) -> tuple[tuple[str, str, str], ...]:
    from scipy import stats

    per_year = 365 * _DAY_MS / timeframe_ms(options.timeframe)
    deviation = float(returns.std(ddof=1))
    jb = stats.jarque_bera(returns)
    varies = deviation > 0
    why = "" if varies else _all_same(returns)
    return (
        ("Returns", f"{len(returns):,}", f"Closed candles of {options.timeframe}, log returns."),
        ("Mean", percent(float(returns.mean()), 4), "A candle."),
        ("Deviation", percent(deviation, 4), "A candle, sample standard deviation."),
        ("Volatility", percent(deviation * math.sqrt(per_year), 1), "A year of 365 × 24 h."),
        ("Skewness", number(float(stats.skew(returns)), 2), why or "0 for a normal distribution."),
        (
            "Excess kurtosis",
            number(float(stats.kurtosis(returns)), 2),
            why or "0 for a normal one.",
        ),
        (
            "Jarque–Bera p",
            significant(float(jb.pvalue), 2),
            why or "Null hypothesis: returns are normal.",
        ),
    )


def _all_same(returns: Floats) -> str:
    return f"All {len(returns):,} returns are the same: the price did not vary."


def _distribution(returns: Floats, colours: Any) -> dict[str, Any]:
    from scipy import stats

    values = returns * 100
    edges = np.histogram_bin_edges(values, bins=60)
    density, _ = np.histogram(values, bins=edges, density=True)
    middles = (edges[:-1] + edges[1:]) / 2
    df, loc, scale = _student(values)
    normal = stats.norm.pdf(middles, values.mean(), values.std(ddof=1))
    curves = [
        ("Normal", normal),
        (f"Student t, {df:.1f} degrees", stats.t.pdf(middles, df, loc, scale)),
    ]
    return chart.distribution(edges, density.astype(float), curves, colours)


def _student(values: Floats) -> tuple[float, float, float]:
    """Maximum likelihood t, on standardised values so that the search is well scaled."""
    from scipy import stats

    centre, spread = float(np.median(values)), float(values.std(ddof=1))
    if spread == 0:
        raise BadInput(f"A distribution cannot be fitted. {_all_same(values)}")
    df, loc, scale = stats.t.fit((values - centre) / spread)
    return float(min(df, 200.0)), centre + loc * spread, scale * spread


def _quantiles(returns: Floats, colours: Any) -> dict[str, Any]:
    from scipy import stats

    ordered = np.sort(returns) * 100
    # Blom's plotting positions.
    levels = (np.arange(1, len(ordered) + 1) - 0.375) / (len(ordered) + 0.25)
    df, loc, scale = _student(ordered)
    theory = stats.t.ppf(levels, df, loc, scale)
    keep = np.unique(np.linspace(0, len(ordered) - 1, 400).astype(int))
    return chart.quantiles(theory[keep], ordered[keep], f"fitted t ({df:.1f} degrees), %", colours)


def _autocorrelation(values: Floats, colours: Any, name: str) -> dict[str, Any]:
    """Sample autocorrelation with the ±1.96/√n bounds of white noise (Bartlett 1946)."""
    centred = values - values.mean()
    total = float(centred @ centred)
    if total == 0:
        raise BadInput(f"There is no autocorrelation of {name}. {_all_same(values)}")
    most = min(_MAX_LAG, len(values) // 4)
    acf = np.array([float(centred[k:] @ centred[:-k]) / total for k in range(1, most + 1)])
    bound = 1.96 / math.sqrt(len(values))
    return chart.lags(
        np.arange(1, most + 1), acf, bound, colours, x_title="Lag, candles",
        y_title=f"Autocorrelation of {name}",
    )  # fmt: skip


def _seasonality(candles: pd.DataFrame, colours: Any) -> dict[str, Any]:
    """Mean absolute return by hour of the day, UTC."""
    returns = np.log(candles["close"]).diff().abs() * 1e4
    by_hour = returns.groupby(candles.index.hour).mean().dropna()
    labels = [f"{hour:02d}" for hour in by_hour.index]
    return chart.bars(
        labels, by_hour.to_numpy(dtype=float), colours, x_title="Hour of the day, UTC",
        y_title="Mean absolute return, bps",
    )  # fmt: skip


def _correlation(closes: pd.DataFrame) -> dict[str, Any]:
    usable = closes.dropna(axis=1, how="all")
    if usable.shape[1] < 2:
        raise BadInput("It takes two symbols with stored candles: choose more in the sidebar.")
    matrix = Analytics.correlation_matrix(usable, returns=True)
    labels = [str(c).upper() for c in matrix.columns]
    values = matrix.to_numpy(dtype=float)
    text = [[number(v, 2) for v in row] for row in values]
    return chart.heat_map(labels, labels, values, text=text)


def _cross(closes: pd.DataFrame, options: StatsOptions, colours: Any) -> dict[str, Any]:
    if options.y not in closes or options.x not in closes or options.y == options.x:
        raise BadInput("It takes two different symbols: choose a pair in the sidebar.")
    result = Analytics.cross_correlation(closes[options.y], closes[options.x], 20, returns=True)
    bound = 1.96 / math.sqrt(max(len(closes.dropna()), 2))
    return chart.lags(
        result.index.to_numpy(), result.to_numpy(dtype=float), bound, colours,
        x_title=f"Lag, candles ({options.x.upper() if options.x else ''} earlier)",
        y_title="Correlation of returns",
    )  # fmt: skip


def _cone(candles: pd.DataFrame, options: StatsOptions, colours: Any) -> dict[str, Any]:
    """Quantiles of realised volatility over windows of several lengths."""
    windows = [w for w in _CONE if len(candles) > 3 * w]
    if len(windows) < 2:
        raise InsufficientData("A volatility cone", 3 * _CONE[1] + 1, len(candles))
    levels = (("Lowest", 0.0), ("25 %", 0.25), ("Median", 0.5), ("75 %", 0.75), ("Highest", 1.0))
    table = np.full((len(levels) + 1, len(windows)), np.nan)
    for column, window in enumerate(windows):
        series = Analytics.volatility(
            candles["close"], "realised", window, timeframe=options.timeframe
        ).dropna()
        values = series.to_numpy(dtype=float) * 100
        for row, (_, share) in enumerate(levels):
            table[row, column] = np.quantile(values, share)
        table[-1, column] = values[-1]
    rows = [(name, table[n]) for n, (name, _) in enumerate(levels)]
    return chart.cone(windows, rows, table[-1], colours)


def minute_table(candles: pd.DataFrame) -> pd.DataFrame:
    """Statistics of each candle, the newest first: return, range, position of the close."""
    frame = candles[["open", "high", "low", "close", "volume"]].copy()
    width = frame["high"] - frame["low"]
    frame["return_bps"] = np.log(frame["close"]).diff() * 1e4
    frame["range_bps"] = width / frame["open"] * 1e4
    frame["close_in_range"] = ((frame["close"] - frame["low"]) / width).where(width > 0)
    frame["turnover"] = frame["volume"] * frame["close"]
    return frame.reset_index()[::-1].reset_index(drop=True)
