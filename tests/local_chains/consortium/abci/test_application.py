"""The ledger over its ABCI socket, spoken to as a node does: order, proposals, blocks, crashes, nonsense."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.model.consortium import (
    AccountLeaf,
    Claim,
    Lock,
    ResultCode,
    Transaction,
    Transfer,
    account_key,
    decode_leaf,
    decode_transaction,
    encode_clock,
    encode_transaction,
    quantity,
)
from core.model.errors import FatalError
from core.proofs import merkle
from core.proofs.cometbft import hashing
from core.proofs.protobuf import decode_fields, delimited, message_field, varint_field
from core.proofs.smt import decode_proof, verify_inclusion
from core.runtime.clock import ManualClock
from local_chains.consortium.engine.abci import messages
from local_chains.consortium.engine.abci.application import LedgerApplication, open_application
from local_chains.consortium.engine.abci.network import init_network, node_home
from local_chains.consortium.engine.abci.server import MAX_MESSAGE_BYTES, AbciServer
from local_chains.consortium.engine.embedded import open_engine
from local_chains.consortium.engine.home import MAX_BLOCK_BYTES, init_home
from local_chains.consortium.ledger.execution import MAX_CLOCK_DIFFERENCE_MS
from tests.local_chains.consortium.abci import node
from tests.local_chains.consortium.abci.node import ACCEPT, REJECT, Connection
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, BEN, CHAIN, Actor
from tests.local_chains.consortium.test_rpc_load import HELD_S, Held

START_MS = 1_700_000_000_000


def make_home(directory: Path) -> Path:
    init_network(directory, CHAIN, assets=ASSETS, accounts=ACCOUNTS, time_ns=START_MS * 1_000_000)
    return node_home(directory, 0)


class Driver:
    """Plays the node: one connection per purpose, and blocks decided by the test."""

    def __init__(self, application: LedgerApplication, server: AbciServer, clock: ManualClock, path: Path) -> None:
        self.application = application
        self.server = server
        self.clock = clock
        self.path = path

    async def ask(self, request: bytes) -> dict[int, list[Any]]:
        async with Connection(self.path) as connection:
            return await connection.ask(request)

    @property
    def now_ms(self) -> int:
        return self.clock.now_ns() // 1_000_000

    @property
    def next_height(self) -> int:
        return self.application.state.height + 1

    async def propose(self, *entries: bytes, name: bytes = b"") -> int:
        block_hash = name or hashing.data_hash(entries)
        answer = await self.ask(node.process_proposal(entries, self.next_height, block_hash))
        return int(answer[1][0])

    async def decide(self, *transactions: bytes) -> dict[int, list[Any]]:
        """Finalize and commit a block one second later; the answer to the former."""
        await self.clock.advance(1)
        entries = (encode_clock(self.now_ms), *transactions)
        height = self.next_height
        answer = await self.ask(node.finalize_block(entries, height, hashlib.sha256(bytes([height])).digest()))
        await self.ask(node.commit())
        return answer


def codes(finalized: dict[int, list[Any]]) -> list[int]:
    found = []
    for raw in finalized[2]:
        fields = {field.number: field.value for field in decode_fields(raw)}
        found.append(int(fields.get(1, 0)))
    return found


def deterministic_part(raw: bytes) -> bytes:
    """An ExecTxResult without its log, events and codespace."""
    kept = [field for field in decode_fields(raw) if field.number in (1, 2, 5, 6)]
    return b"".join(varint_field(field.number, int(field.value)) for field in kept)


@asynccontextmanager
async def serving(home: Path, clock: ManualClock | None = None) -> AsyncIterator[Driver]:
    clock = clock or ManualClock(START_MS / 1000 + 1)
    application = await open_application(home, clock)
    server = AbciServer(application)
    # A Unix socket's path is short; a test's directory need not be.
    path = Path(f"/tmp/causeway-{hashlib.sha256(str(home).encode()).hexdigest()[:16]}.sock")
    try:
        await server.start(path)
        yield Driver(application, server, clock, path)
    finally:
        await server.stop()
        await application.close()
        os.unlink(path)


def transfer(sequence: int, amount: int = 1, actor: Actor = ANN) -> bytes:
    return actor.signed(sequence, Transfer("cnyd", BEN.address, quantity(amount)))


def forged(sequence: int) -> bytes:
    """Ann's money, signed by somebody else."""
    good = decode_transaction(transfer(sequence))
    return encode_transaction(Transaction(good.body, bytes(BEN.key.sign(b"something else").signature)))


