"""CometBFT data structures as immutable values (CometBFT spec "Core data structures", v0.38 to v0.40)."""

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import lru_cache

from coincurve import PublicKey as Secp256k1PublicKey

from core.proofs.errors import MalformedProofError
from core.proofs.keccak import keccak256

HASH_SIZE = 32
ADDRESS_SIZE = 20
BLOCK_PROTOCOL = 11
NANOS_PER_SECOND = 1_000_000_000
MAX_CHAIN_ID_BYTES = 50
MAX_VALIDATORS = 10_000
MAX_TOTAL_POWER = ((1 << 63) - 1) // 8
ADDRESS_CACHE_SIZE = 4096

# 0001-01-01T00:00:00Z, what an absent signature carries instead of a time.
GO_ZERO_SECONDS = -62_135_596_800
MAX_SECONDS = 253_402_300_799


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """UTC time as seconds since 1970 and nanoseconds in [0, 10⁹)."""

    seconds: int
    nanos: int = 0

    def __post_init__(self) -> None:
        if not GO_ZERO_SECONDS <= self.seconds <= MAX_SECONDS or not 0 <= self.nanos < NANOS_PER_SECOND:
            raise MalformedProofError("timestamp is out of range", seconds=self.seconds, nanos=self.nanos)

    @classmethod
    def from_nanos(cls, nanos: int) -> "Timestamp":
        """From nanoseconds since 1970."""
        return cls(*divmod(nanos, NANOS_PER_SECOND))

    def to_nanos(self) -> int:
        """Nanoseconds since 1970."""
        return self.seconds * NANOS_PER_SECOND + self.nanos


GO_ZERO_TIME = Timestamp(GO_ZERO_SECONDS)


@dataclass(frozen=True, slots=True)
class PartSetHeader:
    """Number of 64 KiB parts of a block and the Merkle root over them."""

    total: int = 0
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class BlockId:
    """Header hash and part set; both empty before the first block and in votes for nil."""

    hash: bytes = b""
    parts: PartSetHeader = PartSetHeader()

    @property
    def is_nil(self) -> bool:
        """True for a vote for no block."""
        return not self.hash and not self.parts.hash and not self.parts.total


NIL_BLOCK_ID = BlockId()


@dataclass(frozen=True, slots=True)
class Header:
    """Block header; `app_hash` and `last_results_hash` speak of the state after the *previous* block."""

    chain_id: str
    height: int
    time: Timestamp
    last_block_id: BlockId
    last_commit_hash: bytes
    data_hash: bytes
    validators_hash: bytes
    next_validators_hash: bytes
    consensus_hash: bytes
    app_hash: bytes
    last_results_hash: bytes
    evidence_hash: bytes
    proposer_address: bytes
    block_version: int = BLOCK_PROTOCOL
    app_version: int = 0


class BlockIdFlag(IntEnum):
    """The kind of a validator's entry in a commit."""

    ABSENT = 1
    COMMIT = 2
    NIL = 3


@dataclass(frozen=True, slots=True)
class CommitSig:
    """One validator's precommit inside a commit; empty apart from the flag when absent."""

    flag: BlockIdFlag
    validator_address: bytes
    timestamp: Timestamp
    signature: bytes

    @classmethod
    def absent(cls) -> "CommitSig":
        """The entry of a validator whose precommit was not seen."""
        return cls(BlockIdFlag.ABSENT, b"", GO_ZERO_TIME, b"")


@dataclass(frozen=True, slots=True)
class Commit:
    """Precommits for one block, in the order of that block's validator set."""

    height: int
    round: int
    block_id: BlockId
    signatures: tuple[CommitSig, ...]


EMPTY_COMMIT = Commit(0, 0, NIL_BLOCK_ID, ())


class KeyKind(StrEnum):
    """Validator key types we speak; the value is CometBFT's name in `validator.pub_key_types`."""

    ED25519 = "ed25519"
    SECP256K1_ETH = "secp256k1eth"


