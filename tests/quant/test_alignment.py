"""Joining and cleaning of series, and the sentences when that is impossible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from errors import BadInput, InsufficientData
from quant.alignment import (
    align_pair,
    clean_frame,
    clean_series,
    require_not_collinear,
    require_varying,
)


def test_series_are_joined_on_their_common_index_and_nan_pairs_dropped():
    first = pd.Series([1.0, 2.0, np.nan, 4.0], index=[0, 1, 2, 3])
    second = pd.Series([10.0, 20.0, 30.0, np.nan], index=[1, 2, 3, 4])
    pair = align_pair(first, second, "A test", 1)
    assert pair.y.tolist() == [2.0, 4.0]
    assert pair.x.tolist() == [10.0, 30.0]
    assert pair.index.tolist() == [1, 3]
    assert pair.dropped == 2


def test_an_unsorted_index_comes_out_in_order():
    first = pd.Series([3.0, 1.0, 2.0], index=[3, 1, 2])
    second = pd.Series([20.0, 10.0, 30.0], index=[2, 1, 3])
    pair = align_pair(first, second, "A test", 1)
    assert pair.index.tolist() == [1, 2, 3]
    assert pair.x.tolist() == [10.0, 20.0, 30.0]


def test_arrays_are_joined_by_position_and_have_to_be_of_one_length():
    assert align_pair([1, 2], (3, 4), "A test", 1).x.tolist() == [3.0, 4.0]
    with pytest.raises(BadInput, match="price1 has 3 values and price2 2"):
        align_pair([1, 2, 3], [1, 2], "A test", 1)


def test_too_few_pairs_say_how_many_there_are_and_how_many_are_needed():
    with pytest.raises(InsufficientData, match="A test needs at least 3 observations, found 1"):
        align_pair([1.0, np.nan, 3.0], [1.0, 2.0, np.nan], "A test", 3)


def test_series_without_a_common_row_are_insufficient():
    with pytest.raises(InsufficientData, match="found 0"):
        align_pair(pd.Series([1.0], index=[0]), pd.Series([1.0], index=[9]), "A test", 1)


def test_a_doubled_index_is_refused():
    doubled = pd.Series([1.0, 2.0], index=[5, 5])
    with pytest.raises(BadInput, match="price1 has 5 "):
        align_pair(doubled, pd.Series([1.0], index=[5]), "A test", 1)


def test_indexes_of_times_with_and_without_zone_are_refused_or_have_nothing_in_common():
    times = pd.date_range("2024-01-01", periods=3, freq="min")
    with pytest.raises(BadInput):
        align_pair(
            pd.Series([1.0, 2, 3], index=times),
            pd.Series([1.0, 2, 3], index=times.tz_localize("UTC")),
            "A test",
            1,
        )


@pytest.mark.parametrize("bad", [["a", "b"], [[1.0, 2.0]], [object(), 1]])
def test_what_is_no_series_of_numbers_is_refused(bad):
    with pytest.raises(BadInput, match="not a series of numbers"):
        clean_series(bad, "A test", 1)


def test_infinite_prices_are_refused():
    with pytest.raises(BadInput, match="1 infinite"):
        clean_series([1.0, np.inf], "A test", 1)
    with pytest.raises(BadInput, match="price2 has 2 infinite"):
        align_pair(np.ones(3), np.array([-np.inf, 1.0, np.inf]), "A test", 1)


def test_prices_whose_sum_overflows_are_finite_all_the_same():
    pair = align_pair(np.full(3, 1e308), np.arange(3.0), "A test", 1)
    assert pair.y.tolist() == [1e308] * 3
    assert pair.dropped == 0


def test_a_frame_needs_columns_that_differ_in_name():
    with pytest.raises(BadInput, match="at least 2 price columns, found 1"):
        clean_frame(pd.DataFrame({"a": [1.0]}), "A test", 1)
    with pytest.raises(BadInput, match="a is there more than once"):
        clean_frame(pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]), "A test", 1)
    with pytest.raises(InsufficientData, match="needs at least 2 observations, found 1"):
        clean_frame(pd.DataFrame({"a": [1.0, 2], "b": [np.nan, 3]}), "A test", 2)


def test_constant_and_collinear_series_are_named():
    with pytest.raises(BadInput, match="price2 is constant at 7 over all 3"):
        require_varying(np.full(3, 7.0), "A test", "price2")
    x = np.arange(50.0)
    with pytest.raises(BadInput, match="price1 is 3 times price2"):
        require_not_collinear(3 * x + 1, x, "A test")
    require_not_collinear(3 * x + np.random.default_rng(0).normal(size=50), x, "A test")
