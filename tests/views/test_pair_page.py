"""The study of a pair: where it cannot be made, the page says why instead of waiting."""

from types import SimpleNamespace

import pytest

from errors import BadInput
from views import pair_page


@pytest.mark.parametrize(
    ("problem", "said", "logged"),
    [
        (BadInput("The spread is a straight line."), "The spread is a straight line.", False),
        (ValueError("array"), "They failed on these candles; the reason is in the log.", True),
    ],
)
def test_a_study_that_fails_says_why(monkeypatch, caplog, problem, said, logged):
    def failing(state):
        raise problem

    monkeypatch.setattr(pair_page, "_study", failing)
    state = SimpleNamespace(title="A / B", closes=SimpleNamespace(closed=120))
    study = pair_page._study_or_word(state)
    assert said in str(study)
    assert bool(caplog.records) == logged
