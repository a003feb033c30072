"""Parts of plans that towns about one rare thing have in common."""

import random
from dataclasses import replace
from typing import Final

from adapters.memory import FaultRates
from core.model.types import ChainId, Seconds
from gateway.simulation.drawing.deals import LITTLE
from gateway.simulation.drawing.parties import FEW_OPERATORS
from gateway.simulation.plan import CHAINS, TIMING, A, Deal, Lie, Party, Plan, Style

SLOWER: Final = replace(
    TIMING,
    inclusion_s=Seconds(TIMING.inclusion_s + 4),
    finality_s=Seconds(TIMING.finality_s + 4),
    observation_s=Seconds(TIMING.observation_s + 4),
)
"""The belief about an initiator's chain where the provider needs time to wait."""
LATER_S: Final = (22.0, 26.0)
STOPPED_S: Final = 6.0
"""How long a token does not move that a tower claims."""


def calm_party(name: str) -> Party:
    """A party with one endpoint, which nothing fails."""
    return Party(name, 1, None, FaultRates())


def first_deal(source: random.Random, plan: Plan, second: ChainId) -> Deal:
    """The swap of somebody who comes at once, and is paid on this chain."""
    first = next(one for one in CHAINS if one != second)
    return replace(
        plan.deals[0], number=0, style=Style.HONEST, first=first, coin=True, start_s=0.0, amount=source.randint(*LITTLE)
    )


def with_fees(source: random.Random, plan: Plan) -> tuple[Plan, ChainId]:
    """The same story, and one of its chains that has fees."""
    if plan.fees:
        return plan, source.choice(sorted(plan.fees))
    return replace(plan, fees=frozenset({A}), expiries=plan.expiries - {A}), A


def with_a_liar(plan: Plan, lie: Lie) -> Plan:
    """The same story, in which of each party's three endpoints the one that is asked first lies."""
    relayer, dapp = (
        replace(one, operators=FEW_OPERATORS, lie=lie, liar=0) for one in (plan.relayers[0], plan.dapps[0])
    )
    return replace(plan, relayers=(relayer,), dapps=(dapp,))
