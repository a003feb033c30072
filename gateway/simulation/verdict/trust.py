"""Who acted without ground: out of an empty database, with an account that another hand uses, by a clock that no chain
shares, or on a chain that stood still, or had replaced what was final.

Neither locks nor reveals wait for anybody's judgement there but the operator's; exits go on.
"""

import hashlib
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from gateway.simulation.plan import FORGETFUL, TIMING, Lie, Rough
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.wire import Sent
from gateway.simulation.world import DeepReorg

NOTICE_S: Final = 10
"""How soon a process that is up has seen that a finalized block was replaced: two blocks, and what reading them takes
next to an endpoint that hangs."""
SEEN_S: Final = 1.5
"""How long a block has been final, at least, that everybody has read as such: a head may be lost, and is asked for
again a second later."""
ON_THE_WAY_S: Final = 2.0
"""How long bytes may be on their way that were signed before the clock went wrong."""
SILENT_S: Final = TIMING.observation_s
"""The same for a party that waits for an endpoint which says nothing, or the past."""
INVENTING: Final = frozenset({Lie.HEADS_AND_LOCKS, Lie.BRANCH})
"""The lies of an endpoint that shows heads which its chain does not have."""
FOREIGN_S: Final = 20.0
"""How long it may take to be sure that somebody else uses an account: some looks, a block apart."""


def problems(record: Record) -> Iterator[Problem]:
    """Every lock and every reveal that was first sent without ground."""
    for sent in record.world.wire.firsts():
        for deal in record.agreed:
            if _commits(record, sent, deal):
                yield from _of_empty(record, sent, deal)
                yield from _of_deep_reorg(record, sent, deal)
                yield from _of_foreign_use(record, sent, deal)
                yield from _of_wrong_clock(record, sent, deal)
                yield from _of_standstill(record, sent, deal)


def _commits(record: Record, sent: Sent, deal: Agreed) -> bool:
    """True for a lock of this deal's parties, and for the initiator's reveal: once that is out, a claim is an exit."""
    if sent.body.locks:
        locks = any(terms.hashlock == deal.hashlock for terms in sent.body.locks)
        return locks and sent.party in (deal.relayer, deal.dapp)
    if sent.party != deal.dapp or not _reveals(sent, deal):
        return False
    return not any(_reveals(one, deal) for one in _before(record, sent))


def _reveals(sent: Sent, deal: Agreed) -> bool:
    return any(hashlib.sha256(one).digest() == deal.hashlock for one in sent.body.preimages)


def _of_empty(record: Record, sent: Sent, deal: Agreed) -> Iterator[Problem]:
    since_s, until_s = record.unadopted.get(sent.party, (0.0, 0.0))
    if since_s < sent.at_s < until_s:
        text = f"{sent.party} (deal {deal.deal.number}) acts before anybody adopted its accounts"
        yield Problem(Kind.ACTED_UNADOPTED, text)


def _of_deep_reorg(record: Record, sent: Sent, deal: Agreed) -> Iterator[Problem]:
    for chain in (leg.chain for leg in deal.legs):
        reorg = record.world.deep.get(chain)
        if reorg is None or has_never_seen(record, sent.party, reorg) or knows_no_better(record, sent.party, reorg):
            continue
        if sent.at_s > reorg.at_s + NOTICE_S:
            late_s = sent.at_s - reorg.at_s
            text = (
                f"{sent.party} (deal {deal.deal.number}) acts {late_s:.0f} s after {chain} replaced a finalized block"
            )
            yield Problem(Kind.ACTED_AFTER_DEEP_REORG, text)


