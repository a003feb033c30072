"""Events in, state and effects out: the swap machine over a database.

Plain functions over a `Connection`, for `Database.write` and `Database.read`. Each event is stored with the state
and the effects that follow from it (`core.runtime.journal`); call `journal.advance_cursor` in the same transaction, and
several of these where a batch is at hand. A swap is judged by the policy in its agreement, so that its journal replays
to the same state whatever has been configured since.

    begin(connection, agreement, now_s=…, now_ns=…) → SwapState
    take(connection, swap_id, events, now_ns=…)     → Taken
    load(connection, swap_id)                       → SwapState
    replayed(connection, swap_id)                   → SwapState, from the journal alone
    check_replay(connection, swap_id)               raises FatalError if the two differ
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError, require
from core.model.types import SwapId
from core.runtime import journal
from htlc import codec, effects, events
from htlc.model import Agreement, SwapState
from htlc.transition import only_time_passed, transition


@dataclass(frozen=True, slots=True)
class Taken:
    """A swap before and after a batch of events. `stored` counts those that changed anything."""

    before: SwapState
    state: SwapState
    asked: tuple[effects.SwapEffect, ...]
    stored: int


def begin(connection: Connection, agreement: Agreement, *, now_s: int, now_ns: int) -> SwapState:
    """Store a new swap and what follows from its agreement. Raise `ConflictError` if it exists."""
    if journal.load(connection, agreement.swap_id) is not None:
        raise ConflictError(f"swap {agreement.swap_id} exists already", swap_id=agreement.swap_id)
    event = events.Agreed(agreement, now_s)
    state, asked = transition(None, event, agreement.policy)
    _store(connection, 0, event, state, asked, now_ns)
    return state


def take(connection: Connection, swap_id: SwapId, happened: Iterable[events.SwapEvent], *, now_ns: int) -> Taken:
    """Let a swap answer these events, in order. What changes nothing, or only moves clocks, is not stored.

    Raise `NotFoundError`; `ConflictError` if another transaction was faster: roll back and begin again.
    """
    before = state = load(connection, swap_id)
    asked: tuple[effects.SwapEffect, ...] = ()
    stored = 0
    for event in happened:
        after, new = transition(state, event, state.agreement.policy)
        if after is state or (isinstance(event, events.TimeAdvanced) and only_time_passed(state, after, new)):
            continue
        _store(connection, state.sequence, event, after, new, now_ns)
        state, asked, stored = after, asked + new, stored + 1
    return Taken(before, state, asked, stored)


def load(connection: Connection, swap_id: SwapId) -> SwapState:
    """The swap's present state. Raise `NotFoundError`."""
    snapshot = journal.load(connection, swap_id)
    if snapshot is None:
        raise NotFoundError(f"no swap {swap_id[:64]!r}")
    return codec.decode_state(snapshot.state)


def replayed(connection: Connection, swap_id: SwapId) -> SwapState:
    """The state that the journal's events lead to, without looking at the stored one. Raise `NotFoundError`."""
    state: SwapState | None = None
    for entry in journal.replay(connection, swap_id):
        event = codec.decode_event(entry.event)
        if state is None:
            require(isinstance(event, events.Agreed), "a journal begins with the agreement", swap_id=swap_id)
        agreement = event.agreement if isinstance(event, events.Agreed) else load(connection, swap_id).agreement
        state, _ = transition(state, event, agreement.policy)
        require(state.sequence == entry.sequence, "an event of the journal was not taken", swap_id=swap_id)
    if state is None:
        raise NotFoundError(f"no swap {swap_id[:64]!r}")
    return state


def check_replay(connection: Connection, swap_id: SwapId) -> None:
    """Hold the stored state against the journal. Raise `FatalError` if they differ: code or storage is wrong."""
    stored, again = load(connection, swap_id), replayed(connection, swap_id)
    require(
        codec.encode(stored) == codec.encode(again),
        "a swap's stored state is not what its journal leads to",
        swap_id=swap_id,
        stored_phase=stored.phase,
        replayed_phase=again.phase,
    )


def _store(
    connection: Connection,
    expected: int,
    event: events.SwapEvent,
    state: SwapState,
    asked: tuple[effects.SwapEffect, ...],
    now_ns: int,
) -> None:
    stored = [journal.Effect(effects.kind_of(effect), codec.encode(effect)) for effect in asked]
    encoded = codec.encode(event), codec.encode(state)
    sequence = journal.append(connection, state.swap_id, expected, *encoded, stored, now_ns=now_ns)
    require(sequence == state.sequence, "journal and state count events alike", swap_id=state.swap_id)
