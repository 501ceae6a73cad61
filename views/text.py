"""Numbers, times and sizes as text; what cannot be computed is a dash."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DASH = "–"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_PLAIN_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?([eE][+-]?\d+)?( ?%)?")


def decimals_of(step: float | str | None, price: float | None = None) -> int:
    """Decimals that a tick size asks for; without one, enough for five significant digits."""
    if step is not None and float(step) > 0:
        return max(0, min(10, -math.floor(math.log10(float(step)) + 1e-9)))
    if price is None or not math.isfinite(price) or price <= 0:
        return 2
    return max(0, min(8, 4 - math.floor(math.log10(price))))


def price_decimals(instruments: Mapping[str, Any], symbol: str, price: float | None) -> int:
    """Decimals of a symbol's prices, by its tick size where it is known."""
    body = instruments.get(symbol)
    return decimals_of(body.get("tick_size") if isinstance(body, Mapping) else None, price)


def number(value: float | None, decimals: int = 2, *, sign: bool = False, unit: str = "") -> str:
    """A number with thousands separated, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:{'+' if sign else ''},.{decimals}f}"
    return f"{text} {unit}" if unit else text


def percent(fraction: float | None, decimals: int = 2, *, sign: bool = False) -> str:
    """A fraction as percent."""
    if fraction is None or not math.isfinite(fraction):
        return DASH
    return f"{fraction * 100:{'+' if sign else ''},.{decimals}f} %"


def significant(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits and no exponent where it can be helped."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if -6 <= size < 12:
        return f"{value:,.{max(0, digits - 1 - size)}f}"
    return f"{value:.{digits - 1}e}"


def compact(value: float | None) -> str:
    """Thousands, millions and billions by a letter."""
    if value is None or not math.isfinite(value):
        return DASH
    for limit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:,.2f} {letter}"
    return f"{value:,.2f}"


def pvalue(value: float | None) -> str:
    """A probability, its smallest values as a bound."""
    if value is None or not math.isfinite(value):
        return DASH
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def file_size(size: int) -> str:
    """Bytes in the unit that suits them."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.2f} GB"


def duration(ms: float | None) -> str:
    """A length of time in the unit that suits it."""
    if ms is None or not math.isfinite(ms):
        return DASH
    for limit, length, unit in (
        (1_000, 1, "ms"),
        (60_000, 1_000, "s"),
        (3_600_000, 60_000, "min"),
        (86_400_000, 3_600_000, "h"),
    ):
        if abs(ms) < limit:
            amount = ms / length
            return f"{amount:.0f} {unit}" if unit == "ms" else f"{amount:.1f} {unit}"
    return f"{ms / 86_400_000:.1f} days"


def zone_named(name: str | None) -> ZoneInfo | None:
    """The time zone, or None where this machine knows none of that name."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def moment(time_ms: int | None, zone: ZoneInfo | None = None) -> str:
    """A time to the second, in the zone or in UTC."""
    if time_ms is None:
        return DASH
    at = datetime.fromtimestamp(time_ms / 1000, zone or UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S") + ("" if zone else " UTC")


def moment_ms(time_ms: int) -> str:
    """A time to the millisecond, in UTC."""
    at = datetime.fromtimestamp(time_ms / 1000, UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{time_ms % 1000:03d} UTC"


def safe_cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe; numbers stay numbers."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value


def pasted_safely(value: Any) -> Any:
    """The same for a cell on screen, which may be copied; a number in words is left as it is."""
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value):
        return value
    return safe_cell(value)
