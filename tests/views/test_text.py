"""Numbers, times and sizes as people read them."""

from __future__ import annotations

import math

import pytest

from views import text


@pytest.mark.parametrize(
    ("step", "price", "decimals"),
    [(0.1, None, 1), ("0.00001", None, 5), (1, None, 0), (None, 60_000.0, 0), (None, 0.2, 5),
     (None, None, 2), (0.5, None, 1)],
)  # fmt: skip
def test_prices_have_the_decimals_of_their_tick(step, price, decimals):
    assert text.decimals_of(step, price) == decimals


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_what_is_no_number_is_a_dash_everywhere(nothing):
    for shown in (text.number, text.percent, text.significant, text.compact, text.pvalue,
                  text.duration):  # fmt: skip
        assert shown(nothing) == "–"


def test_numbers_in_words():
    assert text.number(1234.5, 1) == "1,234.5"
    assert text.number(0.5, 1, sign=True) == "+0.5"
    assert text.percent(0.0123) == "1.23 %"
    assert text.significant(0.00012345, 3) == "0.000123"
    assert text.significant(0) == "0"
    assert text.compact(2_500_000) == "2.50 M"
    assert text.pvalue(1e-9) == "< 0.0001"
    assert text.duration(1_500) == "1.5 s"
    assert text.duration(90_000) == "1.5 min"
    assert text.duration(3 * 86_400_000) == "3.0 days"
    assert text.file_size(1_500) == "1.5 kB"


def test_times_are_utc_unless_a_zone_is_given():
    assert text.moment(0) == "1970-01-01 00:00:00 UTC"
    assert text.moment(0, text.zone_named("Asia/Tokyo")) == "1970-01-01 09:00:00"
    assert text.zone_named("Nowhere/Land") is None


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_text_that_a_spreadsheet_would_run_is_made_harmless(cell):
    assert text.safe_cell(cell) == "'" + cell
    assert text.safe_cell(-1.5) == -1.5
    assert text.safe_cell("btcusdt") == "btcusdt"


@pytest.mark.parametrize("cell", ["=1+1", "-1+1", "+A1", "@x", "-", "-1,2;3", "+1 %%"])
def test_what_is_copied_from_a_grid_is_no_formula_either(cell):
    assert text.pasted_safely(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["-1", "+0.5", "-1,234.50", "+1.25 %", "-1e-05", -1.5, "a", "–"])
def test_a_number_in_words_is_shown_as_it_is(cell):
    assert text.pasted_safely(cell) == cell
