"""Names on the consortium chain: addresses, chains, assets and locks; amounts as bytes."""

import hashlib
import re
from typing import Final

from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS, AccountId, AssetId, ChainId, LockId, chain_of

NAMESPACE: Final = "causeway"
MAX_NAME_CHARS: Final = 64
ADDRESS_BYTES: Final = 20
NAME_PATTERN: Final = r"[a-z0-9][-_.a-z0-9]{0,63}"
"""Asset symbols, record namespaces and record keys."""
_ACCOUNT = re.compile(r"[^:]+:[^:]+:([0-9a-fA-F]{40})")
_LOCK_ID = re.compile(r"([0-9a-f]{40})/([0-9a-f]{64})")


def address(public_key: bytes) -> bytes:
    """The 20-byte address of an ed25519 account: SHA-256, truncated (CometBFT spec, Data Structures)."""
    if len(public_key) != 32:
        raise RejectedError("an ed25519 public key is 32 bytes")
    return hashlib.sha256(public_key).digest()[:ADDRESS_BYTES]


def caip_chain(reference: str) -> ChainId:
    """The CAIP-2 id of the consortium chain whose CometBFT chain id is `reference`."""
    return ChainId(f"{NAMESPACE}:{reference}")


def caip_account(chain: ChainId, raw: bytes) -> AccountId:
    return AccountId(f"{chain}:{raw.hex()}")


def caip_asset(chain: ChainId, symbol: str) -> AssetId:
    return AssetId(f"{chain}/asset:{symbol}")


def raw_address(account: AccountId) -> bytes:
    """The 20 bytes of a CAIP-10 account of a consortium chain. Raise `RejectedError`."""
    match = _ACCOUNT.fullmatch(account)  # `fromhex` alone would pass over spaces
    if match is None:
        raise RejectedError(f"{account[:128]!r} is not an account of a consortium chain")
    return bytes.fromhex(match[1])


def asset_symbol(asset: AssetId) -> str:
    """`cnyd` of `causeway:devnet-1/asset:cnyd`. Raise `RejectedError`."""
    prefix = f"{chain_of(asset)}/asset:"
    if not asset.startswith(prefix):
        raise RejectedError(f"{asset[:128]!r} is not an asset of a consortium chain")
    return asset[len(prefix) :]


def lock_id(chain: ChainId, sender: bytes, hashlock: bytes) -> LockId:
    """A lock's name: its sender and hashlock, since a sender may use a hashlock once only."""
    return LockId(f"{sender.hex()}/{hashlock.hex()}")


def parse_lock_id(name: LockId) -> tuple[bytes, bytes]:
    """(sender, hashlock) of a lock id. Raise `RejectedError`."""
    match = _LOCK_ID.fullmatch(name)
    if match is None:
        raise RejectedError(f"{name[:128]!r} is not a lock id of a consortium chain")
    return bytes.fromhex(match[1]), bytes.fromhex(match[2])


def quantity(value: int) -> bytes:
    """An amount on the wire: minimal big-endian, empty for zero. Raise `RejectedError` outside 0 ≤ n < 2**256."""
    if not 0 <= value <= MAX_BASE_UNITS:
        raise RejectedError("an amount is a whole number of base units, 0 ≤ n < 2**256")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def value_of(raw: bytes) -> int:
    """The inverse of `quantity`. Raise `RejectedError` for a form that is not minimal."""
    if len(raw) > 32 or raw[:1] == b"\0":
        raise RejectedError("an amount is written as minimal big-endian bytes, at most 32")
    return int.from_bytes(raw, "big")
