"""Blocks that no honest proposer makes: a validator refuses them, and what is decided all the same is executed."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from core.model.consortium import Transfer, encode_clock, quantity
from core.proofs.protobuf import bytes_field, message_field, varint_field
from local_chains.consortium.cometbft import CometNetwork
from local_chains.consortium.engine.abci import messages
from local_chains.consortium.engine.home import MAX_BLOCK_BYTES
from local_chains.consortium.engine.lanes import OF_ACCOUNT, STRANGERS
from local_chains.consortium.ledger.members import Standing
from local_chains.consortium.ledger.prices import MAX_BLOCK_ENTRIES
from tests.local_chains.consortium import dear_blocks
from tests.local_chains.consortium.abci import bomber
from tests.local_chains.consortium.abci.comet import (
    broadcast,
    included,
    make_network,
    more_blocks,
    need_cometbft,
    reached,
)
from tests.local_chains.consortium.abci.node import ACCEPT, REJECT
from tests.local_chains.consortium.abci.test_application import Driver, make_home, serving
from tests.local_chains.consortium.support import ANN, BEN, Actor

OK_RESULT = message_field(2, b"")


def transfers(actor: Actor, count: int) -> list[bytes]:
    return [actor.signed(sequence, Transfer("cnyd", BEN.address, quantity(1))) for sequence in range(count)]


def request(number: int, entries: Sequence[bytes], height: int) -> bytes:
    """A ProcessProposal (17) or FinalizeBlock (20) of a whole block."""
    txs = b"".join([message_field(1, entry) for entry in entries])
    return message_field(number, txs + bytes_field(4, height.to_bytes(32, "big")) + varint_field(5, height))


async def finalized(driver: Driver, entries: Sequence[bytes]) -> list[bytes]:
    """The encoded results of a block that is decided and committed."""
    await driver.clock.advance(1)
    answer = await driver.application.answer(messages.decode_request(request(20, entries, driver.next_height)))
    await driver.application.answer(messages.Commit())
    [body] = messages._decode(answer, {21: ("body", messages._Kind.BYTES)}).values()
    return list(messages._decode(body, {2: ("results", messages._Kind.LIST)})["results"])


@pytest.mark.parametrize("filler", [b"", b"\0", b"no"])
async def test_block_of_millions_of_entries_is_refused_and_executed(tmp_path: Path, filler: bytes) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        count = (MAX_BLOCK_BYTES - 1_000) // (len(filler) + 2)
        pay = transfers(ANN, 1)[0]
        entries = [encode_clock(driver.now_ms), pay, *[filler] * count]
        answer = await driver.application.answer(messages.decode_request(request(17, entries, 1)))
        assert answer == messages.process_proposal(messages.Verdict.REJECT)
        results = await finalized(driver, entries)
        assert len(results) == len(entries)
        assert driver.application.state.height == 1
        assert b"malformed" in results[2]
        assert results[MAX_BLOCK_ENTRIES:] == [varint_field(1, 8)] * (len(entries) - MAX_BLOCK_ENTRIES)
        assert [await driver.propose(encode_clock(driver.now_ms), transfers(ANN, 2)[1])] == [ACCEPT]


async def test_proposal_beyond_a_blocks_cost_is_refused(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        clock = encode_clock(driver.now_ms)
        quota = OF_ACCOUNT[Standing.ADMITTED]
        cost = driver.application.check_tx(transfers(ANN, 1)[0]).cost
        many = transfers(ANN, quota.cost // cost + 1)
        assert await driver.propose(clock, *many[:-1]) == ACCEPT
        assert await driver.propose(clock, *many) == REJECT


async def test_proposal_beyond_the_strangers_share_is_refused(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        clock = encode_clock(driver.now_ms)
        first = transfers(Actor("stranger 0"), 1)[0]
        cost = driver.application.check_tx(first).cost or driver.application.check_tx(first).cost
        most = min(STRANGERS.cost // cost, STRANGERS.bytes // (len(first) + 3))
        many = [transfers(Actor(f"stranger {place}"), 1)[0] for place in range(most + 1)]
        assert await driver.propose(clock, *many[:-1]) == ACCEPT
        assert await driver.propose(clock, *many) == REJECT


@pytest.mark.parametrize("kind", dear_blocks.KINDS, ids=lambda kind: kind.__name__)
async def test_whatever_is_decided_is_executed(tmp_path: Path, kind: object) -> None:
    """Transactions of another state, which fail here in all the ways there are."""
    _, entries = kind()  # type: ignore[operator]
    async with serving(make_home(tmp_path / "network")) as driver:
        block = [encode_clock(driver.now_ms), *entries[:300]]
        assert len(await finalized(driver, block)) == len(block)
        assert len(await finalized(driver, entries[:300])) == len(entries[:300])


@pytest.mark.long
async def test_one_proposer_with_a_bomb_ends_nobody(tmp_path: Path) -> None:
    need_cometbft()
    make_network(tmp_path / "network")
    network = CometNetwork(tmp_path / "network")
    network.nodes[1].ledger_module = bomber.__name__
    async with network:
        await reached(network.nodes, 2)
        pay = transfers(ANN, 1)[0]
        assert (await broadcast(network.nodes[0], pay))["code"] == 0
        assert (await included(network.nodes[2], pay)).code == 0
        # Every validator has proposed by then.
        await more_blocks(network, 8)
        assert all(node.running for node in network.nodes)
