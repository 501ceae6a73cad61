"""The table of a scan: p- and q-values, costs against edge, order, and the second look by AIC."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quant import mackinnon
from quant.fdr import benjamini_hochberg, two_directions
from quant.unitroot import longest_lag

if TYPE_CHECKING:
    from quant.scan import ScanSettings
    from quant.universe import Universe

Array = NDArray[np.float64]
Index = NDArray[np.int64]

# What each column says, in the order of the frame.
COLUMNS: dict[str, str] = {
    "rank": "1 is best: screened pairs by net edge a candle, then other finds, then by p",
    "price1": "the dependent leg, of the direction with the smaller p",
    "price2": "the other leg; spread = price1 − hedge_ratio · price2 − intercept",
    "screened": "found, and within the limits of half-life and cost to edge",
    "found": "q at or below the scan's false-discovery rate",
    "q_value": "Benjamini–Hochberg, over every pair tested",
    "p_value": "twice the smaller p of the two directions, at most 1",
    "p_forward": "Engle–Granger, price1 on price2, at the fixed lag",
    "p_reverse": "Engle–Granger, price2 on price1, at the fixed lag",
    "t_forward": "its statistic",
    "t_reverse": "its statistic",
    "correlation": "of the candles' changes (log returns with log prices)",
    "hedge_ratio": "units of price2 for one of price1, least squares over all candles",
    "intercept": "of the same regression",
    "hedge_instability": "standard deviation of the sub-windows' ratios / |hedge_ratio|",
    "half_life": "candles, −ln 2 / ln(1 + b)",
    "hurst": "of the spread; ½ is a random walk, outside 0 to 1 it scales like none",
    "spread_std": "standard deviation of the spread, in price1's unit",
    "spread_vol_bps": "the same in bps of both legs' notional",
    "expected_reversion_bps": "entry_z standard deviations back to the mean, in the same bps",
    "cost_bps": "two fills of each leg, in the same bps",
    "cost_to_edge": "cost / expected reversion: above 1 a trade expects to lose",
    "net_edge_bps": "expected reversion less cost",
    "volume": "the smaller of the legs' median volumes",
    "aic_p_value": "lag by AIC, of the best pairs or of all; twice the smaller p; not controlled",
    "aic_t": "its statistic, in the direction of price1 on price2",
    "aic_lag": "its lag",
}


def pair_rows(k: int) -> tuple[Index, Index]:
    """Rows of the first and the second symbol of every pair, first < second."""
    first, second = np.triu_indices(k, 1)
    return np.ascontiguousarray(first, dtype=np.int64), np.ascontiguousarray(second, dtype=np.int64)


def build(
    universe: Universe,
    settings: ScanSettings,
    table: Array,
    complete: bool,
    by_aic: Array | None = None,
) -> pd.DataFrame:
    """The ranked frame; q-values only where the scan is `complete`.

    `by_aic` are rows of `aic_rows` for every pair; without them the best are tested again here.
    """
    from kernels import cointegration as kernel

    first, second = pair_rows(len(universe.symbols))
    forward, reverse = table[:, kernel.T_FORWARD], table[:, kernel.T_REVERSE]
    # The frame shows each pair in its better direction.
    swap = reverse < forward
    y, x = np.where(swap, second, first), np.where(swap, first, second)
    t_forward, t_reverse = np.where(swap, reverse, forward), np.where(swap, forward, reverse)
    p_forward = mackinnon.pvalues(t_forward, "c", 2)
    p_reverse = mackinnon.pvalues(t_reverse, "c", 2)
    p = two_directions(p_forward, p_reverse)
    q = benjamini_hochberg(p) if complete else np.full(len(p), np.nan)
    ratio = table[:, kernel.RATIO]
    means = universe.prices.mean(axis=1)
    data: dict[str, Any] = {
        "q_value": q,
        "p_value": p,
        "p_forward": p_forward,
        "p_reverse": p_reverse,
        "t_forward": t_forward,
        "t_reverse": t_reverse,
        "correlation": _correlations(universe.prices)[y, x],
        "hedge_ratio": ratio,
        "intercept": means[y] - ratio * means[x],
        "hedge_instability": table[:, kernel.INSTABILITY],
        "half_life": half_lives(table[:, kernel.REVERSION]),
        "hurst": table[:, kernel.HURST],
        "spread_std": table[:, kernel.SPREAD_STD],
        "volume": np.minimum(universe.volumes[y], universe.volumes[x]),
    }
    data |= _edge(universe, settings, y, x, ratio, data["spread_std"])
    data["found"] = q <= settings.fdr
    data["screened"] = (
        data["found"]
        & (data["cost_to_edge"] <= settings.max_cost_to_edge)
        & (data["half_life"] <= settings.max_half_life)
    )
    order = _order(data)
    frame = _frame(universe, settings, data, y, x, order)
    if by_aic is None:
        best = min(settings.retest, int(np.count_nonzero(~np.isnan(frame["p_value"].to_numpy()))))
        by_aic = np.full((len(y), 4), np.nan)
        again = order[:best]
        by_aic[again] = aic_rows(*centred_of(universe.prices), first[again], second[again])
    columns = _second_look(by_aic[order], swap[order])
    return frame.assign(**columns)[list(COLUMNS)]


def half_lives(slopes: Array) -> Array:
    """−ln 2 / ln(1 + b); ``inf`` where b ≥ 0, NaN where b ≤ −1."""
    out = np.full(len(slopes), np.nan)
    out[slopes >= 0] = np.inf
    reverting = (slopes > -1) & (slopes < 0)
    out[reverting] = -math.log(2.0) / np.log1p(slopes[reverting])
    return out


def _edge(
    universe: Universe, settings: ScanSettings, y: Index, x: Index, ratio: Array, std: Array
) -> dict[str, Array]:
    """Costs and expected reversion in bps of the notional of both legs together."""
    if settings.log_prices:
        own, gross = np.ones(len(y)), 1.0 + np.abs(ratio)
    else:
        own = np.abs(universe.levels[y])
        gross = own + np.abs(ratio) * np.abs(universe.levels[x])
    volatility = std / gross * 1e4
    reversion = settings.entry_z * volatility
    # Each leg is filled twice, and the notional counted is that of both legs.
    cost = np.where(np.isnan(ratio), np.nan, 2.0 * settings.costs_bps)
    return {
        "spread_vol_bps": volatility,
        "expected_reversion_bps": reversion,
        "cost_bps": cost,
        "cost_to_edge": cost / reversion,
        "net_edge_bps": reversion - cost,
    }


def _order(data: dict[str, Any]) -> Index:
    """Screened by net edge a candle of half-life, then the other finds and the rest by p."""
    group = 2 - data["found"].astype(np.int64) - data["screened"].astype(np.int64)
    within = np.where(data["screened"], -data["net_edge_bps"] / data["half_life"], data["p_value"])
    # Far beyond the tables p is 0: the statistic then decides.
    return np.lexsort((data["t_forward"], within, group))


def _correlations(prices: Array) -> Array:
    changes = np.diff(prices, axis=1)
    changes -= changes.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", changes, changes))
    changes /= norms[:, None]
    return np.clip(changes @ changes.T, -1.0, 1.0)


def _frame(
    universe: Universe,
    settings: ScanSettings,
    data: dict[str, Any],
    y: Index,
    x: Index,
    order: Index,
) -> pd.DataFrame:
    names = pd.Index(universe.symbols)
    y, x = y[order], x[order]
    sorted_data = {name: values[order] for name, values in data.items()}
    sorted_data["rank"] = np.arange(1, len(order) + 1)
    sorted_data["price1"] = pd.Categorical.from_codes(y, categories=names)
    sorted_data["price2"] = pd.Categorical.from_codes(x, categories=names)
    return pd.DataFrame(sorted_data, copy=False)


def centred_of(prices: Array) -> tuple[Array, Array]:
    """Each symbol's prices less their mean, and the sum of their squares."""
    centred = prices - prices.mean(axis=1, keepdims=True)
    return centred, np.einsum("ij,ij->i", centred, centred)


def aic_rows(centred: Array, squares: Array, first: Index, second: Index) -> Array:
    """Engle–Granger with the lag chosen by AIC: t of both directions, then their lags, (k, 4)."""
    from kernels.cointegration import t_block
    from kernels.unitroot import AIC

    max_lag = longest_lag(centred.shape[1], "n", None)
    out = np.empty((4, len(first)))
    first, second = (np.ascontiguousarray(rows, dtype=np.int64) for rows in (first, second))
    for row, (y, x) in enumerate(((first, second), (second, first))):
        t_block(centred, squares, y, x, max_lag, AIC, out[row], out[2 + row])
    return np.ascontiguousarray(out.T)


def _second_look(rows: Array, swap: Any) -> dict[str, Array]:
    """Columns of rows of `aic_rows`, each in the direction of the frame."""
    forward, reverse = (np.where(swap, rows[:, 1 - k], rows[:, k]) for k in (0, 1))
    p = mackinnon.pvalues(forward, "c", 2), mackinnon.pvalues(reverse, "c", 2)
    lag = np.where(swap, rows[:, 3], rows[:, 2])
    return {"aic_p_value": two_directions(*p), "aic_t": forward, "aic_lag": lag}
