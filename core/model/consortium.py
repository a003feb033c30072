"""The consortium ledger's own language: messages, transactions, state keys and leaves, events.

Spoken by the chain, by its adapter, by verifiers and by clients. Encodings are canonical: MessagePack arrays as
msgspec writes them, amounts as minimal big-endian bytes; `decode_transaction` refuses bytes that do not re-encode to
themselves, so one transaction has exactly one form and one hash.
"""

import hashlib
import re
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from core.model.consortium_members import (
    AdmissionLeaf,
    Admit,
    MembersEvent,
    MisbehaviourLeaf,
    Organisation,
    ProposalLeaf,
    Propose,
    ValidatorsLeaf,
    Vote,
)
from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS, AccountId, AssetId, ChainId, LockId, chain_of

NAMESPACE: Final = "causeway"
MAX_TRANSACTION_BYTES: Final = 64 * 1024
MAX_MESSAGES: Final = 64
PROMISED_INCLUSION_S: Final = 8
"""From the broadcast of a claim or a refund of a protected lock to a block with it, whatever others send, while at
most one validator in four is down or dishonest and blocks are a second apart (docs/consortium-chain.md)."""
MAX_DOCUMENT_BYTES: Final = 16 * 1024
MAX_NAME_CHARS: Final = 64
ADDRESS_BYTES: Final = 20
SIGN_PREFIX: Final = b"causeway transaction v1\0"
NAME_PATTERN: Final = r"[a-z0-9][-_.a-z0-9]{0,63}"
"""Asset symbols, record namespaces and record keys."""
_ACCOUNT = re.compile(r"[^:]+:[^:]+:([0-9a-fA-F]{40})")
_LOCK_ID = re.compile(r"([0-9a-f]{40})/([0-9a-f]{64})")

APP_VERSION: Final = 1
"""The version of the ledger's rules, as the `version.app` of a header names it."""


# --- addresses and amounts ---------------------------------------------------------------------------------------


def address(public_key: bytes) -> bytes:
    """The 20-byte address of an ed25519 account: SHA-256, truncated (CometBFT spec, Data Structures)."""
    if len(public_key) != 32:
        raise RejectedError("an ed25519 public key is 32 bytes")
    return hashlib.sha256(public_key).digest()[:ADDRESS_BYTES]


def caip_chain(reference: str) -> ChainId:
    """The CAIP-2 id of the consortium chain whose CometBFT chain id is `reference`."""
    return ChainId(f"{NAMESPACE}:{reference}")


def caip_account(chain: ChainId, raw: bytes) -> AccountId:
    return AccountId(f"{chain}:{raw.hex()}")


def caip_asset(chain: ChainId, symbol: str) -> AssetId:
    return AssetId(f"{chain}/asset:{symbol}")


def raw_address(account: AccountId) -> bytes:
    """The 20 bytes of a CAIP-10 account of a consortium chain. Raise `RejectedError`."""
    match = _ACCOUNT.fullmatch(account)  # `fromhex` alone would pass over spaces
    if match is None:
        raise RejectedError(f"{account[:128]!r} is not an account of a consortium chain")
    return bytes.fromhex(match[1])


def asset_symbol(asset: AssetId) -> str:
    """`cnyd` of `causeway:devnet-1/asset:cnyd`. Raise `RejectedError`."""
    prefix = f"{chain_of(asset)}/asset:"
    if not asset.startswith(prefix):
        raise RejectedError(f"{asset[:128]!r} is not an asset of a consortium chain")
    return asset[len(prefix) :]


def lock_id(chain: ChainId, sender: bytes, hashlock: bytes) -> LockId:
    """A lock's name: its sender and hashlock, since a sender may use a hashlock once only."""
    return LockId(f"{sender.hex()}/{hashlock.hex()}")


def parse_lock_id(name: LockId) -> tuple[bytes, bytes]:
    """(sender, hashlock) of a lock id. Raise `RejectedError`."""
    match = _LOCK_ID.fullmatch(name)
    if match is None:
        raise RejectedError(f"{name[:128]!r} is not a lock id of a consortium chain")
    return bytes.fromhex(match[1]), bytes.fromhex(match[2])


def quantity(value: int) -> bytes:
    """An amount on the wire: minimal big-endian, empty for zero. Raise `RejectedError` outside 0 ≤ n < 2**256."""
    if not 0 <= value <= MAX_BASE_UNITS:
        raise RejectedError("an amount is a whole number of base units, 0 ≤ n < 2**256")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def value_of(raw: bytes) -> int:
    """The inverse of `quantity`. Raise `RejectedError` for a form that is not minimal."""
    if len(raw) > 32 or raw[:1] == b"\0":
        raise RejectedError("an amount is written as minimal big-endian bytes, at most 32")
    return int.from_bytes(raw, "big")


