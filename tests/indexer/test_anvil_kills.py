"""kill -9 in a loop while a real chain is backfilled and reorganised: in the end the facts are the chain."""

import asyncio
import random
import sys
from pathlib import Path

from adapters.evm.blocks import EvmBlockSource
from adapters.evm.contracts.deployer import mint_token
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.heads import EvmHeadSource
from core.model.types import BaseUnits, Height
from core.proofs.lanes import evm_address
from core.runtime.clock import SystemClock
from core.runtime.database import Database, create_schema, open_database
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections.balances import supply
from indexer.projections.rebuild import rebuild
from tests.adapters.evm.harness import CHAIN, EvmHarness, evm_harness
from tests.indexer.scripted import Parameters
from tests.indexer.test_swaps import projected
from tests.indexer.truth import all_facts, replay

BLOCKS = 240
KILLS = 8
CHILD = "import sys; from tests.indexer.test_anvil_kills import child; child(*sys.argv[1:])"


Given = tuple[bytes, bytes, bytes]
"""The HTLC, a token, the first block's hash."""


def make_follower(pool: Endpoints, given: Given, database: Database, signal: FactSignal) -> Follower:
    """In short ranges, so that there are many commits to die at."""
    htlc, token, genesis = given
    heads, blocks = EvmHeadSource(CHAIN, pool), EvmBlockSource(CHAIN, pool, htlc, [token])
    parameters = Parameters(CHAIN, genesis)
    return Follower(parameters, heads, blocks, database, signal, SystemClock(), Height(0), max_range=3)


def child(url: str, htlc: str, token: str, genesis: str, database_url: str) -> None:
    async def main() -> None:
        database, signal = open_database(database_url), FactSignal()
        given = (bytes.fromhex(htlc), bytes.fromhex(token), bytes.fromhex(genesis))
        following = asyncio.create_task(make_follower(Endpoints([Endpoint(url)]), given, database, signal).run())
        while not following.done():
            print("facts up to", signal.seq, flush=True)
            await signal.wait_beyond(signal.seq, timeout_s=1)
        await following

    asyncio.run(main())


async def mine_mints(evm: EvmHarness, count: int) -> None:
    [token] = evm.contracts.tokens
    for amount in range(1, count + 1):
        await evm.send(evm.bank, mint_token(evm.bank.account, token, evm.bank.account, BaseUnits(amount)))


async def test_killed_again_and_again(tmp_path: Path) -> None:
    rng = random.Random(7)
    async with asyncio.timeout(240), evm_harness() as evm:
        await mine_mints(evm, BLOCKS)
        [token] = evm.contracts.tokens
        given = (evm_address(evm.contracts.htlc), evm_address(token), evm.chain.parameters.genesis_hash)
        database_url = f"sqlite:///{tmp_path}/index.sqlite"
        database = open_database(database_url)
        await database.write(lambda c: create_schema(c, tables.TABLES))
        reached = [await kill_one(evm, given, database_url, database, rng) for _ in range(KILLS)]
        assert reached == sorted(reached)
        head = await evm.access.heads.head()
        # Most died in the middle of the backfill, which has at least one fact for each block.
        assert sum(0 < facts < head.head.height for facts in reached) >= KILLS // 2
        follower = make_follower(evm.chain.endpoints, given, database, FactSignal())
        await follower.open()
        await follower.catch_up(head)
        chains, final = replay(await database.read(all_facts))
        expected = [
            block
            for first in range(0, head.head.height + 1, 100)
            for block in await evm.access.blocks.blocks(Height(first), Height(min(first + 99, head.head.height)))
        ]
        assert chains[CHAIN] == expected
        assert final[CHAIN] == head.finalized.height
        sums = await database.read(lambda c: supply(c, evm.assets[1], head.head.height))
        assert sums.adds_up
        grown = await database.read(projected)
        await database.write(rebuild)
        assert await database.read(projected) == grown
        await database.close()


async def kill_one(evm: EvmHarness, given: Given, url: str, database: Database, rng: random.Random) -> int:
    """Start a follower, change the chain above what is final, kill it a few commits later: while it works on the next
    one. Return the number of facts."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, evm.anvil.rpc_url, *(one.hex() for one in given), url,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout is not None
    for _ in range(rng.randrange(1, 6)):
        assert (await running.stdout.readline()).startswith(b"facts up to")
    await evm.reorg(1)
    for _ in range(rng.randrange(0, 3)):
        assert (await running.stdout.readline()).startswith(b"facts up to")
    running.kill()
    await running.wait()
    facts = await database.read(all_facts)
    replay(facts)
    return len(facts)
