"""What a database's own errors mean: who has to act, and what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import URL

from core.model.errors import CausewayError, ConflictError, FatalError, RetryableError

_SQLITE_RETRYABLE: Final = {
    sqlite3.SQLITE_BUSY: "is locked by another process: this is tried again; end that process if it lasts",
    sqlite3.SQLITE_LOCKED: "is locked by another connection: this is tried again",
}
_SQLITE_FATAL: Final = {
    sqlite3.SQLITE_FULL: "cannot grow, its disk is full: free some space and start again; nothing was lost",
    sqlite3.SQLITE_IOERR: "cannot be read or written: check the disk (is it full?) and start again",
    sqlite3.SQLITE_READONLY: "is read-only: give this user the right to write the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check that its directory exists and may be written",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database: name another file",
    sqlite3.SQLITE_PERM: "may not be accessed: give this user the right to read and write it",
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_RETRYABLE: Final = {
    "08": "the connection was lost",
    "40": "the transaction met another one",
    "55": "a lock is held by another connection",
    "57": "the server shuts down or starts up",
    "25006": "the server is read-only, as a standby is",
    "53300": "the server has no connection left",
    "53200": "the server is out of memory",
}
_POSTGRES_FATAL: Final = {
    "28": "it refuses the user or the password: correct the URL",
    "3D": "it has no such database: create it, or correct the URL",
    "42501": "the user has not the right to do this: grant it",
    "53100": "its disk is full: free some space and start again; nothing was lost",
    "58": "its machine fails to read or write: check its disk",
    "XX": "it reports internal damage: restore it from a backup",
}


@contextmanager
def translating(url: URL) -> Iterator[None]:
    """Raise what `translated` makes of an error of the database at `url`."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, OSError) as error:
        meant = translated(error, url)
        if meant is error:
            raise
        raise meant from error


def translated(error: Exception, url: URL) -> Exception:
    """The error of `core.model.errors` that `error` stands for; `error` itself where it is a mistake of ours in SQL.

    Names of files, hosts and databases are told; passwords are not.
    """
    if isinstance(error, OSError):
        return RetryableError(
            f"the database at {_place(url)} cannot be reached: {error.__class__.__name__}; start it, or correct the URL"
        )
    if isinstance(error, sa.exc.TimeoutError):
        return RetryableError(f"all connections to the database at {_place(url)} are busy: this is tried again")
    cause = getattr(error, "orig", None)
    if isinstance(cause, CausewayError):
        return cause
    if isinstance(error, sa.exc.IntegrityError):
        return ConflictError("what is to be stored contradicts what is stored already")
    if isinstance(cause, sqlite3.Error):
        return _from_sqlite(error, cause, url)
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return _from_postgres(error, state, url)
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return RetryableError(f"the connection to the database at {_place(url)} was lost: this is tried again")
    return error


def _from_sqlite(error: Exception, cause: sqlite3.Error, url: URL) -> Exception:
    # The low byte is the primary code (sqlite.org/rescode.html).
    code = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF
    if code in _SQLITE_RETRYABLE:
        return RetryableError(f"the database {_place(url)} {_SQLITE_RETRYABLE[code]}")
    if code in _SQLITE_FATAL:
        return FatalError(f"the database {_place(url)} {_SQLITE_FATAL[code]}")
    return error


def _from_postgres(error: Exception, state: str, url: URL) -> Exception:
    for key in (state, state[:2]):
        if key in _POSTGRES_RETRYABLE:
            return RetryableError(
                f"the database at {_place(url)}: {_POSTGRES_RETRYABLE[key]}; this is tried again", sqlstate=state
            )
        if key in _POSTGRES_FATAL:
            return FatalError(f"the database at {_place(url)}: {_POSTGRES_FATAL[key]}", sqlstate=state)
    return error


def _place(url: URL) -> str:
    if url.host is None:
        return url.database or "in memory"
    return f"{url.host}:{url.port or 5432}/{url.database}"
