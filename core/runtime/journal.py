"""Events and the effects they ask for, durably: journal, state, outbox and cursors, changed in one transaction.

A *stream* is one state machine (a swap, a query). Each event that it takes is appended under the next sequence,
together with the state that follows from it and the effects that it asks for. Events, states and effect bodies are
bytes: the room that owns the machine encodes them. Times are nanoseconds since the Unix epoch, given by the caller.

Everything here is a plain function over a `Connection`, to be called inside `Database.write` or `Database.read`; a
batch of events with the cursor they came from is several calls in one `write`.

Effects are executed at least once under their `EffectKey`: who executes looks at the chain first.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from core.model.effect_keys import EffectKey
from core.model.errors import ConflictError, NotFoundError, require
from core.runtime.database import METADATA

PAGE: Final = 500
"""Rows that a replay or a listing holds in memory at once."""
MAX_ERROR_CHARS: Final = 500
SWAPS: Final = "swaps"
"""The queue of effects that is read if none is named."""


class EffectStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Effect:
    """Something asked for. `kind` is unique among the effects of one event. Not tried before `due_ns`."""

    kind: str
    body: bytes
    due_ns: int = 0


@dataclass(frozen=True, slots=True)
class StoredEffect:
    """An effect in the outbox. `attempts` counts the tries that failed, `error` is the last one's message."""

    key: str
    stream: str
    sequence: int
    kind: str
    body: bytes
    status: EffectStatus
    attempts: int
    due_ns: int
    error: str | None


Try = tuple[str, int]
"""An effect's key and its tries: with a failed try comes another due time."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stream's state after `sequence` events."""

    stream: str
    sequence: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the journal; sequences begin with 1 and have no gaps."""

    stream: str
    sequence: int
    event: bytes
    recorded_ns: int


journal = sa.Table(
    "journal",
    METADATA,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event", sa.LargeBinary, nullable=False),
    sa.Column("recorded_ns", sa.BigInteger, nullable=False),
)
journal_state = sa.Table(
    "journal_state",
    METADATA,
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
)
outbox = sa.Table(
    "outbox",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, nullable=False, index=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_ns", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("settled_ns", sa.BigInteger),
    sa.Column("queue", sa.Text, nullable=False, server_default=SWAPS),
    sa.Index(None, "queue", "status", "due_ns"),
)
"""`queue`: whose work it is. Who executes one queue never sees the effects of another, however many there are."""
cursors = sa.Table(
    "cursors",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

TABLES: Final = (journal, journal_state, outbox, cursors)

# --- statements: built once, so that SQLAlchemy finds what it compiled of them again ---------------------------------

_STREAM: Final[sa.BindParameter[Any]] = sa.bindparam("of_stream")
_INSERT_EVENT: Final = sa.insert(journal)
_INSERT_STATE: Final = sa.insert(journal_state)
_INSERT_EFFECTS: Final = sa.insert(outbox)
_INSERT_CURSOR: Final = sa.insert(cursors)
_STATE: Final = sa.select(journal_state.c.sequence, journal_state.c.state).where(journal_state.c.stream == _STREAM)
_MOVE_STATE: Final = sa.update(journal_state).where(
    journal_state.c.stream == _STREAM, journal_state.c.sequence == sa.bindparam("expected")
)
_EVENTS_BEHIND: Final = (
    sa.select(journal)
    .where(journal.c.stream == _STREAM, journal.c.sequence > sa.bindparam("after"))
    .order_by(journal.c.sequence)
    .limit(PAGE)
)
_IS_PENDING: Final = (outbox.c.queue == sa.bindparam("of_queue")) & (outbox.c.status == EffectStatus.PENDING)
_PENDING: Final = (
    sa.select(outbox)
    .where(_IS_PENDING, outbox.c.due_ns <= sa.bindparam("now_ns"))
    .order_by(outbox.c.due_ns, outbox.c.stream, outbox.c.sequence, outbox.c.kind)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_PENDING_TRIES: Final = _PENDING.with_only_columns(outbox.c.key, outbox.c.attempts)
_EFFECTS: Final = sa.select(outbox).where(outbox.c.key.in_(sa.bindparam("keys", expanding=True)))
_PENDING_OF_KINDS: Final = _PENDING.where(outbox.c.kind.in_(sa.bindparam("kinds", expanding=True)))
_NEXT_DUE: Final = sa.select(sa.func.min(outbox.c.due_ns)).where(_IS_PENDING)
_COUNT_PENDING: Final = sa.select(sa.func.count()).select_from(outbox).where(_IS_PENDING)
_EFFECTS_OF_STREAM: Final = (
    sa.select(outbox).where(outbox.c.stream == _STREAM).order_by(outbox.c.sequence, outbox.c.kind)
)
_EFFECT: Final = sa.select(outbox).where(outbox.c.key == sa.bindparam("of_key"))
_CHANGE_PENDING: Final = sa.update(outbox).where(
    outbox.c.key == sa.bindparam("of_key"), outbox.c.status == EffectStatus.PENDING
)
_COUNT_TRY: Final = _CHANGE_PENDING.values(attempts=outbox.c.attempts + 1)
_CURSOR: Final = sa.select(cursors.c.position).where(cursors.c.name == sa.bindparam("of_name"))
_MOVE_CURSOR: Final = sa.update(cursors).where(
    cursors.c.name == sa.bindparam("of_name"), cursors.c.position == sa.bindparam("expected")
)


def append(
    connection: Connection,
    stream: str,
    expected_sequence: int,
    event: bytes,
    state: bytes,
    effects: Sequence[Effect] = (),
    *,
    now_ns: int,
    queue: str = SWAPS,
) -> int:
    """Store an event, the state after it and its effects; returns the event's sequence, `expected_sequence` + 1.

    `queue`: who executes the effects.

    `expected_sequence` is the one of the snapshot that was decided on, 0 for a new stream. Raise `ConflictError` if
    the stream has moved on meanwhile: load it and decide again.
    """
    sequence = expected_sequence + 1
    kinds = [effect.kind for effect in effects]
    require(len(set(kinds)) == len(kinds), "two effects of one event are of one kind", stream=stream, kinds=kinds)
    _store_state(connection, stream, expected_sequence, state)
    connection.execute(_INSERT_EVENT, {"stream": stream, "sequence": sequence, "event": event, "recorded_ns": now_ns})
    if effects:
        connection.execute(_INSERT_EFFECTS, [_outbox_row(stream, sequence, effect, queue) for effect in effects])
    return sequence


def _store_state(connection: Connection, stream: str, expected: int, state: bytes) -> None:
    if expected > 0:
        moved = {"of_stream": stream, "expected": expected, "sequence": expected + 1, "state": state}
        changed = connection.execute(_MOVE_STATE, moved).rowcount
        if changed == 1:
            return
    elif load(connection, stream) is None:
        # Two creators at once, on PostgreSQL: the primary key refuses the second, also as a ConflictError.
        connection.execute(_INSERT_STATE, {"stream": stream, "sequence": 1, "state": state})
        return
    raise ConflictError(f"{stream} is not at event {expected} any more", stream=stream, expected=expected)


def _outbox_row(stream: str, sequence: int, effect: Effect, queue: str) -> dict[str, object]:
    return {
        "key": str(EffectKey(stream, sequence, effect.kind)),
        "stream": stream,
        "sequence": sequence,
        "kind": effect.kind,
        "body": effect.body,
        "status": EffectStatus.PENDING,
        "attempts": 0,
        "due_ns": effect.due_ns,
        "queue": queue,
    }


def load(connection: Connection, stream: str) -> Snapshot | None:
    """The stream's present state, None if it has no events."""
    row = connection.execute(_STATE, {"of_stream": stream}).one_or_none()
    return None if row is None else Snapshot(stream, row.sequence, row.state)


