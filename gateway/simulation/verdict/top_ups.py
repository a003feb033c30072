"""Purses that were filled in the midst of swaps: by their operator's hand, or by themselves, as a policy has it."""

from collections.abc import Iterator
from typing import Final

from core.model.facts import LockStatus
from core.model.types import AccountId, ChainId, Height, LockTerms
from gateway.simulation.treasury import TOP_UP, funder_of
from gateway.simulation.verdict.chains import all_locks, lock_at
from gateway.simulation.verdict.gates import needed_by
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import BID_TIMES, Agreed, Record
from gateway.simulation.wire import Sent
from gateway.simulation.world import COIN, GAS
from relayer.treasury.top_ups import LOOK_S

READ_S: Final = 12.0
"""How old a balance may be by which a top-up is ordered, next to an endpoint that hangs, and until it is signed."""
WITHIN_S: Final = 30.0
"""How much later than at the look for it a top-up may leave: a chain, or a database, may not answer."""
TRIES_S: Final = 8.0
"""How far apart an effect tries again that waits for gas, while its gate is open."""
ENOUGH_S: Final = TRIES_S + 6.0
LOCKED_S: Final = 10.0
"""How long a lock may take until a block holds it."""
LOOKED_AT_S: Final = 8.0
"""How long it may take until somebody looks again at what stands in the way of a lock."""
KEPT_TIMES: Final = 2
"""A usual bid's cost is kept this many times for an exit."""


def problems(record: Record) -> Iterator[Problem]:
    """Every top-up that was too much, for nothing, or missing; and every swap that goes on waiting for gas."""
    if record.plan.topped is None:
        return
    for filled in record.filled:
        for deal in record.agreed:
            yield from _waits_on(record, deal, filled.party, filled.chain, filled.at_s)
    if not record.plan.topped.by_itself:
        return
    for relayer in record.relayers[:1]:
        for chain in sorted(record.plan.fees & record.world.memory.keys()):
            yield from _paid(record, relayer.name, chain)


def _waits_on(record: Record, deal: Agreed, party: str, chain: ChainId, filled_s: float) -> Iterator[Problem]:
    """Whoever could not lock for want of gas locks once there is some, if there is time."""
    mine, theirs = deal.participant_leg, deal.initiator_leg
    if (deal.relayer, mine.chain) != (party, chain):
        return
    closes_s = mine.timelock.seconds - needed_by(record.plan, deal).fund_s
    if closes_s - filled_s < ENOUGH_S or any(lock.terms == mine for lock in all_locks(record.world.chains[chain])):
        return
    if _was_held_up(record, party, mine) or _stopped_late(record, deal, closes_s):
        return
    final_s = record.final_at_s(theirs)
    if max(final_s, filled_s) > closes_s - ENOUGH_S or record.shown_at_s(deal.hashlock) is not None:
        return
    here = record.world.chains[theirs.chain]
    rows = [lock_at(here, lock.lock_id, record.height_at(theirs.chain, closes_s)) for lock in all_locks(here)]
    stands = any(row is not None and row.terms == theirs and row.status is LockStatus.LOCKED for row in rows)
    since_s = max(final_s, filled_s)
    if stands and not record.could_not_act(party, final_s, closes_s) and could_pay(record, deal, since_s, closes_s):
        text = f"deal {deal.deal.number}: {party} has gas since {closes_s - filled_s:.0f} s before its gate closes"
        yield Problem(Kind.LEFT_WAITING, f"{text}, and does not lock")


def _stopped_late(record: Record, deal: Agreed, closes_s: float) -> bool:
    """Return true if one of its tokens stood still until shortly before the gate closed: what is in the way of a lock
    is looked at every few seconds."""
    assets = {terms.asset for terms in deal.legs}
    return any(
        asset in assets and whom is None and since_s < closes_s and until_s > closes_s - LOOKED_AT_S
        for asset, whom, since_s, until_s in record.world.blocked
    )


def _was_held_up(record: Record, party: str, mine: LockTerms) -> bool:
    """Its lock has left, and its token stopped before a block could take it, or blocks left it lying: what that made of
    it is for ever."""
    left_s = [sent.at_s for sent in record.world.wire.sent if sent.party == party and mine in sent.body.locks]
    if left_s and mine.hashlock in record.world.aims.disturbed:
        return True
    return any(
        asset == mine.asset and since_s < at_s + LOCKED_S and until_s > at_s
        for asset, whom, since_s, until_s in record.world.blocked
        for at_s in left_s
        if whom is None
    )


