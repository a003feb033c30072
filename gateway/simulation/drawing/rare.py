"""Small towns about one rare thing each, and nothing else that goes wrong: what independent draws show once in a
thousand towns. Each thing comes in its turn."""

import random
from dataclasses import replace
from typing import Final

from adapters.memory import FaultRates
from core.model.types import ChainId, Seconds
from gateway.simulation.drawing import signatures
from gateway.simulation.drawing.deals import LITTLE, newcomer, plain
from gateway.simulation.drawing.operators import BEHIND_S, DEAR_BLOCKS, FILLED_S, IN_TIME_S
from gateway.simulation.drawing.parties import FEW_OPERATORS
from gateway.simulation.drawing.small import MAX_FEW
from gateway.simulation.plan import (
    BEGAN_AT_S,
    CALM_TIP,
    CHAINS,
    MAX_BLOCK_TIME_S,
    RARE_TOWNS,
    TIMING,
    A,
    Act,
    Aim,
    Branching,
    Deal,
    Death,
    Doubt,
    Lie,
    Meanwhile,
    Party,
    Plan,
    Rough,
    Signing,
    Spike,
    Stranger,
    Style,
    Trouble,
    Twist,
)
from gateway.simulation.plan_operators import Purpose, Rotation, Topped, Withdrawing

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
SLOWER: Final = replace(
    TIMING,
    inclusion_s=Seconds(TIMING.inclusion_s + 4),
    finality_s=Seconds(TIMING.finality_s + 4),
    observation_s=Seconds(TIMING.observation_s + 4),
)
"""The belief about an initiator's chain where the provider needs time to wait."""
ROTATED_S: Final = (6.5, 7.5)
"""When the first swap is agreed on, and the provider has not locked."""
BACK_S: Final = (1.0, 5.0)
"""How long an initiator is away that has locked, or a tower."""
LATER_S: Final = (22.0, 26.0)
TAKEN_S: Final = 2.5
"""How long behind the agreement its provider's operator withdraws: the initiator has locked, the provider has not."""
LOCKS_BEFORE: Final = 2
IN_VAIN_S: Final = 25.0
"""How long its next lock waits, behind those of the first swap: far longer than it is of use."""
ALLOWED_BY_S: Final = (2.0, 5.0)
"""When somebody comes whose wallet has let the token go, and whose endpoint has not heard of it."""
WRONG_S: Final = (13.5, 15.0)
"""When a provider's clock goes wrong whose lock waits for a block."""
REPLACED_S: Final = (17.0, 18.5)
"""When finalized blocks are replaced, behind the initiator's lock: there is time left to bid for the provider's."""
WRONG_BY_S: Final = (30, 50)
STARVED_S: Final = 50.0
DEARER_S: Final = (41.5, 43.0)
"""When blocks ask for more than that lock offers: its gate has closed by then, if not by the provider's clock."""
EACH_BEND: Final = 5
APART_S: Final = 2.0
USED_S: Final = (1.0, 3.0)
"""When somebody else uses the provider's keys: before anybody wants anything of it that needs a lock."""
AFTER_USE_S: Final = (26.0, 30.0)
SIGNS_S: Final = 8.0
WITHDRAWS_S: Final = (7.5, 10.0)
"""When an initiator withdraws whose reveal takes so long to be signed, in seconds from the agreement."""
WITHDRAWS_SOON_S: Final = (1.0, 2.0)
"""When another one does, whose lock is on its way."""
BOTH_S: Final = (60.0, 64.0)
STOPPED_S: Final = 6.0
"""How long a token does not move that a tower claims."""
FORGOTTEN: Final = (Act.LOCK, Act.FUND, Act.CLAIM)
"""Of these the first one each is forgotten by every node."""
FAILING: Final = 0.04
"""The share of questions that an endpoint does not answer: now and then two of three are left."""
AT_ONCE_S: Final = (0.0, 1.0)
HALF_DONE: Final = 2
"""The write of an effect at which a provider's power fails: that it has looked at the initiator's lock."""
MOST, MORE, SOME_MORE = 78_000, 60_000, (35_000, 60_000)
"""Amounts, in base units of what initiators give: most of what a narrow provider holds, and more than is left then."""
ASKED_S: Final = 8.0
"""When somebody comes who locks most of it, and others behind that, one after the other: while the lock is on its way,
while it stands in a block, and while the provider's own is on its way."""
ASKED_AFTER_S: Final = 1.2
ASKING: Final = 6
SEEN_S: Final = (3.0, 4.5)
"""When a block has the lock of a cheat who came at once and proved nothing, and it is not final yet."""
EXPIRING_S: Final = (40.0, 60.0)
"""How long a refund waits whose forms last half a minute."""
APART_LOCKS_S: Final = 8.0
LAGS_S: Final = 0.4
UNDONE_BEFORE_S: Final = 7.0
"""How long before T_B a cheat claims whose claim does not stay."""
MOSTLY: Final = 0.65
"""The share of answers that comes from a node which is a block behind."""
REFUSED: Final = 0.2
QUICKER_S, SLOWLY_S = 0.4, 5.25
"""How often there are blocks where somebody locks whom the provider should answer, and where its allowance waits."""
LAPSES_S: Final = 60.0
"""Longer than a form of a lock lasts, and than its gate is open."""
CLAIMED_S: Final = (28.0, 31.0)
"""When somebody comes for whom the provider has to claim, as that lock has just expired for good, and it does not know
that yet."""
ALLOWS_S, WANTED_S, PAUSES_S = 7.0, 3.2, (10.58, 10.7)
"""When the provider begins again with an account that has allowed nothing, when somebody comes who locks behind that,
and when a token stops: what the provider checked holds no more once its allowance is final."""
AHEAD_S: Final = 17
"""How far ahead a party's clock goes: beyond the bound of a chain that is believed to be quick, and within that of one
that is believed to be slow."""
AHEAD_AT_S: Final = {"relayer": (6.5, 7.5), "dapp": (11.0, 12.0)}
"""When it does: behind the agreement, and before that party locks, or reveals."""
EVEN_S: Final = 1.5
"""How often there are blocks meanwhile: neither acts at once."""
SILENT_S: Final = 100.0
"""Longer than the provider's lock stands."""
SETTLED_S: Final = (32.0, 36.0)
"""When somebody comes once the operator has looked into it."""
CROWD: Final = 5
SOON_S: Final = 0.3
ENOUGH_FOR_TWO: Final = (900_000, 1_100_000)
"""Gas for the claims of two swaps."""
TAKEN_AT_S: Final = (15.5, 16.5)
"""When somebody else uses the provider's keys, whose lock waits for a block: it takes the lock's sequence."""
STALLED_AT_S: Final = (14.0, 15.0)


def with_one_rare_thing(source: random.Random, plan: Plan) -> Plan:
    """In a town that is about one, another story, of two memory chains on which nothing is slow."""
    if not plan.is_rare:
        return plan
    quiet = replace(
        plan,
        deals=tuple(map(plain, plan.deals[:MAX_FEW])),
        relayers=(_steady(plan.relayers[0].name),),
        dapps=(_steady(plan.dapps[0].name),),
        tower=None,
        rough=frozenset(),
        at_s={},
        clock_of="",
        clock_off_s=0,
        used_again=False,
        attests=False,
        narrow=False,
        bending=False,
        pricing=None,
        trading=None,
        tip=CALM_TIP,
        began_at_s=BEGAN_AT_S,
        topped=None,
        leading=None,
        signing=None,
        rotation=None,
        ceiling=None,
        ledger=False,
        restarts=(),
        expiries=frozenset(CHAINS) - plan.fees,
        block_time_s=dict.fromkeys(CHAINS, TIMING.block_time_s),
        timing=dict.fromkeys(CHAINS, TIMING),
        withdrawals=(),
        strangers=frozenset(),
        allowances=frozenset(),
        reorgs=(),
        spikes=(),
        aims=(),
    )
    return THINGS[(plan.seed - RARE_TOWNS) % len(THINGS)](source, quiet)


