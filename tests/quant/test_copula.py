"""Copulas against statsmodels' densities, and against data drawn from each of them."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.distributions.copula.api import (
    ClaytonCopula,
    GaussianCopula,
    GumbelCopula,
    StudentTCopula,
)

from errors import BadInput, InsufficientData
from quant.copula import fit_copula
from quant.copula_families import FAMILIES

CASES = [
    ("gaussian", (0.7,), lambda: GaussianCopula(0.7)),
    ("t", (0.6, 4.0), lambda: StudentTCopula(0.6, df=4)),
    ("clayton", (2.5,), lambda: ClaytonCopula(2.5)),
    ("gumbel", (1.9,), lambda: GumbelCopula(1.9)),
]


@pytest.mark.parametrize(("name", "parameters", "theirs"), CASES)
def test_densities_equal_statsmodels(name, parameters, theirs) -> None:
    u, v = np.random.default_rng(1).uniform(0.001, 0.999, size=(2, 500))
    ours = FAMILIES[name].log_density(u, v, np.array(parameters))
    assert ours == pytest.approx(np.log(theirs().pdf(np.column_stack([u, v]))), abs=1e-7)


@pytest.mark.parametrize(("name", "parameters", "theirs"), CASES)
def test_the_conditional_probability_is_the_integral_of_the_density(
    name, parameters, theirs
) -> None:
    family, p = FAMILIES[name], np.array(parameters)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    for u, v in ((0.2, 0.7), (0.9, 0.4), (0.5, 0.5)):
        # In w with point = u · w⁴, which takes the sting out of the corner at 0.
        w = 0.5 * (nodes + 1)
        point = u * w**4
        slope = 4 * u * w**3 * 0.5
        area = np.sum(weights * slope * np.exp(family.log_density(point, np.full(400, v), p)))
        ours = family.conditional(np.array([u]), np.array([v]), p)[0]
        assert ours == pytest.approx(area, abs=1e-5)


@pytest.mark.parametrize(("name", "parameters", "theirs"), CASES)
def test_the_family_the_data_came_from_is_chosen_with_its_parameters(
    name, parameters, theirs
) -> None:
    draws = theirs().rvs(3000, rng=np.random.default_rng(7))
    fit = fit_copula(draws[:, 0], draws[:, 1], returns=False)
    assert fit.family == name
    assert fit.parameters[FAMILIES[name].names[0]] == pytest.approx(parameters[0], rel=0.1)
    assert fit.aic == fit.table["aic"].min()
    assert set(fit.table["family"]) == set(FAMILIES)
    # Given the other leg, the rank is uniform: the signal is calibrated.
    for probability in (fit.probability1, fit.probability2):
        assert np.mean(probability < 0.05) == pytest.approx(0.05, abs=0.015)
        assert np.mean(probability > 0.95) == pytest.approx(0.05, abs=0.015)


def test_tail_dependence_is_clayton_low_gumbel_high() -> None:
    assert FAMILIES["clayton"].tails(np.array([2.0])) == pytest.approx((2 ** (-0.5), 0.0))
    assert FAMILIES["gumbel"].tails(np.array([2.0])) == pytest.approx((0.0, 2 - 2**0.5))
    lower, upper = FAMILIES["t"].tails(np.array([0.5, 4.0]))
    # McNeil, Frey & Embrechts (2005), table 5.1: ν = 4, ρ = 0.5 gives 0.25.
    assert lower == upper == pytest.approx(0.25, abs=0.005)


def test_negative_dependence_leaves_out_what_cannot_bend_that_way() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=500)
    fit = fit_copula(-x + rng.normal(size=500), x, returns=False)
    assert set(fit.table["family"]) == {"gaussian", "t"}
    assert len(fit.notes) == 2
    assert fit.kendall_tau < 0


def test_only_ranks_matter() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=300)
    y = x + rng.normal(size=300)
    plain = fit_copula(y, x, returns=False)
    bent = fit_copula(np.exp(y), x**3, returns=False)
    assert bent.aic == pytest.approx(plain.aic)
    assert plain.conditional(0.5, 0.5).shape == ()


def test_unusable_input_is_refused_with_a_sentence() -> None:
    rng = np.random.default_rng(5)
    y, x = rng.normal(size=(2, 100))
    with pytest.raises(InsufficientData, match="at least 60"):
        fit_copula(y[:30], x[:30], returns=False)
    with pytest.raises(BadInput, match="above 0"):
        fit_copula(y, x)
    with pytest.raises(BadInput, match="rise and fall as one"):
        fit_copula(2 * x + 1, x, returns=False)
    with pytest.raises(BadInput, match="constant"):
        fit_copula(np.ones(100), x, returns=False)
    with pytest.raises(BadInput, match="between 0 and 1"):
        fit_copula(y, x, returns=False).conditional(1.5, 0.5)
