"""The ports: how every room sees a chain. Small, by capability; adapters implement them, gateway wires them.

Every method may raise `RetryableError` when the chain cannot be reached; what else it raises is said where it stands.
Verification is not a port: verifiers are pure functions in `core.proofs`.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core.model.consortium_orders import HeldLeaf, OrdersPage, OrderView
from core.model.facts import Block, BlockHeader, HeadUpdate, LockObservation, RecordView, SignedAttestation
from core.model.openings import Statement
from core.model.questions import Evidence, Question
from core.model.transactions import (
    Consent,
    Draft,
    FeeBid,
    FeeMarket,
    Outcome,
    SequenceView,
    SignedTransaction,
    SigningRequest,
    UnsignedTransaction,
)
from core.model.types import (
    AccountId,
    Asset,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Height,
    LockId,
    LockTerms,
    Preimage,
    Seconds,
)


@dataclass(frozen=True, slots=True)
class ChainTiming:
    """The bounds that timelocks are computed from, in seconds of true time; see `htlc.timelocks` for the inequalities.

    `inclusion_s` I: worst time from a broadcast to a block. `finality_s` F: from a block to its being final.
    `observation_s` O: our own noticing and deciding. `lead_s`/`lag_s`: how far the chain's time may run ahead of or
    behind true time.
    """

    block_time_s: Seconds
    inclusion_s: Seconds
    finality_s: Seconds
    observation_s: Seconds
    lead_s: Seconds
    lag_s: Seconds


class ChainParameters(Protocol):
    """A chain as it is known before any question. `genesis_hash` pins it: development ids are reused."""

    @property
    def chain(self) -> ChainId: ...
    @property
    def genesis_hash(self) -> bytes: ...
    @property
    def timing(self) -> ChainTiming: ...
    @property
    def assets(self) -> Mapping[AssetId, Asset]: ...
    @property
    def htlc_code_hash(self) -> bytes:
        """The code hash that an honest HTLC has here, to compare with `LockObservation.code_hash`."""

    @property
    def htlc_holder(self) -> AccountId | None:
        """The contract that holds locks, None if the ledger itself does."""

    @property
    def contract_names(self) -> Mapping[AccountId, str]:
        """Names of followed contracts, as far as they are known; tokens have their own."""


class HeadSource(Protocol):
    """The newest and the finalized block."""

    async def head(self) -> HeadUpdate:
        """Ask now."""

    async def final_block(self, height: Height) -> BlockHeader:
        """The block at a height that is final, with the quorum applied: a ground to attest, to fund or to reveal.

        Raise `NotYetFinalError` above the finalized height, `DisagreementError` without a quorum.
        """

    def heads(self) -> AsyncIterator[HeadUpdate]:
        """Yield an update at once and then whenever head or finalized changes, for ever.

        Survives dead connections by itself (reconnects, polls next to a subscription); does not raise
        `RetryableError`. A head may be lower than the one before: only hashes show if that is a reorg.
        """


class BlockSource(Protocol):
    """Blocks with their typed events; never raw RPC."""

    async def header(self, at: Height | bytes) -> BlockHeader:
        """By canonical height or by hash. Raise `NotFoundError`."""

    async def blocks(self, first: Height, last: Height) -> Sequence[Block]:
        """The canonical blocks first..last, inclusive, in order, each linked to the one before.

        The events belong to exactly these hashes: raises `ReorgedError` when the chain changed while it was read,
        `NotFoundError` beyond the head. At most `MAX_BLOCK_RANGE` of the adapter a call.
        """


class StateReader(Protocol):
    """Unproven state, for display and planning: never a ground to fund or reveal. `at` None means the head."""

    async def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> BaseUnits: ...


class RecordReader(Protocol):
    """Unproven records, for display; only on chains that keep some."""

    async def record(self, namespace: str, key: str) -> RecordView | None:
        """Return the newest version at the head, None if there is none."""


class LockReader(Protocol):
    """The ground to fund or to reveal: read at a finalized block, with the quorum applied."""

    async def lock(self, lock_id: LockId, terms: LockTerms) -> LockObservation:
        """Raise `DisagreementError` without a quorum, `RejectedError` for an id that is not of this chain."""

    async def check_payout(self, terms: LockTerms) -> None:
        """Return if the HTLC's payment of `terms.amount` to `terms.receiver` would succeed in the newest state.

        Asked for any terms, locked or not. Only the payment is simulated, from the HTLC: no preimage is in it.
        Raise `PayoutBlockedError` with the chain's reason if a quorum says that it would fail, `DisagreementError`
        without a quorum. Each adapter says what it cannot know.
        """


class Prover(Protocol):
    """Answers with proof."""

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        """Prove the answer at a finalized height (None: the newest that can be proven).

        `trusted`: the height of the verifier's anchor, at which the evidence starts; None: the prover's own.
        Proof or an exception: `NotYetFinalError` if the height is not final or not provable yet,
        `NotFoundError` if it is pruned, `RejectedError` for a question that this chain cannot prove.
        """


class LegBuilder(Protocol):
    """The three verbs, as unsigned transactions: the same object goes to our executor and to a dApp's wallet."""

    async def lock_id(self, terms: LockTerms, taken: Collection[LockId] = ()) -> LockId:
        """A free place for this lock; `taken` are places handed out but perhaps not on chain yet."""

    async def prepare(self, terms: LockTerms) -> UnsignedTransaction | None:
        """Return the next transaction that must be included before the lock can be, or None if nothing is left to do.

        One step at a time (a token may want its old allowance reset before a new one): ask again once it is included.
        """

    def lock(self, terms: LockTerms, lock_id: LockId) -> UnsignedTransaction: ...

    def claim(self, terms: LockTerms, lock_id: LockId, preimage: Preimage, sender: AccountId) -> UnsignedTransaction:
        """Anyone may send it; it pays the receiver. Sending it, even to simulate it, reveals the preimage."""

    def refund(self, terms: LockTerms, lock_id: LockId, sender: AccountId) -> UnsignedTransaction:
        """Anyone may send it; it pays the lock's sender."""


