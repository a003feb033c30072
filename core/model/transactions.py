"""A transaction on its way from an intention to a final block, in terms that fit every chain."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from core.model.types import AccountId, BlockRef, ChainId


@dataclass(frozen=True, slots=True)
class UnsignedTransaction:
    """An act and its account; sequence and fee come later.

    `body` is the adapter's own canonical encoding. If `reveals` is true it contains an unrevealed preimage: it is
    then never logged, simulated or estimated, and `repr` hides it always. `summary` is a sentence for people.
    """

    chain: ChainId
    sender: AccountId
    body: bytes = field(repr=False)
    reveals: bool
    summary: str


@dataclass(frozen=True, slots=True)
class FeeMarket:
    """The price of inclusion now, in base units of the native asset per unit of gas (EIP-1559)."""

    base_fee: int
    priority_fee: int


@dataclass(frozen=True, slots=True)
class FeeBid:
    """Our offer per unit of gas (EIP-1559 `maxFeePerGas`, `maxPriorityFeePerGas`)."""

    max_fee: int
    priority_fee: int


@dataclass(frozen=True, slots=True)
class SequenceView:
    """The next sequence of an account. `latest` counts included transactions, `finalized` those that stay.

    `finalized` is None if it cannot be known now, for example because the endpoint no longer keeps the state of its
    finalized block. Exits do not wait for it; nothing may be concluded from its absence.
    """

    latest: int
    finalized: int | None


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """A complete transaction that lacks only its signature.

    `scheme` is `secp256k1-keccak256` (sign the Keccak-256 of `payload`, answer r‖s‖v with v in {0, 1}) or `ed25519`
    (sign `payload`, answer 64 bytes).
    """

    transaction: UnsignedTransaction
    sequence: int
    scheme: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """Bytes that may be broadcast any number of times. `hash` is known before the first broadcast."""

    chain: ChainId
    sender: AccountId
    sequence: int
    hash: bytes
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Consent:
    """A signature of `account` next to its transactions: its permission for one act, which others may carry out, or its
    word that an opening of a swap is its own.

    `typed_data` is what a wallet shows and signs (on EVM chains the JSON of EIP-712, for `eth_signTypedData_v4`),
    `payload` the bytes that a key signs for the same. `summary` is a sentence for people.
    """

    account: AccountId
    typed_data: str
    payload: bytes = field(repr=False)
    summary: str


class Draft(Protocol):
    """A transaction that waits for a consent. Two of the same are equal: a quorum compares them."""

    def __hash__(self) -> int: ...

    @property
    def consent(self) -> Consent: ...

    def complete(self, signature: bytes, sender: AccountId) -> UnsignedTransaction:
        """The transaction with the consent's signature in it, to be sent by `sender`.

        Raise `RejectedError` for a signature that is evidently not the account's, and for a sender who
        cannot carry this act out.
        """


class OutcomeStatus(StrEnum):
    """`REVERTED` used its sequence without effect and may still be reorged; it is final when `final` says so."""

    PENDING = "pending"
    INCLUDED = "included"
    REVERTED = "reverted"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An item of an included batch that did nothing, by its place in it, and the chain's word for why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transaction's status. `block` is set once included or reverted; `reason` the chain's word on a revert.

    `left_out`: of an included batch, the items that did nothing; of a reverted one none did anything.
    """

    status: OutcomeStatus
    final: bool = False
    block: BlockRef | None = None
    reason: str | None = None
    left_out: tuple[LeftOut, ...] = ()
