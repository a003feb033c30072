"""Signature checks in other processes: the same answers as here, in order, whatever becomes of the processes."""

import asyncio
import errno
import gc
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from core.model.consortium import ResultCode, Transfer, quantity
from core.model.errors import RetryableError
from local_chains.consortium.engine import intake
from local_chains.consortium.engine.embedded import open_engine
from local_chains.consortium.engine.home import init_home
from local_chains.consortium.engine.mempool import MempoolFullError
from local_chains.consortium.engine.verification import CHUNK, MIN_POOLED, SignaturePool
from local_chains.consortium.ledger.signatures import verify_all
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, BEN, CHAIN


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


async def test_a_process_that_dies_leaves_no_failure_unseen() -> None:
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    many = batch(0, CHUNK * 12)
    for moment in range(12):
        pool = SignaturePool(workers=1)
        await pool.verify(many[:MIN_POOLED])
        asking = asyncio.create_task(pool.verify(many))
        for _ in range(moment // 3):
            await asyncio.sleep(0)
        pool._workers[0]._process.kill()
        assert await asking == verify_all(many)
        await pool.close()
        del pool
        gc.collect()
    assert unseen == []


async def test_who_gives_up_takes_nobody_s_answer_away(pool: SignaturePool) -> None:
    """Whenever that is: while waiting for a process, writing to it, or waiting for its answer."""
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


async def test_uncheckable_admissions_say_so_and_the_next_are_checked(tmp_path: Path) -> None:
    """Nobody who was not cancelled sees a cancellation."""
    init_home(tmp_path / "chain", CHAIN, assets=ASSETS, accounts=ACCOUNTS)
    engine = await open_engine(tmp_path / "chain")
    verify, engine._pool.verify = engine._pool.verify, _no_more_files  # type: ignore[method-assign]
    many = [ANN.signed(place, Transfer("cnyd", BEN.address, quantity(1))) for place in range(40)]
    refused = await engine.admit(many)
    assert len(refused) == 40
    assert all(isinstance(one, RetryableError) and "not checked" in one.message for one in refused)
    engine._pool.verify = verify  # type: ignore[method-assign]
    assert [getattr(one, "code", one) for one in await engine.admit(many)] == [ResultCode.OK] * 40
    await engine.close()


async def test_bytes_on_their_way_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init_home(tmp_path / "chain", CHAIN, assets=ASSETS, accounts=ACCOUNTS)
    engine = await open_engine(tmp_path / "chain")
    many = [ANN.signed(place, Transfer("cnyd", BEN.address, quantity(1))) for place in range(40)]
    monkeypatch.setattr(intake, "MAX_WAITING_BYTES", sum(map(len, many)))
    admitting = asyncio.create_task(engine.admit(many))
    await asyncio.sleep(0)
    with pytest.raises(MempoolFullError, match="40 transactions of"):
        await engine.admit([b"x"])
    assert [getattr(one, "code", one) for one in await admitting] == [ResultCode.OK] * 40
    with pytest.raises(MempoolFullError, match="0 transactions of 0 bytes"):
        await engine.admit([*many, b"x"])
    [refused] = await engine.admit([b"x"])
    assert getattr(refused, "code", None) is ResultCode.MALFORMED
    await engine.close()


async def test_without_files_for_processes_this_one_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "create_subprocess_exec", _no_more_files)
    pool = SignaturePool(2)
    many = [ANN.signed(place, Transfer("cnyd", BEN.address, quantity(1))) for place in range(40)]
    assert await pool.verify([*many, b"nonsense"]) == [True] * 40 + [False]
    await pool.close()


async def _no_more_files(*_: object, **__: object) -> Any:
    raise OSError(errno.EMFILE, "Too many open files")
