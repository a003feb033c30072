"""Events in, state and effects out: the swap's machine over a database (`core.runtime.machine`).

Plain functions over a `Connection`, for `Database.write` and `Database.read`. A swap is judged by the policy in its
agreement, so that its journal replays to the same state whatever has been configured since.
"""

from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import FatalError
from core.runtime import journal, machine
from htlc import codec, effects, events
from htlc.effects import SwapEffect
from htlc.events import SwapEvent
from htlc.model import Agreement, SwapState
from htlc.transition import only_time_passed, transition

Taken = machine.Taken[SwapState, SwapEffect]


class _SwapRules:
    """The swap's pure part, as a `machine.Rules`."""

    name = "swap"
    codec = codec.SWAPS

    def transition(self, state: SwapState | None, event: SwapEvent) -> tuple[SwapState, tuple[SwapEffect, ...]]:
        if isinstance(event, events.Agreed):
            return transition(state, event, event.agreement.policy)
        if state is None:
            raise FatalError("a journal begins with the agreement")
        return transition(state, event, state.agreement.policy)

    def is_worth_storing(
        self, before: SwapState, event: SwapEvent, after: SwapState, asked: tuple[SwapEffect, ...]
    ) -> bool:
        return not (isinstance(event, events.TimeAdvanced) and only_time_passed(before, after, asked))

    def stream_of(self, state: SwapState) -> str:
        return state.swap_id

    def sequence_of(self, state: SwapState) -> int:
        return state.sequence

    def kind_of(self, effect: SwapEffect) -> str:
        return effects.kind_of(effect)

    def queue_of(self, state: SwapState) -> str:
        return journal.SWAPS


SWAPS: Final[machine.Machine[SwapState, SwapEvent, SwapEffect]] = machine.Machine(_SwapRules())

take = SWAPS.take
load = SWAPS.load
replayed = SWAPS.replayed
check_replay = SWAPS.check_replay


def begin(connection: Connection, agreement: Agreement, *, now_s: int, now_ns: int) -> SwapState:
    """Store a new swap and what follows from its agreement. Raise `ConflictError` if it exists."""
    return SWAPS.begin(connection, events.Agreed(agreement, now_s), now_ns=now_ns)
