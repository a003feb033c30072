"""The embedded engine: blocks a light client accepts, states that can be proven, restarts that lose nothing."""

import asyncio
import hashlib
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.model.consortium import (
    AccountLeaf,
    Claim,
    Lock,
    Refund,
    ResultCode,
    Transfer,
    WriteRecord,
    account_key,
    decode_clock,
    decode_leaf,
    locks_of,
    quantity,
    record_key,
    sequence_count_key,
    sequence_key,
    transaction_hash,
)
from core.model.errors import FatalError, NotFoundError, RejectedError, RetryableError
from core.proofs.cometbft import hashing
from core.proofs.cometbft.encoding import encode_block
from core.proofs.cometbft.json import block_from_json, commit_from_json
from core.proofs.cometbft.light_client import LightClientPolicy, TrustedState, trust, update_trusted, verify_hash_link
from core.proofs.cometbft.types import (
    BlockIdFlag,
    CommitSig,
    KeyKind,
    LightBlock,
    SignedHeader,
    Timestamp,
    TxResult,
)
from core.proofs.errors import InsufficientPowerError, InvalidCommitError
from core.proofs.smt import verify_absence, verify_inclusion
from core.runtime.clock import ManualClock
from local_chains.consortium.engine.embedded import EmbeddedEngine, Pace, open_engine
from local_chains.consortium.engine.feed import MAX_PENDING_BLOCKS, CommittedBlock
from local_chains.consortium.engine.home import DATABASE_FILE, init_home
from local_chains.consortium.engine.mempool import MAX_TRANSACTIONS, AlreadySeenError, MempoolFullError
from local_chains.consortium.engine.proposal import median_time
from local_chains.consortium.engine.rendering import decode
from local_chains.consortium.engine.rotation import first_turn, next_turn
from local_chains.consortium.node import ConsortiumNode
from local_chains.consortium.state import ledger_state, store
from local_chains.consortium.state.store import PROOF_HEIGHTS, PROOF_WRITES
from tests.local_chains.consortium.support import (
    ACCOUNTS,
    ANN,
    ASSETS,
    BEN,
    CHAIN,
    START_S,
    Actor,
    replayed_app_hash,
)
from tests.support import eventually

POLICY = LightClientPolicy(trusting_period_ns=10**18, max_clock_drift_ns=10**10)
NOW = Timestamp(START_S + 10**6)


def make_home(path: Path, kind: KeyKind = KeyKind.SECP256K1_ETH, validators: int = 4) -> Path:
    init_home(path / "chain", CHAIN, validators, kind, ASSETS, ACCOUNTS, time_ns=START_S * 10**9)
    return path / "chain"


async def started(home: Path, clock: ManualClock | None = None) -> tuple[EmbeddedEngine, ManualClock]:
    clock = clock or ManualClock(START_S + 1)
    return await open_engine(home, clock), clock


async def block_after(engine: EmbeddedEngine, clock: ManualClock, seconds: float = 1.0) -> CommittedBlock:
    await clock.advance(seconds)
    return await engine.produce_block()


def pay(sequence: int, amount: int = 1) -> bytes:
    return ANN.signed(sequence, Transfer("cnyd", BEN.address, quantity(amount)))


async def light_block(engine: EmbeddedEngine, height: int) -> LightBlock:
    stored = await engine.store.block(height)
    validators, following = await engine.validators(height), await engine.validators(height + 1)
    assert stored is not None
    assert validators is not None
    header = block_from_json(decode(stored.block)["block"]).header
    return LightBlock(SignedHeader(header, commit_from_json(decode(stored.commit))), validators, following)


