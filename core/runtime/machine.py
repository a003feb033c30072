"""A journalled machine: events in, state and effects out, over a database.

Each event is stored with the state and the effects that follow from it (`core.runtime.journal`), in the caller's
transaction, together with the cursor that the event came from. Who owns a machine brings its pure rules as a `Rules`;
the journal replays to the same state, and `check_replay` holds the stored state against it.

    machine = Machine(rules)
    machine.begin(connection, event, now_ns=…)          → state
    machine.take(connection, stream, events, now_ns=…)  → Taken
    machine.load(connection, stream)                    → state
    machine.replayed(connection, stream)                → state, from the journal alone
    machine.check_replay(connection, stream)            raises FatalError if the two differ
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sqlalchemy.engine import Connection

from core.model.codecs import Codec
from core.model.errors import ConflictError, NotFoundError, require
from core.runtime import journal

S = TypeVar("S")
E = TypeVar("E")
F = TypeVar("F")


class Rules(Protocol[S, E, F]):
    """The pure part of a machine: states S, events E, effects F."""

    name: str
    """The word for one stream in sentences: "swap"."""
    codec: Codec[S, E, F]

    def transition(self, state: S | None, event: E) -> tuple[S, tuple[F, ...]]:
        """Return the state that follows and what is asked for; the same object if the event changes nothing.

        The state is None before the first event.
        """

    def is_worth_storing(self, before: S, event: E, after: S, asked: tuple[F, ...]) -> bool:
        """Return false for a step that the next one makes up for, such as one that only moved clocks."""

    def stream_of(self, state: S) -> str: ...

    def sequence_of(self, state: S) -> int:
        """Return how many events the state has taken."""

    def kind_of(self, effect: F) -> str:
        """Return the kind, unique among the effects of one event."""

    def queue_of(self, state: S) -> str:
        """Return the queue of the outbox from which the stream's effects are executed."""


@dataclass(frozen=True, slots=True)
class Taken(Generic[S, F]):
    """A machine before and after a batch of events. `stored` counts those that changed anything."""

    before: S
    state: S
    asked: tuple[F, ...]
    stored: int


class Machine(Generic[S, E, F]):
    """All streams of one kind of machine. It holds nothing itself; each call works on the connection it is given."""

    def __init__(self, rules: Rules[S, E, F]) -> None:
        self._rules = rules

    def begin(self, connection: Connection, event: E, *, now_ns: int) -> S:
        """Store a new stream and what follows from its first event. Raise `ConflictError` if it exists."""
        state, asked = self._rules.transition(None, event)
        stream = self._rules.stream_of(state)
        if journal.load(connection, stream) is not None:
            raise ConflictError(f"{self._rules.name} {stream} exists already", **{f"{self._rules.name}_id": stream})
        self._store(connection, 0, event, state, asked, now_ns)
        return state

    def take(self, connection: Connection, stream: str, happened: Iterable[E], *, now_ns: int) -> Taken[S, F]:
        """Let a stream answer these events, in order.

        Raise `NotFoundError`, and `ConflictError` if another transaction was faster: roll back and begin again.
        """
        before = state = self.load(connection, stream)
        asked: tuple[F, ...] = ()
        stored = 0
        for event in happened:
            after, new = self._rules.transition(state, event)
            if after is state or not self._rules.is_worth_storing(state, event, after, new):
                continue
            self._store(connection, self._rules.sequence_of(state), event, after, new, now_ns)
            state, asked, stored = after, asked + new, stored + 1
        return Taken(before, state, asked, stored)

    def load(self, connection: Connection, stream: str) -> S:
        """Return the stream's present state. Raise `NotFoundError`."""
        snapshot = journal.load(connection, stream)
        if snapshot is None:
            raise NotFoundError(f"no {self._rules.name} {stream[:64]!r}")
        return self._rules.codec.decode_state(snapshot.state)

    def replayed(self, connection: Connection, stream: str) -> S:
        """Return the state that the journal's events lead to, without a look at the stored one. Raise `NotFoundError`,
        and `FatalError` if an event of the journal does not follow from those before it."""
        state: S | None = None
        for entry in journal.replay(connection, stream):
            state, _ = self._rules.transition(state, self._rules.codec.decode_event(entry.event))
            taken = self._rules.sequence_of(state) == entry.sequence
            require(taken, "an event of the journal was not taken", stream=stream)
        if state is None:
            raise NotFoundError(f"no {self._rules.name} {stream[:64]!r}")
        return state

    def check_replay(self, connection: Connection, stream: str) -> None:
        """Hold the stored state against the journal. Raise `FatalError` if they differ: code or storage is wrong."""
        stored, again = self.load(connection, stream), self.replayed(connection, stream)
        require(
            self._rules.codec.encode(stored) == self._rules.codec.encode(again),
            f"a {self._rules.name}'s stored state is not what its journal leads to",
            stream=stream,
        )

    def _store(
        self, connection: Connection, expected: int, event: E, state: S, asked: tuple[F, ...], now_ns: int
    ) -> None:
        rules, stream = self._rules, self._rules.stream_of(state)
        stored = [journal.Effect(rules.kind_of(effect), rules.codec.encode(effect)) for effect in asked]
        encoded = rules.codec.encode(event), rules.codec.encode(state)
        queue = rules.queue_of(state)
        sequence = journal.append(connection, stream, expected, *encoded, stored, now_ns=now_ns, queue=queue)
        require(sequence == rules.sequence_of(state), "journal and state count events alike", stream=stream)
