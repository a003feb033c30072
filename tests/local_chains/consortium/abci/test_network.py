"""Four real CometBFT nodes with the ledger behind each: blocks, transfers, proofs, the embedded engine's results."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from core.model.consortium import ResultCode, Transfer, account_key, quantity
from core.model.consortium_members import Organisation, Propose, Vote
from core.proofs.cometbft import hashing
from core.proofs.cometbft.light_client import LightClientPolicy, trust, update_trusted, verify_commit
from core.proofs.cometbft.sign_bytes import commit_sign_bytes, verify_quickly, verify_signature
from core.proofs.cometbft.types import Block, BlockIdFlag, Commit, Header, KeyKind, LightBlock, Timestamp
from core.proofs.smt import verify_absence, verify_inclusion
from core.runtime.clock import SystemClock
from local_chains.consortium.cometbft import CometNetwork
from local_chains.consortium.engine.abci.network import node_home
from local_chains.consortium.engine.abci.settings import CONFIG_FILE
from local_chains.consortium.engine.home import CONSENSUS_KEY_FILE, Genesis, load_consensus_key
from local_chains.consortium.engine.proposal import Tip, genesis_tip, make_block
from local_chains.consortium.engine.rendering import results_hash, results_to_json
from local_chains.consortium.engine.rotation import next_turn
from local_chains.consortium.ledger.execution import BlockResult, execute_block
from local_chains.consortium.ledger.genesis import genesis_writes
from local_chains.consortium.ledger.invariants import check_locks, check_supply
from local_chains.consortium.ledger.signatures import SignatureChecker
from local_chains.consortium.state.tree import root_hash, update
from tests.local_chains.consortium.abci import torsion_signer
from tests.local_chains.consortium.abci.comet import (
    account,
    begun,
    block,
    broadcast,
    included,
    make_network,
    more_blocks,
    need_cometbft,
    reached,
    signed_header,
    state_at,
    validators,
)
from tests.local_chains.consortium.support import ANN, BEN, CHAIN, Actor, balance_of, operators_of

POLICY = LightClientPolicy(trusting_period_ns=3600 * 10**9, max_clock_drift_ns=10 * 10**9)


@dataclass
class World:
    genesis: Genesis
    network: CometNetwork


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    need_cometbft()
    directory = tmp_path_factory.mktemp("comet") / "network"
    genesis = make_network(directory)
    async with CometNetwork(directory) as network:
        await begun(network.nodes, 1)
        yield World(genesis, network)


class Replay:
    """The embedded engine's own steps over blocks that somebody else decided."""

    def __init__(self, genesis: Genesis) -> None:
        writes = genesis_writes(genesis.app_state, genesis.time.to_nanos() // 1_000_000)
        self.leaves = {key: leaf for key, leaf in writes.items() if leaf is not None}
        self.tree = update(None, self.leaves)
        self.tip = genesis_tip(genesis, root_hash(self.tree))

    def header(self, theirs: Block) -> Header:
        """Our header for their entries and their last commit."""
        return make_block(CHAIN, replace(self.tip, commit=theirs.last_commit), theirs.txs).header

    def apply(self, theirs: Block, commit: Commit) -> BlockResult:
        outcome = execute_block(self.leaves, CHAIN, theirs.header.height, theirs.txs, SignatureChecker())
        self.tree = update(self.tree, outcome.writes)
        before = dict(self.leaves)
        for key, leaf in outcome.writes.items():
            if leaf is None:
                self.leaves.pop(key, None)
            else:
                self.leaves[key] = leaf
        check_supply(self.leaves.items())
        check_locks(before, self.leaves)
        self.tip = Tip(
            height=theirs.header.height,
            block_id=commit.block_id,
            time=theirs.header.time,
            commit=commit,
            validators=self.tip.turn.validators,
            turn=self.tip.following,
            following=next_turn(self.tip.following.validators, outcome.validator_updates),
            app_hash=root_hash(self.tree),
            results_hash=results_hash(outcome.results),
        )
        return outcome


@pytest.mark.asyncio(loop_scope="module")
class TestNetwork:
    async def test_transfers_through_any_node_arrive_everywhere(self, world: World) -> None:
        nodes = world.network.nodes
        for sender, receiver in ((ANN, BEN), (BEN, ANN)):
            before = await account(nodes[0], receiver)
            sequence = (await account(nodes[0], sender)).sequence
            sent = []
            for place in range(4):
                raw = sender.signed(sequence + place, Transfer("cnyd", receiver.address, quantity(1)))
                answer = await broadcast(nodes[place], raw)
                assert answer["code"] == 0, answer["log"]
                where = await included(nodes[place], raw)
                assert where.code == 0
                sent.append(where.height)
            await reached(nodes, max(sent))
            for node in nodes:
                after = await account(node, receiver)
                assert balance_of(after, "cnyd") == balance_of(before, "cnyd") + 4

    async def test_what_the_ledger_refuses_does_not_enter_the_mempool(self, world: World) -> None:
        poor = Actor("poor")
        answer = await broadcast(world.network.nodes[1], poor.signed(0, Transfer("cnyd", ANN.address, quantity(1))))
        assert answer["code"] == ResultCode.INSUFFICIENT_FUNDS
        assert answer["log"].startswith("insufficient-funds: ")
        assert answer["codespace"] == "causeway"

    async def test_headers_and_commits_convince_the_light_client(self, world: World) -> None:
        node = world.network.nodes[2]
        top = await more_blocks(world.network)
        first = LightBlock(await signed_header(node, 1), await validators(node, 1), await validators(node, 2))
        trusted = trust(first)
        assert hashing.validator_set_hash(world.genesis.validators) == first.header.validators_hash
        now = Timestamp.from_nanos(SystemClock().now_ns())
        for height in (2, top - 1):
            light = LightBlock(
                await signed_header(node, height), await validators(node, height), await validators(node, height + 1)
            )
            trusted = update_trusted(trusted, light, now, POLICY)
        assert trusted.header.height == top - 1

    async def test_blocks_hash_as_ours_do(self, world: World) -> None:
        node = world.network.nodes[0]
        top = await more_blocks(world.network)
        for height in (1, 2, top - 1):
            assert (await signed_header(node, height)).commit.block_id == hashing.block_id(await block(node, height))

    async def test_queries_prove_presence_and_absence(self, world: World) -> None:
        node = world.network.nodes[3]
        key, missing = account_key(ANN.address), account_key(bytes(20))
        leaf, proof, height = await state_at(node, key)
        nothing, absence, _ = await state_at(node, missing, height)
        await reached([node], height + 1)
        app_hash = (await signed_header(node, height + 1)).header.app_hash
        assert leaf is not None
        verify_inclusion(app_hash, key, leaf, proof)
        assert nothing is None
        verify_absence(app_hash, missing, absence)

    async def test_an_earlier_state_stays_provable(self, world: World) -> None:
        node = world.network.nodes[0]
        await begun([node], 3)
        for height in (1, 2):
            leaf, proof, answered = await state_at(node, account_key(BEN.address), height)
            assert answered == height
            assert leaf is not None
            app_hash = (await signed_header(node, height + 1)).header.app_hash
            verify_inclusion(app_hash, account_key(BEN.address), leaf, proof)

    async def test_the_embedded_engine_gets_the_same_from_the_same_blocks(self, world: World) -> None:
        """Header by header: everything but time, commits and proposer follows from genesis and the entries alone."""
        node, genesis = world.network.nodes[1], world.genesis
        sequence = (await account(node, ANN)).sequence
        good = ANN.signed(sequence, Transfer("cnyd", BEN.address, quantity(2)))
        await broadcast(node, good)
        spent = await included(node, good)
        top = max(await more_blocks(world.network), spent.height + 1)
        replay = Replay(genesis)
        outcomes = []
        for height in range(1, top):
            theirs, commit = await block(node, height), (await signed_header(node, height)).commit
            ours = replay.header(theirs)
            proposer = ours.proposer_address if commit.round == 0 else theirs.header.proposer_address
            assert replace(ours, proposer_address=proposer) == theirs.header, f"height {height}"
            outcome = replay.apply(theirs, commit)
            results = (await node.call("block_results", height=str(height)))["txs_results"]
            assert [result.code for result in outcome.results] == [result["code"] for result in results]
            outcomes.append(outcome)
        assert any(len(outcome.results) > 1 for outcome in outcomes)


async def test_validators_change_as_on_the_embedded_engine(tmp_path: Path) -> None:
    """One gets more power, one leaves: headers, sets with priorities and updates are the same at every height."""
    need_cometbft()
    directory = tmp_path / "network"
    genesis = make_network(directory)
    operators = operators_of(directory)
    names = genesis.app_state.operators
    terms = [
        Organisation(
            names[1].name, operators[1].address, ("validator",), names[1].key_kind, bytes.fromhex(names[1].key), 17
        ),
        Organisation(names[2].name, operators[2].address, ("notary",)),
    ]
    async with CometNetwork(directory) as network:
        node = network.nodes[0]
        await begun(network.nodes, 1)
        messages = [operators[0].signed(0, *(Propose(organisation) for organisation in terms))]
        messages += [operator.signed(0, Vote(1, True), Vote(2, True)) for operator in operators[1:3]]
        for raw in messages:
            assert (await broadcast(node, raw))["code"] == 0
            spent = await included(node, raw)
            assert spent.code == 0, spent.log
        top = max(await more_blocks(network, 6), spent.height + 5)
        await reached(network.nodes, top)
        replay = Replay(genesis)
        for height in range(1, top):
            theirs, commit = await block(node, height), (await signed_header(node, height)).commit
            header = replay.header(theirs)
            proposer = header.proposer_address if commit.round == 0 else theirs.header.proposer_address
            assert replace(header, proposer_address=proposer) == theirs.header, f"height {height}"
            assert await validators(node, height) == replay.tip.turn.validators
            outcome = replay.apply(theirs, commit)
            results = await node.call("block_results", height=str(height))
            assert results_to_json(height, outcome, b"")["validator_updates"] == (results["validator_updates"] or [])
            if height == spent.height:
                assert len(outcome.validator_updates) == 2
        sizes = [len(await validators(node, height)) for height in range(spent.height, spent.height + 4)]
        assert sizes == [4, 4, 3, 3]
        assert max(member.power for member in (await validators(node, top)).validators) == 17
        for other in network.nodes:
            assert (await signed_header(other, top)).header == (await signed_header(node, top)).header


async def test_a_network_with_ed25519_validators(tmp_path: Path) -> None:
    need_cometbft()
    make_network(tmp_path / "network", KeyKind.ED25519)
    async with CometNetwork(tmp_path / "network") as network:
        await begun(network.nodes, 2)
        node = network.nodes[0]
        members = await validators(node, 1)
        assert {member.public_key.kind for member in members.validators} == {KeyKind.ED25519}
        trusted = trust(LightBlock(await signed_header(node, 1), members, members))
        light = LightBlock(await signed_header(node, 2), members, members)
        update_trusted(trusted, light, Timestamp.from_nanos(SystemClock().now_ns()), POLICY)


@pytest.mark.long
async def test_commits_with_torsioned_signature_convince_light_client(tmp_path: Path) -> None:
    """CometBFT takes such a validator's votes (ZIP-215), so whoever follows the chain has to."""
    need_cometbft()
    make_network(tmp_path / "network", KeyKind.ED25519)
    home, signer = node_home(tmp_path / "network", 1), tmp_path / "key.json"
    # A Unix socket's path is short; a test's directory need not be.
    directory = tempfile.mkdtemp(prefix="causeway-")
    config = home / CONFIG_FILE
    config.write_text(f'priv_validator_laddr = "unix://{directory}/signer.sock"\n' + config.read_text())
    (home / CONSENSUS_KEY_FILE).rename(signer)
    own = load_consensus_key(signer).public_key
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", torsion_signer.__name__, f"{directory}/signer.sock", str(signer)
    )
    try:
        async with CometNetwork(tmp_path / "network") as network:
            await begun(network.nodes, 6)
            node = network.nodes[0]
            members = await validators(node, 1)
            present = 0
            for height in range(2, 6):
                signed = await signed_header(node, height)
                verify_commit(CHAIN, members, signed.commit)
                for place, entry in enumerate(signed.commit.signatures):
                    if entry.validator_address == own.address and entry.flag is BlockIdFlag.COMMIT:
                        present += 1
                        message = commit_sign_bytes(CHAIN, signed.commit, place)
                        assert verify_signature(own, message, entry.signature)
                        assert not verify_quickly(own, message, entry.signature)
            assert present > 0
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(directory)
