"""The exchange's funding rate, asked of a real local exchange."""

import pytest

from collecting.rest import BinanceRest
from errors import MalformedMessage


@pytest.mark.parametrize(
    ("answer", "rate"), [([{"fundingRate": "0.00012500"}], 0.000125), ([], None)]
)
def test_the_rate_published_last_is_a_fraction(monkeypatch, answer, rate):
    rest = BinanceRest("http://127.0.0.1:9")
    monkeypatch.setattr(rest, "_get_json", lambda path, parameters: answer)
    assert rest.last_funding_rate("btcusdt") == rate


@pytest.mark.parametrize("answer", [[{}], {"code": -1}, [{"fundingRate": "soon"}]])
def test_an_answer_of_another_shape_is_an_error(monkeypatch, answer):
    rest = BinanceRest("http://127.0.0.1:9")
    monkeypatch.setattr(rest, "_get_json", lambda path, parameters: answer)
    with pytest.raises(MalformedMessage):
        rest.last_funding_rate("btcusdt")


def test_the_simulated_exchange_answers_as_the_real_one_does():
    from simulator.server import Exchange

    exchange = Exchange().start()
    try:
        rate = BinanceRest(exchange.rest_url).last_funding_rate("btcusdt")
    finally:
        exchange.stop()
    assert rate is not None
    assert abs(rate) < 0.01
