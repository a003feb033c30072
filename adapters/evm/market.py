"""The price of inclusion, asked in the ways that nodes offer.

The tip: `eth_maxPriorityFeePerGas`, `eth_feeHistory`, `eth_gasPrice` less the base fee, a tenth of the base fee; the
first that is answered. A chain without base fees (older than EIP-1559) has its gas price as a tip on a base fee of 0.
"""

from collections.abc import Sequence
from statistics import median_low
from typing import Final

import msgspec

from adapters.evm.decode import Quantity
from adapters.evm.endpoints import Endpoints
from adapters.evm.rpc import Call, RpcClient, quantity
from core.model.errors import CausewayError, RetryableError
from core.model.transactions import FeeMarket
from core.model.types import ChainId

HISTORY_BLOCKS: Final = "0x5"
HISTORY_PERCENTILE: Final = 50
LAST_RESORT_DIVISOR: Final = 10
GWEI: Final = 10**9
MAX_TIP: Final = 100 * GWEI
"""A tip is believed up to this, or to `MAX_TIP_TIMES` the base fee if that is more: it is paid in full, whatever an
endpoint says that others pay."""
MAX_TIP_TIMES: Final = 10


class RawFeeHeader(msgspec.Struct, rename="camel"):
    """`base_fee_per_gas` is missing before EIP-1559."""

    base_fee_per_gas: Quantity | None = None


class RawFeeHistory(msgspec.Struct):
    """eth_feeHistory's answer about the tips that were paid, by block and percentile."""

    reward: list[list[Quantity]] | None = None


async def fee_market(chain: ChainId, endpoints: Endpoints) -> FeeMarket:
    """The lower median of what the endpoints say, each number by itself, so that no minority makes us overpay.

    Raise what the first endpoint raises if none answers.
    """
    answers = await endpoints.each(lambda client: _market_of(chain, client))
    markets = [one for one in answers if isinstance(one, FeeMarket)]
    if not markets:
        raise next(one for one in answers if isinstance(one, CausewayError))
    base_fee = median_low(one.base_fee for one in markets)
    tip = median_low(one.priority_fee for one in markets)
    return FeeMarket(base_fee=base_fee, priority_fee=tip if base_fee == 0 else min(tip, tip_bound(base_fee)))


def tip_bound(base_fee: int) -> int:
    return max(MAX_TIP, MAX_TIP_TIMES * base_fee)


async def has_base_fee(client: RpcClient) -> bool:
    """Return true if the chain has base fees, and so takes EIP-1559's transactions."""
    header: RawFeeHeader = await client.call("eth_getBlockByNumber", "latest", False, into=RawFeeHeader)
    return header.base_fee_per_gas is not None


async def _market_of(chain: ChainId, client: RpcClient) -> FeeMarket:
    header, tip = await client.batch_each(
        [
            Call("eth_getBlockByNumber", ("latest", False), RawFeeHeader),
            Call("eth_maxPriorityFeePerGas", into=Quantity),
        ]
    )
    if isinstance(header, CausewayError):
        raise header
    if header.base_fee_per_gas is None:
        return FeeMarket(base_fee=0, priority_fee=await _gas_price(client))
    base_fee = quantity(header.base_fee_per_gas)
    if isinstance(tip, str):
        return FeeMarket(base_fee, quantity(tip))
    return FeeMarket(base_fee, await _tip_otherwise(client, base_fee))


async def _tip_otherwise(client: RpcClient, base_fee: int) -> int:
    """The tip from a node that does not suggest one. No transaction waits for it: the last way asks nobody."""
    try:
        history: RawFeeHistory = await client.call(
            "eth_feeHistory", HISTORY_BLOCKS, "latest", [HISTORY_PERCENTILE], into=RawFeeHistory
        )
        if paid := _paid(history.reward or ()):
            return median_low(paid)
    except CausewayError:
        pass
    try:
        return max(0, await _gas_price(client) - base_fee)
    except CausewayError:
        return base_fee // LAST_RESORT_DIVISOR


def _paid(rewards: Sequence[Sequence[str]]) -> list[int]:
    """Return the tips of blocks that had transactions: empty ones show 0."""
    found = [quantity(block[0]) for block in rewards if block]
    return [one for one in found if one] or found


async def _gas_price(client: RpcClient) -> int:
    price: str = await client.call("eth_gasPrice", into=Quantity)
    if not quantity(price):
        raise RetryableError(f"{client} says that gas costs nothing")
    return quantity(price)