def _steady(name: str) -> Party:
    return Party(name, 1, None, FaultRates())


def _first(source: random.Random, plan: Plan, second: ChainId) -> Deal:
    """The swap of somebody who comes at once, and is paid on this chain."""
    first = next(one for one in CHAINS if one != second)
    return replace(
        plan.deals[0], number=0, style=Style.HONEST, first=first, coin=True, start_s=0.0, amount=source.randint(*LITTLE)
    )


def _with_fees(source: random.Random, plan: Plan) -> tuple[Plan, ChainId]:
    """The same story, and one of its chains that has fees."""
    if plan.fees:
        return plan, source.choice(sorted(plan.fees))
    return replace(plan, fees=frozenset({A}), expiries=plan.expiries - {A}), A


def _waits_for_gas(source: random.Random, plan: Plan) -> Plan:
    """One swap, which is agreed on right before blocks of the provider's chain become dear, and waits for gas then; its
    operator sends some, and somebody comes afterwards."""
    chain = source.choice(CHAINS)
    first, filled_s = _first(source, plan, chain), source.uniform(*FILLED_S)
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


def _gets_gas_by_itself(source: random.Random, plan: Plan) -> Plan:
    """The provider's purse is filled by itself, while blocks are dear."""
    plan, chain = _with_fees(source, plan)
    first, comes_s = _first(source, plan, chain), source.uniform(*FILLED_S)
    comes = newcomer(plan, first, source.randint(*LITTLE), comes_s)
    return replace(
        plan,
        rough=frozenset({Rough.SHORT_PURSE}),
        deals=(first, *plan.deals[1:], comes),
        spikes=(Spike(chain, source.uniform(*DEAR_S), DEAR_BLOCKS),),
        purse=source.randint(*NOT_YET_LOW),
        topped=Topped(by_itself=True, at_s=comes_s),
    )


def _changes_its_account(source: random.Random, plan: Plan) -> Plan:
    """The provider begins again with another account, while a swap is agreed on, and not locked; somebody comes after
    that."""
    chain = source.choice(CHAINS)
    first, rotation = _first(source, plan, chain), Rotation(chain, source.uniform(*ROTATED_S))
    comes = newcomer(plan, first, source.randint(*LITTLE), rotation.at_s + source.uniform(*BEHIND_S))
    return replace(plan, deals=(first, *plan.deals[1:], comes), rotation=rotation)


def _comes_back(source: random.Random, plan: Plan) -> Plan:
    """The initiator's power fails right after its lock has left, and it has to reveal when it is back; the provider's
    operator takes out what is free meanwhile. The initiator's next lock waits for a block until its time is over."""
    plan, chain = _with_fees(source, plan)
    first, death = replace(_first(source, plan, chain), coin=False), Death(source.uniform(*BACK_S), sending="lock")
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


def _waits_for_a_block(source: random.Random, plan: Plan) -> Plan:
    """One swap, in which the provider's lock waits for a block, on a chain with fees."""
    plan, chain = _with_fees(source, plan)
    return replace(plan, deals=(_first(source, plan, chain),), aims=(Aim(Trouble.STARVED, Act.FUND, 1, STARVED_S),))


def _falls_behind(source: random.Random, plan: Plan) -> Plan:
    """The provider's clock falls behind while its lock waits for a block, and has to be outbid if it is to go on."""
    plan = _waits_for_a_block(source, plan)
    return replace(
        plan,
        rough=frozenset({Rough.CLOCK_WRONG}),
        at_s={Rough.CLOCK_WRONG: source.uniform(*WRONG_S)},
        clock_of=plan.relayers[0].name,
        clock_off_s=-source.randint(*WRONG_BY_S),
        spikes=(Spike(plan.deals[0].second, source.uniform(*DEARER_S), DEAR_BLOCKS),),
    )


