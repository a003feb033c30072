"""The swaps that are drawn: who wants what, when, and how they behave."""

import random
from dataclasses import replace
from typing import Final

from gateway.simulation.feeds import MAX_AGE_S
from gateway.simulation.plan import CHAINS, FORGETFUL, STORY_S, A, Act, Aim, Deal, Doubt, Plan, Rough, Style, Trouble

MIN_DEALS, MAX_DEALS = 14, 24
"""The fixed cost of a story is that of its blocks: the more swaps share it, the more are played."""
CROWD: Final = (30, 50)
"""How many more come to a crowded one."""
WEIGHTS: Final = {
    Style.HONEST: 9,
    Style.NEVER_LOCKS: 1,
    Style.VANISHES: 1,
    Style.LAST_SECOND: 3,
    Style.LOCKS_TOO_LITTLE: 1,
    Style.LOCKS_TOO_SHORT: 1,
    Style.LOCKS_FOR_ANOTHER: 1,
    Style.LOCKS_LATE: 1,
    Style.DOUBLE_SPENDS: 1,
    Style.COPIED: 1,
}
UNDONE_SHARE: Final = 0.4
"""Of claims in the last second, those that a reorg takes out."""
PUBLIC_SHARE: Final = 0.5
"""Of cheats who would vanish or lock for another, those who publish their preimage instead, before they lock."""
LATE_WATCH_SHARE: Final = 0.5
"""Of watched swaps, those that are registered once both locks are there."""
TOGETHER_SHARE: Final = 0.1
"""Of towns, those in which some swaps of one kind begin at the same moment, so that their locks can share a
transaction; in some of them that transaction waits, and one of its locks is over by then."""
TOGETHER: Final = 4
HELD_UP_S: Final = (6.0, 25.0)
"""How long it waits: the gates of the others are still open then, or closed."""
BATCH_SHARE: Final = 0.052
"""Of small towns in which nothing rough comes and something is slow, those that are about such a transaction alone."""
LATE_WORD_SHARE: Final = 0.6
"""Of these, the ones in which the preimage becomes public as the gates of the others close."""
WORD_BEFORE_S: Final = (0.0, 2.0)
HELD_UP_LONG_S: Final = (28.0, 34.0)
NOTICED: Final = frozenset({Rough.FINALITY_STALLS, Rough.DEEP_REORG, Rough.CLOCK_WRONG})
"""Trouble that stops a relayer's offers by itself."""
LATECOMERS: Final = 3
GANG: Final = 3
GANG_SHARE: Final = 0.15
"""Of towns, those in which three cheats are one: they lock from one account, or are paid at one."""
GANG_AMOUNT: Final = 38_000
"""Two such swaps are within what one counterparty may have; three are not, and are within all other limits."""
GANG_APART_S: Final = 12.0
"""How long one of them waits for the other, if they share a purse."""
LONG_JUMP_S: Final = 10
AT_A_JUMP_S: Final = (5.0, 8.0)
"""When they come to whom it matters: the price has moved for the first time, and was looked at since."""
LITTLE: Final = (100, 2_000)
"""The amounts that they want: whatever others have left of limits is enough for them."""
BRIEF_SHARE: Final = 0.5
"""Of swaps whose hashlock a stranger copies, those whose copies come back while they are open."""
DOUBT_SHARE: Final = 0.12
"""Of honest swaps in small towns, those whose initiator changes their mind; where nothing is slow, all go on late."""
DOUBTS: Final = (Doubt.LOCK, Doubt.LOCK, Doubt.REVEAL, Doubt.LATE, Doubt.CANCEL)
STANDS_SHARE: Final = 0.2
"""Of small towns in which nothing is slow and somebody goes on late, those in which a chain stands still meanwhile."""
STANDS_S: Final = (20.0, 24.0)
"""How long before that it stops: a newest block may be as old as lag, inclusion and observation allow, and no older."""
IN_TIME_SHARE: Final = 0.5
UNLOCKED: Final = (Doubt.LOCK, Doubt.CANCEL)
"""The doubts after which nothing may be locked: at most one of a town, since that counts against an account."""
WITHDRAWN_S: Final = (0.0, 16.0)
"""How long behind the agreement an initiator withdraws: before the lock, after it, or after the reveal."""
UNTIL_CLOSED_S: Final = 1.2
"""How long before the gate of the reveal closes they go on, at most: in its last second, most of them."""
LATE_S: Final = (12.0, 58.0)
"""When they come, in seconds from when the trouble begins."""


def first_deals(source: random.Random, relayers: int, all_watched: bool) -> tuple[Deal, ...]:
    """The swaps of a town with so many relayers."""
    return _drawn(source, source.randint(MIN_DEALS, MAX_DEALS), relayers, all_watched)


def _drawn(source: random.Random, count: int, relayers: int, all_watched: bool) -> tuple[Deal, ...]:
    styles = source.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=count)
    return tuple(
        Deal(
            number=number,
            first=source.choice(CHAINS),
            coin=source.random() < 0.6,
            amount=source.randint(100, 100_000) * 3 // 5,
            start_s=source.uniform(0, STORY_S) if source.random() < 0.6 else 1.0,
            style=style,
            relayer=source.randrange(relayers),
            watched=all_watched or source.random() < 0.2,
            before_timelock_s=source.uniform(1.5, 8.0),
            provider_dies=style is Style.LAST_SECOND and source.random() < 0.4,
        )
        for number, style in enumerate(styles)
    )


