"""The exchange's side of the wire: frames and REST rows as the exchange writes them.

Shares no code with the platform's parser, so that a test of one against the other compares two
independent readings of the protocol.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from simulator.symbols import SymbolSpec
from simulator.tape import Event, Trades

MARKET_STREAMS = frozenset(
    {"aggTrade", "markPrice", "kline", "ticker", "miniTicker", "forceOrder", "contractInfo"}
)
PUBLIC_STREAMS = frozenset({"bookTicker", "depth", "trade"})
"""What each route carries. The legacy route carries the public ones alone."""


def to_json(value: Any) -> bytes:
    """Compact JSON, as the exchange writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def decimal(units: int, decimals: int) -> str:
    """The text of ``units · 10**−decimals`` with exactly `decimals` places."""
    if decimals == 0:
        return str(units)
    sign, digits = ("-" if units < 0 else ""), str(abs(units)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def combined(stream: str, data: bytes) -> bytes:
    """The envelope of the ``/stream`` routes."""
    return b'{"stream":"' + stream.encode() + b'","data":' + data + b"}"


def text_frame(payload: bytes, *, opcode: int = 1, final: bool = True) -> bytes:
    """One unmasked WebSocket frame (RFC 6455, section 5.2)."""
    head = bytes([(0x80 if final else 0) | opcode])
    size = len(payload)
    if size < 126:
        return head + bytes([size]) + payload
    if size < 65536:
        return head + b"\x7e" + size.to_bytes(2, "big") + payload
    return head + b"\x7f" + size.to_bytes(8, "big") + payload


def agg_trade_events(trades: Trades) -> list[Event]:
    """One ``aggTrade`` event a row."""
    spec, name = trades.spec, trades.spec.wire_name
    stream = f"{spec.symbol}@aggTrade"
    events = []
    for a, p, q, f, last, t, maker, lag in _rows(trades):
        text = (
            f'{{"e":"aggTrade","E":{t + lag},"a":{a},"s":"{name}","p":"{p}","q":"{q}","nq":"{q}",'
            f'"f":{f},"l":{last},"T":{t},"m":{maker},"st":1}}'
        )
        events.append(Event(t, stream, text.encode()))
    return events


def trade_events(trades: Trades) -> list[Event]:
    """The single prints behind aggregate trades, two ids a row, contiguous.

    A row of two trades is split; a row of one leaves its second id to a print that is no trade:
    mostly ``NA`` with price and quantity zero, now and then ``INSURANCE_FUND`` far off the market.
    """
    spec = trades.spec
    stream = f"{spec.symbol}@trade"
    events = []
    columns = zip(
        trades.first_id.tolist(),
        trades.last_id.tolist(),
        trades.time_ms.tolist(),
        trades.price_ticks.tolist(),
        trades.quantity_steps.tolist(),
        trades.is_buyer_maker.tolist(),
        trades.lag_ms.tolist(),
        strict=True,
    )
    for first, last, t, ticks, steps, maker, lag in columns:
        head = steps - steps // 2 if last > first else steps
        rest = (ticks, steps // 2, "MARKET") if last > first else _no_trade(first, ticks)
        prints = ((first, ticks, head, "MARKET"), (first + 1, *rest))
        for number, price, quantity, kind in prints:
            text = _trade_text(spec, number, t, price, quantity, kind, maker, lag)
            events.append(Event(t, stream, text.encode()))
    return events


def _no_trade(first: int, ticks: int) -> tuple[int, int, str]:
    """Price, quantity and kind of a print that is no trade."""
    return (ticks + ticks // 12, 5, "INSURANCE_FUND") if first % 97 == 0 else (0, 0, "NA")


def _trade_text(
    spec: SymbolSpec, number: int, t: int, ticks: int, steps: int, kind: str, maker: bool, lag: int
) -> str:
    none = kind == "NA"
    p = "0" if none else decimal(ticks, spec.price_decimals)
    q = "0" if none else decimal(steps, spec.quantity_decimals)
    return (
        f'{{"e":"trade","E":{t + lag},"T":{t},"s":"{spec.wire_name}","t":{number},"p":"{p}",'
        f'"q":"{q}","X":"{kind}","m":{"true" if maker else "false"},"st":1}}'
    )


def _rows(trades: Trades) -> Iterable[tuple[int, str, str, int, int, int, str, int]]:
    spec = trades.spec
    prices = [decimal(n, spec.price_decimals) for n in trades.price_ticks.tolist()]
    sizes = [decimal(n, spec.quantity_decimals) for n in trades.quantity_steps.tolist()]
    makers = ["true" if m else "false" for m in trades.is_buyer_maker.tolist()]
    return zip(
        trades.id.tolist(),
        prices,
        sizes,
        trades.first_id.tolist(),
        trades.last_id.tolist(),
        trades.time_ms.tolist(),
        makers,
        trades.lag_ms.tolist(),
        strict=True,
    )


def agg_trade_rows(trades: Trades) -> bytes:
    """The body of ``GET /fapi/v1/aggTrades``."""
    rows = (
        f'{{"a":{a},"p":"{p}","q":"{q}","nq":"{q}","f":{f},"l":{last},"T":{t},"m":{maker}}}'
        for a, p, q, f, last, t, maker, _ in _rows(trades)
    )
    return ("[" + ",".join(rows) + "]").encode()


def book_ticker_event(spec: SymbolSpec, time_ms: int, bid_ticks: int, update: int) -> Event:
    """One ``bookTicker`` event; the ask is one tick above the bid."""
    bid, ask = (decimal(bid_ticks + k, spec.price_decimals) for k in (0, 1))
    size = decimal(10 ** (spec.quantity_decimals + 1), spec.quantity_decimals)
    name = spec.wire_name
    text = (
        f'{{"e":"bookTicker","u":{update},"s":"{name}","ps":"{name}","b":"{bid}","B":"{size}",'
        f'"a":"{ask}","A":"{size}","T":{time_ms},"E":{time_ms + 1},"st":1}}'
    )
    return Event(time_ms, f"{spec.symbol}@bookTicker", text.encode())


def mark_price_event(stream: str, spec: SymbolSpec, time_ms: int, price: float) -> Event:
    """One ``markPriceUpdate`` event on `stream` (``…@markPrice`` or ``…@markPrice@1s``)."""
    text, eight_hours = f"{price:.8f}", 28_800_000
    data = {
        "e": "markPriceUpdate",
        "E": time_ms,
        "s": spec.wire_name,
        "p": text,
        "ap": text,
        "i": text,
        "P": text,
        "r": "0.00010000",
        "T": (time_ms // eight_hours + 1) * eight_hours,
        "st": 1,
    }
    return Event(time_ms, stream, to_json(data))


def server_shutdown(time_ms: int) -> bytes:
    """The event that announces the close of a connection."""
    return to_json({"e": "serverShutdown", "E": time_ms})


def result(request_id: Any, value: Any = None) -> bytes:
    """The answer to a control message."""
    return to_json({"result": value, "id": request_id})


def refusal(code: int, message: str, request_id: Any = None) -> bytes:
    """The answer to a control message that is not understood."""
    body: dict[str, Any] = {"error": {"code": code, "msg": message}}
    if request_id is not None:
        body["id"] = request_id
    return to_json(body)


def rest_error(code: int, message: str) -> bytes:
    """The body of a refused REST request."""
    return to_json({"code": code, "msg": message})


def exchange_info(specs: Sequence[SymbolSpec], now_ms: int, weight_a_minute: int) -> bytes:
    """The body of ``GET /fapi/v1/exchangeInfo``."""
    limit = {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": weight_a_minute,
    }
    return to_json(
        {
            "timezone": "UTC",
            "serverTime": now_ms,
            "futuresType": "U_MARGINED",
            "rateLimits": [limit],
            "exchangeFilters": [],
            "assets": [],
            "symbols": [_symbol_info(spec) for spec in specs],
        }
    )


def _symbol_info(spec: SymbolSpec) -> dict[str, Any]:
    tick, step = decimal(1, spec.price_decimals), decimal(1, spec.quantity_decimals)
    most = "1000000"
    return {
        "symbol": spec.wire_name,
        "pair": spec.wire_name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1767225600000,
        "status": "TRADING",
        "baseAsset": spec.wire_name.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": spec.price_decimals,
        "quantityPrecision": spec.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": most, "tickSize": tick},
            {"filterType": "LOT_SIZE", "stepSize": step, "maxQty": most, "minQty": step},
            {"filterType": "MARKET_LOT_SIZE", "stepSize": step, "maxQty": most, "minQty": step},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }
