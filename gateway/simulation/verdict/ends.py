"""Loose ends: what should have come to its end and did not."""

import hashlib
from collections.abc import Iterator
from math import inf
from typing import Final

from core.model.facts import LockStatus
from core.model.types import LockTerms
from gateway.simulation.plan import (
    CHAINS,
    COME_BACK_S,
    HOLD_S,
    MAX_PENDING_S,
    POLICY,
    Deal,
    Lie,
    Plan,
    Rough,
    Style,
)
from gateway.simulation.process import MOST, NARROW, RATE
from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.gates import needed_by
from gateway.simulation.verdict.money import excused
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Record, Refusal
from gateway.simulation.verdict.top_ups import ENOUGH_S, could_pay
from gateway.simulation.wire import Sent
from gateway.simulation.world import COIN, TOKEN

ALLOWANCE_S: Final = 20.0
"""How much longer than the protocol's least an honest pair may take, outages aside."""
TIME_ENOUGH_S: Final = 12.0
"""In which whoever is up has read both chains, verified the other lock, and asked everybody whom it has to ask."""
FUNDS_S: Final = 8.0
"""In which a provider has done as much, and locked, while the time that a quote gives lasts but for the first lock."""
SILENT_S: Final = 10.0
"""How much earlier than its initiator hears of it a swap may be agreed on."""
HELD_S: Final = SILENT_S + HOLD_S + 2.0
"""From the earliest time of an agreement until what it holds is free again."""
LEAST_S: Final = 60.0
"""From the agreement to both claims, each in a block and final, with every bound used up."""


def problems(record: Record) -> Iterator[Problem]:
    """Everything that did not end, or not as it had to, but for the states of machines (see `verdict.machines`)."""
    locks = [lock for chain in CHAINS for lock in all_locks(record.world.chains[chain])]
    for lock in locks:
        owner = record.owner(lock.terms.sender)
        if not lock.settled and owner is not None and not _left_to_the_provider(record, lock, locks):
            text = f"{lock.lock_id} of {lock.terms.chain}, by {owner}, is {lock.status} in the end"
            yield Problem(Kind.LOCK_LEFT, text)
    for deal in record.agreed:
        yield from _liveness(record, deal, locks)
        yield from _unrevealed(record, deal)
        yield from _unfunded(record, deal)
        yield from _watched(record, deal, locks)
    for refusal in record.refusals:
        yield from _refused(record, refusal)
    # Whoever bends its answers is refused, and rightly; what a withdrawal has taken, or has no price, is not for sale.
    disturbed = record.plan.rough or record.plan.bending or record.plan.withdrawals or record.plan.pricing
    if not record.agreed and not disturbed and any(_is_modest(deal) for deal in record.plan.deals):
        yield Problem(Kind.NOTHING_AGREED, "an honest initiator asked for little, and nobody was answered")
    for process in record.processes:
        yield from (Problem(Kind.PROCESS_ENDED, end) for end in process.ends)
        if process.unfenced:
            yield Problem(Kind.NOT_FENCED, f"{process.name} was paused, and goes on next to who took its place")


def _refused(record: Record, refusal: Refusal) -> Iterator[Problem]:
    """Nobody is refused for what is free: what others have agreed on counts until it is settled, what nobody locked on
    until its hold is over, and what nobody proved or locked on for good not at all."""
    plan = record.plan
    if plan.rough or plan.bending or plan.pricing:
        return
    first, coin = refusal.deal.first, refusal.deal.coin
    chain = record.world.chains[next(one for one in CHAINS if one != first)]
    asset = (COIN if coin else TOKEN)[chain.chain]
    at_s, account = refusal.at_s, record.process(refusal.relayer).accounts[chain.chain]
    if any((one.relayer, one.order.asset) == (refusal.relayer, asset) and one.at_s <= at_s for one in record.orders):
        return
    wanted = RATE.numerator * refusal.deal.amount // RATE.denominator
    taken = sum(
        deal.participant_leg.amount
        for deal in record.agreed
        if deal.relayer == refusal.relayer and deal.participant_leg.asset == asset and _is_kept(record, deal, at_s)
    )
    free = chain.balance(account, asset, record.height_at(chain.chain, at_s)) - taken
    if asset != chain.native and free >= wanted:
        text = f"deal {refusal.deal.number}: {refusal.relayer} has {free} of {asset} free, and refuses {wanted}"
        yield Problem(Kind.REFUSED_FREELY, text)


