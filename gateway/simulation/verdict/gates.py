"""The conditions that had to hold at the moment in which bytes that fund or reveal first left a process.

Written a second time, from the protocol's text and not from `htlc.timelocks`: a term that is dropped there is missed
here.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from core.model.facts import LockStatus
from core.model.types import ChainId, Hashlock, Height, LockTerms
from gateway.simulation.plan import FORGETFUL, POLICY, TIMING, Act, Lie, Plan, Signing
from gateway.simulation.verdict.chains import all_locks, lock_at
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import ROUNDED_S, Agreed, Record
from gateway.simulation.wire import Sent

ON_THE_WAY_S: Final = 1
"""The time that may pass between a decision and its first byte, beyond the second that the decision rounds up to. None
passes where nothing that a party stands on is slow: a gate is held against its own second there."""

KNOWN_S: Final = 1.5
"""How long an answer about a token that does not move may be on its way, and the bytes behind it."""
SILENT_S: Final = TIMING.observation_s
"""The same for a party that waits for an endpoint which says nothing, or the past."""
SHOWN_S: Final = TIMING.lag_s + TIMING.lead_s + TIMING.inclusion_s + TIMING.observation_s
"""How far the time that blocks surely show may be behind the true one: the newest that was read may be old, its chain's
time may lag, and is taken for one that runs ahead."""
AWAY_S: Final = 10.0
"""Whoever was away so lately may not have read all blocks up."""
BEHIND_S: Final = 2
"""The facts of a chain may be older by this much for who reads them up."""
STORED_S: Final = 5.0
"""How long a refusal, or a withdrawal, may take to be stored, next to a database that is locked now and then."""
LONG_S: Final = 1_800
"""How much longer than they need the timelocks may be, far more than what a client lets pass."""


@dataclass(frozen=True, slots=True)
class Needed:
    """The seconds that gates ask for: up to T_B for a reveal, the provider's lock, the initiator's lock and a quote;
    from T_B up to T_A."""

    reveal_s: int
    fund_s: int
    lock_s: int
    quote_s: int
    gap_s: int


def needed(plan: Plan, first: ChainId, second: ChainId) -> Needed:
    """Return what the gates of a swap from `first` to `second` ask for, by what is believed of each chain."""
    a, b = plan.timing[first], plan.timing[second]
    reveal_s = b.inclusion_s + b.inclusion_s + b.finality_s + POLICY.initiator_outage_s + b.lead_s
    fund_s = b.inclusion_s + b.finality_s + b.observation_s + POLICY.claim_s + reveal_s
    lock_s = a.inclusion_s + a.finality_s + a.observation_s + fund_s
    answer_s = b.lag_s + b.observation_s
    claim_s = a.inclusion_s + a.inclusion_s + a.finality_s + POLICY.participant_outage_s + a.lead_s
    return Needed(reveal_s, fund_s, lock_s, POLICY.lock_s + lock_s, answer_s + claim_s)


def needed_by(plan: Plan, deal: Agreed) -> Needed:
    """As `needed`, of a deal."""
    return needed(plan, deal.initiator_leg.chain, deal.participant_leg.chain)


def closes_s(record: Record, signing: Signing, hashlock: Hashlock) -> float | None:
    """When (Unix seconds) the gate of this act on this swap closes; None if nobody has agreed on it."""
    deal = next((one for one in record.agreed if one.hashlock == hashlock), None)
    if deal is None:
        return None
    t_b, gates = deal.participant_leg.timelock.seconds, needed_by(record.plan, deal)
    if signing.act is Act.CLAIM:
        return t_b - gates.reveal_s
    if signing.party == deal.relayer:
        return t_b - gates.fund_s
    return min(t_b - gates.lock_s, deal.lock_deadline_s)


def problems(record: Record) -> Iterator[Problem]:
    """Every breach of a gate."""
    by_hashlock = {one.hashlock: one for one in record.agreed}
    for deal in record.agreed:
        yield from _of_agreement(record.plan, deal)
        yield from _of_price(record, deal)
    revealed: set[bytes] = set()
    for sent in record.world.wire.firsts():
        for terms in sent.body.locks:
            if terms.hashlock in by_hashlock:
                yield from _of_lock(record, sent, terms, by_hashlock[terms.hashlock])
        for preimage in sent.body.preimages:
            yield from _of_claim(record, sent, preimage, by_hashlock, revealed)
    yield from _called_off(record)


def _of_agreement(plan: Plan, deal: Agreed) -> Iterator[Problem]:
    """The timelocks, as of the moment that the time to lock is counted from."""
    gates = needed_by(plan, deal)
    t_a, t_b = (leg.timelock.seconds for leg in deal.legs)
    quoted_s = deal.lock_deadline_s - POLICY.lock_s
    if t_b - quoted_s <= gates.quote_s:
        yield Problem(
            Kind.QUOTED_TOO_SHORT,
            f"deal {deal.deal.number}: T_B is {t_b - quoted_s} s behind the quote, not more than {gates.quote_s} s",
        )
    if t_a - quoted_s > (least_s := gates.quote_s + gates.gap_s) + LONG_S:
        yield Problem(
            Kind.QUOTED_TOO_LONG,
            f"deal {deal.deal.number}: T_A is {t_a - quoted_s} s behind the quote, {least_s} s are needed",
        )
    if t_a - t_b <= gates.gap_s:
        yield Problem(
            Kind.GAP_TOO_SMALL,
            f"deal {deal.deal.number}: the timelocks are {t_a - t_b} s apart, not more than {gates.gap_s} s",
        )


def _of_price(record: Record, deal: Agreed) -> Iterator[Problem]:
    """A price that may still be taken behind its time is an option that nobody pays for."""
    if deal.asked_at_s >= deal.price_until_s and deal.relayer != record.plan.clock_of:
        late_s = deal.asked_at_s - deal.price_until_s
        text = f"deal {deal.deal.number} is agreed on at a price that was over for {late_s:.0f} s"
        yield Problem(Kind.OPENED_PAST_PRICE, text)


def _of_lock(record: Record, sent: Sent, terms: LockTerms, deal: Agreed) -> Iterator[Problem]:
    if sent.spent and _another_form(record, sent, terms, sent.at_s):
        return  # the first form is final: of this one nothing can come
    t_b = deal.participant_leg.timelock.seconds
    by_blocks = sent.party == record.plan.clock_of and _another_form(record, sent, terms, sent.at_s)
    shown_s = SHOWN_S if by_blocks else 0  # its own clock is wrong: it has what blocks show
    left_s = t_b - ceil(sent.at_s) + _on_the_way_s(record, sent) + shown_s
    who, gates = f"{sent.party} (deal {deal.deal.number})", needed_by(record.plan, deal)
    if sent.party == deal.relayer:
        if terms != deal.participant_leg:
            yield Problem(Kind.OTHER_TERMS, f"{who} locks under other terms than were agreed")
        if left_s <= gates.fund_s:
            text = f"{who} funds {left_s} s before T_B, not more than {gates.fund_s} s"
            yield Problem(Kind.FUNDED_TOO_LATE, text)
        yield from _blocked(record, sent, deal, terms)
        yield from _paused(record, sent, terms, deal)
        if not _stands(record, sent, deal.initiator_leg):
            yield Problem(
                Kind.FUNDED_ON_NOTHING, f"{who} funds, and the initiator's lock is not final, open and as agreed"
            )
    elif sent.party == deal.dapp:
        if terms != deal.initiator_leg:
            yield Problem(Kind.OTHER_TERMS, f"{who} locks under other terms than were agreed")
        if left_s <= gates.lock_s:
            text = f"{who} locks {left_s} s before T_B, not more than {gates.lock_s} s"
            yield Problem(Kind.LOCKED_TOO_LATE, text)
        yield from _blocked(record, sent, deal, terms)
        if sent.at_s > deal.lock_deadline_s + ON_THE_WAY_S + shown_s:
            yield Problem(Kind.LOCKED_PAST_DEADLINE, f"{who} locks after the quote's time to lock")
    public_s = _public_at(record, sent, deal)
    if public_s is not None and public_s < sent.at_s and not _left_in_this_life(record, sent, terms, public_s):
        yield Problem(Kind.LOCKED_ON_PUBLIC_PREIMAGE, f"{who} locks under a hashlock whose preimage is public")


def _of_claim(
    record: Record, sent: Sent, preimage: bytes, deals: Mapping[Hashlock, Agreed], revealed: set[bytes]
) -> Iterator[Problem]:
    """The first broadcast of an honest initiator's claim is the reveal."""
    hashlock = _hashlock(preimage)
    deal = deals.get(hashlock)
    if deal is None or sent.party != deal.dapp or hashlock in revealed:
        return
    revealed.add(hashlock)
    who = f"{sent.party} (deal {deal.deal.number})"
    left_s = deal.participant_leg.timelock.seconds - ceil(sent.at_s) + _on_the_way_s(record, sent)
    reveal_s = needed_by(record.plan, deal).reveal_s
    if left_s <= reveal_s:
        yield Problem(Kind.REVEALED_TOO_LATE, f"{who} reveals {left_s} s before T_B, not more than {reveal_s} s")
    yield from _blocked(record, sent, deal)
    if not _stands(record, sent, deal.participant_leg):
        yield Problem(
            Kind.REVEALED_ON_NOTHING, f"{who} reveals, and the participant's lock is not final, open and as agreed"
        )