def _is_undone(source: random.Random, plan: Plan) -> Plan:
    """A finalized block of the initiator's chain is replaced, behind their lock, while the provider's waits for one."""
    plan, at_s = _waits_for_a_block(source, plan), {Rough.DEEP_REORG: source.uniform(*REPLACED_S)}
    first = plan.deals[0].first
    return replace(plan, rough=frozenset(at_s), at_s=at_s, replaced=first, timing={**plan.timing, first: SLOWER})


def _asks_the_past(source: random.Random, plan: Plan) -> Plan:
    """Of three endpoints the one that is asked first speaks of the past, while tokens want allowances: blocks are slow,
    and it has not heard of them."""
    deals = tuple(
        replace(
            one, style=Style.HONEST, coin=False, amount=source.randint(*LITTLE), start_s=source.uniform(*ALLOWED_BY_S)
        )
        for one in plan.deals
    )
    slow_s = dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S)
    lied_to = _lied_to(plan, Lie.FROM_THE_PAST)
    return replace(lied_to, deals=deals, allowances=frozenset(CHAINS), block_time_s=slow_s)


def _hears_two_voices(source: random.Random, plan: Plan) -> Plan:
    """Of three operators the one that is asked first has two endpoints, which say the same lies."""
    first = _first(source, plan, source.choice(CHAINS))
    return replace(_lied_to(plan, Lie.HEADS_AND_LOCKS), deals=(first, *plan.deals[1:]))


def _hears_of_a_branch(source: random.Random, plan: Plan) -> Plan:
    """Of three endpoints the one that is asked first has a chain of its own, in which every lock is given back."""
    lied_to = _lied_to(plan, Lie.BRANCH)
    branching = Branching(0.0, Twist.GIVEN_BACK, 0.0)
    relayer, dapp = (replace(one, branching=branching) for one in (lied_to.relayers[0], lied_to.dapps[0]))
    first = _first(source, plan, source.choice(CHAINS))
    return replace(lied_to, deals=(first, *plan.deals[1:]), relayers=(relayer,), dapps=(dapp,))


def _hears_of_nothing(source: random.Random, plan: Plan) -> Plan:
    """Of three endpoints the one that is asked first has heard of no transaction."""
    first = _first(source, plan, source.choice(CHAINS))
    return replace(_lied_to(plan, Lie.DROPPED), deals=(first, *plan.deals[1:]))


def _fails_to_watch(source: random.Random, plan: Plan) -> Plan:
    """A tower's power fails as it writes down what it is asked to watch."""
    watched = replace(_first(source, plan, source.choice(CHAINS)), watched=True)
    fails = Death(source.uniform(*BACK_S), commit="agreement", count=1, after=source.random() < 0.5)
    return replace(plan, deals=(watched, *plan.deals[1:]), tower=replace(_steady("tower"), deaths=(fails,)))


def _lied_to(plan: Plan, lie: Lie) -> Plan:
    relayer, dapp = (
        replace(one, operators=FEW_OPERATORS, lie=lie, liar=0) for one in (plan.relayers[0], plan.dapps[0])
    )
    return replace(plan, relayers=(relayer,), dapps=(dapp,))


def _funds_again(source: random.Random, plan: Plan) -> Plan:
    return signatures.funded_again(source, plan, _first(source, plan, source.choice(CHAINS)))


def _reveals(source: random.Random, plan: Plan) -> Plan:
    return signatures.revealed(source, plan, _first(source, plan, source.choice(CHAINS)))


