"""EVM chains' identifiers: CAIP outside, 20 bytes inside.

CAIP-2 namespace `eip155`; native coin `slip44:60` on every chain, as development chains have no number of their own
(SLIP-44, CAIP-20); tokens `erc20:0x…` (CAIP-21), lower case.
"""

import re
from typing import Final

from core.model.errors import RejectedError
from core.model.types import AccountId, AssetId, ChainId

NATIVE_REFERENCE: Final = "slip44:60"

_CHAIN = re.compile(r"eip155:([1-9]\d{0,31})")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def evm_chain(number: int) -> ChainId:
    return ChainId(f"eip155:{number}")


def chain_number(chain: ChainId) -> int:
    """The number that transactions are signed for (EIP-155). Raise `RejectedError`."""
    match = _CHAIN.fullmatch(chain)
    if match is None:
        raise RejectedError(f"{chain[:64]!r} is not an EVM chain such as eip155:31337")
    return int(match[1])


def hex_address(address: bytes) -> str:
    return f"0x{address.hex()}"


def parse_address(text: str) -> bytes:
    """20 bytes of `0x…`. Raise `RejectedError`."""
    if _ADDRESS.fullmatch(text) is None:
        raise RejectedError(f"{text[:64]!r} is not an EVM address")
    return bytes.fromhex(text[2:])


def account(chain: ChainId, address: bytes) -> AccountId:
    return AccountId(f"{chain}:0x{address.hex()}")


def native_asset(beside: ChainId | AssetId | AccountId) -> AssetId:
    """The native coin of the chain that an identifier names or lives on."""
    namespace, reference = re.split("[:/]", beside, maxsplit=2)[:2]
    return AssetId(f"{namespace}:{reference}/{NATIVE_REFERENCE}")


def token_asset(chain: ChainId, address: bytes) -> AssetId:
    return AssetId(f"{chain}/erc20:0x{address.hex()}")


def token_account(asset: AssetId) -> AccountId:
    """The contract of an ERC-20 asset as an account. Raise `RejectedError` for another kind."""
    return account(ChainId(asset.partition("/")[0]), token_address(asset))


def token_address(asset: AssetId) -> bytes:
    """The contract of an ERC-20 asset. Raise `RejectedError` for another kind."""
    _, _, reference = asset.partition("/")
    kind, _, address = reference.partition(":")
    if kind != "erc20":
        raise RejectedError(f"{asset[:80]!r} is neither the native coin nor an ERC-20 token")
    return parse_address(address)
