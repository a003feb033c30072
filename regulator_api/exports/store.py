"""Exports and their files, in the database: whichever process serves can give them."""

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.database import METADATA

RUNNING, DONE, FAILED = "running", "done", "failed"

exports = sa.Table(
    "regulator_exports",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("who", sa.String(256), nullable=False),
    sa.Column("question", sa.LargeBinary, nullable=False),
    sa.Column("scope", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("made_ns", sa.BigInteger, nullable=False),
    sa.Column("seen_ns", sa.BigInteger, nullable=False),
)
"""`seen_ns`: when whoever makes the file last did something."""
sa.Index("ix_regulator_exports_made", exports.c.made_ns)

parts = sa.Table(
    "regulator_export_parts",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

TABLES: Final = (exports, parts)


@dataclass(frozen=True, slots=True)
class Export:
    """One export as it stands. `sha256` is of the whole file, empty before it is done."""

    id: str
    who: str
    question: bytes
    scope: bytes
    state: str
    rows: int
    bytes: int
    sha256: str
    detail: str
    made_ns: int
    seen_ns: int


def begin(connection: Connection, export: Export, oldest_ns: int, most: int) -> bool:
    """Keep a new export, and forget those that are older than `oldest_ns`. Return false if the caller has `most`."""
    gone = sa.select(exports.c.id).where(exports.c.made_ns < oldest_ns)
    connection.execute(sa.delete(parts).where(parts.c.id.in_(gone)))
    connection.execute(sa.delete(exports).where(exports.c.made_ns < oldest_ns))
    mine = sa.select(sa.func.count()).where(exports.c.who == export.who)
    if connection.execute(mine).scalar_one() >= most:
        return False
    connection.execute(sa.insert(exports).values({column.name: getattr(export, column.name) for column in exports.c}))
    return True


def find(connection: Connection, name: str, who: str) -> Export | None:
    """Return an export of this caller, None if there is none of that id."""
    row = connection.execute(sa.select(exports).where(exports.c.id == name, exports.c.who == who)).first()
    return None if row is None else Export(**{column.name: getattr(row, column.name) for column in exports.c})


def take_over(connection: Connection, name: str, stale_ns: int, now_ns: int) -> bool:
    """Begin again an export that nobody has worked on since `stale_ns`. Return true if it is the caller's now."""
    mine = sa.update(exports).where(exports.c.id == name, exports.c.state == RUNNING, exports.c.seen_ns < stale_ns)
    if connection.execute(mine.values(seen_ns=now_ns, rows=0, bytes=0)).rowcount != 1:
        return False
    connection.execute(sa.delete(parts).where(parts.c.id == name))
    return True


def add(connection: Connection, name: str, held_ns: int, number: int, data: bytes, **values: Any) -> bool:
    """Keep a part of the file and how far it is. Return false if the export is gone or not running any more, or if
    somebody has taken it over: `held_ns` is the `seen_ns` that the caller stored last."""
    here = sa.update(exports).where(exports.c.id == name, exports.c.state == RUNNING, exports.c.seen_ns == held_ns)
    if connection.execute(here.values(**values)).rowcount != 1:
        return False
    if data:
        connection.execute(sa.insert(parts).values(id=name, number=number, data=data))
    return True


def content(connection: Connection, name: str) -> bytes:
    """Return the whole file."""
    query = sa.select(parts.c.data).where(parts.c.id == name).order_by(parts.c.number)
    return b"".join(bytes(row.data) for row in connection.execute(query))
