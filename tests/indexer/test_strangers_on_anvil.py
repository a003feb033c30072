"""Strangers use the real contract in any order: followers go on, and projections are what the chain is.

Odd seeds bring lanes whose generations go round, the others reorgs. A failure names its seed; the environment variable
`STRANGERS_SEEDS` asks for others, `make test-long` for more.
"""

import asyncio
import gzip
import json
import os
import random
from collections import Counter

import pytest
from eth_utils.abi import abi_to_signature

from adapters.evm.names import native_asset, token_asset
from core.model.facts import Block, Locked
from core.model.types import AccountId, AssetId, BaseUnits, ChainTime, Hashlock, Height, LockId, LockTerms
from core.proofs.keccak import keccak256
from core.proofs.lanes import LaneStatus, evm_address, lane_slot, parse_lane, settled_word
from core.runtime.clock import SystemClock
from core.runtime.database import Database
from indexer.feed import FactSignal
from indexer.follower import Follower, FollowerState
from indexer.projections.conservation import conservation
from tests.adapters.evm.harness import CHAIN, EvmHarness, evm_harness
from tests.indexer.recomputed import check_projections, stored_locks
from tests.indexer.strange_calls import FUNCTIONS
from tests.indexer.strangers import VERBS, EvmStrangers
from tests.support import LONG

BLOCKS = 400 if LONG else 60
SEEDS = tuple(map(int, os.environ.get("STRANGERS_SEEDS", "1,2,3,4" if LONG else "1,2").split(",")))


async def whole_chain(evm: EvmHarness) -> list[Block]:
    head = (await evm.access.heads.head()).head.height
    blocks: list[Block] = []
    for first in range(0, head + 1, 200):
        blocks += await evm.access.blocks.blocks(Height(first), Height(min(head, first + 199)))
    return blocks


def follower(evm: EvmHarness, database: Database) -> Follower:
    access = evm.access
    return Follower(
        access.parameters, access.heads, access.blocks, database, FactSignal(), SystemClock(), Height(0), max_range=50
    )


@pytest.mark.endurance
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_use_of_the_contract_stops_a_follower(database: Database, seed: int) -> None:
    rng = random.Random(seed)
    async with asyncio.timeout(60 + 4 * BLOCKS), evm_harness() as evm:
        strangers = await EvmStrangers.gather(evm, rng, wraps=bool(seed % 2))
        following = follower(evm, database)
        await following.open()
        for _ in range(BLOCKS):
            await strangers.act()
            if not strangers.wraps and rng.random() < 0.2:
                await evm.reorg(rng.randrange(1, 4))
            if rng.random() < 0.3:
                await following.catch_up(await evm.access.heads.head())
                assert following.status.state is FollowerState.LIVE
            if rng.random() < 0.1:
                following = follower(evm, database)
                await following.open()
        while set(await succeeded(evm)) != set(FUNCTIONS):  # until the time is over
            await strangers.act()
        await evm.advance(3)
        await following.catch_up(await evm.access.heads.head())
        assert following.status.state is FollowerState.LIVE
        blocks = await whole_chain(evm)
        await check_projections(database, CHAIN, blocks)
        await held_is_open(evm, database, strangers, blocks[-1].header.height)
        await storage_is_projected(evm, database, strangers)
    names = [logged.event.lock_id for block in blocks for logged in block.events if isinstance(logged.event, Locked)]
    assert not strangers.wraps or len(names) - len(set(names)) >= 3, "some ids must have come again"
    assert all(strangers.counts[verb] for verb in VERBS)
    assert set(strangers.called) == set(FUNCTIONS)


async def held_is_open(evm: EvmHarness, database: Database, strangers: EvmStrangers, height: Height) -> None:
    """The contract's holding of an asset is what the projections call open."""
    for asset in (native_asset(CHAIN), *(token_asset(CHAIN, token) for token in strangers.tokens)):
        sums = await database.read(lambda c, asset=asset: conservation(c, asset, height))  # type: ignore[misc]
        assert await evm.access.state.balance(evm.contracts.htlc, asset) == sums.open.amount


STATUSES = {"locked": LaneStatus.LOCKED, "claimed": LaneStatus.CLAIMED, "refunded": LaneStatus.REFUNDED}


async def storage_is_projected(evm: EvmHarness, database: Database, strangers: EvmStrangers) -> None:
    """Every word of the contract's storage is that of its lane's newest lock, unless it was put there from outside."""
    expected: dict[int, int] = {}
    for line in await database.read(lambda connection: stored_locks(connection, CHAIN)):
        _, _, name, hashlock, asset, amount, sender, receiver, timelock, status, _, _ = line
        terms = LockTerms(
            AssetId(asset), BaseUnits(amount), AccountId(sender), AccountId(receiver), Hashlock(hashlock),
            ChainTime(CHAIN, timelock),
        )  # fmt: skip
        lane = parse_lane(LockId(name))
        expected[lane_slot(lane)] = settled_word(terms, lane) | STATUSES[status]
    stored = await storage_of(evm, evm.contracts.htlc)
    assert stored.keys() == expected.keys()
    for slot, word in stored.items():
        is_settled = expected[slot] & 0xFFFF != LaneStatus.LOCKED
        assert word == expected[slot] or (is_settled and word == strangers.overridden[slot])


async def storage_of(evm: EvmHarness, account: AccountId) -> dict[int, int]:
    """All words of a contract that are not zero, by slot."""
    state = json.loads(gzip.decompress(bytes.fromhex((await evm.rpc("anvil_dumpState"))[2:])))
    words = state["accounts"][f"0x{evm_address(account).hex()}"]["storage"]
    return {int(slot, 16): int(word, 16) for slot, word in words.items() if int(word, 16)}


async def succeeded(evm: EvmHarness) -> Counter[str]:
    """How many transactions called each function of the contract with success, by name."""
    names = {f"0x{selector_of(name)}": name for name in FUNCTIONS}
    htlc = f"0x{evm_address(evm.contracts.htlc).hex()}"
    found: Counter[str] = Counter()
    for height in range((await evm.access.heads.head()).head.height + 1):
        sent = (await evm.rpc("eth_getBlockByNumber", hex(height), True))["transactions"]
        for one, receipt in zip(sent, await evm.rpc("eth_getBlockReceipts", hex(height)), strict=True):
            assert one["hash"] == receipt["transactionHash"]
            if one["to"] == htlc and receipt["status"] == "0x1":
                found[names[one["input"][:10]]] += 1
    return found


def selector_of(function: str) -> str:
    return keccak256(abi_to_signature(FUNCTIONS[function]).encode())[:4].hex()
