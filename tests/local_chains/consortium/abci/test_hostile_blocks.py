"""Blocks that no honest proposer makes: a validator refuses them, and what is decided all the same is executed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.model.consortium import (
    MAX_DOCUMENT_BYTES,
    Claim,
    Lock,
    ResultCode,
    Transfer,
    WriteRecord,
    encode_clock,
    quantity,
)
from core.proofs.protobuf import bytes_field, message_field, varint_field
from local_chains.consortium.cometbft import CometNetwork
from local_chains.consortium.engine.abci import messages, wire
from local_chains.consortium.engine.home import MAX_BLOCK_BYTES
from local_chains.consortium.engine.lanes import OF_ACCOUNT, STRANGERS
from local_chains.consortium.ledger.admission import Standing
from local_chains.consortium.ledger.prices import MAX_BLOCK_ENTRIES
from tests.local_chains.consortium import dear_blocks
from tests.local_chains.consortium.abci import bomber, node
from tests.local_chains.consortium.abci.comet import (
    begun,
    broadcast,
    included,
    make_network,
    more_blocks,
    need_cometbft,
)
from tests.local_chains.consortium.abci.node import ACCEPT, REJECT
from tests.local_chains.consortium.abci.test_application import (
    START_MS,
    Driver,
    codes,
    make_home,
    serving,
    transfer,
)
from tests.local_chains.consortium.support import ANN, BEN, Actor, operators_of

BODY = b'"' + b"x" * (MAX_DOCUMENT_BYTES - 2) + b'"'


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
    [body] = wire.decode(answer, {21: ("body", wire.Kind.BYTES)}).values()
    return list(wire.decode(body, {2: ("results", wire.Kind.LIST)})["results"])


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
        await begun(network.nodes, 2)
        pay = transfers(ANN, 1)[0]
        assert (await broadcast(network.nodes[0], pay))["code"] == 0
        assert (await included(network.nodes[2], pay)).code == 0
        # Every validator has proposed by then.
        await more_blocks(network, 8)
        assert all(node.running for node in network.nodes)


async def test_exits_have_room_when_others_are_full_and_go_first(tmp_path: Path) -> None:
    preimages = [bytes([number]) * 32 for number in range(1, 4)]
    timelock = START_MS // 1_000 + 600
    locks = [Lock("cnyd", quantity(1), BEN.address, hashlib.sha256(one).digest(), timelock) for one in preimages]
    async with serving(make_home(tmp_path / "network")) as driver:
        await driver.decide(ANN.signed(0, *locks))
        check, waiting, full = driver.application.check_tx, [], None
        for operator in operators_of(tmp_path / "network"):
            for sequence in range(10_000):
                raw = operator.signed(sequence, WriteRecord("n", f"{operator.address.hex()}-{sequence}", BODY))
                result = check(raw)
                if result.code is ResultCode.NO_ROOM:
                    full = result
                    break
                assert result.code is ResultCode.OK, result.log
                waiting.append(raw)
        assert full is not None
        assert "mempool is" in full.log, "what the adapter takes for: not now"
        assert check(BEN.signed(0, WriteRecord("n", "of-ben", BODY))).code is ResultCode.NO_ROOM, "nor has anybody else"
        claims = [Actor(f"claimer {place}").signed(0, Claim(ANN.address, one)) for place, one in enumerate(preimages)]
        assert [check(raw).code for raw in claims] == [ResultCode.OK] * 3
        everything = [*waiting, *claims]
        assert sum(len(raw) + 4 for raw in everything) < MAX_BLOCK_BYTES - 1024 * 1024, "all of it is in one block"
        await driver.clock.advance(1)
        answer = await driver.ask(node.prepare_proposal(everything, MAX_BLOCK_BYTES - 2_000, driver.next_height))
        entries = [bytes(entry) for entry in answer[1]]
        assert entries[1:4] == claims
        assert await driver.propose(*entries) == ACCEPT
        assert codes(await driver.decide(*entries[1:]))[1:4] == [0, 0, 0]


async def test_room_is_there_again_after_a_block_or_a_refusal(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        check = driver.application.check_tx
        poor = [ANN.signed(0, Transfer("cnyd", BEN.address, quantity(10**9 + place))) for place in range(3_000)]
        assert {check(raw).code for raw in poor} == {ResultCode.INSUFFICIENT_FUNDS}
        count = 0
        while (result := check(transfer(count))).code is ResultCode.OK:
            count += 1
        assert result.code is ResultCode.NO_ROOM
        await driver.decide(*[transfer(sequence) for sequence in range(count)])
        assert check(transfer(count)).code is ResultCode.OK
