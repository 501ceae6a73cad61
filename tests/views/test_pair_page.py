"""The study of a pair: where it cannot be made, the page says why instead of waiting."""

from types import SimpleNamespace

import numpy as np
import pytest

from errors import BadInput, InsufficientData
from views import pair_page
from views.pair import Closes, PairOptions


@pytest.mark.parametrize(
    ("problem", "said", "logged"),
    [
        (BadInput("The spread is a straight line."), "The spread is a straight line.", False),
        (InsufficientData("ADF", 150, 120), "by 2025-10-09 11:30:00 UTC.", False),
        (ValueError("array"), "They failed on these candles; the reason is in the log.", True),
    ],
)
def test_a_study_that_fails_says_why(monkeypatch, caplog, problem, said, logged):
    def failing(state):
        raise problem

    monkeypatch.setattr(pair_page, "_study", failing)
    at_ms = 1_760_000_400_000 + 60_000 * np.arange(120)
    closes = Closes(at_ms, np.ones(120), np.ones(120), 120)
    options = PairOptions("btcusdt", "ethusdt", "1min")
    state = SimpleNamespace(title="A / B", closes=closes, options=options)
    study = pair_page._study_or_word(state)
    assert said in str(study)
    assert bool(caplog.records) == logged
