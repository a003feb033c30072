"""Permit2 on a development chain: the real code, at the address that is the hash of it (CREATE2)."""

from typing import Any

from web3 import AsyncWeb3

from adapters.evm.contracts.build import REPOSITORY

PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
CREATE2_PROXY = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
"""The deterministic deployment proxy, which anvil has from its first block on."""
SALT = bytes.fromhex("0000000000000000000000000000000000000000d3af2663da51c10215000000")
CREATION_CODE = REPOSITORY / "node_modules/hardhat-predeploy/bin" / f"{PERMIT2}.bytecode"
GAS = 5_000_000


def creation() -> bytes:
    """Return the code and arguments that the proxy is called with."""
    return SALT + CREATION_CODE.read_bytes()


async def deploy_permit2(web3: AsyncWeb3[Any], by: str) -> None:
    """Any other code than Permit2's would have gone to another address."""
    sent = await web3.eth.send_transaction({"from": by, "to": CREATE2_PROXY, "data": creation(), "gas": GAS})
    await web3.eth.wait_for_transaction_receipt(sent)
    assert len(await web3.eth.get_code(web3.to_checksum_address(PERMIT2))) > 9_000
