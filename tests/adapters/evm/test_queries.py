"""Contracts that ask a consortium chain, on anvil: headers and states are those of our engine, made block by block."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from adapters.evm import light_client
from core.model.consortium import account_key
from core.model.errors import RejectedError
from core.proofs.cometbft.types import BlockIdFlag, CommitSig, KeyKind, LightBlock, SignedHeader
from core.runtime.clock import ManualClock
from local_chains.consortium.engine.embedded import EmbeddedEngine, open_engine
from tests.adapters.evm.query_chain import FEE_WEI, QueryChain, query_chain
from tests.core.proofs.chains import ToyChain, validator_keys
from tests.local_chains.consortium.support import ANN, START_S
from tests.local_chains.consortium.test_validator_changes import add_key, decide, fifth, light_block, make_home

OPEN, DELIVERED, UNDELIVERED, EXPIRED = 1, 2, 3, 4
KEY = account_key(ANN.address)
MISSING = b"records/charity/no-donation"
KIND = KeyKind.SECP256K1_ETH


@pytest.fixture
async def ethereum() -> AsyncIterator[QueryChain]:
    async with query_chain() as chain:
        yield chain


class Consortium:
    """Our engine with four validators, and its home."""

    def __init__(self, engine: EmbeddedEngine, home: Path, clock: ManualClock) -> None:
        self.engine = engine
        self.home = home
        self._clock = clock

    async def make(self, blocks: int) -> None:
        for _ in range(blocks):
            await self._clock.advance(1)
            await self.engine.produce_block()

    async def block(self, height: int) -> LightBlock:
        return await light_block(self.engine, height)


@pytest.fixture
async def consortium(tmp_path: Path) -> AsyncIterator[Consortium]:
    home = make_home(tmp_path, KIND)
    clock = ManualClock(START_S + 1)
    engine = await open_engine(home, clock)
    try:
        yield Consortium(engine, home, clock)
    finally:
        await engine.close()


async def begin(ethereum: QueryChain, consortium: Consortium) -> LightBlock:
    """A light client that trusts the first block."""
    await consortium.make(1)
    first = await consortium.block(1)
    await ethereum.set_up(first)
    return first


async def test_one_transaction_proves_header_and_answers(ethereum: QueryChain, consortium: Consortium) -> None:
    await begin(ethereum, consortium)
    await consortium.make(5)
    block = await consortium.block(6)
    answers = []
    for key in (KEY, MISSING):  # the header's state is that after the block before
        answers.append(await ethereum.answer(key, *await consortium.engine.query(key, 5)))
    before = await ethereum.balance(ethereum.stranger)
    receipt = await ethereum.done(ethereum.queries, light_client.update_and_answer_call(block, answers))
    assert await ethereum.statuses([1, 2]) == [DELIVERED] * 2
    assert await ethereum.heard() == (2, 6, False, b"")
    assert await ethereum.balance(ethereum.queries.address) == 0
    gained = await ethereum.balance(ethereum.stranger) - before
    assert gained == 2 * FEE_WEI - receipt["gasUsed"] * receipt["effectiveGasPrice"]


async def test_further_answer_needs_no_header(ethereum: QueryChain, consortium: Consortium) -> None:
    await begin(ethereum, consortium)
    await consortium.make(2)
    await ethereum.update(await consortium.block(3))
    value, proof = await consortium.engine.query(KEY, 2)
    answer = await ethereum.answer(KEY, value, proof)
    await ethereum.done(ethereum.queries, light_client.answer_call(3, [answer]))
    assert await ethereum.heard() == (1, 3, True, value)
    assert await ethereum.client.functions.isPresent(3, KEY, value, list(proof.siblings)).call()
    assert not await ethereum.client.functions.isAbsent(3, KEY, b"", list(proof.siblings)).call()


async def test_validators_change_and_the_client_follows(ethereum: QueryChain, consortium: Consortium) -> None:
    add_key(consortium.home, KIND)
    await begin(ethereum, consortium)
    decide(consortium.engine, consortium.home, 1, fifth(KIND))
    await consortium.make(6)
    newest, change = await consortium.block(6), await consortium.block(3)
    assert (len(change.validators), len(newest.validators)) == (4, 5)
    text = await ethereum.refused(ethereum.client, light_client.update_call(change))
    assert text.startswith("ValidatorsNotIntroduced(")
    await ethereum.introduce(newest.validators)
    # Nobody has shown that these validators were announced.
    text = await ethereum.refused(ethereum.client, light_client.update_call(newest))
    assert text.startswith("UntrustedValidators(")
    await ethereum.update(change)
    await ethereum.update(newest)
    await ethereum.update(await consortium.block(2))  # an older header of the set that was in force
    for height in (2, 3, 6):
        block = await consortium.block(height)
        assert await ethereum.client.functions.appHashAt(height).call() == block.header.app_hash


def with_entries(block: LightBlock, *entries: CommitSig) -> LightBlock:
    commit = replace(block.commit, signatures=entries)
    return LightBlock(SignedHeader(block.header, commit), block.validators)


async def test_absent_and_bad_signatures_are_left_out(ethereum: QueryChain, consortium: Consortium) -> None:
    await begin(ethereum, consortium)
    await consortium.make(1)
    block = await consortium.block(2)
    first, *others = block.commit.signatures
    bad = replace(first, signature=others[0].signature)
    await ethereum.update(with_entries(block, bad, *others))
    nil = replace(first, flag=BlockIdFlag.NIL)
    with pytest.raises(RejectedError, match="more than two thirds"):
        light_client.update_call(with_entries(block, nil, CommitSig.absent(), *others[1:]))


async def test_blocks_of_many_parts_are_proven(ethereum: QueryChain) -> None:
    keys = [
        replace(key, power=power) for key, power in zip(validator_keys(7), (1, 2, 300, 40, 5, 60_000, 7), strict=True)
    ]
    chain = ToyChain(keys, chain_id="a-chain-with-a-name-of-just-fifty-bytes-1234567890"[:50])
    chain.app_hash = bytes(range(32))
    await ethereum.set_up(chain.produce())
    block = chain.produce(txs=(b"x" * 9_000_000,))
    assert block.commit.block_id.parts.total == 138
    await ethereum.update(block)
    assert await ethereum.client.functions.appHashAt(2).call() == chain.app_hash


async def test_a_bit_of_an_engines_header_is_signed(ethereum: QueryChain, consortium: Consortium) -> None:
    await begin(ethereum, consortium)
    await consortium.make(1)
    good = light_client.update_call(await consortium.block(2))
    header = range(4, 4 + 11 * 32)
    random = Random(7)
    for _ in range(30):
        data = bytearray(good)
        data[random.choice(header)] ^= 1 << random.randrange(8)
        receipt = await ethereum.call(ethereum.client, bytes(data))
        assert receipt["status"] == 0, data.hex()
    await ethereum.done(ethereum.client, good)


async def test_two_headers_of_one_height_freeze_the_client(ethereum: QueryChain) -> None:
    chains = [ToyChain(validator_keys(4)) for _ in range(2)]
    firsts = [chain.produce() for chain in chains]
    assert firsts[0].header == firsts[1].header
    chains[1].app_hash = b"\1" * 32
    await ethereum.set_up(firsts[0])
    one, other = (chain.produce() for chain in chains)
    assert await ethereum.refused(ethereum.client, light_client.freeze_call(one, one)) == "NoContradiction()"
    await ethereum.done(ethereum.client, light_client.freeze_call(one, other))
    assert await ethereum.refused(ethereum.client, light_client.update_call(one)) == "Frozen()"


async def test_a_failed_callback_is_retried(ethereum: QueryChain, consortium: Consortium) -> None:
    await begin(ethereum, consortium)
    await consortium.make(1)
    await ethereum.update(await consortium.block(2))
    value, proof = await consortium.engine.query(KEY, 1)
    question_id, question = await ethereum.ask(KEY, callback_gas=30_000)  # too little to note the answer
    answer = light_client.answer_argument(question_id, question, value, proof)
    await ethereum.done(ethereum.queries, light_client.answer_call(2, [answer]))
    assert await ethereum.statuses([question_id]) == [UNDELIVERED]
    retry = light_client.retry_call(question_id, question, 2, value)
    assert await ethereum.refused(ethereum.queries, retry) == f"CallbackFailed({question_id})"
    wrong = light_client.retry_call(question_id, question, 2, b"another value")
    assert await ethereum.refused(ethereum.queries, wrong) == f"WrongResult({question_id})"


async def test_an_unanswered_fee_comes_back(ethereum: QueryChain, consortium: Consortium) -> None:
    await begin(ethereum, consortium)
    question_id, question = await ethereum.ask(KEY)
    expire = light_client.expire_call(question_id, question)
    assert (await ethereum.refused(ethereum.queries, expire)).startswith("ExpiryTooEarly(")
    await ethereum.set_next_time(await ethereum.now() + 1_001)
    await ethereum.done(ethereum.queries, expire)
    assert await ethereum.statuses([question_id]) == [EXPIRED]
    assert await ethereum.balance(ethereum.asker.address) == FEE_WEI