def _is_kept(record: Record, deal: Agreed, at_s: float) -> bool:
    """The provider may keep its part for this deal at that time, or have it locked: the more, the less is free. For
    whoever proves nothing it keeps nothing before their lock is final."""
    began_s = min(deal.agreed_at_s, deal.lock_deadline_s - POLICY.lock_s) - SILENT_S
    if began_s > at_s:
        return False
    if deal.dapp is None and deal.deal.style is Style.NEVER_LOCKS:
        return at_s < began_s + HELD_S
    return deal.dapp is not None or record.final_at_s(deal.initiator_leg) <= at_s


def _is_modest(deal: Deal) -> bool:
    """An honest initiator's, and within every limit by itself."""
    most = min(MOST.per_counterparty, NARROW)
    return deal.style is Style.HONEST and RATE.numerator * deal.amount <= most * RATE.denominator


def _left_to_the_provider(record: Record, lock: LockOutcome, locks: list[LockOutcome]) -> bool:
    """True for the leg of an initiator who was paid, if its provider is gone or has lost its memory, and for what the
    provider's database knows nothing of: its operator reads that the account was used, and takes the lock back. Also
    for what hung on a replaced final block: its machines may have ended before."""
    if lock.terms.hashlock in record.world.undone:
        return True
    for deal in record.agreed:
        if lock.terms == deal.participant_leg and record.has_forgotten(deal) and record.is_lost(deal):
            return True
        if lock.terms == deal.initiator_leg and excused(record, deal):
            return any(one.terms == deal.participant_leg and one.status is LockStatus.CLAIMED for one in locks)
    return False


def _liveness(record: Record, deal: Agreed, locks: list[LockOutcome]) -> Iterator[Problem]:
    """An honest pair completes while the faults stay within what was promised, in time."""
    if deal.dapp is None or deal.deal.doubt is not None or not _undisturbed(record, deal):
        return
    claimed = [lock for leg in deal.legs for lock in locks if lock.terms == leg and lock.status is LockStatus.CLAIMED]
    if len(claimed) < 2:
        text = f"deal {deal.deal.number} ({deal.deal.style}): an honest pair did not complete"
        yield Problem(Kind.NOT_COMPLETED, text)
        return
    took_s = max(lock.settled_at_s or 0 for lock in claimed) - deal.agreed_at_s
    bound_s = (
        LEAST_S
        + ALLOWANCE_S
        + sum(until - since for name in (deal.dapp, deal.relayer) for since, until in record.process(name).away)
    )
    if took_s > bound_s:
        text = f"deal {deal.deal.number}: an honest pair took {took_s:.0f} s, more than {bound_s:.0f} s"
        yield Problem(Kind.TOOK_TOO_LONG, text)


def _unrevealed(record: Record, deal: Agreed) -> Iterator[Problem]:
    """An initiator who is up while the other lock stands, final and as agreed, and there is time, reveals; also one who
    was away before."""
    if deal.dapp is None or deal.deal.doubt is not None or _is_rough(record.plan) or _is_held_up(record, deal):
        return
    if _first_s(record, deal.dapp, deal, reveals=True) < inf:
        return
    time_s = _time_s(record, deal, deal.dapp, deal.participant_leg, needed_by(record.plan, deal).reveal_s)
    if time_s > TIME_ENOUGH_S:
        text = f"deal {deal.deal.number}: {deal.dapp} had {time_s:.0f} s to reveal, and did not"
        yield Problem(Kind.NOT_REVEALED, text)


