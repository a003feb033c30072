"""A client's store that was restored from a copy: what the chains show by now is taken in, nothing is locked twice."""

import asyncio

import pytest

from core.model.errors import RejectedError
from core.model.facts import Locked
from core.model.types import ChainId
from core.runtime.database import InlineDatabase
from htlc.model import Phase
from relayer.client import ClientSwap, SwapStore
from relayer.client.hooks import Hook
from relayer.transactions import accounts, records
from tests.relayer.client.world import Shut, World, play
from tests.relayer.house import A, B


def copied(store: SwapStore) -> SwapStore:
    """The same rows in a database of its own."""
    assert isinstance(store.database, InlineDatabase)
    return SwapStore(store.database.copy())


@pytest.mark.parametrize("first", [A, B])
@pytest.mark.parametrize("pause_s", [0, 30, 300])
def test_a_copy_from_before_the_lock_locks_nothing(first: ChainId, pause_s: int) -> None:
    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client, first)
            copy = copied(world.store)
            assert (await client.run(swap)).phase is Phase.COMPLETED
        await world.clock.sleep(pause_s)
        world.store = copy
        async with world.client(Shut()) as client:
            outcome = await client.run(swap.id)
        assert outcome.phase is Phase.COMPLETED
        assert len(world.made(first, Locked, swap.hashlock)) == 1
        await world.stop()

    play(story())


@pytest.mark.parametrize("first", [A, B])
def test_a_copy_with_its_lock_asked_for_locks_nothing(first: ChainId) -> None:
    """Copied in the moment in which the lock is journalled and not signed."""

    async def story() -> None:
        world = World()
        await world.start()
        copies: list[SwapStore] = []

        async def before_lock(_: object) -> None:
            copies.append(copied(world.store))

        async with world.client() as client:
            swap = await world.agreed(client, first)
            assert (await client.run(swap, before_lock=before_lock)).phase is Phase.COMPLETED
        world.store = copies[0]
        async with world.client(Shut()) as client:
            async with asyncio.timeout(600):
                await client.run(swap.id)
        assert len(world.made(first, Locked, swap.hashlock)) == 1
        await world.stop()

    play(story())


@pytest.mark.parametrize("first", [A, B])
def test_two_copies_at_once_lock_once(first: ChainId) -> None:
    """Both were begun from one copy and run side by side, with one account."""

    async def story() -> None:
        world = World()
        await world.start()
        async with world.client() as client:
            swap = await world.agreed(client, first)
            copy = copied(world.store)
            running = asyncio.ensure_future(client.run(swap))
            await client.locked(swap)
            world.store = copy
            async with world.client(Shut()) as other:
                await other.run(swap.id)
            assert (await running).phase is Phase.COMPLETED
        assert len(world.made(first, Locked, swap.hashlock)) == 1
        await world.stop()

    play(story())


async def with_a_lock_that_went(world: World) -> tuple[ClientSwap, SwapStore]:
    """Return a swap and a copy of the store from before its lock, which a reorg took out."""
    async with world.client() as client:
        swap = await world.agreed(client)
        copy = copied(world.store)
        await client.lock(swap)
        await client.locked(swap)
    world.chains[A].reorg(1, keep=lambda _: False)
    assert not world.made(A, Locked, swap.hashlock)
    return swap, copy


async def uses_one(world: World, copy: SwapStore) -> None:
    """The copy has heard that its account was used once."""
    await copy.database.write(lambda c: accounts.advance(c, A, world.initiator[A].account, 1))


async def ended(
    world: World, swap: ClientSwap, copy: SwapStore, before_lock: Hook | None = None
) -> tuple[Phase, records.TransactionRecord | None]:
    """Run the swap with the copy; return how it ends, and the lock that the copy has signed."""
    world.store = copy
    async with world.client(Shut()) as client:
        outcome = await client.run(swap.id, before_lock=before_lock)
    lock = await copy.database.read(lambda c: records.by_effect(c, f"{swap.id}:1:fund-initiator"))
    return outcome.phase, lock


def test_a_copy_locks_nothing_while_a_lock_may_come_back() -> None:
    """The original's lock was counted as the copy began, and a reorg took it out before its block was read."""

    async def story() -> None:
        world = World()
        await world.start()
        swap, copy = await with_a_lock_that_went(world)
        await uses_one(world, copy)
        assert await ended(world, swap, copy) == (Phase.ABANDONED, None)
        await world.stop()

    play(story())


def test_a_copy_locks_nothing_if_a_use_comes_up_while_it_asks() -> None:
    """Its endpoints were behind when the copy looked for uses that it does not know, and not any more when it signs."""

    async def story() -> None:
        world = World()
        await world.start()
        swap, copy = await with_a_lock_that_went(world)
        asked: list[object] = []

        async def before_lock(state: object) -> None:
            asked.append(state)
            await uses_one(world, copy)

        assert await ended(world, swap, copy, before_lock) == (Phase.ABANDONED, None)
        assert asked
        await world.stop()

    play(story())


@pytest.mark.parametrize("first", [A, B])
def test_a_copy_that_gives_up_goes_on_with_the_original_s_lock(first: ChainId) -> None:
    """The original's lock is on its way while the copy calls its own off."""

    async def story() -> None:
        world = World()
        await world.start()

        async def no(_: object) -> None:
            raise RejectedError("not any more")

        async with world.client() as client:
            swap = await world.agreed(client, first)
            copy, sent = copied(world.store), f"{swap.id}:1:fund-initiator"
            await client.lock(swap)
            while await world.store.database.read(lambda c: records.by_effect(c, sent)) is None:
                await world.clock.sleep(0.01)
        assert not world.made(first, Locked, swap.hashlock)
        phase, _ = await ended(world, swap, copy, no)
        assert phase is Phase.COMPLETED
        assert len(world.made(first, Locked, swap.hashlock)) == 1
        await world.stop()

    play(story())


def test_a_copy_that_gives_up_says_so_once_nothing_can_come() -> None:
    """Nobody has locked: that is certain after the time that a transaction may take."""

    async def story() -> None:
        world = World()
        await world.start()

        async def no(_: object) -> None:
            raise RejectedError("not any more")

        async with world.client() as client:
            swap = await world.agreed(client)
        began_s = world.clock.now()
        async with world.client(Shut()) as client:
            outcome = await client.run(swap.id, before_lock=no)
        assert outcome.phase is Phase.ABANDONED
        timing = world.chains[A].rules.timing
        assert timing.inclusion_s <= world.clock.now() - began_s < timing.inclusion_s + 2 * timing.finality_s
        await world.stop()

    play(story())
