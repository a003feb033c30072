"""Signature checks in other processes: the same answers as here, in order, whatever becomes of the processes."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest_asyncio

from core.model.consortium import Transfer, quantity
from local_chains.consortium.engine.verification import CHUNK, MIN_POOLED, SignaturePool
from local_chains.consortium.ledger.signatures import verify_all
from tests.local_chains.consortium.support import ANN, BEN


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[SignaturePool]:
    made = SignaturePool(workers=2)
    yield made
    await made.close()


def batch(seed: int, size: int) -> list[bytes]:
    """Transactions, about a third of them with a flipped bit somewhere."""
    rng = random.Random(seed)
    made = []
    for sequence in range(size):
        raw = bytearray(ANN.signed(sequence, Transfer("cnyd", BEN.address, quantity(rng.randint(1, 9)))))
        if rng.random() < 1 / 3:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        made.append(bytes(raw))
    return made


async def test_batches_side_by_side_get_their_own_answers(pool: SignaturePool) -> None:
    batches = [batch(seed, size) for seed, size in enumerate((MIN_POOLED - 1, CHUNK * 3 + 1, CHUNK, 500, MIN_POOLED))]
    answers = await asyncio.gather(*(pool.verify(one) for one in batches))
    assert answers == [verify_all(one) for one in batches]
    assert len(pool._workers) == 2


async def test_a_process_that_dies_costs_time_and_no_wrong_answer(pool: SignaturePool) -> None:
    batches = [batch(seed, CHUNK * 4) for seed in range(6)]
    await pool.verify(batches[0])
    asking = [asyncio.create_task(pool.verify(one)) for one in batches]
    await asyncio.sleep(0)
    pool._workers[0]._process.kill()
    assert [await one for one in asking] == [verify_all(one) for one in batches]
    assert await pool.verify(batches[1]) == verify_all(batches[1])


async def test_who_gives_up_takes_nobody_s_answer_away(pool: SignaturePool) -> None:
    """Whenever that is: while he waits for a process, writes to it, or waits for its answer."""
    batches = [batch(seed, CHUNK * 3) for seed in range(4)]
    expected = [verify_all(one) for one in batches]
    await pool.verify(batches[0])
    for moment in range(60):
        asking = [asyncio.create_task(pool.verify(one)) for one in batches]
        for _ in range(moment):
            await asyncio.sleep(0.0002)
        asking[1].cancel()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert answers[1] == expected[1] or isinstance(answers[1], asyncio.CancelledError)
        assert [answers[0], *answers[2:]] == [expected[0], *expected[2:]]
    assert pool._wanted == 2, "nothing happened to the processes"
