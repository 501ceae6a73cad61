"""The scan against statsmodels pair by pair, its control of false finds, and its interruptions."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from statsmodels.tsa.stattools import coint

from errors import BadInput, InsufficientData
from quant.cointegration import engle_granger_both
from quant.fdr import benjamini_hochberg
from quant.hurst import hurst_exponent
from quant.mean_reversion import half_life
from quant.scan import CHUNK, scan_pairs
from quant.scan_frame import COLUMNS


def market(
    n_planted: int, n_alone: int, n: int = 1000, seed: int = 0, half: float = 6.0
) -> pd.DataFrame:
    """Prices of planted pairs a0/b0, a1/b1 … and of independent walks w0, w1 …"""
    rng = np.random.default_rng(seed)
    rho, columns = 2 ** (-1 / half), {}
    noise = rng.normal(size=(n_planted, n))
    for i in range(n_planted):
        base = 200 + np.cumsum(rng.normal(size=n))
        spread = lfilter([1.0], [1.0, -rho], noise[i])
        columns[f"a{i}"], columns[f"b{i}"] = 1.5 * base + 20 + spread, base
    for i in range(n_alone):
        columns[f"w{i}"] = 200 + np.cumsum(rng.normal(size=n))
    index = pd.date_range("2025-01-01", periods=n, freq="min", tz="UTC")
    return pd.DataFrame(columns, index=index)


@pytest.mark.parametrize("lag", [1, 3])
def test_every_pair_has_the_t_and_p_of_statsmodels(lag) -> None:
    prices = market(2, 6, seed=1)
    frame = scan_pairs(prices, lag=lag).frame
    assert len(frame) == 45
    for row in frame.itertuples():
        y, x = prices[row.price1], prices[row.price2]
        forward = coint(y, x, maxlag=lag, autolag=None)
        reverse = coint(x, y, maxlag=lag, autolag=None)
        assert row.t_forward == pytest.approx(forward[0], abs=1e-8)
        assert row.t_reverse == pytest.approx(reverse[0], abs=1e-8)
        assert row.p_forward == pytest.approx(forward[1], abs=1e-8)
        assert row.p_value == pytest.approx(min(1.0, 2 * min(forward[1], reverse[1])), abs=1e-8)
    assert frame["q_value"].to_numpy() == pytest.approx(benjamini_hochberg(frame["p_value"]))


def test_a_row_says_what_the_single_tests_say() -> None:
    prices = market(1, 3, seed=2)
    row = scan_pairs(prices).frame.iloc[0]
    y, x = prices[row["price1"]], prices[row["price2"]]
    ratio, intercept = np.polyfit(x, y, 1)
    spread = y - ratio * x - intercept
    assert row["hedge_ratio"] == pytest.approx(ratio, rel=1e-9)
    assert row["intercept"] == pytest.approx(intercept, rel=1e-6)
    assert row["half_life"] == pytest.approx(half_life(spread).half_life, rel=1e-9)
    assert row["spread_std"] == pytest.approx(np.std(spread, ddof=2), rel=1e-9)
    quarters = [np.polyfit(x.iloc[s], y.iloc[s], 1)[0] for s in np.split(np.arange(1000), 4)]
    assert row["hedge_instability"] == pytest.approx(np.std(quarters, ddof=1) / ratio, rel=1e-6)
    gross = y.mean() + ratio * x.mean()
    assert row["spread_vol_bps"] == pytest.approx(row["spread_std"] / gross * 1e4)
    assert row["cost_bps"] == 12.0
    assert row["cost_to_edge"] == pytest.approx(12.0 / (2 * row["spread_vol_bps"]))
    assert row["hurst"] == pytest.approx(hurst_exponent(spread).hurst, abs=1e-9)
    both = engle_granger_both(y, x)
    assert row["aic_p_value"] == pytest.approx(both.pvalue, abs=1e-10)
    assert row["aic_lag"] == both.forward.used_lag
    correlation = np.corrcoef(np.diff(y), np.diff(x))[0, 1]
    assert row["correlation"] == pytest.approx(correlation, abs=1e-12)


def test_the_planted_pairs_are_found_and_ranked_first() -> None:
    result = scan_pairs(market(4, 12, seed=3))
    best = result.frame.head(4)
    assert {frozenset(pair) for pair in zip(best["price1"], best["price2"], strict=True)} == {
        frozenset((f"a{i}", f"b{i}")) for i in range(4)
    }
    assert best["screened"].all()
    assert result.n_tested == result.n_pairs == 20 * 19 // 2
    assert result.n_discoveries == int(result.frame["found"].sum())
    assert list(result.frame["rank"]) == list(range(1, 191))
    assert list(result.frame.columns) == list(COLUMNS)
    assert "false-discovery rate of 5%" in result.verdict


def test_the_screen_counts_costs_and_speed_after_the_control() -> None:
    prices = market(3, 5, seed=4)
    dear = scan_pairs(prices, costs_bps=500.0)
    cheap = scan_pairs(prices, costs_bps=0.0)
    slow = scan_pairs(prices, max_half_life=0.5)
    assert dear.n_discoveries == cheap.n_discoveries == slow.n_discoveries > 0
    assert dear.n_screened == slow.n_screened == 0
    assert cheap.n_screened > 0


def test_log_prices_have_ratios_of_notionals() -> None:
    prices = market(2, 3, seed=5)
    row = scan_pairs(prices, lag=1, log_prices=True).frame.iloc[0]
    y, x = np.log(prices[row["price1"]]), np.log(prices[row["price2"]])
    assert row["t_forward"] == pytest.approx(coint(y, x, maxlag=1, autolag=None)[0], abs=1e-7)
    assert row["spread_vol_bps"] == pytest.approx(
        row["spread_std"] / (1 + abs(row["hedge_ratio"])) * 1e4
    )


class TestUniverse:
    def test_illiquid_symbols_are_left_out_before_any_test(self) -> None:
        prices = market(1, 3)
        volumes = pd.DataFrame(100.0, index=prices.index, columns=prices.columns)
        volumes["w1"] = 3.0
        result = scan_pairs(prices, volumes=volumes, min_volume=50.0)
        assert result.n_tested == 6
        assert result.dropped == {"w1": "volume of 3 a candle, below 50"}
        assert (result.frame["volume"] == 100.0).all()
        by_symbol = scan_pairs(prices, volumes=volumes.median(), min_volume=50.0)
        pd.testing.assert_frame_equal(by_symbol.frame, result.frame)

    def test_a_symbol_without_a_known_volume_is_not_liquid(self) -> None:
        result = scan_pairs(
            market(1, 3), volumes={"a0": 9, "b0": 9, "w0": 9, "w1": 9}, min_volume=1
        )
        assert "w2" in result.dropped

    def test_constant_sparse_and_infinite_symbols_are_named_with_the_reason(self) -> None:
        prices = market(1, 4)
        prices["w0"] = 5.0
        prices.loc[prices.index[100:], "w1"] = np.nan
        prices.iloc[3, prices.columns.get_loc("w2")] = np.inf
        result = scan_pairs(prices)
        assert result.dropped == {
            "w0": "constant at 5",
            "w1": "prices in only 100 of 1000 rows",
            "w2": "1 infinite prices",
        }
        assert result.n_tested == 3

    def test_rows_with_a_gap_are_dropped_for_all_and_counted(self) -> None:
        prices = market(1, 2)
        prices.iloc[10:20, 0] = np.nan
        result = scan_pairs(prices)
        assert (result.n_obs, result.rows_dropped) == (990, 10)

    def test_a_copy_is_untestable_and_not_minus_infinity(self) -> None:
        prices = market(1, 2)
        prices["copy"] = 2 * prices["w0"] + 1
        result = scan_pairs(prices)
        assert result.n_tested == result.n_pairs - 1
        last = result.frame.iloc[-1]
        assert np.isnan(last["p_value"])
        assert not last["found"]

    def test_too_few_rows_or_symbols_say_how_many(self) -> None:
        with pytest.raises(InsufficientData, match="at least 100 observations, found 60"):
            scan_pairs(market(1, 2).head(60))
        with pytest.raises(BadInput, match="at least 2 usable symbols, found 1"):
            scan_pairs(market(1, 2)[["a0"]])

    def test_what_is_not_a_frame_in_time_order_is_refused(self) -> None:
        prices = market(1, 2)
        with pytest.raises(BadInput, match="found ndarray"):
            scan_pairs(prices.to_numpy())
        with pytest.raises(BadInput, match="time order"):
            scan_pairs(prices.iloc[::-1])
        with pytest.raises(BadInput, match="more than once"):
            scan_pairs(prices[["a0", "a0"]])
        with pytest.raises(BadInput, match="fdr is 2"):
            scan_pairs(prices, fdr=2)


@pytest.fixture
def wide() -> pd.DataFrame:
    """More pairs than one chunk takes."""
    return market(3, 120, n=150, seed=6)


class TestInterruption:
    def test_progress_counts_to_the_end(self, wide) -> None:
        seen: list[tuple[int, int]] = []
        result = scan_pairs(
            wide, workers=1, progress=lambda done, total: seen.append((done, total))
        )
        assert seen[0] == (CHUNK, result.n_pairs)
        assert seen[-1] == (result.n_pairs, result.n_pairs)

    def test_a_cancelled_scan_finds_nothing_yet_and_goes_on_to_the_same_result(self, wide) -> None:
        answers = iter([False, True])
        part = scan_pairs(wide, workers=1, cancel=lambda: next(answers))
        assert not part.complete
        assert part.state.done == CHUNK
        assert part.n_discoveries == 0
        assert part.frame["q_value"].isna().all()
        assert "Cancelled after" in part.verdict
        whole = scan_pairs(wide, resume=part.state)
        assert whole.complete
        pd.testing.assert_frame_equal(whole.frame, scan_pairs(wide).frame)

    def test_a_state_of_other_prices_is_refused(self, wide) -> None:
        state = scan_pairs(wide, cancel=lambda: True).state
        with pytest.raises(BadInput, match="other prices"):
            scan_pairs(wide + 1, resume=state)
        with pytest.raises(BadInput, match="other prices"):
            scan_pairs(wide, lag=2, resume=state)


def test_the_frame_goes_through_csv_and_parquet_unchanged() -> None:
    frame = scan_pairs(market(2, 4)).frame
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(buffer.getvalue())), frame)
    back = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert back["t_forward"].to_numpy() == pytest.approx(frame["t_forward"].to_numpy())
    assert list(back["price1"]) == list(frame["price1"])


def test_threads_do_not_change_the_result() -> None:
    prices = market(2, 100, n=120, seed=7)
    pd.testing.assert_frame_equal(
        scan_pairs(prices, workers=1).frame, scan_pairs(prices, workers=3).frame
    )


def _false_discovery_share(
    n_scans: int, n_planted: int, n_alone: int, fdr: float
) -> tuple[float, float]:
    """Mean share of false finds, and of planted pairs found."""
    shares, power = [], []
    for seed in range(n_scans):
        frame = scan_pairs(
            market(n_planted, n_alone, seed=1000 + seed), fdr=fdr, retest=0, workers=1
        ).frame
        found = frame[frame["found"]]
        true = sum(
            {y[1:], x[1:]} == {y[1:]} and {y[0], x[0]} == {"a", "b"}
            for y, x in zip(found["price1"], found["price2"], strict=True)
        )
        shares.append((len(found) - true) / max(len(found), 1))
        power.append(true / max(n_planted, 1))
    return float(np.mean(shares)), float(np.mean(power))


def test_false_finds_stay_below_the_scans_level() -> None:
    share, power = _false_discovery_share(60, 4, 16, fdr=0.10)
    # 60 scans: a standard error of about 2 %. A lag of 1 fails here in the long run.
    assert share <= 0.10 + 0.02
    assert power > 0.9


def test_a_universe_of_independent_walks_rarely_has_a_find() -> None:
    share, _ = _false_discovery_share(60, 0, 20, fdr=0.10)
    assert share <= 0.10 + 0.06


@pytest.mark.nightly
@pytest.mark.parametrize(("planted", "alone"), [(0, 25), (5, 20), (10, 10)])
def test_false_finds_over_many_scans(planted, alone) -> None:
    share, power = _false_discovery_share(1000, planted, alone, fdr=0.05)
    print(f"planted {planted}, alone {alone}: false {share:.4f}, power {power:.3f}")
    # 1,000 scans: a standard error of about 0.6 %.
    assert share <= 0.05 + 0.01
