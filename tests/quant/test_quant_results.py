"""Results read as attributes and as mappings."""

from __future__ import annotations

import dataclasses

import pytest

from quant.results import Interval, TestResult


@pytest.fixture
def result() -> TestResult:
    return TestResult(
        statistic=-3.5,
        pvalue=0.01,
        critical_values={"5%": -2.86},
        used_lag=1,
        n_obs=99,
        null_hypothesis="a unit root",
        verdict="rejected",
    )


def test_a_result_is_a_mapping_of_its_fields(result):
    assert result["statistic"] == result.statistic == -3.5
    assert dict(result)["n_obs"] == 99
    assert "pvalue" in result
    assert len(result) == len(dataclasses.fields(result))


def test_an_unknown_field_is_named_beside_the_known(result):
    with pytest.raises(KeyError, match="no field 'p'; there are statistic, pvalue"):
        result["p"]
    assert result.get("p") is None


def test_a_result_is_frozen(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.statistic = 0.0


def test_an_interval_covers_its_ends():
    assert Interval(1, 2).covers(2)
    assert not Interval(1, 2).covers(2.1)
