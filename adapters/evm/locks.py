"""A lock as a quorum of endpoints shows it at a finalized block: the ground to fund or to reveal.

Full nodes keep the state of some 128 blocks, and an L2 may finalize hundreds of blocks behind. From a node without the
state of its finalized block the same is concluded from what it has: a lane's word in the newest block commits to the
very lock and says that it is open; the newest `Locked` event of that lock stands in a final block; a lock that was
settled and made again would have a newer one. So the lock was open, on these terms, in the finalized block, too.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from adapters.evm.decode import RawHeader, header_of
from adapters.evm.endpoints import Endpoints
from adapters.evm.lane_events import LaneEvents
from adapters.evm.lanes import slot_hex
from adapters.evm.names import hex_address
from adapters.evm.payouts import Payouts
from adapters.evm.rpc import Call, RpcClient, data_bytes, quantity
from core.model.errors import (
    CausewayError,
    NotFoundError,
    NotYetFinalError,
    RejectedError,
    RetryableError,
    UnclearRefusalError,
)
from core.model.facts import BlockHeader, Claimed, Locked, LockObservation, LockStatus, Refunded
from core.model.types import BlockRef, ChainId, Height, LockId, LockTerms
from core.proofs.errors import ProofError
from core.proofs.keccak import keccak256
from core.proofs.lanes import Lane, parse_lane, read_lane

MAX_REMEMBERED: Final = 1_024
"""Locks whose `Locked` event is remembered."""

_HEADER: Final = RawHeader | None


@dataclass(frozen=True, slots=True)
class LaneView:
    """One endpoint's view of a lane at one height."""

    header: BlockHeader
    word: int
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class _Found:
    """The block in which a lock was made, by its newest `Locked` event up to the block `until`."""

    made: BlockRef
    until: BlockRef


