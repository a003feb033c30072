"""Questions about a chain, their answers, and the evidence that carries the proof.

An `Evidence` holds everything needed to check its answer offline but one thing: what the verifier trusts to begin
with. That is the `Anchor`, and it never comes out of the evidence itself.
"""

from dataclasses import dataclass

from core.model.facts import LockStatus
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
    Seconds,
)


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


Question = RecordQuestion | LockQuestion | BalanceQuestion


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


Answer = RecordAnswer | LockAnswer | BalanceAnswer


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
