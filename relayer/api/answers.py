"""The API's answers without HTTP: what every path does, on wire structs. The client's `Relayer` protocol fits it, so a
dApp that runs a relayer in its own process needs no socket."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from core.model.amounts import parse_base_units
from core.model.errors import ConflictError, NotFoundError, RejectedError, RetryableError
from core.model.facts import HeadUpdate
from core.model.identifiers import parse_account, parse_asset
from core.model.ports import ChainParameters, HeadSource
from core.model.types import AccountId, ChainId, Hashlock, SwapId, chain_of
from core.runtime.clock import Clock
from core.runtime.version import VERSION
from relayer.api import wire
from relayer.api.access import Accesses, SigningChain
from relayer.api.bodies import (
    ChainBody,
    ChallengeBody,
    ChallengeCall,
    ExposureBody,
    PairBody,
    QuoteBody,
    QuoteCall,
    RelayerBody,
    RestoreCall,
    RestoredBody,
    SwapBody,
    SwapCall,
    SwapsQuery,
    TransactionCall,
    WalletTransactionBody,
    WatchCall,
)
from relayer.api.transactions import BuildingChain, WalletTransactions
from relayer.provider.desk import MAX_PAGE, Desk, OpenSwap, SwapFilter, SwapView
from relayer.provider.quoting import QuoteRequest
from relayer.watchtower import Registration

HEAD_TIMEOUT_S: Final = 3.0
EXPOSURE_AGE_S: Final = 1.0
"""The age up to which exposure is reported again: it is added up from the rows of all open swaps."""
HEAD_AGE_S: Final = 0.5
"""The age up to which a head is reported again: whoever polls us does not poll our endpoints."""


class Watching(Protocol):
    """The part of a watchtower that the API needs; `relayer.watchtower.Watchtower` has it."""

    @property
    def enabled(self) -> bool: ...

    async def register(self, request: Registration, caller: str | None = None) -> SwapId: ...


class ServedChain(BuildingChain, SigningChain, Protocol):
    """The part of a chain that the API shows. A `ChainAccess` has it."""

    @property
    def parameters(self) -> ChainParameters: ...


@dataclass(frozen=True, slots=True)
class _Seen:
    update: HeadUpdate | None
    at: float


class Answers:
    """One relayer's answers. Errors are those of `core.model.errors`."""

    def __init__(
        self,
        desk: Desk,
        chains: Mapping[ChainId, ServedChain],
        clock: Clock,
        watchtower: Watching | None = None,
        name: str = "relayer",
    ) -> None:
        self._desk = desk
        self._chains = chains
        self._clock = clock
        self._watchtower = watchtower
        self._name = name
        self._parameters = {chain: served.parameters for chain, served in chains.items()}
        self._transactions = WalletTransactions(chains, clock)
        self._heads: dict[ChainId, _Seen] = {}
        self._exposure: tuple[float, list[ExposureBody]] | None = None

    async def relayer(self) -> RelayerBody:
        return RelayerBody(
            name=self._name,
            version=VERSION,
            quote_key=wire.hex_of(self._desk.quote_key),
            watchtower=self._watchtower is not None and self._watchtower.enabled,
        )

    async def chains(self) -> list[ChainBody]:
        """Every chain; one that does not answer is reported as not reachable."""
        updates = await asyncio.gather(*(self._head(chain, served.heads) for chain, served in self._chains.items()))
        now_s = self._clock.now()
        return [
            wire.chain_body(parameters, update, now_s)
            for parameters, update in zip(self._parameters.values(), updates, strict=True)
        ]

    async def _head(self, chain: ChainId, source: HeadSource) -> HeadUpdate | None:
        known = self._heads.get(chain)
        if known is not None and self._clock.monotonic() - known.at < HEAD_AGE_S:
            return known.update
        update = None
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                update = await source.head()
        except (RetryableError, TimeoutError):
            pass
        self._heads[chain] = _Seen(update, self._clock.monotonic())
        return update

    async def pairs(self) -> list[PairBody]:
        """Every pair whose assets their chains show: one that names another is nobody else's trouble."""
        found = []
        for pair in self._desk.pairs():
            with suppress(RejectedError):
                chains = self._parameters.values()
                given, wanted = (
                    wire.asset_named(chains, one) for one in (pair.initiator_asset, pair.participant_asset)
                )
                found.append(wire.pair_body(pair, given, wanted, self._desk.paused(pair)))
        return found

    async def exposure(self) -> list[ExposureBody]:
        """Every asset that is paid out and that its chain shows, as of the last second."""
        if self._exposure is not None and self._clock.monotonic() - self._exposure[0] < EXPOSURE_AGE_S:
            return self._exposure[1]
        at, found = self._clock.monotonic(), list[ExposureBody]()
        for one in await self._desk.exposure():
            with suppress(RejectedError):
                found.append(wire.exposure_body(one, wire.asset_named(self._parameters.values(), one.asset)))
        self._exposure = at, found
        return found

    async def quote(self, call: QuoteCall) -> QuoteBody:
        request = QuoteRequest(
            initiator_asset=parse_asset(call.initiator_asset),
            participant_asset=parse_asset(call.participant_asset),
            initiator_amount=(
                None if call.initiator_amount is None else parse_base_units(call.initiator_amount, "initiator_amount")
            ),
            participant_amount=(
                None
                if call.participant_amount is None
                else parse_base_units(call.participant_amount, "participant_amount")
            ),
            initiator_sender=None if call.initiator_sender is None else parse_account(call.initiator_sender),
            initiator_receiver=None if call.initiator_receiver is None else parse_account(call.initiator_receiver),
        )
        if call.pair_hash is not None:
            self._check_pair(request, wire.bytes_from(call.pair_hash, 32, "pair_hash"))
        return wire.quote_body(await self._desk.quote(request))

    def _check_pair(self, request: QuoteRequest, digest: bytes) -> None:
        for pair in self._desk.pairs():
            if (pair.initiator_asset, pair.participant_asset) == (request.initiator_asset, request.participant_asset):
                if wire.pair_hash(pair) != digest:
                    raise ConflictError("the pair has changed since you read it: read /v1/pairs again", pair=pair.id)
                return

    async def open_swap(self, call: SwapCall, caller: str | None = None) -> SwapBody:
        """The same call again answers the same swap. `caller`: the id of who asks, None in-process."""
        request = OpenSwap(
            quote=wire.quote_from(call.quote),
            hashlock=Hashlock(wire.bytes_from(call.hashlock, 32, "hashlock")),
            initiator_sender=parse_account(call.initiator_sender),
            initiator_receiver=parse_account(call.initiator_receiver),
            proof=wire.proof_from(call.proof),
        )
        return self.swap_body(await self._desk.open_swap(request, caller))

    async def swap(self, swap_id: str) -> SwapBody:
        return self.swap_body(await self._desk.swap(SwapId(swap_id)))

    async def give_back(self, swap_id: str) -> SwapBody:
        """The same call again answers the same swap."""
        return self.swap_body(await self._desk.give_back(SwapId(swap_id)))

    async def transaction(self, swap_id: str, call: TransactionCall) -> WalletTransactionBody:
        """An unsigned transaction of the swap; see `WalletTransactions.build`."""
        return await self._transactions.build(await self._desk.swap(SwapId(swap_id)), call)

    async def challenge(self, call: ChallengeCall, accesses: Accesses, caller: str) -> ChallengeBody:
        """A fresh challenge; see `Accesses.challenge`."""
        made = await accesses.challenge(parse_account(call.account), caller)
        on_evm = made.access.account.startswith("eip155:")
        return ChallengeBody(
            account=made.access.account,
            challenge=wire.hex_of(made.access.challenge),
            expires_at=made.access.expires_at,
            message=wire.hex_of(made.message.payload),
            typed_data=msgspec.json.decode(made.message.typed_data) if on_evm else None,
        )

    async def restore(self, call: RestoreCall, accesses: Accesses) -> RestoredBody:
        """The account's swaps, for its holder; see `Accesses.check`."""
        account = parse_account(call.account)
        challenge = wire.bytes_from(call.challenge, 32, "challenge")
        await accesses.check(account, challenge, wire.proof_from(call.proof) or b"")
        views = await self._desk.swaps(SwapFilter(account=account, limit=MAX_PAGE))
        bodies = tuple(self.swap_body(view) for view in views)
        return RestoredBody(account=account, swaps=bodies, more=len(bodies) == MAX_PAGE)

    async def swaps(self, query: SwapsQuery) -> list[SwapBody]:
        which = SwapFilter(
            ids=tuple(map(SwapId, query.id)),
            done=query.done,
            phase=query.phase,
            hashlock=None if query.hashlock is None else Hashlock(wire.bytes_from(query.hashlock, 32, "hashlock")),
            account=None if query.account is None else self._account(query.account),
            before=None if query.before is None else SwapId(query.before),
            limit=query.limit,
        )
        return [self.swap_body(view) for view in await self._desk.swaps(which)]

    def _account(self, text: str) -> AccountId:
        """Raise `NotFoundError` for an account on another chain: an empty list would say that it has no swaps."""
        account = parse_account(text)
        if chain_of(account) not in self._chains:
            raise NotFoundError(f"{chain_of(account)} is not a chain of this relayer: /v1/chains lists its chains")
        return account

    async def watch(self, call: WatchCall, caller: str | None = None) -> SwapBody:
        """The same call again answers the same swap."""
        if self._watchtower is None:
            raise NotFoundError("this relayer does not watch over other parties' swaps")
        try:
            request = Registration(wire.terms_from(call.initiator), wire.terms_from(call.participant))
        except RejectedError as error:
            raise type(error)(f"these legs cannot be watched: {error.message}", **error.fields) from None
        return self.swap_body(await self._desk.swap(await self._watchtower.register(request, caller)))

    def swap_body(self, view: SwapView) -> SwapBody:
        return wire.swap_body(view, self._parameters, self._desk.head, self._clock.now())