KEY_SIZE = {KeyKind.ED25519: 32, KeyKind.SECP256K1_ETH: 33}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Validator key: 32 bytes of ed25519, or 33 bytes of compressed secp256k1 for secp256k1eth."""

    kind: KeyKind
    data: bytes

    def __post_init__(self) -> None:
        if len(self.data) != KEY_SIZE[self.kind]:
            raise MalformedProofError("validator key has the wrong length", kind=self.kind, length=len(self.data))

    @property
    def address(self) -> bytes:
        """20 bytes: SHA-256 truncated for ed25519, the Ethereum address for secp256k1eth."""
        return _address(self)


@lru_cache(maxsize=ADDRESS_CACHE_SIZE)
def _address(key: PublicKey) -> bytes:
    if key.kind is KeyKind.ED25519:
        return hashlib.sha256(key.data).digest()[:ADDRESS_SIZE]
    try:
        point = Secp256k1PublicKey(key.data).format(compressed=False)
    except ValueError as error:
        raise MalformedProofError("validator key is not a point on secp256k1") from error
    return keccak256(point[1:])[-ADDRESS_SIZE:]


@dataclass(frozen=True, slots=True)
class Validator:
    """A member of a validator set; the priority belongs to proposer rotation and is in no hash."""

    public_key: PublicKey
    power: int
    proposer_priority: int = 0

    @property
    def address(self) -> bytes:
        """Address of its key, 20 bytes."""
        return self.public_key.address


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """Validators in canonical order: power descending, then address ascending.

    Build it with `ValidatorSet.of`; a direct construction that is out of order is refused.
    """

    validators: tuple[Validator, ...]
    total_power: int = field(init=False, compare=False)
    _index: dict[bytes, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < len(self.validators) <= MAX_VALIDATORS:
            raise MalformedProofError("validator set has an unacceptable size", size=len(self.validators))
        if any(validator.power <= 0 for validator in self.validators):
            raise MalformedProofError("validator power must be positive")
        if list(self.validators) != sorted(self.validators, key=_canonical_order):
            raise MalformedProofError("validators are not in canonical order")
        index = {validator.address: place for place, validator in enumerate(self.validators)}
        if len(index) != len(self.validators):
            raise MalformedProofError("validator set names an address twice")
        total = sum(validator.power for validator in self.validators)
        if total > MAX_TOTAL_POWER:
            raise MalformedProofError("total voting power is too large", total=total)
        object.__setattr__(self, "total_power", total)
        object.__setattr__(self, "_index", index)

    @classmethod
    def of(cls, validators: "tuple[Validator, ...] | list[Validator]") -> "ValidatorSet":
        """Sort into canonical order and check."""
        return cls(tuple(sorted(validators, key=_canonical_order)))

    def by_address(self, address: bytes) -> Validator | None:
        """The validator with this address, or None."""
        place = self._index.get(address)
        return None if place is None else self.validators[place]

    def index_of(self, address: bytes) -> int | None:
        """Place of this address in canonical order, or None."""
        return self._index.get(address)

    def __len__(self) -> int:
        return len(self.validators)


def _canonical_order(validator: Validator) -> tuple[int, bytes]:
    return -validator.power, validator.address


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """A header and the commit that made it final."""

    header: Header
    commit: Commit


@dataclass(frozen=True, slots=True)
class LightBlock:
    """The input of a light client: signed header, the validators of its height and, if needed, of the next.

    `next_validators` may be None; it is needed only to go on from this block by skipping, and only if the set
    changes at the next height.
    """

    signed_header: SignedHeader
    validators: ValidatorSet
    next_validators: ValidatorSet | None = None

    @property
    def header(self) -> Header:
        """The header inside."""
        return self.signed_header.header

    @property
    def commit(self) -> Commit:
        """The commit inside."""
        return self.signed_header.commit


class VoteKind(IntEnum):
    """SignedMsgType of a vote."""

    PREVOTE = 1
    PRECOMMIT = 2


@dataclass(frozen=True, slots=True)
class Vote:
    """A single signed vote, as duplicate-vote evidence carries it."""

    kind: VoteKind
    height: int
    round: int
    block_id: BlockId
    timestamp: Timestamp
    validator_address: bytes
    validator_index: int
    signature: bytes
    extension: bytes = b""
    extension_signature: bytes = b""


@dataclass(frozen=True, slots=True)
class DuplicateVoteEvidence:
    """Two votes of one validator in one round for different blocks."""

    vote_a: Vote
    vote_b: Vote
    total_voting_power: int
    validator_power: int
    timestamp: Timestamp


@dataclass(frozen=True, slots=True)
class LightClientAttackEvidence:
    """A block that `byzantine_validators` signed so as to deceive light clients that trust the height `common_height`.

    `proposer` is that of the conflicting block's validators, as the evidence names it.
    """

    conflicting_block: LightBlock
    proposer: Validator | None
    common_height: int
    byzantine_validators: tuple[Validator, ...]
    total_voting_power: int
    timestamp: Timestamp


Evidence = DuplicateVoteEvidence | LightClientAttackEvidence


@dataclass(frozen=True, slots=True)
class Block:
    """A whole block; `last_commit` is EMPTY_COMMIT at the first height."""

    header: Header
    txs: tuple[bytes, ...]
    evidence: tuple[Evidence, ...]
    last_commit: Commit


@dataclass(frozen=True, slots=True)
class TxResult:
    """The deterministic part of an ExecTxResult, the part that `last_results_hash` covers."""

    code: int = 0
    data: bytes = b""
    gas_wanted: int = 0
    gas_used: int = 0
