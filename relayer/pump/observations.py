"""From facts of chains to events of swaps. Pure.

A fact concerns a swap through its hashlock; the leg follows from the chain. Whether a lock is the agreed one, and what
a claim means, the state machine judges: everything under the hashlock is passed on.
"""

from collections.abc import Iterator

from core.model.facts import Claimed, Locked, LoggedEvent, Refunded, hashlock_of
from core.model.types import ChainId, Hashlock, Height
from htlc import events
from htlc.model import Leg, SwapState
from indexer.feed import Fact, FactKind
from relayer.pump.tables import SwapRow


def hashlocks_of(fact: Fact) -> set[Hashlock]:
    """The hashlocks that a block's events name."""
    return {found for logged in fact.events if (found := hashlock_of(logged)) is not None}


def swap_events(fact: Fact, swap: SwapRow) -> Iterator[events.ChainFact]:
    """Yield what an applied or reverted block says about one swap, in order (a reverted block backwards)."""
    ordered = fact.events if fact.kind is FactKind.APPLIED else reversed(fact.events)
    for logged in ordered:
        if hashlock_of(logged) != swap.hashlock:
            continue
        leg = swap.leg_on(fact.chain)
        if leg is not None:
            yield seen(leg, logged) if fact.kind is FactKind.APPLIED else _reverted(leg, logged)
        elif isinstance(logged.event, Claimed):
            yield events.PreimageSeen(logged.event.preimage, f"a claim on {fact.chain}")


def preimages(fact: Fact, swap: SwapRow) -> Iterator[events.PreimageSeen]:
    """Return what a block showed of the swap's preimage. It stays public though the block was replaced."""
    for logged in fact.events:
        if isinstance(logged.event, Claimed) and logged.event.hashlock == swap.hashlock:
            yield events.PreimageSeen(logged.event.preimage, f"a claim on {fact.chain}")


def seen(leg: Leg, logged: LoggedEvent) -> events.ChainFact:
    """Return what an event of a lock says about the leg whose chain shows it."""
    match logged.event:
        case Locked(lock_id, terms):
            return events.LockSeen(leg, lock_id, terms, logged.block, logged.tx_hash)
        case Claimed(lock_id, _, preimage):
            return events.ClaimSeen(leg, lock_id, preimage, logged.block, logged.tx_hash)
        case Refunded(lock_id, _):
            return events.RefundSeen(leg, lock_id, logged.block, logged.tx_hash)
        case other:
            raise TypeError(f"{type(other).__name__} has no hashlock")


def _reverted(leg: Leg, logged: LoggedEvent) -> events.ChainFact:
    match logged.event:
        case Locked(lock_id, _):
            return events.LockReverted(leg, lock_id, logged.block)
        case Claimed(lock_id, _, _):
            return events.ClaimReverted(leg, lock_id, logged.block)
        case Refunded(lock_id, _):
            return events.RefundReverted(leg, lock_id, logged.block)
        case other:
            raise TypeError(f"{type(other).__name__} has no hashlock")


def final_events(state: SwapState, chain: ChainId, height: Height) -> Iterator[events.ChainFact]:
    """Yield what became final for one swap by this height of this chain being final.

    Sightings in replaced blocks are gone from the state by then, so every one at or below the height is canonical.
    """
    leg = state.agreement.leg_on(chain)
    facts = state.leg(leg)
    if facts.lock_id is None:
        return
    if facts.lock is not None and not facts.lock.final and facts.lock.block.height <= height:
        yield events.LockFinal(leg, facts.lock_id, facts.lock.block)
    if facts.claim is not None and not facts.claim.final and facts.claim.block.height <= height:
        yield events.ClaimFinal(leg, facts.lock_id, facts.claim.block)
    if facts.refund is not None and not facts.refund.final and facts.refund.block.height <= height:
        yield events.RefundFinal(leg, facts.lock_id, facts.refund.block)
