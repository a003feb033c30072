"""Blocks from one endpoint, with a second of another operator as a witness."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final

import structlog

from adapters.endpoints.voting import HEDGE_S, Member, Said, Voters
from core.model.errors import NotFoundError, ReorgedError, RetryableError
from core.model.facts import Block, BlockHeader
from core.model.types import Height

WITNESS_S: Final = 3.0
"""How long a witness is waited for once the blocks are there: others may be a little behind the fastest."""
BEHIND_POLL_S: Final = 0.25

_log = structlog.get_logger(__name__)


class WitnessedBlockSource:
    """`BlockSource`: a whole range from the healthiest member, compared with another operator's.

    Nothing in a header commits to what an endpoint leaves out of its answer cheaply enough to check, and a claim that
    is left out is a preimage that we never see. So a second operator reads the same range at the same time. If the two
    differ, all are asked, and each block is the one that a quorum shows; without a quorum, of one block the answer with
    more events: a false event can be refuted at a finalized block, a missing one cannot be missed.
    """

    def __init__(self, voters: Voters) -> None:
        self._voters = voters

    async def header(self, at: Height | bytes) -> BlockHeader:
        async def ask(member: Member) -> BlockHeader:
            header = await member.access.blocks.header(at)
            if at not in (header.height, header.ref.hash):
                raise RetryableError(
                    f"an endpoint of {member.operator} answers with another block than it was asked for"
                )
            return header

        return await self._voters.first(ask)

    async def blocks(self, first: Height, last: Height) -> Sequence[Block]:
        async def ask(member: Member) -> tuple[Block, ...]:
            found = tuple(await member.access.blocks.blocks(first, last))
            if [block.header.height for block in found] != list(range(first, last + 1)):
                raise RetryableError(
                    f"an endpoint of {member.operator} answers with other blocks than it was asked for"
                )
            return found

        async def ask_main(member: Member) -> tuple[Member, tuple[Block, ...]]:
            return member, await ask(member)

        # Both are asked at the same time; which one is the source shows in the end.
        seeing = asyncio.create_task(self._witness(self._voters.preferred()[0], ask))
        try:
            source, found = await self._voters.first(ask_main)
            seen = await self._seen(seeing)
            if seen is not None and seen.member.operator == source.operator:
                seeing = asyncio.create_task(self._witness(source, ask))
                seen = await self._seen(seeing)
        finally:
            seeing.cancel()
            await asyncio.gather(seeing, return_exceptions=True)
        if seen is None or seen.answer == found:
            return found
        _log.warning("endpoints show different blocks", operators=[source.operator, seen.member.operator], first=first)
        count = last - first + 1
        answers = await self._voters.soon(ask, lambda heard: self._is_decided(heard, count))
        agreed = [self._quorum_block(answers, place) for place in range(count)]
        if any(one is not None and one.header != mine.header for one, mine in zip(agreed, found, strict=True)):
            # It is on a branch of its own: what it shows there would be asked for again and again.
            self._voters.blame(source)
        return _chosen(found, agreed, answers)

    async def _witness(self, source: Member, ask: Callable[[Member], Awaitable[tuple[Block, ...]]]) -> Said | None:
        """Return what another operator than the source's shows. One that is behind is asked again; None if nobody can
        say."""
        while True:
            behind = False
            for member in self._voters.preferred():
                if member.operator == source.operator or not self._voters.is_well(member):
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEDGE_S):
                        said = await self._voters.said(member, ask)
                        if not said.failed:
                            return said
                        behind = behind or isinstance(said.answer, NotFoundError | ReorgedError)
            if not behind:
                return None
            await asyncio.sleep(BEHIND_POLL_S)

    async def _seen(self, seeing: asyncio.Task[Said | None]) -> Said | None:
        await asyncio.wait([seeing], timeout=WITNESS_S)
        return seeing.result() if seeing.done() else None

    def _is_decided(self, answers: Sequence[Said], count: int) -> bool:
        return all(self._quorum_block(answers, place) is not None for place in range(count))

    def _quorum_block(self, answers: Sequence[Said], place: int) -> Block | None:
        votes: dict[Block, set[str]] = {}
        for one in answers:
            if isinstance(one.answer, tuple):
                votes.setdefault(one.answer[place], set()).add(one.member.operator)
        return next((block for block, voters in votes.items() if len(voters) >= self._voters.quorum), None)


def _chosen(found: tuple[Block, ...], agreed: Sequence[Block | None], answers: Sequence[Said]) -> Sequence[Block]:
    """`found`, each of its blocks as a quorum shows it; a block that a quorum shows takes the place of another."""
    chosen = []
    for place, block in enumerate(found):
        same = [
            one.answer[place]
            for one in answers
            if isinstance(one.answer, tuple) and one.answer[place].header == block.header
        ]
        chosen.append(agreed[place] or max([block, *same], key=lambda each: len(each.events)))
    return tuple(chosen) if _is_linked(chosen) else found


def _is_linked(blocks: Sequence[Block]) -> bool:
    return all(new.header.parent_hash == old.header.ref.hash for old, new in pairwise(blocks))
