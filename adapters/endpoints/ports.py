"""The ports over several endpoints of one chain."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final, TypeVar

import structlog

from adapters.endpoints.blocks import WitnessedBlockSource
from adapters.endpoints.heads import QuorumHeadSource
from adapters.endpoints.transactions import BroadcastTransactionSender
from adapters.endpoints.voting import CALL_TIMEOUT_S, HEDGE_S, Member, Said, Voters
from core.model.consortium_orders import HeldLeaf, OrdersPage, OrderView
from core.model.errors import (
    CausewayError,
    DisagreementError,
    FatalError,
    PayoutBlockedError,
    RejectedError,
    RetryableError,
)
from core.model.facts import BlockHeader, LockObservation, RecordView
from core.model.openings import Statement
from core.model.ports import BridgeBuilder, ChainAccess, ConsentBuilder, OpeningProofs, OrderReader
from core.model.transactions import (
    Consent,
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
"""How often the head is asked for if no member's stream says anything."""


def combine(members: Sequence[Member], timeout_s: float = CALL_TIMEOUT_S, poll_s: float = POLL_S) -> ChainAccess:
    """One `ChainAccess` over all members, which must be of one chain. A single member stays as it is.

    Raise `RejectedError` for none or too many, `FatalError` if they are not of the same chain.
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
    heads = QuorumHeadSource(voters, poll_s)
    return ChainAccess(
        parameters=first.parameters,
        heads=heads,
        blocks=WitnessedBlockSource(voters),
        state=FailoverStateReader(voters),
        locks=QuorumLockReader(voters, heads),
        legs=FailoverLegBuilder(voters),
        transactions=BroadcastTransactionSender(voters),
        batches=first.batches,
        consents=QuorumConsentBuilder(voters, first.consents) if first.consents is not None else None,
        openings=QuorumOpeningProofs(voters, first.openings) if first.openings is not None else None,
        records=FailoverRecordReader(voters) if first.records is not None else None,
        transfers=FailoverTransferBuilder(voters) if first.transfers is not None else None,
        orders=FailoverOrderReader(voters) if first.orders is not None else None,
    )


class FailoverStateReader:
    """`StateReader`."""

    def __init__(self, voters: Voters) -> None:
        self._voters = voters

    async def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> BaseUnits:
        """The largest amount that a quorum reaches: quotes and what we sign are held against it, and one that is made
        up would keep back an exit, or let through what cannot be paid. At a height raise `DisagreementError` without
        that quorum; at the head, for display, return what the healthiest member says then."""
        voters = self._voters

        def patience(heard: Sequence[Said]) -> float | None:
            if at is not None or all(one.failed for one in heard):
                return None
            return HEDGE_S if voters.impatient(heard) is None else 0.0

        async def ask(member: Member) -> BaseUnits:
            return await member.access.state.balance(account, asset, at)

        answers = await voters.undisputed(ask, await voters.soon(ask, voters.answered, patience))
        held = [(one.member, one.answer) for one in answers if isinstance(one.answer, int)]
        refusals = [one.answer for one in answers if isinstance(one.answer, RejectedError)]
        if refusals and len(refusals) == len(answers):
            raise refusals[0]
        try:
            return BaseUnits(voters.reached(held, f"balance of {account}"))
        except DisagreementError:
            if at is not None or not held:
                raise
            said = dict(held)
            return BaseUnits(next(said[member] for member in voters.preferred() if member in said))


class FailoverRecordReader:
    """`RecordReader`, as the healthiest member says. Records are the chain's, so all members have them."""

    def __init__(self, voters: Voters) -> None:
        self._voters = voters

    async def record(self, namespace: str, key: str) -> RecordView | None:
        async def read(member: Member) -> RecordView | None:
            records = member.access.records
            return None if records is None else await records.record(namespace, key)

        return await self._voters.first(read)


class FailoverOrderReader:
    """`OrderReader`, as the healthiest member says. To hide an order gains nothing: the ledger refuses the lock."""

    def __init__(self, voters: Voters) -> None:
        self._voters = voters

    async def held(self, account: AccountId) -> HeldLeaf | None:
        return await self._voters.first(lambda member: _orders(member).held(account))

    async def order(self, number: int) -> OrderView:
        return await self._voters.first(lambda member: _orders(member).order(number))

    async def orders(self, most: int, before: int | None = None) -> OrdersPage:
        return await self._voters.first(lambda member: _orders(member).orders(most, before))

    async def officer(self, account: AccountId) -> str | None:
        return await self._voters.first(lambda member: _orders(member).officer(account))


