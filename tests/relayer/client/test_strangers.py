"""A swap on real chains among strangers who use both as they like: nobody is robbed by what they do."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from adapters.consortium import ConsortiumChain, Ed25519Signer
from adapters.evm.names import native_asset
from core.model.types import BaseUnits, ChainId, ChainTime
from core.runtime.database import InlineDatabase
from htlc.model import Phase
from indexer.store import chain_rows
from local_chains.evm import AnvilSettings
from relayer.client import ClientPolicy, RelayerApi, SwapClient, SwapStore
from relayer.provider.quoting import Pair, Rate
from tests.adapters.evm.harness import evm_harness
from tests.indexer.recomputed import check_projections
from tests.indexer.strangers import EvmStrangers
from tests.indexer.test_strangers_on_anvil import whole_chain
from tests.indexer.test_strangers_on_the_ledger import LedgerStrangers
from tests.relayer.client.test_real_chains import LEDGER, POLICY, YUAN, issue, ledger, mine, relayer_at_work
from tests.support import eventually

PURSE = 10**8
PAID = 500_000
"""Of the ledger's asset, for ether: what a relayer that never sees the preimage loses."""


class LedgerAtWork:
    """The ledger in real time, as `LedgerStrangers` use it."""

    def __init__(self, chain: ConsortiumChain, issuer: Ed25519Signer) -> None:
        self.access = chain.access
        self.issuer = issuer

    async def advance(self) -> None:
        seen = (await self.access.heads.head()).head.height

        async def further() -> bool:
            return (await self.access.heads.head()).head.height > seen

        await eventually(further, deadline_s=30, interval_s=0.1)

    async def wait_until(self, _: ChainTime) -> None:
        """Time passes by itself."""


@pytest.mark.long
async def test_strangers_rob_no_relayer(tmp_path: Path) -> None:
    owner, relayer_key, dapp_key = (Ed25519Signer(LEDGER, bytes([n]) * 32) for n in (7, 8, 9))
    database = InlineDatabase()
    async with (
        asyncio.timeout(240),
        evm_harness(AnvilSettings(block_time_s=None)) as harness,
        ledger(tmp_path / "ledger", owner) as chain,
    ):
        evm = harness.access
        relayer_evm, dapp_evm, robber = [await harness.account() for _ in range(3)]
        strangers = await EvmStrangers.gather(harness, random.Random(1), wraps=True)
        strangers.mines = False
        members = [Ed25519Signer(LEDGER, bytes([n]) * 32) for n in (20, 21, 22)]
        await issue(chain, owner, relayer_key, dapp_key, *members)
        pretenders = [Ed25519Signer(LEDGER, bytes([n]) * 32) for n in (30, 31, 32, 33)]
        for one in pretenders:
            chain.learn(one.public_key)
        # The second to fifth try what operators do, and are none; the last three have something to use.
        everybody = [owner, *pretenders, *members]
        on_the_ledger = LedgerStrangers(LedgerAtWork(chain, owner), random.Random(2), everybody)
        mining = asyncio.create_task(mine(harness))
        access = {evm.chain: evm, LEDGER: chain.access}
        ether = native_asset(evm.chain)
        pairs = [Pair(YUAN, ether, Rate(10**9, 1), BaseUnits(1), BaseUnits(10**6))]

        async def misuse(_state: object) -> None:
            """Between the participant's lock and the reveal."""
            await strangers.use_twice(robber)

        try:
            async with (
                relayer_at_work(access, {evm.chain: relayer_evm, LEDGER: relayer_key}, pairs, database) as address,
                RelayerApi(address) as api,
                SwapClient(
                    api,
                    access,
                    {evm.chain: dapp_evm, LEDGER: dapp_key},
                    SwapStore.in_memory(),
                    ClientPolicy(swap=POLICY),
                ) as client,
            ):
                swap = await client.open(await client.quote(YUAN, ether, initiator_amount=PAID))
                running = asyncio.create_task(client.run(swap, before_reveal=misuse))
                while not running.done():
                    await asyncio.gather(strangers.act(), on_the_ledger.act())
                outcome = await running
                assert outcome.phase is Phase.COMPLETED, outcome.reason
                assert on_the_ledger.done

                async def paid() -> bool:
                    return await chain.access.state.balance(relayer_key.account, YUAN) == PURSE + PAID

                await eventually(paid, deadline_s=30)
        finally:
            mining.cancel()
            with suppress(asyncio.CancelledError):
                await mining
        blocks = (await whole_chain(harness))[1:]
        tip = await database.read(lambda c: last_height(c, evm.chain))
        await check_projections(database, evm.chain, blocks[:tip])


def last_height(connection: Connection, chain: ChainId) -> int:
    """How far the relayer's own index got before it was stopped."""
    (row,) = [row for row in chain_rows(connection) if row.chain == chain]
    assert row.tip is not None
    return row.tip.height
