"""Who paid and was not paid."""

from collections.abc import Iterator

from core.model.facts import LockStatus
from gateway.simulation.plan import CHAINS, Rough
from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.world import COIN, TOKEN


def problems(record: Record) -> Iterator[Problem]:
    """Every loss."""
    locks = [lock for chain in CHAINS for lock in all_locks(record.world.chains[chain])]
    for deal in record.agreed:
        yield from _losses(record, deal, locks)
    yield from _conservation(record, locks)


def _losses(record: Record, deal: Agreed, locks: list[LockOutcome]) -> Iterator[Problem]:
    """Only those who followed the protocol have a claim to complain."""
    under = [lock for lock in locks if lock.terms.hashlock == deal.hashlock]
    first = [lock for lock in under if lock.terms == deal.initiator_leg]
    second = [lock for lock in under if lock.terms.sender == deal.participant_leg.sender]
    paid_first = any(lock.status is LockStatus.CLAIMED for lock in first)
    paid_second = any(lock.status is LockStatus.CLAIMED for lock in second)
    number = f"deal {deal.deal.number} ({deal.deal.style})"
    if deal.dapp is not None:
        paid = any(lock.status is LockStatus.CLAIMED for lock in second if lock.terms == deal.participant_leg)
        if paid_first and not paid and deal.hashlock not in record.world.undone:
            yield Problem(Kind.INITIATOR_LOST, f"{number}: the initiator paid and was not paid")
        if len([lock for lock in under if lock.terms.sender == deal.initiator_leg.sender]) > 1:
            yield Problem(Kind.INITIATOR_LOCKED_TWICE, f"{number}: the initiator locked twice")
    if paid_second and not paid_first and not excused(record, deal):
        yield Problem(Kind.PROVIDER_LOST, f"{number}: the provider paid and was not paid")
    if len(second) > 1:
        yield Problem(Kind.PROVIDER_LOCKED_TWICE, f"{number}: the provider locked twice")


def excused(record: Record, deal: Agreed) -> bool:
    """Return true if no protocol can save the money: a token that is paused from the reveal to the timelock; a provider
    who is gone beyond all allowances and has nobody who watches, or who lost the memory of the swap with the database;
    a finalized block that held a part of the swap and was replaced."""
    rough = record.plan.rough
    if Rough.TOKEN_PAUSES in rough and not deal.deal.coin:
        return True
    if record.is_lost(deal) or deal.hashlock in record.world.undone:
        return True
    gone = Rough.DATABASE_AWAY in rough and deal.relayer == record.relayers[0].name
    if gone and not deal.watched_since_s:
        return True
    return Rough.PROVIDER_VANISHES in rough and not deal.watched_since_s


def _conservation(record: Record, locks: list[LockOutcome]) -> Iterator[Problem]:
    """Nothing came from nowhere and nothing is gone, but for what is still locked, and fees."""
    for chain in CHAINS:
        here = record.world.chains[chain]
        for asset in (COIN[chain], TOKEN[chain]):
            accounts = [signer.account for (_, on), signer in record.world.signers.items() if on == chain]
            held = sum(here.balance(account, asset) for account in accounts)
            open_now = sum(
                lock.terms.amount for lock in locks if lock.terms.asset == asset and lock.status is LockStatus.LOCKED
            )
            issued = record.world.issued(chain, asset)
            missing = issued - held - open_now
            taken = asset == here.native or (asset == TOKEN[chain] and Rough.TOKEN_TAKES_FEES in record.plan.rough)
            if missing < 0 or (missing and not taken):
                yield Problem(
                    Kind.NOT_CONSERVED, f"{asset}: {held} held and {open_now} locked are not the {issued} issued"
                )
