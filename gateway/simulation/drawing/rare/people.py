"""Rare things about parties: powers that fail, clocks, signatures that take long, words that come late."""

import random
from dataclasses import replace
from typing import Final

from adapters.memory import FaultRates
from gateway.simulation.drawing import signatures
from gateway.simulation.drawing.deals import LITTLE, newcomer
from gateway.simulation.drawing.operators import IN_TIME_S
from gateway.simulation.drawing.parties import FEW_OPERATORS
from gateway.simulation.drawing.rare.parts import (
    LATER_S,
    SLOWER,
    STOPPED_S,
    calm_party,
    first_deal,
    with_a_liar,
    with_fees,
)
from gateway.simulation.drawing.small import MAX_FEW
from gateway.simulation.plan import (
    CHAINS,
    MAX_BLOCK_TIME_S,
    Act,
    Aim,
    Death,
    Doubt,
    Lie,
    Meanwhile,
    Plan,
    Rough,
    Signing,
    Style,
    Trouble,
)
from gateway.simulation.plan_operators import Purpose, Withdrawing

AWAY_S, SLOWLY_S = 76.0, (0.1, 0.2)
"""How long an initiator is away whose provider takes its lock back meanwhile, and how long its endpoint takes then."""
BACK_S: Final = (1.0, 5.0)
"""How long an initiator is away that has locked, or a tower."""
TAKEN_S: Final = 2.5
"""How long behind the agreement its provider's operator withdraws: the initiator has locked, the provider has not."""
LOCKS_BEFORE: Final = 2
IN_VAIN_S: Final = 25.0
"""How long its next lock waits, behind those of the first swap: far longer than it is of use."""
EACH_BEND: Final = 5
APART_S: Final = 2.0
SIGNS_S: Final = 8.0
SIGNS_TOO_LONG_S: Final = 12.0
"""Longer than several exits wait to go together."""
WITHDRAWS_S: Final = (7.5, 10.0)
"""When an initiator withdraws whose reveal takes so long to be signed, in seconds from the agreement."""
WITHDRAWS_SOON_S: Final = (1.0, 2.0)
"""When another one does, whose lock is on its way."""
BOTH_S: Final = (60.0, 64.0)
AT_ONCE_S: Final = (0.0, 1.0)
COPIED_S: Final = (1.5, 2.5)
"""When a provider's database was copied that has then locked for swaps which the copy knows."""
GATE_CLOSES_S: Final = (23.0, 25.0)
"""How long the second of these locks waits: behind the gate that the copy holds it against."""
HALF_DONE: Final = 2
"""The write of an effect at which a provider's power fails: that it has looked at the initiator's lock."""
AHEAD_S: Final = 17
"""How far ahead a party's clock goes: beyond the bound of a chain that is believed to be quick, and within that of one
that is believed to be slow."""
AHEAD_AT_S: Final = {"relayer": (6.5, 7.5), "dapp": (11.0, 12.0)}
"""When it does: behind the agreement, and before that party locks, or reveals."""
BEHIND: Final = 0.7
"""The share of answers that come from nodes a block behind."""
A_BLOCK_S: Final = (0.5, 2.0)
"""How long a lock waits meanwhile, beyond its block."""
EVEN_S: Final = 1.5
"""How often there are blocks meanwhile: neither acts at once."""


def comes_back(source: random.Random, plan: Plan) -> Plan:
    """The initiator's power fails right after its lock has left, and it has to reveal when it is back; the provider's
    operator takes out what is free meanwhile. The initiator's next lock waits for a block until its time is over."""
    plan, chain = with_fees(source, plan)
    first, death = replace(first_deal(source, plan, chain), coin=False), Death(source.uniform(*BACK_S), sending="lock")
    later = newcomer(plan, first, source.randint(*LITTLE), source.uniform(*LATER_S))
    taken = Withdrawing(0, Purpose.ALL, chain, coin=False, percent=100, at_s=TAKEN_S, after=1, within_s=IN_TIME_S)
    return replace(
        plan,
        deals=(first, replace(later, first=chain)),
        dapps=(replace(plan.dapps[0], deaths=(death,)),),
        withdrawals=(taken,),
        block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S),
        aims=(Aim(Trouble.STARVED, Act.LOCK, LOCKS_BEFORE + 1, IN_VAIN_S),),
    )


