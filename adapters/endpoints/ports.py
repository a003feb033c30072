"""The ports over several endpoints of one chain."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final, TypeVar

import structlog

from adapters.endpoints.blocks import WitnessedBlocks
from adapters.endpoints.transactions import BroadcastTransactions
from adapters.endpoints.voting import CALL_TIMEOUT_S, Member, Voters
from core.model.errors import (
    CausewayError,
    DisagreementError,
    FatalError,
    NotYetFinalError,
    PayoutBlockedError,
    RejectedError,
    RetryableError,
)
from core.model.facts import BlockHeader, HeadUpdate, LockObservation, RecordView
from core.model.ports import BridgeBuilder, ChainAccess, ConsentBuilder
from core.model.transactions import (
    Draft,
    UnsignedTransaction,
)
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Height,
    LockId,
    LockTerms,
    Preimage,
)

T = TypeVar("T")

_log = structlog.get_logger(__name__)

MAX_MEMBERS: Final = 16
POLL_S: Final = 1.0
"""How often the head is asked for where no member's stream says anything."""


def combine(members: Sequence[Member], timeout_s: float = CALL_TIMEOUT_S, poll_s: float = POLL_S) -> ChainAccess:
    """One `ChainAccess` over all members, which must be of one chain. A single member stays as it is.

    Raises `RejectedError` for none or too many, `FatalError` where they are not of the same chain.
    """
    if not 0 < len(members) <= MAX_MEMBERS:
        raise RejectedError(f"a chain has 1 to {MAX_MEMBERS} endpoints")
    first = members[0].access
    for member in members:
        parameters = member.access.parameters
        if (parameters.chain, parameters.genesis_hash) != (first.parameters.chain, first.parameters.genesis_hash):
            raise FatalError(f"the endpoint of {member.operator} is not of the chain that the others serve")
    if len(members) == 1:
        return first
    voters = Voters(members, timeout_s)
    heads = QuorumHeads(voters, poll_s)
    return ChainAccess(
        parameters=first.parameters,
        heads=heads,
        blocks=WitnessedBlocks(voters),
        state=FailoverState(voters),
        locks=QuorumLocks(voters, heads),
        legs=FailoverLegs(voters),
        transactions=BroadcastTransactions(voters),
        batches=first.batches,
        consents=FailoverConsents(voters, first.consents) if first.consents is not None else None,
    )