def _of_wrong_clock(record: Record, sent: Sent, deal: Agreed) -> Iterator[Problem]:
    """Its own clock and its chains contradict each other by more than both may be off: which is right, it cannot say.
    Another form of earlier bytes is not a new act, but of a process that has begun since; nor is a reveal that a
    life which has ended had signed before."""
    if sent.party != record.plan.clock_of:
        return
    wrong_s = record.world.clock.now() - record.world.seconds + record.plan.at_s[Rough.CLOCK_WRONG]
    if not sent.body.locks and record.was_left_signed(sent, wrong_s):
        return
    on_the_way_s = SILENT_S if record.party(sent.party).lie in (Lie.HANGS, Lie.FROM_THE_PAST) else ON_THE_WAY_S
    if sent.at_s > wrong_s + on_the_way_s and not _is_again(record, sent, wrong_s + on_the_way_s):
        text = f"{sent.party} (deal {deal.deal.number}) acts though its clock is {record.plan.clock_off_s} s off"
        yield Problem(Kind.ACTED_BY_WRONG_CLOCK, text)


def _of_standstill(record: Record, sent: Sent, deal: Agreed) -> Iterator[Problem]:
    """The newest block of one of its chains is older than its chain's bounds let it be: what is locked or revealed then
    may be in no block in time. Whose clock is wrong, or who is shown blocks that nobody made, cannot know."""
    party = record.party(sent.party)
    if sent.party == record.plan.clock_of or party.lie in INVENTING:
        return
    slow_s = SILENT_S if party.lie in (Lie.HANGS, Lie.FROM_THE_PAST) else ON_THE_WAY_S
    for chain in (leg.chain for leg in deal.legs):
        timing = record.plan.timing[chain]
        bound_s = timing.lag_s + timing.inclusion_s + timing.observation_s
        head_s = record.world.chains[chain].block(sent.heights[chain]).header.time.seconds
        since_s = head_s + bound_s + slow_s
        if sent.at_s <= since_s or record.could_not_act(sent.party, since_s - slow_s, sent.at_s):
            continue
        if not _is_again(record, sent, since_s):
            old_s = sent.at_s - head_s
            text = f"{sent.party} (deal {deal.deal.number}) acts, and {chain} has made no block for {old_s:.0f} s"
            yield Problem(Kind.ACTED_ON_STANDSTILL, text)


def _of_foreign_use(record: Record, sent: Sent, deal: Agreed) -> Iterator[Problem]:
    """A use that is known, and that no operator has acknowledged since. Another form of earlier bytes is not a new act,
    but of a process that has begun since."""
    if record.plan.rough & FORGETFUL:
        return
    settled_s = [at_s for party, at_s in record.acknowledged if party == sent.party and at_s < sent.at_s]
    last_s = max(settled_s, default=0.0)
    known = [at_s + FOREIGN_S for party, at_s in record.foreign if party == sent.party and at_s > last_s]
    if any(known_s < sent.at_s and not _is_again(record, sent, known_s) for known_s in known):
        text = f"{sent.party} (deal {deal.deal.number}) acts though its account was used by somebody else"
        yield Problem(Kind.ACTED_UNACKNOWLEDGED, text)


def _is_again(record: Record, sent: Sent, known_s: float) -> bool:
    """Return true for another form of earlier bytes, by a process that lives since what speaks against it was known."""
    place = sent.party, sent.chain, sent.body.sequence
    lives = not record.began_again(sent.party, known_s, sent.at_s)
    return lives and any(place == (one.party, one.chain, one.body.sequence) for one in _before(record, sent))


def _before(record: Record, sent: Sent) -> Iterator[Sent]:
    return takewhile(lambda one: one is not sent, record.world.wire.sent)


def has_never_seen(record: Record, party: str, reorg: DeepReorg) -> bool:
    """True if the party could not read in time that any of the replaced blocks was final, or was away from before it
    could."""
    if reorg.at_s - reorg.final_s < SEEN_S and not record.is_calm(party):
        return True
    began_s = record.world.clock.now() - record.world.seconds
    return any(
        began_s + since <= reorg.final_s + NOTICE_S and reorg.at_s <= began_s + until
        for since, until in record.process(party).away
    )


def knows_no_better(record: Record, party: str, reorg: DeepReorg) -> bool:
    """True if the party's database was lost after the final block had been replaced: what it has read since was there
    then."""
    return any(name == party and since_s <= reorg.at_s <= until_s for name, since_s, until_s in record.forgotten)
