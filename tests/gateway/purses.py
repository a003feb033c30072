"""Holdings of a devnet's actors, and the fees that Ethereum took from each of them."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from adapters.evm.rpc import Call, RpcClient
from adapters.registry import ConnectedChain
from core.model.identifiers import parse_asset
from core.model.types import AccountId, AssetId, ChainId, address_of, chain_of
from gateway.devnet.info import DevnetInfo, Keys

BLOCKS_AT_ONCE = 50


class Receipt(msgspec.Struct):
    """The part of a receipt that says who paid what for gas (execution-apis)."""

    sender: str = msgspec.field(name="from")
    gas: str = msgspec.field(name="gasUsed")
    price: str = msgspec.field(name="effectiveGasPrice")


@dataclass(frozen=True)
class Purses:
    """Accounts of `owners` on both chains, by their assets: ether on Ethereum, yuan on the consortium chain."""

    info: DevnetInfo
    chains: Mapping[ChainId, ConnectedChain]
    owners: Collection[Keys]

    @property
    def ether(self) -> AssetId:
        return parse_asset(self.info.ether)

    @property
    def yuan(self) -> AssetId:
        return parse_asset(self.info.yuan)

    async def held(self) -> dict[tuple[str, AssetId], int]:
        """Units by (owner, asset), as the newest blocks have them."""
        places = [(one, asset) for one in self.owners for asset in (self.ether, self.yuan)]
        amounts = await asyncio.gather(*(self._held(self._account(*place), place[1]) for place in places))
        return {(one.name, asset): amount for (one, asset), amount in zip(places, amounts, strict=True)}

    async def fees(self) -> Counter[tuple[str, AssetId]]:
        """Wei that each owner paid for gas in all blocks so far."""
        names = {address_of(self._account(one, self.ether)).lower(): one.name for one in self.owners}
        rpc = RpcClient(self.info.chain("evm").endpoints[0].url)
        paid = Counter[tuple[str, AssetId]]()
        try:
            last = int(await rpc.call("eth_blockNumber"), 16)
            for first in range(0, last + 1, BLOCKS_AT_ONCE):
                heights = range(first, min(first + BLOCKS_AT_ONCE, last + 1))
                calls = [Call("eth_getBlockReceipts", (hex(height),), list[Receipt]) for height in heights]
                for receipts in await rpc.batch(calls):
                    for one in receipts:
                        if one.sender in names:
                            paid[names[one.sender], self.ether] += int(one.gas, 16) * int(one.price, 16)
        finally:
            await rpc.close()
        return paid

    def _account(self, one: Keys, asset: AssetId) -> AccountId:
        return AccountId(one.ethereum_account if asset == self.ether else one.consortium_account)

    async def _held(self, account: AccountId, asset: AssetId) -> int:
        return await self.chains[chain_of(account)].access.state.balance(account, asset)
