"""One swap as we know it: its agreement, its two legs, its phase. Frozen, and JSON through `htlc.codec`.

    Agreement   what the parties agreed, and by which timings and allowances it is judged, for ever
    SwapState   the facts of one swap, and the phase that follows from them
    LegState    one leg: its lock id and the sightings of its lock, claim and refund
    Phase       what we are committed to

No secret preimage is ever in here: only a `PublicPreimage` that some chain has shown to everybody.
"""

import hashlib
from enum import StrEnum
from typing import Final

import msgspec

from core.model.errors import RejectedError
from core.model.ports import ChainTiming
from core.model.types import (
    AccountId,
    BlockRef,
    ChainId,
    ChainTime,
    Hashlock,
    LockId,
    LockTerms,
    PublicPreimage,
    SwapId,
)
from htlc.timelocks import SwapPolicy

SWAP_ID_BYTES: Final = 16
_SWAP_ID_DOMAIN: Final = b"causeway swap v1\0"


class Role(StrEnum):
    """Whose machine this is. The liquidity provider is the participant; a watchtower acts for both, and never funds."""

    INITIATOR = "initiator"
    LIQUIDITY_PROVIDER = "liquidity-provider"
    WATCHTOWER = "watchtower"


class Leg(StrEnum):
    """Whose lock: the initiator's on chain A, or the participant's on chain B."""

    INITIATOR = "initiator"
    PARTICIPANT = "participant"

    @property
    def other(self) -> "Leg":
        return Leg.PARTICIPANT if self is Leg.INITIATOR else Leg.INITIATOR


class Phase(StrEnum):
    """The commitments that we have.

    AGREED            no lock of this swap is known, and we have signed nothing
    FUNDING           our own lock was asked for: from here on it may exist
    INITIATOR_LOCKED  the initiator's lock is on its chain, the participant's is not
    VERIFYING         the counterparty's lock is final; we make sure of it before we fund or reveal
    BOTH_LOCKED       the participant's lock is on chain too; the preimage is not public
    CLAIMING          the preimage is public, or has to be taken for public: claim until it is settled
    REFUNDING         a timelock of ours has passed without a claim: take it back
    COMPLETED         finally claimed, as agreed
    REFUNDED          finally refunded: nobody got anything, nobody lost anything
    ABANDONED         ended before we locked anything; a watched swap: nobody locked, or too many of its exits failed
    LOST              one leg is finally claimed, the other finally not: somebody missed the time
    """

    AGREED = "agreed"
    FUNDING = "funding"
    INITIATOR_LOCKED = "initiator-locked"
    VERIFYING = "verifying"
    BOTH_LOCKED = "both-locked"
    CLAIMING = "claiming"
    REFUNDING = "refunding"
    COMPLETED = "completed"
    REFUNDED = "refunded"
    ABANDONED = "abandoned"
    LOST = "lost"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL: Final = frozenset({Phase.COMPLETED, Phase.REFUNDED, Phase.ABANDONED, Phase.LOST})


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """The agreed terms. Timings and policy are part of it: the same journal always replays to the same state.

    `lock_deadline_s` is true time, Unix seconds: the initiator locks before it or not at all.
    Raise `RejectedError` when the legs do not belong together.
    """

    swap_id: SwapId
    role: Role
    initiator_leg: LockTerms
    participant_leg: LockTerms
    initiator_timing: ChainTiming
    participant_timing: ChainTiming
    policy: SwapPolicy
    lock_deadline_s: int

    def __post_init__(self) -> None:
        if self.initiator_leg.hashlock != self.participant_leg.hashlock:
            raise RejectedError("both legs of a swap have one hashlock")
        if self.initiator_leg.chain == self.participant_leg.chain:
            raise RejectedError("the legs of a swap are on two chains")
        if self.swap_id != swap_id(self.initiator_leg, self.participant_leg):
            raise RejectedError("the swap id is not the digest of these terms")

    @property
    def hashlock(self) -> Hashlock:
        return self.initiator_leg.hashlock

    @property
    def own_leg(self) -> Leg | None:
        """The leg that we fund; None for a watchtower."""
        match self.role:
            case Role.INITIATOR:
                return Leg.INITIATOR
            case Role.LIQUIDITY_PROVIDER:
                return Leg.PARTICIPANT
            case Role.WATCHTOWER:
                return None

    @property
    def own_accounts(self) -> tuple[AccountId, ...]:
        """Our accounts that this swap needs, one on each chain at most: those that lock, and the provider's that is
        paid. None for a watchtower: anybody may claim and refund for others."""
        match self.role:
            case Role.INITIATOR:
                return (self.initiator_leg.sender,)
            case Role.LIQUIDITY_PROVIDER:
                return (self.initiator_leg.receiver, self.participant_leg.sender)
            case Role.WATCHTOWER:
                return ()

    def terms(self, leg: Leg) -> LockTerms:
        return self.initiator_leg if leg is Leg.INITIATOR else self.participant_leg

    def timing(self, leg: Leg) -> ChainTiming:
        return self.initiator_timing if leg is Leg.INITIATOR else self.participant_timing

    def leg_on(self, chain: ChainId) -> Leg:
        """Raise `RejectedError` for a chain that has no part in this swap."""
        for leg in Leg:
            if self.terms(leg).chain == chain:
                return leg
        raise RejectedError(f"{chain} has no part in swap {self.swap_id}")


