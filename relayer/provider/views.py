"""A swap's row and its state as people and clients see them. Pure."""

from core.model.types import LockId
from core.runtime.clock import NS_PER_S
from htlc.model import Leg, SwapState
from relayer.inventory import Promise
from relayer.provider.desk import LegView, SwapView
from relayer.pump.tables import SwapRow


def swap_view(row: SwapRow, state: SwapState, place: str | None, promise: Promise | None, now_ns: int) -> SwapView:
    """The row and the state as one; `place` is that of our own lock, known before the lock is seen.

    `promise`: what an open swap may cost us.
    """
    reserved, reservation = reservation_of(promise, now_ns)
    initiator, participant = (_leg_view(state, leg, place) for leg in Leg)
    return SwapView(
        id=row.swap_id,
        quote_id=row.quote_id,
        role=row.role,
        hashlock=state.agreement.hashlock,
        phase=state.phase,
        reason_code=state.closed.code if state.closed else None,
        reason=state.closed.message if state.closed else None,
        initiator=initiator,
        participant=participant,
        preimage=state.preimage,
        lock_deadline_s=state.agreement.lock_deadline_s,
        created_at=row.created_ns / NS_PER_S,
        updated_at=row.updated_ns / NS_PER_S,
        version=state.sequence,
        reserved=reserved,
        reservation=reservation,
    )


def reservation_of(promise: Promise | None, now_ns: int) -> tuple[bool, str]:
    """If a swap's part of ours is kept now, and a sentence about it; empty for swaps that ended or are not ours."""
    if promise is None:
        return False, ""
    if not promise.is_firm(now_ns):
        return False, (
            "nothing is kept for this swap before your lock is final: if the relayer's inventory is used up by then, "
            "your lock comes back after its timelock, or before it if the relayer offers early refunds"
        )
    if promise.waits and promise.hold_until_ns is not None:
        until_s = promise.hold_until_ns // NS_PER_S
        return True, f"the relayer keeps its part for your lock until {until_s} (Unix seconds)"
    return True, "the relayer keeps its part for this swap"


def _leg_view(state: SwapState, leg: Leg, place: str | None) -> LegView:
    facts = state.leg(leg)
    lock_id = facts.lock_id
    if lock_id is None and place is not None and leg is state.agreement.own_leg:
        lock_id = LockId(place)
    return LegView(
        leg=leg,
        terms=state.agreement.terms(leg),
        status=facts.status,
        lock_id=lock_id,
        lock=facts.lock,
        settle=facts.claim or facts.refund,
    )
