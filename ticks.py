"""The noun everything is made of: a `Tick`, and ticks as columns, a `TickBatch`."""

from __future__ import annotations

import hashlib
import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from errors import BadInput

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
PrintKind = Literal["aggTrade", "trade", "made"]
"""What the ids count: Binance's aggregate trades, its single trades, or ids made from the print."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MILLIS = tuple(f".{ms:03d}Z" for ms in range(1000))
_SYMBOL = re.compile(r"[a-z0-9_\-.]{1,40}")


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One trade print.

    Attributes
    ----------
    symbol : str
        Lower case, such as ``btcusdt``.
    time_ms : int
        The exchange's time of the trade, UTC epoch milliseconds.
    price : float
        Quote per base, positive.
    size : float
        Base units, positive.
    trade_id : int or None
        The exchange's id; None where the source has none (one is made when it is stored).
    is_buyer_maker : bool or None
        True where the seller was the aggressor.
    """

    symbol: str
    time_ms: int
    price: float
    size: float
    trade_id: int | None = None
    is_buyer_maker: bool | None = None

    @property
    def timestamp(self) -> str:
        """The time as in the ``ticks`` table: ``YYYY-MM-DDTHH:MM:SS.mmmZ``."""
        return iso_utc(self.time_ms)


class IsoClock:
    """Epoch milliseconds → ``YYYY-MM-DDTHH:MM:SS.mmmZ``, remembering the second it saw last.

    Ticks arrive by the hundred within one second, so nearly every call is a concatenation.
    """

    def __init__(self) -> None:
        self._second, self._prefix = -1, ""

    def __call__(self, time_ms: int) -> str:
        second, ms = divmod(time_ms, 1000)
        if second != self._second:
            moment = datetime.fromtimestamp(second, UTC)
            self._prefix = moment.strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return self._prefix + _MILLIS[ms]

    def column(self, times_ms: Sequence[int]) -> list[str]:
        """The whole column, in order."""
        texts: list[str] = []
        append = texts.append
        second_now, prefix = self._second, self._prefix
        time_now, text = -1, ""
        for time_ms in times_ms:
            # Busy moments bring many prints a millisecond.
            if time_ms != time_now:
                time_now = time_ms
                second = time_ms // 1000
                if second != second_now:
                    prefix = self(time_ms)[:-5]
                    second_now = second
                text = prefix + _MILLIS[time_ms - second * 1000]
            append(text)
        return texts


def iso_utc(time_ms: int) -> str:
    """Epoch milliseconds as fixed-width ISO-8601 in UTC, whose text order is time order."""
    return IsoClock()(time_ms)


def epoch_ms(text: str) -> int:
    """Epoch milliseconds of an ISO-8601 time; one without a zone is taken as UTC.

    Raises
    ------
    BadInput
        The text is not a time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{text!r} is not an ISO-8601 time.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # Whole milliseconds, rounded down as the exchange does: never into the next candle.
    return (moment - _EPOCH) // _MILLISECOND


def clean_symbols(symbols: Iterable[str] | str) -> list[str]:
    """Symbols trimmed, lower-cased and without repeats, in the order given.

    Raises
    ------
    BadInput
        There is none, or one holds characters that no symbol has.
    """
    if isinstance(symbols, str):
        symbols = symbols.split(",")
    clean = list(dict.fromkeys(s.strip().lower() for s in symbols if s.strip()))
    wrong = [s for s in clean if not _SYMBOL.fullmatch(s)]
    if wrong:
        raise BadInput(
            f"{', '.join(map(repr, wrong))} cannot be a symbol; letters, digits, "
            "'_', '-' and '.' are allowed, such as btcusdt."
        )
    if not clean:
        raise BadInput("No symbol was given; name at least one, such as btcusdt.")
    return clean


class TickArrays(NamedTuple):
    """Numeric columns of a batch; ``group`` is the place of each row's symbol in ``names``."""

    names: list[str]
    group: Ints
    time_ms: Ints
    price: Floats
    size: Floats
    trade_id: Ints