@pytest.mark.parametrize("kind", list(KeyKind))
async def test_a_light_client_follows_the_chain(tmp_path: Path, kind: KeyKind) -> None:
    engine, clock = await started(make_home(tmp_path, kind))
    for sequence in range(6):
        assert engine.submit(pay(sequence)).code is ResultCode.OK
        await block_after(engine, clock)
    first = await light_block(engine, 1)
    by_each: TrustedState = trust(first)
    for height in range(2, 7):
        by_each = update_trusted(by_each, await light_block(engine, height), NOW, POLICY)
    by_leap = update_trusted(trust(first), await light_block(engine, 6), NOW, POLICY)
    assert by_leap.header == by_each.header
    await engine.close()


async def test_a_light_client_refuses_what_the_chain_did_not_sign(tmp_path: Path) -> None:
    engine, clock = await started(make_home(tmp_path))
    await engine.produce_block()
    await block_after(engine, clock)
    trusted, honest = trust(await light_block(engine, 1)), await light_block(engine, 2)
    entries = honest.commit.signatures
    # A signature that does not hold counts as absent, and two of four are too few.
    swapped = (replace(entries[0], signature=entries[1].signature), *entries[1:3], CommitSig.absent())
    misplaced = (entries[1], entries[0], *entries[2:])
    two = (*entries[:2], CommitSig.absent(), CommitSig.absent())
    for signatures, error in (
        (swapped, InsufficientPowerError),
        (misplaced, InvalidCommitError),
        (two, InsufficientPowerError),
    ):
        commit = replace(honest.commit, signatures=signatures)
        forged = LightBlock(SignedHeader(honest.header, commit), honest.validators, honest.next_validators)
        with pytest.raises(error):
            update_trusted(trusted, forged, NOW, POLICY)
    await engine.close()