def swap_id(initiator_leg: LockTerms, participant_leg: LockTerms) -> SwapId:
    """A swap's name: the first 16 bytes of the SHA-256 of its canonical terms, as hex. Both parties derive it."""
    canonical = _SWAP_ID_DOMAIN + msgspec.json.encode((initiator_leg, participant_leg))
    return SwapId(hashlib.sha256(canonical).digest()[:SWAP_ID_BYTES].hex())


class Sighting(msgspec.Struct, frozen=True):
    """The block in which something was seen, and whether it is final."""

    block: BlockRef
    tx_hash: bytes
    final: bool = False


class LegStatus(StrEnum):
    ABSENT = "absent"
    LOCKED = "locked"
    CLAIMED = "claimed"
    REFUNDED = "refunded"


class LegState(msgspec.Struct, frozen=True, kw_only=True):
    """One leg as its chain shows it now. `lock_id` stays known when a reorg takes the lock away for a while."""

    lock_id: LockId | None = None
    lock: Sighting | None = None
    claim: Sighting | None = None
    refund: Sighting | None = None

    @property
    def status(self) -> LegStatus:
        if self.claim is not None:
            return LegStatus.CLAIMED
        if self.refund is not None:
            return LegStatus.REFUNDED
        return LegStatus.LOCKED if self.lock is not None else LegStatus.ABSENT

    @property
    def final(self) -> bool:
        """True if the block behind `status` is final; False while absent."""
        sighting = self.claim or self.refund or self.lock
        return sighting is not None and sighting.final

    @property
    def open(self) -> bool:
        """Locked, and neither claimed nor refunded as far as anybody has seen."""
        return self.status is LegStatus.LOCKED

    @property
    def settled(self) -> bool:
        """Finally claimed or finally refunded."""
        return self.status in (LegStatus.CLAIMED, LegStatus.REFUNDED) and self.final


class LegClock(msgspec.Struct, frozen=True):
    """A chain's newest and newest finalized block time, and true time (Unix seconds) when we saw them."""

    head: ChainTime
    finalized: ChainTime
    now_s: int


class AttemptStatus(StrEnum):
    """ASKED: in the outbox. SENT: signed and broadcast. DONE: final. FAILED: may be asked again, with the next head.
    REFUSED: nothing was signed and nothing will be. VOID: signed, and can never be mined any more."""

    ASKED = "asked"
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    VOID = "void"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The latest effect of one kind that we asked for, and whether it was the first.

    `failed_at_s` is its chain's head time when it failed. `tries` counts a watched swap's effects of this kind, this
    one included, and `refusals` those of them that were refused before anything was signed; in our own swaps, if
    nothing is counted, they are 1 and 0.
    """

    sequence: int
    status: AttemptStatus
    first: bool = True
    tx_hash: bytes | None = None
    failed_at_s: int | None = None
    tries: int = 1
    refusals: int = 0

    @property
    def alive(self) -> bool:
        """True while it may still change a chain."""
        return self.status in (AttemptStatus.ASKED, AttemptStatus.SENT, AttemptStatus.DONE)


class Reason(msgspec.Struct, frozen=True):
    """Why a swap took the turn it took: a stable code for machines, a sentence for people."""

    code: str
    message: str


class SwapState(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of one swap after `sequence` events. Everything else follows from them (`htlc.decisions`).

    `attempts` is keyed by effect kind and never changed in place. `verified` is the finalized block at which the
    counterparty's lock was found right. `closed` says why we shall not fund or reveal any more, or why it ended.
    """

    agreement: Agreement
    sequence: int
    phase: Phase
    now_s: int
    initiator_leg: LegState = LegState()
    participant_leg: LegState = LegState()
    initiator_clock: LegClock | None = None
    participant_clock: LegClock | None = None
    preimage: PublicPreimage | None = None
    verified: BlockRef | None = None
    attempts: dict[str, Attempt] = {}
    closed: Reason | None = None

    @property
    def swap_id(self) -> SwapId:
        return self.agreement.swap_id

    def leg(self, leg: Leg) -> LegState:
        return self.initiator_leg if leg is Leg.INITIATOR else self.participant_leg

    def clock(self, leg: Leg) -> LegClock | None:
        return self.initiator_clock if leg is Leg.INITIATOR else self.participant_clock

    def attempt(self, kind: str) -> Attempt | None:
        return self.attempts.get(kind)
