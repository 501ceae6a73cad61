"""Engle–Granger and Johansen against statsmodels, and where they must refuse."""

from __future__ import annotations

import pathlib

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gamma
from statsmodels.tsa.coint_tables import c_sja, c_sjt
from statsmodels.tsa.stattools import coint
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from errors import BadInput, InsufficientData
from quant.cointegration import _gamma_through, engle_granger, engle_granger_both, johansen


def planted(n: int, ratio: float = 2.0, half_life: float = 8.0, seed: int = 0):
    """A price and its planted partner: price1 = ratio · price2 + 10 + AR(1)."""
    rng = np.random.default_rng(seed)
    price2 = 100 + np.cumsum(rng.normal(size=n))
    rho = 2 ** (-1 / half_life)
    spread = np.zeros(n)
    for t in range(1, n):
        spread[t] = rho * spread[t - 1] + rng.normal()
    return ratio * price2 + 10 + spread, price2


@pytest.mark.parametrize("trend", ["n", "c", "ct", "ctt"])
@pytest.mark.parametrize("autolag", ["aic", "bic", "t-stat", None])
def test_engle_granger_equals_statsmodels(autolag, trend) -> None:
    for seed, n in enumerate((30, 120, 900)):
        y, x = planted(n, seed=seed)
        z = 50 + np.cumsum(np.random.default_rng(seed + 99).normal(size=n))
        for first, second in ((y, x), (x, y), (y, z)):
            ours = engle_granger(first, second, trend=trend, autolag=autolag)
            t, p, critical = coint(first, second, trend=trend, autolag=autolag)
            assert ours.statistic == pytest.approx(t, abs=1e-8)
            assert ours.pvalue == pytest.approx(p, abs=1e-8)
            if trend != "n":
                assert list(ours.critical_values.values()) == pytest.approx(critical, abs=1e-10)


def test_both_directions_pay_for_the_choice() -> None:
    y, x = planted(400, seed=4)
    both = engle_granger_both(y, x)
    assert both.forward.statistic == pytest.approx(coint(y, x)[0], abs=1e-8)
    assert both.reverse.statistic == pytest.approx(coint(x, y)[0], abs=1e-8)
    assert both.pvalue == min(1.0, 2 * min(both.forward.pvalue, both.reverse.pvalue))
    assert both.best.pvalue == min(both.forward.pvalue, both.reverse.pvalue)
    assert both.verdict.startswith("Cointegrated")


def test_the_planted_ratio_is_found_and_the_spread_adds_up() -> None:
    y, x = planted(2000, ratio=2.0, seed=7)
    result = engle_granger(pd.Series(y), pd.Series(x))
    assert result.hedge_ratio == pytest.approx(2.0, abs=0.05)
    rebuilt = y - result.hedge_ratio * x - result.intercept
    assert result.spread.to_numpy() == pytest.approx(rebuilt, abs=1e-9)
    assert "not cointegrated" in result.null_hypothesis


def test_misaligned_series_are_joined_and_the_lost_rows_counted() -> None:
    y, x = planted(300, seed=5)
    index = pd.date_range("2025-01-01", periods=300, freq="min", tz="UTC")
    first, second = pd.Series(y, index)[:280], pd.Series(x, index)[20:].copy()
    second.iloc[10] = np.nan
    result = engle_granger(first, second)
    keep = np.r_[20:30, 31:280]
    assert result.statistic == pytest.approx(coint(y[keep], x[keep])[0], abs=1e-8)
    assert result.dropped > 0


class TestUnusablePairs:
    def test_no_common_time_says_how_many_there_are(self) -> None:
        y, x = planted(50)
        with pytest.raises(InsufficientData, match="at least 20 observations, found 0"):
            engle_granger(pd.Series(y), pd.Series(x, index=range(100, 150)))

    def test_collinear_prices_are_refused_instead_of_minus_infinity(self) -> None:
        _, x = planted(200)
        with pytest.raises(BadInput, match="2 times price2"):
            engle_granger(2 * x + 5, x)

    def test_nearly_collinear_prices_get_a_finite_t(self) -> None:
        rng = np.random.default_rng(1)
        x = 60_000 + np.cumsum(rng.normal(size=500) * 30)
        y = x + rng.normal(size=500) * 0.01
        result = engle_granger(y, x)
        assert np.isfinite(result.statistic)
        assert result.pvalue < 1e-6

    def test_a_constant_price_is_named(self) -> None:
        _, x = planted(60)
        with pytest.raises(BadInput, match="price1 is constant"):
            engle_granger(np.full(60, 7.0), x)


