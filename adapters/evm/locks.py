"""A lock as a quorum of endpoints shows it at a finalized block: the ground to fund or to reveal."""

from dataclasses import dataclass
from typing import Final

from adapters.evm.decode import RawHeader, header_of
from adapters.evm.endpoints import Endpoints
from adapters.evm.lanes import slot_hex
from adapters.evm.names import hex_address
from adapters.evm.payouts import Payouts
from adapters.evm.rpc import Call, RpcClient, data_bytes, quantity
from core.model.errors import RejectedError, RetryableError
from core.model.facts import BlockHeader, LockObservation
from core.model.types import ChainId, Height, LockId, LockTerms
from core.proofs.keccak import keccak256
from core.proofs.lanes import Lane, parse_lane, read_lane

_HEADER: Final = RawHeader | None


@dataclass(frozen=True, slots=True)
class LaneView:
    """What one endpoint says about a lane at one height."""

    header: BlockHeader
    word: int
    code_hash: bytes


class EvmLockReader:
    """`LockReader` over one HashedTimelock."""

    def __init__(self, chain: ChainId, endpoints: Endpoints, htlc: bytes) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._htlc = htlc
        self._payouts = Payouts(chain, endpoints, htlc)

    async def lock(self, lock_id: LockId, terms: LockTerms) -> LockObservation:
        """See the port. `terms_match` is false also where nothing is known: lock absent or its lane used again."""
        return await self.lock_at(lock_id, terms, None)

    async def check_payout(self, terms: LockTerms) -> None:
        """See the port, and `adapters.evm.payouts` for what can be known."""
        await self._payouts.check(terms)

    async def lock_at(self, lock_id: LockId, terms: LockTerms, at: Height | None) -> LockObservation:
        """The lock as of the block at a finalized height, None for the newest that a quorum calls final."""
        lane = parse_lane(lock_id)
        if terms.chain != self._chain:
            raise RejectedError(f"these terms are for {terms.chain}, this is {self._chain}")
        height = await self._common_finalized_height() if at is None else at
        view = await self._endpoints.agreed(lambda client: self._view(client, lane, height))
        status, terms_match = read_lane(view.word, terms, lane)
        return LockObservation(
            lock_id=lock_id,
            status=status,
            terms_match=terms_match,
            at=view.header.ref,
            time=view.header.time,
            code_hash=view.code_hash,
        )

    async def _common_finalized_height(self) -> int:
        """The newest height that a quorum calls finalized."""

        async def ask(client: RpcClient) -> int:
            raw: RawHeader | None = await client.call("eth_getBlockByNumber", "finalized", False, into=_HEADER)
            if raw is None:
                raise RetryableError("the endpoint knows no finalized block")
            return header_of(self._chain, raw).height

        return await self._endpoints.at_least(ask)

    async def _view(self, client: RpcClient, lane: Lane, height: int) -> LaneView:
        where = hex_address(self._htlc)
        raw, word, code, again = await client.batch(
            [
                Call("eth_getBlockByNumber", (hex(height), False), _HEADER),
                Call("eth_getStorageAt", (where, slot_hex(lane), hex(height))),
                Call("eth_getCode", (where, hex(height))),
                Call("eth_getBlockByNumber", (hex(height), False), _HEADER),
            ]
        )
        if raw is None or again is None or raw.hash != again.hash:
            raise RetryableError(f"{client} changed its block {height} while it was read")
        return LaneView(header_of(self._chain, raw), quantity(word), keccak256(data_bytes(code)))
