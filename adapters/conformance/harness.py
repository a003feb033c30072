"""The chain under test as the suite needs it, and the steps that its tests are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from core.model.errors import RevertedError
from core.model.facts import BlockHeader
from core.model.ports import ChainAccess, Signer
from core.model.transactions import FeeBid, Outcome, OutcomeStatus, SignedTransaction, UnsignedTransaction
from core.model.types import AssetId, BaseUnits, ChainTime, Height, LockId, LockTerms, Preimage, Seconds

FUNDS: Final = 1_000_000
"""Base units of every asset that a new account holds at least."""
AMOUNT: Final = BaseUnits(1_000)
MAX_ADVANCES: Final = 200
"""Blocks that the suite waits for something that must happen."""


class ChainHarness(Protocol):
    """A running chain with one adapter over it."""

    @property
    def access(self) -> ChainAccess: ...

    @property
    def assets(self) -> Sequence[AssetId]:
        """Assets that can be locked, one of each kind that the chain knows (native, token)."""

    @property
    def timelock_s(self) -> Seconds:
        """How far ahead a test puts a timelock that it will wait for: short if time cannot be moved."""

    @property
    def knows_expiry(self) -> bool:
        """True if a transaction can name the last height that may include it."""

    @property
    def can_reorg(self) -> bool: ...

    async def account(self) -> Signer:
        """A fresh account, final on chain, with `FUNDS` of every asset, and with what its fees will cost."""

    async def advance(self, blocks: int = 1) -> None:
        """Return when the adapter's head is at least this many blocks further on."""

    async def wait_until(self, time: ChainTime) -> None:
        """Return when every block from now on has this time or a later one. It may move the chain's clock."""

    async def reorg(self, depth: int) -> None:
        """Replace the newest `depth` blocks by a longer branch without their transactions; only if `can_reorg`."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A lock that a test has made, with all that belongs to it."""

    terms: LockTerms
    lock_id: LockId
    preimage: Preimage
    sender: Signer
    receiver: Signer
    transaction: SignedTransaction


async def head(harness: ChainHarness) -> BlockHeader:
    return (await harness.access.heads.head()).head


async def make_terms(
    harness: ChainHarness,
    sender: Signer,
    receiver: Signer,
    preimage: Preimage,
    asset: AssetId | None = None,
    amount: BaseUnits = AMOUNT,
) -> LockTerms:
    """Terms of a lock that can be made now and whose timelock `wait_until` can reach."""
    now = (await head(harness)).time
    return LockTerms(
        asset=asset or harness.assets[0],
        amount=amount,
        sender=sender.account,
        receiver=receiver.account,
        hashlock=preimage.hashlock(),
        timelock=now.plus(harness.timelock_s),
    )


async def fee_bid(harness: ChainHarness, factor: int = 2) -> FeeBid | None:
    """An offer that is taken at once; a larger `factor` outbids a smaller one."""
    market = await harness.access.transactions.fee_market()
    if market is None:
        return None
    priority = max(1, market.priority_fee) * factor
    return FeeBid(market.base_fee * factor + priority, priority)


async def signed(
    harness: ChainHarness,
    signer: Signer,
    transaction: UnsignedTransaction,
    sequence: int | None = None,
    expiry: Height | None = None,
    factor: int = 2,
) -> SignedTransaction:
    transactions = harness.access.transactions
    if sequence is None:
        sequence = (await transactions.sequences(signer.account)).latest
    if expiry is None and harness.knows_expiry:
        expiry = Height((await head(harness)).height + MAX_ADVANCES)
    request = transactions.assemble(transaction, sequence, await fee_bid(harness, factor), expiry)
    return transactions.attach(request, await signer.sign(request))


async def settled(harness: ChainHarness, tx_hash: bytes) -> Outcome:
    """Its outcome once it is in a block, whether it succeeded or not."""
    for _ in range(MAX_ADVANCES):
        outcome = await harness.access.transactions.outcome(tx_hash)
        if outcome.status in (OutcomeStatus.INCLUDED, OutcomeStatus.REVERTED):
            return outcome
        await harness.advance()
    raise AssertionError(f"not in a block after {MAX_ADVANCES} blocks: {outcome}")


async def finalized(harness: ChainHarness, height: Height) -> None:
    """Return when the block at `height` is final."""
    for _ in range(MAX_ADVANCES):
        if (await harness.access.heads.head()).finalized.height >= height:
            return
        await harness.advance()
    raise AssertionError(f"height {height} is not final after {MAX_ADVANCES} blocks")


async def send(harness: ChainHarness, signer: Signer, transaction: UnsignedTransaction) -> SignedTransaction:
    """Sign, submit, and see it succeed in a block."""
    sent = await signed(harness, signer, transaction)
    await harness.access.transactions.submit(sent)
    outcome = await settled(harness, sent.hash)
    assert outcome.status is OutcomeStatus.INCLUDED, outcome
    return sent


async def send_final(harness: ChainHarness, signer: Signer, transaction: UnsignedTransaction) -> SignedTransaction:
    """`send`, and wait until it is irreversible."""
    sent = await send(harness, signer, transaction)
    block = (await settled(harness, sent.hash)).block
    assert block is not None
    await finalized(harness, block.height)
    return sent


async def refusal(harness: ChainHarness, signer: Signer, transaction: UnsignedTransaction) -> str:
    """The reason for which the chain refuses it, at the door or in a block. Fails if it succeeds."""
    sent = await signed(harness, signer, transaction)
    try:
        await harness.access.transactions.submit(sent)
    except RevertedError as error:
        return str(error.fields["reason"])
    outcome = await settled(harness, sent.hash)
    assert outcome.status is OutcomeStatus.REVERTED, f"the chain took it: {transaction.summary}"
    assert outcome.reason, "a revert has a reason"
    return outcome.reason


async def lock(harness: ChainHarness, asset: AssetId | None = None) -> Leg:
    """A fresh lock between two fresh accounts, in a block."""
    sender, receiver, preimage = await harness.account(), await harness.account(), Preimage.generate()
    return await lock_between(harness, sender, receiver, preimage, asset)


async def lock_between(
    harness: ChainHarness, sender: Signer, receiver: Signer, preimage: Preimage, asset: AssetId | None = None
) -> Leg:
    legs = harness.access.legs
    terms = await make_terms(harness, sender, receiver, preimage, asset)
    lock_id = await legs.lock_id(terms)
    await prepared(harness, sender, terms)
    sent = await send(harness, sender, legs.lock(terms, lock_id))
    return Leg(terms, lock_id, preimage, sender, receiver, sent)


async def prepared(harness: ChainHarness, sender: Signer, terms: LockTerms) -> None:
    """Do what must be done before a lock (a token allowance)."""
    transaction = await harness.access.legs.prepare(terms)
    if transaction is not None:
        await send(harness, sender, transaction)
        assert await harness.access.legs.prepare(terms) is None, "what was prepared needs no second preparation"


def claim(harness: ChainHarness, leg: Leg, by: Signer) -> UnsignedTransaction:
    return harness.access.legs.claim(leg.terms, leg.lock_id, leg.preimage, by.account)


def refund(harness: ChainHarness, leg: Leg, by: Signer) -> UnsignedTransaction:
    return harness.access.legs.refund(leg.terms, leg.lock_id, by.account)


async def balance(harness: ChainHarness, signer: Signer, asset: AssetId) -> BaseUnits:
    return await harness.access.state.balance(signer.account, asset)