def with_a_crowd(source: random.Random, plan: Plan) -> Plan:
    """In crowded towns the same story with many more people, who want little, so that limits leave room for it."""
    if not plan.is_crowded:
        return plan
    behind = max(deal.number for deal in plan.deals) + 1
    all_watched = all(deal.watched for deal in plan.deals)
    more = tuple(
        replace(
            deal,
            number=behind + deal.number,
            amount=source.randint(*LITTLE),
            watched=deal.watched and plan.tower is not None,
            provider_dies=False,
        )
        for deal in _drawn(source, source.randint(*CROWD), len(plan.relayers), all_watched)
    )
    return replace(plan, deals=(*plan.deals, *more))


def plain(deal: Deal) -> Deal:
    """The same wish, and nothing that was drawn for it alone: no tower, no reorg, no power failure, no doubt, and no
    cheat who locks twice, shares an account or lets the preimage out."""
    return Deal(
        number=deal.number,
        first=deal.first,
        coin=deal.coin,
        amount=deal.amount,
        start_s=deal.start_s,
        style=deal.style,
        relayer=deal.relayer,
        watched=False,
        before_timelock_s=deal.before_timelock_s,
        provider_dies=False,
    )


def newcomer(plan: Plan, like: Deal, amount: int, start_s: float, place: int = 1) -> Deal:
    """The honest swap of somebody who comes behind all others of the plan, as the `place`-th, and wants so much of what
    that deal is about."""
    number = max(one.number for one in plan.deals) + place
    return replace(plain(like), number=number, style=Style.HONEST, amount=amount, start_s=start_s)


def with_undone_claims(source: random.Random, plan: Plan) -> Plan:
    """The same story, and of some deals the cheat's claim does not stay. None of those is watched: to a tower a swap in
    which one leg is claimed and the other refunded is lost, whoever lost it."""
    can = {deal.number for deal in plan.deals if deal.style is Style.LAST_SECOND and not deal.watched}
    deals = (replace(deal, undone=deal.number in can and source.random() < UNDONE_SHARE) for deal in plan.deals)
    return replace(plan, deals=tuple(deals))


def with_early_and_late_words(source: random.Random, plan: Plan) -> Plan:
    """The same story with some preimages published before a lock, and some swaps that a tower hears of late."""

    def changed(deal: Deal) -> Deal:
        public = source.random() < PUBLIC_SHARE and deal.style in (Style.VANISHES, Style.LOCKS_FOR_ANOTHER)
        late = source.random() < LATE_WATCH_SHARE
        return replace(deal, public=public and not deal.watched, late_watch=late and deal.watched)

    return replace(plan, deals=tuple(map(changed, plan.deals)))


