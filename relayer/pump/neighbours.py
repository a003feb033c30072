"""Swaps that share a lock: it is settled once, and paid for once.

A hashlock is public, and whoever has a swap watched proves nothing. So several watches may name one lock, and some may
name a lock of a swap of our own. Our own swap sends its own exit and waits for nobody. A watch leaves the lock to it,
or to another watch whose exit is on its way. What a claim of a watch has no time for, it does itself.
"""

from collections.abc import Callable, Sequence

from sqlalchemy.engine import Connection

from core.model.errors import FencedError, RetryableError
from core.model.ports import ChainTiming
from core.model.types import SwapId
from core.runtime import journal
from core.runtime.clock import Clock
from htlc import effects
from htlc.effects import Exit
from htlc.model import Leg, Role, SwapState
from htlc.timelocks import claim_bound_s
from relayer.pump import swaps, tables
from relayer.transactions import records
from relayer.transactions.records import TransactionRecord


def gate(asked: Sequence[Exit], timing: ChainTiming, clock: Clock) -> Callable[[Connection], None]:
    """Return the gate of a transaction for these exits of watches, on a chain with this timing. It raises
    `RetryableError` while another swap settles one of their locks."""

    def check(connection: Connection) -> None:
        for one in asked:
            if (other := left_to(connection, one, timing, clock.now())) is not None:
                raise RetryableError(f"swap {other} settles the lock {one.lock_id}: this watch leaves it to that one")

    return check


def left_to(connection: Connection, asked: Exit, timing: ChainTiming, now_s: float) -> SwapId | None:
    """Return the open swap that settles the lock from which a watch asks for an exit; None if the watch is to do it."""
    if isinstance(asked, effects.ClaimLeg) and asked.terms.timelock.seconds - now_s <= claim_bound_s(timing):
        return None
    return _settled_by(connection, asked)


def _settled_by(connection: Connection, asked: Exit) -> SwapId | None:
    for row in tables.open_under(connection, [asked.terms.hashlock]):
        if row.swap_id == asked.swap_id:
            continue
        try:
            state = swaps.load(connection, row.swap_id)
        except (RetryableError, FencedError):
            raise
        except Exception:  # set aside with an alarm: nobody knows what it does
            continue
        for leg in Leg:
            same = state.agreement.terms(leg) == asked.terms and state.leg(leg).lock_id == asked.lock_id
            if same and _settles(connection, state, leg, asked):
                return row.swap_id
    return None


def _settles(connection: Connection, state: SwapState, leg: Leg, asked: Exit) -> bool:
    """A swap of our own takes back what it locked, and claims what pays us. A watch has to have sent its exit."""
    if state.agreement.role is not Role.WATCHTOWER:
        own = state.agreement.own_leg
        return own is not None and leg is (own if isinstance(asked, effects.RefundLeg) else own.other)
    kind = effects.leg_kind(type(asked), leg)
    keys = [one.key for one in journal.stream_effects(connection, state.swap_id) if one.kind == kind]
    return any(_is_under_way(records.by_effect(connection, key), key) for key in keys)


def _is_under_way(record: TransactionRecord | None, key: str) -> bool:
    """The effect itself may come about by it, or has."""
    if record is None or not record.under_way:
        return False
    return all(item.left_out is None for item in record.effects if item.effect_key == key)
