"""The tables, and the steps from one version of them to the next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

SCHEMA_VERSION = 2

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
    disorder_ms INTEGER NOT NULL DEFAULT 0, -- how far times fall back along growing ids
    made_until_ms INTEGER           -- prints with made ids end here, those of the exchange follow
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


BOOKS = """
CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    settings TEXT NOT NULL,         -- JSON
    created_ms INTEGER NOT NULL,
    closed_ms INTEGER,              -- set by a reset: the books stay readable
    cash REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE orders (
    seq INTEGER PRIMARY KEY,        -- order of acceptance
    account TEXT NOT NULL,
    id TEXT NOT NULL,               -- the client's: two clicks are one order
    state TEXT NOT NULL,
    body TEXT NOT NULL,             -- JSON
    created_ms INTEGER NOT NULL,
    UNIQUE (account, id)
);
CREATE INDEX orders_open ON orders (account) WHERE state IN ('held', 'working');

-- Fills and funding are one journal: replayed in the order of seq it gives the book again.
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('fill', 'funding')),
    key TEXT NOT NULL,              -- order id, or symbol and funding time: never twice
    time_ms INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    pair_id TEXT NOT NULL,
    quantity REAL,                  -- of a fill, signed base units
    price REAL,                     -- of a fill after slippage; of a funding the mark price
    fee REAL,
    slippage REAL,
    reference_price REAL,           -- before slippage: within the traded range
    trade_id INTEGER,               -- the print that filled it
    maker INTEGER,
    rate REAL,                      -- of a funding
    note TEXT NOT NULL,             -- cause of the fill, or source of the rate
    UNIQUE (account, kind, key)
);
CREATE INDEX journal_account ON journal (account, seq);

CREATE TABLE positions (
    account TEXT NOT NULL,
    symbol TEXT NOT NULL,
    pair_id TEXT NOT NULL,
    body TEXT NOT NULL,             -- JSON
    is_open INTEGER NOT NULL,
    PRIMARY KEY (account, symbol, pair_id)
) WITHOUT ROWID;

CREATE TABLE pairs (
    account TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,             -- JSON
    asked_ms INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) WITHOUT ROWID;

CREATE TABLE round_trips (
    seq INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    number INTEGER NOT NULL,
    body TEXT NOT NULL,             -- JSON
    closed_ms INTEGER NOT NULL,
    UNIQUE (account, number)
);

CREATE TABLE equity (
    account TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    equity REAL NOT NULL,
    cash REAL NOT NULL,
    exposure REAL NOT NULL,
    PRIMARY KEY (account, time_ms)
) WITHOUT ROWID;

CREATE TABLE auto_pairs (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    settings TEXT NOT NULL,         -- JSON
    state TEXT NOT NULL,            -- JSON: what the strategy remembers
    running INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    stopped_ms INTEGER
) WITHOUT ROWID;

CREATE TABLE decisions (
    auto_id TEXT NOT NULL,
    close_ms INTEGER NOT NULL,
    body TEXT NOT NULL,             -- JSON: the decision with its inputs, and what came of it
    PRIMARY KEY (auto_id, close_ms)
) WITHOUT ROWID;

CREATE TABLE alert_rules (
    id TEXT PRIMARY KEY,
    body TEXT NOT NULL,             -- JSON
    state TEXT NOT NULL,            -- JSON: armed or spent, changed with the alert it fired
    created_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    rule_id TEXT NOT NULL,
    fired_ms INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    body TEXT NOT NULL              -- JSON: sentence, value, note, detail
);

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    alert_id INTEGER,               -- NULL for a test
    channel TEXT NOT NULL,
    body TEXT NOT NULL,             -- JSON: what is sent
    state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
);
CREATE INDEX deliveries_pending ON deliveries (next_ms) WHERE state = 'pending';

CREATE TABLE attempts (
    delivery_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (delivery_id, number)
) WITHOUT ROWID;

