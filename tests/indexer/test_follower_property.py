"""Whatever branches a chain takes and whatever fails: the facts describe exactly the chain that is there."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.errors import CausewayError, RetryableError
from core.model.types import Height
from core.runtime.clock import VirtualClock, run_virtually
from core.runtime.database import InlineDatabase, create_schema
from indexer import store, tables
from indexer.feed import Fact, FactSignal
from indexer.follower import Follower
from tests.indexer.scripted import CHAIN, Parameters, ScriptedBlocks, ScriptedChain
from tests.indexer.truth import all_facts, replay


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens: `what`, and two sizes."""

    what: str
    a: int
    b: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(
            ["extend", "extend", "reorg", "reorg", "deep", "back", "shorten", "restart", "fault", "amid", "finalize"]
        ),
        st.integers(0, 12),
        st.integers(0, 12),
    ),
    max_size=12,
)


class Story:
    """One follower, one database, one chain that does what the steps say."""

    def __init__(self) -> None:
        self.chain = ScriptedChain()
        self.database = InlineDatabase()
        self.facts: list[Fact] = []
        self.formerly = list(self.chain.blocks)
        self.follower = self.fresh()

    def fresh(self) -> Follower:
        blocks = ScriptedBlocks(self.chain)
        return Follower(
            Parameters(), self.chain, blocks, self.database, FactSignal(), VirtualClock(), Height(0), max_range=5
        )

    async def settle(self) -> None:
        """Ask for the head until a catch-up succeeds, as the follower's loop does."""
        for _ in range(20):
            try:
                await self.follower.catch_up(await self.chain.head())
                return
            except CausewayError:
                await self.follower.open()
        raise AssertionError("the follower never settled")

    @property
    def loose(self) -> int:
        """Blocks above what is final."""
        return len(self.chain.blocks) - 1 - self.chain.final

    async def happen(self, step: Step) -> None:
        chain = self.chain
        match step.what:
            case "extend":
                chain.extend(step.a)
            case "reorg" if self.loose:
                self.formerly = list(chain.blocks)
                depth = 1 + step.a % self.loose
                chain.reorg(depth, depth + step.b % 4)
            case "deep" if len(chain.blocks) > 1:
                depth = 1 + step.a % (len(chain.blocks) - 1)
                chain.final = min(chain.final, len(chain.blocks) - 1 - depth)
                chain.reorg(depth, 1 + step.b)
            case "back" if len(self.formerly) > chain.final and self.formerly[chain.final] == chain.blocks[chain.final]:
                self.formerly, old = list(chain.blocks), self.formerly
                chain.switch(old)
                chain.extend(1)
            case "shorten" if self.loose:
                chain.shorten(1 + step.a % self.loose)
                await self.settle()
                chain.extend(1 + step.b)
            case "restart":
                self.follower = self.fresh()
                await self.follower.open()
            case "fault":
                self.fail_at(step.a % 4 + 1)
            case "amid" if self.loose:
                self.change_at(step.a % 4 + 1, 1 + step.b % self.loose)
            case "finalize":
                chain.final = min(len(chain.blocks) - 1, chain.final + step.a)
            case _:
                return
        await self.settle()
        chain.before_call = lambda _: None
        # The chain may have changed behind the head that was followed; it would announce that.
        await self.settle()

    def fail_at(self, call: int) -> None:
        target = self.chain.calls + call
        self.chain.extend(3)

        def fail(now: int) -> None:
            if now == target:
                raise RetryableError("the endpoint does not answer")

        self.chain.before_call = fail

    def change_at(self, call: int, depth: int) -> None:
        """A reorg between two calls of one catch-up."""
        target = self.chain.calls + call
        self.chain.extend(7)

        def change(now: int) -> None:
            if now == target:
                self.chain.reorg(depth, depth + 1)

        self.chain.before_call = change

    async def check(self) -> None:
        seen = self.facts[-1].seq if self.facts else 0
        self.facts += await self.database.read(lambda c: all_facts(c, seen))
        chains, final = replay(self.facts)
        assert chains[CHAIN] == self.chain.blocks
        assert final.get(CHAIN) == self.chain.final
        stored = await self.database.read(lambda c: store.canonical_headers(c, CHAIN, Height(0)))
        assert list(stored) == [block.header for block in self.chain.blocks]
        status = self.follower.status
        assert status.tip == self.chain.blocks[-1].header
        assert status.lag_blocks == 0


@settings(max_examples=40)
@given(steps)
def test_facts_are_the_chain(happenings: list[Step]) -> None:
    async def tell() -> None:
        story = Story()
        await story.database.write(lambda c: create_schema(c, tables.TABLES))
        await story.follower.open()
        await story.settle()
        for step in happenings:
            await story.happen(step)
            await story.check()
        await story.database.close()

    run_virtually(tell())


def test_reorg_below_finality_is_corrected_and_marked() -> None:
    async def tell() -> None:
        story = Story()
        await story.database.write(lambda c: create_schema(c, tables.TABLES))
        await story.follower.open()
        story.chain.extend(100)
        story.chain.final = 95
        await story.settle()
        assert story.follower.status.ready
        story.chain.final = 30
        story.chain.reorg(60, 61)
        await story.settle()
        story.chain.final = 90
        await story.settle()
        await story.check()
        assert story.follower.status.alarms == 1
        assert not story.follower.status.ready
        again = story.fresh()
        await again.open()
        assert again.status.alarms == 1
        assert await again.acknowledge_alarms() == 1
        story.follower = story.fresh()
        await story.follower.open()
        await story.settle()
        assert story.follower.status.ready

    run_virtually(tell())


def test_lower_head_with_equal_hashes_is_no_reorg() -> None:
    async def tell() -> None:
        story = Story()
        await story.database.write(lambda c: create_schema(c, tables.TABLES))
        await story.follower.open()
        story.chain.extend(10)
        await story.settle()
        before = await story.database.read(all_facts)
        story.chain.shorten(4)
        await story.settle()
        assert await story.database.read(all_facts) == before
        assert story.follower.status.ready

    run_virtually(tell())


@pytest.mark.parametrize("deep", [40, 900])
def test_ancestor_is_found_in_few_calls(deep: int) -> None:
    async def tell() -> None:
        story = Story()
        await story.database.write(lambda c: create_schema(c, tables.TABLES))
        await story.follower.open()
        story.chain.extend(1_000)
        await story.settle()
        called = story.chain.calls
        story.chain.reorg(deep, 1)
        await story.settle()
        await story.check()
        assert story.chain.calls - called < 40

    run_virtually(tell())
