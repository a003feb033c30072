"""Keys that another machine holds: a `Signer` over Web3Signer's HTTP API for Ethereum accounts (its eth1 mode).

    GET  /api/v1/eth1/publicKeys           uncompressed secp256k1 keys, 64 bytes each in hex
    POST /api/v1/eth1/sign/{public key}    {"data": "0x…"}: signs the Keccak-256 of the data, answers r‖s‖v, v 27 or 28

(Web3Signer, "REST API reference", Eth1.) The data is the whole transaction before its signature: the signer's machine
can log and judge it. An answer counts once it is the account's own signature over these very bytes.
"""

from typing import Final

import msgspec
from coincurve import PublicKey

from adapters.evm.remote_calls import ask_signer
from adapters.evm.signing import (
    SIGNATURE_BYTES,
    WALLET_V,
    address_of_key,
    check_consent,
    check_request,
    low_s,
    recover_address,
)
from adapters.observed import origin
from core.model.errors import RejectedError, RetryableError
from core.model.transactions import Consent, SigningRequest
from core.model.types import AccountId
from core.proofs.lanes import evm_address

MAX_KEYS_BYTES: Final = 1024 * 1024
MAX_SIGNATURE_BYTES: Final = 1024
MAX_KEYS: Final = 1_000
KEY_BYTES: Final = 64


class Web3Signer:
    """`Signer` and `ConsentSigner` of one account. Nothing is asked before the first signature."""

    def __init__(self, url: str, owner: AccountId) -> None:
        self.url = url.rstrip("/")
        self._account = owner
        self._key: str | None = None

    @property
    def account(self) -> AccountId:
        return self._account

    async def sign(self, request: SigningRequest) -> bytes:
        """r‖s‖v. Raise `RejectedError` for another scheme, another account's transaction, or typed data;
        `RetryableError` while the signer does not answer, or does not sign."""
        check_request(self._account, request)
        return await self._signature(request.payload)

    async def consent(self, asked: Consent) -> bytes:
        """r‖s‖v with v 27 or 28. Raise as `LocalSigner.consent`, and `RetryableError` as `sign`."""
        check_consent(self._account, asked)
        signature = await self._signature(asked.payload)
        return signature[:64] + bytes([signature[64] + WALLET_V])

    async def find_key(self) -> str:
        """Return the account's public key as the signer names it. Raise `RetryableError` if it does not have it."""
        if self._key is None:
            self._key = await self._found()
        return self._key

    async def check_key(self) -> None:
        """Raise `RetryableError` if the signer does not have the account's key."""
        await self.find_key()

    async def _found(self) -> str:
        raw = await self._call("GET", "/api/v1/eth1/publicKeys", MAX_KEYS_BYTES)
        try:
            names = msgspec.json.decode(raw, type=list[str])[:MAX_KEYS]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise RetryableError(f"the signer at {origin(self.url)} does not answer with a list of keys") from None
        wanted = evm_address(self._account)
        for name in names:
            if _address(name) == wanted:
                return name
        raise RetryableError(
            f"the signer at {origin(self.url)} has {len(names)} keys, none of them {self._account}'s: load it"
        )

    async def _signature(self, payload: bytes) -> bytes:
        """Raise `RetryableError` for an answer that is not the account's signature over these bytes."""
        body = msgspec.json.encode({"data": f"0x{payload.hex()}"})
        raw = await self._call("POST", f"/api/v1/eth1/sign/{await self.find_key()}", MAX_SIGNATURE_BYTES, body)
        signature = _parsed(raw)
        try:
            if recover_address(payload, signature) == evm_address(self._account):
                return signature
        except RejectedError:
            pass
        raise RetryableError(f"the answer of the signer at {origin(self.url)} is not {self._account}'s signature")

    async def _call(self, method: str, path: str, most: int, body: bytes | None = None) -> bytes:
        try:
            return await ask_signer(self.url, method, path, most, body)
        except RetryableError:
            self._key = None  # it may have been taken out, or be named otherwise now
            raise

    def __repr__(self) -> str:
        return f"Web3Signer({self._account})"


def _address(name: str) -> bytes | None:
    """The address of a key as it is named, None if it is not a key."""
    try:
        raw = bytes.fromhex(name.removeprefix("0x"))
        if len(raw) == KEY_BYTES:
            return address_of_key(PublicKey(b"\x04" + raw))
        return address_of_key(PublicKey(raw))
    except Exception:  # coincurve raises what it likes for bytes that are not a point
        return None


def _parsed(raw: bytes) -> bytes:
    """r‖s‖v with v 0 or 1 and low s (EIP-2), of hex digits that may be quoted; empty for anything else."""
    try:
        found = bytes.fromhex(raw.decode().strip().strip('"').removeprefix("0x"))
    except (UnicodeDecodeError, ValueError):
        return b""
    if len(found) != SIGNATURE_BYTES or found[64] not in (0, 1, WALLET_V, WALLET_V + 1):
        return b""
    return low_s(found[:64], found[64] % WALLET_V)
