"""Revisions of the schema: what Alembic does to a database that an older Causeway wrote.

A database is made by the tables as they stand in the code. One that is there already is brought from its revision to
`core.runtime.database.SCHEMA`, one file of `versions/` after the other, all in the transaction that opens it: it ends
there or stays as it was. Three rules for a new revision:

1. It comes with every change of a table that a released version made. Tables that are new need none: those that are
   missing are made from the code once all revisions have run.
2. It asks `has(table)` before it touches one: a dApp's database has other tables than a regulator's.
3. It names tables and columns itself and imports no room of the house: the code goes on, what stood on disk does not.

`tests/core/runtime/test_migrations.py` compares what comes out with the tables in the code, and says how to keep a
schema that has been released.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy.engine import Connection

from core.model.errors import FatalError
from core.runtime.files import sync_directory
from core.runtime.logging import get_logger

SCRIPTS: Final = Path(__file__).parent

log = get_logger("core.runtime.migrations")


def migrate(connection: Connection, stored: str) -> None:
    """Bring a database whose revision is `stored` to the newest one, in the transaction that `connection` is in.

    Raise `FatalError` if no copy can be kept, and what a revision raises.
    """
    revisions = _revisions_after(stored)
    copy = _keep_copy(connection, stored)
    log.info(
        "the database is brought up to date", stored=stored, revisions=[one.revision for one in revisions], copy=copy
    )
    with Operations.context(MigrationContext.configure(connection)):
        for revision in revisions:
            revision.module.upgrade()
    log.info("the database is up to date", revision=revisions[-1].revision)


def has(table: str) -> bool:
    """Return true if the database in which a revision runs has the table."""
    return sa.inspect(op.get_bind()).has_table(table)


def _revisions_after(stored: str) -> Sequence[Script]:
    """Oldest first."""
    oldest_first = tuple(ScriptDirectory(str(SCRIPTS)).walk_revisions())[::-1]
    return tuple(one for one in oldest_first if one.revision > stored)


def _keep_copy(connection: Connection, stored: str) -> str | None:
    """Copy an SQLite file as it was last committed; None for other databases, whose operators have their own ways."""
    file = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not file:
        return None
    copy = f"{file}.schema-{stored}"
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(f"{copy}.part")) as target:
            source.backup(target)
        os.replace(f"{copy}.part", copy)
        sync_directory(Path(copy).parent)
    except (sqlite3.Error, OSError) as error:
        raise FatalError(
            f"no copy of {file} could be kept before its schema is changed ({error}): free some space"
        ) from error
    return copy
