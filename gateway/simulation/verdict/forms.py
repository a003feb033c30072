"""The signed forms that may still be mined: of locks that were called off, of locks beyond their time."""

from collections.abc import Iterator
from math import ceil
from typing import Final

from core.model.types import AccountId, Height, LockTerms
from gateway.simulation.plan import FORGETFUL, TIMING, Rough
from gateway.simulation.verdict.chains import all_locks
from gateway.simulation.verdict.gates import needed_by
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.wire import Sent

SLACK_BLOCKS: Final = 1
"""A block may come between a signature and its first byte, and the time that is left is rounded up to blocks."""
SIGNING_S: Final = 2
"""How long signature and sending may take of a party whose signer, endpoints or database fail now and then."""


def problems(record: Record) -> Iterator[Problem]:
    """Every form that should not have been signed, or that was forgotten."""
    by_hashlock = {one.hashlock: one for one in record.agreed}
    for sent in record.world.wire.firsts():
        for terms in sent.body.locks:
            if (deal := by_hashlock.get(terms.hashlock)) is not None:
                yield from _outlives(record, sent, deal)
        if sent.body.settles and not sent.body.preimages:
            yield from _given_back(record, sent)


def may_be_mined(record: Record, sent: Sent, final: Height) -> bool:
    """Return true if a block behind the final one at this height may hold these bytes."""
    here, expiry = record.world.chains[sent.chain], sent.body.expiry_height
    return here.used(AccountId(sent.body.sender), final) <= sent.body.sequence and (expiry is None or expiry > final)


def locks_of(record: Record, party: str, terms: LockTerms, before_s: float) -> list[Sent]:
    """Every form of this lock that the party had sent by then (Unix seconds)."""
    return [
        sent
        for sent in record.world.wire.firsts()
        if sent.party == party and sent.at_s <= before_s and terms in sent.body.locks
    ]


def _outlives(record: Record, sent: Sent, deal: Agreed) -> Iterator[Problem]:
    """No block may hold a lock that comes too late to be of use: the form itself expires by then, where forms do."""
    if sent.body.expiry_height is None or sent.party == record.plan.clock_of:
        return
    deadlines_s = {
        deal.relayer: deal.participant_leg.timelock.seconds - needed_by(record.plan, deal).reveal_s,
        deal.dapp: deal.lock_deadline_s,
    }
    deadline_s = deadlines_s.get(sent.party)
    signing_s = 0 if record.is_calm(sent.party) else SIGNING_S
    if deadline_s is None or record.could_not_act(sent.party, sent.at_s - SIGNING_S, sent.at_s):
        return
    left_s = max(0.0, deadline_s - sent.at_s + signing_s)
    latest = sent.heights[sent.chain] + max(1, ceil(left_s / TIMING.block_time_s)) + SLACK_BLOCKS
    if sent.body.expiry_height > latest:
        text = (
            f"{sent.party} (deal {deal.deal.number}) signs a lock for blocks up to {sent.body.expiry_height}, though "
            f"it is of no use behind {latest}"
        )
        yield Problem(Kind.LOCK_OUTLIVES, text)


def _given_back(record: Record, sent: Sent) -> Iterator[Problem]:
    """Nobody gives the other party's lock back before its timelock while the own one stands, or may still come."""
    if record.plan.rough & {*FORGETFUL, Rough.DEEP_REORG}:
        return
    here = record.world.chains[sent.chain]
    now = here.block(sent.heights[sent.chain]).header.time
    for lock in all_locks(here):
        if lock.lock_id not in sent.body.settles or lock.terms.receiver != sent.body.sender:
            continue
        if now >= lock.terms.timelock:
            continue  # anybody may send the refund, and it pays the same
        for deal in record.agreed:
            if lock.terms != deal.initiator_leg or sent.party != deal.relayer:
                continue
            own = deal.participant_leg
            forms = [one for one in locks_of(record, deal.relayer, own, sent.at_s) if _was_taken(record, one)]
            final = sent.finalized[own.chain]
            if any(may_be_mined(record, one, final) for one in forms) or _stood(record, own, final):
                text = f"{sent.party} gives deal {deal.deal.number} back while its own lock may still be claimed"
                yield Problem(Kind.GAVE_BACK_TOO_EARLY, text)


def _was_taken(record: Record, sent: Sent) -> bool:
    return sent.raw in record.world.wire.accepted


def _stood(record: Record, terms: LockTerms, at: Height) -> bool:
    here = record.world.chains[terms.chain]
    states = [here.lock_at(lock.lock_id, at) for lock in all_locks(here) if lock.terms == terms]
    return any(state is not None and state.status == "locked" for state in states)