def _withdraws(source: random.Random, plan: Plan) -> Plan:
    """The initiator withdraws while its reveal is being signed, and in the next swap before the other lock is there.
    Two others come at one moment after that."""
    first = replace(
        _first(source, plan, source.choice(CHAINS)), doubt=Doubt.CANCEL, doubt_s=source.uniform(*WITHDRAWS_S)
    )
    later = replace(first, number=1, start_s=source.uniform(*LATER_S), doubt_s=source.uniform(*WITHDRAWS_SOON_S))
    signing = Signing(plan.dapps[0].name, Act.CLAIM, 1, SIGNS_S, Meanwhile.WORD)
    both = replace(first, doubt=None, doubt_s=0.0, start_s=source.uniform(*BOTH_S))
    return replace(plan, deals=(first, later, *(replace(both, number=at) for at in (2, 3))), signing=signing)


def _bends(source: random.Random, plan: Plan) -> Plan:
    """The relayer bends every answer, each in another way."""
    model = _first(source, plan, source.choice(CHAINS))
    deals = (replace(model, number=number, start_s=number * APART_S) for number in range(EACH_BEND))
    return replace(plan, deals=tuple(deals), bending=True)


def _watches_alone(source: random.Random, plan: Plan) -> Plan:
    """The provider is gone for good. For its sake the tower takes one lock back, and claims for another swap, whose
    token does not move at first."""
    second = source.choice(CHAINS)
    lapses = replace(_first(source, plan, second), style=Style.VANISHES, watched=True)
    completes = replace(lapses, number=1, style=Style.HONEST, coin=False, amount=source.randint(*LITTLE))
    return replace(
        plan,
        rough=frozenset({Rough.PROVIDER_VANISHES}),
        at_s={Rough.PROVIDER_VANISHES: 0.0},
        deals=(lapses, completes),
        tower=_steady("tower"),
        aims=(Aim(Trouble.PAUSED, Act.CLAIM, 2, STOPPED_S),),
    )


def _is_used_elsewhere(source: random.Random, plan: Plan) -> Plan:
    """Somebody else uses the provider's keys, and nobody has looked into that when others come."""
    model = _first(source, plan, source.choice(CHAINS))
    deals = (model, replace(model, number=1, start_s=source.uniform(*AFTER_USE_S)))
    used = {Rough.USED_ELSEWHERE: source.uniform(*USED_S)}
    return replace(plan, rough=frozenset(used), at_s=used, deals=deals)


def _is_forgotten(source: random.Random, plan: Plan) -> Plan:
    """Nodes forget both locks and the claim of the first swap, where nothing is outbid. Of the provider's three
    endpoints the first says that everything is in a block; of the initiator's that everything waits."""
    first, provider = _first(source, plan, source.choice(CHAINS)), _lied_to(plan, Lie.INCLUDED).relayers
    return replace(
        _lied_to(plan, Lie.PENDING),
        deals=(first, replace(first, number=1, start_s=source.uniform(*LATER_S))),
        relayers=provider,
        fees=frozenset(),
        expiries=frozenset(CHAINS),
        aims=tuple(Aim(Trouble.EVICTED, act, 1, 0.0) for act in FORGOTTEN),
    )


def _hears_large_numbers(source: random.Random, plan: Plan) -> Plan:
    """Of the initiator's three endpoints the first counts far more transactions than there are, and the others do not
    always answer; the first of the provider's makes everything a thousand times as dear."""
    plan, chain = _with_fees(source, plan)
    [initiator] = _lied_to(plan, Lie.HIGH_SEQUENCE).dapps
    return replace(
        _lied_to(plan, Lie.HIGH_FEE),
        deals=(_first(source, plan, chain), *plan.deals[1:]),
        dapps=(replace(initiator, rates=FaultRates(error=FAILING)),),
    )


def _fails_half_way(source: random.Random, plan: Plan) -> Plan:
    """The provider's power fails inside of the write by which it notes what it has done; the first of the initiator's
    three endpoints adds to blocks what did not happen in them."""
    death = Death(source.uniform(*AT_ONCE_S), commit="effect", count=HALF_DONE, after=False)
    first = _first(source, plan, source.choice(CHAINS))
    return replace(
        _lied_to(plan, Lie.ADDS),
        deals=(first, replace(first, number=1, start_s=APART_S)),
        relayers=(replace(plan.relayers[0], deaths=(death,)),),
    )


