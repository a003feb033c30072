"""Events in, state and effects out: the query's machine over a database (`core.runtime.machine`)."""

from typing import Final

from sqlalchemy.engine import Connection

from core.model.types import BlockRef, ChainId
from core.runtime import machine
from queries import codec, events
from queries.effects import QueryEffect, kind_of
from queries.events import QueryEvent
from queries.model import QueryState, Request
from queries.transition import only_time_passed, transition

STREAM_PREFIX: Final = "query-"
"""Swaps and queries share a journal."""

QUEUE: Final = "queries"
"""The queue of what callers of ours ask; the questions of each chain have one of their own."""

Taken = machine.Taken[QueryState, QueryEffect]


def queue_of(request: Request) -> str:
    """Return the queue from which the effects of this query are executed."""
    return QUEUE if request.place is None else queue_on(request.place.chain)


def queue_on(chain: ChainId) -> str:
    """Return the queue of the questions that are asked on this chain."""
    return f"{QUEUE} {chain}"


class _QueryRules:
    """The query's pure part, as a `machine.Rules`."""

    name = "query"
    codec = codec.QUERIES

    def transition(self, state: QueryState | None, event: QueryEvent) -> tuple[QueryState, tuple[QueryEffect, ...]]:
        return transition(state, event)

    def is_worth_storing(
        self, before: QueryState, event: QueryEvent, after: QueryState, asked: tuple[QueryEffect, ...]
    ) -> bool:
        return not only_time_passed(before, after, asked)

    def stream_of(self, state: QueryState) -> str:
        return STREAM_PREFIX + state.query_id

    def sequence_of(self, state: QueryState) -> int:
        return state.sequence

    def kind_of(self, effect: QueryEffect) -> str:
        return kind_of(effect)

    def queue_of(self, state: QueryState) -> str:
        return queue_of(state.request)


QUERIES: Final[machine.Machine[QueryState, QueryEvent, QueryEffect]] = machine.Machine(_QueryRules())

take = QUERIES.take
load = QUERIES.load
replayed = QUERIES.replayed
check_replay = QUERIES.check_replay


def begin(connection: Connection, request: Request, block: BlockRef | None, *, now_s: int, now_ns: int) -> QueryState:
    """Store a new query and what follows from its request. Raise `ConflictError` if it exists."""
    return QUERIES.begin(connection, events.Asked(request, block, now_s), now_ns=now_ns)
