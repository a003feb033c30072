"""Bids: another form offers enough for a node to take it, and what waits for a block is raised in time, and not before
that is called for."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from typing import Final

from core.model.types import AccountId, ChainId, Height
from core.runtime.clock import NS_PER_S
from gateway.simulation.aims import CROWDED_TIP
from gateway.simulation.plan import FORGETFUL, Lie, Rough
from gateway.simulation.verdict.ceilings import called_for
from gateway.simulation.verdict.chains import LockOutcome, all_locks
from gateway.simulation.verdict.gates import needed_by
from gateway.simulation.verdict.limits import MARKET_S
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record
from gateway.simulation.wire import Sent

RISE_PERCENT: Final = 110
"""A node takes another form of what it has only if it bids a tenth more (the rule of geth's pool, and of ours)."""
PATIENCE_S: Final = 15.0
"""How long an exit may wait for a block under one bid; with a timelock ahead, `IMPATIENCE` of the time up to it."""
IMPATIENCE: Final = 0.1
LOOK_S: Final = 7.0
"""How much later that may be seen: two blocks, and what reading them takes."""
SOONER: Final = 0.9
"""The share of its patience after which a party may lose it: times of deadlines and signatures are rounded."""
MISLEADING: Final = frozenset({Lie.HIGH_FEE, Lie.FROM_THE_PAST, Lie.MALFORMED})
"""Next to such an endpoint a party may see a market that nobody else does."""
MOST_FORMS: Final = 16
"""Forms after which a bid is near its ceiling."""
MARKET_TIMES: Final = 16
"""The most that anybody bids, in times of what the market asks: base fee and tip."""
UNBID: Final = frozenset({*FORGETFUL, Rough.SHORT_PURSE, Rough.TWO_PROCESSES, Rough.USED_ELSEWHERE})
"""In these a party may not know what it bid, or cannot pay for more."""
UNRAISED: Final = UNBID | {Rough.DATABASE_AWAY, Rough.DEEP_REORG, Rough.CLOCK_WRONG, Rough.PROVIDER_VANISHES}


def problems(record: Record) -> Iterator[Problem]:
    """Every form that bids too little, every exit that is left with an old bid, or behind something cheaper, and every
    bid that was raised though nothing called for it."""
    if not record.plan.rough & UNBID:
        yield from _underbid(record)
    if not record.plan.rough & UNRAISED:
        for mine in record.sent_by_accounts():
            yield from _raised_late(record, mine)
            yield from _raised_soon(record, mine)
            yield from _cheaper_ahead(record, mine)


def _by_sequence(mine: list[Sent]) -> dict[int, list[Sent]]:
    """The forms of each transaction of an account."""
    found: defaultdict[int, list[Sent]] = defaultdict(list)
    for sent in mine:
        found[sent.body.sequence].append(sent)
    return found


def _underbid(record: Record) -> Iterator[Problem]:
    """Another form of a transaction bids so much more, in all and in its tip, that a node which has the former takes
    it. Not once an endpoint has said that it refuses an exit which it took: another transaction asks for that exit
    under the same sequence then, and neither of the two has to outbid the other, since they do the same."""
    most: dict[object, tuple[int, int]] = {}
    refused: set[object] = set()
    for sent in record.world.wire.firsts():
        body = sent.body
        form = (sent.party, sent.chain, body.sender, body.sequence, body.locks, body.preimages, body.settles)
        bid, before = (body.max_fee, body.tip), most.get(form, (0, 0))
        if form not in refused and any(now * 100 < then * RISE_PERCENT for now, then in zip(bid, before, strict=True)):
            text = f"bids {bid} (in all, tip) under sequence {body.sequence} of {sent.chain}, and bid {before} before"
            yield Problem(Kind.UNDERBID, f"{sent.party} {text}")
        most[form] = max(bid[0], before[0]), max(bid[1], before[1])
        if body.settles and record.world.took_and_refused(sent.party, sent.raw):
            refused.add(form)


def _raised_late(record: Record, mine: list[Sent]) -> Iterator[Problem]:
    """Whoever waits for an exit on a chain with fees offers more for it, the sooner the nearer its timelock is."""
    party, chain = mine[0].party, mine[0].chain
    if record.party(party).moody:
        return
    for sequence, those in _by_sequence(mine).items():
        if not (locks := _settled_by(record, party, those)):
            continue
        until_s = _over_s(record, those, locks)
        waiting = [sent for sent in those[:MOST_FORMS] if sent.at_s < until_s]
        times = [sent.at_s for sent in waiting]
        ends = [*times, *([until_s] if len(times) < MOST_FORMS else [])]
        for last, (since_s, next_s) in zip(waiting, pairwise(ends), strict=False):
            late = next_s - since_s > _patience_s(record, party, locks, since_s)
            if late and _is_up(record, party, since_s, next_s) and not _is_dear(record, last, mine, next_s):
                text = f"{party} leaves its exit under sequence {sequence} of {chain} with one bid"
                yield Problem(Kind.RAISED_LATE, f"{text} for {next_s - since_s:.0f} s")
                break


def _raised_soon(record: Record, mine: list[Sent]) -> Iterator[Problem]:
    """Nobody offers more for what has hardly waited, while blocks would be paid by what was offered, and nothing stands
    behind it that offers more. If endpoints refuse what they took, another transaction is asked for the same, and has
    to outbid it."""
    party, chain = mine[0].party, mine[0].chain
    if record.party(party).lie in MISLEADING:
        return
    for sequence, those in _by_sequence(mine).items():
        behind = [sent for sent in mine if sent.body.sequence > sequence and sent.body.settles]
        for former, later in pairwise(those):
            waited_s = _signed_s(record, later) - _signed_s(record, former)
            is_late = waited_s >= SOONER * _least_patience_s(record, former)
            if is_late or _deed(former) != _deed(later) or not any(_deed(later)):
                continue
            if record.world.refused_s.get((party, former.raw), inf) <= later.at_s:
                continue
            dearest = max(record.world.base_fees(chain, former.at_s - MARKET_S, later.at_s), default=inf)
            if former.body.max_fee < dearest + CROWDED_TIP or record.was_away(party, former.at_s - LOOK_S, later.at_s):
                continue
            if not any(sent.at_s <= later.at_s and sent.body.max_fee > former.body.max_fee for sent in behind):
                text = f"{party} offers {later.body.max_fee} under sequence {sequence} of {chain}"
                text = f"{text}, {waited_s:.1f} s after {former.body.max_fee}, which any block would have taken"
                yield Problem(Kind.RAISED_SOON, text)
                break


def _cheaper_ahead(record: Record, mine: list[Sent]) -> Iterator[Problem]:
    """No block takes an exit before what its account has sent under earlier sequences: that soon offers as much."""
    party, chain, account = mine[0].party, mine[0].chain, mine[0].body.sender
    if record.party(party).moody:
        return
    used_s = _used_s(record, chain, account)
    for sent in mine:
        until_s = sent.at_s + LOOK_S + record.silence_s(party)
        locks = _settled_by(record, party, [sent])
        if not locks or _over_s(record, [sent], locks) <= until_s:
            continue
        before = [one for one in mine if one.body.sequence < sent.body.sequence and one.at_s <= until_s]
        for sequence, those in _by_sequence(before).items():
            most = max(one.body.max_fee for one in those)
            waits = used_s.get(sequence, inf) > until_s and most < sent.body.max_fee
            if waits and _is_up(record, party, sent.at_s, until_s):
                text = f"{party} leaves {most} under sequence {sequence} of {chain} before an exit for which it"
                yield Problem(Kind.CHEAPER_AHEAD, f"{text} offers {sent.body.max_fee}")
                break


def _used_s(record: Record, chain: ChainId, account: AccountId) -> dict[int, float]:
    """When a block used each sequence of an account, Unix seconds of true time."""
    here, found = record.world.memory[chain], dict[int, float]()
    for height in range(here.height + 1):
        for sequence in range(len(found), here.used(account, Height(height))):
            found[sequence] = record.made_at_s(chain, height)
    return found


def _deed(sent: Sent) -> tuple[object, ...]:
    """Return what it is to do: two forms of one transaction may differ in that, too."""
    return sent.body.locks, sent.body.preimages, sent.body.settles, sent.body.pays


def _signed_s(record: Record, sent: Sent) -> float:
    return record.signed_s.get(sent.raw, sent.at_s)


def _least_patience_s(record: Record, sent: Sent) -> float:
    """The shortest time for which a bid of then may have to stand: by the nearest of all deadlines that its party may
    have had."""
    mine = [deal for deal in record.agreed if sent.party in (deal.relayer, deal.dapp)]
    deadlines_s = [float(leg.timelock.seconds) for deal in mine for leg in deal.legs]
    deadlines_s += [deal.participant_leg.timelock.seconds - needed_by(record.plan, deal).reveal_s for deal in mine]
    deadlines_s += [float(deal.lock_deadline_s) for deal in mine]
    deadlines_s += [one.order.until_ns / NS_PER_S for one in record.orders if one.relayer == sent.party]
    signed_s = _signed_s(record, sent)
    return min([PATIENCE_S, *(IMPATIENCE * (at_s - signed_s) for at_s in deadlines_s if at_s > signed_s)])


def _settled_by(record: Record, party: str, forms: list[Sent]) -> list[LockOutcome]:
    """The locks of this party's own swaps that these forms settle; none for anything but its exits."""
    if any(sent.body.locks or not sent.body.settles for sent in forms):
        return []
    mine = [leg for deal in record.agreed if party in (deal.relayer, deal.dapp) for leg in deal.legs]
    settles = {place for sent in forms for place in sent.body.settles}
    locks = [lock for lock in all_locks(record.world.chains[forms[0].chain]) if lock.lock_id in settles]
    return locks if all(lock.terms in mine for lock in locks) else []


def _over_s(record: Record, forms: list[Sent], locks: list[LockOutcome]) -> float:
    """When nothing waits any more (Unix seconds): a block holds one of the forms, or all its locks are settled."""
    skew_s = record.plan.skew_s[forms[0].chain]
    settled_s = max(inf if lock.settled_at_s is None else lock.settled_at_s - skew_s for lock in locks)
    return min(record.world.clock.now(), settled_s, record.mined_at_s(forms))


def _patience_s(record: Record, party: str, locks: list[LockOutcome], since_s: float) -> float:
    """How long a bid that was first made then may stand."""
    left_s = [
        lock.terms.timelock.seconds - record.plan.skew_s[lock.terms.chain] - since_s
        for lock in locks
        if record.owner(lock.terms.sender) != party
    ]
    soon_s = [IMPATIENCE * one_s for one_s in left_s if one_s > 0]
    return min(PATIENCE_S, max(soon_s, default=PATIENCE_S)) + LOOK_S + record.silence_s(party)


def _is_dear(record: Record, sent: Sent, mine: list[Sent], until_s: float) -> bool:
    """Return true if a bid that is an eighth higher is more than a party has to offer: the market came down since, or
    it is at the ceiling of its own time, and of the exits behind it."""
    ceiling, raised = record.plan.ceiling, sent.body.max_fee * 9 // 8 + 1
    if ceiling is not None and raised > called_for(record, ceiling, sent, mine, until_s - LOOK_S):
        return True
    asked = min(record.world.base_fees(sent.chain, sent.at_s, until_s), default=0) + record.plan.tip
    return sent.body.max_fee * 9 > 8 * MARKET_TIMES * asked


def _is_up(record: Record, party: str, since_s: float, until_s: float) -> bool:
    """True if it could look at its transactions all the time, and no block that held one of them was replaced."""
    began_s = record.world.clock.now() - record.world.seconds
    if record.could_not_act(party, since_s - LOOK_S, until_s):
        return False
    return not any(since_s - LOOK_S < began_s + at_s < until_s + LOOK_S for _, at_s in record.world.reorged)