async def test_every_hash_in_every_header_is_of_what_it_says(tmp_path: Path) -> None:
    engine, clock = await started(make_home(tmp_path))
    made = []
    for height in range(1, 8):
        if height % 2:
            engine.submit(pay(height // 2))
        made.append(await block_after(engine, clock))
    assert made[0].block.header.time == engine.genesis.time
    turn = first_turn(engine.genesis.validators)
    for before, now in zip([None, *made], made, strict=False):
        header = now.block.header
        assert now.block_id == hashing.block_id(now.block)
        assert header.data_hash == hashing.data_hash(now.block.txs)
        assert header.validators_hash == hashing.validator_set_hash(engine.genesis.validators)
        assert header.last_commit_hash == hashing.commit_hash(now.block.last_commit)
        assert header.proposer_address == turn.proposer.address
        assert now.stored.size == len(encode_block(now.block))
        if before is not None:
            assert now.block.last_commit == before.commit
            assert header.last_block_id == before.block_id
            assert header.app_hash == before.stored.app_hash
            results = [TxResult(code=int(one.code), gas_wanted=one.cost, gas_used=one.cost) for one in before.results]
            assert header.last_results_hash == hashing.results_hash(results)
            assert header.time == median_time(before.commit, engine.genesis.validators) > before.block.header.time
            verify_hash_link(header, before.block.header)
        turn = next_turn(turn.validators)
    await engine.close()


async def test_state_is_proven_by_the_header_after_it(tmp_path: Path) -> None:
    engine, clock = await started(make_home(tmp_path))
    await engine.produce_block()
    heights = {}
    for sequence in range(5):
        engine.submit(pay(sequence))
        heights[(await block_after(engine, clock)).height] = 50 + sequence + 1
    await block_after(engine, clock)
    for height, balance in heights.items():
        app_hash = (await light_block(engine, height + 1)).header.app_hash
        leaf, proof = await engine.query(account_key(BEN.address), height)
        assert leaf is not None
        assert decode_leaf(leaf, AccountLeaf).balances == (("cnyd", quantity(balance)),)
        verify_inclusion(app_hash, account_key(BEN.address), leaf, proof)
        nobody = account_key(b"n" * 20)
        leaf, proof = await engine.query(nobody, height)
        assert leaf is None
        verify_absence(app_hash, nobody, proof)
    await engine.close()


async def test_a_list_proves_at_every_height_that_it_is_complete(tmp_path: Path) -> None:
    engine, clock = await started(make_home(tmp_path))
    await engine.produce_block()
    hashlocks = [hashlib.sha256(bytes([number])).digest() for number in range(3)]
    for sequence, hashlock in enumerate(hashlocks):
        engine.submit(ANN.signed(sequence, Lock("cnyd", quantity(1), BEN.address, hashlock, START_S + 1_000)))
        await block_after(engine, clock)
    await block_after(engine, clock)
    mine = locks_of(ANN.address)
    for height in range(1, 5):
        app_hash = (await light_block(engine, height + 1)).header.app_hash
        raw, proof = await engine.query(sequence_count_key(mine), height)
        if raw is None:
            verify_absence(app_hash, sequence_count_key(mine), proof)
        else:
            verify_inclusion(app_hash, sequence_count_key(mine), raw, proof)
        count = int.from_bytes(raw or b"", "big")
        assert count == height - 1
        for place, hashlock in enumerate(hashlocks[:count], start=1):
            leaf, proof = await engine.query(sequence_key(mine, place), height)
            assert leaf == hashlock
            verify_inclusion(app_hash, sequence_key(mine, place), leaf, proof)
    await engine.close()


async def test_older_states_are_proven_from_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_state, "KEPT_ROOTS", 2)
    home = make_home(tmp_path)
    engine, clock = await started(home)
    key = record_key("log", "a", 1)
    await engine.produce_block()
    engine.submit(ANN.signed(0, WriteRecord("log", "a", b"1"), Transfer("cnyd", BEN.address, quantity(7))))
    for _ in range(6):
        await block_after(engine, clock)
    assert await prove_all(engine, key) == 6
    await engine.close()
    again, _ = await started(home, clock)
    assert await prove_all(again, key) == 6
    await again.close()


async def prove_all(engine: EmbeddedEngine, key: bytes) -> int:
    """Prove a record written in block 2, and an account changed there, at every height up to the last but one.

    Return how many heights those are.
    """
    for height in range(1, engine.tip.height):
        app_hash = (await light_block(engine, height + 1)).header.app_hash
        leaf, proof = await engine.query(key, height)
        if height == 1:
            assert leaf is None
            verify_absence(app_hash, key, proof)
        else:
            assert leaf is not None
            verify_inclusion(app_hash, key, leaf, proof)
        balance, proof = await engine.query(account_key(BEN.address), height)
        assert balance is not None
        assert decode_leaf(balance, AccountLeaf).balances == (("cnyd", quantity(50 if height == 1 else 57)),)
        verify_inclusion(app_hash, account_key(BEN.address), balance, proof)
    return engine.tip.height - 1


async def test_states_too_old_or_not_there_yet_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home(tmp_path)
    engine, clock = await started(home)
    monkeypatch.setattr(store, "PROOF_HEIGHTS", 3)
    for _ in range(6):
        await block_after(engine, clock)
    for _ in range(2):
        for height in (7, 3, -1):
            with pytest.raises(NotFoundError):
                await engine.query(b"clock", height)
        assert (await engine.query(b"clock", 4))[0]
        await engine.close()
        engine, clock = await started(home, clock)
    await engine.close()
    assert PROOF_HEIGHTS == 4_000


async def test_many_writes_make_states_too_old_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, clock = await started(make_home(tmp_path))
    monkeypatch.setattr(store, "PROOF_WRITES", 7)
    for sequence in range(5):
        engine.submit(pay(sequence))
        await block_after(engine, clock)
    # Each block writes three leaves: the clock and two accounts.
    assert (await engine.query(b"clock", 3))[0]
    with pytest.raises(NotFoundError):
        await engine.query(b"clock", 2)
    assert PROOF_WRITES == 1_000_000
    await engine.close()


async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    engine, clock = await started(home)
    for sequence in range(3):
        engine.submit(pay(sequence))
        await block_after(engine, clock)
    tip = engine.tip
    await engine.close()
    again, _ = await started(home, clock)
    assert again.tip == tip
    assert again.state.app_hash == tip.app_hash
    again.submit(pay(3))
    await block_after(again, clock)
    update_trusted(trust(await light_block(again, 1)), await light_block(again, 4), NOW, POLICY)
    assert await replayed_app_hash(again) == again.state.app_hash
    await again.close()


async def test_a_claim_after_a_halt_across_its_timelock_is_refused(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    engine, clock = await started(home)
    preimage = b"s" * 32
    hashlock = hashlib.sha256(preimage).digest()
    timelock = START_S + 60
    engine.submit(ANN.signed(0, Lock("cnyd", quantity(9), BEN.address, hashlock, timelock)))
    await block_after(engine, clock)
    await engine.close()
    await clock.advance(50)
    engine, _ = await started(home, clock)
    # Broadcast in time, but no block before the timelock.
    assert engine.submit(BEN.signed(0, Claim(ANN.address, preimage))).code is ResultCode.OK
    made = await block_after(engine, clock, 3_600)
    assert made.block.header.time.seconds < timelock, "the header's time is stale, as CometBFT's would be"
    assert decode_clock(made.block.txs[0]) // 1000 > timelock
    assert made.results[1].code is ResultCode.TOO_LATE
    assert engine.submit(BEN.signed(1, Claim(ANN.address, preimage))).code is ResultCode.TOO_LATE
    assert engine.submit(BEN.signed(1, Refund(ANN.address, hashlock))).code is ResultCode.OK
    assert (await block_after(engine, clock)).results[1].code is ResultCode.OK
    await engine.close()


async def test_a_clock_set_back_stops_blocks_until_it_has_caught_up(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    engine, clock = await started(home)
    await block_after(engine, clock, 100)
    await engine.close()
    engine, behind = await started(home, ManualClock(START_S + 50))
    with pytest.raises(RetryableError, match="clock"):
        await engine.produce_block()
    await behind.advance(45)
    made = await engine.produce_block()
    assert decode_clock(made.block.txs[0]) == (START_S + 101) * 1000 + 1
    await engine.close()


async def test_block_time_rises_even_if_the_machines_clock_does_not(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    engine, clock = await started(home)
    before = (await block_after(engine, clock, 10)).block.header.time
    await engine.close()
    engine, _ = await started(home, ManualClock(clock.now() - 5))
    for _ in range(4):
        made = await engine.produce_block()
        assert made.block.header.time > before
        before = made.block.header.time
    await engine.close()


async def test_one_home_is_run_by_one_process(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    engine, _ = await started(home)
    with pytest.raises(RejectedError, match="another process"):
        await started(home)
    await engine.close()
    engine, _ = await started(home)
    await engine.close()
    with pytest.raises(FatalError):
        await engine.produce_block()


async def test_a_home_whose_database_is_another_chain_s_is_refused(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    engine, _ = await started(home)
    await engine.produce_block()
    await engine.close()
    genesis = home / "genesis.json"
    genesis.write_bytes(genesis.read_bytes().replace(b"test-1", b"test-2"))
    with pytest.raises(FatalError, match="another genesis file"):
        await started(home)


async def test_a_home_with_too_few_keys_is_refused(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    for index in (0, 1):
        (home / f"validators/{index}/priv_validator_key.json").unlink()
    with pytest.raises(RejectedError, match="⅔"):
        await started(home)


async def test_three_of_four_validators_make_a_commit(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    (home / "validators/2/priv_validator_key.json").unlink()
    engine, clock = await started(home)
    await engine.produce_block()
    made = await block_after(engine, clock)
    assert sum(entry.flag is BlockIdFlag.ABSENT for entry in made.commit.signatures) == 1
    update_trusted(trust(await light_block(engine, 1)), await light_block(engine, 2), NOW, POLICY)
    await engine.close()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("UPDATE state SET leaf = zeroblob(8) WHERE key = CAST('members/operators' AS BLOB)", "app hash"),
        ("DELETE FROM redo", "app hash"),
        ("UPDATE redo SET leaves = zeroblob(8)", "damaged"),
    ],
)
async def test_a_damaged_state_is_not_run(tmp_path: Path, damage: str, reason: str) -> None:
    home = make_home(tmp_path)
    engine, _ = await started(home)
    await engine.produce_block()
    await engine.close()
    with sqlite3.connect(home / DATABASE_FILE) as connection:
        assert connection.execute(damage).rowcount == 1
    connection.close()
    with pytest.raises(FatalError, match=reason):
        await started(home)


async def test_a_block_that_cannot_be_stored_was_never_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, clock = await started(make_home(tmp_path))
    await engine.produce_block()
    heard = engine.feed.listen()
    engine.submit(pay(0))
    before = engine.tip
    with monkeypatch.context() as patched:
        patched.setattr(engine.store, "append", failing(RetryableError("busy")))
        with pytest.raises(RetryableError):
            await block_after(engine, clock)
    assert engine.tip == before
    made = await block_after(engine, clock)
    assert made.results[1].code is ResultCode.OK
    assert await heard.next() == made
    monkeypatch.setattr(engine.store, "append", failing(FatalError("disk full")))
    for message in ("disk full", "has ended"):
        with pytest.raises(FatalError, match=message):
            await block_after(engine, clock)
    assert engine.tip.height == made.height
    await engine.close()


def failing(error: Exception) -> Callable[..., Awaitable[None]]:
    async def fail(*_: object) -> None:
        raise error

    return fail


async def test_a_node_whose_engine_died_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home(tmp_path)
    with pytest.raises(FatalError, match="disk full"):
        async with ConsortiumNode(home) as node:
            await eventually(lambda: node.engine.tip.height)
            monkeypatch.setattr(node.engine.store, "append", failing(FatalError("disk full")))
            with pytest.raises(FatalError, match="disk full"):
                await node.wait()
            with pytest.raises(RetryableError):
                await node.engine.feed.listen().next()


async def test_transaction_on_demand_makes_its_block_and_a_proving_one(tmp_path: Path) -> None:
    async with ConsortiumNode(make_home(tmp_path), pace=Pace(interval_s=None, min_delay_s=0.0)) as node:
        heard = node.engine.feed.listen()
        await eventually(lambda: node.engine.tip.height)
        for sequence in range(3):
            node.engine.submit(pay(sequence))
            async with asyncio.timeout(10):
                while len((made := await heard.next()).block.txs) == 1:
                    pass
                proof = await heard.next()
            # Block 1 came by itself; then each transaction's block and its proof follow each other.
            assert made.height == 2 * sequence + 2
            assert len(proof.block.txs) == 1
            assert proof.block.header.app_hash == made.stored.app_hash


# --- mempool and feed ---


async def test_mempool_keeps_an_accounts_order_and_refuses_repeats(tmp_path: Path) -> None:
    engine, clock = await started(make_home(tmp_path))
    for sequence in range(3):
        assert engine.submit(pay(sequence)).code is ResultCode.OK
    assert engine.submit(pay(4)).code is ResultCode.WRONG_SEQUENCE
    with pytest.raises(AlreadySeenError):
        engine.submit(pay(0))
    made = await block_after(engine, clock)
    assert [result.code for result in made.results] == [ResultCode.OK] * 4
    assert len(engine.mempool) == engine.mempool.size_bytes == 0
    with pytest.raises(AlreadySeenError):
        engine.submit(pay(0))
    place = await engine.store.transaction(transaction_hash(pay(1)))
    assert place == (made.height, 2)
    await engine.close()


async def test_void_transaction_leaves_the_mempool_and_may_come_again(tmp_path: Path) -> None:
    engine, clock = await started(make_home(tmp_path))
    await engine.produce_block()
    raw = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(1)), expiry=2)
    engine.mempool.reap = lambda max_bytes: []  # type: ignore[method-assign]
    assert engine.submit(raw).code is ResultCode.OK
    await block_after(engine, clock)
    assert len(engine.mempool) == 0
    assert engine.submit(raw).code is ResultCode.EXPIRED
    await engine.close()


async def test_the_mempool_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_chains.consortium.engine.mempool.MAX_TRANSACTIONS", 2)
    engine, _ = await started(make_home(tmp_path))
    engine.submit(pay(0))
    engine.submit(pay(1))
    with pytest.raises(MempoolFullError):
        engine.submit(pay(2))
    # Its signature, which other processes have verified, is not remembered either.
    refused = await engine.admit([pay(sequence) for sequence in range(2, 22)])
    assert {type(one) for one in refused} == {MempoolFullError}
    assert set(engine._signatures._verified) == {pay(0), pay(1)}
    assert MAX_TRANSACTIONS == 20_000
    await engine.close()


async def test_exits_have_room_in_a_full_mempool_and_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, clock = await started(make_home(tmp_path))
    preimages = [bytes([number]) * 32 for number in (1, 2)]
    timelock = int(clock.now()) + 600
    first, second = [
        Lock("cnyd", quantity(1), BEN.address, hashlib.sha256(preimage).digest(), timelock) for preimage in preimages
    ]
    assert engine.submit(ANN.signed(0, first)).code is ResultCode.OK
    await block_after(engine, clock)
    monkeypatch.setattr("local_chains.consortium.engine.mempool.MAX_TRANSACTIONS", 3)
    waiting = [pay(1), pay(2), ANN.signed(3, second)]
    for raw in waiting:
        assert engine.submit(raw).code is ResultCode.OK
    with pytest.raises(MempoolFullError):
        engine.submit(pay(4))
    claims = [Actor("one").signed(0, Claim(ANN.address, preimages[0]))]
    assert engine.submit(claims[0]).code is ResultCode.OK
    with pytest.raises(MempoolFullError):
        engine.submit(Actor("two").signed(0, Claim(ANN.address, preimages[1])))
    made = await block_after(engine, clock)
    assert list(made.block.txs[1:]) == [*claims, *waiting]
    assert {result.code for result in made.results} == {ResultCode.OK}
    # Its lock is in the state now, so it is an exit.
    claims = [Actor("two").signed(0, Claim(ANN.address, preimages[1]))]
    for sequence in (4, 5, 6):
        assert engine.submit(pay(sequence)).code is ResultCode.OK
    assert engine.submit(claims[0]).code is ResultCode.OK
    assert (await block_after(engine, clock)).block.txs[1] == claims[0]
    await engine.close()


async def test_a_block_takes_no_more_than_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_chains.consortium.engine.embedded.MAX_BLOCK_BYTES", 4_000)
    engine, clock = await started(make_home(tmp_path))
    for sequence in range(20):
        engine.submit(pay(sequence))
    sizes = []
    while len(engine.mempool):
        made = await block_after(engine, clock)
        sizes.append(made.stored.size)
        assert all(result.code is ResultCode.OK for result in made.results)
    assert len(sizes) > 1
    assert max(sizes) <= 4_000
    await engine.close()


async def test_a_listener_that_falls_behind_is_cut_off(tmp_path: Path) -> None:
    engine, _ = await started(make_home(tmp_path))
    slow = engine.feed.listen()
    made = await engine.produce_block()
    for _ in range(MAX_PENDING_BLOCKS):
        engine.feed.publish(made)
    heard = 0
    with pytest.raises(RetryableError):
        while True:
            await slow.next()
            heard += 1
    assert heard == MAX_PENDING_BLOCKS
    await engine.close()
