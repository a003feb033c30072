"""Who paid and was not paid, what it cost, and what was at stake at once."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from core.model.facts import Claimed, Locked, LockStatus, Refunded
from core.model.types import AssetId, Height, LockId, LockTerms
from gateway.simulation.plan import CHAINS, Rough
from gateway.simulation.process import MOST
from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.wire import lock_terms
from gateway.simulation.world import COIN, TOKEN

FEE_TIMES: Final = 40
"""No fee is more than so many times the dearest that the chain was: what urgency, or a liar, may make of it."""


def problems(record: Record) -> Iterator[str]:
    """Every loss and every excess."""
    locks = {chain: all_locks(record.world.chains[chain]) for chain in CHAINS}
    for deal in record.agreed:
        yield from _losses(record, deal, [lock for found in locks.values() for lock in found])
    yield from _conservation(record, [lock for found in locks.values() for lock in found])
    yield from _fees(record)
    yield from _exposure(record)
    yield from _signed_twice(record)


def _losses(record: Record, deal: Agreed, locks: list[LockOutcome]) -> Iterator[str]:
    """Only those who followed the protocol have a claim to complain."""
    under = [lock for lock in locks if lock.terms.hashlock == deal.hashlock]
    first = [lock for lock in under if lock.terms == deal.initiator_leg]
    second = [lock for lock in under if lock.terms.sender == deal.participant_leg.sender]
    paid_first = any(lock.status is LockStatus.CLAIMED for lock in first)
    paid_second = any(lock.status is LockStatus.CLAIMED for lock in second)
    number = f"deal {deal.deal.number} ({deal.deal.style})"
    if deal.dapp is not None:
        if paid_first and not any(
            lock.status is LockStatus.CLAIMED for lock in second if lock.terms == deal.participant_leg
        ):
            yield f"{number}: the initiator paid and was not paid"
        if len([lock for lock in under if lock.terms.sender == deal.initiator_leg.sender]) > 1:
            yield f"{number}: the initiator locked twice"
    if paid_second and not paid_first and not excused(record, deal):
        yield f"{number}: the provider paid and was not paid"
    if len(second) > 1:
        yield f"{number}: the provider locked twice"


def excused(record: Record, deal: Agreed) -> bool:
    """What no protocol can save: a token that is paused from the reveal to the timelock; a provider who is gone beyond
    all allowances and has nobody who watches, or who lost the memory of the swap with the database."""
    rough = record.plan.rough
    if Rough.TOKEN_PAUSES in rough and not deal.deal.coin:
        return True
    if Rough.RESTORED in rough:
        return True
    return Rough.PROVIDER_VANISHES in rough and not deal.deal.watched


def _conservation(record: Record, locks: list[LockOutcome]) -> Iterator[str]:
    """Nothing came from nowhere and nothing is gone, but for what is still locked, and fees."""
    for chain in CHAINS:
        here = record.world.chains[chain]
        for asset in (COIN[chain], TOKEN[chain]):
            accounts = [signer.account for (_, on), signer in record.world.signers.items() if on == chain]
            held = sum(here.balance(account, asset) for account in accounts)
            open_now = sum(
                lock.terms.amount for lock in locks if lock.terms.asset == asset and lock.status is LockStatus.LOCKED
            )
            missing = record.world.issued[asset] - held - open_now
            if missing and (missing < 0 or asset != here.native):
                yield f"{asset}: {held} held and {open_now} locked are not what was issued"


def _fees(record: Record) -> Iterator[str]:
    for sent in record.world.wire.firsts():
        dearest = record.world.dearest[sent.chain]
        if dearest and sent.body.max_fee > FEE_TIMES * dearest:
            yield f"{sent.party} offers {sent.body.max_fee} for a unit of gas; {sent.chain} cost {dearest} at most"


def _exposure(record: Record) -> Iterator[str]:
    """What each relayer had locked of one asset at once."""
    owners = {account: one.name for one in record.relayers for account in one.accounts.values()}
    for chain in CHAINS:
        here, at_stake = record.world.chains[chain], defaultdict[tuple[str, AssetId], int](int)
        terms_of: dict[LockId, LockTerms] = {}
        worst: dict[tuple[str, AssetId], int] = {}
        for height in range(here.height + 1):
            for logged in here.block(Height(height)).events:
                match logged.event:
                    case Locked(lock_id, terms) if terms.sender in owners:
                        terms_of[lock_id] = terms
                        at_stake[owners[terms.sender], terms.asset] += terms.amount
                    case Claimed(lock_id) | Refunded(lock_id) if lock_id in terms_of:
                        terms = terms_of.pop(lock_id)
                        at_stake[owners[terms.sender], terms.asset] -= terms.amount
                    case _:
                        pass
            for key, amount in at_stake.items():
                worst[key] = max(worst.get(key, 0), amount)
        for (name, asset), amount in worst.items():
            if amount > MOST.total:
                yield f"{name} had {amount} of {asset} locked at once, the limit is {MOST.total}"


def _signed_twice(record: Record) -> Iterator[str]:
    """Two signed forms that lock under one hashlock could both be mined, unless they share a sequence, or the first
    one's sequence was finally used by something else."""
    seen: dict[tuple[str, bytes], list[tuple[int, str]]] = {}
    for sent in record.world.wire.firsts():
        terms = lock_terms(sent.body)
        if terms is None or record.owner(terms.sender) is None:
            continue
        before = seen.setdefault((sent.party, terms.hashlock), [])
        for sequence, _ in before:
            if sequence != sent.body.sequence and sent.used <= sequence:
                both = f"{sequence} and {sent.body.sequence}"
                yield f"{sent.party} signs a second lock under one hashlock: sequences {both}"
        before.append((sent.body.sequence, sent.chain))
