"""Accounts of memory chains: ed25519 keys made from names, so that runs repeat. Never for anything of value."""

import hashlib

from nacl.signing import SigningKey

from adapters.ed25519_openings import CONSENT_PREFIX, ed25519_consent
from adapters.memory.transactions import account_of
from core.model.errors import RejectedError
from core.model.transactions import Consent, SigningRequest
from core.model.types import AccountId, ChainId


class MemorySigner:
    """Signs for the account called `name` on `chain`."""

    def __init__(self, chain: ChainId, name: str) -> None:
        self._key = SigningKey(hashlib.sha256(f"{chain}/{name}".encode()).digest())
        self._account = account_of(chain, self.public_key)

    @property
    def account(self) -> AccountId:
        return self._account

    @property
    def public_key(self) -> bytes:
        return bytes(self._key.verify_key)

    async def sign(self, request: SigningRequest) -> bytes:
        """64 bytes. Raise `RejectedError` for another account's request, another scheme, or a consent."""
        if request.payload.startswith(CONSENT_PREFIX):
            raise RejectedError("this is not a transaction: it begins as a consent does")
        if request.scheme != "ed25519" or request.transaction.sender != self._account:
            raise RejectedError(f"this key signs ed25519 for {self._account} only")
        return self._key.sign(request.payload).signature

    async def consent(self, asked: Consent) -> bytes:
        """Public key ‖ signature, 96 bytes. Raise `RejectedError` for another's consent, or what is not a consent."""
        return ed25519_consent(self._key, self._account, asked)

    def __repr__(self) -> str:
        return f"MemorySigner({self._account})"
