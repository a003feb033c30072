"""Reloads that an operator has asked for, and what each process of the relayer answered.

The file itself is read by the process: a row says that it should, and by its SHA-256 which contents the operator has
seen. Plain functions over a `Connection`; times are nanoseconds since the Unix epoch.
"""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.columns import Bytes32
from core.runtime.database import METADATA

KEPT: Final = 50
"""Reloads whose rows are kept, the newest."""
MAX_REFUSAL_CHARS: Final = 4_000

reloads = sa.Table(
    "relayer_reloads",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("asked_ns", sa.BigInteger, nullable=False),
    sa.Column("digest", Bytes32, nullable=False),
)
answers = sa.Table(
    "relayer_reload_answers",
    METADATA,
    sa.Column("reload_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("holder", sa.Text, primary_key=True),
    sa.Column("answered_ns", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.Text),
)
"""`refused`: why nothing of it is in force in that process; null if all of it is."""

TABLES: Final = (reloads, answers)


@dataclass(frozen=True, slots=True)
class Reload:
    """A reload that was asked for. `digest` is the file's SHA-256 (32 bytes)."""

    id: int
    asked_ns: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a reload in one process; `refused` is empty if it is in force."""

    holder: str
    refused: str


def ask(connection: Connection, digest: bytes, now_ns: int) -> int:
    """Store that the file with this SHA-256 should be read; return the number of the reload."""
    found = connection.execute(sa.insert(reloads).values(asked_ns=now_ns, digest=digest)).inserted_primary_key
    number = int(found[0]) if found is not None else 0
    connection.execute(sa.delete(reloads).where(reloads.c.id <= number - KEPT))
    connection.execute(sa.delete(answers).where(answers.c.reload_id <= number - KEPT))
    return number


def newest(connection: Connection) -> Reload | None:
    """Return the last one that was asked for."""
    row = connection.execute(sa.select(reloads).order_by(reloads.c.id.desc()).limit(1)).first()
    return None if row is None else Reload(row.id, row.asked_ns, bytes(row.digest))


def answer(connection: Connection, number: int, holder: str, refused: str, now_ns: int) -> None:
    """Store what became of it in one process."""
    same = answers.c.reload_id == number, answers.c.holder == holder
    connection.execute(sa.delete(answers).where(*same))
    values = {"reload_id": number, "holder": holder, "answered_ns": now_ns}
    connection.execute(sa.insert(answers).values(**values, refused=refused[:MAX_REFUSAL_CHARS] or None))


def answers_to(connection: Connection, number: int) -> list[Answer]:
    """Return what the processes have answered so far, by their names."""
    query = sa.select(answers).where(answers.c.reload_id == number).order_by(answers.c.holder)
    return [Answer(row.holder, row.refused or "") for row in connection.execute(query)]
