"""Nodes of a real network killed by SIGKILL: it goes on, halts, catches up, and never forks or turns time back."""

import hashlib
import time
from pathlib import Path

import pytest

from core.model.consortium import (
    Claim,
    Lock,
    LockLeaf,
    Refund,
    ResultCode,
    Transfer,
    decode_clock,
    decode_leaf,
    lock_key,
    quantity,
)
from core.model.errors import FatalError
from local_chains.consortium.cometbft import CometNetwork, CometNode
from local_chains.consortium.engine.home import CONSENSUS_KEY_FILE, load_consensus_key
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
    takes_part,
)
from tests.local_chains.consortium.abci.forger import forged
from tests.local_chains.consortium.support import ANN, BEN
from tests.support import LONG, eventually

DEADLINE_S = 60.0
QUIET_S = 4.0
"""Longer than any timeout of the vote's first rounds."""
CUTS = 25 if LONG else 3
HALT_S = 12
"""Longer than the 10 s by which a proposer's clock may differ."""


async def app_hash_of(node: CometNode) -> tuple[int, str]:
    """Height and app hash, as the ledger says."""
    response = (await node.call("abci_info"))["response"]
    return int(response["last_block_height"]), str(response["last_block_app_hash"])


async def require_one_chain(nodes: list[CometNode]) -> None:
    """All nodes have the same blocks and states, up to the lowest of their heights."""
    lowest = min([await node.height() for node in nodes])
    for height in range(1, lowest + 1):
        headers = [await signed_header(node, height) for node in nodes]
        assert len({header.commit.block_id for header in headers}) == 1, f"a fork at height {height}"
    assert lowest > 1


async def require_late(node: CometNode, height: int, claim: bytes) -> None:
    """Require that the claim failed, if the block at `height` has it."""
    await reached([node], height + 1)
    entries = (await block(node, height)).txs
    results = (await node.call("block_results", height=str(height)))["txs_results"]
    if claim in entries:
        assert results[entries.index(claim)]["code"] == ResultCode.TOO_LATE


async def step(node: CometNode) -> tuple[int, ...]:
    """(height, round, step) of the vote."""
    state = (await node.call("consensus_state"))["round_state"]
    return tuple(int(part) for part in state["height/round/step"].split("/"))


async def halted(nodes: list[CometNode]) -> int:
    """Return the height that these nodes cannot decide, once their vote has stood still for `QUIET_S`."""
    last: list[tuple[int, ...]] = []
    since = time.monotonic()

    async def still() -> bool:
        nonlocal last, since
        now = [await step(node) for node in nodes]
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > QUIET_S

    await eventually(still, DEADLINE_S, 0.1)
    [height] = {place[0] for place in last}
    return height


@pytest.mark.long
async def test_one_node_killed_is_missed_by_nobody_and_catches_up(tmp_path: Path) -> None:
    need_cometbft()
    make_network(tmp_path / "network")
    async with CometNetwork(tmp_path / "network") as network:
        nodes = network.nodes
        await begun(nodes, 2)
        await nodes[3].kill()
        sent = [ANN.signed(sequence, Transfer("cnyd", BEN.address, quantity(1))) for sequence in range(5)]
        for raw in sent:
            assert (await broadcast(nodes[0], raw))["code"] == 0
        assert (await included(nodes[1], sent[-1])).code == 0
        height = await more_blocks(network, 3)
        await nodes[3].start()
        await reached([nodes[3]], height)
        assert (await included(nodes[3], sent[-1])).code == 0
        assert (await account(nodes[3], ANN)).sequence == len(sent)
        await require_one_chain(nodes)


@pytest.mark.long
async def test_two_nodes_killed_halt_the_chain_and_fork_nothing(tmp_path: Path) -> None:
    need_cometbft()
    make_network(tmp_path / "network")
    async with CometNetwork(tmp_path / "network") as network:
        nodes = network.nodes
        await begun(nodes, 2)
        await nodes[2].kill()
        await nodes[3].kill()
        undecided = await halted(nodes[:2])
        raw = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(1)))
        assert (await broadcast(nodes[0], raw))["code"] == 0
        assert {await node.height() for node in nodes[:2]} == {undecided - 1}
        assert len({await app_hash_of(node) for node in nodes[:2]}) == 1
        await nodes[2].start()
        await reached([nodes[0], nodes[1], nodes[2]], undecided + 1)
        assert (await included(nodes[2], raw)).code == 0
        await nodes[3].start()
        await reached(nodes, undecided + 2)
        await require_one_chain(nodes)


