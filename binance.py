"""The exchange's wire: addresses, control messages, frames → columns of ticks, causes of refusal.

It opens nothing. The facts are Binance's USDⓈ-M futures as of November 2026: trades
aggregated per price and side come on the *market* route, single trades (undocumented) on *public*.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import certifi
import msgspec

from errors import (
    AccessRefused,
    CertificateRefused,
    FeedError,
    RateLimited,
    RestrictedLocation,
)
from ticks import TickBatch, refusal

StreamKind = Literal["aggTrade", "trade"]

_ROUTES: dict[str, str] = {"aggTrade": "market", "trade": "public"}
_TRADES = frozenset(("MARKET", "RPI"))
# So many event times of messages that came together stand for all in the measure of lag.
_SAMPLES = 8
# A print that says it happened further from its own message than this has a wrong time.
_APART_MS = 86_400_000
_MARK, _MARK_BYTES = "markPriceUpdate", b'"markPriceUpdate"'

# -- addresses and control messages ----------------------------------------------------------


def stream_name(symbol: str, kind: StreamKind) -> str:
    """The stream of a symbol, such as ``btcusdt@aggTrade``."""
    return f"{symbol.lower()}@{kind}"


def mark_stream_name(symbol: str) -> str:
    """The stream of a symbol's mark price, one a second."""
    return f"{symbol.lower()}@markPrice@1s"


def carries_marks(kind: StreamKind) -> bool:
    """Whether mark prices come on the route of this kind of stream; on *public* they do not."""
    return _ROUTES[kind] == "market"


def stream_url(base: str, kind: StreamKind, streams: Sequence[str]) -> str:
    """Address that delivers these streams, each message wrapped with its stream's name.

    A base that ends in one of the exchange's routes, such as the once documented
    ``wss://fstream.binance.com/ws``, loses it: on the old route ``aggTrade`` is silent for ever.
    """
    return f"{ws_base(base)}/{_ROUTES[kind]}/stream?streams={'/'.join(streams)}"


def ws_base(address: str) -> str:
    """The address without any of the exchange's routes at its end."""
    base = address.strip().rstrip("/")
    for ending in ("/ws", "/stream", "/market", "/public"):
        base = base.removesuffix(ending).rstrip("/")
    return base


def names_a_route(address: str) -> bool:
    """Whether the address ends in a route, which is then replaced (and said in the log)."""
    return ws_base(address) != address.strip().rstrip("/")


def subscribe(streams: Sequence[str], message_id: int) -> str:
    """Control message that adds streams."""
    return json.dumps({"method": "SUBSCRIBE", "params": list(streams), "id": message_id})


def unsubscribe(streams: Sequence[str], message_id: int) -> str:
    """Control message that removes streams."""
    return json.dumps({"method": "UNSUBSCRIBE", "params": list(streams), "id": message_id})


def list_subscriptions(message_id: int) -> str:
    """Control message that is always answered: the probe of a silent connection."""
    return json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": message_id})


