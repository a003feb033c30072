"""The ways of the parties' machines in one story: their events, effects and phases, counted from the journals."""

import contextlib
from collections import Counter

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import CausewayError
from core.model.types import SwapId
from core.runtime import journal
from gateway.simulation.plan import POLICY
from gateway.simulation.verdict.record import Record
from htlc import codec, effects
from htlc.events import Agreed, event_name
from htlc.model import SwapState
from htlc.transition import transition
from relayer.pump.tables import relayer_swaps


async def journeys(record: Record) -> Counter[str]:
    """Counts by name: `event-lock-seen`, `effect-fund`, `phase-claiming`; of each end its code: `ended-completed`."""
    counts: Counter[str] = Counter()
    for process in record.processes:
        counts += await process.database.read(_of_database)
    return counts


def _of_database(connection: Connection) -> Counter[str]:
    counts: Counter[str] = Counter()
    for swap_id in connection.scalars(sa.select(relayer_swaps.c.swap_id)).all():
        with contextlib.suppress(CausewayError):  # a journal that cannot be replayed is the verdict's concern
            counts += _of_swap(connection, SwapId(swap_id))
    return counts


def _of_swap(connection: Connection, swap_id: SwapId) -> Counter[str]:
    counts: Counter[str] = Counter()
    state: SwapState | None = None
    policy = POLICY
    for entry in journal.replay(connection, swap_id):
        event, before = codec.decode_event(entry.event), state
        if isinstance(event, Agreed):
            policy = event.agreement.policy
        state, asked = transition(state, event, policy)
        counts[f"event-{event_name(event)}"] += 1
        if before is None or before.phase is not state.phase:
            counts[f"phase-{state.phase}"] += 1
        for effect in asked:
            counts[f"effect-{effect.__struct_config__.tag}"] += 1
            if isinstance(effect, effects.Finished):
                counts[f"ended-{effect.code}"] += 1
    return counts
