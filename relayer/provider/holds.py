"""Proofs of funds: on what ground an opening reserves anything before its lock.

Its account has signed it, and holds what it gives next to what its other open holds give, at a quorum. A hold that ends
without a lock counts against the account for a time. Coins that were moved away after a proof prove nothing: if the
inventory is short, holds are looked at again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.openings import Opening
from core.model.ports import HeadSource, OpeningProofs, StateReader
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Height, SwapId, chain_of
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from indexer import reading
from relayer import inventory
from relayer.inventory import Promise
from relayer.policy import OpeningPolicy
from relayer.provider.desk import OpenSwap
from relayer.pump import promises

LOOK_AGAIN_S: Final = 5.0
"""How often the holds on one asset are looked at again at most: whoever asks for prices does not poll our endpoints."""
LOOKED_AT_ONCE: Final = 32
"""Accounts whose balances are read then, those with the largest holds first."""

log = get_logger("relayer.provider.holds")


class ProvingChain(Protocol):
    """The part of a chain on which funds are proven. A `ChainAccess` has it."""

    @property
    def heads(self) -> HeadSource: ...
    @property
    def state(self) -> StateReader: ...
    @property
    def openings(self) -> OpeningProofs | None: ...


class Holds:
    """The proofs of one relayer's openings. `quote_key` is bound into what accounts sign."""

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, ProvingChain],
        policy: OpeningPolicy,
        clock: Clock,
        quote_key: bytes,
    ) -> None:
        self._database = database
        self._chains = chains
        self._policy = policy
        self._clock = clock
        self._key = quote_key
        self._looked: dict[AssetId, float] = {}

    async def check_signature(self, request: OpenSwap) -> None:
        """Raise `RejectedError` if there is a proof that is not the account's signature over this very opening."""
        if request.proof is None:
            return
        openings = self._chains[request.quote.initiator_chain].openings
        if openings is None:
            raise RejectedError(f"{request.quote.initiator_chain} takes no proofs of funds: leave out `proof`")
        await openings.check(opening_of(request, self._key), request.proof)

    async def balance(self, request: OpenSwap) -> BaseUnits | None:
        """Return the account's balance of what it gives, at a quorum and at the newest head; None without a proof.

        To be read after the promises that it is held against. Raise `RetryableError`, also if one node shows a head
        and another one, which is asked then, does not have that block yet.
        """
        if request.proof is None:
            return None
        account, asset = request.initiator_sender, request.quote.initiator_asset
        chain = self._chains[request.quote.initiator_chain]
        head = (await chain.heads.head()).head
        try:
            return await chain.state.balance(account, asset, head.height)
        except NotFoundError as error:
            raise RetryableError(f"what {account} holds cannot be read: {error.message}") from error

    def refusal(
        self, connection: Connection, new: Promise, others: Sequence[Promise], balance: BaseUnits | None, now_ns: int
    ) -> str | None:
        """Why a new opening reserves nothing, None if it does. `others` are firm; `balance` is of `balance()`."""
        if balance is None or new.account is None:
            return "the opening came without a proof of funds"
        since_ns = now_ns - self._policy.lapse_s * NS_PER_S
        lapsed = promises.lapses(connection, new.account, since_ns, now_ns)
        if lapsed >= self._policy.max_lapses:
            return (
                f"{lapsed} openings of {new.account} were held and not locked on within {self._policy.lapse_s} s: its "
                "proofs reserve nothing until some of that time is over"
            )
        return inventory.uncovered(new, others, balance)

    async def look_again(self, asset: AssetId) -> bool:
        """Let go of holds on `asset` whose accounts do not hold any more what they proved; True if any went.

        Read at the height up to which the follower has taken in blocks, so that a lock that took the coins is known.
        """
        now_s = self._clock.monotonic()
        if now_s - self._looked.get(asset, float("-inf")) < LOOK_AGAIN_S:
            return False
        self._looked[asset] = now_s
        now_ns = self._clock.now_ns()
        heights, promised = await self._database.read(lambda c: (reading.tips(c), promises.of_open_swaps(c)))
        held = defaultdict[tuple[AccountId, AssetId], list[Promise]](list)
        for one in inventory.firm(promised, now_ns):
            if one.asset == asset and one.waits and one.account is not None and one.given_asset is not None:
                held[one.account, one.given_asset].append(one)
        largest = sorted(held, key=lambda key: sum(one.amount for one in held[key]), reverse=True)[:LOOKED_AT_ONCE]
        gone = await asyncio.gather(*(self._uncovered(*key, held[key], heights) for key in largest))
        ended = [swap_id for some in gone for swap_id in some]
        if not ended:
            return False
        log.info("holds end: their accounts do not hold any more what they give", asset=asset, swaps=len(ended))
        return await self._database.write(lambda c: promises.end_holds(c, ended, now_ns)) > 0

    async def _uncovered(
        self, account: AccountId, given: AssetId, holds: Sequence[Promise], heights: Mapping[ChainId, Height]
    ) -> list[SwapId]:
        chain = chain_of(account)
        if chain not in self._chains or chain not in heights:
            return []
        try:
            balance = await self._chains[chain].state.balance(account, given, heights[chain])
        except (RetryableError, RejectedError):
            return []
        return [one.swap_id for one in inventory.overdrawn(holds, balance)]


def opening_of(request: OpenSwap, quote_key: bytes) -> Opening:
    """Return the opening that the initiator's account signs for this request."""
    quote = request.quote
    return Opening(
        account=request.initiator_sender,
        relayer=quote_key,
        quote_id=quote.id,
        hashlock=request.hashlock,
        given_asset=quote.initiator_asset,
        given_amount=quote.initiator_amount,
        given_to=quote.participant_receiver,
        wanted_asset=quote.participant_asset,
        wanted_amount=quote.participant_amount,
        wanted_to=request.initiator_receiver,
        expires_at=quote.expires_at,
    )