async def test_answers_come_in_the_order_of_requests(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver, Connection(driver.path) as connection:
        connection.send(node.echo("one"), node.check_tx(transfer(0)), node.flush(), node.info(), node.echo("two"))
        numbers = [(await connection.answer()) for _ in range(5)]
        assert [number for number, _ in numbers] == [2, 9, 3, 4, 2]
        assert numbers[0][1][1] == [b"one"]
        assert numbers[4][1][1] == [b"two"]


async def test_a_request_may_come_in_pieces(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver, Connection(driver.path) as connection:
        for byte in delimited(node.echo("slowly")):
            connection.writer.write(bytes([byte]))
            await connection.writer.drain()
        assert (await connection.answer())[1][1] == [b"slowly"]


async def test_the_chain_begins_with_the_genesis_state(tmp_path: Path) -> None:
    home = make_home(tmp_path / "network")
    async with serving(home) as driver:
        genesis = driver.application.genesis
        app_state = json.dumps(genesis.document["app_state"]).encode()
        assert 4 not in await driver.ask(node.info())
        answer = await driver.ask(node.init_chain(genesis, app_state))
        assert answer[3] == [driver.application.state.app_hash]


async def test_another_genesis_file_stops_the_node(tmp_path: Path) -> None:
    home = make_home(tmp_path / "network")
    async with serving(home) as driver, Connection(driver.path) as connection:
        genesis = driver.application.genesis
        app_state = json.dumps(genesis.document["app_state"]).encode()
        connection.send(node.init_chain(genesis, app_state, chain_id="other-1"))
        number, fields = await connection.answer()
        assert number == 1
        assert b"another genesis" in bytes(fields[1][0])
        with pytest.raises(FatalError):
            await asyncio.wait_for(driver.server.failed, 5)


async def test_checks_build_on_what_waits(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        for sequence in range(3):
            assert 1 not in await driver.ask(node.check_tx(transfer(sequence)))
        refused = await driver.ask(node.check_tx(transfer(5)))
        assert refused[1] == [ResultCode.WRONG_SEQUENCE]
        await driver.decide(transfer(0))
        # What still waits is asked for again, in order.
        assert 1 not in await driver.ask(node.check_tx(transfer(1), again=True))
        assert (await driver.ask(node.check_tx(transfer(0))))[1] == [ResultCode.WRONG_SEQUENCE]


async def test_a_proposal_begins_with_the_clock_and_fits(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        waiting = [transfer(sequence) for sequence in range(10)]
        room = len(encode_clock(driver.now_ms)) + 2 + 4 * (len(waiting[0]) + 3)
        answer = await driver.ask(node.prepare_proposal(waiting, room, 1))
        assert answer[1][0] == encode_clock(driver.now_ms)
        entries = [bytes(entry) for entry in answer[1]]
        assert entries[1:] == waiting[:4]
        # How CometBFT counts: a block's entries as they are encoded.
        assert sum(len(message_field(1, entry)) for entry in entries) <= room
        assert await driver.propose(*entries) == ACCEPT


async def test_an_honest_proposer_leaves_out_what_others_would_refuse(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        foreign = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(1)), chain="other-1")
        waiting = [forged(0), b"nonsense", foreign, transfer(0)]
        answer = await driver.ask(node.prepare_proposal(waiting, MAX_BLOCK_BYTES, 1))
        assert answer[1][1:] == [transfer(0)]


@pytest.mark.parametrize("slipped_in", [forged(0), b"nonsense", b"", transfer(0)[:-1]])
async def test_a_proposal_with_a_forged_transfer_is_refused(tmp_path: Path, slipped_in: bytes) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        clock = encode_clock(driver.now_ms)
        assert await driver.propose(clock, transfer(0)) == ACCEPT
        assert await driver.propose(clock, slipped_in) == REJECT
        assert await driver.propose(clock, transfer(0), slipped_in) == REJECT


async def test_a_forged_transfer_that_was_decided_moves_nothing(tmp_path: Path) -> None:
    """Even with more than ⅔ of the validators against us: our own ledger verifies what it has not verified."""
    async with serving(make_home(tmp_path / "network")) as driver:
        before = driver.application.state.get(account_key(ANN.address))
        assert codes(await driver.decide(forged(0))) == [0, ResultCode.BAD_SIGNATURE]
        assert driver.application.state.get(account_key(ANN.address)) == before
        # A good one that was checked before vouches for its own bytes only.
        await driver.ask(node.check_tx(transfer(0)))
        assert codes(await driver.decide(forged(0), transfer(0))) == [0, ResultCode.BAD_SIGNATURE, 0]


async def test_a_proposers_clock_is_held_to_ours_and_to_the_last(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        await driver.decide()
        last = driver.now_ms
        await driver.clock.advance(100)
        now = driver.now_ms
        assert await driver.propose(encode_clock(now)) == ACCEPT
        assert await driver.propose(encode_clock(now - MAX_CLOCK_DIFFERENCE_MS)) == ACCEPT
        assert await driver.propose(encode_clock(now + MAX_CLOCK_DIFFERENCE_MS)) == ACCEPT
        assert await driver.propose(encode_clock(now - MAX_CLOCK_DIFFERENCE_MS - 1)) == REJECT
        assert await driver.propose(encode_clock(now + MAX_CLOCK_DIFFERENCE_MS + 1)) == REJECT
        assert await driver.propose(encode_clock(last)) == REJECT
        assert await driver.propose() == REJECT
        assert await driver.propose(transfer(0)) == REJECT
        assert await driver.propose(encode_clock(now), encode_clock(now)) == REJECT


async def test_a_block_accepted_once_is_accepted_for_good(tmp_path: Path) -> None:
    """Validators locked on a block from before a halt could otherwise never agree on any."""
    home, clock = make_home(tmp_path / "network"), ManualClock(START_MS / 1000 + 1)
    entries = (encode_clock(clock.now_ns() // 1_000_000), transfer(0))
    async with serving(home, clock) as driver:
        assert await driver.propose(*entries, name=b"a" * 32) == ACCEPT
    await clock.advance(60)
    async with serving(home, clock) as driver:
        assert await driver.propose(*entries, name=b"a" * 32) == ACCEPT
        assert await driver.propose(*entries, name=b"b" * 32) == REJECT
        await driver.decide()
        assert await driver.propose(*entries, name=b"a" * 32) == REJECT


async def test_block_of_most_events_leaves_others_their_turn(tmp_path: Path) -> None:
    """Deciding and committing it holds the event loop, and with it checks and queries, for a moment at most."""
    payments = [Transfer("cnyd", ANN.address, quantity(1))] * 64
    transactions = [ANN.signed(sequence, *payments) for sequence in range(180)]
    clock = ManualClock(START_MS / 1000 + 1)
    application = await open_application(make_home(tmp_path / "network"), clock)
    deciding = node.finalize_block((encode_clock(START_MS + 2_000), *transactions), 1, bytes(32))
    requests = [messages.decode_request(one) for one in (deciding, node.commit())]
    held = Held()
    watching = asyncio.create_task(held.watch())
    await asyncio.sleep(0)
    try:
        answers = [await application.answer(one) for one in requests]
    finally:
        watching.cancel()
        await application.close()
    [decided] = decode_fields(answers[0])
    assert isinstance(decided.value, bytes)
    found = codes({2: [field.value for field in decode_fields(decided.value) if field.number == 2]})
    assert found.count(ResultCode.OK) > 170
    assert ResultCode.NO_ROOM in found
    assert held.longest_s < HELD_S / 5, "its answer is encoded elsewhere"


async def test_a_late_claim_that_waited_is_refused_in_the_block(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        preimage = b"p" * 32
        hashlock = hashlib.sha256(preimage).digest()
        timelock = driver.now_ms // 1000 + 30
        await driver.decide(ANN.signed(0, Lock("cnyd", quantity(5), BEN.address, hashlock, timelock)))
        claim = BEN.signed(0, Claim(ANN.address, preimage))
        assert 1 not in await driver.ask(node.check_tx(claim))
        await driver.clock.advance(60)
        assert codes(await driver.decide(claim)) == [0, ResultCode.TOO_LATE]


async def test_a_block_that_was_not_committed_is_executed_again(tmp_path: Path) -> None:
    home, clock = make_home(tmp_path / "network"), ManualClock(START_MS / 1000 + 1)
    async with serving(home, clock) as driver:
        await driver.decide(transfer(0))
        block = (encode_clock(driver.now_ms + 5), transfer(1))
        first = await driver.ask(node.finalize_block(block, 2, b"x" * 32))
    async with serving(home, clock) as driver:
        told = await driver.ask(node.info())
        assert told[4] == [1]
        assert told[5] == [driver.application.state.app_hash]
        again = await driver.ask(node.finalize_block(block, 2, b"x" * 32))
        assert again == first
        await driver.ask(node.commit())
        assert again[5] == [driver.application.state.app_hash]
    async with serving(home, clock) as driver:
        assert (await driver.ask(node.info()))[4] == [2]


@pytest.mark.parametrize(
    "request_bytes",
    [node.commit(), node.finalize_block((), 7, b"x" * 32)],
    ids=["commit without a block", "a block out of turn"],
)
async def test_what_a_sound_node_never_asks_ends_it(tmp_path: Path, request_bytes: bytes) -> None:
    async with serving(make_home(tmp_path / "network")) as driver, Connection(driver.path) as connection:
        connection.send(request_bytes)
        assert (await connection.answer())[0] == 1
        with pytest.raises(FatalError):
            await asyncio.wait_for(driver.server.failed, 5)


@pytest.mark.parametrize(
    "raw",
    [b"\xff" * 11, delimited(b"\xff"), delimited(b""), delimited(node.echo("x") * 2), b"\xff\xff\xff\xff\x7f"],
    ids=["no length", "no message", "nothing", "two members", "too long"],
)
async def test_nonsense_closes_its_connection_and_nothing_else(tmp_path: Path, raw: bytes) -> None:
    async with serving(make_home(tmp_path / "network")) as driver, Connection(driver.path) as connection:
        connection.writer.write(raw)
        assert (await connection.answer())[0] == 1
        with pytest.raises(EOFError):
            await connection.answer()
        assert not driver.server.failed.done()
        assert (await driver.ask(node.echo("still here")))[1] == [b"still here"]
    assert MAX_MESSAGE_BYTES < 0x7FFFFFFFF


async def test_queries_are_proven_at_any_recent_height(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        hashes: list[bytes] = []
        for sequence in range(3):
            hashes.append(bytes((await driver.decide(transfer(sequence)))[5][0]))
        key = account_key(ANN.address)
        for height, app_hash in enumerate(hashes, 1):
            answer = await driver.ask(node.query(key, height))
            assert answer[9] == [height]
            [op] = decode_fields(answer[8][0])
            parts = {field.number: field.value for field in decode_fields(bytes(op.value))}
            assert parts[1] == b"causeway:smt"
            leaf = bytes(answer[7][0])
            verify_inclusion(app_hash, key, leaf, decode_proof(bytes(parts[3])))
            assert decode_leaf(leaf, AccountLeaf).sequence == height
        assert (await driver.ask(node.query(key, 9)))[1] == [1]
        assert (await driver.ask(node.query(key, path="/other")))[1] == [1]
        assert 7 not in await driver.ask(node.query(b"nothing here"))
        assert 8 not in await driver.ask(node.query(key, prove=False))


async def test_state_and_results_are_those_of_the_embedded_engine(tmp_path: Path) -> None:
    """The embedded engine's blocks, decided by hand: the same app hashes and results hashes at each height."""
    home, clock = tmp_path / "embedded", ManualClock(START_MS / 1000 + 1)
    init_home(home, CHAIN, assets=ASSETS, accounts=ACCOUNTS, time_ns=START_MS * 1_000_000)
    other = make_home(tmp_path / "network")
    (other / "config" / "genesis.json").write_bytes((home / "genesis.json").read_bytes())
    engine = await open_engine(home, clock)
    async with serving(other, clock) as driver:
        for batch in ((transfer(0),), (), (transfer(1), transfer(2, 10**9)), (transfer(3),)):
            await clock.advance(1)
            for raw in batch:
                engine.submit(raw)
            made = await engine.produce_block()
            finalized = await driver.ask(node.finalize_block(made.block.txs, made.height, made.block_id.hash))
            await driver.ask(node.commit())
            assert finalized[5] == [made.stored.app_hash]
            assert codes(finalized) == [result.code for result in made.results]
            # As CometBFT hashes what it was answered.
            assert merkle.root([deterministic_part(raw) for raw in finalized[2]]) == made.stored.results_hash
    await engine.close()