def _unfunded(record: Record, deal: Agreed) -> Iterator[Problem]:
    """A provider who is up while the initiator's lock stands, final, and there is time, locks; also one who was away
    before, or has another account by now. What it had to keep for whoever proved nothing may be gone by then."""
    plan, name = record.plan, deal.relayer
    rotates = plan.rotation is not None and not record.is_calm(name)
    unsure = plan.leading is not None or rotates or any(one.fickle for one in plan.dapps)
    if deal.dapp is None or deal.deal.doubt is not None or _is_rough(plan) or unsure or _is_held_up(record, deal):
        return
    if _first_s(record, name, deal) < inf or _was_emptied(record, deal):
        return
    time_s = _time_s(record, deal, name, deal.initiator_leg, needed_by(plan, deal).fund_s)
    if time_s > FUNDS_S + record.silence_s(name):
        text = f"deal {deal.deal.number}: {name} had {time_s:.0f} s to lock, and did not"
        yield Problem(Kind.NOT_FUNDED, text)


def _time_s(record: Record, deal: Agreed, party: str, other: LockTerms, gate_s: int) -> float:
    """How long a party was up, in seconds, while the other's lock was final and its own gate, which closes so long
    before T_B, was open. 0 if anything kept it from acting then."""
    final_s = record.final_at_s(other)
    until_s = deal.participant_leg.timelock.seconds - gate_s
    began_s = record.world.clock.now() - record.world.seconds
    up_s = max([final_s, *(began_s + up for _, up in record.process(party).away if began_s + up < until_s)])
    kept = record.could_not_act(party, up_s, until_s) or record.was_dear(deal, up_s, until_s)
    return 0.0 if kept or _reorged_since(record, deal, final_s) else until_s - up_s


def _reorged_since(record: Record, deal: Agreed, since_s: float) -> bool:
    began_s = record.world.clock.now() - record.world.seconds
    chains = [leg.chain for leg in deal.legs]
    return any(chain in chains and began_s + at_s > since_s - LEAST_S for chain, at_s in record.world.reorged)


def _is_rough(plan: Plan) -> bool:
    """True if something comes that goes beyond the promised bounds, but for a use of the provider's keys that its
    operator looks into: before that nobody is quoted anything."""
    return bool(plan.rough - ({Rough.USED_ELSEWHERE} if plan.looked_into else set()))


def _is_held_up(record: Record, deal: Agreed) -> bool:
    return bool({deal.hashlock, *(leg.asset for leg in deal.legs)} & record.world.aims.disturbed)


def _undisturbed(record: Record, deal: Agreed) -> bool:
    """No rough fault; the initiator did not die before the reveal, nor the provider before its lock; and no reorg took
    a lock of theirs out.

    A person's time to act does not cover the first, and the gates leave room for the last if money is at stake,
    which is at the claims: a lock that comes too late is taken back.
    """
    if _is_rough(record.plan) or _is_held_up(record, deal):
        return False
    # From the agreement on, which the initiator's process may have heard of later.
    agreed_at_s = min(deal.agreed_at_s, deal.lock_deadline_s - POLICY.lock_s)
    began = agreed_at_s - record.world.clock.now() + record.world.seconds
    if any(deal.hashlock in chain.unlocked for chain in record.world.memory.values()):
        return False
    dapp, relayer = deal.dapp or "", deal.relayer
    bound_until = {dapp: _first_s(record, dapp, deal, reveals=True), relayer: _first_s(record, relayer, deal)}
    now_s = record.world.clock.now()
    if record.was_dear(deal, agreed_at_s, min(now_s, agreed_at_s + LEAST_S)):
        return False
    if any(record.was_signing(name, agreed_at_s, min(now_s, agreed_at_s + LEAST_S)) for name in (dapp, relayer)):
        return False
    if _locks_slowly(record, dapp) and bound_until[dapp] == inf:
        return False
    if _stood_behind_late_ones(record, deal) or _was_emptied(record, deal):
        return False
    return not any(
        since < min(acted_s + 1, began + LEAST_S) and until > began - COME_BACK_S
        for name, acted_s in bound_until.items()
        for since, until in record.process(name).away
    )


