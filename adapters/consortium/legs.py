"""The three verbs as messages of the ledger."""

from collections.abc import Collection

from adapters.consortium.messages import transfer, unsigned
from adapters.consortium.rpc import CometRpc
from adapters.consortium.state import read_leaf
from adapters.payments import check_transfer
from core.model.consortium import (
    Claim,
    Lock,
    LockLeaf,
    Refund,
    asset_symbol,
    lock_id,
    lock_key,
    parse_lock_id,
    quantity,
    raw_address,
)
from core.model.errors import ConflictError, RejectedError
from core.model.transactions import UnsignedTransaction
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    ChainId,
    LockId,
    LockTerms,
    Preimage,
)


class ConsortiumLegBuilder:
    """`LegBuilder`. A lock's place is its sender and hashlock, so a sender uses a hashlock once."""

    def __init__(self, rpc: CometRpc, chain: ChainId) -> None:
        self._rpc = rpc
        self._chain = chain

    async def lock_id(self, terms: LockTerms, taken: Collection[LockId] = ()) -> LockId:
        """Raise `ConflictError` if the sender has used the hashlock already."""
        sender = raw_address(terms.sender)
        name = lock_id(self._chain, sender, terms.hashlock)
        if name in taken or await read_leaf(self._rpc, lock_key(sender, terms.hashlock), LockLeaf) is not None:
            raise ConflictError("this sender has used this hashlock already", lock_id=name)
        return name

    async def prepare(self, terms: LockTerms) -> UnsignedTransaction | None:
        return None

    def lock(self, terms: LockTerms, lock_id: LockId) -> UnsignedTransaction:
        message = Lock(
            asset_symbol(terms.asset),
            quantity(terms.amount),
            raw_address(terms.receiver),
            terms.hashlock,
            terms.timelock.seconds,
        )
        summary = f"lock {terms.amount} {terms.asset} for {terms.receiver}"
        return unsigned(self._chain, terms.sender, (message,), summary)

    def claim(self, terms: LockTerms, lock_id: LockId, preimage: Preimage, sender: AccountId) -> UnsignedTransaction:
        locker, _ = parse_lock_id(lock_id)
        summary = f"claim {terms.amount} {terms.asset} for {terms.receiver}"
        return unsigned(self._chain, sender, (Claim(locker, preimage.expose()),), summary, reveals=True)

    def refund(self, terms: LockTerms, lock_id: LockId, sender: AccountId) -> UnsignedTransaction:
        locker, hashlock = parse_lock_id(lock_id)
        summary = f"refund {terms.amount} {terms.asset} to {terms.sender}"
        return unsigned(self._chain, sender, (Refund(locker, hashlock),), summary)


class ConsortiumTransferBuilder:
    """`TransferBuilder`: asks nobody. The ledger's accounts are keys, and every one can be paid."""

    def __init__(self, chain: ChainId) -> None:
        self._chain = chain

    async def transfer(
        self, sender: AccountId, receiver: AccountId, asset: AssetId, amount: BaseUnits
    ) -> UnsignedTransaction:
        check_transfer(self._chain, sender, receiver, asset, amount)
        if not any(raw_address(receiver)):
            raise RejectedError("the receiver is the zero address: name the account that is to be paid")
        return transfer(sender, receiver, asset, amount)
