"""The answers of the API as they leave: JSON documents, each with what it is as of."""

from typing import Annotated, Any, Literal

import msgspec


class BlockView(msgspec.Struct, frozen=True, kw_only=True):
    height: int
    hash: str
    time_s: int


class AsOfView(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which block a chain was read, and which of them are final (None: none yet)."""

    chain: str
    block: BlockView | None
    finalized: BlockView | None


class AmountView(msgspec.Struct, frozen=True, kw_only=True):
    """`base_units` is a decimal integer; shift it by `decimals` to read it. Both others are null for unknown assets."""

    asset: str
    base_units: str
    decimals: int | None
    symbol: str | None


class ChainView(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: `starting`, `backfilling`, `live`, `unreachable`, `inconsistent`, or `stale` if the follower itself
    has not been heard of. `lag_blocks` counts from the newest block indexed to the head, `lag_s` is that block's age.
    `alarms` are reorgs below finality that nobody has acknowledged; `set_aside` counts facts that are stored and that
    some list or sum does not contain, because it could not digest them."""

    chain: str
    genesis_hash: str
    state: str
    detail: str
    head_height: int | None
    observed_s: int | None
    indexed: BlockView | None
    finalized: BlockView | None
    lag_blocks: int | None
    lag_s: int | None
    alarms: int
    set_aside: int
    ready: bool


class ChainsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    now_s: int
    items: list[ChainView]


class PlacedView(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction in a block. `final`: irreversible by the chain's rule."""

    tx_hash: str
    block: BlockView
    final: bool


class TermsView(msgspec.Struct, frozen=True, kw_only=True):
    chain: str
    amount: AmountView
    sender: str
    receiver: str
    timelock_s: int


class LockView(msgspec.Struct, frozen=True, kw_only=True):
    """A lock as its chain shows it. `preimage` is public, it was claimed with it."""

    lock_id: str
    terms: TermsView
    status: str
    locked: PlacedView
    settled: PlacedView | None
    preimage: str | None


class LegAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The agreed terms, and the lock with exactly these terms, if it is there."""

    agreed: TermsView
    lock: LockView | None


class CandidateView(msgspec.Struct, frozen=True, kw_only=True):
    """Two locks under one hashlock that may belong together; a higher score does not prove it."""

    initiator_lock: str
    initiator_chain: str
    participant_lock: str
    participant_chain: str
    score: int
    reasons: list[str]


class SwapAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A swap. `agreed_source` says who reported the agreed terms; without it legs are not joined and `candidates` are
    shown. `others` are further locks under the same hashlock: anyone can copy a public hashlock."""

    id: str
    hashlock: str
    status: str
    final: bool
    opened_s: int
    agreed_source: str | None
    initiator: LegAnswer | None
    participant: LegAnswer | None
    others: list[LockView]
    candidates: list[CandidateView]


class SwapsPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[SwapAnswer]
    next: str | None
    as_of: list[AsOfView]


class TransferView(msgspec.Struct, frozen=True, kw_only=True):
    """An issue has no sender, a burn no receiver."""

    chain: str
    amount: AmountView
    sender: str | None
    receiver: str | None
    placed: PlacedView
    index: int


class TransfersPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[TransferView]
    next: str | None
    as_of: list[AsOfView]


class AssetView(msgspec.Struct, frozen=True, kw_only=True):
    """`source` says who calls it so: `event` (its ledger, in a block), `contract` and `ledger` (when asked), or
    `configuration`. Null, with `symbol` and `decimals`, if nobody was asked. Texts are what their author likes: an
    asset is what its id says. `first_height`: the first block that names it, null before there is one."""

    asset: str
    chain: str
    symbol: str | None
    name: str
    decimals: int | None
    source: Literal["event", "contract", "ledger", "configuration"] | None
    issuer: str | None
    first_height: int | None


class AssetsPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[AssetView]
    next: str | None
    as_of: list[AsOfView]


class ContractView(msgspec.Struct, frozen=True, kw_only=True):
    """A contract that events came from. `name` is empty if nobody knows one. `events` counts those that are
    indexed, the first and the last of them in blocks `first_height` and `last_height`."""

    contract: str
    chain: str
    kind: Literal["named", "token", "htlc"]
    name: str
    first_height: int
    last_height: int
    events: int


class ContractsPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ContractView]
    next: str | None
    as_of: list[AsOfView]


class SumView(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    base_units: str


class ConservationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`ok`: what was locked is claimed, refunded and open together, no settlement lacks its lock, and the HTLC's own
    account (`holder`, on chains that have one) holds at least what is open. `notes` are machine codes:
    `holder-not-asked`, `ledger-holds-locks`, `unmatched-settlements`."""

    asset: str
    chain: str
    symbol: str | None
    decimals: int | None
    ok: bool
    locked: SumView
    claimed: SumView
    refunded: SumView
    open: SumView
    holder: str | None
    holder_balance: str | None
    unmatched_settlements: int
    finality: Literal["finalized", "latest"]
    as_of: BlockView
    notes: list[str]


class SummaryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`swaps` and `locks` count by status, over the newest blocks; conservation is as of the finalized ones. If another
    moment is asked for, both are as of that. `chains` are as they are now, `as_of` is what was counted up to."""

    now_s: int
    chains: list[ChainView]
    swaps: dict[str, int]
    locks: dict[str, int]
    transfers: int
    conservation_ok: bool
    conservation: list[ConservationAnswer]
    as_of: list[AsOfView]


class LegEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """`evidence` is a document that `causeway verify` checks offline, or null with the reason in `problem`."""

    role: str
    chain: str
    lock_id: str
    evidence: msgspec.Raw | None
    problem: str | None
    detail: str | None


class EvidenceFile(msgspec.Struct, frozen=True, kw_only=True):
    """One leg's evidence, as `causeway verify` reads it (docs/concepts/proofs.md): keep its bytes as they are."""

    version: int
    kind: str
    question: dict[str, Any]
    answer: dict[str, Any]
    as_of: dict[str, Any]
    proof: dict[str, Any]
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class EvidenceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`complete`: every leg that is locked is proven. Each evidence says as of which finalized block it holds."""

    id: str
    complete: bool
    legs: list[LegEvidence]


class AgreementAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`new` is false if exactly this was reported before."""

    swap_id: str
    new: bool


class AuditEntryView(msgspec.Struct, frozen=True, kw_only=True):
    """`purpose` and `case` are what the caller stated. `signature` is that of the process that wrote it, in hex."""

    seq: int
    time_ns: str
    who: str
    method: str
    what: str
    purpose: str
    case: str
    request_id: str
    status: int
    answer_sha256: str
    hash: str
    signature: str | None


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[AuditEntryView]
    next: str | None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A public key as a JSON Web Key (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class KeysAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON Web Key Set (RFC 7517), empty if answers are not signed."""

    keys: list[KeyView]


class ReadyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    ready: bool
    chains: dict[str, str]
