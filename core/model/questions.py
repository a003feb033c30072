"""Questions about a chain, their answers, and the evidence that carries the proof.

An `Evidence` holds everything needed to check its answer offline but one thing: what the verifier trusts to begin
with. That is the `Anchor`, and it never comes out of the evidence itself.
"""

from dataclasses import dataclass
from typing import Final

from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.types import (
    MAX_IDENTIFIER_CHARS,
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Height,
    LockId,
    LockTerms,
    Seconds,
    chain_of,
)

MAX_LIST_ENTRIES: Final = 100
"""Entries of a list that one question asks for."""
MAX_LIST_PLACE: Final = 2**63 - 1
MAX_STATE_KEY_BYTES: Final = 256
MAX_SLOT: Final = 2**256 - 1
MAX_LANE: Final = 2**32 - 1
MAX_LOG_INDEX: Final = 2**16 - 1
TRANSACTION_HASH_BYTES: Final = 32
MAX_CODE: Final = 2**32 - 1
"""Of a transaction's result: CometBFT's codes have 32 bits."""


@dataclass(frozen=True, slots=True)
class RecordQuestion:
    """Asks for the newest version of this record, if any."""

    chain: ChainId
    namespace: str
    key: str


@dataclass(frozen=True, slots=True)
class LockQuestion:
    """Asks for the status of this lock under exactly these terms.

    `holder` is the contract that keeps it on chains with contracts, None if the ledger itself does.
    """

    chain: ChainId
    lock_id: LockId
    terms: LockTerms
    holder: AccountId | None


@dataclass(frozen=True, slots=True)
class BalanceQuestion:
    """How much of this asset does this account hold, locks excluded?"""

    chain: ChainId
    account: AccountId
    asset: AssetId


@dataclass(frozen=True, slots=True)
class LeafQuestion:
    """Asks for the leaf at a key of a consortium ledger's state, byte for byte. Raise `RejectedError` for a bad key."""

    chain: ChainId
    key: bytes

    def __post_init__(self) -> None:
        if not 0 < len(self.key) <= MAX_STATE_KEY_BYTES:
            raise RejectedError(f"a state key has 1 to {MAX_STATE_KEY_BYTES} bytes, not {len(self.key)}")


@dataclass(frozen=True, slots=True)
class ListQuestion:
    """Asks for the entries from place `first` to `last`, inclusive and from 1, of a list of a consortium ledger.

    Names of lists: `core.model.consortium.sequence_of`. Raise `RejectedError` for places out of bounds.
    """

    chain: ChainId
    name: str
    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_IDENTIFIER_CHARS:
            raise RejectedError(f"the name of a list has 1 to {MAX_IDENTIFIER_CHARS} characters")
        if not 1 <= self.first <= self.last <= MAX_LIST_PLACE:
            raise RejectedError(f"a list has no places {self.first} to {self.last}: count from 1, `from` before `to`")
        if self.last - self.first >= MAX_LIST_ENTRIES:
            raise RejectedError(f"one question asks for at most {MAX_LIST_ENTRIES} entries of a list: ask for fewer")


@dataclass(frozen=True, slots=True)
class StorageQuestion:
    """Asks for the 256-bit word at a storage slot of a contract on Ethereum."""

    chain: ChainId
    contract: AccountId
    slot: int

    def __post_init__(self) -> None:
        _require_chain(self.chain, self.contract)
        if not 0 <= self.slot <= MAX_SLOT:
            raise RejectedError("a storage slot is a number 0 ≤ n < 2**256")


@dataclass(frozen=True, slots=True)
class LaneQuestion:
    """Asks how a sender's lane of the HashedTimelock contract `holder` stands, whatever was locked in it."""

    chain: ChainId
    holder: AccountId
    sender: AccountId
    lane: int

    def __post_init__(self) -> None:
        _require_chain(self.chain, self.holder)
        _require_chain(self.chain, self.sender)
        if not 0 <= self.lane <= MAX_LANE:
            raise RejectedError(f"a lane is a number from 0 to {MAX_LANE}")


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """Asks for log `index` of a transaction on Ethereum, counted from 0 within the transaction.

    Its answer never changes once the block is final, so it is as of the transaction's own block.
    """

    chain: ChainId
    transaction: bytes
    index: int

    def __post_init__(self) -> None:
        if len(self.transaction) != TRANSACTION_HASH_BYTES:
            raise RejectedError(f"a transaction hash has {TRANSACTION_HASH_BYTES} bytes, not {len(self.transaction)}")
        if not 0 <= self.index <= MAX_LOG_INDEX:
            raise RejectedError(f"a log's index is a number from 0 to {MAX_LOG_INDEX}")


