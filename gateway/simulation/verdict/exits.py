"""Exits on their way: sent as soon as they are due and not before it, and again until a block holds one of them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from typing import Final

from adapters.memory.transactions import transaction_hash
from core.model.facts import LockStatus
from core.model.types import ChainId, Height, LockId
from gateway.simulation.plan import CHAINS, FORGETFUL, TIMING, Rough
from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import ROUNDED_S, Agreed, Record
from gateway.simulation.wire import Sent

AGAIN_S: Final = 6.0
"""An exit that waits goes out again at each head; this is some blocks."""
DUE_S: Final = TIMING.observation_s
"""How long a party may take from the block that makes an exit due to its first bytes."""
CALM_S: Final = 1.5
"""The same for one whose endpoints, signer and database do what they are asked for."""
FOREIGN_S: Final = 2.0
"""How long before an exit left another hand's transaction may have been final."""
LOOKS_S: Final = 9.0
"""How long a party may take to be sure of that: three looks, each at another head."""
BACK_S: Final = 10.0
"""Whoever was away so lately has blocks to read first."""
UNTIMED: Final = frozenset({Rough.TWO_PROCESSES, Rough.SHORT_PURSE})
"""In these nobody need send anything at once: a process is paused, or the gas is not there."""
REORG_S: Final = 10.0
"""The time around a reorg in which nobody can say from the chain of now what a party saw."""


def problems(record: Record) -> Iterator[Problem]:
    """Every exit that was sent before its time, or not sent again."""
    sent_for: defaultdict[tuple[ChainId, LockId], list[Sent]] = defaultdict(list)
    for sent in record.world.wire.sent:
        for lock_id in sent.body.settles:
            sent_for[sent.chain, lock_id].append(sent)
    for chain in CHAINS:
        locks = all_locks(record.world.chains[chain])
        for lock in locks:
            at_its_place = [one for one in locks if one.lock_id == lock.lock_id]
            sendings = [one for one in sent_for[chain, lock.lock_id] if _is_about(record, one, lock, at_its_place)]
            yield from _too_early(record, lock, sendings)
            for party in _parties(record, lock):
                mine = [sent for sent in sendings if sent.party == party]
                yield from _left_alone(record, lock, party, mine)
                yield from _too_late(record, lock, party, mine)
                yield from _twice(record, lock, party, mine)
            if record.tower is not None and (watch := _watch_of(record, lock)) is not None:
                mine = [sent for sent in sendings if sent.party == record.tower.name]
                yield from _unwatched(record, lock, record.tower.name, watch, mine)


def _parties(record: Record, lock: LockOutcome) -> list[str]:
    """Those whose exit it may be: the honest parties of the swap."""
    parties = [
        party for deal in record.agreed if lock.terms in deal.legs for party in (deal.relayer, deal.dapp) if party
    ]
    return parties if not record.plan.rough & {*FORGETFUL, Rough.FINALITY_STALLS, Rough.DEEP_REORG} else []


def _claims(sent: Sent, lock: LockOutcome) -> bool:
    return any(hashlib.sha256(one).digest() == lock.terms.hashlock for one in sent.body.preimages)


def _is_about(record: Record, sent: Sent, lock: LockOutcome, at_its_place: list[LockOutcome]) -> bool:
    """A place may be used again once its lock is settled. A claim is about the lock that its preimage opens, a refund
    about the one that was there then."""
    if len(at_its_place) == 1 or _claims(sent, lock):
        return True
    if any(_claims(sent, one) for one in at_its_place):
        return False
    skew_s = record.world.plan.skew_s[sent.chain]
    there = [one for one in at_its_place if one.made_at_s - skew_s <= sent.at_s + ROUNDED_S]
    return lock is (there or at_its_place)[-1]


def _too_early(record: Record, lock: LockOutcome, sendings: list[Sent]) -> Iterator[Problem]:
    """Nobody pays for a refund that cannot succeed yet, but a receiver who gives back."""
    skew_s = record.world.plan.skew_s[lock.terms.chain]
    for sent in sendings:
        if not sent.first or _claims(sent, lock) or sent.body.sender == lock.terms.receiver:
            continue
        early_s = lock.terms.timelock.seconds - sent.at_s - skew_s
        if early_s > ROUNDED_S:
            text = f"{sent.party} takes {lock.lock_id} of {sent.chain} back {early_s:.0f} s before its timelock"
            yield Problem(Kind.REFUNDED_TOO_EARLY, text)


