"""Head and finalized block over several endpoints."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import structlog

from adapters.endpoints.voting import PATIENCE_S, Member, Voters
from core.model.errors import (
    CausewayError,
    DisagreementError,
    NotYetFinalError,
    RejectedError,
)
from core.model.facts import BlockHeader, HeadUpdate
from core.model.types import BlockRef, Height

MAX_LEAD_BLOCKS: Final = 64
"""How far one head may be ahead of another and still count it as its own ancestor."""
MAX_SHOWN_HEADERS: Final = 1_024

_log = structlog.get_logger(__name__)


class QuorumHeadSource:
    """`HeadSource`: finalized is what a quorum calls final, and calls by the same hash.

    The head is that of one member, so that nobody waits for the slower ones. Of several it is the one whose branch has
    most operators' heads on it: one that is ahead of the others has all of them, one that is invented loses them as
    soon as the chain goes on without it. A head that no other operator names is taken only if its member shows it.
    """

    def __init__(self, voters: Voters, poll_s: float) -> None:
        self._voters = voters
        self._poll_s = poll_s
        self._agreed: BlockHeader | None = None
        self._reasons: dict[str, str] = {}
        self._news = asyncio.Event()
        self._rounds: asyncio.Task[None] | None = None
        self._watchers: dict[asyncio.Event, None] = {}
        self._newest: HeadUpdate | None = None
        """The result of the last round of questions, for all who watch the heads."""
        self._shown: OrderedDict[tuple[Member, bytes], BlockHeader] = OrderedDict()

    async def head(self) -> HeadUpdate:
        """Raise `DisagreementError` without a quorum about the finalized block."""
        heard = await self._heard()
        return await self._update(heard, await self._finalized(heard))

    async def _heard(self) -> dict[Member, HeadUpdate]:
        voters = self._voters
        answers = await voters.soon(lambda member: member.access.heads.head(), voters.answered, voters.impatient)
        return {one.member: one.answer for one in answers if isinstance(one.answer, HeadUpdate)}

    async def _update(self, heard: dict[Member, HeadUpdate], finalized: BlockHeader, disputed: str = "") -> HeadUpdate:
        """The head whose branch most operators' heads are on; of equals that of the member that is asked first."""
        tips = {
            member: heard[member].head
            for member in self._voters.preferred()
            if member in heard and heard[member].head.height >= finalized.height
        }
        best, support = finalized, 0
        for head, operators in await self._supported(tips):
            if len(operators) > support:
                best, support = head, len(operators)
        return HeadUpdate(best, finalized, disputed)

    async def _supported(self, tips: dict[Member, BlockHeader]) -> list[tuple[BlockHeader, set[str]]]:
        """Each head that may be taken, with the operators whose heads are on its branch."""
        distinct = {head.ref: member for member, head in reversed(tips.items())}
        if len(distinct) == 1 and len({member.operator for member in tips}) > 1:
            return [(next(iter(tips.values())), {member.operator for member in tips})]
        asked = [(member, tips[member]) for member in tips if distinct[tips[member].ref] is member]
        branches = await asyncio.gather(*(self._branch(member, head, tips) for member, head in asked))
        found = []
        for (_, head), branch in zip(asked, branches, strict=True):
            operators = {member.operator for member, tip in tips.items() if branch.get(tip.height) == tip.ref}
            if operators:
                found.append((head, operators))
        return found

    async def _branch(
        self, member: Member, head: BlockHeader, tips: dict[Member, BlockHeader]
    ) -> dict[Height, BlockRef]:
        """The blocks below a head as its member links them, down to the lowest other head that is near.

        Empty if no other operator names the head and the member does not show it. Ends early if the member is slow.
        """
        branch: dict[Height, BlockRef] = {}
        if any(tip.ref == head.ref and one.operator != member.operator for one, tip in tips.items()):
            branch[head.height] = head.ref
        near = [tip.height for tip in tips.values() if 0 <= head.height - tip.height <= MAX_LEAD_BLOCKS]
        with suppress(TimeoutError, CausewayError):
            async with asyncio.timeout(PATIENCE_S):
                if not branch and await self._header(member, head.ref.hash) != head:
                    return branch
                branch[head.height] = head.ref
                block = head
                while block.height > min(near):
                    parent = await self._header(member, block.parent_hash)
                    if (parent.ref.hash, parent.height) != (block.parent_hash, block.height - 1):
                        return branch
                    branch[parent.height] = parent.ref
                    block = parent
        return branch

    async def _header(self, member: Member, block_hash: bytes) -> BlockHeader:
        """Return the member's header of this hash; asked once, since branches grow by a block at a time."""
        known = self._shown.get((member, block_hash))
        if known is None:
            known = await self._voters.ask(member, lambda one: one.access.blocks.header(block_hash))
            self._shown[member, block_hash] = known
            if len(self._shown) > MAX_SHOWN_HEADERS:
                self._shown.popitem(last=False)
        return known

    async def final_block(self, height: Height) -> BlockHeader:
        """See the port: a quorum calls this height final, and shows the same block there."""
        heard = await self._heard()
        final = self._final_height(heard)
        if height > final:
            raise NotYetFinalError(f"a quorum calls {final} final, not {height} yet", finalized=final)
        return await self._voters.agreed(lambda member: member.access.blocks.header(height), f"final block at {height}")

    async def finalized(self) -> BlockHeader:
        """The newest block that a quorum calls final. Raise `DisagreementError`."""
        return await self._finalized(await self._heard())

    async def _finalized(self, heard: dict[Member, HeadUpdate]) -> BlockHeader:
        height = self._final_height(heard)
        # Most of the time a quorum has named the block itself along with its head: then nobody is asked again.
        named = [(member, update.finalized) for member, update in heard.items() if update.finalized.height == height]
        agreed = self._voters.decided(named)
        if agreed is None:
            agreed = await self._voters.agreed(
                lambda member: member.access.blocks.header(height), f"finalized block at {height}"
            )
        if self._agreed is None or self._agreed.height < agreed.height:
            self._agreed = agreed
        return agreed

    def _final_height(self, heard: dict[Member, HeadUpdate]) -> Height:
        heights = [(member, update.finalized.height) for member, update in heard.items()]
        return Height(self._voters.reached(heights, "finalized height"))

    async def heads(self) -> AsyncIterator[HeadUpdate]:
        """See the port. Without a quorum heads go on next to the newest block that one called final, and say so.

        However many watch, the members are asked once.
        """
        fresh = asyncio.Event()
        self._watchers[fresh] = None
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._ask_again_and_again())
            self._rounds.add_done_callback(self._wake_watchers)
        self._news.set()
        rounds, last = self._rounds, None
        try:
            while True:
                await fresh.wait()
                fresh.clear()
                if rounds.done():
                    await rounds  # what no round may raise
                    return
                update = self._newest
                if update is not None and update != last and (last is None or _is_later(update, last)):
                    last = update
                    yield update
        finally:
            del self._watchers[fresh]
            if not self._watchers:
                self._rounds = self._newest = None
                rounds.cancel()
                await asyncio.gather(rounds, return_exceptions=True)

    def _wake_watchers(self, _: object) -> None:
        for watcher in self._watchers:
            watcher.set()

    async def _ask_again_and_again(self) -> None:
        """Rounds of questions, as long as anybody watches."""
        listeners = [asyncio.create_task(self._listen(member)) for member in self._voters.members]
        try:
            while True:
                self._news.clear()
                self._newest = await self._head_or_none()
                self._wake_watchers(None)
                await _happens_within(self._news, self._poll_s)
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)

    async def _listen(self, member: Member) -> None:
        """A member's stream says that there may be news. One that ends, however it does, is begun again."""
        while True:
            try:
                async for _ in member.access.heads.heads():
                    self._news.set()
            except Exception as error:
                self._say(f"a stream of heads of {member.operator} ended", str(error))
            await asyncio.sleep(self._poll_s)

    async def _head_or_none(self) -> HeadUpdate | None:
        heard: dict[Member, HeadUpdate] = {}
        try:
            heard = await self._heard()
            return await self._update(heard, await self._finalized(heard))
        except DisagreementError as error:
            if not heard:
                return None
            try:
                return await self._update(heard, self._agreed or await self._first_block(), error.message)
            except CausewayError:
                return None
        except CausewayError as error:
            self._say("no head", error.message)
            return None

    def _say(self, what: str, reason: str) -> None:
        """Log it, unless that is what was logged last: it may be so at every poll."""
        if self._reasons.get(what) != reason:
            self._reasons[what] = reason
            _log.warning(what, reason=reason)

    async def _first_block(self) -> BlockHeader:
        """Return the first block, which is final on any chain. Some count from 1."""
        try:
            return await self._voters.first(lambda member: member.access.blocks.header(Height(0)))
        except RejectedError:
            return await self._voters.first(lambda member: member.access.blocks.header(Height(1)))


def _is_later(update: HeadUpdate, last: HeadUpdate) -> bool:
    """Return true for news. A final block stays final, even if the members that say so fall silent."""
    return update.finalized.height >= last.finalized.height


async def _happens_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
