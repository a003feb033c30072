"""Rare things about what a provider has: gas, inventory, an account, an allowance."""

import random
from dataclasses import replace
from typing import Final

from gateway.simulation.drawing.deals import LITTLE, newcomer
from gateway.simulation.drawing.operators import BEHIND_S, DEAR_BLOCKS, FILLED_S
from gateway.simulation.drawing.rare.parts import SLOWER, first_deal, with_a_liar, with_fees
from gateway.simulation.plan import CHAINS, MAX_BLOCK_TIME_S, TIMING, Act, Aim, Lie, Plan, Rough, Spike, Style, Trouble
from gateway.simulation.plan_operators import Rotation, Topped

DEAR_S: Final = (6.8, 7.5)
"""When blocks begin to be full: after the first swap was agreed on."""
QUICK_S: Final = 0.7
"""How often there are blocks that become dear, while the initiator's lock waits for one."""
LOCK_WAITS_S: Final = 5.0
"""For as long as that: what exits cost is known for some seconds."""
ENOUGH_FOR_ONE: Final = (900_000, 1_000_000)
"""Gas for one swap, while blocks are cheap."""
NOT_YET_LOW: Final = (950_000, 1_100_000)
"""A little more than that below which a purse is filled by itself."""
ROTATED_S: Final = (6.5, 7.5)
"""When the first swap is agreed on, and the provider has not locked."""
USED_S: Final = (1.0, 3.0)
"""When somebody else uses the provider's keys: before anybody wants anything of it that needs a lock."""
DEAR_SOON_S, STAYS_DEAR, CROWD_COMES_S = (1.0, 2.0), 90, 20.0
"""When blocks begin to become dear, for how many they stay so, and when people come."""
USED_LATE_S: Final = (13.0, 14.0)
"""When somebody does while a claim of the provider's, the second one of the story, waits for a block for that long."""
PROVIDERS_CLAIM, CLAIM_WAITS_S = 2, 8.0
AFTER_USE_S: Final = (26.0, 30.0)
MOST, MORE, SOME_MORE = 78_000, 60_000, (35_000, 60_000)
"""Amounts, in base units of what initiators give: most of what a narrow provider holds, and more than is left then."""
ASKED_S: Final = 8.0
"""When somebody comes who locks most of it, and others behind that, one after the other: while the lock is on its way,
while it stands in a block, and while the provider's own is on its way."""
ASKED_AFTER_S: Final = 1.2
ASKING: Final = 6
SEEN_S: Final = (3.0, 4.5)
"""When a block has the lock of a cheat who came at once and proved nothing, and it is not final yet."""
QUICKER_S, SLOWLY_S = 0.4, 5.25
"""How often there are blocks where somebody locks whom the provider should answer, and where its allowance waits."""
ALLOWS_S, WANTED_S, PAUSES_S = 7.0, 3.2, (10.58, 10.7)
"""When the provider begins again with an account that has allowed nothing, when somebody comes who locks behind that,
and when a token stops: what the provider checked holds no more once its allowance is final."""
SETTLED_S: Final = (32.0, 36.0)
"""When somebody comes once the operator has looked into it."""
CROWD: Final = 5
SOON_S: Final = 0.3
ENOUGH_FOR_TWO: Final = (900_000, 1_100_000)
"""Gas for the claims of two swaps."""


def waits_for_gas(source: random.Random, plan: Plan) -> Plan:
    """One swap, which is agreed on right before blocks of the provider's chain become dear, and waits for gas then; its
    operator sends some, and somebody comes afterwards."""
    chain = source.choice(CHAINS)
    first, filled_s = first_deal(source, plan, chain), source.uniform(*FILLED_S)
    comes = newcomer(plan, first, source.randint(*LITTLE), filled_s + source.uniform(*BEHIND_S))
    return replace(
        plan,
        rough=frozenset({Rough.SHORT_PURSE}),
        deals=(first, comes),
        fees=frozenset(CHAINS),
        expiries=frozenset(),
        block_time_s={chain: QUICK_S, first.first: TIMING.block_time_s},
        spikes=(Spike(chain, source.uniform(*DEAR_S), DEAR_BLOCKS),),
        aims=(Aim(Trouble.STARVED, Act.LOCK, 1, LOCK_WAITS_S),),
        timing={**plan.timing, first.first: SLOWER},
        purse=source.randint(*ENOUGH_FOR_ONE),
        topped=Topped(by_itself=False, at_s=filled_s),
    )


def gets_gas_by_itself(source: random.Random, plan: Plan) -> Plan:
    """The provider's purse is filled by itself, while blocks are dear."""
    plan, chain = with_fees(source, plan)
    first, comes_s = first_deal(source, plan, chain), source.uniform(*FILLED_S)
    comes = newcomer(plan, first, source.randint(*LITTLE), comes_s)
    return replace(
        plan,
        rough=frozenset({Rough.SHORT_PURSE}),
        deals=(first, *plan.deals[1:], comes),
        spikes=(Spike(chain, source.uniform(*DEAR_S), DEAR_BLOCKS),),
        purse=source.randint(*NOT_YET_LOW),
        topped=Topped(by_itself=True, at_s=comes_s),
    )


