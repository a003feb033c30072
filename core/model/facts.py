"""Chain facts: headers, typed events, and the three facts a follower makes of them.

Adapters turn raw RPC into these; the indexer stores them; the relayer and the regulator API read them.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
    PublicPreimage,
)


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """A block's place in its chain. `parent_hash` is empty for the first block only."""

    ref: BlockRef
    parent_hash: bytes
    time: ChainTime

    @property
    def height(self) -> Height:
        return self.ref.height

    @property
    def chain(self) -> ChainId:
        return self.ref.chain


@dataclass(frozen=True, slots=True)
class HeadUpdate:
    """The newest block an endpoint reports, and the newest that its chain's rule calls irreversible.

    `disputed` says why nothing newer can be called final, if too few endpoints agree about it: blocks go on, as what
    they show of preimages waits for nobody, finality does not.
    """

    head: BlockHeader
    finalized: BlockHeader
    disputed: str = ""


@dataclass(frozen=True, slots=True)
class Locked:
    """A leg was locked. All terms are public from now on, its hashlock among them."""

    lock_id: LockId
    terms: LockTerms


@dataclass(frozen=True, slots=True)
class Claimed:
    """A leg was claimed: the preimage is public from now on."""

    lock_id: LockId
    hashlock: Hashlock
    preimage: PublicPreimage


@dataclass(frozen=True, slots=True)
class Refunded:
    """A leg went back to its sender."""

    lock_id: LockId
    hashlock: Hashlock


@dataclass(frozen=True, slots=True)
class Transferred:
    """Value moved between two accounts of one chain. An issue has no sender, a burn no receiver."""

    asset: AssetId
    sender: AccountId | None
    receiver: AccountId | None
    amount: BaseUnits


class NativeTransfers(StrEnum):
    """Which payments of a native coin a block source reports, if the coin moves without events.

    `DIRECT`: what successful transactions pay themselves. `TRACED`: what is paid inside of calls, too. Fees and the
    rewards of consensus are none of them.
    """

    NONE = "none"
    DIRECT = "direct"
    TRACED = "traced"


@dataclass(frozen=True, slots=True)
class AssetDefined:
    """The ledger has a new asset, which `issuer` may issue; see `core.model.types.Asset` for the rest."""

    asset: AssetId
    issuer: AccountId
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class RecordWritten:
    """A new version of a record, counted from 1. `digest` is the SHA-256 of the document."""

    namespace: str
    key: str
    version: int
    author: AccountId
    digest: bytes


@dataclass(frozen=True, slots=True)
class HeaderAttested:
    """More than ⅔ of this chain's validator power called a foreign header final."""

    foreign: BlockRef


@dataclass(frozen=True, slots=True)
class SignedAttestation:
    """The statement of `account` that the block `foreign`, with its own `time` in Unix seconds, is final; `transaction`
    are the signed bytes that say so."""

    account: AccountId
    foreign: BlockRef
    time: int
    transaction: bytes = field(repr=False)


ArgumentValue = str | bool | tuple["ArgumentValue", ...]
"""A decoded value as JSON can hold it exactly: integers in decimal, bytes as `0x…`, accounts as CAIP-10 ids."""


@dataclass(frozen=True, slots=True)
class ContractEvent:
    """An event of a contract that the operator named, decoded by the ABI in the configuration.

    `arguments` are (name, value) in the order of the declaration. An indexed argument of a dynamic type is its
    Keccak-256 hash: the chain keeps no more (Solidity ABI specification, "Events"). A log that does not fit its
    declaration has no arguments: its topics behind the first, and then its data, stand in `undecoded`.
    """

    contract: AccountId
    name: str
    arguments: tuple[tuple[str, ArgumentValue], ...]
    undecoded: bytes = b""


class OrderStep(StrEnum):
    """Halves of a hold order and of its lift; see `core.model.consortium_orders`."""

    PREPARED = "prepared"
    IN_FORCE = "in-force"
    LIFT_PREPARED = "lift-prepared"
    LIFTED = "lifted"


@dataclass(frozen=True, slots=True)
class OrderSigned:
    """An officer signed a half of order number `order`, which is about `account`.

    `expires` (Unix seconds, exclusive) is of a preparation and of an order that comes into force, and 0 otherwise;
    `case` (32 bytes) of a preparation, and empty otherwise. `renews`: the order whose place is taken, 0 if none.
    """

    order: int
    step: OrderStep
    account: AccountId
    officer: AccountId
    reason: str = ""
    case: bytes = b""
    expires: int = 0
    renews: int = 0


ChainEvent = (
    Locked
    | Claimed
    | Refunded
    | Transferred
    | AssetDefined
    | RecordWritten
    | HeaderAttested
    | ContractEvent
    | OrderSigned
)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event and where it stands. `index` orders the events of a block and is unique in it."""

    block: BlockRef
    tx_hash: bytes
    index: int
    event: ChainEvent


def hashlock_of(logged: LoggedEvent) -> Hashlock | None:
    """Return the hashlock that an event names, None if it concerns no lock."""
    match logged.event:
        case Locked(terms=terms):
            return terms.hashlock
        case Claimed(hashlock=hashlock) | Refunded(hashlock=hashlock):
            return hashlock
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Block:
    """A block with the events that our contracts and modules left in it, ordered by `index`."""

    header: BlockHeader
    events: tuple[LoggedEvent, ...]


@dataclass(frozen=True, slots=True)
class BlockApplied:
    """This block is now the newest of the chain as we follow it."""

    block: Block


@dataclass(frozen=True, slots=True)
class BlockReverted:
    """This block, until now the newest, was replaced by a reorg."""

    ref: BlockRef


@dataclass(frozen=True, slots=True)
class BlockFinalized:
    """This block and all before it are irreversible by the chain's rule."""

    ref: BlockRef


FollowerFact = BlockApplied | BlockReverted | BlockFinalized


class LockStatus(StrEnum):
    """A lock's status on its chain. `SUPERSEDED`: settled, and its place was used again since."""

    ABSENT = "absent"
    LOCKED = "locked"
    CLAIMED = "claimed"
    REFUNDED = "refunded"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class LockObservation:
    """A lock as a quorum of endpoints shows it at a finalized block: the ground to fund or to reveal.

    `terms_match` says whether the chain's commitment is to exactly the terms that were asked about. `code_hash` is the
    hash of the contract (Keccak-256, EIP-1052) that holds it; if the ledger itself does, that of the app version.
    """

    lock_id: LockId
    status: LockStatus
    terms_match: bool
    at: BlockRef
    time: ChainTime
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class RecordView:
    """A record's newest version, unproven."""

    namespace: str
    key: str
    version: int
    author: AccountId
    document: bytes
