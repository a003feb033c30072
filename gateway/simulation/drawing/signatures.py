"""Signatures that take long: in some small towns one does, and the world has moved on when it is there."""

import random
from dataclasses import replace
from typing import Final

from gateway.simulation.drawing.deals import LITTLE, plain
from gateway.simulation.drawing.faults import also
from gateway.simulation.drawing.parties import with_first_undisturbed
from gateway.simulation.drawing.small import APART_S
from gateway.simulation.plan import CHAINS, A, Act, Aim, Deal, Meanwhile, Plan, Rough, Signing, Style, Trouble
from gateway.simulation.plan_operators import Fall, Leading

SLOW_SHARE: Final = 0.3
"""Of small towns in which something is slow and nothing rough comes, those in which a signature takes long."""
WEIGHTS: Final = {Meanwhile.TIME: 4, Meanwhile.PAUSE: 2, Meanwhile.WORD: 2, Meanwhile.FALL: 2}
PAUSED_S: Final = (3.0, 8.0)
WORD_S: Final = (11.0, 15.0)
"""Long enough for a preimage to get into a block, and to be read."""
FALL_S: Final = (3.0, 9.0)
FALLEN_S: Final = (5.0, 25.0)
"""How long the process can do nothing that asked for the signature."""
STARVED_S: Final = 40.0
"""How long a lock is left lying whose second form is signed slowly."""
UNTIL_REVEAL_S: Final = (10.0, 18.0)
"""How long, if the reveal is: less time is left for that than a signature may take."""


def with_slow_signatures(source: random.Random, plan: Plan) -> Plan:
    """In some small towns the same story, and one signature of the first swap takes long."""
    busy = plan.rough or plan.is_calm or plan.leading is not None or any(one.blabs for one in plan.deals)
    if source.random() >= SLOW_SHARE or not plan.small or busy:
        return plan
    first = replace(plain(plan.deals[0]), style=Style.HONEST, start_s=0.0, amount=source.randint(*LITTLE))
    relayer, dapp = plan.relayers[0].steady(), plan.dapps[0].steady()
    plan = replace(plan, relayers=(relayer,), dapps=(dapp,), bending=False, narrow=False, pricing=None)
    match source.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]:
        case Meanwhile.PAUSE as meanwhile:
            signing = Signing(relayer.name, Act.LOCK, 1, source.uniform(*PAUSED_S), meanwhile)
            return also(_with_first(plan, first), Rough.OPERATOR_PAUSES, 0.0, signing=signing)
        case Meanwhile.WORD as meanwhile:
            signing = Signing(relayer.name, Act.LOCK, 1, source.uniform(*WORD_S), meanwhile)
            later = tuple(replace(one, start_s=one.start_s + APART_S) for one in plan.deals[1:])
            return replace(plan, deals=(replace(first, style=Style.VANISHES, signals=True), *later), signing=signing)
        case Meanwhile.FALL as meanwhile:
            signing = Signing(relayer.name, Act.LOCK, 1, source.uniform(*FALL_S), meanwhile)
            leading = Leading(source.choice(list(Fall)), 0.0, source.uniform(*FALLEN_S))
            led = with_first_undisturbed(_with_first(plan, first))
            deals = tuple(replace(one, provider_dies=False) for one in led.deals)
            return replace(led, deals=deals, signing=signing, leading=leading)
        case _:
            return _until_a_gate_closes(source, plan, first)


def _until_a_gate_closes(source: random.Random, plan: Plan, first: Deal) -> Plan:
    """The provider's lock, another form of it, the initiator's lock, or the reveal."""
    relayer, dapp = plan.relayers[0].name, plan.dapps[0].name
    match source.choice(("funds", "funds again", "locks", "reveals")):
        case "funds":
            return replace(_with_first(plan, first), signing=Signing(relayer, Act.LOCK, 1, 0.0, Meanwhile.TIME))
        case "locks":
            return replace(_with_first(plan, first), signing=Signing(dapp, Act.LOCK, 1, 0.0, Meanwhile.TIME))
        case "reveals":
            return revealed(source, plan, first)
        case _:
            return funded_again(source, plan, first)


def funded_again(source: random.Random, plan: Plan, first: Deal) -> Plan:
    """Another form of the provider's lock is signed until its gate has closed."""
    again = Signing(plan.relayers[0].name, Act.LOCK, 1, 0.0, Meanwhile.TIME, again=True)
    return replace(_starved(source, plan, first, STARVED_S), signing=again)


def revealed(source: random.Random, plan: Plan, first: Deal) -> Plan:
    """The reveal is signed until its gate has closed."""
    late = _starved(source, plan, first, source.uniform(*UNTIL_REVEAL_S))
    return replace(late, signing=Signing(plan.dapps[0].name, Act.CLAIM, 1, 0.0, Meanwhile.TIME))


def _starved(source: random.Random, plan: Plan, first: Deal, for_s: float) -> Plan:
    """The provider's lock is left lying for that time, on a chain with fees."""
    second = A if plan.ledger else source.choice(CHAINS)
    moved = replace(first, first=next(chain for chain in CHAINS if chain != second), coin=True)
    return replace(
        _with_first(plan, moved),
        fees=plan.fees | {second},
        expiries=plan.expiries - {second},
        reorgs=(),
        aims=(Aim(Trouble.STARVED, Act.FUND, 1, for_s),),
    )


def _with_first(plan: Plan, first: Deal) -> Plan:
    return replace(plan, deals=(first, *plan.deals[1:]))
