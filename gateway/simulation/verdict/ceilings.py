"""The most that anybody offers for a unit of gas: what a policy's ceiling says, and for exits what their time says. No
lock is called off since it stands there, nor since another one in its transaction is."""

from collections.abc import Iterator
from typing import Final

from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.gates import needed_by
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.wire import Sent

EXIT_TIMES: Final = 5
"""The most that an exit offers, in times of the ceiling, as its timelock comes: at first it offers no more than others,
and in between as much more as of its time is used up."""
SIGNING_S: Final = 4.0
"""How long after it was thought of a bid may leave, next to an endpoint that hangs."""
SOON_S: Final = 4.0
"""How long before its gate closes a lock may be called off, by a clock that is a little ahead."""


def problems(record: Record) -> Iterator[Problem]:
    """Every bid beyond its ceiling, and every lock that was called off for nothing."""
    ceiling = record.plan.ceiling
    for those in record.sent_by_accounts():
        if ceiling is not None:
            yield from _beyond(record, ceiling, those)
        if not record.plan.rough:
            yield from _called_off(record, those)


def _beyond(record: Record, ceiling: int, mine: list[Sent]) -> Iterator[Problem]:
    for sent in mine:
        if sent.body.max_fee > (most := most_of(record, ceiling, sent, mine, sent.at_s)):
            text = f"{sent.party} offers {sent.body.max_fee} under sequence {sent.body.sequence} of {sent.chain}"
            yield Problem(Kind.BID_BEYOND_CEILING, f"{text}, {most} at most")


def most_of(record: Record, ceiling: int, sent: Sent, mine: list[Sent], at_s: float) -> int:
    """The most that a form of this transaction may offer at that time (Unix seconds).

    What is not an exit offers the ceiling, unless it keeps one from being mined, or is called off, as a whole or in
    part: then it has to outbid what was offered before.
    """
    body = sent.body
    behind = any(one.body.settles and one.body.sequence > body.sequence and one.at_s <= at_s for one in mine)
    before = [one for one in mine if one.body.sequence == body.sequence and one.at_s < sent.at_s]
    is_less = any({*body.locks} < {*one.body.locks} for one in before)
    if behind or is_less or not (body.locks or body.settles or body.pays):
        return EXIT_TIMES * ceiling
    if not body.settles:
        return ceiling
    return ceiling + round((EXIT_TIMES - 1) * ceiling * _share(record, sent, mine, at_s))


def called_for(record: Record, ceiling: int, exit_: Sent, mine: list[Sent], at_s: float) -> int:
    """The most that an exit has to offer at that time (Unix seconds): what its own time calls for, or that of an exit
    behind it. Before one that offers no more than the ceiling nobody has to go beyond it."""
    sequence = exit_.body.sequence
    behind = [one for one in mine if one.body.settles and one.body.sequence > sequence and one.at_s <= at_s]
    share = max(_share(record, one, mine, at_s) for one in (exit_, *behind))
    return ceiling + round((EXIT_TIMES - 1) * ceiling * share)


def _share(record: Record, sent: Sent, mine: list[Sent], at_s: float) -> float:
    """How much of its time an exit had used up then: of a claim's, up to its timelock."""
    first_s = min(record.signed_s.get(one.raw, one.at_s) for one in mine if one.body.sequence == sent.body.sequence)
    locks = [lock for lock in all_locks(record.world.chains[sent.chain]) if lock.lock_id in sent.body.settles]
    deadlines_s = [lock.terms.timelock.seconds for lock in locks if _is_claimed(sent, lock)]
    if not deadlines_s or min(deadlines_s) <= first_s:
        return 0.0 if not deadlines_s else 1.0
    return min(1.0, (at_s - first_s) / (min(deadlines_s) - first_s))


def _is_claimed(sent: Sent, lock: LockOutcome) -> bool:
    return bool(sent.body.preimages) and sent.at_s <= lock.terms.timelock.seconds + SIGNING_S


def _called_off(record: Record, mine: list[Sent]) -> Iterator[Problem]:
    """A lock that has left waits until its gate closes, whatever it costs just then, and goes on waiting."""
    for sent in mine:
        body = sent.body
        former = [one for one in mine if one.body.sequence == body.sequence and one.at_s < sent.at_s]
        if body.locks or body.settles or body.pays or not former or not former[-1].body.locks:
            continue
        if any(one.body.settles and one.body.sequence > body.sequence for one in mine):
            continue
        hashlocks = {terms.hashlock for terms in former[-1].body.locks}
        deals = [deal for deal in record.agreed if deal.hashlock in hashlocks]
        if any(_may_still_lock(record, deal, sent) for deal in deals):
            text = f"{sent.party} calls its lock off under sequence {body.sequence} of {sent.chain}"
            yield Problem(Kind.LOCK_GIVEN_UP, f"{text}, though there is time, and nothing speaks against it")


def _may_still_lock(record: Record, deal: Agreed, sent: Sent) -> bool:
    gates, t_b = needed_by(record.plan, deal), deal.participant_leg.timelock.seconds
    closes_s = t_b - gates.fund_s if sent.party == deal.relayer else min(t_b - gates.lock_s, deal.lock_deadline_s)
    shown_s = record.shown_at_s(deal.hashlock)
    is_public = shown_s is not None and shown_s <= sent.at_s
    called_off = any(one.agreed is deal and one.at_s <= sent.at_s for one in record.called_off)
    held_up = any(
        asset in (leg.asset for leg in deal.legs) and since_s <= sent.at_s
        for asset, _, since_s, _ in record.world.blocked
    )
    first = [
        lock for lock in all_locks(record.world.chains[deal.initiator_leg.chain]) if lock.terms == deal.initiator_leg
    ]
    stands = sent.party != deal.relayer or any(
        lock.settled_at_s is None or lock.settled_at_s > sent.at_s for lock in first
    )
    again = record.could_not_act(sent.party, 0.0, sent.at_s)
    return closes_s - sent.at_s > SOON_S and stands and not (is_public or called_off or held_up or again)
