"""Relayers whose operators withdraw: who may be paid, and the withdrawals that a plan has."""

import random
from typing import Final

from core.model.types import AccountId, ChainId
from gateway.simulation.plan import CHAINS, STORY_S, Plan, Purpose, Rough, Withdrawing
from gateway.simulation.world import World
from relayer.treasury.orders import Seal
from relayer.treasury.teller import TreasuryPolicy

SHARE: Final = 0.35
"""Of towns, those in which an operator withdraws."""
MOST: Final = 3
MAX_PERCENT: Final = 90
IN_TIME_S, SHORT_S = 90, 3
SHORT_SHARE: Final = 0.15
"""Of withdrawals, those that have hardly any time."""
AFTER_SHARE: Final = 0.7
"""Of withdrawals, those that are ordered right after a swap was agreed on, when most of what it needs is only kept."""
SOON_S: Final = 4.0
PURPOSES: Final = (Purpose.SOME, Purpose.SOME, Purpose.ALL, Purpose.ALL, Purpose.TOO_MUCH, *Purpose)


def receiver_of(world: World, number: int, chain: ChainId) -> AccountId:
    """The account that the withdrawal of this number pays: one for each on either chain, with nothing in it."""
    return world.signer(f"cold-{number}", chain, {}).account


def treasury_of(world: World, secret: bytes) -> TreasuryPolicy | None:
    """The policy of a relayer in a town in which operators withdraw, None in the others."""
    orders = world.plan.withdrawals
    known = [number for number, one in enumerate(orders) if one.purpose is not Purpose.ELSEWHERE]
    accounts = frozenset(receiver_of(world, number, chain) for number in known for chain in CHAINS)
    return TreasuryPolicy(Seal(secret), accounts) if orders else None


def drawn(source: random.Random, plan: Plan) -> tuple[Withdrawing, ...]:
    """The withdrawals of a plan."""
    if source.random() >= SHARE:
        return ()
    return tuple(_one(source, plan) for _ in range(source.randint(1, MOST)))


def _one(source: random.Random, plan: Plan) -> Withdrawing:
    deal = source.choice(plan.deals)
    is_aimed = source.random() < AFTER_SHARE
    purpose = source.choice(PURPOSES)
    if purpose is Purpose.ALL and Rough.USED_ELSEWHERE in plan.rough:
        purpose = Purpose.SOME  # the other hand has to pay, too, and waits for its block
    return Withdrawing(
        relayer=deal.relayer,
        purpose=purpose,
        # Of what somebody wants just then.
        chain=deal.second,
        coin=deal.coin,
        percent=source.randint(5, MAX_PERCENT),
        at_s=source.uniform(0, SOON_S) if is_aimed else source.uniform(5, STORY_S),
        after=source.randint(1, (len(plan.deals) + 1) // 2) if is_aimed else 0,
        within_s=SHORT_S if source.random() < SHORT_SHARE else IN_TIME_S,
    )