def _has_less_than_is_wanted(source: random.Random, plan: Plan) -> Plan:
    """Somebody locks most of what the provider holds on one chain, and others want it, too, before that one is paid. On
    the other chain a cheat who proved nothing has locked as much, and somebody comes before that lock is final. One of
    the provider's three endpoints makes a thousand times as much of everything."""
    model = replace(_first(source, plan, source.choice(CHAINS)), coin=False, amount=MOST)
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
        relayers=_lied_to(plan, Lie.RICH).relayers,
        block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S),
    )


def _takes_back(source: random.Random, plan: Plan) -> Plan:
    """The provider takes two locks back, and the second time it waits for longer than a form lasts. Strangers have both
    swaps watched, and many that there are not."""
    first = replace(_first(source, plan, source.choice(CHAINS)), style=Style.VANISHES)
    return replace(
        plan,
        deals=(first, replace(first, number=1, start_s=source.uniform(*LATER_S))),
        fees=frozenset(),
        expiries=frozenset(CHAINS),
        block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S),
        strangers=frozenset({Stranger.BOGUS_WATCHES}),
        aims=(Aim(Trouble.STARVED, Act.REFUND, 2, source.uniform(*EXPIRING_S)),),
    )


def _hears_late(source: random.Random, plan: Plan) -> Plan:
    """Endpoints know of a transaction a little late, and cannot always be asked for one that waits; nodes forget every
    lock. Of two cheats who claim in the last second one locks twice, and the other's claim does not stay."""
    first = _first(source, plan, source.choice(CHAINS))
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


def _hears_of_the_block_before(source: random.Random, plan: Plan) -> Plan:
    """Most of the provider's three endpoints are a block behind most of the time."""
    first = _first(source, plan, source.choice(CHAINS))
    deals = (first, *(replace(first, number=number, start_s=number * APART_LOCKS_S) for number in range(1, MAX_FEW)))
    return replace(
        plan,
        deals=deals,
        relayers=(replace(plan.relayers[0], operators=FEW_OPERATORS, behind=MOSTLY),),
    )


def _lets_a_lock_expire(source: random.Random, plan: Plan) -> Plan:
    """The provider's lock waits until no block can hold it any more; what it sends next on that chain is a claim.
    The initiator's only endpoint refuses locks that it takes."""
    first = _first(source, plan, source.choice(CHAINS))
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


def _waits_for_its_allowance(source: random.Random, plan: Plan) -> Plan:
    """The provider begins again with an account whose allowance is not final as it could lock, and the token
    that it is to be paid in stops meanwhile."""
    second = source.choice(CHAINS)
    first = replace(_first(source, plan, second), style=Style.LAST_SECOND, coin=False, start_s=WANTED_S)
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


def _is_ahead(source: random.Random, plan: Plan) -> Plan:
    """The clock of one party goes ahead, further than one of its chains allows, and less than the other one does, while
    two swaps are under way, one in each direction."""
    party = source.choice((plan.relayers[0], plan.dapps[0]))
    slow, wrong_s = source.choice(CHAINS), AHEAD_AT_S[party.name.partition("-")[0]]
    first = _first(source, plan, source.choice(CHAINS))
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


def _opens_again(source: random.Random, plan: Plan) -> Plan:
    """The initiator's power fails as the preimage of its swap is stored, and again once its lock has left."""
    deaths = (
        Death(source.uniform(*BACK_S), commit="store", count=1),
        Death(source.uniform(*BACK_S), sending="lock"),
    )
    first = _first(source, plan, source.choice(CHAINS))
    return replace(plan, deals=(first,), dapps=(replace(plan.dapps[0], deaths=deaths),))