# --- messages ----------------------------------------------------------------------------------------------------


class Issue(msgspec.Struct, frozen=True, array_like=True, tag="bank/issue", forbid_unknown_fields=True):
    """Create `amount` of `asset` (a symbol) for `receiver`; only the asset's issuer may."""

    asset: str
    receiver: bytes
    amount: bytes


class Transfer(msgspec.Struct, frozen=True, array_like=True, tag="bank/transfer", forbid_unknown_fields=True):
    """Move `amount` of `asset` to `receiver`."""

    asset: str
    receiver: bytes
    amount: bytes


class Burn(msgspec.Struct, frozen=True, array_like=True, tag="bank/burn", forbid_unknown_fields=True):
    """Destroy `amount` of the sender's `asset`."""

    asset: str
    amount: bytes


class CreateAsset(msgspec.Struct, frozen=True, array_like=True, tag="bank/create", forbid_unknown_fields=True):
    """Create an asset whose issuer is the sender; only organisations with the role issuer may."""

    symbol: str
    decimals: int


class Lock(msgspec.Struct, frozen=True, array_like=True, tag="htlc/lock", forbid_unknown_fields=True):
    """Lock `amount` for `receiver` until `timelock` (Unix seconds of ledger time). Once per sender and hashlock."""

    asset: str
    amount: bytes
    receiver: bytes
    hashlock: bytes
    timelock: int


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="htlc/claim", forbid_unknown_fields=True):
    """Pay the lock that `locker` made under the preimage's hash to its receiver, strictly before its timelock."""

    locker: bytes
    preimage: bytes


class Refund(msgspec.Struct, frozen=True, array_like=True, tag="htlc/refund", forbid_unknown_fields=True):
    """Pay the lock back to `locker`, at or after its timelock."""

    locker: bytes
    hashlock: bytes


class WriteRecord(msgspec.Struct, frozen=True, array_like=True, tag="records/write", forbid_unknown_fields=True):
    """Append a version of the JSON `document` at `namespace`/`key`; the first author owns it and lets others write."""

    namespace: str
    key: str
    document: bytes


class SetAccess(msgspec.Struct, frozen=True, array_like=True, tag="records/access", forbid_unknown_fields=True):
    """The record's owner names its owner from now on, and all others who may write, sorted by address."""

    namespace: str
    key: str
    owner: bytes
    writers: tuple[bytes, ...]


class AttestHeader(msgspec.Struct, frozen=True, array_like=True, tag="bridge/attest", forbid_unknown_fields=True):
    """A validator operator's vote that a foreign block is final."""

    chain: str
    height: int
    block_hash: bytes
    time: int


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
    | Propose
    | Vote
    | Admit
)


