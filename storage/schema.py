"""The tables, and the steps from one version of them to the next."""

from __future__ import annotations

from typing import Any

SCHEMA_VERSION = 1

TICKS = """
CREATE TABLE ticks (
    id INTEGER PRIMARY KEY,
    symbol TEXT NOT NULL,
    timestamp TEXT NOT NULL,        -- YYYY-MM-DDTHH:MM:SS.mmmZ, the exchange's time
    price REAL NOT NULL,
    size REAL NOT NULL,
    created_at TEXT NOT NULL,       -- when it was written, one value a batch
    trade_id INTEGER NOT NULL,      -- negative where it was made from the print
    is_buyer_maker INTEGER,
    UNIQUE (symbol, trade_id)
);
-- The exchange's ids grow with time, so a time is found by bisection on the unique index.
-- Made ids do not; only their prints need an index on time, and only they pay for it.
CREATE INDEX ticks_made_time ON ticks (symbol, timestamp) WHERE trade_id < 0;
"""

CANDLES = """
CREATE TABLE ohlc_data (
    id INTEGER PRIMARY KEY,
    symbol TEXT NOT NULL,
    timestamp INTEGER NOT NULL,     -- the candle's open, UTC epoch ms
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume REAL NOT NULL,
    timeframe TEXT NOT NULL,
    source TEXT NOT NULL DEFAULT 'ticks' CHECK (source IN ('ticks', 'klines', 'upload')),
    UNIQUE (symbol, timeframe, timestamp)
);
"""

STATE = """
CREATE TABLE symbols (
    symbol TEXT PRIMARY KEY,
    print_kind TEXT NOT NULL,       -- aggTrade, trade or made: ids of different kinds never meet
    low_water_id INTEGER,           -- set by retention: nothing is written below
    low_water_ms INTEGER,
    first_ms INTEGER,               -- the oldest print ever stored, retained or not
    disorder_ms INTEGER NOT NULL DEFAULT 0  -- how far times fall back along growing ids
) WITHOUT ROWID;

CREATE TABLE imported (
    symbol TEXT PRIMARY KEY,        -- has candles that were not made of ticks,
    until_ms INTEGER NOT NULL       -- none of which ends after this
) WITHOUT ROWID;

CREATE TABLE gaps (
    id INTEGER PRIMARY KEY,
    symbol TEXT NOT NULL,
    first_id INTEGER NOT NULL,      -- the missing ids, both ends included
    last_id INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,      -- time of the last print before and of the first after
    end_ms INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'filled', 'confirmed_absent')),
    reason TEXT NOT NULL,
    found_ms INTEGER NOT NULL,
    closed_ms INTEGER,
    UNIQUE (symbol, first_id, last_id)
);
CREATE INDEX gaps_open ON gaps (symbol, start_ms) WHERE state = 'open';

CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('data_version', 0);

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    description TEXT NOT NULL,
    acquired_ms INTEGER NOT NULL,
    beat_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE state (
    topic TEXT NOT NULL,            -- health, setting, run, …
    key TEXT NOT NULL,
    body TEXT NOT NULL,             -- JSON
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, key)
) WITHOUT ROWID;

CREATE TABLE commands (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,             -- JSON
    asked_ms INTEGER NOT NULL,
    answered_ms INTEGER,
    answer TEXT                     -- JSON
);
"""


def create(con: Any) -> None:
    """Make every table in an empty database."""
    for script in (TICKS, CANDLES, STATE):
        run_script(con, script)
    con.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def run_script(con: Any, script: str) -> None:
    """Run several statements in the caller's transaction; ``executescript`` would commit it."""
    without_comments = "\n".join(line.split("--")[0] for line in script.splitlines())
    for statement in without_comments.split(";"):
        if statement.strip():
            con.execute(statement)