def _called_off(record: Record) -> Iterator[Problem]:
    """Whoever has called a swap off locks and reveals nothing behind that, but for what was signed before. A process
    that ends in that very moment may not have stored it."""
    if record.plan.rough & FORGETFUL:
        return
    for one in record.called_off:
        deal, party = one.agreed, one.agreed.dapp
        mine = [sent for sent in record.world.wire.firsts() if sent.party == party]
        locks = (sent for sent in mine if any(terms.hashlock == deal.hashlock for terms in sent.body.locks))
        reveals = (sent for sent in mine if any(_hashlock(shown) == deal.hashlock for shown in sent.body.preimages))
        for what, first in (("locks", next(locks, None)), ("reveals", next(reveals, None))):
            if first is None or first.at_s <= one.at_s or record.was_signed_by(first, one.at_s):
                continue
            if not record.was_away(first.party, one.at_s - STORED_S, one.at_s + STORED_S):
                text = f"{party} (deal {deal.deal.number}) {what} {first.at_s - one.at_s:.0f} s after it was called off"
                yield Problem(Kind.ACTED_CALLED_OFF, text)


def _hashlock(preimage: bytes) -> Hashlock:
    return Hashlock(hashlib.sha256(preimage).digest())


def _on_the_way_s(record: Record, sent: Sent) -> int:
    away = record.was_away(sent.party, sent.at_s - AWAY_S, sent.at_s)
    return ON_THE_WAY_S if away or not record.is_calm(sent.party) else 0


