"""Evidence about anvil under sync committees: anvil, our ledger, and a beacon node that serves generated updates."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from adapters.beacon import BeaconApi, Follower
from adapters.conformance.harness import lock
from adapters.registry import ChainSpec, EndpointSpec, connect, joined_prover
from adapters.synced import SyncedStateProver
from core.model.beacon import BeaconNetwork
from core.model.errors import NotYetFinalError, RejectedError, RetryableError
from core.model.questions import BalanceQuestion, Evidence, LockQuestion, LogQuestion
from core.model.types import AssetId, ChainId, Height
from core.proofs import ethereum
from core.proofs.errors import AnchorMismatchError
from core.proofs.evidence import Anchors, decode_evidence, encode_evidence, verify
from core.proofs.evidence.ethereum_state import decode_ethereum_proof
from tests.adapters.beacon.node import Node, serving
from tests.adapters.evidence.both import Both, both_running
from tests.adapters.evm.harness import CHAIN as ETHEREUM
from tests.adapters.evm.harness import TIMING
from tests.core.proofs.beacons import ELECTRA, NETWORK, PERIOD, ToyBeacon, plain_header

START = ELECTRA + 8
FINAL = ELECTRA + PERIOD + 16
MORE = 3


@dataclass
class Town:
    """`node` calls final the block that `finalize` named last."""

    both: Both
    node: Node
    followers: list[Follower] = field(default_factory=list)

    def follower(self) -> Follower:
        anchor = self.node.beacon.anchor(START)
        self.followers.append(Follower(anchor, [BeaconApi(self.node.url, anchor.network)], self.both.now_s))
        return self.followers[-1]

    async def finalize(self, height: int) -> None:
        """Let the beacon chain call this block of anvil final."""
        [raw] = await self.both.evm.chain.proofs.headers(Height(height), Height(height))
        self.node.beacon = replace(self.node.beacon, blocks={FINAL: ethereum.decode_header(raw)})

    def prover(self, *, attested: bool) -> SyncedStateProver:
        by = self.both.prover() if attested else None
        return SyncedStateProver(self.both.evm.chain.proofs, self.follower(), by)

    async def final_height(self) -> Height:
        return (await self.both.evm.access.heads.head()).finalized.height

    async def believed(self, evidence: Evidence) -> tuple[str, tuple[str, ...]]:
        """Return its finality, and what is checked with both kinds of anchors."""
        ledger = await self.both.ledger.chain.prover.anchor()
        both = Anchors(ledger, self.node.beacon.anchor(START))
        proven = verify(decode_evidence(encode_evidence(evidence)), both, self.both.now_s())
        return proven.as_of.finality, proven.relies_on


def network_at(now_s: int) -> BeaconNetwork:
    """The network whose block at `FINAL` was just made final."""
    return replace(NETWORK, genesis_time=now_s - (FINAL + 20) * NETWORK.seconds_per_slot)


@asynccontextmanager
async def town_running(home: Path) -> AsyncIterator[Town]:
    async with both_running(home) as both, serving(ToyBeacon(network_at(both.now_s())), START, FINAL) as node:
        town = Town(both, node)
        try:
            yield town
        finally:
            for one in town.followers:
                await one.close()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_running(tmp_path / "chain") as made:
        yield made


def balance(town: Town) -> BalanceQuestion:
    account = town.both.evm.bank.account
    return BalanceQuestion(ETHEREUM, account, AssetId(f"{ETHEREUM}/slip44:60"))


async def test_answer_stands_on_sync_committees_alone(town: Town) -> None:
    leg = await lock(town.both.evm)
    await town.both.evm.advance(4)
    height = await town.final_height()
    await town.finalize(height)
    prover = town.prover(attested=False)
    question = LockQuestion(ETHEREUM, leg.lock_id, leg.terms, town.both.evm.access.parameters.htlc_holder)
    evidence = await prover.prove(question)
    assert evidence.as_of.block.height == height
    assert await town.believed(evidence) == ("sync-committee", ("sync-committee",))
    older = await prover.prove(balance(town), Height(height - 2))
    assert older.as_of.block.height == height - 2
    sync = decode_ethereum_proof(older.proof).sync
    assert sync is not None
    assert len(sync.links) == 2
    assert await town.believed(older) == ("sync-committee", ("sync-committee",))
    with pytest.raises(AnchorMismatchError):
        verify(older, await town.both.ledger.chain.prover.anchor(), town.both.now_s())
    with pytest.raises(NotYetFinalError):
        await prover.prove(balance(town), Height(height + 1))


async def test_answer_carries_both_ways_if_both_reach_it(town: Town) -> None:
    header = await town.both.attest_final()
    await town.both.evm.advance(MORE)
    await town.finalize(header.height + 1)
    prover = town.prover(attested=True)
    evidence = await prover.prove(balance(town))
    assert evidence.as_of.block == header.ref
    assert await town.believed(evidence) == ("attested+sync-committee", ("attested", "sync-committee"))


async def test_attestation_is_enough_if_sync_committees_lag(town: Town) -> None:
    header = await town.both.attest_final()
    await town.finalize(header.height - 1)
    prover = town.prover(attested=True)
    evidence = await prover.prove(balance(town))
    assert await town.believed(evidence) == ("attested", ("attested",))
    town.node.raw = b"no"
    assert (await prover.prove(balance(town))).as_of.finality == "attested"


async def test_height_that_nobody_attested_stands_on_sync_committees(town: Town) -> None:
    header = await town.both.attest_final()
    await town.both.evm.advance(MORE)
    height = await town.final_height()
    assert height > header.height
    await town.finalize(height)
    prover = town.prover(attested=True)
    evidence = await prover.prove(balance(town), height)
    assert await town.believed(evidence) == ("sync-committee", ("sync-committee",))


async def test_log_stands_on_sync_committees(town: Town) -> None:
    leg = await lock(town.both.evm)
    await town.both.evm.advance(4)
    await town.finalize(await town.final_height())
    prover = town.prover(attested=False)
    evidence = await prover.prove(LogQuestion(ETHEREUM, leg.transaction.hash, 0))
    assert await town.believed(evidence) == ("sync-committee", ("sync-committee",))


async def test_lying_endpoint_is_refused(town: Town) -> None:
    """The endpoint and the committees disagree about a block."""
    await town.both.evm.advance(4)
    height = await town.final_height()
    town.node.beacon = replace(town.node.beacon, blocks={FINAL: plain_header(height)})
    prover = town.prover(attested=False)
    for at in (height, Height(height - 1)):
        with pytest.raises(RetryableError, match="other blocks"):
            await prover.prove(balance(town), at)


async def test_configured_chain_proves_by_its_beacon_nodes(town: Town) -> None:
    evm = town.both.evm
    town.node.beacon = replace(town.node.beacon, network=network_at(int(time.time())))
    await evm.advance(4)
    await town.finalize(await town.final_height())
    spec = ChainSpec(
        kind="evm",
        chain=ETHEREUM,
        genesis_hash=evm.access.parameters.genesis_hash,
        endpoints=(EndpointSpec(evm.anvil.rpc_url, "alpha"),),
        timing=TIMING,
        assets=tuple(evm.access.parameters.assets),
        contract=evm.contracts.htlc,
        beacon=town.node.beacon.anchor(START),
        beacons=("http://127.0.0.1:1", town.node.url),
    )
    chain = await connect(spec)
    try:
        evidence = await joined_prover({ETHEREUM: chain}, None).prove(balance(town))
        assert verify(evidence, town.node.beacon.anchor(START), int(time.time())).relies_on == ("sync-committee",)
        with pytest.raises(RejectedError, match="nothing on"):
            await joined_prover({ETHEREUM: chain}, None, synced=False).prove(balance(town))
    finally:
        await chain.close()
    for wrong in (
        replace(spec, beacon=None),
        replace(spec, beacons=()),
        replace(spec, beacon=replace(town.node.beacon.anchor(START), chain=ChainId("eip155:1"))),
    ):
        with pytest.raises(RejectedError):
            await connect(wrong)
