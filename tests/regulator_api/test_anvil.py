"""A follower over a real EVM chain: locks, a reorg made by the node itself, conservation against the contract."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from core.model.facts import LockStatus
from core.model.types import BaseUnits, Height, LockTerms, Preimage, Seconds
from core.runtime.clock import ManualClock
from core.runtime.database import open_database
from indexer import store
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections.locks import lock_by_id
from regulator_api.service import SupervisedChain
from tests.adapters.evm.harness import CHAIN, evm_harness
from tests.indexer.truth import all_facts, replay
from tests.regulator_api.api import prepare, serving


async def test_a_lock_is_followed_through_a_reorg(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/index.sqlite")
    await prepare(database)
    clock = ManualClock()
    async with evm_harness() as evm:
        access, signal = evm.access, FactSignal()
        follower = Follower(access.parameters, access.heads, access.blocks, database, signal, clock, Height(0))
        await follower.open()
        sender, receiver = await evm.account(), await evm.account()
        head = (await access.heads.head()).head
        preimage = Preimage(b"\5" * 32)
        for asset in evm.assets:
            terms = LockTerms(
                asset,
                BaseUnits(1_000),
                sender.account,
                receiver.account,
                preimage.hashlock(),
                head.time.plus(Seconds(1_000)),
            )
            needed = await access.legs.prepare(terms)
            if needed is not None:
                await evm.send(sender, needed)
            lock_id = await access.legs.lock_id(terms)
            await evm.send(sender, access.legs.lock(terms, lock_id))
        await evm.advance(3)
        await follower.catch_up(await access.heads.head())
        found = await database.read(lambda c: lock_by_id(c, CHAIN, lock_id))
        assert found is not None
        assert found.terms == terms
        claim = access.legs.claim(terms, lock_id, preimage, receiver.account)
        await evm.send(receiver, claim)
        await follower.catch_up(await access.heads.head())
        found = await database.read(lambda c: lock_by_id(c, CHAIN, lock_id))
        assert found is not None
        assert (found.status, found.preimage) == (LockStatus.CLAIMED, preimage.expose())
        await evm.reorg(1)
        await follower.catch_up(await access.heads.head())
        found = await database.read(lambda c: lock_by_id(c, CHAIN, lock_id))
        assert found is not None
        assert found == replace(found, status=LockStatus.LOCKED, settled=None, preimage=None)
        chains, _ = replay(await database.read(all_facts))
        tip = (await access.heads.head()).head
        assert chains[CHAIN][-1].header == tip
        assert chains[CHAIN] == list(await access.blocks.blocks(Height(0), tip.height))
        assert follower.status.ready
        await evm.advance(2)
        await follower.catch_up(await access.heads.head())
        async with serving(database, [SupervisedChain(access.parameters, None, access.state)], clock) as api:
            for asset in evm.assets:
                answer = await api.get(f"/v1/assets/{quote(asset, safe='')}/conservation")
                assert answer["ok"]
                assert answer["open"] == {"count": 1, "base_units": "1000"}
                assert answer["holder_balance"] == "1000"
                assert answer["holder"] == access.parameters.htlc_holder
        (row,) = await database.read(store.chain_rows)
        assert row.alarms == 0
    await database.close()
