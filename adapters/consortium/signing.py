"""Local ed25519 keys of consortium accounts; `ConsortiumChain.learn` needs the public one before it assembles."""

from nacl.signing import SigningKey

from adapters.ed25519_signing import Ed25519KeySigner
from core.model.consortium import address, caip_account
from core.model.errors import RejectedError
from core.model.types import ChainId


class Ed25519Signer(Ed25519KeySigner):
    """Signs for the account of one key. `seed` is the 32-byte private key."""

    def __init__(self, chain: ChainId, seed: bytes) -> None:
        if len(seed) != 32:
            raise RejectedError("an ed25519 seed is 32 bytes")
        key = SigningKey(seed)
        super().__init__(key, caip_account(chain, address(bytes(key.verify_key))))