-- How far the desk has read the tape; moves in the transaction of what it caused.
CREATE TABLE desk_tape (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    row INTEGER NOT NULL,           -- ticks.id
    symbol TEXT,                    -- of that row, to see that the tape is still the same
    trade_id INTEGER,
    quotes TEXT NOT NULL,           -- JSON: last print of each symbol
    marks TEXT NOT NULL             -- JSON: funding times, gaps and closes dealt with
);
"""

JOBS = """
-- Long computations: each result is written once, so that they can be stopped and resumed.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,             -- scan, sweep, walk_forward, bootstrap
    title TEXT NOT NULL,
    parameters TEXT NOT NULL,       -- JSON
    state TEXT NOT NULL CHECK (state IN ('running', 'stopped', 'done', 'failed')),
    tasks INTEGER NOT NULL,         -- how many there are
    note TEXT NOT NULL,             -- what there is to say of it, for a person
    runner TEXT,                    -- the process that works on it, and its last beat
    beat_ms INTEGER,
    created_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    result_hash TEXT                -- of every result in the order of the keys
);

CREATE TABLE job_results (
    job_id TEXT NOT NULL,
    task_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('done', 'failed')),
    body TEXT NOT NULL,             -- arrays in base64, or why it failed
    seconds REAL NOT NULL,
    worker TEXT NOT NULL,
    stored_ms INTEGER NOT NULL,
    PRIMARY KEY (job_id, task_key)
);

CREATE TABLE job_inputs (
    job_id TEXT NOT NULL,
    name TEXT NOT NULL,
    place INTEGER NOT NULL,         -- row of the array
    body TEXT NOT NULL,             -- the row in base64
    PRIMARY KEY (job_id, name, place)
);
"""

_SCRIPTS = (TICKS, CANDLES, STATE, BOOKS, JOBS)
# What a file of a version lacks of the next one.
_STEPS = {1: JOBS}


def table_names() -> set[str]:
    """Every table of the present schema."""
    return {name for script in _SCRIPTS for name in re.findall(r"CREATE TABLE (\w+)", script)}


class Table(NamedTuple):
    """A table with its columns, and a key by which its rows can be read in order."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


def tables() -> list[Table]:
    """Every table of the present schema, as its script says."""
    found = []
    for script in _SCRIPTS:
        plain = re.sub(r"--.*", "", script)
        for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n?\)[^,\n]*;", plain, re.DOTALL):
            lines = re.split(r",\s*\n|\n", body) if "\n" in body else body.split(",")
            words = [line.split() for line in lines if line.strip()]
            columns = [w[0] for w in words if w[0].islower() and w[0].isidentifier()]
            found.append(Table(name, tuple(columns), _key(name, body)))
    return found


def _key(name: str, body: str) -> tuple[str, ...]:
    if name == "ohlc_data":
        return ("symbol", "timeframe", "timestamp")
    inline = re.search(r"(\w+) (?:INTEGER|TEXT) PRIMARY KEY", body)
    if inline:
        return (inline[1],)
    several = re.search(r"PRIMARY KEY \(([\w, ]+)\)", body)
    if several is None:
        raise AssertionError(f"{name} has no primary key")
    return tuple(column.strip() for column in several[1].split(","))


def scripts_since(version: int) -> Iterator[str]:
    """What makes the present tables of those of an earlier version; 0 is nothing at all."""
    if version == 0:
        yield from _SCRIPTS
    else:
        yield from (_STEPS[step] for step in range(version, SCHEMA_VERSION))


def create(con: Any) -> None:
    """Make every table in an empty SQLite file."""
    upgrade(con, 0)


def upgrade(con: Any, version: int) -> None:
    """Bring the tables of an earlier version up to the present one; what is stored stays."""
    for script in scripts_since(version):
        run_script(con, script)
    con.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def run_script(con: Any, script: str) -> None:
    """Run several statements in the caller's transaction; ``executescript`` would commit it."""
    without_comments = "\n".join(line.split("--")[0] for line in script.splitlines())
    for statement in without_comments.split(";"):
        if statement.strip():
            con.execute(statement)
