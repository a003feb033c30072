"""A chain that forgets its old blocks: what is kept is whole, what is gone is said to be, the state is untouched."""

from pathlib import Path
from typing import Any

import pytest

from core.model.consortium import Transfer, account_key, quantity, transaction_hash
from core.model.errors import NotFoundError
from core.proofs.smt import verify_inclusion
from core.runtime.clock import ManualClock
from local_chains.consortium.engine import embedded
from local_chains.consortium.engine.embedded import EmbeddedEngine, open_engine
from local_chains.consortium.node import init_home
from local_chains.consortium.rpc.errors import RpcError
from local_chains.consortium.rpc.methods import Methods
from local_chains.consortium.state import store
from tests.local_chains.consortium.support import ACCOUNTS, ANN, ASSETS, BEN, CHAIN, START_MS

KEPT = 6


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (store, embedded):
        monkeypatch.setattr(module, "PROOF_HEIGHTS", 5)
        monkeypatch.setattr(module, "MAX_PRUNED", 3)


async def started(home: Path, clock: ManualClock, keep_blocks: int = KEPT) -> EmbeddedEngine:
    return await open_engine(home, clock, keep_blocks=keep_blocks)


async def grow(engine: EmbeddedEngine, clock: ManualClock, first: int, count: int) -> list[bytes]:
    """Make this many blocks with a transfer each."""
    sent = [ANN.signed(first + place, Transfer("cnyd", BEN.address, quantity(1))) for place in range(count)]
    for raw in sent:
        engine.submit(raw)
        await clock.advance(1)
        await engine.produce_block()
    return sent


async def call(engine: EmbeddedEngine, method: str, **arguments: Any) -> Any:
    return await Methods(engine).table[method].answer(arguments)


async def test_old_blocks_go_and_the_rest_stays_whole(tmp_path: Path) -> None:
    home, clock = tmp_path / "chain", ManualClock(START_MS / 1000 + 1)
    init_home(home, CHAIN, assets=ASSETS, accounts=ACCOUNTS, time_ns=START_MS * 1_000_000)
    engine = await started(home, clock)
    sent = await grow(engine, clock, 0, 20)
    before = engine.state.app_hash
    for _ in range(2):
        first = engine.store.first
        assert 20 - KEPT - 3 < first <= 20 - KEPT + 1
        assert await engine.store.heights() == (first, 20)
        for height, raw in enumerate(sent, 1):
            stored, place = await engine.store.block(height), await engine.store.transaction(transaction_hash(raw))
            assert (stored is None) == (place is None) == (height < first)
        with pytest.raises(RpcError, match=f"lowest height is {first}"):
            await call(engine, "block", height=1)
        status = (await call(engine, "status"))["sync_info"]
        assert status["earliest_block_height"] == str(first)
        metas = (await call(engine, "blockchain", minHeight=1, maxHeight=20))["block_metas"]
        assert [int(meta["header"]["height"]) for meta in metas] == list(range(20, first - 1, -1))
        found = await call(engine, "tx_search", query="bank.transfer.amount = 1")
        assert found["total_count"] == str(20 - first + 1)
        found = await call(engine, "block_search", query="block.height > 0")
        assert found["total_count"] == str(20 - first + 1)
        await engine.close()
        engine = await started(home, clock)
    assert engine.state.app_hash == before
    await grow(engine, clock, 20, 1)
    await engine.close()


async def test_state_is_proven_as_far_back_as_blocks_are_kept(tmp_path: Path) -> None:
    home, clock = tmp_path / "chain", ManualClock(START_MS / 1000 + 1)
    init_home(home, CHAIN, assets=ASSETS, accounts=ACCOUNTS, time_ns=START_MS * 1_000_000)
    engine = await started(home, clock, keep_blocks=1)
    await grow(engine, clock, 0, 20)
    for height in range(16, 20):
        stored = await engine.store.block(height)
        assert stored is not None
        leaf, proof = await engine.query(account_key(BEN.address), height)
        assert leaf is not None
        verify_inclusion(stored.app_hash, account_key(BEN.address), leaf, proof)
    with pytest.raises(NotFoundError, match="pruned"):
        await engine.query(b"clock", 10)
    await engine.close()


async def test_bytes_in_two_blocks_are_forgotten_with_the_last(tmp_path: Path) -> None:
    """A replay fails in its block, but it is in it: its place is that of the newer block."""
    chain = store.Store(tmp_path / "chain.sqlite")
    await chain.open(b"g" * 32)
    name = transaction_hash(b"twice")
    for height in range(1, 9):
        block = store.StoredBlock(height, bytes([height]) * 32, 0, b"", b"", b"", b"", b"", b"")
        await chain.append(block, (name,) if height in (1, 7) else (), store.Changes({}, {}))
    assert await chain.prune(4) == 3
    assert await chain.transaction(name) == (7, 0)
    assert [await chain.prune(8), await chain.prune(8), await chain.prune(8)] == [3, 1, 0]
    assert await chain.transaction(name) is None
    await chain.close()


async def test_everything_is_kept_unless_asked_otherwise(tmp_path: Path) -> None:
    home, clock = tmp_path / "chain", ManualClock(START_MS / 1000 + 1)
    init_home(home, CHAIN, assets=ASSETS, accounts=ACCOUNTS, time_ns=START_MS * 1_000_000)
    engine = await started(home, clock, keep_blocks=0)
    await grow(engine, clock, 0, 20)
    assert engine.store.first == 1
    await engine.close()