class BatchBuilder(Protocol):
    """Several exits, or locks, in one transaction; only on chains where one that fails takes nothing with it."""

    @property
    def max_exits(self) -> int:
        """How many exits one transaction may hold."""

    @property
    def max_locks(self) -> int:
        """How many locks one transaction may hold."""

    def divided(self, exits: Sequence[UnsignedTransaction]) -> Sequence[Sequence[int]]:
        """Return which of them go out together, by their indices: each part is a batch of 2 to `max_exits`.

        What is in no part goes alone. All are of one sender, as `LegBuilder` made them.
        """

    def batch(self, exits: Sequence[UnsignedTransaction]) -> UnsignedTransaction:
        """Claims and refunds of one sender, as `LegBuilder` made them. It reveals if one of them does.

        Each stands alone, with bounds of its own: `Outcome.left_out` says which did nothing. Raise `RejectedError`
        for none, for more than `max_exits`, for several senders, and for what is neither claim nor refund.
        """

    def locks(self, locks: Sequence[UnsignedTransaction], *, each: bool = True) -> UnsignedTransaction:
        """Locks of one sender and one asset, as `LegBuilder` made them, in their order.

        Each stands alone: `Outcome.left_out` says which did nothing, and its amount stays with the sender. With `each`
        false all are made or none, as a simulation should have it. Raise `RejectedError` for none, for more than
        `max_locks`, for several senders or assets, and for what is not a plain lock.
        """


class TransferBuilder(Protocol):
    """Payments from an account of ours to anybody."""

    async def transfer(
        self, sender: AccountId, receiver: AccountId, asset: AssetId, amount: BaseUnits
    ) -> UnsignedTransaction:
        """Return the payment, as `TransactionSender.cost` counts it, with a work limit that fits.

        Raise `RejectedError` for what is of another chain, for an amount below 1, for a receiver that never gives
        anything back (nobody, the HTLC, the token itself), and if the asset says that it would not move.
        """


