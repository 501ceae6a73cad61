"""Benjamini–Hochberg against scipy, statsmodels and the published example."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from errors import BadInput
from quant.fdr import benjamini_hochberg, two_directions

# Benjamini & Hochberg (1995), section 4.1: fifteen p-values of a thrombolysis study; at 5 % the
# procedure rejects the four smallest.
PUBLISHED = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip


def test_the_published_example_rejects_four() -> None:
    q = benjamini_hochberg(PUBLISHED)
    assert list(q <= 0.05) == [True] * 4 + [False] * 11


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80))
def test_q_values_equal_scipy_and_statsmodels(pvalues) -> None:
    q = benjamini_hochberg(pvalues)
    assert q == pytest.approx(false_discovery_control(pvalues), abs=1e-14)
    assert q == pytest.approx(multipletests(pvalues, method="fdr_bh")[1], abs=1e-14)
    order = np.argsort(pvalues, kind="stable")
    assert (np.diff(q[order]) >= 0).all()


def test_a_test_that_could_not_be_made_does_not_count() -> None:
    q = benjamini_hochberg([0.01, np.nan, 0.04])
    assert np.isnan(q[1])
    assert q[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(benjamini_hochberg([np.nan])).all()


def test_a_p_value_above_1_is_refused() -> None:
    with pytest.raises(BadInput, match="0 to 1"):
        benjamini_hochberg([0.2, 1.2])


def test_two_directions_cost_a_factor_of_two() -> None:
    p = two_directions(np.array([0.01, 0.9]), np.array([0.3, 0.8]))
    assert p == pytest.approx([0.02, 1.0])