def could_pay(record: Record, deal: Agreed, since_s: float, closes_s: float) -> bool:
    """Return true if the provider's purse was enough, for long enough, for the lock and for twice an exit of it and of
    each other swap that was open, as usual bids were then."""
    mine = deal.participant_leg
    here = record.world.chains[mine.chain]
    if here.native is None:
        return True
    at = record.height_at(mine.chain, closes_s)
    held = here.balance(mine.sender, here.native, at) - (mine.amount if mine.asset == here.native else 0)
    swaps = 1 + sum(
        _is_open(record, one, closes_s) for one in record.agreed if one is not deal and _is_alike(one, deal)
    )
    starts_s = range(int(since_s) + 1, int(closes_s - ENOUGH_S) + 1)
    return any(
        held >= (1 + KEPT_TIMES * swaps) * GAS * (BID_TIMES * max(fees, default=0) + record.plan.tip)
        for fees in (record.world.base_fees(mine.chain, start_s, start_s + ENOUGH_S) for start_s in starts_s)
    )


def _is_alike(one: Agreed, other: Agreed) -> bool:
    """Return true if the same account of the provider pays for exits of both on the chain of the other's lock."""
    mine = other.participant_leg
    return one.relayer == other.relayer and mine.sender in (one.participant_leg.sender, one.initiator_leg.receiver)


def _is_open(record: Record, deal: Agreed, at_s: float) -> bool:
    """Return true if a lock of either leg stood then."""
    for leg in deal.legs:
        here, height = record.world.chains[leg.chain], record.height_at(leg.chain, at_s)
        rows = (lock_at(here, lock.lock_id, height) for lock in all_locks(here) if lock.terms == leg)
        if any(row is not None and row.terms == leg and row.status is LockStatus.LOCKED for row in rows):
            return True
    return False


def _paid(record: Record, party: str, chain: ChainId) -> Iterator[Problem]:
    """The funder pays below the threshold, up to the target, one at a time, and not more than in a day; and in time."""
    account, funder = record.process(party).accounts[chain], funder_of(record.world, chain).account
    low, target, most = TOP_UP
    payments = [
        (sent, payment)
        for sent in record.world.wire.firsts()
        if sent.chain == chain and sent.body.sender == funder
        for payment in sent.body.pays
        if payment.receiver != funder
    ]
    total = sum(payment.amount for payment in {sent.body.sequence: payment for sent, payment in payments}.values())
    if total > most:
        yield Problem(Kind.TOPPED_UP_WRONGLY, f"{party} is paid {total} on {chain} for gas, {most} a day at most")
    for sent, payment in payments:
        held = _held(record, chain, account, sent)
        if (payment.receiver, payment.asset) != (account, COIN[chain]):
            text = f"{party}'s funder on {chain} pays {payment.asset} to {payment.receiver}"
            yield Problem(Kind.TOPPED_UP_WRONGLY, text)
        elif min(held) >= low or payment.amount > target - min(held):
            text = f"{party} is paid {payment.amount} of {payment.asset} for gas, and held {min(held)}"
            yield Problem(Kind.TOPPED_UP_WRONGLY, f"{text}: below {low} it is up to {target}")
    yield from _missed(record, party, chain, account, bool(payments))


def _held(record: Record, chain: ChainId, account: AccountId, sent: Sent) -> list[int]:
    """Every balance of the account that a payment of then may have been ordered by."""
    here = record.world.chains[chain]
    first, last = record.height_at(chain, sent.at_s - READ_S), sent.heights[chain]
    return [here.balance(account, COIN[chain], Height(height)) for height in range(first, last + 1)]


def _missed(record: Record, party: str, chain: ChainId, account: AccountId, paid: bool) -> Iterator[Problem]:
    """Nobody stays below the threshold for longer than a look takes, if the day has something left."""
    here, low = record.world.chains[chain], TOP_UP[0]
    if paid:
        return
    low_s: float | None = None
    for height in range(here.height + 1):
        at_s = record.made_at_s(chain, height)
        if here.balance(account, COIN[chain], Height(height)) >= low:
            low_s = None
        elif low_s is None:
            low_s = at_s
        elif at_s - low_s > LOOK_S + WITHIN_S and not record.could_not_act(party, low_s, at_s):
            text = f"{party} holds less than {low} on {chain} for {at_s - low_s:.0f} s, and nobody pays"
            yield Problem(Kind.TOPPED_UP_WRONGLY, text)
            return
