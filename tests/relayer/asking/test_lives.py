"""Random lives of queries: chains that go on and fail, restarts, and a process that dies before or after any write."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RetryableError
from core.model.questions import Question
from core.model.types import ChainId, Height
from core.runtime.clock import ManualClock, SystemSecrets
from core.runtime.database import InlineDatabase, create_schema
from relayer.asking import rows
from relayer.asking.caller_queries import CallerQueries
from relayer.asking.query import Standing
from relayer.asking.rows import Stored
from tests.relayer.asking.test_caller_queries import CALLER, ONE, TWO, Chains, uri

T = TypeVar("T")
OPEN_S = 60
ASKED = [uri("a"), uri("b"), uri("c", TWO), uri("d", TWO)]


class Death(BaseException):
    """The process ends here."""


class Mortal(InlineDatabase):
    """Dies before or after the next write, if a test wants it to."""

    def __init__(self) -> None:
        super().__init__()
        self.dies: str | None = None

    async def write(self, work: Callable[[Connection], T]) -> T:
        dies, self.dies = self.dies, None
        if dies == "before":
            raise Death
        done = await super().write(work)
        if dies == "after":
            raise Death
        return done


class Lives:
    def __init__(self, fixed: bool) -> None:
        self.database, self.chains, self.clock = Mortal(), Chains(), ManualClock()
        self.away: set[Question] = set()
        self.asked = [replace(uri("a"), at=Height(9)), *ASKED[1:]] if fixed else ASKED
        self.chains.trouble = self.trouble
        self.queries = self.restarted()
        self.seen: Stored | None = None

    def restarted(self) -> CallerQueries:
        return CallerQueries(self.database, self.chains, self.clock, SystemSecrets())

    def trouble(self, question: Question, height: Height) -> None:
        if question in self.away:
            raise RetryableError("away")

    async def step(self, step: Any) -> None:
        match step:
            case "block", chain, count:
                self.chains.heights[ChainId(chain)] += count
            case "away", place:
                self.away ^= {ASKED[place].question}
            case "time", seconds:
                await self.clock.advance(seconds)
            case "look", dies:
                self.database.dies = dies
                try:
                    await self.queries.look()
                except Death:
                    self.queries = self.restarted()
                self.database.dies = None
        self.check(await self.queries.find(self.query_id))

    def check(self, now: Stored) -> None:
        """Nothing that a caller has seen changes, and what is answered of one chain is as of one height."""
        numbers = sorted(version for version in now.versions if version)
        assert numbers == list(range(1, now.version + 1))
        for chain in (ONE, TWO):
            found = {
                part.state.proof.height
                for part in now.parts
                if part.file is not None and part.state.proof is not None and part.state.request.answering == chain
            }
            assert len(found) <= 1
        if self.seen is not None:
            assert now.version >= self.seen.version
            for before, after, version in zip(self.seen.parts, now.parts, self.seen.versions, strict=True):
                assert not version or before == after
        self.seen = now

    async def begin(self) -> None:
        await self.database.write(lambda c: create_schema(c, rows.TABLES))
        self.began_s = self.clock.now()
        self.query_id = (await self.queries.begin(self.asked, None, CALLER, OPEN_S)).id


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("block"), st.sampled_from([ONE, TWO]), st.integers(1, 5)),
        st.tuples(st.just("away"), st.integers(0, len(ASKED) - 1)),
        st.tuples(st.just("time"), st.integers(1, 30)),
        st.tuples(st.just("look"), st.sampled_from([None, None, "before", "after"])),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(fixed=st.booleans(), steps=STEPS)
async def test_query_lives_on_whatever_happens_and_ends(fixed: bool, steps: list[Any]) -> None:
    lives = Lives(fixed)
    await lives.begin()
    for step in steps:
        await lives.step(step)
    # In the end everything answers, or the deadline passes.
    lives.away.clear()
    await lives.step(("block", ONE, 9))
    await lives.step(("look", None))
    expired = lives.clock.now() - lives.began_s >= OPEN_S
    end = await lives.queries.find(lives.query_id)
    assert end.standing is (Standing.ANSWERED if all(part.file for part in end.parts) else Standing.EXPIRED)
    assert expired or end.standing is Standing.ANSWERED
    await lives.step(("time", OPEN_S))
    await lives.step(("look", None))
    assert await lives.queries.find(lives.query_id) == end
    await lives.clock.advance(rows.KEPT_S + 1)
    await lives.queries.begin([uri("z")], None, CALLER, OPEN_S)
    with pytest.raises(NotFoundError):
        await lives.queries.find(lives.query_id)
