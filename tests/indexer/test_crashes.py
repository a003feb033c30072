"""A process that dies at any commit, just before or just after it: whoever starts next goes on as if nothing was."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy.engine import Connection

from core.model.types import Height
from core.runtime.clock import VirtualClock, run_virtually
from core.runtime.database import InlineDatabase, create_schema
from indexer import tables
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections.rebuild import rebuild
from tests.indexer.scripted import CHAIN, Parameters, ScriptedBlocks, ScriptedChain
from tests.indexer.test_swaps import projected
from tests.indexer.truth import all_facts, replay

T = TypeVar("T")


class Died(BaseException):
    """The process is gone: nothing catches this."""


class MortalDatabase(InlineDatabase):
    """Dies at the write number `dies_at`, counted from 1, before it or once it is committed."""

    def __init__(self, dies_at: int, committed: bool) -> None:
        super().__init__()
        self.writes = 0
        self._dies_at, self._committed = dies_at, committed

    async def write(self, work: Callable[[Connection], T]) -> T:
        self.writes += 1
        if self.writes != self._dies_at:
            return await super().write(work)
        if self._committed:
            await super().write(work)
        raise Died


def grow(chain: ScriptedChain) -> None:
    chain.extend(12)
    chain.final = 6


def fork(chain: ScriptedChain) -> None:
    chain.reorg(5, 9)


def fork_again(chain: ScriptedChain) -> None:
    chain.reorg(3, 3)
    chain.final = 11


def fork_below_finality(chain: ScriptedChain) -> None:
    chain.reorg(10, 12)
    chain.final = 8


STORY = (grow, fork, fork_again, fork_below_finality)


async def follow(dies_at: int, committed: bool) -> MortalDatabase:
    """Play the story to a follower, and to a fresh one from where the first one died."""
    chain, database = ScriptedChain(), MortalDatabase(dies_at, committed)
    await InlineDatabase.write(database, lambda c: create_schema(c, tables.TABLES))

    async def catch_up() -> None:
        blocks = ScriptedBlocks(chain)
        follower = Follower(Parameters(), chain, blocks, database, FactSignal(), VirtualClock(), Height(0), max_range=4)
        await follower.open()
        await follower.catch_up(chain.update)

    for happen in STORY:
        happen(chain)
        try:
            await catch_up()
        except Died:
            await catch_up()
    chains, final = replay(await database.read(all_facts))
    assert chains[CHAIN] == chain.blocks
    assert final[CHAIN] == chain.final
    deep = await database.read(lambda c: c.execute(tables.deep_reorgs.select()).all())
    assert [row.fork_height for row in deep] == [len(chain.blocks) - 13]
    grown = await database.read(projected)
    await InlineDatabase.write(database, rebuild)
    assert await database.read(projected) == grown
    return database


@pytest.mark.parametrize("committed", [False, True])
def test_death_at_every_commit(committed: bool) -> None:
    async def tell() -> None:
        whole = await follow(dies_at=0, committed=False)
        writes = whole.writes
        await whole.close()
        assert writes > 4 * len(STORY)  # opened, projections looked at, and more than one step each time
        for dies_at in range(1, writes + 1):
            database = await follow(dies_at, committed)
            assert database.writes >= writes
            await database.close()

    run_virtually(tell())