def with_some_together(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story with its first deals at one moment, for one pair of assets and with the first
    provider."""
    if source.random() >= TOGETHER_SHARE or not plan.batches:
        return plan
    second = source.choice(sorted(plan.batches & plan.fees or plan.batches))
    first = next(chain for chain in CHAINS if chain != second)
    deals = [
        replace(one, first=first, coin=True, relayer=0, start_s=1.0, amount=source.randint(1_000, 15_000))
        for one in plan.deals[:TOGETHER]
    ]
    if held_up := source.random() < 0.7:
        cheat = replace(deals[0], style=Style.VANISHES, watched=False, public=False, undone=False, provider_dies=False)
        deals[0] = replace(cheat, blabs=True)
    aims = (Aim(Trouble.STARVED, Act.FUND, 1, source.choice(HELD_UP_S)),) if held_up else ()
    return replace(plan, deals=(*deals, *plan.deals[TOGETHER:]), aims=(*aims, *plan.aims))


def with_a_batch_that_waits(source: random.Random, plan: Plan) -> Plan:
    """In some small towns four swaps at one moment and nothing else, the provider's locks in one transaction of a
    chain with fees, which blocks leave lying; the preimage of one of them becomes public meanwhile."""
    if source.random() >= BATCH_SHARE or not plan.small or plan.rough or plan.leading or plan.is_calm:
        return plan
    second = A if plan.ledger else source.choice(CHAINS)
    first = next(chain for chain in CHAINS if chain != second)
    model = replace(plain(plan.deals[0]), first=first, coin=True, start_s=1.0, style=Style.HONEST)
    honest = [replace(model, number=number, amount=source.randint(1_000, 15_000)) for number in range(1, TOGETHER)]
    late = source.random() < LATE_WORD_SHARE
    cheat = replace(
        model,
        number=0,
        style=Style.VANISHES,
        blabs=True,
        blabs_late=late,
        before_timelock_s=source.uniform(*WORD_BEFORE_S),
        amount=source.randint(1_000, 15_000),
    )
    relayer, dapp = (replace(one.steady(), moody=0.0) for one in (plan.relayers[0], plan.dapps[0]))
    return replace(
        plan,
        deals=(cheat, *honest),
        relayers=(relayer,),
        dapps=(dapp,),
        fees=plan.fees | {second},
        expiries=plan.expiries - {second},
        batches=plan.batches | {second},
        reorgs=(),
        spikes=(),
        bending=False,
        narrow=False,
        pricing=None,
        withdrawals=(),
        strangers=frozenset(),
        aims=(Aim(Trouble.STARVED, Act.FUND, 1, source.uniform(*(HELD_UP_LONG_S if late else HELD_UP_S))),),
    )


def with_latecomers(source: random.Random, plan: Plan) -> Plan:
    """The same story with people who come while relayers should have noticed that something is wrong, and after it."""
    began = [plan.at_s[one] for one in sorted(plan.rough & NOTICED)]
    began += [plan.pricing.stall_at_s] if plan.pricing is not None and plan.pricing.stall_for_s > MAX_AGE_S else []
    if not began:
        return plan
    began_s = min(began)
    later = tuple(
        newcomer(
            plan, source.choice(plan.deals), source.randint(*LITTLE), began_s + source.uniform(*LATE_S), place=place
        )
        for place in range(1, LATECOMERS + 1)
    )
    return replace(plan, deals=(*plan.deals, *later))


def with_somebody_at_a_jump(source: random.Random, plan: Plan) -> Plan:
    """In small towns whose price jumps up for long, the same story with somebody who wants it as it is then."""
    pricing = plan.pricing
    if pricing is None or not plan.small or pricing.jump_percent < 100 or pricing.jump_for_s < LONG_JUMP_S:
        return plan
    comes = newcomer(plan, plan.deals[0], source.randint(*LITTLE), source.uniform(*AT_A_JUMP_S))
    return replace(plan, deals=(*plan.deals, comes))


def with_a_gang(source: random.Random, plan: Plan) -> Plan:
    """In some towns the same story, and three cheats want together more than one counterparty may have, each under
    another name: all are paid at one account, or all lock from one. In small towns nobody else comes."""
    if source.random() >= GANG_SHARE or plan.rough or plan.narrow or len(plan.deals) < GANG:
        return plan
    model, pays_one = plain(plan.deals[0]), source.random() < 0.5
    numbers = [deal.number for deal in plan.deals[-GANG:]]
    gang = tuple(
        replace(
            model,
            number=number,
            relayer=0,
            style=Style.VANISHES,
            amount=GANG_AMOUNT,
            blabs=False,
            start_s=0.0 if pays_one else at * GANG_APART_S,
            gives_as=None if pays_one else numbers[0],
            is_paid_as=numbers[0] if pays_one else None,
        )
        for at, number in enumerate(numbers)
    )
    return replace(plan, deals=gang if plan.small else (*plan.deals[:-GANG], *gang))


def with_brief_copies(source: random.Random, plan: Plan) -> Plan:
    """The same story, and some copies of hashlocks do not stand for long."""

    def brief(deal: Deal) -> Deal:
        return replace(deal, brief=source.random() < BRIEF_SHARE and deal.style is Style.COPIED)

    return replace(plan, deals=tuple(map(brief, plan.deals)))


def with_a_chain_that_stands(source: random.Random, plan: Plan) -> Plan:
    """In some small towns in which nothing is slow the same story, and the first initiator who goes on late finds the
    other chain without a new block for longer than it may be."""
    late = any(deal.doubt is Doubt.LATE for deal in plan.deals)
    if source.random() >= STANDS_SHARE or not (plan.small and plan.is_calm and late) or plan.rough:
        return plan
    return replace(plan, rough=frozenset({Rough.CHAIN_STANDS}), at_s={Rough.CHAIN_STANDS: source.uniform(*STANDS_S)})


def with_doubts(source: random.Random, plan: Plan) -> Plan:
    """In small towns the same story, and some initiators change their minds behind the agreement. Where nothing is slow
    all go on late, but for the first one of some towns: what others then do at once is seen there."""
    if plan.rough & FORGETFUL or not plan.small:
        return plan
    is_calm, unlocked = plan.is_calm, False
    in_time = is_calm and random.Random(f"soon enough/{plan.seed}").random() < IN_TIME_SHARE
    deals = list[Deal]()
    for deal in plan.deals:
        doubts, doubt = source.random() < DOUBT_SHARE, source.choice(DOUBTS)
        until_s, withdrawn_s = source.uniform(0, UNTIL_CLOSED_S), source.uniform(*WITHDRAWN_S)
        if deal.style is Style.HONEST and in_time:
            deals.append(deal)
            in_time = False
        elif deal.style is Style.HONEST and is_calm:
            deals.append(replace(deal, doubt=Doubt.LATE, doubt_s=until_s))
        elif deal.style is Style.HONEST and doubts and not (unlocked and doubt in UNLOCKED):
            unlocked |= doubt in UNLOCKED
            doubt_s = withdrawn_s if doubt is Doubt.CANCEL else until_s
            deals.append(replace(deal, doubt=doubt, doubt_s=doubt_s))
        else:
            deals.append(deal)
    return replace(plan, deals=tuple(deals))
