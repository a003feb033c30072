"""A database's own errors, translated: who has to act, and what to do.

Every error of a driver becomes one of `core.model.errors`: `RetryableError` if the same work may succeed later,
`ConflictError` if it contradicts what is stored, `RejectedError` for a value that no database of this kind keeps,
`FatalError` for the rest. What only a person can change (a password, a missing database) is fatal at the start, and
retryable once the database has worked: a daemon that may go on is not ended by it.
"""

import sqlite3
import ssl
from typing import Final

import asyncpg
import sqlalchemy as sa

from core.model.errors import CausewayError, ConflictError, FatalError, RejectedError, RetryableError

MAX_SHOWN_CHARS: Final = 200
AGAIN: Final = "this is tried again"

# Result codes: https://sqlite.org/rescode.html. Extended ones come first.
_SQLITE_RETRYABLE: Final = {
    sqlite3.SQLITE_BUSY: f"is locked by another process: {AGAIN}; end that process if it lasts",
    sqlite3.SQLITE_LOCKED: f"is locked by another connection: {AGAIN}",
    sqlite3.SQLITE_PROTOCOL: f"is being opened by another process: {AGAIN}",
    sqlite3.SQLITE_SCHEMA: f"was changed by another process: {AGAIN}",
    sqlite3.SQLITE_INTERRUPT: f"was interrupted: {AGAIN}",
    sqlite3.SQLITE_NOMEM: f"finds no memory on this machine: {AGAIN}",
}
_SQLITE_FATAL: Final = {
    sqlite3.SQLITE_READONLY_DBMOVED: "was moved or deleted while it was in use: put the file back and start again",
    sqlite3.SQLITE_FULL: "cannot grow, its disk is full: free some space and start again; nothing was lost",
    sqlite3.SQLITE_IOERR: "cannot be read or written: check the disk (is it full?) and start again",
    sqlite3.SQLITE_READONLY: "is read-only: give this user the right to write the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check that its directory exists and may be written",
    sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a backup",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database: name another file",
    sqlite3.SQLITE_PERM: "may not be accessed: give this user the right to read and write it",
    sqlite3.SQLITE_NOLFS: "is on a disk that keeps no large files: move it to another",
    sqlite3.SQLITE_FORMAT: "is not an SQLite database: name another file",
}
_SQLITE_REJECTED: Final = (sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE)

# https://www.postgresql.org/docs/current/errcodes-appendix.html; a whole code comes before its class.
_POSTGRES_RETRYABLE: Final = {
    "08": "the connection was lost",
    "26000": "a pooler or a failover replaced the connection",
    "42P05": "a pooler or a failover replaced the connection",
    "40001": "the transaction met another one (serialization failure)",
    "40P01": "the transaction met another one (deadlock)",
    "40": "the transaction met another one",
    "55P03": "a lock was not free within the server's lock_timeout",
    "55": "a lock is held by another connection",
    "57014": "the statement took longer than the server's statement_timeout",
    "57P01": "the server shuts down, or an administrator ended the connection",
    "57P02": "the server has crashed and restarts",
    "57P03": "the server starts up or shuts down",
    "57P04": "the database was dropped",
    "57P05": "the server ended a connection that was idle",
    "57": "the server shuts down or starts up",
    "25P03": "the server ended a transaction that was idle",
    "25P04": "the transaction took longer than the server's transaction_timeout",
    "25006": "the server is read-only, as a standby is",
    "53300": "the server has no connection left: raise its max_connections, or end who uses them",
    "53200": "the server is out of memory",
    "53": "the server is short of resources",
    "58P01": "the server misses a file: check its disk",
    "72000": "a snapshot is too old",
}
_POSTGRES_FATAL: Final = {
    "28P01": "it refuses the password: correct it",
    "28": "it refuses the user or the password: correct the URL, or the server's pg_hba.conf",
    "3D": "it has no such database: create it, or correct the URL",
    "3F": "its search_path names no schema to keep tables in: create it, or correct the URL's options",
    "42501": "the user has not the right to do this: grant it",
    "42P01": "a table of ours is not there: was it dropped, or does search_path name another schema?",
    "42703": "a table has not the columns of this version: restore it, or use another database",
    "22023": "it does not take a setting of the URL: correct it",
    "42704": "it does not know a setting of the URL: correct it",
    "53100": "its disk is full: free some space and start again; nothing was lost",
    "58": "its machine fails to read or write: check its disk",
    "F0": "its configuration is wrong: see its log",
    "XX": "it reports internal damage: restore it from a backup",
}
_POSTGRES_RECOVERABLE: Final = ("28", "3D", "42501")
"""A person can mend these while we run: a password, a grant, a database that is restored under its name."""


_KNOWN: Final = (
    sa.exc.SQLAlchemyError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OverflowError,
    UnicodeError,
)


class translating:  # as `contextlib`'s own
    """A context that raises what `translated` makes of an error of the database at `place`."""

    __slots__ = ("_place", "_started")

    def __init__(self, place: str, started: bool = False) -> None:
        self._place = place
        self._started = started

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        if isinstance(error, _KNOWN) and not isinstance(error, CausewayError):
            raise translated(error, self._place, self._started) from error


def translated(error: Exception, place: str, started: bool = False) -> CausewayError:
    """The error of `core.model.errors` that `error` stands for; `started` once the database has worked.

    Names of files, hosts and databases are in it; passwords are not.
    """
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, CausewayError):
        return cause
    if isinstance(error, sa.exc.TimeoutError):
        return RetryableError(f"all connections to the database at {place} are busy: {AGAIN}")
    if isinstance(error, sa.exc.IntegrityError):
        return ConflictError("what is to be stored contradicts what is stored already")
    if isinstance(cause, sqlite3.Error):
        return _from_sqlite(cause, place)
    if isinstance(cause, OverflowError | UnicodeError):
        return RejectedError(f"the database at {place} cannot keep a value: {_shown(cause)}")
    driver = cause if _is_asyncpg(cause) else cause.__cause__ or cause
    state = getattr(driver, "sqlstate", None) or getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return _from_postgres(cause, driver, state, place, started)
    return _without_state(error, driver, place, started)