def _blocked(record: Record, sent: Sent, deal: Agreed, terms: LockTerms | None = None) -> Iterator[Problem]:
    """Nobody locks (these terms) or reveals while a claim of either leg has been known for a while not to pay. What a
    process signed before that it may still send; see `_was_ready`."""
    known_s = SILENT_S if record.party(sent.party).lie in (Lie.HANGS, Lie.FROM_THE_PAST) else KNOWN_S
    for asset, account, since_s, until_s in record.world.blocked:
        named = any(leg.asset == asset and account in (None, leg.receiver) for leg in deal.legs)
        if terms is not None and _was_ready(record, sent, terms, since_s + known_s):
            continue
        if terms is None and record.was_left_signed(sent, since_s + known_s):
            continue
        if named and since_s + known_s < sent.at_s < until_s:
            text = f"{sent.party} (deal {deal.deal.number}) acts while {asset} does not reach its receiver"
            yield Problem(Kind.ACTED_WHILE_BLOCKED, text)


def _paused(record: Record, sent: Sent, terms: LockTerms, deal: Agreed) -> Iterator[Problem]:
    """No relayer locks what its operator has paused. What the same process signed before may still leave."""
    scopes = {"all", *(leg.chain for leg in deal.legs)}
    for name, scope, since_s, until_s in record.paused:
        if name != sent.party or scope not in scopes or not since_s + ON_THE_WAY_S < sent.at_s < until_s:
            continue
        if _was_ready(record, sent, terms, since_s):
            continue
        yield Problem(
            Kind.LOCKED_WHILE_PAUSED, f"{name} (deal {deal.deal.number}) locks {sent.at_s - since_s:.0f} s into a pause"
        )


def _stands(record: Record, sent: Sent, terms: LockTerms) -> bool:
    """Return true if a lock with exactly these terms was open in the state that was final when this was sent."""
    reorg = record.world.deep.get(terms.chain)
    if reorg is not None and sent.at_s < reorg.at_s + ON_THE_WAY_S and sent.finalized[terms.chain] > reorg.fork:
        return True  # that state was replaced, or was just read
    return _open_at(record, terms, terms.chain, sent.finalized[terms.chain])


def _open_at(record: Record, terms: LockTerms, chain: ChainId, at: Height) -> bool:
    here = record.world.chains[chain]
    rows = [lock_at(here, lock.lock_id, at) for lock in all_locks(here) if lock.terms == terms]
    return any(row is not None and row.terms == terms and row.status is LockStatus.LOCKED for row in rows)


def _another_form(record: Record, sent: Sent, terms: LockTerms, before_s: float) -> bool:
    """Return whether the same lock left at the same sequence before that time: of the two forms only one can pay."""
    return any(
        one.at_s < before_s
        and (one.party, one.chain, one.body.sender, one.body.sequence)
        == (sent.party, sent.chain, sent.body.sender, sent.body.sequence)
        and terms in one.body.locks
        for one in record.world.wire.sent
    )


def _left_in_this_life(record: Record, sent: Sent, terms: LockTerms, before_s: float) -> bool:
    """Return true if the lock had left by then in another form, of a process that has lived on since."""
    lived_on = not record.began_again(sent.party, before_s, sent.at_s)
    return lived_on and _another_form(record, sent, terms, before_s)


def _was_ready(record: Record, sent: Sent, terms: LockTerms, before_s: float) -> bool:
    """Return true if the lock had left by then in another form, or was signed by then, in a life that lasts."""
    return _left_in_this_life(record, sent, terms, before_s) or record.was_signed_by(sent, before_s)


def _public_at(record: Record, sent: Sent, deal: Agreed) -> float | None:
    """When a party could know the preimage: it left somebody's hands, as far as that was noted, or a block showed it
    for as long as whoever reads blocks needs."""
    noted = (
        one.at_s
        for one in record.world.wire.sent
        if any(_hashlock(preimage) == deal.hashlock for preimage in one.body.preimages)
    )
    first_s, shown_s = next(noted, None), record.shown_at_s(deal.hashlock)
    if shown_s is None:
        return first_s
    read_s = shown_s + ROUNDED_S + TIMING.observation_s
    if record.was_away(sent.party, read_s - AWAY_S, sent.at_s):
        read_s += BEHIND_S
    return read_s if first_s is None else min(first_s, read_s)
