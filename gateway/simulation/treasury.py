"""Relayers whose operators withdraw: who may be paid."""

from typing import Final

from core.model.ports import Signer
from core.model.types import AccountId, ChainId
from gateway.simulation.plan import CHAINS
from gateway.simulation.plan_operators import Purpose
from gateway.simulation.world import COIN, World
from relayer.treasury.orders import Seal
from relayer.treasury.teller import TreasuryPolicy
from relayer.treasury.top_ups import TopUp

TOP_UP: Final = (900_000, 3_000_000, 4_500_000)
"""Below how much of its gas the first relayer is paid by itself, up to how much, and how much in a day."""


def receiver_of(world: World, number: int, chain: ChainId) -> AccountId:
    """The account that the withdrawal of this number pays: one for each on either chain, with nothing in it."""
    return world.signer(f"cold-{number}", chain, {}).account


def funder_of(world: World, chain: ChainId) -> Signer:
    """The account that pays the first relayer's gas on a chain."""
    return world.signer("funder", chain)


def tops_up_by_itself(world: World, name: str) -> bool:
    """Return true for a relayer whose gas comes by itself."""
    topped = world.plan.topped
    return topped is not None and topped.by_itself and name == world.plan.relayers[0].name


def treasury_of(world: World, secret: bytes, name: str) -> TreasuryPolicy | None:
    """The policy of a relayer in a town in which operators withdraw, or top up; None in the others."""
    orders, low = world.plan.withdrawals, TOP_UP
    pays = sorted(world.plan.fees) if tops_up_by_itself(world, name) else []
    top_ups = [TopUp(COIN[chain], funder_of(world, chain).account, *low) for chain in pays]
    known = [number for number, one in enumerate(orders) if one.purpose is not Purpose.ELSEWHERE]
    accounts = frozenset(receiver_of(world, number, chain) for number in known for chain in CHAINS)
    return TreasuryPolicy(Seal(secret), accounts, top_ups=top_ups) if orders or top_ups else None
