"""Addresses of PostgreSQL, and the schema that they name in words of ours."""

from __future__ import annotations

import os
from urllib.parse import quote, unquote, urlsplit, urlunsplit

DEFAULT_SCHEMA = "public"
_SCHEMA = "schema="


def is_address(place: str | os.PathLike[str]) -> bool:
    """Whether it is the address of a PostgreSQL server, and not the name of a file."""
    return str(place).startswith(("postgresql:", "postgres:"))


def without_schema(url: str) -> tuple[str, str]:
    """The address as PostgreSQL's library takes it, and the schema that ``?schema=`` names.

    Everything else behind the question mark stays as it is written.
    """
    parts = urlsplit(url)
    options = [option for option in parts.query.split("&") if option]
    named = [unquote(o[len(_SCHEMA) :]) for o in options if o.startswith(_SCHEMA)]
    rest = "&".join(o for o in options if not o.startswith(_SCHEMA))
    return urlunsplit(parts._replace(query=rest)), named[-1] if named else DEFAULT_SCHEMA


def beside(url: str, source: str) -> str:
    """The address of a schema for simulated data, in the database of the live market."""
    bare, schema = without_schema(url)
    name = source if schema == DEFAULT_SCHEMA else f"{schema}_{source}"
    parts = urlsplit(bare)
    query = "&".join(filter(None, [parts.query, _SCHEMA + quote(name, safe="")]))
    return urlunsplit(parts._replace(query=query))
