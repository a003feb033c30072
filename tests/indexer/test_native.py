"""Payments of the native coin, followed on anvil: what accounts received is what the node says that they have."""

import asyncio
from functools import partial

import pytest
import sqlalchemy as sa

from adapters.evm.blocks import EvmBlockSource
from adapters.evm.calls import unsigned_call
from adapters.evm.decode import FIRST_PAYMENT
from adapters.evm.names import account
from core.model.facts import NativeTransfers
from core.model.types import Height
from core.proofs.lanes import evm_address
from core.runtime.clock import SystemClock
from core.runtime.database import Database
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections.balances import balance_at, holdings, supply
from indexer.projections.rebuild import rebuild
from indexer.verification import compare, stored_blocks
from tests.adapters.evm.harness import CHAIN, EvmHarness, evm_harness
from tests.indexer.test_swaps import projected
from tests.indexer.truth import all_facts, replay

FORWARDER, SHOP = bytes.fromhex("c1" * 20), bytes.fromhex("51" * 20)
FORWARD = "0x5f5f5f5f345f355af100"
"""CALL the first word of the call data, with all that was paid."""


def blocks_of(evm: EvmHarness, native: NativeTransfers) -> EvmBlockSource:
    tokens = [evm_address(token) for token in evm.contracts.tokens]
    return EvmBlockSource(CHAIN, evm.chain.endpoints, evm_address(evm.contracts.htlc), tokens, native=native)


@pytest.mark.parametrize("native", [NativeTransfers.DIRECT, NativeTransfers.TRACED])
async def test_payments_are_indexed_through_reorgs(database: Database, native: NativeTransfers) -> None:
    async with asyncio.timeout(120), evm_harness() as evm:
        access, source = evm.access, blocks_of(evm, native)
        await evm.rpc("anvil_setCode", f"0x{FORWARDER.hex()}", FORWARD)
        follower = Follower(
            access.parameters, access.heads, source, database, FactSignal(), SystemClock(), Height(0), max_range=7
        )
        await follower.open()
        payer = await evm.account()
        forward = partial(unsigned_call, payer.account, FORWARDER, SHOP.rjust(32, b"\0"), gas=200_000, summary="pay")
        for amount in (10**6, 10**7):
            await evm.send(payer, forward(value=amount), unsigned_call(
                payer.account, SHOP, b"", gas=30_000, value=5, summary="pay"
            ))  # fmt: skip
        await follower.catch_up(await access.heads.head())
        await evm.reorg(1)
        await evm.send(payer, forward(value=10**8))
        await evm.advance(20)
        head = await access.heads.head()
        await follower.catch_up(head)

        height, coin = head.head.height, evm.assets[0]
        expected = {FORWARDER: 0, SHOP: 10**6 + 10**8 + 5}
        for address, held in expected.items():
            known = await database.read(partial(balance_at, account=account(CHAIN, address), asset=coin, height=height))
            assert await access.state.balance(account(CHAIN, address), coin, height) == held
            if native is NativeTransfers.TRACED:
                assert known == held
        if native is NativeTransfers.DIRECT:
            # Inner payments are not seen, so that a sum is not a balance: it stays where the transaction brought it.
            assert known == 5
        sums = await database.read(lambda c: supply(c, coin, height))
        assert sums.adds_up
        assert (sums.issued, sums.held, sums.locked) == (0, 0, 0)
        assert sum(one.amount for one in await database.read(lambda c: holdings(c, coin, height, 100))) == 0

        chains, _ = replay(await database.read(all_facts))
        told = [
            block
            for first in range(0, height + 1, 10)
            for block in await source.blocks(Height(first), Height(min(first + 9, height)))
        ]
        assert chains[CHAIN] == told
        assert compare(await database.read(lambda c: stored_blocks(c, CHAIN, Height(0), height)), told) == []
        event = tables.events.c
        paid = sa.select(event.receiver, event.amount).where(event.canonical, event.asset == coin)
        listed = await database.read(lambda c: c.execute(paid.where(event.kind == "transferred")).all())
        assert len(listed) == sum(one.index >= FIRST_PAYMENT for block in told for one in block.events)
        assert {one.amount for one in listed if one.receiver == account(CHAIN, FORWARDER)} == {10**6, 10**8}
        grown = await database.read(projected)
        await database.write(rebuild)
        assert await database.read(projected) == grown
