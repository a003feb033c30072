"""A local ed25519 key that signs for one account, on any chain whose accounts are such keys (RFC 8032)."""

from nacl.signing import SigningKey

from adapters.ed25519_openings import CONSENT_PREFIX, ed25519_consent
from core.model.errors import RejectedError
from core.model.transactions import Consent, SigningRequest
from core.model.types import AccountId


class Ed25519KeySigner:
    """`Signer` and `ConsentSigner` of `account`, which is the one of `key`."""

    def __init__(self, key: SigningKey, account: AccountId) -> None:
        self._key = key
        self._account = account

    @property
    def account(self) -> AccountId:
        return self._account

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
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
        return f"{type(self).__name__}({self._account})"
