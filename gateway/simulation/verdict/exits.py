"""Exits on their way: asked for in time and not before it, and again until a block holds one of them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from core.model.facts import LockStatus
from core.model.types import ChainId, LockId
from gateway.simulation.plan import CHAINS, FORGETFUL, Rough
from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record
from gateway.simulation.wire import Sent

AGAIN_S: Final = 15.0
"""An exit that waits goes out again at each head; this is some blocks, and an endpoint that hangs."""
ROUNDED_S: Final = 1
"""Times of blocks are whole seconds."""
REORG_S: Final = 10.0
"""For so long around a reorg nobody can say from the chain of now what a party saw."""


def problems(record: Record) -> Iterator[Problem]:
    """Every exit that was sent before its time, or not sent again."""
    sent_for: defaultdict[tuple[ChainId, LockId], list[Sent]] = defaultdict(list)
    for sent in record.world.wire.sent:
        for lock_id in sent.body.settles:
            sent_for[sent.chain, lock_id].append(sent)
    for chain in CHAINS:
        for lock in all_locks(record.world.chains[chain]):
            sendings = sent_for[chain, lock.lock_id]
            yield from _too_early(record, lock, sendings)
            for party in _parties(record, lock):
                yield from _left_alone(record, lock, party, [sent for sent in sendings if sent.party == party])


def _parties(record: Record, lock: LockOutcome) -> list[str]:
    """Those whose exit it may be: the honest parties of the swap."""
    parties = [
        party for deal in record.agreed if lock.terms in deal.legs for party in (deal.relayer, deal.dapp) if party
    ]
    return parties if not record.plan.rough & {*FORGETFUL, Rough.FINALITY_STALLS, Rough.DEEP_REORG} else []


def _claims(sent: Sent, lock: LockOutcome) -> bool:
    return any(hashlib.sha256(one).digest() == lock.terms.hashlock for one in sent.body.preimages)


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
    for since_s, next_s in pairwise([*times, until_s]):
        if next_s - since_s <= AGAIN_S or _reorged(record, lock.terms.chain, since_s, next_s):
            continue
        if _away(record, party, since_s, next_s):
            continue
        text = f"{party} leaves its exit from {lock.lock_id} of {lock.terms.chain} alone for {next_s - since_s:.0f} s"
        yield Problem(Kind.EXIT_LEFT_ALONE, text)
        return


def _began_s(record: Record) -> float:
    return record.world.clock.now() - record.world.seconds


def _reorged(record: Record, chain: ChainId, since_s: float, until_s: float) -> bool:
    began_s = _began_s(record)
    return any(
        name == chain and since_s - REORG_S < began_s + at_s < until_s + REORG_S for name, at_s in record.world.reorged
    )


def _away(record: Record, party: str, since_s: float, until_s: float) -> bool:
    began_s = _began_s(record)
    return any(
        began_s + down_s < until_s and began_s + up_s > since_s - AGAIN_S for down_s, up_s in record.process(party).away
    )
