"""One SQLite file, one daemon: a second one is refused with the first one's process.

The file is held by a lock file next to it. A PostgreSQL is not held: who works on it follows from leases
(`core.runtime.leadership`), or several may.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from core.runtime.database_urls import SqliteAddress, parse_database_url
from core.runtime.files import locked


@contextmanager
def held(url: str) -> Iterator[None]:
    """Hold the database at `url` while the block runs, if it is a file. Raise `ConflictError` if another process has
    it, `FatalError` if it cannot be locked."""
    address = parse_database_url(url)
    if not isinstance(address, SqliteAddress) or address.path is None:
        yield
        return
    with locked(address.path, "one database is for one daemon; stop it, or name another database"):
        yield
