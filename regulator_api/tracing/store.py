"""The questions of traces, kept by a name that follows from them: asked again they give the same answer."""

import hashlib
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.database import METADATA
from core.runtime.inserts import insert_if_absent

ID_CHARS: Final = 32

traces = sa.Table(
    "regulator_traces",
    METADATA,
    sa.Column("id", sa.String(ID_CHARS), primary_key=True),
    sa.Column("question", sa.LargeBinary, nullable=False),
    sa.Column("who", sa.String(256), nullable=False),
    sa.Column("asked_ns", sa.BigInteger, nullable=False),
)

TABLES: Final = (traces,)


def keep(connection: Connection, question: dict[str, Any], who: str, now_ns: int) -> str:
    """Keep a question, which names its moment. Return its id."""
    raw = msgspec.json.encode(question, order="sorted")
    name = hashlib.sha256(b"causeway trace question\0" + raw).hexdigest()[:ID_CHARS]
    insert_if_absent(connection, traces, id=name, question=raw, who=who, asked_ns=now_ns)
    return name


def question_of(connection: Connection, name: str) -> bytes | None:
    """Return a kept question, None if there is none of that id."""
    found = connection.execute(sa.select(traces.c.question).where(traces.c.id == name)).scalar()
    return None if found is None else bytes(found)
