"""Relayers whose operators withdraw: who may be paid."""

from core.model.types import AccountId, ChainId
from gateway.simulation.plan import CHAINS, Purpose
from gateway.simulation.world import World
from relayer.treasury.orders import Seal
from relayer.treasury.teller import TreasuryPolicy


def receiver_of(world: World, number: int, chain: ChainId) -> AccountId:
    """The account that the withdrawal of this number pays: one for each on either chain, with nothing in it."""
    return world.signer(f"cold-{number}", chain, {}).account


def treasury_of(world: World, secret: bytes) -> TreasuryPolicy | None:
    """The policy of a relayer in a town in which operators withdraw, None in the others."""
    orders = world.plan.withdrawals
    known = [number for number, one in enumerate(orders) if one.purpose is not Purpose.ELSEWHERE]
    accounts = frozenset(receiver_of(world, number, chain) for number in known for chain in CHAINS)
    return TreasuryPolicy(Seal(secret), accounts) if orders else None
