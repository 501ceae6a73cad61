"""The exchange's REST endpoints that the platform needs, within the weight budget."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import requests

from binance import Id, Ms, authorities, refused
from errors import CertificateRefused, MalformedMessage, NoNetwork
from ticks import TickBatch

WEIGHT_A_MINUTE = 2400
AGG_TRADES_WEIGHT = 20
AGG_TRADES_LIMIT = 1000


class _Row(msgspec.Struct, gc=False):
    a: Id
    p: Annotated[float, msgspec.Meta(gt=0)]
    q: Annotated[float, msgspec.Meta(gt=0)]
    T: Ms
    m: bool


_decode_rows = msgspec.json.Decoder(list[_Row], strict=False).decode


@dataclass(frozen=True, slots=True)
class Instrument:
    """How a symbol is quoted: prices in steps of ``tick_size``, quantities of ``step_size``."""

    symbol: str
    trading: bool
    contract: str
    tick_size: float | None
    step_size: float | None
    min_notional: float | None


class BinanceRest:
    """The REST endpoints that the collector needs, in one session, within the weight budget.

    Parameters
    ----------
    base : str
        Such as ``https://fapi.binance.com``.
    budget : float
        Share of the weight a minute that may be used before calls wait for the next minute; the
        rest is left to other programs behind the same address. The weight is 2,400 until
        `instruments` has said what the exchange allows.
    """

    def __init__(self, base: str, *, budget: float = 0.6, timeout_s: float = 10.0) -> None:
        self._base, self._timeout_s = base.rstrip("/"), timeout_s
        self._budget, self._limit = budget, budget * WEIGHT_A_MINUTE
        self._session = requests.Session()
        self._session.verify = authorities()
        self._minute, self._used = -1, 0

    @property
    def used_weight(self) -> int:
        """Weight used in this minute, as the exchange counted it last."""
        return self._used if self._minute == _minute_now() else 0

    def wait_s(self, weight: int) -> float:
        """Seconds until a call of this weight fits the budget; 0 where it does now."""
        if self.used_weight + weight <= self._limit:
            return 0.0
        return 60.0 - time.time() % 60.0

    def held_up_s(self, calls: int, weight: int) -> float:
        """Seconds that the budget alone keeps the last of so many calls waiting."""
        # Others behind the same address may have used more than our share of this minute.
        left_over = calls - max(0, int((self._limit - self.used_weight) // weight))
        if left_over <= 0:
            return 0.0
        minutes = (left_over - 1) // max(1, int(self._limit // weight))
        return 60.0 * minutes + 60.0 - time.time() % 60.0

    def instruments(self) -> dict[str, Instrument]:
        """Every listed symbol, in lower case; from then on the exchange's own limit counts."""
        body = self._get_json("/fapi/v1/exchangeInfo", {})
        try:
            self._limit = self._budget * _weight_a_minute(body)
            return {i.symbol: i for i in map(_instrument, body["symbols"])}
        except (KeyError, TypeError, AttributeError, ValueError):
            raise MalformedMessage("exchangeInfo does not list symbols as described.") from None

    def server_time_ms(self) -> int:
        """The exchange's clock."""
        return int(self._get_json("/fapi/v1/time", {})["serverTime"])

    def agg_trades(self, symbol: str, *, from_id: int, limit: int = AGG_TRADES_LIMIT) -> TickBatch:
        """Aggregate trades from an id on, ascending; the exchange keeps 48 hours of them."""
        return self._rows(symbol, {"fromId": from_id, "limit": limit})

    def agg_trades_between(
        self, symbol: str, start_ms: int, end_ms: int, *, limit: int = AGG_TRADES_LIMIT
    ) -> TickBatch:
        """The first aggregate trades of a span of less than an hour."""
        return self._rows(symbol, {"startTime": start_ms, "endTime": end_ms, "limit": limit})

    def last_funding_rate(self, symbol: str) -> float | None:
        """The funding rate published last, a fraction per funding time; None where there is none.

        Raises
        ------
        MalformedMessage
            The answer is not as described.
        """
        rows = self._get_json("/fapi/v1/fundingRate", {"symbol": symbol.upper(), "limit": 1})
        try:
            return float(rows[-1]["fundingRate"]) if rows else None
        except (KeyError, TypeError, ValueError, IndexError):
            raise MalformedMessage(f"fundingRate of {symbol} is not as described.") from None

    def _rows(self, symbol: str, parameters: dict[str, Any]) -> TickBatch:
        body = self._get("/fapi/v1/aggTrades", {"symbol": symbol.upper(), **parameters})
        try:
            rows = _decode_rows(body)
        except msgspec.MsgspecError as error:
            raise MalformedMessage(f"aggTrades of {symbol} do not parse: {error}.") from None
        return TickBatch(
            "aggTrade",
            [symbol] * len(rows),
            [r.T for r in rows],
            [r.p for r in rows],
            [r.q for r in rows],
            [r.a for r in rows],
            [r.m for r in rows],
        )

    def _get_json(self, path: str, parameters: dict[str, Any]) -> Any:
        try:
            return json.loads(self._get(path, parameters))
        except ValueError:
            raise MalformedMessage(f"{path} did not answer with JSON.") from None

    def _get(self, path: str, parameters: dict[str, Any]) -> bytes:
        """Body of the answer.

        Raises
        ------
        NoNetwork, CertificateRefused, RestrictedLocation, AccessRefused, RateLimited, FeedError
        """
        url = self._base + path
        try:
            answer = self._session.get(url, params=parameters, timeout=self._timeout_s)
            body = answer.content
        except requests.exceptions.SSLError as error:
            raise CertificateRefused(_certificate(url)) from error
        except requests.exceptions.RequestException as error:
            raise NoNetwork(_no_answer(url)) from error
        self._note_weight(answer.headers)
        if answer.status_code != 200:
            raise refused(answer.status_code, answer.headers, answer.text, url)
        return body

    def _note_weight(self, headers: Mapping[str, str]) -> None:
        try:
            self._used = int(headers.get("X-MBX-USED-WEIGHT-1M", ""))
        except ValueError:
            return
        self._minute = _minute_now()

    def close(self) -> None:
        """Close the session's connections."""
        self._session.close()


def _minute_now() -> int:
    return int(time.time() // 60)


def _certificate(url: str) -> str:
    return (
        f"The certificate of {urlsplit(url).hostname} could not be verified; "
        "check this computer's clock and whether something intercepts its traffic."
    )


def _no_answer(url: str) -> str:
    return f"{urlsplit(url).hostname} does not answer; check the network."


def _instrument(entry: Mapping[str, Any]) -> Instrument:
    filters = {f.get("filterType"): f for f in entry.get("filters", [])}
    return Instrument(
        entry["symbol"].lower(),
        entry.get("status") == "TRADING",
        str(entry.get("contractType", "")),
        _number(filters.get("PRICE_FILTER", {}).get("tickSize")),
        _number(filters.get("LOT_SIZE", {}).get("stepSize")),
        _number(filters.get("MIN_NOTIONAL", {}).get("notional")),
    )


def _weight_a_minute(body: Mapping[str, Any]) -> int:
    for limit in body.get("rateLimits", []):
        kind, every = limit.get("rateLimitType"), (limit.get("intervalNum"), limit.get("interval"))
        if kind == "REQUEST_WEIGHT" and every == (1, "MINUTE"):
            return int(limit["limit"])
    return WEIGHT_A_MINUTE


def _number(text: Any) -> float | None:
    return None if text is None else float(text)