def fails_to_watch(source: random.Random, plan: Plan) -> Plan:
    """A tower's power fails as it writes down what it is asked to watch."""
    watched = replace(first_deal(source, plan, source.choice(CHAINS)), watched=True)
    fails = Death(source.uniform(*BACK_S), commit="agreement", count=1, after=source.random() < 0.5)
    return replace(plan, deals=(watched, *plan.deals[1:]), tower=replace(calm_party("tower"), deaths=(fails,)))


def funds_again(source: random.Random, plan: Plan) -> Plan:
    return signatures.funded_again(source, plan, first_deal(source, plan, source.choice(CHAINS)))


def reveals(source: random.Random, plan: Plan) -> Plan:
    return signatures.revealed(source, plan, first_deal(source, plan, source.choice(CHAINS)))


def signs_alone(source: random.Random, plan: Plan) -> Plan:
    """The provider takes several locks back at one moment, and its signer takes so long over the transaction of all of
    them that nobody waits for it: each goes alone."""
    first = replace(first_deal(source, plan, source.choice(CHAINS)), style=Style.VANISHES)
    deals = tuple(replace(first, number=number) for number in range(MAX_FEW))
    signing = Signing(plan.relayers[0].name, Act.REFUND, 1, SIGNS_TOO_LONG_S, Meanwhile.WORD)
    return replace(plan, deals=deals, batches=frozenset(CHAINS), signing=signing)


def withdraws(source: random.Random, plan: Plan) -> Plan:
    """The initiator withdraws while its reveal is being signed, and in the next swap before the other lock is there.
    Two others come at one moment after that."""
    first = replace(
        first_deal(source, plan, source.choice(CHAINS)), doubt=Doubt.CANCEL, doubt_s=source.uniform(*WITHDRAWS_S)
    )
    later = replace(first, number=1, start_s=source.uniform(*LATER_S), doubt_s=source.uniform(*WITHDRAWS_SOON_S))
    signing = Signing(plan.dapps[0].name, Act.CLAIM, 1, SIGNS_S, Meanwhile.WORD)
    both = replace(first, doubt=None, doubt_s=0.0, start_s=source.uniform(*BOTH_S))
    return replace(plan, deals=(first, later, *(replace(both, number=at) for at in (2, 3))), signing=signing)


def bends(source: random.Random, plan: Plan) -> Plan:
    """The relayer bends every answer, each in another way."""
    model = first_deal(source, plan, source.choice(CHAINS))
    deals = (replace(model, number=number, start_s=number * APART_S) for number in range(EACH_BEND))
    return replace(plan, deals=tuple(deals), bending=True)


def watches_alone(source: random.Random, plan: Plan) -> Plan:
    """The provider is gone for good. For its sake the tower takes one lock back, and claims for another swap, whose
    token does not move at first."""
    second = source.choice(CHAINS)
    lapses = replace(first_deal(source, plan, second), style=Style.VANISHES, watched=True)
    completes = replace(lapses, number=1, style=Style.HONEST, coin=False, amount=source.randint(*LITTLE))
    return replace(
        plan,
        rough=frozenset({Rough.PROVIDER_VANISHES}),
        at_s={Rough.PROVIDER_VANISHES: 0.0},
        deals=(lapses, completes),
        tower=calm_party("tower"),
        aims=(Aim(Trouble.PAUSED, Act.CLAIM, 2, STOPPED_S),),
    )


def fails_half_way(source: random.Random, plan: Plan) -> Plan:
    """The provider's power fails inside of the write by which it notes what it has done; the first of the initiator's
    three endpoints adds to blocks what did not happen in them."""
    death = Death(source.uniform(*AT_ONCE_S), commit="effect", count=HALF_DONE, after=False)
    first = first_deal(source, plan, source.choice(CHAINS))
    return replace(
        with_a_liar(plan, Lie.ADDS),
        deals=(first, replace(first, number=1, start_s=APART_S)),
        relayers=(replace(plan.relayers[0], deaths=(death,)),),
    )


