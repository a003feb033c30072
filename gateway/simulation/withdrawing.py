"""Withdrawals that operators order in the midst of swaps, as `causeway relayer withdraw` writes them; and rows that a
thief writes who has the database and no key."""

from typing import Final

from core.model.types import BaseUnits, chain_of
from core.runtime.clock import NS_PER_S
from gateway.simulation import hands
from gateway.simulation.plan import STORY_S
from gateway.simulation.plan_operators import Purpose
from gateway.simulation.treasury import receiver_of
from gateway.simulation.verdict.record import Agreed, Ordered, Record
from gateway.simulation.world import COIN, TOKEN
from relayer.treasury import orders
from relayer.treasury.orders import Seal

NO_KEY: Final = bytes(32)
"""A thief guesses."""
MORE: Final = 1_000
"""How much more than a relayer holds of an asset an operator may ask for by mistake."""


async def order(record: Record, number: int) -> None:
    """Write one order into the relayer's database, when it is time."""
    world, one = record.world, record.plan.withdrawals[number]
    if one.after:
        latest_s = world.clock.now() + STORY_S
        if not await hands.until(world, lambda: len(_honest(record)) >= one.after, latest_s):
            return
    await world.clock.sleep(one.at_s)
    relayer, asset = record.relayers[one.relayer], (COIN if one.coin else TOKEN)[one.chain]
    if one.after:  # of what that swap is to be paid out in
        deal = _honest(record)[one.after - 1]
        relayer, asset = record.relayers[deal.deal.relayer], deal.participant_leg.asset
    name = chain_of(asset)
    chain, account = world.chains[name], relayer.accounts[name]
    held = chain.balance(account, asset)
    amount = {Purpose.ALL: None, Purpose.TOO_MUCH: held + MORE}.get(one.purpose, BaseUnits(held * one.percent // 100))
    if amount == 0:
        return
    secrets = world.secrets(f"{relayer.name}/withdrawal-{number}")
    asked = orders.new_order(
        secrets, account, receiver_of(world, number, name), asset, amount, world.clock.now_ns(), one.within_s
    )
    seal = Seal(NO_KEY if one.purpose is Purpose.FORGED else relayer.secret).of(asked)
    await relayer.database.write(lambda c: orders.write(c, asked, seal))
    record.orders.append(Ordered(relayer.name, asked, one.purpose, world.clock.now_ns() / NS_PER_S))
    world.faults[f"withdrawal-{one.purpose}"] += 1


def _honest(record: Record) -> list[Agreed]:
    """The agreements of which everybody means to keep their part, in their order."""
    return [deal for deal in record.agreed if deal.dapp is not None]
