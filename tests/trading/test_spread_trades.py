"""The gross backtest on a given spread: rules, shape, and agreement with a slow obvious loop."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import Analytics
from errors import BadInput
from trading.spread_trades import COLUMNS, mean_reversion
from trading.strategy import MeanReversion, Rules

INDEX = pd.date_range("2024-01-01", periods=400, freq="1min", tz="UTC")


def series(values):
    return pd.Series(np.asarray(values, float), index=INDEX[: len(values)])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["next", "same"]),
    st.floats(0.2, 2.5),
    st.floats(-1.0, 0.15),
)
def test_it_is_the_state_machine_fed_candle_by_candle(seed, fill, entry, leave):
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, 120)
    z[rng.random(120) < 0.1] = np.nan
    spread = series(rng.normal(0, 1, 120).cumsum())
    result = mean_reversion(spread, series(z), entry, leave, fill=fill)
    machine, lag = MeanReversion(Rules(entry, leave)), 1 if fill == "next" else 0
    targets = [int(machine.on_close(i, z[i]).target) for i in range(120)]
    assert result.positions.tolist() == ([0] * lag + targets)[:120]
    pnl = (result.positions.shift(1) * spread.diff()).sum()
    assert result.trades["pnl"].sum() == pytest.approx(pnl, abs=1e-9)


def test_the_public_call_gives_a_frame_and_a_series():
    spread = series([0, 5, 6, 1, 0, 0])
    z = series([0, 3, 2, -0.1, 0, 0])
    trades, positions = Analytics.backtest_mean_reversion(spread, z, entry_th=2.0)
    assert positions.tolist() == [0, 0, -1, -1, 0, 0]
    row = trades.iloc[0]
    assert (row["side"], row["entry_price"], row["exit_price"]) == ("SHORT", 6.0, 0.0)
    assert (row["entry_zscore"], row["exit_zscore"]) == (3.0, -0.1)
    assert (row["entry_time"], row["exit_time"]) == (INDEX[2], INDEX[4])
    assert (row["holding_candles"], row["pnl"]) == (2, 6.0)
    assert (row["reason"], row["status"]) == ("z crossed exit", "closed")


def test_an_open_trade_is_marked_as_open_at_the_last_spread():
    trades, positions = mean_reversion(series([0, 0, 1, 4]), series([0, -3, -3, -3]))
    assert positions.tolist() == [0, 0, 1, 1]
    row = trades.iloc[0]
    assert (row["status"], row["pnl"], row["side"]) == ("open", 3.0, "LONG")
    assert pd.isna(row["exit_time"])
    assert np.isnan(row["exit_price"])


@pytest.mark.parametrize("index", [INDEX[:5], pd.RangeIndex(5), INDEX[:5].tz_localize(None)])
def test_columns_are_there_even_without_a_trade(index):
    flat = pd.Series(np.zeros(5), index=index)
    trades, positions = mean_reversion(flat, flat)
    assert list(trades.columns) == list(COLUMNS)
    assert len(trades) == 0
    assert not positions.any()
    assert positions.index.equals(index)


def test_the_frame_behaves_like_any_other():
    rng = np.random.default_rng(0)
    z = series(rng.normal(0, 2, 300))
    trades, _ = mean_reversion(series(rng.normal(0, 1, 300)), z)
    plain = pd.DataFrame({c: trades[c].tolist() for c in trades.columns})
    pd.testing.assert_frame_equal(
        trades, plain.astype(trades.dtypes.to_dict()), check_column_type=False
    )
    assert (trades["side"] == "LONG").sum() + (trades["side"] == "SHORT").sum() == len(trades)
    assert trades.groupby("side")["pnl"].sum().sum() == pytest.approx(trades["pnl"].sum())


def test_numbered_and_naive_times_are_kept():
    spread, z = pd.Series([0.0, 1, 2, 3]), pd.Series([-3.0, 0, 0, 0])
    trades, _ = mean_reversion(spread, z)
    assert trades["entry_time"].tolist() == [1]
    assert trades["exit_time"].tolist() == [2]
    assert mean_reversion(spread.to_list(), z.to_list()).trades["pnl"].tolist() == [1.0]


def test_a_candle_without_a_spread_is_left_out_and_the_fill_waits():
    spread = series([0, np.nan, 5, 7, 7])
    trades, positions = mean_reversion(spread, series([-3, -3, 0, 0, 0]))
    assert trades["entry_price"].tolist() == [5.0]
    assert positions.tolist() == [0, 0, 1, 0, 0]


def test_z_is_taken_at_the_times_of_the_spread():
    spread = series([0, 1, 2, 3])
    z = series([0, -3, 0, 0]).iloc[1:]
    assert mean_reversion(spread, z).trades["entry_price"].tolist() == [2.0]


def test_truncating_the_future_leaves_the_past_unchanged():
    rng = np.random.default_rng(1)
    spread, z = series(rng.normal(0, 1, 300)), series(rng.normal(0, 2, 300))
    whole = mean_reversion(spread, z).positions
    for cut in (50, 123, 299):
        assert mean_reversion(spread[:cut], z[:cut]).positions.equals(whole[:cut])


@pytest.mark.parametrize(
    ("spread", "z", "kwargs", "words"),
    [
        ([0, 1], [0, 1], {"entry_th": 1, "exit_th": 1}, "above the exit"),
        ([0], [0], {}, "at least 2"),
        ([0, np.inf, 1], [0, 0, 0], {}, "infinite"),
        ([0, 1, 1], [0, np.inf, 0], {}, r"\(number 1\) is infinite: .* no variation"),
        ([np.nan, np.nan], [0, 0], {}, "at least 2"),
        ([0, 1], [0, 1], {"fill": "now"}, "next candle"),
    ],
)
def test_bad_input_is_a_sentence(spread, z, kwargs, words):
    with pytest.raises(BadInput, match=words):
        mean_reversion(series(spread), series(z), **kwargs)


def test_misaligned_input_is_a_sentence():
    a, b = series([0, 1, 2]), pd.Series([0.0, 1], index=INDEX[100:102])
    with pytest.raises(BadInput, match="no time in common"):
        mean_reversion(a, b)
    with pytest.raises(BadInput, match="ascend"):
        mean_reversion(a[::-1], a[::-1])
    with pytest.raises(BadInput, match="same candles"):
        mean_reversion([0, 1, 2], [0, 1])
    with pytest.raises(BadInput, match="numbers"):
        mean_reversion(["a", "b"], [0, 1])
