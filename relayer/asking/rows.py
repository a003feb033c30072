"""Queries of callers in the database: what was asked, how each question stands, and the evidence, while it is kept.

A query's version counts its questions that are answered or have ended for another reason. `MAX_…_OF_A_CALLER` bound
one caller, the others all together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError, TooManyError
from core.model.types import Height
from core.runtime.clock import NS_PER_S
from core.runtime.database import METADATA
from queries import codec
from relayer.asking.query import Part, Standing, size, standing

MAX_OPEN_OF_A_CALLER: Final = 20
MAX_OPEN: Final = 500
KEPT_S: Final = 3_600
"""How long a query is kept after its end."""
MAX_KEPT_OF_A_CALLER: Final = 100
MAX_KEPT: Final = 2_000
MAX_BYTES_OF_A_CALLER: Final = 48 * 1024 * 1024
MAX_BYTES: Final = 512 * 1024 * 1024
"""Of evidence; beyond these the oldest queries that have ended go."""
PRUNED: Final = 50
"""Queries that one write clears away at most."""

queries = sa.Table(
    "relayer_queries",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("call", sa.LargeBinary, nullable=False),
    sa.Column("trusted_height", sa.BigInteger),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("deadline_s", sa.BigInteger, nullable=False),
    sa.Column("standing", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("ended_ns", sa.BigInteger),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Index(None, "ended_ns"),
    sa.Index(None, "caller", "ended_ns"),
)
"""`call`: the SHA-256 of what was asked; `size`: bytes of evidence."""
query_parts = sa.Table(
    "relayer_query_parts",
    METADATA,
    sa.Column("query_id", sa.Text, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("state", sa.LargeBinary, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("file", sa.LargeBinary),
    sa.Column("problem", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)
"""`version`: that which the query got when this question ended, 0 while it waits."""

TABLES: Final = (queries, query_parts)
_Q: Final = queries.c
_P: Final = query_parts.c
_OPEN: Final = _Q.ended_ns.is_(None)


@dataclass(frozen=True, slots=True)
class Stored:
    """A query as it is stored. `versions` are those of its parts."""

    id: str
    trusted: Height | None
    created_ns: int
    deadline_s: int
    version: int
    parts: tuple[Part, ...]
    versions: tuple[int, ...]

    @property
    def standing(self) -> Standing:
        return standing(self.parts)

    def moved(self, parts: Sequence[Part]) -> "Stored":
        """The query with its questions as they are now: each that has ended since gets the next version."""
        version, versions = self.version, list(self.versions)
        for place, part in enumerate(parts):
            if not versions[place] and part.standing is not Standing.WAITING:
                version = versions[place] = version + 1
        return replace(self, parts=tuple(parts), version=version, versions=tuple(versions))


def new(query_id: str, trusted: Height | None, created_ns: int, deadline_s: int, parts: Sequence[Part]) -> Stored:
    """A query as it begins; some of its questions may be answered already."""
    return Stored(query_id, trusted, created_ns, deadline_s, 0, (), (0,) * len(parts)).moved(parts)


def add(connection: Connection, query: Stored, caller: str, call: bytes, now_ns: int) -> Stored:
    """Store a new query, or return the one of this caller that asks the same and is open. Raise `TooManyError`."""
    same = sa.select(_Q.id).where(_Q.caller == caller, _Q.call == call, _OPEN)
    if (known := connection.execute(same).scalar()) is not None:
        return load(connection, known)
    counted = sa.select(sa.func.count()).select_from(queries).where(_OPEN)
    for bound, whose, where in (
        (MAX_OPEN_OF_A_CALLER, "of yours", _Q.caller == caller),
        (MAX_OPEN, "of all callers", sa.true()),
    ):
        if connection.execute(counted.where(where)).scalar_one() >= bound:
            raise TooManyError(f"{bound} queries {whose} are open already: wait until one has ended")
    values = {
        "id": query.id,
        "caller": caller,
        "call": call,
        "trusted_height": query.trusted,
        "created_ns": query.created_ns,
        "deadline_s": query.deadline_s,
    }
    connection.execute(sa.insert(queries), {**values, **_moving(query, now_ns)})
    connection.execute(sa.insert(query_parts), [_part(query, place) for place in range(len(query.parts))])
    prune(connection, now_ns, caller)
    return query


def open_queries(connection: Connection, limit: int) -> list[tuple[str, int]]:
    """The open queries and their deadlines in Unix seconds, the oldest first."""
    found = sa.select(_Q.id, _Q.deadline_s).where(_OPEN).order_by(_Q.created_ns, _Q.id).limit(limit)
    return [(query_id, int(deadline_s)) for query_id, deadline_s in connection.execute(found)]


def forget(connection: Connection, query_id: str) -> None:
    """Delete a query, open or not."""
    _forget(connection, sa.select(_Q.id).where(_Q.id == query_id))


def remove(connection: Connection, query_id: str) -> Stored:
    """Delete a query, open or not, and return it as it was. Raise `NotFoundError`."""
    found = load(connection, query_id)
    forget(connection, query_id)
    return found


def load(connection: Connection, query_id: str) -> Stored:
    """Raise `NotFoundError`."""
    row = connection.execute(sa.select(queries).where(_Q.id == query_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"no query {query_id[:64]!r}: it is kept for {KEPT_S // 60} minutes after its end")
    rows = connection.execute(sa.select(query_parts).where(_P.query_id == query_id).order_by(_P.place)).all()
    parts = tuple(Part(codec.decode_state(one.state), one.file, one.problem, one.detail) for one in rows)
    trusted = None if row.trusted_height is None else Height(row.trusted_height)
    versions = tuple(one.version for one in rows)
    return Stored(row.id, trusted, row.created_ns, row.deadline_s, row.version, parts, versions)


def save(connection: Connection, before: Stored, parts: Sequence[Part], now_ns: int) -> Stored:
    """Store how a query stands now. Raise `ConflictError` if another process was faster."""
    after = before.moved(parts)
    ours = (_Q.id == before.id) & (_Q.version == before.version) & _OPEN
    if connection.execute(sa.update(queries).where(ours).values(_moving(after, now_ns))).rowcount != 1:
        raise ConflictError(f"query {before.id} was moved by another process")
    for place, (old, part) in enumerate(zip(before.parts, parts, strict=True)):
        if part != old:
            row = (_P.query_id == before.id) & (_P.place == place)
            connection.execute(sa.update(query_parts).where(row).values(_part(after, place)))
    if after.version > before.version:
        caller = connection.execute(sa.select(_Q.caller).where(_Q.id == before.id)).scalar_one()
        prune(connection, now_ns, caller)
    return after


def prune(connection: Connection, now_ns: int, caller: str) -> None:
    """Forget queries that ended long ago, and the oldest of those that are too many or too large."""
    oldest = sa.select(_Q.id).where(~_OPEN).order_by(_Q.ended_ns, _Q.id).limit(PRUNED)
    _forget(connection, oldest.where(_Q.ended_ns < now_ns - KEPT_S * NS_PER_S))
    for most, most_bytes, which in (
        (MAX_KEPT_OF_A_CALLER, MAX_BYTES_OF_A_CALLER, _Q.caller == caller),
        (MAX_KEPT, MAX_BYTES, sa.true()),
    ):
        totals = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_Q.size), 0)).where(which)
        for _ in range(PRUNED):
            count, held = connection.execute(totals).one()
            if (count <= most and held <= most_bytes) or not _forget(connection, oldest.where(which).limit(1)):
                break


def _forget(connection: Connection, which: sa.Select[tuple[str]]) -> int:
    ids = list(connection.execute(which).scalars())
    if ids:
        connection.execute(sa.delete(query_parts).where(_P.query_id.in_(ids)))
        connection.execute(sa.delete(queries).where(_Q.id.in_(ids)))
    return len(ids)


def _moving(query: Stored, now_ns: int) -> dict[str, object]:
    waits = query.standing is Standing.WAITING
    return {
        "standing": query.standing,
        "version": query.version,
        "ended_ns": None if waits else now_ns,
        "size": size(query.parts),
    }


def _part(query: Stored, place: int) -> dict[str, object]:
    part = query.parts[place]
    return {
        "query_id": query.id,
        "place": place,
        "state": codec.encode(part.state),
        "version": query.versions[place],
        "file": part.file,
        "problem": part.problem,
        "detail": part.detail,
    }