def _was_emptied(record: Record, deal: Agreed) -> bool:
    """Return true if the provider's operator took out of the purse what swaps left free, and blocks were so dear since
    that the rest does not pay for this lock next to the exits: what is kept is kept by the market of then."""
    leg, final_s = deal.participant_leg, record.final_at_s(deal.initiator_leg)
    native, closes_s = record.world.chains[leg.chain].native, leg.timelock.seconds - needed_by(record.plan, deal).fund_s
    if native is None or final_s > closes_s - ENOUGH_S:
        return False
    paid = any(
        one.asset == native and sent.at_s < closes_s
        for sent in record.world.wire.firsts()
        if sent.party == deal.relayer
        for one in sent.body.pays
    )
    return paid and not could_pay(record, deal, final_s, closes_s)


def _stood_behind_late_ones(record: Record, deal: Agreed) -> bool:
    """Return true if a lock waited for longer than blocks may leave one transaction lying: they left several of its
    account's, one behind the other."""
    return any(_waited_s(record, sent) > MAX_PENDING_S for sent in _first_locks(record, deal))


def _first_locks(record: Record, deal: Agreed) -> list[Sent]:
    locks = [one for one in record.world.wire.firsts() if any(terms in deal.legs for terms in one.body.locks)]
    places = [(one.chain, one.body.sender, one.body.sequence) for one in locks]
    return [one for number, one in enumerate(locks) if places[number] not in places[:number]]


def _waited_s(record: Record, sent: Sent) -> float:
    """How long blocks left this and what stands before it lying, from when it was sent on, in seconds."""
    story_s = sent.at_s - record.world.clock.now() + record.world.seconds
    return sum(
        max(0.0, until_s - max(since_s, story_s))
        for sequence in range(sent.body.sequence + 1)
        for since_s, until_s in [record.world.late.get((sent.body.sender, sequence), (0.0, 0.0))]
    )


def _locks_slowly(record: Record, party: str) -> bool:
    """Asks an endpoint that hangs, and has to ask again if its database fails: that is longer than the time to lock."""
    one = record.party(party)
    return one.lie is Lie.HANGS and bool(one.locked)


def _first_s(record: Record, party: str, deal: Agreed, reveals: bool = False) -> float:
    """When a party first sent its lock, or revealed, in seconds of the story."""
    began_s = record.world.clock.now() - record.world.seconds
    for sent in record.world.wire.sent:
        locks = any(terms.hashlock == deal.hashlock for terms in sent.body.locks)
        shows = any(hashlib.sha256(one).digest() == deal.hashlock for one in sent.body.preimages)
        if sent.party == party and (shows if reveals else locks):
            return sent.at_s - began_s
    return inf


def _watched(record: Record, deal: Agreed, locks: list[LockOutcome]) -> Iterator[Problem]:
    """Whoever is watched is saved: once the participant's leg is claimed, the initiator's is, too."""
    if not deal.watched_since_s or record.tower is None or Rough.TOKEN_PAUSES in record.plan.rough:
        return
    first = [lock for lock in locks if lock.terms == deal.initiator_leg]
    second = [lock for lock in locks if lock.terms == deal.participant_leg and lock.status is LockStatus.CLAIMED]
    if first and second and not any(lock.status is LockStatus.CLAIMED for lock in first):
        yield Problem(Kind.NOT_SAVED, f"deal {deal.deal.number}: the tower watched, and the participant lost")