@dataclass(slots=True)
class TickBatch:
    """Ticks as columns of equal length, of one kind of print.

    The columns are plain lists because they go to SQLite as Python objects.
    """

    kind: PrintKind
    symbol: list[str] = field(default_factory=list)
    time_ms: list[int] = field(default_factory=list)
    price: list[float] = field(default_factory=list)
    size: list[float] = field(default_factory=list)
    trade_id: list[int] = field(default_factory=list)
    is_buyer_maker: list[bool | None] = field(default_factory=list)
    _arrays: TickArrays | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.time_ms)

    def arrays(self) -> TickArrays:
        """The numeric columns as arrays, made once; not to be written to."""
        if self._arrays is None or len(self._arrays.group) != len(self):
            names = list(dict.fromkeys(self.symbol))
            code = {name: i for i, name in enumerate(names)}
            count = len(self)
            self._arrays = TickArrays(
                names,
                np.fromiter(map(code.__getitem__, self.symbol), np.int64, count),
                np.fromiter(self.time_ms, np.int64, count),
                np.fromiter(self.price, np.float64, count),
                np.fromiter(self.size, np.float64, count),
                np.fromiter(self.trade_id, np.int64, count),
            )
        return self._arrays

    def extend(self, other: TickBatch) -> None:
        """Append another batch of the same kind."""
        self.symbol += other.symbol
        self.time_ms += other.time_ms
        self.price += other.price
        self.size += other.size
        self.trade_id += other.trade_id
        self.is_buyer_maker += other.is_buyer_maker

    def select(self, rows: Sequence[int] | Ints) -> TickBatch:
        """The rows at these positions, in this order."""
        columns = self.arrays()
        group = columns.group[rows]
        names = columns.names
        if len(names) > 1 and len(present := np.unique(group)) < len(names):
            names = [names[i] for i in present.tolist()]
            group = np.searchsorted(present, group)
        taken = TickArrays(
            names,
            group,
            columns.time_ms[rows],
            columns.price[rows],
            columns.size[rows],
            columns.trade_id[rows],
        )
        return TickBatch(
            self.kind,
            np.array(names, dtype=object)[group].tolist() if len(group) else [],
            taken.time_ms.tolist(),
            taken.price.tolist(),
            taken.size.tolist(),
            taken.trade_id.tolist(),
            np.array(self.is_buyer_maker, dtype=object)[rows].tolist(),
            _arrays=taken,
        )

    def ticks(self) -> Iterator[Tick]:
        """The batch as single ticks."""
        columns = (
            self.symbol,
            self.time_ms,
            self.price,
            self.size,
            self.trade_id,
            self.is_buyer_maker,
        )
        return (Tick(*row) for row in zip(*columns, strict=True))

    @classmethod
    def from_ticks(
        cls,
        ticks: Iterable[Tick],
        kind: PrintKind = "aggTrade",
        seen: Occurrences | None = None,
    ) -> TickBatch:
        """Columns of the ticks; ids are made for all of them where they have none.

        ``seen`` carries the occurrence numbers of made ids from one batch of a source to the
        next, so that equal prints in different batches stay two.

        Raises
        ------
        BadInput
            Some ticks have an id and some have not.
        """
        rows = list(ticks)
        with_id = sum(t.trade_id is not None for t in rows)
        if with_id not in (0, len(rows)):
            raise BadInput(
                f"{with_id} of {len(rows)} ticks have a trade id; give one to all or to none."
            )
        ids = [t.trade_id for t in rows if t.trade_id is not None] or made_ids(rows, seen)
        return cls(
            kind if with_id else "made",
            [t.symbol for t in rows],
            [t.time_ms for t in rows],
            [t.price for t in rows],
            [t.size for t in rows],
            ids,
            [t.is_buyer_maker for t in rows],
        )


class Occurrences:
    """How often each print without an id was seen, in bounded memory.

    Equal prints lie within one second of each other's time by definition, so what is remembered
    is by second; the second not met for longest is forgotten when there are too many prints. The
    numbers depend on the order of the prints alone, not on how they are cut into batches.
    """

    def __init__(self, limit: int = 200_000) -> None:
        self._limit, self._held = limit, 0
        self._seconds: OrderedDict[int, dict[tuple[str, int, float, float], int]] = OrderedDict()

    def next(self, tick: Tick) -> int:
        """0 for the first print of its kind, 1 for the second, and so on."""
        second = tick.time_ms // 1000
        counts = self._seconds.get(second)
        if counts is None:
            counts = self._seconds[second] = {}
        else:
            self._seconds.move_to_end(second)
        key = (tick.symbol, tick.time_ms, tick.price, tick.size)
        occurrence = counts.get(key, 0)
        counts[key] = occurrence + 1
        self._held += occurrence == 0
        while self._held > self._limit and len(self._seconds) > 1:
            self._held -= len(self._seconds.popitem(last=False)[1])
        return occurrence


def made_ids(ticks: Iterable[Tick], seen: Occurrences | None = None) -> list[int]:
    """Ids for prints that have none: negative 62-bit hashes of what the print says.

    Two prints that agree in symbol, time, price and size are told apart by their occurrence
    number, counted in ``seen``; the same file therefore gives the same ids each time.
    """
    seen = Occurrences() if seen is None else seen
    ids = []
    for tick in ticks:
        text = f"{tick.symbol}|{tick.time_ms}|{tick.price!r}|{tick.size!r}|{seen.next(tick)}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        ids.append(-1 - (int.from_bytes(digest, "big") >> 2))
    return ids


def refusal(symbol: object, time_ms: object, price: object, size: object) -> str | None:
    """Why a print cannot be a tick, in a few words, or None where it can."""
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        return "symbol"
    if not isinstance(time_ms, int) or isinstance(time_ms, bool) or not 0 < time_ms < 10**13:
        return "time"
    for name, number in (("price", price), ("size", size)):
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            return f"{name} is not a number"
        if not math.isfinite(number) or number <= 0:
            return f"{name} not positive and finite"
    return None
