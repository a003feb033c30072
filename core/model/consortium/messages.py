"""Messages and transactions: what an account signs, in one form only."""

import hashlib
from typing import Final

import msgspec

from core.model.consortium_members import (
    Admit,
    Propose,
    Vote,
)
from core.model.consortium_orders import ApproveLift, ApproveOrder, PrepareLift, PrepareOrder
from core.model.errors import RejectedError

MAX_TRANSACTION_BYTES: Final = 64 * 1024
MAX_MESSAGES: Final = 64
MAX_DOCUMENT_BYTES: Final = 16 * 1024
SIGN_PREFIX: Final = b"causeway transaction v1\0"


class Issue(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="bank/issue", forbid_unknown_fields=True):
    """Create `amount` of `asset` (a symbol) for `receiver`; only the asset's issuer may."""

    asset: str
    receiver: bytes
    amount: bytes


class Transfer(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="bank/transfer", forbid_unknown_fields=True):
    """Move `amount` of `asset` to `receiver`."""

    asset: str
    receiver: bytes
    amount: bytes


class Burn(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="bank/burn", forbid_unknown_fields=True):
    """Destroy `amount` of the sender's `asset`."""

    asset: str
    amount: bytes


class CreateAsset(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="bank/create", forbid_unknown_fields=True
):
    """Create an asset whose issuer is the sender; only organisations with the role issuer may."""

    symbol: str
    decimals: int


class Lock(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="htlc/lock", forbid_unknown_fields=True):
    """Lock `amount` for `receiver` until `timelock` (Unix seconds of ledger time). Once per sender and hashlock."""

    asset: str
    amount: bytes
    receiver: bytes
    hashlock: bytes
    timelock: int


class Claim(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="htlc/claim", forbid_unknown_fields=True):
    """Pay the lock that `locker` made under the preimage's hash to its receiver, strictly before its timelock."""

    locker: bytes
    preimage: bytes


class Refund(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="htlc/refund", forbid_unknown_fields=True):
    """Pay the lock back to `locker`, at or after its timelock."""

    locker: bytes
    hashlock: bytes


class WriteRecord(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="records/write", forbid_unknown_fields=True
):
    """Append a version of the JSON `document` at `namespace`/`key`; the first author owns it and lets others write."""

    namespace: str
    key: str
    document: bytes


class SetAccess(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="records/access", forbid_unknown_fields=True
):
    """The record's owner names its owner from now on, and all others who may write, sorted by address."""

    namespace: str
    key: str
    owner: bytes
    writers: tuple[bytes, ...]


class AttestHeader(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="bridge/attest", forbid_unknown_fields=True
):
    """A validator operator's vote that a foreign block is final."""

    chain: str
    height: int
    block_hash: bytes
    time: int


class Appoint(msgspec.Struct, frozen=True, array_like=True, tag="bridge/appoint", forbid_unknown_fields=True):
    """A validator operator names the account that attests for it, next to its own; empty: no other does."""

    attestor: bytes


class ReportEquivocation(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="bridge/equivocation", forbid_unknown_fields=True
):
    """Two signed transactions of one account that attest different headers at one height (`core.proofs.equivocation`).
    Anybody may report it; it is recorded once for each operator and height."""

    first: bytes
    second: bytes


class AskQuery(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="bridge/ask", forbid_unknown_fields=True):
    """Ask a foreign chain. `uri` is the question in its canonical form, without a height.

    A block of that chain answers if its height is from `first` to `last`, inclusive; strictly before `deadline` (Unix
    seconds of ledger time) whoever proves the answer takes `fee` of `asset`, which may be nothing (empty).
    """

    uri: str
    first: int
    last: int
    deadline: int
    asset: str
    fee: bytes


class AnswerQuery(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="bridge/answer", forbid_unknown_fields=True
):
    """Answer query `number` by a proof (`core.proofs.evidence.bare`) under a header that this ledger attests."""

    number: int
    proof: bytes


class ExpireQuery(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="bridge/expire", forbid_unknown_fields=True
):
    """Give the fee of query `number` back to its asker, at or after its deadline."""

    number: int


Message = (
    Issue
    | Transfer
    | Burn
    | CreateAsset
    | Lock
    | Claim
    | Refund
    | WriteRecord
    | SetAccess
    | AttestHeader
    | Appoint
    | ReportEquivocation
    | AskQuery
    | AnswerQuery
    | ExpireQuery
    | Propose
    | Vote
    | Admit
    | PrepareOrder
    | ApproveOrder
    | PrepareLift
    | ApproveLift
)


class TransactionBody(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """The signed body. `messages` are applied all or none; valid in blocks up to `expiry_height`, inclusive."""

    chain_id: str
    public_key: bytes
    sequence: int
    expiry_height: int
    messages: tuple[Message, ...]


class Transaction(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """A body with the ed25519 signature (64 bytes, RFC 8032) over `sign_bytes(body)`."""

    body: TransactionBody
    signature: bytes


_encoder = msgspec.msgpack.Encoder()
_transaction_decoder = msgspec.msgpack.Decoder(Transaction)


def sign_bytes(body: TransactionBody) -> bytes:
    """Return the bytes that the account signs: a domain prefix, then the canonical body."""
    return SIGN_PREFIX + _encoder.encode(body)


def encode_transaction(transaction: Transaction) -> bytes:
    return _encoder.encode(transaction)


def decode_transaction(raw: bytes) -> Transaction:
    """Parse untrusted bytes. Raise `RejectedError` when too long, malformed or not in canonical form."""
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise RejectedError(f"a transaction is at most {MAX_TRANSACTION_BYTES} bytes, this one has {len(raw)}")
    try:
        transaction = _transaction_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"not a transaction: {error}") from None
    if _encoder.encode(transaction) != raw:
        raise RejectedError("the transaction is not in its canonical form")
    return transaction


def transaction_hash(raw: bytes) -> bytes:
    """CometBFT's name for a transaction: SHA-256 of its bytes."""
    return hashlib.sha256(raw).digest()