class QuorumHeads:
    """`HeadSource`: finalized is what a quorum calls final, and calls by the same hash.

    The head is that of one member, so that nobody waits for the slower ones; but a head that no other operator names is
    taken only from a member that also shows the block. Otherwise one that invents heads would stop everybody for ever.
    """

    def __init__(self, voters: Voters, poll_s: float) -> None:
        self._voters = voters
        self._poll_s = poll_s
        self._agreed: BlockHeader | None = None
        self._reasons: dict[str, str] = {}

    async def head(self) -> HeadUpdate:
        """Raises `DisagreementError` without a quorum about the finalized block."""
        told = await self._told()
        return await self._update(told, await self._finalized(told))

    async def _told(self) -> dict[Member, HeadUpdate]:
        voters = self._voters
        answers = await voters.soon(lambda member: member.access.heads.head(), voters.answered, voters.impatient)
        return {one.member: one.answer for one in answers if isinstance(one.answer, HeadUpdate)}

    async def _update(self, told: dict[Member, HeadUpdate], finalized: BlockHeader, disputed: str = "") -> HeadUpdate:
        for member in self._voters.preferred():
            update = told.get(member)
            if update is None or update.head.height < finalized.height:
                continue
            if self._is_named_by_others(member, update, told) or await self._is_shown(member, update.head):
                return HeadUpdate(update.head, finalized, disputed)
        return HeadUpdate(finalized, finalized, disputed)

    def _is_named_by_others(self, member: Member, update: HeadUpdate, told: dict[Member, HeadUpdate]) -> bool:
        return any(
            one.operator != member.operator and theirs.head.ref == update.head.ref for one, theirs in told.items()
        )

    async def _is_shown(self, member: Member, head: BlockHeader) -> bool:
        try:
            return await self._voters.ask(member, lambda one: one.access.blocks.header(head.ref.hash)) == head
        except CausewayError:
            return False

    async def final_block(self, height: Height) -> BlockHeader:
        """See the port: a quorum calls this height final, and shows the same block there."""
        told = await self._told()
        final = self._final_height(told)
        if height > final:
            raise NotYetFinalError(f"a quorum calls {final} final, not {height} yet", finalized=final)
        return await self._voters.agreed(lambda member: member.access.blocks.header(height), f"final block at {height}")

    async def finalized(self) -> BlockHeader:
        """The newest block that a quorum calls final. Raises `DisagreementError`."""
        return await self._finalized(await self._told())

    async def _finalized(self, told: dict[Member, HeadUpdate]) -> BlockHeader:
        height = self._final_height(told)
        agreed = await self._voters.agreed(
            lambda member: member.access.blocks.header(height), f"finalized block at {height}"
        )
        if self._agreed is None or self._agreed.height < agreed.height:
            self._agreed = agreed
        return agreed

    def _final_height(self, told: dict[Member, HeadUpdate]) -> Height:
        heights = [(member, update.finalized.height) for member, update in told.items()]
        return Height(self._voters.reached(heights, "finalized height"))

    async def heads(self) -> AsyncIterator[HeadUpdate]:
        """See the port. Without a quorum heads go on beside the newest block that one called final, and say so."""
        news = asyncio.Event()
        listeners = [asyncio.create_task(self._listen(member, news)) for member in self._voters.members]
        last: HeadUpdate | None = None
        try:
            while True:
                news.clear()
                update = await self._head_or_none()
                if update is not None and update != last and (last is None or _is_later(update, last)):
                    last = update
                    yield update
                await _happens_within(news, self._poll_s)
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)

    async def _listen(self, member: Member, news: asyncio.Event) -> None:
        """A member's stream says that there may be news. One that ends, however it does, is begun again."""
        while True:
            try:
                async for _ in member.access.heads.heads():
                    news.set()
            except Exception as error:
                self._say(f"a stream of heads of {member.operator} ended", str(error))
            await asyncio.sleep(self._poll_s)

    async def _head_or_none(self) -> HeadUpdate | None:
        told: dict[Member, HeadUpdate] = {}
        try:
            told = await self._told()
            return await self._update(told, await self._finalized(told))
        except DisagreementError as error:
            if not told:
                return None
            try:
                return await self._update(told, self._agreed or await self._first_block(), error.message)
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
        """What is final of any chain. Some count from 1."""
        try:
            return await self._voters.first(lambda member: member.access.blocks.header(Height(0)))
        except RejectedError:
            return await self._voters.first(lambda member: member.access.blocks.header(Height(1)))


def _is_later(update: HeadUpdate, last: HeadUpdate) -> bool:
    """What is final stays final, even where the members that say so fall silent."""
    return update.finalized.height >= last.finalized.height


async def _happens_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


class FailoverState:
    """`StateReader`."""

    def __init__(self, voters: Voters) -> None:
        self._voters = voters

    async def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> BaseUnits:
        """At the head, for display, what the healthiest member says. At a height, the largest amount that a quorum
        reaches: what we sign is held against it, and one that is made up would keep back an exit, or let through what
        cannot be paid. Raise `DisagreementError` without that quorum."""
        if at is None:
            return await self._voters.first(lambda member: member.access.state.balance(account, asset))
        answers = await self._voters.soon(
            lambda member: member.access.state.balance(account, asset, at), self._voters.answered
        )
        held = [(one.member, one.answer) for one in answers if isinstance(one.answer, int)]
        refusals = [one.answer for one in answers if isinstance(one.answer, RejectedError)]
        if refusals and len(refusals) == len(answers):
            raise refusals[0]
        return BaseUnits(self._voters.reached(held, f"balance of {account}"))

    async def record(self, namespace: str, key: str) -> RecordView | None:
        return await self._voters.first(lambda member: member.access.state.record(namespace, key))