def changes_its_account(source: random.Random, plan: Plan) -> Plan:
    """The provider begins again with another account, while a swap is agreed on, and not locked; somebody comes after
    that."""
    chain = source.choice(CHAINS)
    first, rotation = first_deal(source, plan, chain), Rotation(chain, source.uniform(*ROTATED_S))
    comes = newcomer(plan, first, source.randint(*LITTLE), rotation.at_s + source.uniform(*BEHIND_S))
    return replace(plan, deals=(first, *plan.deals[1:], comes), rotation=rotation)


def has_less_than_is_wanted(source: random.Random, plan: Plan) -> Plan:
    """Somebody locks most of what the provider holds on one chain, and others want it, too, before that one is paid. On
    the other chain a cheat who proved nothing has locked as much, and somebody comes before that lock is final. One of
    the provider's three endpoints makes a thousand times as much of everything."""
    model = replace(first_deal(source, plan, source.choice(CHAINS)), coin=False, amount=MOST)
    locks = replace(model, style=Style.LAST_SECOND, start_s=ASKED_S)
    others = (
        replace(model, number=number, amount=source.randint(*SOME_MORE), start_s=ASKED_S + number * ASKED_AFTER_S)
        for number in range(1, ASKING)
    )
    cheat = replace(model, number=ASKING, first=model.second, style=Style.VANISHES)
    comes = replace(cheat, number=ASKING + 1, style=Style.HONEST, amount=MORE, start_s=source.uniform(*SEEN_S))
    return replace(
        plan,
        narrow=True,
        deals=(locks, *others, cheat, comes),
        relayers=with_a_liar(plan, Lie.RICH).relayers,
        block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S),
    )


def waits_for_its_allowance(source: random.Random, plan: Plan) -> Plan:
    """The provider begins again with an account whose allowance is not final as it could lock, and the token
    that it is to be paid in stops meanwhile."""
    second = source.choice(CHAINS)
    first = replace(first_deal(source, plan, second), style=Style.LAST_SECOND, coin=False, start_s=WANTED_S)
    return replace(
        plan,
        rough=frozenset({Rough.TOKEN_PAUSES}),
        at_s={Rough.TOKEN_PAUSES: source.uniform(*PAUSES_S)},
        paused=first.first,
        deals=(first,),
        allowances=frozenset({second}),
        rotation=Rotation(second, ALLOWS_S),
        block_time_s={first.first: QUICKER_S, second: SLOWLY_S},
        timing={**plan.timing, second: SLOWER},
    )


def all_at_once(source: random.Random, plan: Plan) -> Plan:
    """The provider has gas for the exits of two swaps, and more people come at one moment; only exits cost it
    anything."""
    paid_on = source.choice(CHAINS)
    model = first_deal(source, plan, next(chain for chain in CHAINS if chain != paid_on))
    return replace(
        plan,
        rough=frozenset({Rough.SHORT_PURSE}),
        deals=tuple(replace(model, number=number, start_s=number * SOON_S) for number in range(CROWD)),
        fees=frozenset({paid_on}),
        expiries=frozenset(CHAINS) - {paid_on},
        purse=source.randint(*ENOUGH_FOR_TWO),
    )


def costs_more_than_before(source: random.Random, plan: Plan) -> Plan:
    """The provider has gas for the exits of two swaps, as long as blocks are cheap. They become dear, and stay so,
    before anybody comes; only exits cost it anything."""
    plan = all_at_once(source, plan)
    [paid_on] = plan.fees
    later = tuple(replace(deal, start_s=deal.start_s + CROWD_COMES_S) for deal in plan.deals)
    dear = Spike(paid_on, source.uniform(*DEAR_SOON_S), DEAR_BLOCKS, STAYS_DEAR)
    return replace(plan, deals=later, spikes=(dear,))


def is_used_elsewhere(source: random.Random, plan: Plan) -> Plan:
    """Somebody else uses the provider's keys, and nobody has looked into that when others come."""
    model = first_deal(source, plan, source.choice(CHAINS))
    deals = (model, replace(model, number=1, start_s=source.uniform(*AFTER_USE_S)))
    used = {Rough.USED_ELSEWHERE: source.uniform(*USED_S)}
    return replace(plan, rough=frozenset(used), at_s=used, deals=deals)


def is_used_meanwhile(source: random.Random, plan: Plan) -> Plan:
    """Somebody else uses the provider's keys while its claim waits for a block, and takes that claim's sequence."""
    used = {Rough.USED_ELSEWHERE: source.uniform(*USED_LATE_S)}
    return replace(
        plan,
        rough=frozenset(used),
        at_s=used,
        deals=(first_deal(source, plan, source.choice(CHAINS)),),
        fees=frozenset(),
        expiries=frozenset(CHAINS),
        aims=(Aim(Trouble.STARVED, Act.CLAIM, PROVIDERS_CLAIM, CLAIM_WAITS_S),),
    )


def is_looked_into(source: random.Random, plan: Plan) -> Plan:
    """Somebody else uses the provider's keys, its operator looks into that, and somebody comes afterwards."""
    first = replace(first_deal(source, plan, source.choice(CHAINS)), start_s=source.uniform(*SETTLED_S))
    used = {Rough.USED_ELSEWHERE: source.uniform(*USED_S)}
    return replace(plan, rough=frozenset(used), at_s=used, deals=(first,), looked_into=True)