def _left_alone(record: Record, lock: LockOutcome, party: str, sendings: list[Sent]) -> Iterator[Problem]:
    """Once sent, it is sent again in time until its lock is settled, or for a claim until the timelock."""
    skew_s = record.world.plan.skew_s[lock.terms.chain]
    until_s = record.world.clock.now() if lock.settled_at_s is None else lock.settled_at_s - skew_s
    if any(_claims(sent, lock) for sent in sendings) or lock.status is LockStatus.CLAIMED:
        until_s = min(until_s, lock.terms.timelock.seconds - skew_s)
    times = [sent.at_s for sent in sendings if sent.at_s < until_s]
    usual_s = AGAIN_S + record.silence_s(party)
    for since_s, next_s in pairwise([*times, until_s]):
        again_s = usual_s + (LOOKS_S if _displaced(record, party, since_s, next_s) else 0.0)
        if next_s - since_s <= again_s or _reorged(record, lock.terms.chain, since_s, next_s):
            continue
        if record.could_not_act(party, since_s - again_s, next_s) or _held_up(record, lock, since_s, next_s):
            continue
        text = f"{party} leaves its exit from {lock.lock_id} of {lock.terms.chain} alone for {next_s - since_s:.0f} s"
        yield Problem(Kind.EXIT_LEFT_ALONE, text)
        return


def _displaced(record: Record, party: str, since_s: float, until_s: float) -> bool:
    """Another hand used its account then: an exit under that sequence can never be mined."""
    return any(name == party and since_s - FOREIGN_S < at_s < until_s for name, at_s in record.foreign)


def _began_s(record: Record) -> float:
    return record.world.clock.now() - record.world.seconds


def _reorged(record: Record, chain: ChainId, since_s: float, until_s: float) -> bool:
    began_s = _began_s(record)
    return any(
        name == chain and since_s - REORG_S < began_s + at_s < until_s + REORG_S for name, at_s in record.world.reorged
    )


def _held_up(record: Record, lock: LockOutcome, since_s: float, until_s: float) -> bool:
    """Nothing could pay then: whoever has seen that in blocks need not pay for the same again and again."""
    return any(
        asset == lock.terms.asset and from_s < until_s and to_s > since_s
        for asset, _, from_s, to_s in record.world.blocked
    )


def _too_late(record: Record, lock: LockOutcome, party: str, sendings: list[Sent]) -> Iterator[Problem]:
    """A claim is due once a block shows the preimage, a refund once one has reached the timelock, and neither waits for
    anything that its party can do without."""
    due_s = _due_at_s(record, lock, party)
    if due_s is None or record.plan.rough & UNTIMED:
        return
    ended_s = record.world.clock.now()
    if lock.settled_at_s is not None:
        ended_s = lock.settled_at_s - record.world.plan.skew_s[lock.terms.chain]
    latest_s = due_s + ROUNDED_S + (CALM_S if record.is_calm(party) else DUE_S + record.silence_s(party))
    first_s = min((sent.at_s for sent in sendings if sent.at_s > due_s - ROUNDED_S), default=ended_s)
    if min(first_s, ended_s) <= latest_s or record.could_not_act(party, due_s - BACK_S, latest_s):
        return
    if any(_reorged(record, chain, due_s, latest_s) for chain in CHAINS) or _held_up(record, lock, due_s, latest_s):
        return
    text = f"{party} leaves {lock.lock_id} of {lock.terms.chain} alone for {min(first_s, ended_s) - due_s:.0f} s"
    yield Problem(Kind.EXIT_SENT_LATE, f"{text}, and could have settled it")


def _watch_of(record: Record, lock: LockOutcome) -> Agreed | None:
    """The deal that the tower watches over, one of whose legs this lock is."""
    if record.plan.rough & {*FORGETFUL, Rough.TWO_PROCESSES, Rough.FINALITY_STALLS, Rough.DEEP_REORG}:
        return None
    return next((one for one in record.agreed if lock.terms in one.legs and one.watched_since_s is not None), None)


def _unwatched(record: Record, lock: LockOutcome, tower: str, deal: Agreed, sendings: list[Sent]) -> Iterator[Problem]:
    """Whoever watches sends the initiator's claim and the refund of either leg themselves: nobody else may be there."""
    due_s = _watch_due_at_s(record, lock, deal)
    if due_s is None:
        return
    began_s = _began_s(record)
    for down_s, up_s in sorted(record.process(tower).away):  # whoever comes back has time to read, and sends then
        if began_s + down_s < due_s + BACK_S and began_s + up_s > due_s - BACK_S:
            due_s = max(due_s, began_s + up_s + BACK_S)
    ended_s = record.world.clock.now()
    if lock.settled_at_s is not None:
        ended_s = lock.settled_at_s - record.world.plan.skew_s[lock.terms.chain]
    latest_s = due_s + ROUNDED_S + (CALM_S if record.is_calm(tower) else DUE_S + record.silence_s(tower))
    if ended_s <= latest_s or any(sent.at_s <= latest_s for sent in sendings):
        return
    if record.could_not_act(tower, due_s - BACK_S, latest_s):
        return
    if any(_reorged(record, chain, due_s, latest_s) for chain in CHAINS) or _held_up(record, lock, due_s, latest_s):
        return
    text = f"{tower} watches {lock.lock_id} of {lock.terms.chain}, which could be settled, and sends nothing"
    yield Problem(Kind.EXIT_SENT_LATE, text)


