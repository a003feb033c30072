"""Withdrawals that operators order in the midst of swaps, as `causeway relayer withdraw` writes them; and rows that a
thief writes who has the database and no key."""

import random
from typing import Final

from core.model.types import AccountId, BaseUnits
from core.runtime.clock import NS_PER_S
from gateway.simulation import hands
from gateway.simulation.plan import STORY_S, Plan, Purpose, Withdrawing
from gateway.simulation.verdict.record import Ordered, Record
from gateway.simulation.world import COIN, TOKEN, World
from relayer.treasury import orders
from relayer.treasury.orders import Seal
from relayer.treasury.teller import TreasuryPolicy

NO_KEY: Final = bytes(32)
"""A thief guesses."""
MORE: Final = 1_000
"""How much more than a relayer holds of an asset an operator may ask for by mistake."""


def receiver_of(world: World, number: int) -> AccountId:
    """The account that the withdrawal of this number pays: one for each, with nothing in it."""
    return world.signer(f"cold-{number}", world.plan.withdrawals[number].chain, {}).account


def treasury_of(world: World, relayer: int, secret: bytes) -> TreasuryPolicy | None:
    """The policy of a relayer whose operator withdraws, None for the others."""
    mine = {number: one for number, one in enumerate(world.plan.withdrawals) if one.relayer == relayer}
    if not mine:
        return None
    known = [number for number, one in mine.items() if one.purpose is not Purpose.ELSEWHERE]
    return TreasuryPolicy(Seal(secret), frozenset(receiver_of(world, number) for number in known))


async def order(record: Record, number: int) -> None:
    """Write one order into the relayer's database, when it is time."""
    world, one = record.world, record.plan.withdrawals[number]
    if one.after:
        latest_s = world.clock.now() + STORY_S
        if not await hands.until(world, lambda: len(record.agreed) >= one.after, latest_s):
            return
    await world.clock.sleep(one.at_s)
    relayer, chain = record.relayers[one.relayer], world.chains[one.chain]
    account, asset = relayer.accounts[one.chain], (COIN if one.coin else TOKEN)[one.chain]
    held = chain.balance(account, asset)
    amount = {Purpose.ALL: None, Purpose.TOO_MUCH: held + MORE}.get(one.purpose, BaseUnits(held * one.percent // 100))
    if amount == 0:
        return
    secrets = world.secrets(f"{relayer.name}/withdrawal-{number}")
    asked = orders.new_order(
        secrets, account, receiver_of(world, number), asset, amount, world.clock.now_ns(), one.within_s
    )
    seal = Seal(NO_KEY if one.purpose is Purpose.FORGED else relayer.secret).of(asked)
    await relayer.database.write(lambda c: orders.write(c, asked, seal))
    record.orders.append(Ordered(relayer.name, asked, one.purpose, world.clock.now_ns() / NS_PER_S))
    world.faults[f"withdrawal-{one.purpose}"] += 1


# --- drawn -----------------------------------------------------------------------------------------------------------

SHARE: Final = 0.35
"""Of towns, those in which an operator withdraws."""
MOST: Final = 3
MAX_PERCENT: Final = 90
IN_TIME_S, SHORT_S = 90, 3
SHORT_SHARE: Final = 0.15
"""Of withdrawals, those that have hardly any time."""
AFTER_SHARE: Final = 0.7
"""Of withdrawals, those that are ordered right after a swap was agreed on, when most of what it needs is only kept."""
SOON_S: Final = 8.0
PURPOSES: Final = (Purpose.SOME, Purpose.SOME, Purpose.ALL, Purpose.ALL, Purpose.TOO_MUCH, *Purpose)


def drawn(source: random.Random, plan: Plan) -> tuple[Withdrawing, ...]:
    """The withdrawals of a plan."""
    if source.random() >= SHARE:
        return ()
    return tuple(_one(source, plan) for _ in range(source.randint(1, MOST)))


def _one(source: random.Random, plan: Plan) -> Withdrawing:
    deal = source.choice(plan.deals)
    is_aimed = source.random() < AFTER_SHARE
    return Withdrawing(
        relayer=deal.relayer,
        purpose=source.choice(PURPOSES),
        # Of what somebody wants just then.
        chain=deal.second,
        coin=deal.coin,
        percent=source.randint(5, MAX_PERCENT),
        at_s=source.uniform(0, SOON_S) if is_aimed else source.uniform(5, STORY_S),
        after=source.randint(1, len(plan.deals)) if is_aimed else 0,
        within_s=SHORT_S if source.random() < SHORT_SHARE else IN_TIME_S,
    )
