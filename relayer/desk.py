"""What the dApp API calls: pairs, quotes, opening swaps, and watching them.

`Desk` is the interface, `SwapDesk` (in `relayer.swap_desk`) the implementation. Every refusal is a `RejectedError`
(or a more telling subclass) that says what to do; `RetryableError` where a chain or the database does not answer.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from core.model.types import AccountId, ChainId, Hashlock, Height, LockId, LockTerms, SwapId, TxId
from relayer.quotes import Pair, Quote, QuoteRequest

MAX_PAGE: Final = 200
MAX_SUBSCRIBER_QUEUE: Final = 1_000
"""Updates that may wait for a slow subscriber; after that the oldest of a swap gives way to its newest."""


class Leg(StrEnum):
    INITIATOR = "initiator"
    PARTICIPANT = "participant"


class LegStatus(StrEnum):
    """`SEEN`: included, may still be reorged. `LOCKED`: final."""

    AWAITED = "awaited"
    SEEN = "seen"
    LOCKED = "locked"
    CLAIMED = "claimed"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class LegView:
    """One leg as the relayer knows it now. Heights and transactions are None until they are seen on chain."""

    leg: Leg
    terms: LockTerms
    status: LegStatus
    lock_id: LockId | None
    lock_tx: TxId | None
    lock_height: Height | None
    settle_tx: TxId | None
    settle_height: Height | None
    settle_final: bool

    @property
    def chain(self) -> ChainId:
        return self.terms.chain


@dataclass(frozen=True, slots=True)
class SwapView:
    """A swap for people and clients. `status` is the word of the state machine; `done` says that nothing will follow.

    `outcome` is `claimed`, `refunded`, `expired` (nobody locked) or `mixed` once `done`. `version` grows with every
    event. Times are Unix seconds.
    """

    id: SwapId
    quote_id: str
    hashlock: Hashlock
    status: str
    done: bool
    outcome: str | None
    reason: str | None
    initiator: LegView
    participant: LegView
    initiator_receiver: AccountId
    created_at: float
    updated_at: float
    version: int


@dataclass(frozen=True, slots=True)
class SwapFilter:
    """Which swaps; everything given must hold. Newest first, `before` continues behind a swap's id."""

    done: bool | None = None
    status: str | None = None
    hashlock: Hashlock | None = None
    account: AccountId | None = None
    before: SwapId | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class OpenSwap:
    """The initiator's part of an agreement.

    `initiator_sender` locks on the quote's initiator chain (and is refunded there), `initiator_receiver` is paid on
    the participant's chain.
    """

    quote: Quote
    hashlock: Hashlock
    initiator_sender: AccountId
    initiator_receiver: AccountId


class Desk(Protocol):
    """What the API needs; agreed with it here."""

    @property
    def quote_key(self) -> bytes:
        """The relayer's ed25519 public key for quotes, 32 bytes."""

    def pairs(self) -> Sequence[Pair]:
        """All configured pairs."""

    async def quote(self, request: QuoteRequest) -> Quote:
        """A signed price. Raises `NotFoundError` for an unknown pair, `RejectedError` outside its limits,
        `ConflictError` where inventory or exposure limits are short, `GateClosedError` where clocks or chains lag."""

    async def open_swap(self, request: OpenSwap) -> SwapView:
        """Agree on a swap; the same request again answers the same swap.

        Raises `RejectedError` for a quote that is expired, altered or not ours, `ConflictError` for a hashlock or a
        quote that was used before, `GateClosedError` where the time gate refuses.
        """

    async def swap(self, swap_id: SwapId) -> SwapView:
        """Raises `NotFoundError`."""

    async def swaps(self, which: SwapFilter) -> Sequence[SwapView]: ...

    def updates(self, swap_id: SwapId | None = None) -> AsyncIterator[SwapView]:
        """The swap (None: every swap) whenever it changes, from now on; with an id its present view first.

        Close the iterator (`aclose`) to unsubscribe.
        """
