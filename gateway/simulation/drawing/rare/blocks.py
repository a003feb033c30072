"""Rare things about blocks: what they leave lying, take late, or lose."""

import random
from dataclasses import replace
from typing import Final

from gateway.simulation.drawing.deals import LITTLE
from gateway.simulation.drawing.operators import DEAR_BLOCKS
from gateway.simulation.drawing.parties import FEW_OPERATORS
from gateway.simulation.drawing.rare.parts import LATER_S, SLOWER, STOPPED_S, first_deal, with_fees
from gateway.simulation.drawing.small import MAX_FEW
from gateway.simulation.plan import CHAINS, MAX_BLOCK_TIME_S, Act, Aim, Plan, Rough, Spike, Stranger, Style, Trouble

WRONG_S: Final = (13.5, 15.0)
"""When a provider's clock goes wrong whose lock waits for a block."""
REPLACED_S: Final = (17.0, 18.5)
"""When finalized blocks are replaced, behind the initiator's lock: there is time left to bid for the provider's."""
WRONG_BY_S: Final = (30, 50)
STARVED_S: Final = 50.0
DEARER_S: Final = (41.5, 43.0)
"""When blocks ask for more than that lock offers: its gate has closed by then, if not by the provider's clock."""
EXPIRING_S: Final = (40.0, 60.0)
"""How long a refund waits whose forms last half a minute."""
READ_S: Final = 4.0
"""How old a block is that everybody has read, and that is not final yet."""
REFUSED: Final = 0.2
LAPSES_S: Final = 60.0
"""Longer than a form of a lock lasts, and than its gate is open."""
CLAIMED_S: Final = (28.0, 31.0)
"""When somebody comes for whom the provider has to claim, as that lock has just expired for good, and it does not know
that yet."""
TAKEN_AT_S: Final = (15.5, 16.5)
"""When somebody else uses the provider's keys, whose lock waits for a block: it takes the lock's sequence."""
STALLED_AT_S: Final = (14.0, 15.0)
CLIMBS_S: Final = (6.0, 6.6)
"""When blocks begin to be full: the provider's lock offers enough yet, and a claim may not do so at first."""
CLIMBS_BLOCKS, STAYS_BLOCKS = 10, 60
CEILINGS: Final = (2_000, 2_200)
"""Twice what blocks ask for at first, and two thirds of what they ask for then."""


def waits_for_a_block(source: random.Random, plan: Plan) -> Plan:
    """One swap, in which the provider's lock waits for a block, on a chain with fees."""
    plan, chain = with_fees(source, plan)
    return replace(plan, deals=(first_deal(source, plan, chain),), aims=(Aim(Trouble.STARVED, Act.FUND, 1, STARVED_S),))


def falls_behind(source: random.Random, plan: Plan) -> Plan:
    """The provider's clock falls behind while its lock waits for a block, and has to be outbid if it is to go on."""
    plan = waits_for_a_block(source, plan)
    return replace(
        plan,
        rough=frozenset({Rough.CLOCK_WRONG}),
        at_s={Rough.CLOCK_WRONG: source.uniform(*WRONG_S)},
        clock_of=plan.relayers[0].name,
        clock_off_s=-source.randint(*WRONG_BY_S),
        spikes=(Spike(plan.deals[0].second, source.uniform(*DEARER_S), DEAR_BLOCKS),),
    )


def is_undone(source: random.Random, plan: Plan) -> Plan:
    """A finalized block of the initiator's chain is replaced, behind their lock, while the provider's waits for one."""
    plan, at_s = waits_for_a_block(source, plan), {Rough.DEEP_REORG: source.uniform(*REPLACED_S)}
    first = plan.deals[0].first
    return replace(plan, rough=frozenset(at_s), at_s=at_s, replaced=first, timing={**plan.timing, first: SLOWER})


def takes_back(source: random.Random, plan: Plan) -> Plan:
    """The provider takes two locks back. The first time, the block that does so goes when everybody has read it; the
    second time, it waits for longer than a form lasts. Strangers have both swaps watched, and many that do not
    exist."""
    first = replace(first_deal(source, plan, source.choice(CHAINS)), style=Style.VANISHES)
    return replace(
        plan,
        deals=(first, replace(first, number=1, start_s=source.uniform(*LATER_S))),
        fees=frozenset(),
        expiries=frozenset(CHAINS),
        block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S),
        strangers=frozenset({Stranger.BOGUS_WATCHES}),
        aims=(
            Aim(Trouble.REORGED, Act.REFUND, 1, READ_S),
            Aim(Trouble.STARVED, Act.REFUND, 2, source.uniform(*EXPIRING_S)),
        ),
    )


def lets_a_lock_expire(source: random.Random, plan: Plan) -> Plan:
    """The provider's lock waits until no block can hold it any more; what it sends next on that chain is a claim.
    The initiator's only endpoint refuses locks that it takes."""
    first = first_deal(source, plan, source.choice(CHAINS))
    later = replace(first, number=1, first=first.second, start_s=source.uniform(*CLAIMED_S))
    return replace(
        plan,
        deals=(first, later),
        dapps=(replace(plan.dapps[0], moody=REFUSED),),
        fees=frozenset(),
        expiries=frozenset(CHAINS),
        block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S),
        aims=(Aim(Trouble.STARVED, Act.FUND, 1, LAPSES_S),),
    )


def is_overtaken(source: random.Random, plan: Plan) -> Plan:
    """While the provider's lock waits for a block, nothing becomes final any more, and somebody else uses its keys:
    what takes the lock's sequence may go again."""
    plan = waits_for_a_block(source, plan)
    at_s = {Rough.FINALITY_STALLS: source.uniform(*STALLED_AT_S), Rough.USED_ELSEWHERE: source.uniform(*TAKEN_AT_S)}
    provider = replace(plan.relayers[0], operators=FEW_OPERATORS)
    return replace(plan, rough=frozenset(at_s), at_s=at_s, stalled=plan.deals[0].second, relayers=(provider,))


def go_alone(source: random.Random, plan: Plan) -> Plan:
    """The provider takes several locks back at one moment, and its endpoints take no transaction of several."""
    first = replace(first_deal(source, plan, source.choice(CHAINS)), style=Style.VANISHES)
    deals = tuple(replace(first, number=number) for number in range(MAX_FEW))
    picky = replace(plan.relayers[0], picky=True)
    return replace(plan, deals=deals, relayers=(picky,), batches=frozenset(CHAINS))


def become_dear(source: random.Random, plan: Plan) -> Plan:
    """Behind the provider's lock blocks become dearer than anybody may pay, but for an exit whose timelock comes."""
    plan, chain = with_fees(source, plan)
    dear = Spike(chain, source.uniform(*CLIMBS_S), CLIMBS_BLOCKS, STAYS_BLOCKS)
    ceiling = source.randint(*CEILINGS)
    return replace(plan, deals=(first_deal(source, plan, chain),), spikes=(dear,), ceiling=ceiling)


def claims_again(source: random.Random, plan: Plan) -> Plan:
    """The block with the initiator's reveal goes when everybody has read it, and its token does not move as the claim
    comes again: it fails, and the preimage is public."""
    first = replace(first_deal(source, plan, source.choice(CHAINS)), coin=False, amount=source.randint(*LITTLE))
    return replace(plan, deals=(first,), aims=(Aim(Trouble.UNDONE, Act.CLAIM, 1, STOPPED_S),))