@pytest.mark.parametrize("det_order", [-1, 0, 1])
@pytest.mark.parametrize("lags", [0, 1, 4])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_johansen_equals_statsmodels(k, lags, det_order) -> None:
    rng = np.random.default_rng(k * 10 + lags)
    y, x = planted(500, seed=k)
    others = 40 + np.cumsum(rng.normal(size=(500, k - 2)), axis=0)
    frame = pd.DataFrame(np.column_stack([y, x, others]))
    ours = johansen(frame, det_order, lags)
    theirs = coint_johansen(frame.to_numpy(), det_order, lags)
    assert ours.trace_stat == pytest.approx(theirs.trace_stat, rel=1e-7, abs=1e-7)
    assert ours.max_eig_stat == pytest.approx(theirs.max_eig_stat, rel=1e-7, abs=1e-7)
    assert ours.eigenvalues == pytest.approx(theirs.eig, rel=1e-7)
    for column in range(k):
        sign = np.sign(ours.eigenvectors[0, column] * theirs.evec[0, column])
        assert ours.eigenvectors[:, column] * sign == pytest.approx(
            theirs.evec[:, column], rel=1e-4, abs=1e-6
        )
    assert ours.trace_critical == pytest.approx(theirs.trace_stat_crit_vals)
    assert ours.max_eig_critical == pytest.approx(theirs.max_eig_stat_crit_vals)
    assert ours.statistic == ours.trace_stat[0]


def test_johansen_finds_the_planted_relation_and_its_weights() -> None:
    y, x = planted(1500, seed=3)
    walk = np.cumsum(np.random.default_rng(8).normal(size=1500))
    result = johansen(pd.DataFrame({"eth": y, "btc": x, "sol": walk}))
    assert result.rank == 1
    assert result.hedge_weights()["btc"] == pytest.approx(-2.0, abs=0.05)
    assert "1 of at most 3" in result.verdict


@pytest.mark.parametrize("table", [c_sja, c_sjt])
def test_johansens_gamma_p_is_5_percent_at_the_published_5_percent_point(table) -> None:
    # MacKinnon, Haug & Michelis (1999): the middle point was not used to fit the gamma.
    for det_order in (-1, 0, 1):
        for k in range(1, 13):
            q90, q95, q99 = table(k, det_order)
            shape, scale = _gamma_through(float(q90), float(q99))
            assert gamma.sf(q95, shape, scale=scale) == pytest.approx(0.05, abs=0.0015)


class TestUnusableFrames:
    def test_one_column_is_not_enough(self) -> None:
        with pytest.raises(BadInput, match="at least 2 price columns"):
            johansen(pd.DataFrame({"a": np.arange(50.0)}))

    def test_a_repeated_column_is_collinear(self) -> None:
        y, x = planted(200)
        with pytest.raises(BadInput, match="linear function"):
            johansen(pd.DataFrame({"a": y, "b": x, "c": 3 * x - 1}))

    def test_too_few_rows_are_counted(self) -> None:
        y, x = planted(30)
        with pytest.raises(InsufficientData, match="found 11"):
            johansen(pd.DataFrame({"a": y[:11], "b": x[:11]}))


def test_the_recorded_ethereum_and_bitcoin_candles_give_the_known_figures() -> None:
    folder = pathlib.Path(__file__).parents[3] / "shared" / "data" / "klines-1m-2025-10-29"
    if not folder.is_dir():
        pytest.skip("the recorded 1-minute candles are not beside the project")
    prices = {}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        frame = pd.read_csv(folder / f"{symbol}-1m.csv.gz")
        prices[symbol] = frame["close"]
    result = engle_granger(prices["ETHUSDT"], prices["BTCUSDT"])
    assert result.statistic == pytest.approx(-3.260, abs=5e-4)
    assert result.pvalue == pytest.approx(0.060, abs=5e-4)
    assert result.hedge_ratio == pytest.approx(0.046461, abs=5e-7)
