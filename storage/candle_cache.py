"""Candles that are closed are read once: a page that asks again reads what came since.

A closed candle changes only where late or imported data rewrite it, and who rewrites says so in
the same transaction, by symbol (`note_rewrite`). The cache compares that number within the
reader's own transaction, so that what it returns is what the whole query would have.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from candles import CandleColumns
from storage import candle_store

_SERIES = 512
# So few are read sooner than it is found out whether they are kept.
_FEW = 4
_FIELDS = CandleColumns.__slots__
_END_OF_TIME_MS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Kept:
    """Closed candles as a reader found them.

    Attributes
    ----------
    version : int
        The data version they were read at; readers of an earlier moment do without.
    rewrites : int
        How often candles of the symbol had been rewritten by then.
    whole : bool
        Nothing older is stored.
    asked : int
        The most candles that were asked for at once.
    """

    version: int
    rewrites: int
    whole: bool
    asked: int
    columns: CandleColumns


class CandleCache:
    """The newest closed candles of every series that was asked for, shared by all readers."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def newest(
        self, con: Any, version: int, symbol: str, timeframe: str, limit: int
    ) -> CandleColumns:
        """What `candle_store.newest_columns` returns, read in the transaction of ``con``.

        Parameters
        ----------
        version : int
            The data version that the transaction sees.
        """
        if limit <= _FEW:
            return candle_store.newest_columns(con, symbol, timeframe, limit, None)
        key = (symbol, timeframe)
        with self._lock:
            kept = self._kept.get(key)
        rewrites = candle_store.rewrites(con, symbol)
        if kept is None or not _serves(kept, version, rewrites, limit):
            # One more than asked for, because the newest still forms and is not kept.
            found = candle_store.newest_columns(con, symbol, timeframe, limit + 1, None)
            self._keep(key, _Kept(version, rewrites, len(found) <= limit, limit, found))
            return _newest(found, limit)
        after_ms = int(kept.columns.open_ms[-1]) + 1
        fresh = candle_store.candle_columns(con, symbol, timeframe, after_ms, _END_OF_TIME_MS)
        if len(fresh) > 1:
            grown = _joined(kept.columns, fresh)
            self._keep(key, _Kept(version, rewrites, kept.whole, max(kept.asked, limit), grown))
        return _newest(_joined(_newest(kept.columns, limit), fresh), limit)

    def _keep(self, key: tuple[str, str], found: _Kept) -> None:
        """Remember all but the candle that still forms, unless a later reader was here first."""
        closed = len(found.columns) - 1
        if closed < 1:
            return
        # Trimmed when it has doubled, not with every candle.
        surplus = closed - found.asked if closed > 2 * found.asked else 0
        closed_ones = _joined(_rows(found.columns, surplus, closed), _rows(found.columns, 0, 0))
        kept = replace(found, whole=found.whole and not surplus, columns=closed_ones)
        with self._lock:
            known = self._kept.get(key)
            if known is not None and known.version > found.version:
                return
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > _SERIES:
                self._kept.popitem(last=False)


def _serves(kept: _Kept, version: int, rewrites: int, limit: int) -> bool:
    """Whether what is kept is part of what this transaction would read."""
    if version < kept.version or rewrites != kept.rewrites:
        return False
    return kept.whole or len(kept.columns) >= limit


def _joined(old: CandleColumns, new: CandleColumns) -> CandleColumns:
    """A copy, so that what a caller does to it stays with the caller."""
    pairs = ((getattr(old, name), getattr(new, name)) for name in _FIELDS)
    return CandleColumns(*(np.concatenate(pair) for pair in pairs))


def _rows(columns: CandleColumns, begin: int, end: int) -> CandleColumns:
    return CandleColumns(*(getattr(columns, name)[begin:end] for name in _FIELDS))


def _newest(columns: CandleColumns, limit: int) -> CandleColumns:
    return _rows(columns, max(0, len(columns) - limit), len(columns))