def _watch_due_at_s(record: Record, lock: LockOutcome, deal: Agreed) -> float | None:
    """From when on (Unix seconds of true time) a watch can settle the lock; None if it cannot, or if an earlier lock
    under the same terms has gone back: a watch is about one lock of each leg."""
    registered_s = _began_s(record) + (deal.watched_since_s or 0.0)
    skew_s, timelock_s = record.world.plan.skew_s[lock.terms.chain], lock.terms.timelock.seconds
    if _paid_by_another(record, lock) or _returned_before(record, lock):
        return None
    made_s = max(lock.made_at_s - skew_s, registered_s)
    shown_s = record.shown_at_s(deal.hashlock)
    if lock.terms == deal.initiator_leg and shown_s is not None and shown_s + skew_s < timelock_s:
        return max(shown_s, made_s)
    due_s = _time_reached_s(record, lock)
    return None if due_s is None else max(due_s, made_s)


def _time_reached_s(record: Record, lock: LockOutcome) -> float | None:
    """When a block reached the timelock, Unix seconds of true time; None if none has."""
    here = record.world.chains[lock.terms.chain]
    for height in range(here.height + 1):
        time_s = here.block(Height(height)).header.time.seconds
        if time_s >= lock.terms.timelock.seconds:
            return time_s - record.world.plan.skew_s[lock.terms.chain]
    return None


def _due_at_s(record: Record, lock: LockOutcome, party: str) -> float | None:
    """From when on (Unix seconds of true time) a block lets this party settle the lock; None for one that may not."""
    deal = next(one for one in record.agreed if lock.terms in one.legs)
    skew_s = record.world.plan.skew_s[lock.terms.chain]
    timelock_s = lock.terms.timelock.seconds
    if lock.terms == deal.initiator_leg and party == deal.relayer:
        funded = any(
            one.terms == deal.participant_leg for one in all_locks(record.world.chains[deal.participant_leg.chain])
        )
        shown_s = record.shown_at_s(deal.hashlock)
        if shown_s is None or not funded or shown_s + skew_s >= timelock_s or _paid_by_another(record, lock):
            return None
        return max(shown_s, lock.made_at_s - skew_s)
    if record.owner(lock.terms.sender) != party:
        return None
    reached_s = _time_reached_s(record, lock)
    return None if reached_s is None else max(reached_s, lock.made_at_s - skew_s)


def _returned_before(record: Record, lock: LockOutcome) -> bool:
    """Return true if an earlier lock under the same terms has gone back."""
    return any(
        one.terms == lock.terms and one.status is LockStatus.REFUNDED and one.made_at_s < lock.made_at_s
        for one in all_locks(record.world.chains[lock.terms.chain])
    )


def _paid_by_another(record: Record, lock: LockOutcome) -> bool:
    """Who locks a second time under the same terms pays for it: the receiver has what was agreed."""
    return any(
        one.terms == lock.terms and one.lock_id != lock.lock_id and one.status is LockStatus.CLAIMED
        for one in all_locks(record.world.chains[lock.terms.chain])
    )


def _twice(record: Record, lock: LockOutcome, party: str, sendings: list[Sent]) -> Iterator[Problem]:
    """Nobody pays for an exit under a second sequence while the first may still be mined, and is; whatever other
    agreements about the same lock strangers have watched."""
    chain, moody = lock.terms.chain, record.party(party).moody
    held_up = _held_up(record, lock, 0.0, inf)
    if chain not in record.world.memory or record.plan.rough or moody or held_up:
        return
    here, forms = record.world.memory[chain], dict[int, list[Sent]]()
    for sent in sendings:
        forms.setdefault(sent.body.sequence, []).append(sent)
    for former, later in pairwise(forms.values()):
        blocks = [here.outcome(transaction_hash(sent.raw)).block for sent in former]
        second = later[0]
        behind = any(block is not None and block.height > second.heights[chain] for block in blocks)
        if behind and not _reorged(record, chain, former[0].at_s, second.at_s):
            pair = f"{former[0].body.sequence} and {second.body.sequence}"
            yield Problem(Kind.EXIT_SENT_TWICE, f"{party} pays for its exit from {lock.lock_id} under sequences {pair}")
            return
