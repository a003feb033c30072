"""The cost of transactions to their senders, from their receipts."""

from collections.abc import Sequence
from typing import Final

import msgspec

from adapters.evm.decode import Hash, Number, Quantity
from adapters.evm.endpoints import Endpoints
from adapters.evm.names import native_asset
from adapters.evm.rpc import Call, data_bytes, quantity
from core.model.errors import CausewayError, NotFoundError, RetryableError
from core.model.types import AssetId, ChainId

BATCH: Final = 50
"""Receipts that are asked for in one request."""


class RawCost(msgspec.Struct, rename="camel"):
    """The fields of eth_getTransactionReceipt that say what was paid. `l1_fee`: what a rollup of the OP stack adds for
    its data. Before London (EIP-1559) a receipt has no price: the transaction's own is not asked for."""

    transaction_hash: Hash
    gas_used: Number
    effective_gas_price: Quantity | None = None
    l1_fee: Quantity | None = None


class EvmFeeReader:
    """`FeeReader` for one chain."""

    def __init__(self, chain: ChainId, endpoints: Endpoints) -> None:
        self._chain = chain
        self._endpoints = endpoints

    @property
    def asset(self) -> AssetId:
        return native_asset(self._chain)

    async def paid(self, tx_hashes: Sequence[bytes]) -> list[int | None]:
        """See the port: `gasUsed` times `effectiveGasPrice`, and a rollup's fee for data."""
        found: list[int | None] = []
        for first in range(0, len(tx_hashes), BATCH):
            found += await self._batch(tx_hashes[first : first + BATCH])
        return found

    async def _batch(self, tx_hashes: Sequence[bytes]) -> list[int | None]:
        calls = [Call("eth_getTransactionReceipt", (f"0x{one.hex()}",), RawCost | None) for one in tx_hashes]
        return [
            _cost(answer, tx_hash)
            for answer, tx_hash in zip(await self._endpoints.batch_each(calls), tx_hashes, strict=True)
        ]


def _cost(answer: RawCost | CausewayError | None, tx_hash: bytes) -> int | None:
    if answer is None or isinstance(answer, NotFoundError):
        return None
    if isinstance(answer, CausewayError):
        raise answer
    if data_bytes(answer.transaction_hash) != tx_hash:
        raise RetryableError("an endpoint answered with the receipt of another transaction")
    if answer.effective_gas_price is None:
        return None
    data_fee = 0 if answer.l1_fee is None else quantity(answer.l1_fee)
    return quantity(answer.gas_used) * quantity(answer.effective_gas_price) + data_fee
