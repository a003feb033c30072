"""Rare things about endpoints: what they do not know, do not say, or say otherwise than it is."""

import random
from dataclasses import replace
from typing import Final

from adapters.memory import FaultRates
from gateway.simulation.drawing.deals import LITTLE
from gateway.simulation.drawing.parties import FEW_OPERATORS
from gateway.simulation.drawing.rare.parts import LATER_S, first_deal, with_a_liar, with_fees
from gateway.simulation.drawing.small import MAX_FEW
from gateway.simulation.plan import CHAINS, MAX_BLOCK_TIME_S, Act, Aim, Branching, Lie, Plan, Style, Trouble, Twist

ALLOWED_BY_S: Final = (2.0, 5.0)
"""When somebody comes whose wallet has let the token go, and whose endpoint has not heard of it."""
FORGOTTEN: Final = (Act.LOCK, Act.FUND, Act.CLAIM)
"""Of these the first one each is forgotten by every node."""
FAILING: Final = 0.04
"""The share of questions that an endpoint does not answer: now and then two of three are left."""
APART_LOCKS_S: Final = 8.0
LAGS_S: Final = 0.4
UNDONE_BEFORE_S: Final = 7.0
"""How long before T_B a cheat claims whose claim does not stay."""
MOSTLY: Final = 0.65
"""The share of answers that comes from a node which is a block behind."""
SILENT_S: Final = 100.0
"""Longer than the provider's lock stands."""


def asks_the_past(source: random.Random, plan: Plan) -> Plan:
    """Of three endpoints the one that is asked first speaks of the past, while tokens want allowances: blocks are slow,
    and it has not heard of them."""
    deals = tuple(
        replace(
            one, style=Style.HONEST, coin=False, amount=source.randint(*LITTLE), start_s=source.uniform(*ALLOWED_BY_S)
        )
        for one in plan.deals
    )
    slow_s = dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S)
    lied_to = with_a_liar(plan, Lie.FROM_THE_PAST)
    return replace(lied_to, deals=deals, allowances=frozenset(CHAINS), block_time_s=slow_s)


def hears_two_voices(source: random.Random, plan: Plan) -> Plan:
    """Of three operators the one that is asked first has two endpoints, which say the same lies."""
    first = first_deal(source, plan, source.choice(CHAINS))
    return replace(with_a_liar(plan, Lie.HEADS_AND_LOCKS), deals=(first, *plan.deals[1:]))


def hears_of_a_branch(source: random.Random, plan: Plan) -> Plan:
    """Of three endpoints the one that is asked first has a chain of its own, in which every lock is given back."""
    lied_to = with_a_liar(plan, Lie.BRANCH)
    branching = Branching(0.0, Twist.GIVEN_BACK, 0.0)
    relayer, dapp = (replace(one, branching=branching) for one in (lied_to.relayers[0], lied_to.dapps[0]))
    first = first_deal(source, plan, source.choice(CHAINS))
    return replace(lied_to, deals=(first, *plan.deals[1:]), relayers=(relayer,), dapps=(dapp,))


def hears_of_nothing(source: random.Random, plan: Plan) -> Plan:
    """Of three endpoints the one that is asked first has heard of no transaction."""
    first = first_deal(source, plan, source.choice(CHAINS))
    return replace(with_a_liar(plan, Lie.DROPPED), deals=(first, *plan.deals[1:]))


def hears_refusals(source: random.Random, plan: Plan) -> Plan:
    """Of three endpoints the one that is asked first refuses every transaction, and says so before it is sent, too."""
    first = first_deal(source, plan, source.choice(CHAINS))
    return replace(with_a_liar(plan, Lie.REFUSES), deals=(first, *plan.deals[1:]))


def is_forgotten(source: random.Random, plan: Plan) -> Plan:
    """Nodes forget both locks and the claim of the first swap, where nothing is outbid. Of the provider's three
    endpoints the first says that everything is in a block; of the initiator's that everything waits."""
    first, provider = first_deal(source, plan, source.choice(CHAINS)), with_a_liar(plan, Lie.INCLUDED).relayers
    return replace(
        with_a_liar(plan, Lie.PENDING),
        deals=(first, replace(first, number=1, start_s=source.uniform(*LATER_S))),
        relayers=provider,
        fees=frozenset(),
        expiries=frozenset(CHAINS),
        aims=tuple(Aim(Trouble.EVICTED, act, 1, 0.0) for act in FORGOTTEN),
    )


def hears_large_numbers(source: random.Random, plan: Plan) -> Plan:
    """Of the initiator's three endpoints the first counts far more transactions than there are, and the others do not
    always answer; the first of the provider's makes everything a thousand times as dear."""
    plan, chain = with_fees(source, plan)
    [initiator] = with_a_liar(plan, Lie.HIGH_SEQUENCE).dapps
    return replace(
        with_a_liar(plan, Lie.HIGH_FEE),
        deals=(first_deal(source, plan, chain), *plan.deals[1:]),
        dapps=(replace(initiator, rates=FaultRates(error=FAILING)),),
    )


def hears_late(source: random.Random, plan: Plan) -> Plan:
    """Endpoints know of a transaction a little late, and cannot always be asked for one that waits; nodes forget every
    lock. Of two cheats who claim in the last second one locks twice, and the other's claim does not stay."""
    first = first_deal(source, plan, source.choice(CHAINS))
    honest = (replace(first, number=number, start_s=number * APART_LOCKS_S) for number in range(MAX_FEW))
    cheat = replace(first, number=MAX_FEW, style=Style.LAST_SECOND, before_timelock_s=UNDONE_BEFORE_S)
    relayer, dapp = (replace(one, lags_s=LAGS_S) for one in (plan.relayers[0], plan.dapps[0]))
    return replace(
        plan,
        deals=(*honest, replace(cheat, twice=True), replace(cheat, number=MAX_FEW + 1, undone=True)),
        relayers=(relayer,),
        dapps=(dapp,),
        fees=frozenset(),
        expiries=frozenset(CHAINS),
        block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S),
        aims=tuple(Aim(Trouble.EVICTED, Act.LOCK, number, 0.0) for number in range(1, 2 * MAX_FEW + 1)),
    )


def hears_of_the_block_before(source: random.Random, plan: Plan) -> Plan:
    """Most of the provider's three endpoints are a block behind most of the time."""
    first = first_deal(source, plan, source.choice(CHAINS))
    deals = (first, *(replace(first, number=number, start_s=number * APART_LOCKS_S) for number in range(1, MAX_FEW)))
    return replace(
        plan,
        deals=deals,
        relayers=(replace(plan.relayers[0], operators=FEW_OPERATORS, behind=MOSTLY),),
    )


def hears_one_voice(source: random.Random, plan: Plan) -> Plan:
    """Once the provider has locked, only one of its three endpoints answers, which is less than a quorum. It has a
    claim to send, and later a refund."""
    plan, paid_on = with_fees(source, plan)
    provider = replace(plan.relayers[0], operators=FEW_OPERATORS, silent_s=SILENT_S)
    first = first_deal(source, plan, next(chain for chain in CHAINS if chain != paid_on))
    return replace(plan, deals=(first, replace(first, number=1, style=Style.VANISHES)), relayers=(provider,))
