"""The most that a transaction may take from its sender, and the gas limit that it goes out with."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Protocol

import msgspec

from adapters.evm.calls import CallBody, body_of, rpc_call
from adapters.evm.contracts.artifacts import load_artifact, selector_of
from adapters.evm.names import native_asset, token_asset
from adapters.evm.rpc import quantity
from core.model.errors import CausewayError
from core.model.transactions import FeeBid, UnsignedTransaction
from core.model.types import AssetId, ChainId
from core.proofs.keccak import keccak256
from core.proofs.lanes import ERC20_KIND, WORD_SIZE

PLAIN_GAS: Final = 21_000
"""A payment without data (G_transaction of the Ethereum Yellow Paper)."""
MARGIN_PER_MILLE: Final = 1_300
"""An estimate holds for the state it was made on; the next block's may cost more."""
GROWTH_PER_MILLE: Final = 1_500
MOST_TIMES: Final = 16
"""The most that many tries, or an endpoint that lies about an estimate, raise a limit: more could not be paid."""
MOST_GAS: Final = 16_777_216
"""The most that one transaction may have (EIP-7825)."""

TRANSFER: Final = bytes.fromhex("a9059cbb")
"""The selector of `transfer(address,uint256)` (EIP-20)."""
_BULK_LOCK: Final = keccak256(b"bulkLock(bool,(bytes32,uint256,uint256)[],uint256)")[:4]
_TOKEN_LOCK: Final = ("hashlock", "terms", "amount", "token")
"""How the arguments of every function that locks a token begin."""


def priced(call: dict[str, Any], fee: FeeBid | None) -> dict[str, Any]:
    """The object of `eth_call` with the bid in it: with a price, nodes ask that the sender can pay the whole."""
    if fee is None:
        return call
    return {**call, "maxFeePerGas": hex(fee.max_fee), "maxPriorityFeePerGas": hex(fee.priority_fee)}


def cost(chain: ChainId, body: CallBody, fee: FeeBid | None) -> Mapping[AssetId, int]:
    """See `TransactionSender.cost`. Tokens are counted for our own contract's locks, and for plain transfers."""
    native = int(body.value, 16) + (0 if fee is None else int(body.gas, 16) * fee.max_fee)
    found = {native_asset(chain): native} if native else {}
    data = bytes.fromhex(body.data[2:])
    words = [data[start : start + WORD_SIZE] for start in range(4, 4 + len(_TOKEN_LOCK) * WORD_SIZE, WORD_SIZE)]
    if data[:4] in _token_locks() and all(len(word) == WORD_SIZE for word in words):
        found[token_asset(chain, words[3][12:])] = int.from_bytes(words[2], "big")
    if (summed := _sum_of_locks(data)) is not None:
        found[token_asset(chain, summed[0])] = summed[1]
    if data[:4] == TRANSFER and len(words[1]) == WORD_SIZE and body.to is not None:
        found[token_asset(chain, bytes.fromhex(body.to[2:]))] = int.from_bytes(words[1], "big")
    return found


def _sum_of_locks(data: bytes) -> tuple[bytes, int] | None:
    """Return the token of a `bulkLock`, and the sum of its amounts; None for any other call, for one of the native
    coin, and for one that the contract cannot read."""
    head = [int.from_bytes(data[at : at + WORD_SIZE], "big") for at in range(4, 4 + 3 * WORD_SIZE, WORD_SIZE)]
    if data[:4] != _BULK_LOCK or len(data) < 4 + 3 * WORD_SIZE or head[2] & ~(ERC20_KIND - 1) != ERC20_KIND:
        return None
    array = data[4 + head[1] :]
    count, items = int.from_bytes(array[:WORD_SIZE], "big"), array[WORD_SIZE:]
    if len(array) < WORD_SIZE or count * 3 * WORD_SIZE > len(items):
        return None
    amounts = (items[at + 2 * WORD_SIZE : at + 3 * WORD_SIZE] for at in range(0, count * 3 * WORD_SIZE, 3 * WORD_SIZE))
    token = head[2] & (ERC20_KIND - 1)
    return token.to_bytes(20, "big"), sum(int.from_bytes(amount, "big") for amount in amounts)


@cache
def _token_locks() -> frozenset[bytes]:
    """Selectors of the functions that lock a token, from the ABI."""
    found = [entry for entry in load_artifact("HashedTimelock").abi if entry["type"] == "function"]
    return frozenset(
        selector_of(entry) for entry in found if tuple(item["name"] for item in entry["inputs"][:4]) == _TOKEN_LOCK
    )


class Asking(Protocol):
    """Whoever answers a JSON-RPC call, such as `Endpoints`."""

    async def call(self, method: str, *params: Any) -> str: ...


async def fitted(endpoints: Asking, transaction: UnsignedTransaction, tries: int) -> UnsignedTransaction:
    """See `TransactionSender.fitted`."""
    body = body_of(transaction)
    own = int(body.gas, 16)
    wanted = own
    if not transaction.reveals:
        try:
            wanted = quantity(await endpoints.call("eth_estimateGas", rpc_call(body))) * MARGIN_PER_MILLE // 1000
        except CausewayError:
            wanted = own  # it goes out all the same: an exit depends on nobody's estimate
    grown = max(own, wanted)
    for _ in range(min(tries, MOST_TIMES)):
        grown = grown * GROWTH_PER_MILLE // 1000
    limit = max(own, min(grown, own * MOST_TIMES, MOST_GAS))
    if limit == own:
        return transaction
    larger = msgspec.json.encode(msgspec.structs.replace(body, gas=hex(limit)))
    return UnsignedTransaction(transaction.chain, transaction.sender, larger, transaction.reveals, transaction.summary)
