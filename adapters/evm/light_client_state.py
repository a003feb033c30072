"""Reads of ConsortiumLightClient (the headers that it has proven so far, the validators that it trusts), and the calls
that bring it forward."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from adapters.evm import light_client
from adapters.evm.calls import body_of, encode_call, unsigned_call
from adapters.evm.endpoints import Endpoints
from adapters.evm.names import hex_address
from adapters.evm.rpc import RpcClient, data_bytes, quantity
from core.model.errors import RejectedError, RetryableError, RevertedError
from core.model.transactions import FeeMarket, UnsignedTransaction
from core.model.types import AccountId, Height
from core.proofs.cometbft.types import LightBlock, ValidatorSet
from core.proofs.lanes import evm_address

ADDRESS_BYTES: Final = 20
UPDATE_GAS: Final = 150_000
INTRODUCE_GAS: Final = 60_000
GAS_A_VALIDATOR: Final = 12_000
"""For what it costs to hash a member of a set, and to recover a signature."""
GAS_A_BYTE: Final = 40
"""Of calldata and its hash; what is written of it to memory and to a log included."""

Market = Callable[[], Awaitable[FeeMarket | None]]


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest proven header: its height, and its time in nanoseconds since 1970."""

    height: Height
    time_ns: int
    frozen: bool


class LightClientState:
    """`HeaderClient` behind the CrossChainQuery contract `queries`. What endpoints say here is unproven.

    All raise `RetryableError` if no endpoint answers, `RejectedError` if there is no such contract.
    """

    def __init__(self, endpoints: Endpoints, queries: AccountId, market: Market) -> None:
        self._endpoints = endpoints
        self._market = market
        self._queries = evm_address(queries)
        self._client = b""
        self._period_s = 0

    async def address(self) -> bytes:
        """Return the light client's address; it never changes."""
        if not self._client:
            [word] = await self._read(light_client.QUERIES, self._queries, "lightClient", words=1)
            self._client = word[-ADDRESS_BYTES:]
        return self._client

    async def trusting_period_s(self) -> int:
        if not self._period_s:
            [word] = await self._read(light_client.LIGHT_CLIENT, await self.address(), "trustingPeriodS", words=1)
            self._period_s = int.from_bytes(word, "big")
            if not self._period_s:
                raise RejectedError(
                    f"{hex_address(self._client)} trusts no header for any time: it is not a light client"
                )
        return self._period_s

    async def newest(self) -> Newest:
        words = await self._read(light_client.LIGHT_CLIENT, await self.address(), "newest", words=3)
        height, time_ns, frozen = (int.from_bytes(word, "big") for word in words)
        return Newest(Height(height), time_ns, bool(frozen))

    async def knows(self, height: Height) -> bool:
        """Return true if the header of this height is proven, so that answers under it need no other."""
        try:
            await self._read(light_client.LIGHT_CLIENT, await self.address(), "appHashAt", height, words=1)
        except RevertedError:
            return False
        return True

    async def introduced(self, validators_hash: bytes) -> bool:
        """Return true if somebody has said who the members of this validator set are."""
        found = await self._read(light_client.LIGHT_CLIENT, await self.address(), "setOf", validators_hash, words=1)
        return found[0] != bytes(light_client.WORD_BYTES)

    async def trusts(self, block: LightBlock) -> bool:
        """Return true if the block's own validators may sign its height (`trustOf` of the contract)."""
        header = block.header
        words = await self._read(
            light_client.LIGHT_CLIENT, await self.address(), "trustOf", header.validators_hash, words=3
        )
        first, last, _ = (int.from_bytes(word, "big") for word in words)
        return 0 < first <= header.height and (last == 0 or header.height <= last)

    async def update(self, block: LightBlock, sender: AccountId) -> UnsignedTransaction:
        data, members = light_client.update_call(block), len(block.validators.validators)
        gas = UPDATE_GAS + GAS_A_VALIDATOR * members + GAS_A_BYTE * len(data)
        return unsigned_call(sender, await self.address(), data, gas=gas, summary=f"prove header {block.header.height}")

    async def introduce(self, validators: ValidatorSet, sender: AccountId) -> UnsignedTransaction:
        data, members = light_client.introduce_call(validators), len(validators.validators)
        gas = INTRODUCE_GAS + GAS_A_VALIDATOR * members + GAS_A_BYTE * len(data)
        summary = f"introduce {members} validators"
        return unsigned_call(sender, await self.address(), data, gas=gas, summary=summary)

    async def cost(self, transaction: UnsignedTransaction) -> int:
        return int(body_of(transaction).gas, 16) * await self.gas_price()

    async def gas_price(self) -> int:
        """Return the most that a unit of gas is expected to cost, in wei."""
        market = await self._market()
        if market is None:
            raise RetryableError("the chain shows no price of gas")
        return 2 * market.base_fee + market.priority_fee

    async def _read(self, contract: str, at: bytes, name: str, *arguments: object, words: int) -> list[bytes]:
        call = {"to": hex_address(at), "data": f"0x{encode_call(contract, name, *arguments).hex()}"}
        raw = data_bytes(await self._endpoints.call("eth_call", call, "latest"))
        size = light_client.WORD_BYTES
        if len(raw) < words * size:
            raise RejectedError(f"{hex_address(at)} is not a {contract}")
        return [raw[place * size : (place + 1) * size] for place in range(words)]

    async def status_of(self, number: int) -> int:
        """Return `statusOf` a question, as a quorum has it."""
        data = encode_call(light_client.QUERIES, "statusOf", number)
        call = {"to": hex_address(self._queries), "data": f"0x{data.hex()}"}

        async def ask(client: RpcClient) -> int:
            return quantity(await client.call("eth_call", call, "latest"))

        return await self._endpoints.agreed(ask)