class ConsentBuilder(Protocol):
    """Acts that rest on a party's signature next to the transaction; only on chains that know such.

    `until` is the last second at which a consent is good.
    """

    async def lock(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> Draft | None:
        """A lock with nothing before it (compare `LegBuilder.prepare`), by a consent of the lock's sender.

        Only the sender can submit it. None if the asset takes no such
        consent, or needs none.
        """

    def refund(self, terms: LockTerms, lock_id: LockId, until: ChainTime) -> Draft:
        """A refund before the timelock, by a consent of the receiver. Anyone may send it."""


class OpeningProofs(Protocol):
    """Signatures by which an account shows that the opening of a swap is its own, or that its holder asks."""

    def message(self, opening: Statement) -> Consent:
        """Return the message to sign, bound to the chain and every field. Raise `RejectedError` for another chain's."""

    async def check(self, opening: Statement, proof: bytes) -> None:
        """Return if `proof` is the account's signature over `message(opening)`.

        Raise `RejectedError` for any other bytes, of any number. One signature is verified; a wallet that is a contract
        is asked once, with a bound on its work, at a quorum: `DisagreementError` without one.
        """


class BridgeBuilder(Protocol):
    """Statements about other chains, as unsigned transactions."""

    def attest(self, header: BlockHeader, sender: AccountId) -> UnsignedTransaction:
        """A validator's vote that a foreign header is final."""

    async def attested(self, chain: ChainId) -> BlockRef | None:
        """The newest foreign header that more than ⅔ of the power has attested, unproven."""


class AttestationSource(Protocol):
    """Attestations of foreign headers as accounts have signed them, in blocks of the chain that keeps them."""

    async def attestations(self, first: Height, last: Height) -> Sequence[SignedAttestation]:
        """Return every attestation in the blocks `first` to `last`, in order: also those that the chain refused.

        Each is signed by its account. Raise `NotFoundError` for blocks that are pruned or not there yet.
        """

    async def attests_for_operator(self, account: AccountId) -> bool:
        """Return true if the account is an operator's, or of an attestor that an operator has appointed, unproven."""

    def accuse(self, first: bytes, second: bytes, sender: AccountId) -> UnsignedTransaction:
        """Return the report of two transactions of one account that attest different headers at one height."""


class TransactionSender(Protocol):
    """From unsigned to final. `relayer.transactions` drives it; nothing here keeps state."""

    async def sequences(self, account: AccountId) -> SequenceView:
        """The account's next sequence (an EVM nonce) as the newest and as the finalized state have it."""

    async def fee_market(self) -> FeeMarket | None:
        """None on chains without fees."""

    async def simulate(self, transaction: UnsignedTransaction, fee: FeeBid | None = None) -> None:
        """Check that it would succeed now. With `fee`, the account must also be able to pay that bid.

        Raise `RevertedError` with the reason, `RejectedError` for one that reveals.
        """

    def cost(self, transaction: UnsignedTransaction, fee: FeeBid | None) -> Mapping[AssetId, int]:
        """Return the most that it can take from its sender, in base units by asset: what it moves, and its fee under
        this bid (gas limit times `max_fee`). An asset of which it takes nothing is left out.
        """

    def exit_cost(self, fee: FeeBid | None) -> Mapping[AssetId, int]:
        """Return the most that sending one claim or refund can take from an account under this bid, by asset.

        Empty on chains without fees. It is what an account keeps for each exit that it owes.
        """

    async def cancellation(self, account: AccountId) -> UnsignedTransaction | None:
        """Return a transaction that uses up a sequence of the account and changes nothing else.

        None if the account holds nothing that the chain needs for it.
        """

    async def fitted(self, transaction: UnsignedTransaction, tries: int) -> UnsignedTransaction:
        """Return the same transaction with the work limit (an EVM gas limit) that its next try should have.

        The limit is never below the transaction's own, follows an estimate with a margin if the transaction does not
        reveal, grows by half with each of the `tries` that failed before, and stays within what one block takes. A
        transaction that reveals is never shown to an endpoint. Chains without such a limit return it as it is. Raise
        nothing: without an estimate the limit grows all the same.
        """

    def assemble(
        self, transaction: UnsignedTransaction, sequence: int, fee: FeeBid | None, expiry: Height | None
    ) -> SigningRequest:
        """Complete it. `expiry` is the last height that may include it, on chains that know one; others ignore it."""

    def attach(self, request: SigningRequest, signature: bytes) -> SignedTransaction:
        """Join signature and transaction. Raise `RejectedError` when the signature is not the account's."""

    async def submit(self, signed: SignedTransaction) -> None:
        """Broadcast to all endpoints; one that knows it already counts as success.

        Raise `RevertedError` when it is refused for good, `ConflictError` when its sequence is used up or another
        transaction holds it (look at the chain before deciding anything).
        """

    async def outcome(self, tx_hash: bytes) -> Outcome:
        """Return its status. Unknown to every endpoint is `DROPPED`, which never means that it cannot come back."""


class FeeReader(Protocol):
    """Reads the cost of included transactions, on chains with fees."""

    @property
    def asset(self) -> AssetId:
        """The asset in which the chain takes its fees."""

    async def paid(self, tx_hashes: Sequence[bytes]) -> list[int | None]:
        """Return the fee of each of these transactions, in base units of `asset`, in their order; None for one that no
        block has. For display: one endpoint is believed. Raise `RetryableError` while none answers."""


class Signer(Protocol):
    """Signs for one account: a local key or a remote one. Has no `repr` of its key."""

    @property
    def account(self) -> AccountId: ...

    async def sign(self, request: SigningRequest) -> bytes:
        """The signature over `request.payload` by the scheme that the request names."""


@runtime_checkable
class ConsentSigner(Protocol):
    """A signer that gives consents, too: a capability of its own, so that whoever may have messages signed cannot have
    a transaction signed by it.

    A consent's bytes can never be those of a transaction. On EVM chains they begin with 0x19 0x01 (EIP-191, EIP-712),
    and a transaction begins as an RLP list, from 0xc0, or with its type (EIP-2718), of which 0x19 is kept free for
    this. On chains of ours both have prefixes, and neither is a beginning of the other. A signer refuses any other
    bytes here, and these bytes as a transaction.
    """

    async def consent(self, asked: Consent) -> bytes:
        """The signature, as the chain's wallets give it.

        Raise `RejectedError` for another account's consent, and for a payload that is not a consent's.
        """


class OrderReader(Protocol):
    """The hold orders of a ledger that has them, unproven: for display, and for refusals before the ledger's own."""

    async def held(self, account: AccountId) -> HeldLeaf | None:
        """Return the order that holds an account in the newest block, None if none does."""

    async def order(self, number: int) -> OrderView:
        """Raise `NotFoundError` for a number that no order has."""

    async def orders(self, most: int, before: int | None = None) -> OrdersPage:
        """The newest orders, at most `most`; those with numbers below `before`."""

    async def officer(self, account: AccountId) -> str | None:
        """The name of the organisation that makes the account an officer's, None if none does."""


@dataclass(frozen=True, slots=True)
class ChainAccess:
    """One chain's capabilities as gateway hands them to a room. What may be None, not every chain can do."""

    parameters: ChainParameters
    heads: HeadSource
    blocks: BlockSource
    state: StateReader
    locks: LockReader
    legs: LegBuilder
    transactions: TransactionSender
    batches: BatchBuilder | None = None
    consents: ConsentBuilder | None = None
    openings: OpeningProofs | None = None
    records: RecordReader | None = None
    transfers: TransferBuilder | None = None
    orders: OrderReader | None = None
    fees: FeeReader | None = None

    @property
    def chain(self) -> ChainId:
        return self.parameters.chain
