"""Unproven state, for display and planning: balances."""

from typing import Final

from adapters.evm.endpoints import Endpoints
from adapters.evm.names import hex_address, native_asset, token_address
from adapters.evm.rpc import data_bytes, quantity
from core.model.errors import RejectedError
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Height
from core.proofs.lanes import evm_address

BALANCE_OF: Final = "70a08231"
ALLOWANCE: Final = "dd62ed3e"


class EvmStateReader:
    """`StateReader` for one chain."""

    def __init__(self, chain: ChainId, endpoints: Endpoints) -> None:
        self._chain = chain
        self._endpoints = endpoints

    async def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> BaseUnits:
        """Raise `RejectedError` for an asset that this chain does not have."""
        owner = evm_address(account)
        block = "latest" if at is None else hex(at)
        if asset == native_asset(self._chain):
            return BaseUnits(quantity(await self._endpoints.call("eth_getBalance", hex_address(owner), block)))
        return await token_word(self._endpoints, token_address(asset), BALANCE_OF, owner, block=block)


async def token_word(
    endpoints: Endpoints, token: bytes, selector: str, *addresses: bytes, block: str = "latest"
) -> BaseUnits:
    """Return the word of a token's view function of addresses. Raise `RejectedError` if the address is not a token."""
    data = "0x" + selector + "".join(address.rjust(32, b"\0").hex() for address in addresses)
    answer: str = await endpoints.call("eth_call", {"to": hex_address(token), "data": data}, block)
    raw = data_bytes(answer)
    if len(raw) < 32:
        raise RejectedError(f"{hex_address(token)} is not an ERC-20 token")
    return BaseUnits(int.from_bytes(raw[:32], "big"))
