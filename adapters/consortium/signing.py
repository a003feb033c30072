"""Local ed25519 keys of consortium accounts."""

from nacl.signing import SigningKey

from adapters.ed25519_openings import CONSENT_PREFIX, ed25519_consent
from core.model.consortium import address, caip_account
from core.model.errors import RejectedError
from core.model.transactions import Consent, SigningRequest
from core.model.types import AccountId, ChainId


class Ed25519Signer:
    """Signs for the account of one key (RFC 8032). `seed` is the 32-byte private key."""

    def __init__(self, chain: ChainId, seed: bytes) -> None:
        if len(seed) != 32:
            raise RejectedError("an ed25519 seed is 32 bytes")
        self._key = SigningKey(seed)
        self._account = caip_account(chain, address(self.public_key))

    @property
    def account(self) -> AccountId:
        return self._account

    @property
    def public_key(self) -> bytes:
        """32 bytes; `ConsortiumChain.learn` needs them before it assembles for this account."""
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
        return f"Ed25519Signer({self._account})"
