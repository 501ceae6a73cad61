"""Connections to PostgreSQL that take the SQL of the stores: addresses, values, errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import psycopg
from psycopg import conninfo, errors, pq
from psycopg.abc import AdaptContext
from psycopg.types.bool import BoolDumper
from psycopg.types.numeric import FloatBinaryDumper

from errors import DatabaseBusy, DatabaseError, NotADatabase, ReadOnlyDatabase
from storage.address import DEFAULT_SCHEMA, without_schema

# A server that has gone without a word is noticed within these seconds.
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_LOCK_TIMEOUT_MS = 5_000
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Address:
    """A server, a database on it, and the schema in that; ``name`` has no password in it."""

    parameters: dict[str, Any]
    schema: str
    name: str


def parse_address(url: str) -> Address:
    """Take ``postgresql://user:password@host:port/database?schema=name&…`` apart.

    Whatever libpq knows may stand behind the question mark; ``schema`` (default ``public``) is
    ours.

    Raises
    ------
    NotADatabase
        It is not such an address. The text shows no password.
    """
    try:
        bare, schema = without_schema(url)
        parameters: dict[str, Any] = dict(conninfo.conninfo_to_dict(bare))
    except (ValueError, psycopg.Error):
        raise NotADatabase(
            "DATABASE_URL is not an address that PostgreSQL's library understands; it looks like "
            "postgresql://user:password@host:5432/database (other signs in the password as %XX)."
        ) from None
    if not schema or len(schema.encode()) > _LONGEST_NAME or schema.startswith("pg_"):
        raise NotADatabase(f"{schema!r} cannot be the name of a schema in PostgreSQL.")
    host, port = parameters.get("host", "localhost"), parameters.get("port", 5432)
    user = f"{parameters['user']}@" if "user" in parameters else ""
    suffix = "" if schema == DEFAULT_SCHEMA else f"?schema={schema}"
    name = f"postgresql://{user}{host}:{port}/{parameters.get('dbname', '')}{suffix}"
    return Address(parameters, schema, name)


class _NumberBool(BoolDumper):
    """True and False as 1 and 0: the tables hold numbers, as on SQLite."""

    oid = psycopg.postgres.types["int2"].oid

    def dump(self, obj: Any) -> bytes:
        return b"1" if obj else b"0"


class _FloatOrNull(FloatBinaryDumper):
    """NaN as NULL, as SQLite stores it; every other number with all its bits."""

    def dump(self, obj: float) -> Any:
        return None if math.isnan(obj) else super().dump(obj)


def _adapt(context: AdaptContext) -> None:
    context.adapters.register_dumper(bool, _NumberBool)
    context.adapters.register_dumper(float, _FloatOrNull)


@lru_cache(maxsize=512)
def _numbered(sql: str) -> str:
    """``?`` as psycopg writes it. No statement of the stores holds either sign in a text."""
    return sql.replace("%", "%%").replace("?", "%s")


class Connection:
    """One connection with the calls that the stores make of SQLite's."""

    by_day = True
    """Ticks lie in a table a day: what is looked for by time is better looked for by day."""

    _cursors = count(1)

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw
        self.total_changes = 0

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        """Run one statement; its rows are tuples of Python's numbers and texts."""
        cursor = self.raw.cursor(binary=True)
        if parameters:
            cursor.execute(_numbered(sql), parameters)
        else:
            cursor.execute(sql)
        if cursor.description is None and cursor.rowcount > 0:
            self.total_changes += cursor.rowcount
        return cursor

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for many rows, sent without waiting for each answer."""
        cursor = self.raw.cursor()
        cursor.executemany(_numbered(sql), rows)
        if cursor.rowcount > 0:
            self.total_changes += cursor.rowcount

    def stream(self, sql: str, parameters: Sequence[Any], chunk: int) -> Iterator[list[Any]]:
        """More rows than should be in memory at once, by a cursor on the server."""
        name = f"stream{next(self._cursors)}"
        with self.raw.cursor(name=name, binary=True) as cursor:
            cursor.execute(_numbered(sql), parameters)
            while rows := cursor.fetchmany(chunk):
                yield rows

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is under way, failed or not."""
        return self.raw.info.transaction_status != pq.TransactionStatus.IDLE

    @property
    def is_open(self) -> bool:
        """Whether there is a server at the other end, as far as is known."""
        return not (self.raw.closed or self.raw.broken)

    def close(self) -> None:
        """Hang up."""
        self.raw.close()


