"""Accounts of memory chains: ed25519 keys made from names, so that runs repeat. Never for anything of value."""

import hashlib

from nacl.signing import SigningKey

from adapters.ed25519_signing import Ed25519KeySigner
from adapters.memory.transactions import account_of
from core.model.types import ChainId


class MemorySigner(Ed25519KeySigner):
    """Signs for the account called `name` on `chain`."""

    def __init__(self, chain: ChainId, name: str) -> None:
        key = SigningKey(hashlib.sha256(f"{chain}/{name}".encode()).digest())
        super().__init__(key, account_of(chain, bytes(key.verify_key)))