class QuorumLocks:
    """`LockReader`: all members read at one height that a quorum calls final, and a quorum must see the same."""

    def __init__(self, voters: Voters, heads: QuorumHeads) -> None:
        self._voters = voters
        self._heads = heads

    async def lock(self, lock_id: LockId, terms: LockTerms) -> LockObservation:
        finalized = await self._heads.finalized()
        seen = await self._voters.agreed(
            lambda member: member.locks.lock_at(lock_id, terms, finalized.height), f"lock {lock_id}"
        )
        if seen.at != finalized.ref:
            raise self._voters.disagreement([], f"lock {lock_id}: it was read at another block than the finalized one")
        return seen

    async def check_payout(self, terms: LockTerms) -> None:
        blocked: list[PayoutBlockedError] = []

        async def pays(member: Member) -> bool:
            try:
                await member.locks.check_payout(terms)
            except PayoutBlockedError as error:
                blocked.append(error)
                return False
            return True

        if not await self._voters.agreed(pays, f"payment of {terms.amount} {terms.asset} to {terms.receiver}"):
            raise blocked[0]


class FailoverLegs:
    """`LegBuilder`: building asks nobody, looking for a free place asks the healthiest member."""

    def __init__(self, voters: Voters) -> None:
        self._voters = voters
        self._builder = voters.members[0].access.legs

    async def lock_id(self, terms: LockTerms, taken: Collection[LockId] = ()) -> LockId:
        return await self._voters.first(lambda member: member.access.legs.lock_id(terms, taken))

    async def prepare(self, terms: LockTerms) -> UnsignedTransaction | None:
        return await self._voters.first(lambda member: member.access.legs.prepare(terms))

    def lock(self, terms: LockTerms, lock_id: LockId) -> UnsignedTransaction:
        return self._builder.lock(terms, lock_id)

    def claim(self, terms: LockTerms, lock_id: LockId, preimage: Preimage, sender: AccountId) -> UnsignedTransaction:
        return self._builder.claim(terms, lock_id, preimage, sender)

    def refund(self, terms: LockTerms, lock_id: LockId, sender: AccountId) -> UnsignedTransaction:
        return self._builder.refund(terms, lock_id, sender)


class FailoverConsents:
    """`ConsentBuilder`: the healthiest member is asked what an asset takes."""

    def __init__(self, voters: Voters, builder: ConsentBuilder) -> None:
        self._voters = voters
        self._builder = builder

    async def lock(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> Draft | None:
        async def ask(member: Member) -> Draft | None:
            consents = member.access.consents
            return None if consents is None else await consents.lock(terms, lock_id, until)

        return await self._voters.first(ask)

    def refund(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> Draft:
        return self._builder.refund(terms, lock_id, until)


class FailoverBridge:
    """`BridgeBuilder` over those of several endpoints."""

    def __init__(self, bridges: Sequence[BridgeBuilder], timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._bridges = tuple(bridges)
        self._timeout_s = timeout_s

    def attest(self, header: BlockHeader, sender: AccountId) -> UnsignedTransaction:
        return self._bridges[0].attest(header, sender)

    async def attested(self, chain: ChainId) -> BlockRef | None:
        """The lower median of what the endpoints say: one that invents attestations keeps nobody from attesting, and
        one that hides them makes us attest what is attested already."""
        answers = await asyncio.gather(*(self._asked(bridge, chain) for bridge in self._bridges))
        told = [answer for answer in answers if not isinstance(answer, CausewayError)]
        if not told:
            raise next(answer for answer in answers if isinstance(answer, CausewayError))
        told.sort(key=lambda ref: -1 if ref is None else ref.height)
        return told[(len(told) - 1) // 2]

    async def _asked(self, bridge: BridgeBuilder, chain: ChainId) -> BlockRef | CausewayError | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await bridge.attested(chain)
        except CausewayError as error:
            return error
        except Exception as error:
            return RetryableError(f"an endpoint does not say what is attested: {error or type(error).__name__}")