def is_outage(error: Exception) -> bool:
    """Return true if the database, or this machine, cannot go on; false if the fault is in what was to be stored."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, CausewayError):
        return isinstance(cause, RetryableError)
    if isinstance(cause, MemoryError | OSError) or isinstance(error, sa.exc.TimeoutError):
        return True
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None) or 0
        return any(key in _SQLITE_RETRYABLE or key in _SQLITE_FATAL for key in (code, code & 0xFF))
    driver = cause if _is_asyncpg(cause) else cause.__cause__ or cause
    state = getattr(driver, "sqlstate", None) or getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return any(key in _POSTGRES_RETRYABLE or key in _POSTGRES_FATAL for key in (state, state[:2]))
    return isinstance(_without_state(error, driver, "", started=True), RetryableError)


def _is_asyncpg(error: BaseException) -> bool:
    return isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError)


def _from_sqlite(cause: sqlite3.Error, place: str) -> CausewayError:
    code = getattr(cause, "sqlite_errorcode", None) or 0
    for key in (code, code & 0xFF):  # the low byte is the primary code
        if key in _SQLITE_RETRYABLE:
            return RetryableError(f"the database {place} {_SQLITE_RETRYABLE[key]}")
        if key in _SQLITE_FATAL:
            return FatalError(f"the database {place} {_SQLITE_FATAL[key]}")
    if code & 0xFF in _SQLITE_REJECTED or isinstance(cause, sqlite3.DataError):
        return RejectedError(f"the database {place} cannot keep a value: {_shown(cause)}")
    return FatalError(f"the database {place} refuses a statement: {_shown(cause)}; were its tables changed by hand?")


def _from_postgres(cause: BaseException, driver: BaseException, state: str, place: str, started: bool) -> CausewayError:
    if state == "08P01":
        # What a server or a pooler says when it refuses how a connection is used has no code of its own.
        return RetryableError(
            f"the database at {place} refuses the connection: {_shown(driver)}; {AGAIN}", sqlstate=state
        )
    if isinstance(driver, asyncpg.InvalidCachedStatementError):
        return RetryableError(f"the database at {place}: its tables were changed; {AGAIN}", sqlstate=state)
    for key in (state, state[:2]):
        if key in _POSTGRES_FATAL:
            meaning = f"the database at {place}: {_POSTGRES_FATAL[key]}"
            if started and state.startswith(_POSTGRES_RECOVERABLE):
                return RetryableError(f"{meaning}; {AGAIN}", sqlstate=state)
            return FatalError(meaning, sqlstate=state)
        if key in _POSTGRES_RETRYABLE:
            return RetryableError(f"the database at {place}: {_POSTGRES_RETRYABLE[key]}; {AGAIN}", sqlstate=state)
    if state.startswith(("22", "54")):
        return RejectedError(f"the database at {place} cannot keep a value: {_shown(driver)}", sqlstate=state)
    return FatalError(
        f"the database at {place} refuses a statement: {_shown(driver)} (SQLSTATE {state}); were its tables changed "
        "by hand?",
        sqlstate=state,
    )


def _without_state(error: Exception, driver: BaseException, place: str, started: bool) -> CausewayError:
    """Return the error of a connection that failed before or between the server's answers."""
    if isinstance(driver, ssl.SSLCertVerificationError):
        meaning = f"the certificate of the database at {place} is not to be trusted: {driver.verify_message}"
        remedy = "correct its certificate, sslrootcert or the host's name"
        return RetryableError(f"{meaning}; {AGAIN}") if started else FatalError(f"{meaning}: {remedy}")
    if isinstance(driver, ssl.SSLError):
        return RetryableError(f"no TLS with the database at {place}: {driver.reason or 'it ended early'}; {AGAIN}")
    if isinstance(driver, asyncpg.TargetServerAttributeNotMatched):
        return RetryableError(f"no server of {place} takes writes, all are standbys: name the primary; {AGAIN}")
    if isinstance(driver, ConnectionError) and "rejected SSL" in str(driver):
        meaning = f"the database at {place} offers no TLS, and the URL's sslmode insists on it"
        return RetryableError(f"{meaning}; {AGAIN}") if started else FatalError(f"{meaning}: switch it on there")
    if isinstance(driver, OSError):
        why = type(driver).__name__
        return RetryableError(f"the database at {place} cannot be reached: {why}; start it, or correct the URL")
    if isinstance(driver, asyncpg.ClientConfigurationError | asyncpg.UnsupportedClientFeatureError):
        return FatalError(f"the database URL ({place}) cannot be used: {_shown(driver)}")
    if isinstance(driver, asyncpg.DataError):
        return RejectedError(f"the database at {place} cannot keep a value: {_shown(driver)}")
    lost = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
    if lost or _is_asyncpg(driver) or isinstance(error, sa.exc.InterfaceError | sa.exc.OperationalError):
        return RetryableError(f"the connection to the database at {place} was lost: {AGAIN}")
    return FatalError(f"the database at {place} refuses a statement: {_shown(error)}")


def _shown(error: BaseException) -> str:
    """The first line of what a driver says: without the statement and its values, which may be anything."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:MAX_SHOWN_CHARS].removesuffix(".")
