"""The REST side of the exchange: market data, weights and refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from simulator import wire
from simulator.candles import INTERVALS_MS, kline_rows
from simulator.symbols import SymbolSpec
from simulator.tape import Market

HOUR_MS = 3_600_000
KEPT_MS = 48 * HOUR_MS
"""How far back ``aggTrades`` reaches, and over how much time one answer of ``klines``."""

_FUNDING_MS = 8 * HOUR_MS
_FUNDING_REQUESTS = 500
_BAN_S = 120
_PATIENCE = 20
"""Requests over the budget before 429 turns into 418."""


class Answer(NamedTuple):
    """A REST response."""

    status: int
    body: bytes
    retry_after_s: int | None = None
    used_weight: int | None = None


class Refused(Exception):
    """A request that is answered with an error body."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, wire.rest_error(code, message))


class Budget:
    """Request weight a minute, and what happens to those who overdraw it.

    Parameters
    ----------
    limit : int
        Weight a minute.
    clock_s : callable
        Returns seconds; the machine's, whatever the market's clock does.
    """

    def __init__(self, limit: int, clock_s: Callable[[], float]) -> None:
        self.limit, self._clock_s = limit, clock_s
        self._minute, self.used, self._over = -1, 0, 0
        self._banned_until_s = 0.0

    def charge(self, weight: int) -> Answer | None:
        """Take `weight`; the answer that refuses, or None where there was enough."""
        now = self._clock_s()
        if now < self._banned_until_s:
            return self._refuse(418, self._banned_until_s - now)
        minute = int(now // 60)
        if minute != self._minute:
            self._minute, self.used, self._over = minute, 0, 0
        self.used += weight
        if self.used <= self.limit:
            return None
        self._over += 1
        if self._over > _PATIENCE:
            self._banned_until_s = now + _BAN_S
            return self._refuse(418, _BAN_S)
        return self._refuse(429, 60.0 - now % 60.0)

    def _refuse(self, status: int, wait_s: float) -> Answer:
        text = f"Too many requests; current limit is {self.limit} request weight per 1 MINUTE."
        body = wire.rest_error(-1003, text)
        return Answer(status, body, math.ceil(wait_s), self.used)


class Rest:
    """Answers requests about one market.

    Parameters
    ----------
    market : Market
        What the exchange plays.
    weight_a_minute : int
        The budget.
    clock_s : callable
        Returns seconds, for the budget.
    """

    def __init__(self, market: Market, weight_a_minute: int, clock_s: Callable[[], float]) -> None:
        self._market, self._tape = market, market.tape
        self.budget = Budget(weight_a_minute, clock_s)
        self._funding = Budget(_FUNDING_REQUESTS // 5, clock_s)
        self._routes: dict[str, Callable[[dict[str, str]], bytes]] = {
            "ping": lambda query: b"{}",
            "time": lambda query: wire.to_json({"serverTime": market.now_ms()}),
            "exchangeInfo": self._exchange_info,
            "aggTrades": self._agg_trades,
            "klines": self._klines,
            "fundingRate": self._funding_rate,
            "historicalTrades": self._historical_trades,
        }

    def answer(self, path: str) -> Answer:
        """The response to ``GET path``."""
        parts = urlsplit(path)
        name = parts.path.removeprefix("/fapi/v1/")
        route = self._routes.get(name)
        if route is None:
            return Answer(404, wire.rest_error(-5000, f"Path {parts.path}, Method GET is invalid"))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        budget, weight = self.budget, _weight(name, query)
        if name == "fundingRate":
            budget, weight = self._funding, 1
        refusal = budget.charge(weight)
        if refusal is not None:
            return refusal
        try:
            answer = Answer(200, route(query))
        except Refused as refused:
            answer = refused.answer
        return answer._replace(used_weight=self.budget.used)

    def _exchange_info(self, query: dict[str, str]) -> bytes:
        specs = list(self._tape.specs.values())
        return wire.exchange_info(specs, self._market.now_ms(), self.budget.limit)

    def _agg_trades(self, query: dict[str, str]) -> bytes:
        if self._market.kind == "trade":
            raise Refused(400, -4000, "This recording holds single trades, no aggTrades.")
        spec, limit = self._spec(query), _limit(query, 500, 1000)
        from_id, start, end = (_whole(query, k) for k in ("fromId", "startTime", "endTime"))
        symbol, now = spec.symbol, self._market.now_ms()
        oldest = self._tape.id_at(symbol, now - KEPT_MS)
        newest = self._tape.id_at(symbol, now + 1)
        if from_id is not None:
            if start is not None or end is not None:
                raise Refused(400, -1128, "Combination of optional parameters invalid.")
            first, stop = max(from_id, oldest), newest
        elif start is None and end is None:
            first, stop = max(newest - limit, oldest), newest
        else:
            start, end = _window(start, end)
            first = max(self._tape.id_at(symbol, start), oldest)
            stop = min(self._tape.id_at(symbol, end + 1), newest)
        return wire.agg_trade_rows(self._tape.trades(symbol, first, min(stop, first + limit)))

    def _klines(self, query: dict[str, str]) -> bytes:
        spec, limit = self._spec(query), _limit(query, 500, 1500)
        interval = INTERVALS_MS.get(query.get("interval", ""))
        if interval is None:
            raise Refused(400, -1120, "Invalid interval.")
        start, end = _whole(query, "startTime"), _whole(query, "endTime")
        now = self._market.now_ms()
        end = now if end is None else min(end, now)
        reach = min(limit * interval, KEPT_MS)
        newest_open = end // interval * interval
        begin = (
            newest_open - reach + interval if start is None else -(-start // interval) * interval
        )
        tape, stop = self._tape, min(end + interval, begin + reach, now + 1)
        last = tape.id_at(spec.symbol, min(stop, newest_open + interval))
        return kline_rows(
            tape.trades(spec.symbol, tape.id_at(spec.symbol, begin), last), interval, limit
        )

    def _funding_rate(self, query: dict[str, str]) -> bytes:
        named = [self._spec(query)] if "symbol" in query else list(self._tape.specs.values())
        limit, now = _limit(query, 100, 1000), self._market.now_ms()
        limit = -(-limit // len(named))
        start, end = _whole(query, "startTime"), _whole(query, "endTime")
        last = min(now, now if end is None else end) // _FUNDING_MS
        first = last - limit + 1 if start is None else -(-start // _FUNDING_MS)
        times = np.arange(first, min(last, first + limit - 1) + 1, dtype=np.int64) * _FUNDING_MS
        rows = []
        for spec in named:
            kept = times[times >= self._first_ms(spec.symbol)]
            for time_ms, mark in zip(
                kept.tolist(), self._market.mid_prices(spec.symbol, kept).tolist(), strict=True
            ):
                rate = 1e-4 * math.sin(time_ms / _FUNDING_MS + len(spec.symbol))
                rows.append(
                    {
                        "symbol": spec.wire_name,
                        "fundingTime": time_ms,
                        "fundingRate": f"{rate:.8f}",
                        "markPrice": f"{mark:.8f}",
                    }
                )
        rows.sort(key=lambda row: row["fundingTime"])
        return wire.to_json(rows)

    def _historical_trades(self, query: dict[str, str]) -> bytes:
        raise Refused(401, -2014, "API-key format invalid.")

    def _first_ms(self, symbol: str) -> int:
        first = self._tape.first_id(symbol)
        return int(self._tape.trades(symbol, first, first + 1).time_ms[0])

    def _spec(self, query: dict[str, str]) -> SymbolSpec:
        name = query.get("symbol")
        if not name:
            raise Refused(
                400,
                -1102,
                "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            )
        spec = self._tape.specs.get(name.lower())
        if spec is None or name != spec.wire_name:
            raise Refused(400, -1121, "Invalid symbol.")
        return spec


def _weight(name: str, query: dict[str, str]) -> int:
    if name == "aggTrades":
        return 20
    if name != "klines":
        return 1
    text = query.get("limit", "500")
    limit = int(text) if text.isdecimal() else 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _whole(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 16):
        raise Refused(
            400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        )
    return int(text)


def _limit(query: dict[str, str], default: int, most: int) -> int:
    limit = _whole(query, "limit")
    if limit is None:
        return default
    if not 1 <= limit <= most:
        raise Refused(400, -1130, "Data sent for parameter 'limit' is not valid.")
    return limit


def _window(start: int | None, end: int | None) -> tuple[int, int]:
    """The hour at most that is asked for, both ends inclusive."""
    if start is None:
        assert end is not None
        start = end - HOUR_MS + 1
    elif end is None:
        end = start + HOUR_MS - 1
    if end - start >= HOUR_MS:
        raise Refused(400, -1127, "More than 1 hours between startTime and endTime.")
    return start, end