def snapshots(connection: Connection, prefix: str = "") -> Iterator[Snapshot]:
    """The present state of every stream whose name begins with `prefix`, in the order of names."""
    after = None
    while True:
        query = sa.select(journal_state).order_by(journal_state.c.stream).limit(PAGE)
        if prefix:
            query = query.where(journal_state.c.stream.startswith(prefix, autoescape=True))
        if after is not None:
            query = query.where(journal_state.c.stream > after)
        rows = connection.execute(query).all()
        yield from (Snapshot(row.stream, row.sequence, row.state) for row in rows)
        if len(rows) < PAGE:
            return
        after = rows[-1].stream


def replay(connection: Connection, stream: str, after_sequence: int = 0) -> Iterator[Entry]:
    """The stream's events behind `after_sequence`, in order. Consume it inside the transaction."""
    while True:
        rows = connection.execute(_EVENTS_BEHIND, {"of_stream": stream, "after": after_sequence}).all()
        for row in rows:
            require(row.sequence == after_sequence + 1, "the journal has a gap", stream=stream, at=after_sequence + 1)
            after_sequence = row.sequence
            yield Entry(row.stream, row.sequence, row.event, row.recorded_ns)
        if len(rows) < PAGE:
            return


def forget(connection: Connection, stream: str) -> None:
    """Delete a stream with its effects, as if it had never begun. Only for one that has acted on nothing."""
    for table in (journal, journal_state, outbox):
        connection.execute(sa.delete(table).where(table.c.stream == stream))


def pending_effects(
    connection: Connection, now_ns: int, limit: int = PAGE, kinds: Collection[str] | None = None, queue: str = SWAPS
) -> list[StoredEffect]:
    """Effects of a queue that are due, the longest due first, at most `limit`; only of `kinds` if given."""
    asked: dict[str, object] = {"now_ns": now_ns, "most": limit, "of_queue": queue}
    if kinds is None:
        return [_stored(row) for row in connection.execute(_PENDING, asked)]
    return [_stored(row) for row in connection.execute(_PENDING_OF_KINDS, asked | {"kinds": sorted(kinds)})]