@pytest.mark.long
async def test_a_proposer_that_slips_in_a_forged_transfer_is_outvoted(tmp_path: Path) -> None:
    """Its heights are decided in a later round, by others, and nobody's money moves."""
    need_cometbft()
    make_network(tmp_path / "network")
    network = CometNetwork(tmp_path / "network")
    forger = network.nodes[1]
    forger.ledger_module = "tests.local_chains.consortium.abci.forger"
    own_address = load_consensus_key(forger.home / CONSENSUS_KEY_FILE).public_key.address
    async with network:
        nodes = network.nodes
        await begun(nodes, 2)
        before = await account(nodes[0], ANN)
        height = await more_blocks(network, 6)
        rounds = {}
        for one in range(1, height + 1):
            signed = await signed_header(nodes[0], one)
            rounds[one] = signed.commit.round
            assert signed.header.proposer_address != own_address
            assert forged() not in (await block(nodes[0], one)).txs
        # Each of the four is the first proposer of every fourth height.
        assert max(rounds.values()) > 0
        assert await account(nodes[0], ANN) == before
        # Its own vote went to its own proposals, yet it follows the chain like the others.
        await require_one_chain(nodes)
        raw = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(1)))
        assert (await broadcast(forger, raw))["code"] == 0
        assert (await included(nodes[0], raw)).code == 0


@pytest.mark.long
async def test_chain_that_halts_across_a_timelock_takes_no_late_claim(tmp_path: Path) -> None:
    """The claim was good when it came in. The header's time, a median from before the halt, would still let it pass."""
    need_cometbft()
    make_network(tmp_path / "network")
    preimage = b"p" * 32
    hashlock = hashlib.sha256(preimage).digest()
    async with CometNetwork(tmp_path / "network") as network:
        nodes = network.nodes
        await begun(nodes, 2)
        timelock = int(time.time()) + HALT_S
        lock = ANN.signed(0, Lock("cnyd", quantity(7), BEN.address, hashlock, timelock))
        assert (await broadcast(nodes[0], lock))["code"] == 0
        assert (await included(nodes[0], lock)).code == 0
        await nodes[2].kill()
        await nodes[3].kill()
        claim = BEN.signed(0, Claim(ANN.address, preimage))
        assert (await broadcast(nodes[0], claim))["code"] == 0
        undecided = await halted(nodes[:2])
        await eventually(lambda: time.time() > timelock + 1, 2 * HALT_S, 0.1)
        await nodes[2].start()
        await nodes[3].start()
        await reached(nodes, undecided + 2)
        first = await block(nodes[0], undecided)
        assert first.header.time.seconds < timelock, "this test shows nothing unless header time lags behind"
        assert decode_clock(first.txs[0]) >= timelock * 1000
        for height in range(undecided, undecided + 3):
            await require_late(nodes[1], height, claim)
        # It may have been thrown out of the mempool without ever being in a block.
        again = BEN.signed(0, Claim(ANN.address, preimage), expiry=10**6)
        refused = await broadcast(nodes[1], again)
        assert refused["code"] in (ResultCode.TOO_LATE, ResultCode.WRONG_SEQUENCE), refused["log"]
        leaf, _, _ = await state_at(nodes[0], lock_key(ANN.address, hashlock))
        assert leaf is not None
        assert decode_leaf(leaf, LockLeaf).status == "locked"
        refund = BEN.signed((await account(nodes[0], BEN)).sequence, Refund(ANN.address, hashlock))
        await takes_part(nodes[3])
        assert (await broadcast(nodes[3], refund))["code"] == 0
        assert (await included(nodes[3], refund)).code == 0
        await require_one_chain(nodes)


@pytest.mark.long
@pytest.mark.endurance
async def test_all_nodes_killed_again_and_again_under_load(tmp_path: Path) -> None:
    """A power cut for everybody, at whatever moment: the chain goes on, and what was in a block stays there."""
    need_cometbft()
    make_network(tmp_path / "network")
    async with CometNetwork(tmp_path / "network") as network:
        nodes, seen = network.nodes, {}
        for cut in range(CUTS):
            await more_blocks(network, 1)
            await takes_part(nodes[cut % len(nodes)])
            first = (await account(nodes[cut % len(nodes)], ANN)).sequence
            sent = [ANN.signed(first + place, Transfer("cnyd", BEN.address, quantity(1))) for place in range(20)]
            for raw in sent:
                await broadcast(nodes[cut % len(nodes)], raw)
            seen[sent[cut % len(sent)]] = await included(nodes[cut % len(nodes)], sent[cut % len(sent)])
            for node in nodes:
                await node.kill()
            for node in nodes:
                await node.start()
        await more_blocks(network, 2)
        for raw, where in seen.items():
            assert await included(nodes[3], raw) == where
        await require_one_chain(nodes)


async def test_a_node_ends_with_its_ledger(tmp_path: Path) -> None:
    need_cometbft()
    make_network(tmp_path / "network", validators=1)
    async with CometNetwork(tmp_path / "network") as network:
        [node] = network.nodes
        await begun([node], 2)
        ledger, _ = node._children
        ledger.kill()
        await eventually(lambda: all(child.returncode is not None for child in node._children), 20)
        await node.stop()
        await node.start()
        height = await node.height()
        await reached([node], height + 1)
        assert await node.height() > height >= 2


async def test_a_node_says_why_it_does_not_start(tmp_path: Path) -> None:
    need_cometbft()
    make_network(tmp_path / "network", validators=1)
    home = tmp_path / "network" / "validators" / "0"
    (home / "priv_validator_key.json").write_text("{}")
    node = CometNode(home)
    with pytest.raises(FatalError, match="did not start"):
        await node.start()
    assert not node.running