def _orders(member: Member) -> OrderReader:
    if member.access.orders is None:
        raise RejectedError(f"the endpoint of {member.operator} reads no orders")
    return member.access.orders


class QuorumLockReader:
    """`LockReader`: all members read at one height that a quorum calls final, and a quorum must see the same."""

    def __init__(self, voters: Voters, heads: QuorumHeadSource) -> None:
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


class FailoverLegBuilder:
    """`LegBuilder`: building asks nobody, looking for a free place asks the healthiest member. What a lock needs before
    it is what a quorum says: one endpoint that lags, or lies, would have a transaction sent for nothing, or none."""

    def __init__(self, voters: Voters) -> None:
        self._voters = voters
        self._builder = voters.members[0].access.legs

    async def lock_id(self, terms: LockTerms, taken: Collection[LockId] = ()) -> LockId:
        return await self._voters.first(lambda member: member.access.legs.lock_id(terms, taken))

    async def prepare(self, terms: LockTerms) -> UnsignedTransaction | None:
        return await self._voters.agreed(
            lambda member: member.access.legs.prepare(terms), f"what a lock of {terms.asset} needs before it"
        )

    def lock(self, terms: LockTerms, lock_id: LockId) -> UnsignedTransaction:
        return self._builder.lock(terms, lock_id)

    def claim(self, terms: LockTerms, lock_id: LockId, preimage: Preimage, sender: AccountId) -> UnsignedTransaction:
        return self._builder.claim(terms, lock_id, preimage, sender)

    def refund(self, terms: LockTerms, lock_id: LockId, sender: AccountId) -> UnsignedTransaction:
        return self._builder.refund(terms, lock_id, sender)


class FailoverTransferBuilder:
    """`TransferBuilder`: the healthiest member is asked if the asset moves, and for an estimate."""

    def __init__(self, voters: Voters) -> None:
        self._voters = voters

    async def transfer(
        self, sender: AccountId, receiver: AccountId, asset: AssetId, amount: BaseUnits
    ) -> UnsignedTransaction:
        async def ask(member: Member) -> UnsignedTransaction:
            if member.access.transfers is None:
                raise RejectedError(f"the endpoint of {member.operator} makes no payments")
            return await member.access.transfers.transfer(sender, receiver, asset, amount)

        return await self._voters.first(ask)


class QuorumConsentBuilder:
    """`ConsentBuilder`: a quorum says what an asset takes, since what is signed for another nonce locks nothing."""

    def __init__(self, voters: Voters, builder: ConsentBuilder) -> None:
        self._voters = voters
        self._builder = builder

    async def lock(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> Draft | None:
        async def ask(member: Member) -> Draft | None:
            consents = member.access.consents
            return None if consents is None else await consents.lock(terms, lock_id, until)

        return await self._voters.agreed(ask, f"what a signed lock of {terms.asset} takes")

    def refund(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> Draft:
        return self._builder.refund(terms, lock_id, until)


class QuorumOpeningProofs:
    """`OpeningProofs`: what is signed asks nobody, and a quorum checks the signature."""

    def __init__(self, voters: Voters, openings: OpeningProofs) -> None:
        self._voters = voters
        self._openings = openings

    def message(self, opening: Statement) -> Consent:
        return self._openings.message(opening)

    async def check(self, opening: Statement, proof: bytes) -> None:
        async def passes(member: Member) -> bool:
            openings = member.access.openings or self._openings
            await openings.check(opening, proof)
            return True

        await self._voters.agreed(passes, f"the proof of {opening.account}'s opening")


class FailoverBridgeBuilder:
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
        given = [answer for answer in answers if not isinstance(answer, CausewayError)]
        if not given:
            raise next(answer for answer in answers if isinstance(answer, CausewayError))
        given.sort(key=lambda ref: -1 if ref is None else ref.height)
        return given[(len(given) - 1) // 2]

    async def _asked(self, bridge: BridgeBuilder, chain: ChainId) -> BlockRef | CausewayError | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await bridge.attested(chain)
        except CausewayError as error:
            return error
        except Exception as error:
            return RetryableError(f"an endpoint does not say what is attested: {error or type(error).__name__}")