def authorities() -> str:
    """File of certificate authorities: certifi's, or what the environment names (a proxy's)."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return next((os.environ[n] for n in names if os.environ.get(n)), certifi.where())


# -- frames → columns ------------------------------------------------------------------------

Ms = Annotated[int, msgspec.Meta(gt=0, lt=10**13)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Aggregate(msgspec.Struct, gc=False):
    e: Literal["aggTrade"]
    E: Ms
    s: str
    a: Id
    p: float
    q: float
    T: Ms
    m: bool


class _Single(msgspec.Struct, gc=False):
    e: Literal["trade"]
    E: Ms
    s: str
    t: Id
    p: float
    q: float
    T: Ms
    m: bool
    X: str = "MARKET"


class _WrappedAggregate(msgspec.Struct, gc=False):
    data: _Aggregate


class _WrappedSingle(msgspec.Struct, gc=False):
    data: _Single


class _MarkUpdate(msgspec.Struct, gc=False):
    e: Literal["markPriceUpdate"]
    E: Ms
    s: str
    p: float


class Mark(NamedTuple):
    """A symbol's mark price, as sent at ``time_ms``."""

    symbol: str
    time_ms: int
    price: float


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a control message; ``error`` is its sentence, ``result`` what was listed."""

    id: int | None
    result: tuple[str, ...] | None = None
    error: str | None = None


@dataclass(slots=True)
class Parsed:
    """What some messages said.

    Attributes
    ----------
    batch : TickBatch
        The trades.
    event_ms : list of int
        When the exchange sent them; of many that came together, a few.
    seen : list of (symbol, id, time_ms)
        Ids of prints that are no trades: dropped, yet no holes.
    marks : list of Mark
        Mark prices, where they are taken.
    dropped : Counter
        How many messages were dropped, by reason.
    replies : list of Reply
    shutdown : bool
        The server announced that it will close.
    """

    batch: TickBatch
    event_ms: list[int] = field(default_factory=list)
    seen: list[tuple[str, int, int]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    replies: list[Reply] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    shutdown: bool = False


class FrameParser:
    """Messages of one kind of stream → columns.

    All messages that arrived together are decoded as one JSON array, which is several times
    faster than one by one; where anything in them is unusual they are taken singly.

    Parameters
    ----------
    kind : {'aggTrade', 'trade'}
    symbols : sequence of str
        Those asked for, in lower case; prints of others are dropped.
    marks : bool
        Whether mark prices are taken; they are unknown events otherwise.
    """

    def __init__(self, kind: StreamKind, symbols: Sequence[str] = (), marks: bool = False) -> None:
        self.kind: StreamKind = kind
        self._takes_marks = marks
        self._single = kind == "trade"
        wrapped: Any = _WrappedSingle if self._single else _WrappedAggregate
        # Lax: the exchange writes prices as text, and decoding them as numbers is done in C.
        self._decode_all = msgspec.json.Decoder(list[wrapped], strict=False).decode
        self._decode_wrapped = msgspec.json.Decoder(wrapped, strict=False).decode
        bare: Any = _Single if self._single else _Aggregate
        self._decode_bare = msgspec.json.Decoder(bare, strict=False).decode
        self._id = attrgetter("t" if self._single else "a")
        self._names: dict[str, str] = {}
        self.set_symbols(symbols)

    def set_symbols(self, symbols: Sequence[str]) -> None:
        """Name the symbols asked for."""
        self._names = {symbol.upper(): symbol for symbol in symbols}

    def parse(self, messages: Sequence[bytes]) -> Parsed:
        """What the messages said, in order; never raises for what they contain."""
        parsed = self._together(messages)
        if parsed is not None:
            return parsed
        marks = [m for m in messages if _MARK_BYTES in m] if self._takes_marks else []
        if not marks:
            return self._one_by_one(messages)
        # A few marks among many prints: put aside, so that the prints still go together.
        prints = [m for m in messages if _MARK_BYTES not in m]
        parsed = self._together(prints) or self._one_by_one(prints)
        for message in marks:
            self._take_mark(message, parsed)
        return parsed

    def _together(self, messages: Sequence[bytes]) -> Parsed | None:
        """All of them as one array; None where anything in them is unusual."""
        try:
            prints = self._decode_all(b"[" + b",".join(messages) + b"]")
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if len(prints) != len(messages):
            return None
        rows = [wrapped.data for wrapped in prints]
        try:
            names = list(map(self._names.__getitem__, [row.s for row in rows]))
        except KeyError:
            return None
        price, size = [row.p for row in rows], [row.q for row in rows]
        if not _positive(price) or not _positive(size):
            return None
        if self._single and not {row.X for row in rows} <= _TRADES:
            return None
        times = [row.T for row in rows]
        # Sent together within seconds, so that one time of sending stands for all.
        if rows and not (_near(min(times), rows[0].E) and _near(max(times), rows[0].E)):
            return None
        batch = TickBatch(
            self.kind,
            names,
            times,
            price,
            size,
            [row.t for row in rows] if self._single else [row.a for row in rows],
            [row.m for row in rows],
        )
        return Parsed(batch, [row.E for row in rows[:: -(-len(rows) // _SAMPLES)]] if rows else [])

    def _one_by_one(self, messages: Sequence[bytes]) -> Parsed:
        parsed = Parsed(TickBatch(self.kind))
        for message in messages:
            self._take_one(message, parsed)
        return parsed

    def _take_one(self, message: bytes, parsed: Parsed) -> None:
        try:
            one = self._decode_wrapped(message).data
        except (msgspec.MsgspecError, UnicodeDecodeError):
            try:
                one = self._decode_bare(message)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self._take_other(message, parsed)
                return
        self._take_print(one, parsed)

    def _take_mark(self, message: bytes, parsed: Parsed) -> None:
        """A mark price; what only looks like one is taken as anything else is."""
        try:
            body = json.loads(message)
            body = body.get("data", body) if isinstance(body, dict) else body
            mark = msgspec.convert(body, _MarkUpdate, strict=False)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            self._take_one(message, parsed)
            return
        symbol = self._names.get(mark.s, "")
        wrong = refusal(symbol, mark.E, mark.p, 1.0) if symbol else "symbol not asked for"
        if wrong is None:
            parsed.marks.append(Mark(symbol, mark.E, mark.p))
        else:
            parsed.dropped[f"mark: {wrong}"] += 1

    def _take_print(self, one: Any, parsed: Parsed) -> None:
        symbol = self._names.get(one.s)
        if symbol is None:
            parsed.dropped["symbol not asked for"] += 1
            return
        if self._single and one.X not in _TRADES:
            parsed.seen.append((symbol, one.t, one.T))
            parsed.dropped[f"print of kind {one.X[:20]}"] += 1
            return
        wrong = refusal(symbol, one.T, one.p, one.q)
        if wrong is None and not _near(one.T, one.E):
            wrong = "time far from its message's"
        if wrong is not None:
            parsed.dropped[wrong] += 1
            return
        batch = parsed.batch
        batch.symbol.append(symbol)
        batch.time_ms.append(one.T)
        batch.price.append(one.p)
        batch.size.append(one.q)
        batch.trade_id.append(self._id(one))
        batch.is_buyer_maker.append(one.m)
        parsed.event_ms.append(one.E)

    def _take_other(self, message: bytes, parsed: Parsed) -> None:
        """A message that is no print of ours: an answer, an announcement, or rubbish."""
        try:
            body = json.loads(message)
        except (ValueError, RecursionError):
            parsed.dropped["not JSON"] += 1
            return
        if isinstance(body, dict) and isinstance(body.get("data"), dict):
            body = body["data"]
        if not isinstance(body, dict):
            parsed.dropped["not an object"] += 1
        elif body.get("e") == "serverShutdown":
            parsed.shutdown = True
        elif self._takes_marks and body.get("e") == _MARK:
            parsed.dropped["mark price that cannot be read"] += 1
        elif "e" in body:
            wanted = body["e"] == self.kind
            parsed.dropped[_what_is_wrong(body) if wanted else "unknown event"] += 1
        elif "result" in body or "error" in body or "code" in body:
            parsed.replies.append(_reply(body))
        else:
            parsed.dropped["unknown message"] += 1


def _near(trade_ms: int, sent_ms: int) -> bool:
    return abs(sent_ms - trade_ms) <= _APART_MS


def _positive(values: Sequence[float]) -> bool:
    # The sum is NaN or infinite as soon as one value is; min() alone would miss a NaN.
    return min(values, default=1.0) > 0 and sum(values) < float("inf")


def _what_is_wrong(body: Mapping[str, Any]) -> str:
    """Why a print of the right kind did not decode."""
    for key, name in (("p", "price"), ("q", "size")):
        value = body.get(key)
        try:
            float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return f"{name} is not a number"
    return "wrong types"


def _reply(body: Mapping[str, Any]) -> Reply:
    error = body.get("error") if isinstance(body.get("error"), dict) else body
    message_id = body.get("id")
    if not isinstance(message_id, int) or isinstance(message_id, bool):
        message_id = None
    if "error" in body or "code" in body:
        return Reply(message_id, error=f"{error.get('msg')} (code {error.get('code')})")  # type: ignore[union-attr]
    result = body.get("result")
    listed = tuple(map(str, result)) if isinstance(result, list) else None
    return Reply(message_id, listed)


# -- causes ----------------------------------------------------------------------------------


def refused(status: int, headers: Mapping[str, str], body: str, where: str) -> FeedError:
    """The error that an HTTP status stands for, at the handshake or over REST."""
    host = urlsplit(where).hostname or where
    if status == 451:
        return RestrictedLocation(
            f"{host} refuses this location (HTTP 451); it will not serve this place."
        )
    if status in (429, 418):
        wait_s = _retry_after_s(headers, 60.0 if status == 429 else 120.0)
        why = "too many requests" if status == 429 else "this address is banned for a while"
        return RateLimited(f"{host} asks to wait {wait_s:.0f} s: {why} (HTTP {status}).", wait_s)
    if status == 403:
        return AccessRefused(f"{host} refuses this address (HTTP 403, its firewall).")
    if status in (500, 502, 503, 504) and "retry-after" in {k.lower() for k in headers}:
        wait_s = _retry_after_s(headers, 5.0)
        return RateLimited(f"{host} is not available for {wait_s:.0f} s (HTTP {status}).", wait_s)
    said = " ".join(_message(body).split())[:120].rstrip(".")
    return FeedError(f"{host} answered HTTP {status}{': ' + said if said else ''}.")


def _message(body: str) -> str:
    """What an error body says: its ``msg`` where it is the exchange's JSON."""
    try:
        return str(json.loads(body)["msg"])
    except (ValueError, KeyError, TypeError):
        return body


def _retry_after_s(headers: Mapping[str, str], default_s: float) -> float:
    text = next((v for k, v in headers.items() if k.lower() == "retry-after"), "")
    try:
        return min(max(float(text), 0.0), 3 * 86_400.0)
    except ValueError:
        return default_s


def is_retryable(error: BaseException) -> bool:
    """Whether the same attempt may succeed soon; False means waiting long between attempts."""
    return not isinstance(error, (RestrictedLocation, CertificateRefused, AccessRefused))
