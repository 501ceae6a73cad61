"""Every error the platform raises on purpose, under one root.

::

    PlatformError
    ├── ConfigError                 a setting has a value that is not allowed
    ├── BadInput (ValueError)       what the caller gave cannot be used
    │   └── InsufficientData        it could be used, were there more of it
    ├── DatabaseError
    │   ├── NotADatabase            the place is something else; it was not touched
    │   ├── NewerSchema             written by a later version; it was not touched
    │   ├── ReadOnlyDatabase        the file, its folder or the server cannot be written
    │   ├── DatabaseBusy            locked, full or away for now; worth trying again
    │   └── MixedPrints             aggTrade and trade ids do not go into one file
    ├── ComputeError                a long computation cannot go on here
    │   ├── SchedulerUnreachable    nothing answers at DASK_SCHEDULER, or it has no worker
    │   └── VersionsDiffer          workers run other versions than this process
    └── FeedError
        ├── NoNetwork               nothing answered
        ├── RestrictedLocation      HTTP 451: final for this place
        ├── AccessRefused           HTTP 403: the exchange's firewall
        ├── CertificateRefused      TLS could not be trusted
        ├── RateLimited             429 or 418; carries ``retry_after_s``
        ├── UnknownSymbols          the exchange does not list them
        └── MalformedMessage        a frame or a row that does not parse

The text of an error is one sentence for a person: what was found, what is allowed.
"""

from __future__ import annotations


class PlatformError(Exception):
    """The root: catch this to catch whatever the platform raises on purpose."""


class ConfigError(PlatformError):
    """A setting has a value that is not allowed."""


class BadInput(PlatformError, ValueError):
    """What the caller gave cannot be used."""


class InsufficientData(BadInput):
    """There are too few observations.

    Parameters
    ----------
    what : str
        What was to be computed, for the sentence.
    needed, found : int
        How many observations it takes, and how many there were.
    """

    def __init__(self, what: str, needed: int, found: int) -> None:
        self.what, self.needed, self.found = what, needed, found
        super().__init__(f"{what} needs at least {needed} observations, found {found}.")

    def __reduce__(self) -> tuple[type[InsufficientData], tuple[str, int, int]]:
        return type(self), (self.what, self.needed, self.found)


class DatabaseError(PlatformError):
    """The database cannot be used as asked."""


class NotADatabase(DatabaseError):
    """The place is not a database of the platform; it was not touched."""


class NewerSchema(DatabaseError):
    """The file was written by a later version of the platform; it was not touched."""


class ReadOnlyDatabase(DatabaseError):
    """The file, its folder or the server cannot be written."""


class DatabaseBusy(DatabaseError):
    """The database is locked, full or away for now; nothing was written, trying again is right."""


class MixedPrints(DatabaseError):
    """Ids of aggTrade and of trade prints would meet under one symbol."""


class ComputeError(PlatformError):
    """A long computation cannot begin or go on as asked."""


class SchedulerUnreachable(ComputeError):
    """The Dask scheduler does not answer, or has no worker; what was computed stays."""


class VersionsDiffer(ComputeError):
    """Workers run other versions: their results need not be those of this process."""


class FeedError(PlatformError):
    """The feed cannot deliver."""


class NoNetwork(FeedError):
    """Nothing answered at the address."""


class RestrictedLocation(FeedError):
    """The exchange refuses this location (HTTP 451); trying again does not help."""


class AccessRefused(FeedError):
    """The exchange's firewall refuses this address (HTTP 403)."""


class CertificateRefused(FeedError):
    """The TLS certificate could not be verified."""


class RateLimited(FeedError):
    """The exchange asks to wait (HTTP 429 or 418)."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnknownSymbols(FeedError):
    """The exchange does not list these symbols."""


class MalformedMessage(FeedError):
    """A frame or a row that does not parse; it is dropped and counted."""