class TransactionBody(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The signed body. `messages` are applied all or none; valid in blocks up to `expiry_height`, inclusive."""

    chain_id: str
    public_key: bytes
    sequence: int
    expiry_height: int
    messages: tuple[Message, ...]


class Transaction(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
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


# --- ledger time and results -------------------------------------------------------------------------------------

CLOCK_PREFIX: Final = b"causeway clock v1\0"
MAX_CLOCK_MS: Final = 2**43 - 1


def encode_clock(time_ms: int) -> bytes:
    """The first entry of every block: the proposer's clock, milliseconds since the epoch, 8 bytes big-endian."""
    if not 0 < time_ms <= MAX_CLOCK_MS:
        raise RejectedError("a block's clock is a positive number of milliseconds below 2**43")
    return CLOCK_PREFIX + time_ms.to_bytes(8, "big")


def decode_clock(raw: bytes) -> int:
    """The milliseconds of a clock entry. Raise `RejectedError` for anything else; no transaction looks like one."""
    time_ms = int.from_bytes(raw[len(CLOCK_PREFIX) :], "big")
    if not raw.startswith(CLOCK_PREFIX) or len(raw) != len(CLOCK_PREFIX) + 8 or not 0 < time_ms <= MAX_CLOCK_MS:
        raise RejectedError("not a block's clock entry")
    return time_ms


class ResultCode(IntEnum):
    """How a transaction ended. Its `word` begins the log sentence, as in `too-late: …`.

    Codes up to `NO_ROOM` change nothing: nobody is known to have authorised it, or a block has no room for it. Once it
    is in a block, every other failure uses up the sequence and nothing else.
    """

    OK = 0
    MALFORMED = 1
    WRONG_CHAIN = 2
    WRONG_SEQUENCE = 3
    EXPIRED = 4
    BAD_SIGNATURE = 5
    BAD_CLOCK = 6
    TOO_COSTLY = 7
    """It asks for more work than one transaction may."""
    NO_ROOM = 8
    """The waiting transactions, or this block, have no room for it: send it again after the next block."""
    BAD_ADDRESS = 10
    BAD_AMOUNT = 11
    BAD_NAME = 12
    UNKNOWN_ASSET = 13
    INSUFFICIENT_FUNDS = 14
    NOT_ISSUER = 15
    OVERFLOW = 16
    ASSET_EXISTS = 17
    BAD_TIMELOCK = 20
    BAD_HASHLOCK = 21
    HASHLOCK_USED = 22
    UNKNOWN_LOCK = 23
    ALREADY_SETTLED = 24
    TOO_LATE = 25
    TOO_EARLY = 26
    TOO_MANY_LOCKS = 27
    BAD_DOCUMENT = 30
    NOT_OWNER = 31
    BAD_ACCESS = 32
    UNKNOWN_RECORD = 33
    BAD_HEADER = 40
    NOT_OPERATOR = 41
    DUPLICATE_VOTE = 42
    CONFLICTING_VOTE = 43
    MISSING_ROLE = 50
    BAD_ORGANISATION = 51
    UNKNOWN_PROPOSAL = 52
    PROPOSAL_CLOSED = 53
    TOO_MANY_PROPOSALS = 54
    NOT_ADMITTED = 55
    TOO_MANY_ADMITTED = 56

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", "-")


# --- state: keys and leaves --------------------------------------------------------------------------------------
# An account is one leaf. Hashed keys have no order, so a list is a sequence `…/n` with its length at `…/count`.

PROOF_OP: Final = "causeway:smt"
"""The type of `abci_query`'s one proof op; its data is `core.proofs.smt.encode_proof`, for presence and absence alike.
The state after block h is proven against the app hash in header h + 1."""
CLOCK_KEY: Final = b"clock"
"""Ledger time of the block, milliseconds since the epoch, as an 8-byte big-endian integer."""


def sequence_count_key(sequence: bytes) -> bytes:
    """Return the key of an append-only sequence's length, an 8-byte big-endian integer."""
    return sequence + b"/count"


def sequence_key(sequence: bytes, place: int) -> bytes:
    """Return the key of entry `place` of an append-only sequence, from 1."""
    return b"%s/%d" % (sequence, place)


def account_key(raw: bytes) -> bytes:
    return b"bank/account/" + raw


ASSETS: Final = b"bank/assets"
"""The sequence of all assets; an entry is the symbol."""


def asset_key(symbol: str) -> bytes:
    return b"bank/asset/" + symbol.encode()


def lock_key(sender: bytes, hashlock: bytes) -> bytes:
    return b"htlc/lock/" + sender + hashlock


def locks_of(sender: bytes) -> bytes:
    """The sequence of all locks an account ever made; an entry is the hashlock."""
    return b"htlc/locks/" + sender


def open_locks_key(sender: bytes) -> bytes:
    """How many of them are open, an 8-byte big-endian integer."""
    return b"htlc/open/" + sender


def records_in(namespace: str) -> bytes:
    """The sequence of a namespace's records; an entry is the record's key."""
    return f"records/{namespace}".encode()


def record_versions(namespace: str, key: str) -> bytes:
    """The sequence of a record's versions; an entry is a `RecordLeaf`."""
    return f"records/{namespace}/{key}".encode()


def access_versions(namespace: str, key: str) -> bytes:
    """The sequence of what its owner decided about a record; the last entry, an `AccessLeaf`, holds."""
    return f"records/{namespace}/{key}/access".encode()


def record_count_key(namespace: str, key: str) -> bytes:
    return sequence_count_key(record_versions(namespace, key))


def record_key(namespace: str, key: str, version: int) -> bytes:
    return sequence_key(record_versions(namespace, key), version)


def attested_headers(chain: str) -> bytes:
    """The sequence of a foreign chain's attested heights in order of arrival; an entry is 8 bytes big-endian."""
    return f"bridge/headers/{chain}".encode()


def attested_header_key(chain: str, height: int) -> bytes:
    return f"bridge/header/{chain}/{height}".encode()


def attested_latest_key(chain: str) -> bytes:
    """The newest attested height of a foreign chain, an 8-byte big-endian integer."""
    return f"bridge/latest/{chain}".encode()


class AccountLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One account: its next sequence and its balances as (symbol, quantity), sorted by symbol, zeros left out."""

    sequence: int
    balances: tuple[tuple[str, bytes], ...]


class AssetLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One asset: who may issue it, how to read its amounts, and how much of it exists (locks included)."""

    issuer: bytes
    decimals: int
    supply: bytes


class LockLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One lock for ever: its terms, and how it ended. `preimage` is empty until it is claimed."""

    asset: str
    amount: bytes
    sender: bytes
    receiver: bytes
    hashlock: bytes
    timelock: int
    status: Literal["locked", "claimed", "refunded"]
    preimage: bytes


class RecordLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One version of a record, for ever."""

    document: bytes
    author: bytes
    version: int
    time_ms: int


class AccessLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Who owns a record, and who else may write, sorted. Without one its first author owns it alone."""

    owner: bytes
    writers: tuple[bytes, ...]


class HeaderLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A foreign block that more than ⅔ of the power attested as final. `time` is its own Unix time in seconds."""

    block_hash: bytes
    time: int


Leaf = (
    AccountLeaf
    | AssetLeaf
    | LockLeaf
    | RecordLeaf
    | AccessLeaf
    | HeaderLeaf
    | Organisation
    | ProposalLeaf
    | ValidatorsLeaf
    | AdmissionLeaf
    | MisbehaviourLeaf
)
L = TypeVar("L", bound=Leaf)


def encode_leaf(leaf: Leaf) -> bytes:
    return _encoder.encode(leaf)


def decode_leaf(raw: bytes, kind: type[L]) -> L:
    """Parse a leaf. Raise `RejectedError` when it is not one of that kind, in canonical form."""
    try:
        leaf = msgspec.msgpack.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise RejectedError(f"not a {kind.__name__}: {error}") from None
    if _encoder.encode(leaf) != raw:
        raise RejectedError(f"this {kind.__name__} is not in its canonical form")
    return leaf


# --- events ------------------------------------------------------------------------------------------------------
# As CometBFT carries them: a type and string attributes. Integers are decimal, bytes are hex.


class AssetMoved(msgspec.Struct, frozen=True, tag="bank.transfer"):
    """`sender` is empty for an issue, `receiver` for a burn."""

    asset: str
    sender: bytes
    receiver: bytes
    amount: int


class AssetCreated(msgspec.Struct, frozen=True, tag="bank.create"):
    asset: str
    issuer: bytes
    decimals: int


class LockCreated(msgspec.Struct, frozen=True, tag="htlc.lock"):
    asset: str
    amount: int
    sender: bytes
    receiver: bytes
    hashlock: bytes
    timelock: int


class LockClaimed(msgspec.Struct, frozen=True, tag="htlc.claim"):
    sender: bytes
    hashlock: bytes
    preimage: bytes


class LockRefunded(msgspec.Struct, frozen=True, tag="htlc.refund"):
    sender: bytes
    hashlock: bytes


class RecordStored(msgspec.Struct, frozen=True, tag="records.write"):
    namespace: str
    key: str
    version: int
    author: bytes
    digest: bytes


class AccessSet(msgspec.Struct, frozen=True, tag="records.access"):
    """`digest` is the SHA-256 of all writers' addresses, one after the other."""

    namespace: str
    key: str
    version: int
    owner: bytes
    digest: bytes


class HeaderVoted(msgspec.Struct, frozen=True, tag="bridge.vote"):
    chain: str
    height: int
    block_hash: bytes
    voter: bytes


class HeaderAccepted(msgspec.Struct, frozen=True, tag="bridge.attested"):
    chain: str
    height: int
    block_hash: bytes


LedgerEvent = (
    AssetMoved
    | AssetCreated
    | LockCreated
    | LockClaimed
    | LockRefunded
    | RecordStored
    | AccessSet
    | HeaderVoted
    | HeaderAccepted
    | MembersEvent
)
_EVENT_TYPES: Final[dict[str, type[LedgerEvent]]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(LedgerEvent)
}


def event_to_attributes(event: LedgerEvent) -> tuple[str, dict[str, str]]:
    """(type, attributes) as an ABCI event carries them."""
    attributes = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        attributes[name] = value.hex() if isinstance(value, bytes) else str(value)
    return str(event.__struct_config__.tag), attributes


def event_from_attributes(kind: str, attributes: dict[str, str]) -> LedgerEvent | None:
    """The event behind an ABCI event, None for a type that is not the ledger's. Raise `RejectedError` if malformed."""
    struct = _EVENT_TYPES.get(kind)
    if struct is None:
        return None
    parsers: dict[Any, Callable[[str], Any]] = {str: str, bytes: bytes.fromhex, int: int}
    try:
        return struct(
            **{field.name: parsers[field.type](attributes[field.name]) for field in msgspec.structs.fields(struct)}
        )
    except (KeyError, ValueError) as error:
        raise RejectedError(f"malformed {kind} event: {error}") from None