def connect(address: Address, *, read_only: bool = False) -> Connection:
    """A connection whose statements find the tables of the address's schema."""
    options = [
        str(address.parameters.get("options", "")),
        f"-c search_path={_quoted(address.schema)}",
        f"-c lock_timeout={_LOCK_TIMEOUT_MS}",
        f"-c default_transaction_read_only={'on' if read_only else 'off'}",
        "-c timezone=UTC",
        # Compiling a statement pays off for the long ones; here all are short.
        "-c jit=off",
    ]
    if not read_only:
        # The writer looks rows up and never reads a table through; tables that grew since they
        # were last measured must not tempt it to.
        options += [f"-c enable_{way}=off" for way in ("seqscan", "hashjoin", "mergejoin")]
    parameters = {"application_name": "crypto-analytics", **_PATIENCE, **address.parameters}
    parameters["options"] = " ".join(filter(None, options))
    raw = psycopg.connect(autocommit=True, **parameters)
    _adapt(raw)
    # A server may be set to acknowledge what it has not written; what is acknowledged here is.
    raw.execute(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
    return Connection(raw)


def _quoted(schema: str) -> str:
    """As an option of libpq: quoted for SQL, and blanks and backslashes for the option."""
    quoted = '"' + schema.replace('"', '""') + '"'
    return quoted.replace("\\", "\\\\").replace(" ", "\\ ")


@contextmanager
def translated(name: str) -> Iterator[None]:
    """PostgreSQL's errors as the platform's, in sentences that show no password."""
    try:
        yield
    except (errors.InvalidPassword, errors.InvalidAuthorizationSpecification) as error:
        raise ReadOnlyDatabase(f"{name} refuses the user or the password.") from error
    except errors.InvalidCatalogName as error:
        raise DatabaseError(
            f"{name}: the server has no such database; make it with createdb."
        ) from error
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        raise DatabaseBusy(f"{name} is locked by another program.") from error
    except (errors.DiskFull, errors.OutOfMemory, errors.IoError) as error:
        raise DatabaseBusy(f"{name} cannot grow: {_first_line(error)}.") from error
    except (errors.ReadOnlySqlTransaction, errors.InsufficientPrivilege) as error:
        raise ReadOnlyDatabase(f"{name} cannot be written: {_first_line(error)}.") from error
    except (errors.UniqueViolation, errors.SerializationFailure) as error:
        raise DatabaseBusy(f"{name}: another program wrote the same: {_first_line(error)}.") from (
            error
        )
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        raise NotADatabase(f"{name} has not the platform's tables: {_first_line(error)}.") from (
            error
        )
    except (errors.NumericValueOutOfRange, OverflowError) as error:
        raise DatabaseError(f"{name}: a whole number is too large to be stored.") from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise _unanswered(name, error) from error
    except psycopg.Error as error:
        raise DatabaseError(f"{name}: {_first_line(error)}.") from error


# What libpq says of TLS, and what is to be done. Trying again would not help.
_TLS = (
    (
        "certificate verify failed",
        "the server's certificate is not signed by an authority in sslrootcert, or has run out; "
        "name the file of the authority that signed it.",
    ),
    (
        "does not match host name",
        "the server's certificate is for another host; use the name that it was made for in the "
        "address, or sslmode=verify-ca.",
    ),
    (
        "root certificate file",
        "the file of sslrootcert cannot be read; without it, or sslrootcert=system, nobody can "
        "say whose server this is.",
    ),
    (
        "does not support SSL",
        "the server does not speak TLS, which sslmode asks for; set ssl = on in its "
        "postgresql.conf.",
    ),
    (
        "no encryption",
        "the server lets nobody in without TLS, or not from here; try sslmode=verify-full.",
    ),
)


def _unanswered(name: str, error: psycopg.Error) -> DatabaseError:
    text = str(error)
    if "authentication failed" in text or "no password supplied" in text:
        return ReadOnlyDatabase(f"{name} refuses the user or the password.")
    for sign, sentence in _TLS:
        if sign in text:
            return DatabaseError(f"{name}: {sentence}")
    if "does not exist" in text and "database" in text:
        return DatabaseError(f"{name}: the server has no such database; make it with createdb.")
    return DatabaseBusy(f"{name} does not answer: {_first_line(error)}.")


def _first_line(error: BaseException) -> str:
    """What the library says, short; it never repeats a password."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].strip().rstrip(".")
