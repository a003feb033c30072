"""Small towns: the beginning of a story, and what only so few swaps can show."""

import random
from dataclasses import replace
from typing import Final

from gateway.simulation.drawing.deals import plain
from gateway.simulation.drawing.parties import party_of, with_few_endpoints
from gateway.simulation.plan import (
    BEGAN_AT_S,
    CHAINS,
    COME_BACK_S,
    POLICY,
    TIMING,
    A,
    Act,
    Aim,
    Deal,
    Death,
    Plan,
    Rough,
    Style,
    Trouble,
)
from relayer.policy import EXPIRY_WINDOW_S

MIN_FEW, MAX_FEW = 2, 4
"""How many swaps a small town has."""
SOONER: Final = 5
"""How many times earlier its swaps begin."""
TWICE_SHARE: Final = 0.3
"""Of cheats who claim in the last second, those who lock a second time, which does not stay."""
CROWDED_SHARE: Final = 0.15
"""Of small towns, those in which everybody wants much of the same; of those with narrow inventories all."""
PRESSED_SHARE: Final = 0.5
"""Of small towns about a short purse alone, those in which everybody comes at once."""
PRESSED_COUNT: Final = 8
PRESSED: Final = (1_000, 20_000)
BEYOND: Final = ((Style.HONEST, 45_000), (Style.VANISHES, 50_000))
"""Amounts of which `BEYOND_COUNT` are more than one counterparty may have, or than one window of timelocks."""
BEYOND_COUNT: Final = 3
BEYOND_SHARE: Final = 0.1
HELD_SHARE: Final = 0.6
"""Of small towns with narrow inventories, those in which somebody who never locks has most of it kept for a while."""
HELD_AMOUNT: Final = 78_000
SEEN_SHARE: Final = 0.5
SEEN_BLOCKS: Final = (1.5, 3.0)
"""When a block has the first lock of somebody who began at once, and no final one, in times of blocks."""
ALLOWED_BLOCKS: Final = 3
"""How much later that is where a lock needs an allowance, which has to be final before."""
IN_TURN_SHARE: Final = 0.5
"""Of crowds, those that come one after the other."""
IN_TURN_S: Final = (2.0, 6.0)
LEAK_SHARE: Final = 0.18
"""Of small towns in which nothing is rough, those in which a preimage leaks while the provider has to look at the
lock."""
WORD_SHARE: Final = 0.12
"""And those in which a cheat shows it before anybody watches over the swap."""
WORD_AMOUNT: Final = (1_000, 20_000)
APART_S: Final = 12.0
"""How long all others wait there for the swap whose preimage leaks: it is the first that the provider looks at."""
BEHIND_SHARE: Final = 0.08
"""Of small towns in which something is slow and nothing rough comes, those that are about an exit behind another."""
BEHIND_S: Final = (67.0, 70.0)
"""How long after the first swap the second begins, so that the provider claims for it as it takes the first one's lock
back."""
FULL_S: Final = (30.0, 60.0)
EXPIRES_SHARE: Final = 0.25
"""Of small towns in which something is slow and nothing rough comes, those that are about a lock which expires."""
LEFT_LYING_S: Final = (40.0, 60.0)
"""How long that is left lying: by then its form has expired, and its gate has closed."""
EDGE_SHARE: Final = 0.1
"""Of small towns in which nothing rough comes, those about the middle of a window of timelocks."""
EDGE_AMOUNT: Final = 50_000
"""Three such swaps are more than one window may have, and within what all windows may."""
EDGE_APART_S: Final = 4.0
EDGE_TIMELOCK_S: Final = 78
"""From the beginning of the story to T_B of a swap that somebody wants at once."""
MIN_MUCH, MAX_MUCH = 35_000, 60_000
"""The amounts there, in base units of what initiators give: limits allow two or three such swaps at a time."""


def in_a_small_town(source: random.Random, plan: Plan) -> Plan:
    """If the seed is a small town's, the beginning of the same story, with its first provider."""
    if not plan.small:
        return plan
    first = plan.deals[: source.randint(MIN_FEW, MAX_FEW)]
    deals = tuple(replace(one, relayer=0, start_s=one.start_s / SOONER) for one in first)
    deals = _twice(random.Random(f"twice/{plan.seed}"), deals)
    crowd = random.Random(f"crowded/{plan.seed}")
    if crowd.random() < CROWDED_SHARE or plan.narrow:
        deals = _crowded(crowd, deals, plan)
    if plan.rough == {Rough.SHORT_PURSE} and plan.fees:
        deals = _of_a_short_purse(random.Random(f"pressed/{plan.seed}"), deals, plan)
    if plan.narrow and not plan.rough:
        deals = _held(random.Random(f"held/{plan.seed}"), deals, plan)
    elif not plan.rough:
        deals = _beyond_limits(random.Random(f"beyond limits/{plan.seed}"), deals)
    relayers, dapps = (with_few_endpoints(plan.relayers[0]),), (with_few_endpoints(plan.dapps[0]),)
    is_watched = Rough.PROVIDER_VANISHES in plan.rough or any(one.watched for one in deals)
    named = {one.name for one in (*relayers, *dapps)}
    return replace(
        plan,
        deals=deals,
        relayers=relayers,
        dapps=dapps,
        tower=with_few_endpoints(plan.tower) if plan.tower is not None and is_watched else None,
        clock_of=plan.clock_of if plan.clock_of in named else relayers[0].name if plan.clock_of else "",
    )


