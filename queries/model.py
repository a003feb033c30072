"""One query as we know it: what was asked, the proof that we hold, what its asking chain shows. Frozen, and JSON
through `queries.codec`.

    Request     what was asked, where, and until when
    QueryState  the facts of one query, and the phase that follows from them
    Phase       how far it is
"""

import hashlib
from enum import StrEnum
from typing import Final, NewType

import msgspec

from core.model.errors import RejectedError
from core.model.types import AccountId, BlockRef, ChainId, ChainTime, Height, chain_of

QueryId = NewType("QueryId", str)
QUERY_ID_BYTES: Final = 16
MAX_URI_BYTES: Final = 2_048
MAX_REFUSAL_CHARS: Final = 500
MAX_TRIES: Final = 3
"""Deliveries of one query that may be included without effect, or refused before they are signed. Each of the former
costs a fee, and what a contract refuses three times it will refuse again."""
_QUERY_ID_DOMAIN: Final = b"causeway query v1\0"


class Phase(StrEnum):
    """How far a query is.

    ASKED       no proof was asked for: no admissible height of the answering chain is final yet
    PROVING     an admissible height is final, and a proof was asked for
    PROVEN      a proof is kept; nothing that would deliver it was signed
    DELIVERING  its delivery was asked for, and may be included at any time
    SETTLED     a block of the asking chain settles the query, not finally yet
    DELIVERED   whoever asked has a proven answer, finally
    EXPIRED     the deadline passed, or the asker took the fee back, before an answer was there
    REFUSED     it cannot be proven, or the asking chain does not take its answer: nothing more is tried
    """

    ASKED = "asked"
    PROVING = "proving"
    PROVEN = "proven"
    DELIVERING = "delivering"
    SETTLED = "settled"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    REFUSED = "refused"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL: Final = frozenset({Phase.DELIVERED, Phase.EXPIRED, Phase.REFUSED})


class Place(msgspec.Struct, frozen=True):
    """A place on chain at which a query was asked, and to which its answer goes.

    `holder` is the contract that keeps it, None if the ledger itself does; `number` is its number there.
    """

    chain: ChainId
    holder: AccountId | None
    number: int


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A question, with the heights that answer it and its deadline.

    `uri` is the question in its canonical form (bounded by `MAX_URI_BYTES`), about `answering`. A block of that chain
    answers if its height is from `first` to `last`; None leaves that end open. `place` is None if the answer goes to
    a caller of our own API; the deadline is by the time of the place's chain, and by our own clock for a caller.
    Raise `RejectedError` for what contradicts itself.
    """

    uri: str
    answering: ChainId
    first: Height
    last: Height | None
    deadline_s: int
    place: Place | None
    nonce: bytes = b""
    """Distinguishes the same question of one caller from another's; empty on chain, where the place does."""

    def __post_init__(self) -> None:
        if not 0 < len(self.uri.encode()) <= MAX_URI_BYTES:
            raise RejectedError(f"a question has 1 to {MAX_URI_BYTES} bytes, not {len(self.uri.encode())}")
        if not 0 <= self.first <= (self.first if self.last is None else self.last):
            raise RejectedError(f"no height is from {self.first} to {self.last}: the first is the lower one")
        if self.place is not None and self.place.holder is not None and chain_of(self.place.holder) != self.place.chain:
            raise RejectedError(f"{self.place.holder} is not on {self.place.chain}")

    @property
    def query_id(self) -> QueryId:
        """The first 16 bytes of the SHA-256 of what was asked, as hex."""
        canonical = _QUERY_ID_DOMAIN + msgspec.json.encode(self, order="deterministic")
        return QueryId(hashlib.sha256(canonical).digest()[:QUERY_ID_BYTES].hex())

    def admits(self, height: int) -> bool:
        """Return true if a block of this height answers."""
        return self.first <= height and (self.last is None or height <= self.last)


class Proof(msgspec.Struct, frozen=True):
    """A proof that is kept: the height of the answering chain as of which it is, and the SHA-256 of its bytes."""

    height: Height
    digest: bytes


class End(StrEnum):
    """How a block of the asking chain settles a query."""

    ANSWERED = "answered"
    TAKEN_BACK = "taken-back"


class Settlement(msgspec.Struct, frozen=True):
    """A query's end on chain: the block, and whether it is final."""

    end: End
    block: BlockRef
    final: bool = False


class AttemptStatus(StrEnum):
    """`ASKED` and `SUBMITTED` are under way; `FAILED` is tried again with the next head."""

    ASKED = "asked"
    SUBMITTED = "submitted"
    FAILED = "failed"
    DONE = "done"

    @property
    def under_way(self) -> bool:
        return self in (AttemptStatus.ASKED, AttemptStatus.SUBMITTED)


class Attempt(msgspec.Struct, frozen=True):
    """The latest effect of one kind: the event that asked for it, and what became of it. `failures` counts the tries
    that came to nothing, this one included."""

    sequence: int
    status: AttemptStatus
    failures: int = 0


class QueryState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one query after `sequence` events.

    `asked_in` is the block with the request, None while a reorg has taken it away, and for a caller of ours.
    `answering_final` is the newest finalized height of the answering chain, `asking` and `asking_final` the newest
    times of the asking chain and of its finalized block.
    """

    request: Request
    sequence: int
    phase: Phase
    asked_in: BlockRef | None = None
    answering_final: Height | None = None
    asking: ChainTime | None = None
    asking_final: ChainTime | None = None
    now_s: int = 0
    proving: Attempt | None = None
    proof: Proof | None = None
    delivery: Attempt | None = None
    settlement: Settlement | None = None
    refusal: str | None = None

    @property
    def query_id(self) -> QueryId:
        return self.request.query_id
