"""The interface behind the dApp API: pairs, quotes, opening swaps, and watching them.

`SwapDesk` (in `relayer.provider.opening`) implements `Desk`. Every refusal is a `RejectedError` (or a subclass that
says more) with what to do; `RetryableError` if a chain or the database does not answer.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from core.model.facts import HeadUpdate
from core.model.types import AccountId, ChainId, Hashlock, LockId, LockTerms, PublicPreimage, SwapId
from htlc.model import Leg, LegStatus, Phase, Role, Sighting
from relayer.provider.quoting import Pair, Quote, QuoteRequest
from relayer.switches import Switch

if TYPE_CHECKING:  # clients know the desk, and nothing of a relayer's transactions
    from relayer.provider.exposures import Exposure

MAX_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class LegView:
    """One leg as the relayer knows it now. What was not seen on chain yet is None.

    `lock` and `settle` say where the lock, and its claim or refund, stand and whether those blocks are final.
    """

    leg: Leg
    terms: LockTerms
    status: LegStatus
    lock_id: LockId | None
    lock: Sighting | None
    settle: Sighting | None

    @property
    def chain(self) -> ChainId:
        return self.terms.chain


@dataclass(frozen=True, slots=True)
class SwapView:
    """A swap for people and clients, as the relayer's state machine has it; `quote_id` is empty for a watchtower's.

    `phase` is terminal when nothing will follow. `reason_code` and `reason` say why a swap took a turn for the worse.
    `preimage` is None until a chain has shown it. The initiator locks before `lock_deadline_s` (Unix seconds) or not at
    all. `version` grows with every event. `created_at` and `updated_at` are Unix seconds. `reserved`: the relayer keeps
    its part of this swap now; `reservation` is a sentence about it, empty once the swap has ended.
    """

    id: SwapId
    quote_id: str
    role: Role
    hashlock: Hashlock
    phase: Phase
    reason_code: str | None
    reason: str | None
    initiator: LegView
    participant: LegView
    preimage: PublicPreimage | None
    lock_deadline_s: int
    created_at: float
    updated_at: float
    version: int
    reserved: bool
    reservation: str

    @property
    def done(self) -> bool:
        return self.phase.terminal


@dataclass(frozen=True, slots=True)
class SwapFilter:
    """Which swaps; everything given must hold. Newest first, `before` continues behind a swap's id. `ids` leaves out
    those that are not there."""

    ids: tuple[SwapId, ...] = ()
    done: bool | None = None
    phase: Phase | None = None
    hashlock: Hashlock | None = None
    account: AccountId | None = None
    changed_since_ns: int | None = None
    before: SwapId | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class OpenSwap:
    """The initiator's part of an agreement.

    `initiator_sender` locks on the quote's initiator chain (and is refunded there), `initiator_receiver` is paid on
    the participant's chain. `proof` is the signature of `initiator_sender` over the opening, as its chain's
    `OpeningProofs` has it; without one nothing is reserved before the lock is final.
    """

    quote: Quote
    hashlock: Hashlock
    initiator_sender: AccountId
    initiator_receiver: AccountId
    proof: bytes | None = None


class Desk(Protocol):
    """The desk as the API needs it."""

    @property
    def quote_key(self) -> bytes:
        """The relayer's ed25519 public key for quotes, 32 bytes."""

    def pairs(self) -> Sequence[Pair]:
        """Every pair that has a price now, at its rate without a premium."""

    def head(self, chain: ChainId) -> HeadUpdate | None:
        """The newest head of a chain that was seen, None if none was. Asks nobody."""

    def paused(self, pair: Pair) -> Switch | None:
        """Return what keeps the pair from being offered now, None if nothing does."""

    async def exposure(self) -> "Sequence[Exposure]":
        """Return what is promised in open swaps of each asset that is paid out or has a limit, next to the limits."""

    async def quote(self, request: QuoteRequest) -> Quote:
        """A signed price. Raise `NotFoundError` for an unknown pair, `RejectedError` outside its limits, `PausedError`
        while a switch keeps the pair back, `ConflictError` if inventory or exposure limits are short, `RetryableError`
        while its price is too old or has jumped, `ClockSkewError` (a `RetryableError`) if clocks differ or a chain
        lags."""

    async def open_swap(self, request: OpenSwap, caller: str | None = None) -> SwapView:
        """Agree on a swap; the same request again answers the same swap. `caller`: the id of who asks, None for
        callers in this process, who are not bounded. `SwapView.reserved` says if it holds anything.

        Raise `RejectedError` for a quote that is expired, altered or not ours, and for a proof that is not the
        account's signature over this opening; `RetryableError` while the account's balance cannot be read;
        `PausedError` while a switch keeps the pair back;
        `ConflictError` for a hashlock or a quote that was used before and if inventory, gas or limits are short;
        `TooManyError` if the caller or the account holds too much without having locked; `GateClosedError` if the time
        gate refuses.
        """

    async def gas_shortages(self, spare: int = 1) -> Mapping[ChainId, str]:
        """Chains of our pairs on which gas for what is open and `spare` exits more is not there. Without one, nothing
        is quoted there.

        Raise `RetryableError` while a chain does not say.
        """

    async def give_back(self, swap_id: SwapId) -> SwapView:
        """Ask for the initiator's lock to go back before its timelock; the same again changes nothing.

        Only once the swap has come to nothing: nobody loses by it, so anybody may ask. Raise `NotFoundError` for an
        unknown swap and if the operator does not offer it, `ConflictError` while the swap may still go on, or if
        nothing is locked, `RejectedError` on a chain without early refunds, `UnaffordableError` while the gas is kept
        for swaps.
        """

    async def swap(self, swap_id: SwapId) -> SwapView:
        """Raise `NotFoundError`."""

    async def swaps(self, which: SwapFilter) -> Sequence[SwapView]: ...

    def updates(
        self, swap_id: SwapId | None = None, wanted: Callable[[], bool] | None = None
    ) -> AsyncIterator[SwapView]:
        """The swap (None: every swap) whenever it changes, from the first step of the iterator on; with an id its
        present view first. A swap that changes faster than it is read comes once, as it is then. While `wanted` answers
        false, changes are passed over and nothing is read.

        Close the iterator (`aclose`) to unsubscribe.
        """
