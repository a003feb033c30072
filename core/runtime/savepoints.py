"""Work inside a transaction that may fail without taking the rest of the transaction with it."""

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.database_errors import is_outage

MAX_REASON_CHARS: Final = 500


def contained(connection: Connection, work: Callable[[], object]) -> Exception | None:
    """Run `work` in a SAVEPOINT. Return the error that ended it, after which nothing of it is stored, or None.

    Raise the error of a database that cannot go on (locked, lost, full, damaged): `work` did not cause it.
    """
    point = connection.begin_nested()
    try:
        work()
        point.commit()
    except Exception as error:
        if is_outage(error):
            raise
        point.rollback()
        return error
    return None


def failure_of(connection: Connection, work: Callable[[], object]) -> Exception | None:
    """Try `work` and take back whatever it stored. Return the error that ended it, or None. Raise as `contained`."""
    point = connection.begin_nested()
    try:
        work()
    except Exception as error:
        if is_outage(error):
            raise
        return error
    finally:
        if point.is_active:
            point.rollback()
    return None


def reason_of(error: Exception) -> str:
    """Return the error in one line of at most `MAX_REASON_CHARS` printable characters, without the values of SQL."""
    cause = error.orig if isinstance(error, sa.exc.StatementError) and error.orig is not None else error
    text = f"{type(cause).__name__}: {cause}"[:MAX_REASON_CHARS]
    return "".join(letter if letter.isprintable() else " " for letter in text)
