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
READ_S: Final = 1.0 + TIMING.observation_s
"""How long a preimage may be in a block until whoever reads blocks knows it: times of blocks are whole seconds."""
CALL_OFF_S: Final = 8.0
"""How long a lock that is of no use any more may wait to be outbid: some blocks, and a signature."""


def problems(record: Record) -> Iterator[Problem]:
    """Every form that should not have been signed, or that was forgotten."""
    by_hashlock = {one.hashlock: one for one in record.agreed}
    for sent in record.world.wire.firsts():
        for terms in sent.body.locks:
            if (deal := by_hashlock.get(terms.hashlock)) is not None:
                yield from _outlives(record, sent, deal)
        if sent.body.settles and not sent.body.preimages:
            yield from _given_back(record, sent)
    if not record.plan.rough:
        for mine in record.sent_by_accounts():
            for terms in dict.fromkeys(one for sent in mine for one in sent.body.locks):
                if (deal := by_hashlock.get(terms.hashlock)) is not None and terms in deal.legs:
                    yield from _left_lying(record, mine, terms, deal)


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
    deadline_s = _deadline_s(record, sent.party, deal)
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


def _deadline_s(record: Record, party: str, deal: Agreed) -> int | None:
    """Return by when a block has to hold this party's lock if it is to be of use, Unix seconds; None for others."""
    return {
        deal.relayer: deal.participant_leg.timelock.seconds - needed_by(record.plan, deal).reveal_s,
        deal.dapp: deal.lock_deadline_s,
    }.get(party)


def _left_lying(record: Record, mine: list[Sent], terms: LockTerms, deal: Agreed) -> Iterator[Problem]:
    """A lock that no block has yet is outbid, where there are fees, once it is of no use, or must not be any more: its
    time is over, or its preimage public, or the swap called off."""
    party, chain = mine[0].party, mine[0].chain
    forms = [one for one in mine if terms in one.body.locks and _was_taken(record, one)]
    if not forms or (over_s := _of_no_use_s(record, party, deal)) is None:
        return
    since_s = max(over_s, forms[-1].at_s)
    sequences = {one.body.sequence for one in forms}
    later = [one.at_s for one in mine if one.body.sequence in sequences and one.at_s > forms[-1].at_s]
    # Also of one that an endpoint refused, and took.
    mined_at_s = record.mined_at_s(one for one in mine if one.body.sequence in sequences)
    until_s = min([mined_at_s, record.world.clock.now(), *later])
    if until_s - since_s <= CALL_OFF_S + record.silence_s(party):
        return
    began_s = record.world.clock.now() - record.world.seconds
    reorged = any(forms[0].at_s - CALL_OFF_S < began_s + at_s < until_s for _, at_s in record.world.reorged)
    if reorged or record.could_not_act(party, forms[0].at_s, until_s):
        return
    text = f"{party} leaves its lock (deal {deal.deal.number}) lying on {chain} for {until_s - since_s:.0f} s"
    yield Problem(Kind.LOCK_LEFT_LYING, f"{text}, which is of no use any more")


def _of_no_use_s(record: Record, party: str, deal: Agreed) -> float | None:
    """From when on (Unix seconds) nobody wants this party's lock any more, as it knows; None if it has none there."""
    if (deadline_s := _deadline_s(record, party, deal)) is None:
        return None
    shown_s = record.shown_at_s(deal.hashlock)
    called_off = [one.at_s for one in record.called_off if one.agreed is deal and party == deal.dapp]
    return min([deadline_s, *([] if shown_s is None else [shown_s + READ_S]), *called_off])


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
