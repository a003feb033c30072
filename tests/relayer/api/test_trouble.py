"""Locked and full databases, silent chains, slow readers: a clear answer, and nothing is lost or locked for nothing."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from core.model.errors import FatalError, RetryableError
from core.model.types import SwapId
from core.runtime import database
from core.runtime.database import SqliteDatabase
from htlc.model import Phase
from relayer.api import updates
from relayer.api.updates import EVERY_SWAP, Broadcaster, Listener
from relayer.client import RelayerApi, SwapStore
from relayer.provider.desk import SwapView
from tests.relayer.api.test_api import opening, quoted
from tests.relayer.api.world import ApiWorld, run_fast, served
from tests.relayer.client.world import World, play
from tests.relayer.house import COIN, A, B


def test_relayer_with_locked_database_says_try_again_then_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 300)
    path = tmp_path / "relayer.sqlite"

    async def story() -> None:
        world = ApiWorld()
        world.database = SqliteDatabase(f"sqlite:///{path}")
        async with world.served():
            call = opening(world, await quoted(world))
            holder = sqlite3.connect(path, isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(RetryableError, match="locked"):
                await world.api.open_swap(call)
            holder.execute("ROLLBACK")
            holder.close()
            opened = await world.api.open_swap(call)
            assert [swap.id for swap in await world.api.swaps()] == [opened.id]
        await world.database.close()

    run_fast(story())


def test_client_whose_store_is_locked_or_full_agrees_on_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 300)
    path = tmp_path / "client.sqlite"

    async def story(world: ApiWorld) -> None:
        world.store = SwapStore.file(path)
        async with world.client(world.api) as client:
            quote = await client.quote(COIN[A], COIN[B], initiator_amount=1000)
            holder = sqlite3.connect(path, isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(RetryableError, match="locked"):
                await client.open(quote)
            assert await world.api.swaps() == []
            holder.execute("ROLLBACK")
            holder.close()
            swap = await client.open(quote)
            assert (await world.api.swap(swap.id)).phase is Phase.AGREED
        await world.store.close()

        full = SwapStore.file(tmp_path / "full.sqlite")
        await full.prepare()
        world.store = full
        client = world.client(world.api)
        quote = await client.quote(COIN[A], COIN[B], initiator_amount=1000)
        pages = await full.database.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
        await full.database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(FatalError, match="full"):
            for _ in range(100):  # the pages that are there may have room for some
                await client.open(quote)
                quote = await client.quote(COIN[A], COIN[B], initiator_amount=1000)
        agreed = {one.id for one in await full.swaps()} | {swap.id}
        told = await world.api.swaps()
        assert agreed <= {body.id for body in told}
        assert {body.phase for body in told} == {Phase.AGREED}
        await full.close()

    served(story)


def test_a_chain_that_falls_silent_stops_quotes_until_it_is_back() -> None:
    async def story(world: ApiWorld) -> None:
        await quoted(world)
        world.endpoints[B].dead_heads = True
        await world.clock.sleep(8)
        with pytest.raises(RetryableError) as refused:
            await quoted(world)
        assert refused.value.fields["problem"] == "clock-skew"
        world.endpoints[B].dead_heads = False
        await world.clock.sleep(3)
        await quoted(world)

    served(story)


def test_relayer_gone_before_agreement_leaves_nothing_locked() -> None:
    async def story() -> None:
        world = ApiWorld()
        async with world.served():
            address = world.address
        world.told.clear()
        async with RelayerApi(address) as api, world.client(api) as client:
            with pytest.raises(RetryableError, match="does not answer"):
                await client.quote(COIN[A], COIN[B], initiator_amount=1000)
            assert await client.swaps() == []

    run_fast(story())


async def views(world: World) -> list[SwapView]:
    """A swap as it was agreed, and as it ended."""
    async with world.client() as client:
        swap = await world.agreed(client)
        before = await world.service.desk.swap(swap.id)
        await client.run(swap)
    return [before, await world.phase(swap.id, Phase.COMPLETED)]


def test_slow_reader_gets_the_newest_view_never_an_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        old, new = await views(world)
        listener = Listener()
        listener.offer(old)
        listener.swaps[old.id] = None
        for view in (old, new, old):
            listener.offer(view)
        assert await listener.next() == [new]
        listener.offer(old)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(listener.next(), 1)

        monkeypatch.setattr(updates, "MAX_WAITING", 2)
        greedy = Listener()
        greedy.swaps[EVERY_SWAP] = None
        for number in range(3):
            assert not greedy.overrun
            greedy.offer(_named(new, number))
        assert greedy.overrun
        await world.stop()

    play(story())


def test_swap_that_cannot_be_read_ends_no_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        desk, listener = world.service.desk, Listener()
        listener.swaps[EVERY_SWAP] = None
        broadcaster = Broadcaster(desk, world.clock)
        broadcaster.join(listener)
        reading = asyncio.create_task(broadcaster.run())
        read, failed = desk.swap, asyncio.Event()

        async def swap(swap_id: SwapId) -> SwapView:
            if asyncio.current_task() is reading and not failed.is_set():
                failed.set()
                raise ValueError("this state cannot be read")
            return await read(swap_id)

        monkeypatch.setattr(desk, "swap", swap)
        await asyncio.sleep(0)
        _, ended = await views(world)
        assert failed.is_set()
        async with asyncio.timeout(60):
            while ended not in await listener.next():
                pass
        reading.cancel()
        await world.stop()

    play(story())


def _named(view: SwapView, number: int) -> SwapView:
    return replace(view, id=SwapId(f"{number:032x}"))