@dataclass(frozen=True, slots=True)
class TransactionQuestion:
    """Asks for a transaction of a consortium ledger by its hash (SHA-256 of its bytes), and how it ended.

    Its answer never changes, so it is as of the transaction's own block. One that failed before it used up its sequence
    may stand in a later block again.
    """

    chain: ChainId
    transaction: bytes

    def __post_init__(self) -> None:
        if len(self.transaction) != TRANSACTION_HASH_BYTES:
            raise RejectedError(f"a transaction hash has {TRANSACTION_HASH_BYTES} bytes, not {len(self.transaction)}")


Question = (
    RecordQuestion
    | LockQuestion
    | BalanceQuestion
    | LeafQuestion
    | ListQuestion
    | StorageQuestion
    | LaneQuestion
    | LogQuestion
    | TransactionQuestion
)
LASTING: Final = (LogQuestion, TransactionQuestion)
"""Questions about what happened once: answered as of its own block, at whichever height others are asked."""


def _require_chain(chain: ChainId, account: AccountId) -> None:
    if chain_of(account) != chain:
        raise RejectedError(f"{account[:128]!r} is not on {chain}")


@dataclass(frozen=True, slots=True)
class RecordAnswer:
    """`version` 0 with no author and an empty document says: proven absent."""

    version: int
    author: AccountId | None
    document: bytes


@dataclass(frozen=True, slots=True)
class LockAnswer:
    """`terms_match` is false if the place is taken by a lock with other terms; `code_hash` is that of the holder."""

    status: LockStatus
    terms_match: bool
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class BalanceAnswer:
    amount: BaseUnits


@dataclass(frozen=True, slots=True)
class LeafAnswer:
    """The leaf's bytes, None if its key is proven absent."""

    value: bytes | None


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """`count`: the length of the whole list; `entries`: all of those that were asked for and exist, in order."""

    count: int
    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class StorageAnswer:
    """A word that was never written is 0; `code_hash` is that of the contract, of no code if there is none."""

    word: int
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class LaneAnswer:
    """The newest lock of the lane: its status, generation and the commitment (28 bytes) to its terms."""

    status: LockStatus
    generation: int
    commitment: bytes
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class EventLog:
    """A log of a transaction: the contract that wrote it, up to four topics of 32 bytes, and data."""

    contract: AccountId
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """`succeeded`: the transaction was not reverted. `count`: how many logs it has. `log` is None beyond these."""

    succeeded: bool
    count: int
    log: EventLog | None


@dataclass(frozen=True, slots=True)
class TransactionAnswer:
    """`code`: how the transaction ended, 0 if all its messages took effect, otherwise none did. `raw`: its bytes."""

    code: int
    raw: bytes


Answer = (
    RecordAnswer
    | LockAnswer
    | BalanceAnswer
    | LeafAnswer
    | ListAnswer
    | StorageAnswer
    | LaneAnswer
    | LogAnswer
    | TransactionAnswer
)


@dataclass(frozen=True, slots=True)
class AsOf:
    """The finalized block whose state answers. `finality` names the rule, such as `commit` or `attested`."""

    block: BlockRef
    time: ChainTime
    finality: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A question, its answer and the proof. `kind` names the verifier, `proof` is the JSON object that it reads."""

    question: Question
    answer: Answer
    as_of: AsOf
    kind: str
    proof: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """The ground that a verifier stands on, learnt out of band: one header of the consortium chain.

    `genesis_hash` is the hash of the chain's first block; evidence older than `trusted` needs a hash link to it, newer
    evidence the signatures of more than ⅔ of the trusted validator set's power within `trusting_period_s`.
    """

    chain: ChainId
    genesis_hash: bytes
    trusted_height: Height
    trusted_hash: bytes
    trusting_period_s: Seconds
