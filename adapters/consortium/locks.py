"""Locks at a finalized block, as this one endpoint shows them; `adapters.endpoints` adds the quorum."""

from typing import Final

from adapters.consortium.facts import terms_of
from adapters.consortium.raw_blocks import fetch_block
from adapters.consortium.rpc import CometRpc, parsed
from adapters.consortium.state import read_leaf
from core.model.consortium import AssetLeaf, LockLeaf, asset_key, asset_symbol, lock_key, parse_lock_id
from core.model.errors import PayoutBlockedError
from core.model.facts import LockObservation, LockStatus
from core.model.types import ChainId, Height, LockId, LockTerms
from core.proofs.evidence import ledger_code_hash

STATUS: Final = {
    "locked": LockStatus.LOCKED,
    "claimed": LockStatus.CLAIMED,
    "refunded": LockStatus.REFUNDED,
}


class ConsortiumLockReader:
    """`LockReader`."""

    def __init__(self, rpc: CometRpc, chain: ChainId) -> None:
        self._rpc = rpc
        self._chain = chain

    async def lock(self, lock_id: LockId, terms: LockTerms) -> LockObservation:
        return await self.lock_at(lock_id, terms, None)

    async def check_payout(self, terms: LockTerms) -> None:
        """See the port. The ledger pays every claim of an asset that it has, held accounts too: only that is asked."""
        symbol = asset_symbol(terms.asset)
        if await read_leaf(self._rpc, asset_key(symbol), AssetLeaf) is None:
            raise PayoutBlockedError(
                f"{self._chain} has no asset {symbol}: no claim of it could pay", asset=terms.asset
            )

    async def lock_at(self, lock_id: LockId, terms: LockTerms, at: Height | None) -> LockObservation:
        """The lock as of the block at a finalized height, None for the newest. Raise `NotFoundError`."""
        sender, hashlock = parse_lock_id(lock_id)
        block = await fetch_block(self._rpc, self._chain, at)
        header = parsed(block.block_header)
        leaf = await read_leaf(self._rpc, lock_key(sender, hashlock), LockLeaf, header.height)
        return LockObservation(
            lock_id=lock_id,
            status=LockStatus.ABSENT if leaf is None else STATUS[leaf.status],
            terms_match=leaf is not None and parsed(lambda: terms_of(self._chain, leaf)) == terms,
            at=header.ref,
            time=header.time,
            code_hash=ledger_code_hash(block.header.app_version),
        )