def pending_again(
    connection: Connection, now_ns: int, limit: int, known: Mapping[Try, StoredEffect]
) -> dict[Try, StoredEffect]:
    """As `pending_effects`, by their tries: only those that are not `known` are read, since few have changed."""
    asked = {"now_ns": now_ns, "most": limit, "of_queue": SWAPS}
    due: list[Try] = [(key, attempts) for key, attempts in connection.execute(_PENDING_TRIES, asked)]
    new = [one[0] for one in due if one not in known]
    read = {effect.key: effect for effect in _effects(connection, new)}
    return {one: known[one] if one in known else read[one[0]] for one in due}


def _effects(connection: Connection, keys: Sequence[str]) -> list[StoredEffect]:
    return [_stored(row) for row in connection.execute(_EFFECTS, {"keys": keys})] if keys else []


def count_pending(connection: Connection, queue: str = SWAPS) -> int:
    """Return how many effects of a queue are not done, those that are not due yet included."""
    return int(connection.execute(_COUNT_PENDING, {"of_queue": queue}).scalar_one())


def next_due_ns(connection: Connection, queue: str = SWAPS) -> int | None:
    """When the queue's next pending effect is due, in the past if one is overdue; None if nothing is pending."""
    return connection.execute(_NEXT_DUE, {"of_queue": queue}).scalar()


def stream_effects(connection: Connection, stream: str) -> list[StoredEffect]:
    """All effects of a stream, settled ones too, in the order in which they were asked for."""
    return [_stored(row) for row in connection.execute(_EFFECTS_OF_STREAM, {"of_stream": stream})]


def effect(connection: Connection, key: str) -> StoredEffect:
    """The effect under `key`. Raise `NotFoundError`."""
    row = connection.execute(_EFFECT, {"of_key": key}).one_or_none()
    if row is None:
        raise NotFoundError(f"no effect {key}")
    return _stored(row)


def complete_effect(connection: Connection, key: str, *, now_ns: int) -> None:
    """Note that the effect is done; again is harmless. Raise `NotFoundError`, `ConflictError` if it failed."""
    _settle(connection, key, EffectStatus.DONE, None, now_ns)


def fail_effect(connection: Connection, key: str, error: str, *, now_ns: int) -> None:
    """Give the effect up for good; again is harmless. Raise `NotFoundError`, `ConflictError` if it is done."""
    _settle(connection, key, EffectStatus.FAILED, error, now_ns)


def _settle(connection: Connection, key: str, status: EffectStatus, error: str | None, now_ns: int) -> None:
    settled = {"of_key": key, "status": status, "error": error and error[:MAX_ERROR_CHARS], "settled_ns": now_ns}
    changed = connection.execute(_CHANGE_PENDING, settled).rowcount
    if changed == 0 and (stored := effect(connection, key)).status is not status:
        raise ConflictError(f"effect {key} is {stored.status} already", key=key, status=stored.status)


def retry_effect(connection: Connection, key: str, *, due_ns: int, error: str) -> None:
    """Note a failed try; the next is due at `due_ns`. Raise `NotFoundError`, `ConflictError` if it is settled."""
    failed = {"of_key": key, "due_ns": due_ns, "error": error[:MAX_ERROR_CHARS]}
    changed = connection.execute(_COUNT_TRY, failed).rowcount
    if changed == 0:
        stored = effect(connection, key)
        raise ConflictError(f"effect {key} is {stored.status} already", key=key, status=stored.status)


def _stored(row: Row[tuple[object, ...]]) -> StoredEffect:
    return StoredEffect(
        key=row.key,
        stream=row.stream,
        sequence=row.sequence,
        kind=row.kind,
        body=row.body,
        status=EffectStatus(row.status),
        attempts=row.attempts,
        due_ns=row.due_ns,
        error=row.error,
    )


def cursor(connection: Connection, name: str) -> int:
    """The last position that was processed durably under `name`; 0 if nothing was."""
    stored = connection.execute(_CURSOR, {"of_name": name}).scalar()
    return 0 if stored is None else int(stored)


def advance_cursor(connection: Connection, name: str, expected: int, position: int) -> None:
    """Move the cursor from `expected` to `position`, in the transaction that stores what was made of it.

    Raise `ConflictError` if it does not stand at `expected` (somebody else moved it: nothing is stored),
    `FatalError` for a step back.
    """
    require(position >= expected, "a cursor does not move back", name=name, expected=expected, position=position)
    moved = {"of_name": name, "expected": expected, "position": position}
    if connection.execute(_MOVE_CURSOR, moved).rowcount == 1:
        return
    stored = connection.execute(_CURSOR, {"of_name": name}).scalar()
    if stored is not None or expected != 0:
        raise ConflictError(
            f"the cursor {name} stands at {stored or 0}, not at {expected}", name=name, expected=expected
        )
    connection.execute(_INSERT_CURSOR, {"name": name, "position": position})