def has_missed_a_refund(source: random.Random, plan: Plan) -> Plan:
    """The initiator is away as it was about to look at the provider's lock, until that has gone back. It looks as soon
    as it is here again, and its endpoint takes its time."""
    first = first_deal(source, plan, source.choice(CHAINS))
    away = Death(AWAY_S, commit="effect", count=HALF_DONE, after=False)
    initiator = replace(plan.dapps[0], deaths=(away,), rates=FaultRates(latency_s=SLOWLY_S))
    return replace(plan, deals=(first,), dapps=(initiator,))


def is_ahead(source: random.Random, plan: Plan) -> Plan:
    """The clock of one party goes ahead, further than one of its chains allows, and less than the other one does, while
    two swaps are under way, one in each direction."""
    party = source.choice((plan.relayers[0], plan.dapps[0]))
    slow, wrong_s = source.choice(CHAINS), AHEAD_AT_S[party.name.partition("-")[0]]
    first = first_deal(source, plan, source.choice(CHAINS))
    return replace(
        plan,
        rough=frozenset({Rough.CLOCK_WRONG}),
        at_s={Rough.CLOCK_WRONG: source.uniform(*wrong_s)},
        clock_of=party.name,
        clock_off_s=AHEAD_S,
        deals=(first, replace(first, number=1, first=first.second)),
        timing={**plan.timing, slow: SLOWER},
        skew_s=dict.fromkeys(CHAINS, 0),
        block_time_s=dict.fromkeys(CHAINS, EVEN_S),
    )


def has_locked_unknown(source: random.Random, plan: Plan) -> Plan:
    """The provider goes on with a copy of its database from right before its locks for two swaps. A block has the
    first, and the second waits for one until its gate has closed long ago. Its initiator claims it in the last
    second. The other one's power fails as they note the first."""
    first = first_deal(source, plan, source.choice(CHAINS))
    copied = {Rough.RESTORED: source.uniform(*COPIED_S)}
    return replace(
        plan,
        rough=frozenset(copied),
        at_s=copied,
        deals=(first, replace(first, number=1, style=Style.LAST_SECOND, start_s=source.uniform(*AT_ONCE_S))),
        dapps=(replace(plan.dapps[0], deaths=(Death(source.uniform(*BACK_S), commit="place"),)),),
        fees=frozenset(),
        expiries=frozenset(CHAINS),
        batches=frozenset(),
        block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S),
        aims=(Aim(Trouble.STARVED, Act.FUND, 2, source.uniform(*GATE_CLOSES_S)),),
    )


def opens_again(source: random.Random, plan: Plan) -> Plan:
    """The initiator's power fails as the preimage of its swap is stored, and again once its lock has left."""
    deaths = (
        Death(source.uniform(*BACK_S), commit="store", count=1),
        Death(source.uniform(*BACK_S), sending="lock"),
    )
    first = first_deal(source, plan, source.choice(CHAINS))
    return replace(plan, deals=(first,), dapps=(replace(plan.dapps[0], deaths=deaths),))


def begins_from_a_copy(source: random.Random, plan: Plan) -> Plan:
    """The initiator's disk is lost once its lock has left, which waits for a block for a moment; it goes on with a copy
    from before, and most of its endpoints are a block behind."""
    return replace(
        plan,
        rough=frozenset({Rough.STORE_RESTORED}),
        at_s={Rough.STORE_RESTORED: 0.0},
        deals=(first_deal(source, plan, source.choice(CHAINS)),),
        dapps=(replace(plan.dapps[0], operators=FEW_OPERATORS, behind=BEHIND),),
        block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S),
        aims=(Aim(Trouble.STARVED, Act.LOCK, 1, source.uniform(*A_BLOCK_S)),),
    )