class EvmLockReader:
    """`LockReader` over one HashedTimelock."""

    def __init__(self, chain: ChainId, endpoints: Endpoints, htlc: bytes) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._htlc = htlc
        self._payouts = Payouts(chain, endpoints, htlc)
        self._events = LaneEvents(chain, htlc)
        self._found: OrderedDict[tuple[str, LockId, bytes], _Found] = OrderedDict()

    async def lock(self, lock_id: LockId, terms: LockTerms) -> LockObservation:
        """See the port. `terms_match` is false also if nothing is known: lock absent or its lane used again."""
        return await self.lock_at(lock_id, terms, None)

    async def check_payout(self, terms: LockTerms) -> None:
        """See the port, and `adapters.evm.payouts` for what can be known."""
        await self._payouts.check(terms)

    async def lock_at(self, lock_id: LockId, terms: LockTerms, at: Height | None) -> LockObservation:
        """The lock as of the block at a finalized height, None for the newest that a quorum calls final.

        Raise `NotYetFinalError` for a lock that an endpoint without the state of that block shows as settled by a
        block that is not final.
        """
        lane = parse_lane(lock_id)
        if terms.chain != self._chain:
            raise RejectedError(f"these terms are for {terms.chain}, this is {self._chain}")
        height = Height(await self._common_finalized_height()) if at is None else at
        return await self._endpoints.agreed(lambda client: self._observed(client, lane, lock_id, terms, height))

    async def _common_finalized_height(self) -> int:
        """The newest height that a quorum calls finalized."""

        async def ask(client: RpcClient) -> int:
            raw: RawHeader | None = await client.call("eth_getBlockByNumber", "finalized", False, into=_HEADER)
            if raw is None:
                raise RetryableError("the endpoint knows no finalized block")
            return header_of(self._chain, raw).height

        return await self._endpoints.at_least(ask)

    async def _observed(
        self, client: RpcClient, lane: Lane, lock_id: LockId, terms: LockTerms, height: Height
    ) -> LockObservation:
        view = await self._view(client, lane, height)
        if isinstance(view, LaneView):
            status, terms_match = self._read(view, terms, lane)
            return LockObservation(lock_id, status, terms_match, view.header.ref, view.header.time, view.code_hash)
        return await self._without_state(client, lane, lock_id, terms, view)

    async def _view(self, client: RpcClient, lane: Lane, height: Height) -> LaneView | BlockHeader:
        """The lane at this height; the block alone from an endpoint that has not, or no longer, its state."""
        where = hex_address(self._htlc)
        raw, word, code, again = await client.batch_each(
            [
                Call("eth_getBlockByNumber", (hex(height), False), _HEADER),
                Call("eth_getStorageAt", (where, slot_hex(lane), hex(height))),
                Call("eth_getCode", (where, hex(height))),
                Call("eth_getBlockByNumber", (hex(height), False), _HEADER),
            ]
        )
        for one in (raw, again):
            if isinstance(one, CausewayError):
                raise one
        if raw is None or again is None or data_bytes(raw.hash) != data_bytes(again.hash):
            raise RetryableError(f"{client} changed its block {height} while it was read")
        header = header_of(self._chain, raw)
        if header.height != height:
            raise RetryableError(f"{client} answered with another block than that at {height}")
        for one in (word, code):
            if isinstance(one, RejectedError | UnclearRefusalError):
                return header
            if isinstance(one, CausewayError):
                raise one
        return LaneView(header, quantity(word), keccak256(data_bytes(code)))

    def _read(self, view: LaneView, terms: LockTerms, lane: Lane) -> tuple[LockStatus, bool]:
        try:
            return read_lane(view.word, terms, lane)
        except ProofError as error:
            raise RetryableError(f"an endpoint of {self._chain} answered with a word that no lane holds") from error

    async def _without_state(
        self, client: RpcClient, lane: Lane, lock_id: LockId, terms: LockTerms, final: BlockHeader
    ) -> LockObservation:
        """Return the lock at the block `final`: the newest block's word commits to it, and its event stands in a final
        block."""
        newest = await self._newest(client, lane)
        status, terms_match = self._read(newest, terms, lane)

        def observed(status: LockStatus, terms_match: bool) -> LockObservation:
            return LockObservation(lock_id, status, terms_match, final.ref, final.time, newest.code_hash)

        if status is LockStatus.ABSENT:
            # A lane's generations only go up: a lock that is not there yet was not there before.
            return observed(LockStatus.ABSENT, False)
        if status is LockStatus.LOCKED:
            made = await self._made(client, lock_id, terms, newest.header)
            if made.height > final.height:
                return observed(LockStatus.ABSENT, False)
            await self._check_canonical(client, made, newest.header.ref)
            return observed(LockStatus.LOCKED, terms_match)
        ended = await self._events.newest(
            client, lock_id, terms.hashlock, (Claimed, Refunded), Height(0), newest.header
        )
        if ended is None or ended.height > final.height:
            raise NotYetFinalError(
                f"lock {lock_id} is {status.value} by a block that is not final yet, and {client} keeps no state of "
                f"its finalized block {final.height}"
            )
        await self._check_canonical(client, ended, newest.header.ref)
        return observed(status, terms_match)

    async def _newest(self, client: RpcClient, lane: Lane) -> LaneView:
        raw: RawHeader | None = await client.call("eth_getBlockByNumber", "latest", False, into=_HEADER)
        if raw is None:
            raise RetryableError(f"{client} knows no newest block")
        view = await self._view(client, lane, header_of(self._chain, raw).height)
        if isinstance(view, BlockHeader):
            raise RetryableError(f"{client} keeps no state, not even of its newest block: name another endpoint")
        return view

    async def _made(self, client: RpcClient, lock_id: LockId, terms: LockTerms, newest: BlockHeader) -> BlockRef:
        """Return the block in which the lock was made that is open in the block `newest`.

        Raise `RetryableError` if the endpoint's events do not show it.
        """
        key = (client.url, lock_id, bytes(terms.hashlock))
        known = self._found.get(key)
        if known is not None and (
            known.until.height > newest.height
            or not await self._is_canonical(client, known.until)
            or not await self._is_canonical(client, known.made)
        ):
            del self._found[key]
            known = None
        first = Height(0) if known is None else Height(known.until.height + 1)
        made = None
        if first <= newest.height:
            made = await self._events.newest(client, lock_id, terms.hashlock, (Locked,), first, newest)
        made = made or (known.made if known else None)
        if made is None:
            raise RetryableError(
                f"{client} keeps no state of its finalized block, and its events do not show lock {lock_id} either: "
                "name an endpoint that keeps more state (an archive node)"
            )
        self._found[key] = _Found(made, newest.ref)
        self._found.move_to_end(key)
        while len(self._found) > MAX_REMEMBERED:
            self._found.popitem(last=False)
        return made

    async def _check_canonical(self, client: RpcClient, block: BlockRef, newest: BlockRef) -> None:
        """Raise `RetryableError` if the events, or the newest block, belong to a branch that is gone."""
        for ref in (block, newest):
            if not await self._is_canonical(client, ref):
                raise RetryableError(f"{client} changed its block {ref.height} while a lock was read")

    async def _is_canonical(self, client: RpcClient, block: BlockRef) -> bool:
        try:
            raw: RawHeader | None = await client.call("eth_getBlockByNumber", hex(block.height), False, into=_HEADER)
        except NotFoundError:
            return False
        return raw is not None and header_of(self._chain, raw).ref == block
