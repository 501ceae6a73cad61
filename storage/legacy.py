"""Databases written by the earlier version of the platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def is_legacy(con: Any) -> bool:
    """Whether the file holds the earlier version's ``ticks`` table, which knows no trade ids."""
    columns = {row[1] for row in con.execute("PRAGMA table_info(ticks)")}
    return bool(columns) and "trade_id" not in columns


def migrate(con: Any, path: Path) -> None:
    """Bring the earlier version's tables to the present schema, after a copy beside the file."""