def _hears_one_voice(source: random.Random, plan: Plan) -> Plan:
    """Once the provider has locked, only one of its three endpoints answers, which is less than a quorum. It has a
    claim to send, and later a refund."""
    plan, paid_on = _with_fees(source, plan)
    provider = replace(plan.relayers[0], operators=FEW_OPERATORS, silent_s=SILENT_S)
    first = _first(source, plan, next(chain for chain in CHAINS if chain != paid_on))
    return replace(plan, deals=(first, replace(first, number=1, style=Style.VANISHES)), relayers=(provider,))


def _is_overtaken(source: random.Random, plan: Plan) -> Plan:
    """While the provider's lock waits for a block, nothing becomes final any more, and somebody else uses its keys:
    what takes the lock's sequence may go again."""
    plan = _waits_for_a_block(source, plan)
    at_s = {Rough.FINALITY_STALLS: source.uniform(*STALLED_AT_S), Rough.USED_ELSEWHERE: source.uniform(*TAKEN_AT_S)}
    provider = replace(plan.relayers[0], operators=FEW_OPERATORS)
    return replace(plan, rough=frozenset(at_s), at_s=at_s, stalled=plan.deals[0].second, relayers=(provider,))


def _is_looked_into(source: random.Random, plan: Plan) -> Plan:
    """Somebody else uses the provider's keys, its operator looks into that, and somebody comes afterwards."""
    first = replace(_first(source, plan, source.choice(CHAINS)), start_s=source.uniform(*SETTLED_S))
    used = {Rough.USED_ELSEWHERE: source.uniform(*USED_S)}
    return replace(plan, rough=frozenset(used), at_s=used, deals=(first,), looked_into=True)


def _all_at_once(source: random.Random, plan: Plan) -> Plan:
    """The provider has gas for the exits of two swaps, and more people come at one moment; only exits cost it
    anything."""
    paid_on = source.choice(CHAINS)
    model = _first(source, plan, next(chain for chain in CHAINS if chain != paid_on))
    return replace(
        plan,
        rough=frozenset({Rough.SHORT_PURSE}),
        deals=tuple(replace(model, number=number, start_s=number * SOON_S) for number in range(CROWD)),
        fees=frozenset({paid_on}),
        expiries=frozenset(CHAINS) - {paid_on},
        purse=source.randint(*ENOUGH_FOR_TWO),
    )


def _go_alone(source: random.Random, plan: Plan) -> Plan:
    """The provider takes several locks back at one moment, and its endpoints take no transaction of several."""
    first = replace(_first(source, plan, source.choice(CHAINS)), style=Style.VANISHES)
    deals = tuple(replace(first, number=number) for number in range(MAX_FEW))
    picky = replace(plan.relayers[0], picky=True)
    return replace(plan, deals=deals, relayers=(picky,), batches=frozenset(CHAINS))


def _claims_again(source: random.Random, plan: Plan) -> Plan:
    """The block with the initiator's reveal goes when everybody has read it, and its token does not move as the claim
    comes again: it fails, and the preimage is public."""
    first = replace(_first(source, plan, source.choice(CHAINS)), coin=False, amount=source.randint(*LITTLE))
    return replace(plan, deals=(first,), aims=(Aim(Trouble.UNDONE, Act.CLAIM, 1, STOPPED_S),))


THINGS: Final = (
    *(_gets_gas_by_itself, _changes_its_account, _comes_back, _falls_behind, _is_undone, _asks_the_past),
    *(_hears_two_voices, _funds_again, _reveals, _withdraws, _bends, _watches_alone, _hears_of_a_branch),
    *(_is_used_elsewhere, _hears_of_nothing, _fails_to_watch, _waits_for_gas),
    *(_is_forgotten, _hears_large_numbers, _fails_half_way, _has_less_than_is_wanted, _takes_back, _hears_late),
    *(_hears_of_the_block_before, _lets_a_lock_expire, _waits_for_its_allowance),
    *(_is_ahead, _opens_again, _hears_one_voice, _is_overtaken, _is_looked_into, _all_at_once),
    *(_go_alone, _claims_again),
)
"""A new one comes last: the first towns about the others keep their stories."""