def with_leaks(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and the first lock is claimed for the provider, whose power has failed right
    after it asked for a look at that lock."""
    if not _is_plain(plan) or source.random() >= LEAK_SHARE:
        return plan
    first = replace(
        plain(plan.deals[0]), style=Style.VANISHES, leaks=True, start_s=0.0, amount=source.randint(*WORD_AMOUNT)
    )
    dies = Death(POLICY.participant_outage_s - COME_BACK_S, commit="effect")
    later = (replace(one, start_s=one.start_s + APART_S) for one in plan.deals[1:])
    return replace(plan, deals=(first, *later), relayers=(replace(plan.relayers[0], deaths=(dies,)),))


def with_shown_preimages(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and a cheat shows its preimage while the provider is away, before anybody
    watches over the swap."""
    if not _is_plain(plan) or plan.deals[0].leaks or source.random() >= WORD_SHARE:
        return plan
    last = replace(
        plain(plan.deals[-1]),
        style=Style.LAST_SECOND,
        watched=True,
        late_watch=True,
        shows=True,
        amount=source.randint(*WORD_AMOUNT),
    )
    tower = plan.tower or with_few_endpoints(party_of(source, "tower", POLICY.participant_outage_s))
    return replace(plan, deals=(*plan.deals[:-1], last), tower=tower)


def with_an_exit_behind_another(source: random.Random, plan: Plan) -> Plan:
    """In some small towns two swaps and nothing else: blocks are full right after the provider took the first one's
    lock back, and on the same chain it claims for the second. The refund, which is in no hurry, keeps that claim from
    being mined until it bids as much."""
    if source.random() >= BEHIND_SHARE or not _is_plain(plan) or plan.is_calm or plan.signing is not None:
        return plan
    crowded = A if plan.ledger else source.choice(CHAINS)
    other = next(chain for chain in CHAINS if chain != crowded)
    model = replace(plain(plan.deals[0]), coin=True, amount=source.randint(*WORD_AMOUNT))
    lapses = replace(model, number=0, style=Style.VANISHES, first=other, start_s=0.0)
    later = replace(model, number=1, style=Style.HONEST, first=crowded, start_s=source.uniform(*BEHIND_S))
    return replace(
        _nothing_else(plan, lapses, later),
        fees=plan.fees | {crowded},
        expiries=plan.expiries - {crowded},
        block_time_s=dict.fromkeys(CHAINS, TIMING.block_time_s),
        timing=dict.fromkeys(CHAINS, TIMING),
        aims=(Aim(Trouble.SPIKED, Act.REFUND, 1, source.uniform(*FULL_S)),),
    )


def with_a_lock_that_expires(source: random.Random, plan: Plan) -> Plan:
    """In some small towns two swaps and nothing else: the provider's lock of the first one lies until it has expired
    for good, on a memory chain that knows expiries. The second one's lock is signed about then."""
    busy = plan.is_calm or plan.signing is not None or plan.began_at_s != BEGAN_AT_S
    if source.random() >= EXPIRES_SHARE or not _is_plain(plan) or busy:
        return plan
    second = A if plan.ledger else source.choice(CHAINS)
    first = next(chain for chain in CHAINS if chain != second)
    model = replace(plain(plan.deals[0]), first=first, coin=True, style=Style.HONEST)
    deals = (
        replace(model, number=number, start_s=start_s, amount=source.randint(*WORD_AMOUNT))
        for number, start_s in enumerate((0.0, source.uniform(*LEFT_LYING_S)))
    )
    return replace(
        _nothing_else(plan, *deals),
        fees=plan.fees - {second},
        expiries=plan.expiries | {second},
        trading=None,
        aims=(Aim(Trouble.STARVED, Act.FUND, 1, source.uniform(*LEFT_LYING_S)),),
    )


def _nothing_else(plan: Plan, *deals: Deal) -> Plan:
    """These swaps, between parties whom nothing fails, on chains that go on."""
    relayer, dapp = (replace(one.steady(), moody=0.0) for one in (*plan.relayers, *plan.dapps))
    return replace(
        plan,
        deals=deals,
        relayers=(relayer,),
        dapps=(dapp,),
        tower=None,
        reorgs=(),
        spikes=(),
        bending=False,
        pricing=None,
        withdrawals=(),
        strangers=frozenset(),
    )


def with_timelocks_around_a_middle(source: random.Random, plan: Plan) -> Plan:
    """In some small towns three cheats, one after the other, who want more than one window of timelocks may have. Some
    timelocks lie before its middle, and some behind it; in a few towns it is the window's end that lies there."""
    alone = _is_plain(plan) and not (
        plan.uneven or plan.is_calm or plan.signing is not None or plan.pricing is not None
    )
    if source.random() >= EDGE_SHARE or not alone:
        return plan
    model = replace(plain(plan.deals[0]), style=Style.VANISHES, amount=EDGE_AMOUNT)
    deals = tuple(replace(model, number=at, start_s=at * EDGE_APART_S) for at in range(BEYOND_COUNT))
    middle_s = EDGE_TIMELOCK_S + round(source.uniform(0.5, 1.5) * EDGE_APART_S)
    place = source.choice((EXPIRY_WINDOW_S // 2, EXPIRY_WINDOW_S // 2, 0))
    began_at_s = plan.began_at_s + (place - plan.began_at_s - middle_s) % EXPIRY_WINDOW_S
    relayer = plan.relayers[0].steady()
    return replace(
        plan, deals=deals, relayers=(relayer,), began_at_s=began_at_s, bending=False, withdrawals=(), trading=None
    )


def _is_plain(plan: Plan) -> bool:
    """Return true for a small town in which nothing is rough or scarce, no preimage gets out yet with a transaction of
    several locks, and the relayer is one process."""
    rare = plan.rough or plan.narrow or plan.leading is not None or any(one.blabs for one in plan.deals)
    return plan.small and not rare


def _twice(source: random.Random, deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The same deals, on some of which the cheat locks a second time."""
    late = [deal.number for deal in deals if deal.style is Style.LAST_SECOND and source.random() < TWICE_SHARE]
    return tuple(replace(deal, twice=deal.number in late) for deal in deals)


def _crowded(source: random.Random, deals: tuple[Deal, ...], plan: Plan) -> tuple[Deal, ...]:
    """The same deals, all of them for one pair of assets, and for amounts that come near limits and inventory: of what
    relayers with little have little of."""
    first = deals[0]
    coin = first.coin and not (plan.narrow and first.second in plan.fees)
    crowd = tuple(
        replace(one, coin=coin, first=first.first, amount=source.randint(MIN_MUCH, MAX_MUCH)) for one in deals
    )
    if source.random() >= IN_TURN_SHARE:
        return crowd
    # While the first lock of somebody is on its way, or stands, and the provider's is not there yet.
    return tuple(replace(one, start_s=at * source.uniform(*IN_TURN_S)) for at, one in enumerate(crowd))


def _of_a_short_purse(source: random.Random, deals: tuple[Deal, ...], plan: Plan) -> tuple[Deal, ...]:
    """The same deals, or some that a short purse has to lock for all at once, on a chain with fees: each of them needs
    gas for an exit, too."""
    if source.random() >= PRESSED_SHARE:
        return deals
    second = source.choice(sorted(plan.fees))
    first = next(chain for chain in CHAINS if chain != second)
    model = replace(plain(deals[0]), style=Style.HONEST, first=first, coin=False, start_s=0.0)
    return tuple(replace(model, number=at, amount=source.randint(*PRESSED)) for at in range(PRESSED_COUNT))


def _held(source: random.Random, deals: tuple[Deal, ...], plan: Plan) -> tuple[Deal, ...]:
    """The same deals, or of the first two only one can be answered at a time: a cheat proves that they could pay for
    nearly all there is, and never locks; or proves nothing, locks before the other, and vanishes; or the other comes,
    alone, while that lock is in a block, and not final."""
    if source.random() >= HELD_SHARE:
        return deals
    first, second = map(plain, deals[:2])
    chain = A if plan.ledger else first.first  # what the ledger's blocks hold is final at once
    style, amount, start_s = source.choice(((Style.NEVER_LOCKS, MIN_MUCH, 1.0), (Style.VANISHES, MAX_MUCH, 0.3)))
    blocks = source.uniform(*SEEN_BLOCKS) + (ALLOWED_BLOCKS if chain in plan.allowances else 0)
    if source.random() < SEEN_SHARE:
        first = replace(first, style=Style.VANISHES, amount=HELD_AMOUNT, start_s=0.0, coin=False, first=chain)
        seen_s = blocks * plan.block_time_s[chain]
        return first, replace(first, number=second.number, style=Style.HONEST, amount=MAX_MUCH, start_s=seen_s)
    first = replace(first, style=style, amount=HELD_AMOUNT, start_s=0.0)
    return (first, replace(second, style=Style.HONEST, amount=amount, start_s=start_s), *deals[2:])


def _beyond_limits(source: random.Random, deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The same deals, or three at once that are more than a limit lets be: of one initiator, whom openings count; or of
    three who prove nothing, whom only their locks count."""
    if len(deals) < BEYOND_COUNT or source.random() >= BEYOND_SHARE:
        return deals
    style, amount = source.choice(BEYOND)
    those = tuple(
        replace(plain(one), first=deals[0].first, coin=deals[0].coin, style=style, amount=amount, start_s=number / 10)
        for number, one in enumerate(deals[:BEYOND_COUNT])
    )
    return (*those, *deals[BEYOND_COUNT:])
